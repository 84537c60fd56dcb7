// SPDX-License-Identifier: GPL-2.0-or-later
#include "live_processes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/log.h"
#include "../lib/table.h"
#include "../source/record.h"

struct traced {
	uint32_t pid, ppid;
	bool described;
	char comm[WEFT_COMM_LEN];
};

struct live_processes {
	const struct options *o;
	struct kernel *kernel;
	struct probes *probes;
	struct node_helpers *helpers; /* or NULL */
	source_handler pass;
	void *ctx;
	struct table by_pid; /* struct traced */
	/* a selector can bring processes that are not descendants of the present ones */
	bool open_ended;
	pid_t *found; /* what the selectors meant when last asked */
	size_t n_found;
};

struct live_processes *live_processes__new(const struct options *o, source_handler pass, void *ctx)
{
	struct live_processes *lp = calloc(1, sizeof(*lp));

	if (!lp)
		return NULL;
	lp->o = o;
	lp->pass = pass;
	lp->ctx = ctx;
	return lp;
}

static struct traced *add(struct live_processes *lp, uint32_t pid, uint32_t ppid)
{
	struct traced *t = table__get(&lp->by_pid, pid);

	if (!t) {
		t = calloc(1, sizeof(*t));
		if (!t || !table__put(&lp->by_pid, pid, t)) {
			free(t);
			return NULL;
		}
	}
	*t = (struct traced){ .pid = pid, .ppid = ppid };
	return t;
}

static void send(struct live_processes *lp, const struct process_info *info)
{
	char *text;
	size_t len;
	unsigned n;

	if (process_info__resource(info, WEFT_VERSION, &text, &len, &n) < 0)
		return;
	size_t size = (sizeof(struct record_process) + len + 7) & ~(size_t)7;
	struct record_process *r = calloc(1, size);

	if (r) {
		r->h = (struct weft_event){ .size = (uint32_t)size,
					    .kind = RECORD_PROCESS,
					    .pid = (uint32_t)info->pid };
		r->start_time = info->start_time_ns;
		r->n = n;
		r->len = (uint32_t)len;
		memcpy(r->text, text, len);
		lp->pass(lp->ctx, &r->h);
		free(r);
	}
	free(text);
}

/* It ended before it could be asked: what the kernel said of it has to do. */
static void send_by_comm(struct live_processes *lp, const struct traced *t)
{
	struct process_info info = { .pid = (pid_t)t->pid, .ppid = (pid_t)t->ppid };
	char comm[WEFT_COMM_LEN + 1];

	snprintf(comm, sizeof(comm), "%.*s", WEFT_COMM_LEN,
		 t->comm[0] ? t->comm : "unknown_service");
	info.service = lp->o->service_name ? (char *)lp->o->service_name : comm;
	info.service_source = "exe";
	info.comm = comm;
	send(lp, &info);
}

static void describe(struct live_processes *lp, struct traced *t)
{
	struct process_info info;

	t->described = true;
	if (process_info__read((pid_t)t->pid, lp->o->service_name, false, &info) == 0) {
		log_debug("pid %u is %s (%s)", t->pid, info.service, info.service_source);
		send(lp, &info);
		process_info__free(&info);
	} else {
		send_by_comm(lp, t);
	}
}

static void warn_uring(struct live_processes *lp, const struct weft_proc *p)
{
	/* Node's inspector has an event loop of its own, and we had it opened. */
	if (lp->helpers && memcmp(p->comm, "InspectorIo", sizeof("InspectorIo")) == 0)
		return;
	log_warn(
		"pid %u (%.*s) uses io_uring, which the %s back end can't see: its spans will be missing",
		p->h.pid, WEFT_COMM_LEN, p->comm,
		kernel__backend_name(kernel__backend(lp->kernel)));
}

bool live_processes__watches_exec(const struct live_processes *lp)
{
	for (size_t i = 0; i < lp->o->n_selectors; i++) {
		enum selector_kind kind = lp->o->selectors[i].kind;

		if (kind == SELECT_SERVICE || kind == SELECT_EXE || kind == SELECT_COMM)
			return true;
	}
	return false;
}

/* Somebody runs a new program: is it one that is meant? */
static void consider(struct live_processes *lp, const struct weft_proc *p)
{
	struct process_info info;

	if (p->h.pid == (uint32_t)getpid() || table__get(&lp->by_pid, p->h.pid) ||
	    process_info__read((pid_t)p->h.pid, NULL, false, &info) < 0)
		return;
	if (targets__match(lp->o->selectors, lp->o->n_selectors, &info) &&
	    kernel__select_pid(lp->kernel, (pid_t)p->h.pid) == 0) {
		log_info("tracing pid %u too: %s", p->h.pid, info.service);
		add(lp, p->h.pid, p->ppid);
		probes__mapped(lp->probes, (pid_t)p->h.pid, p->h.ts, true);
		if (lp->helpers)
			node_helpers__consider(lp->helpers, (pid_t)p->h.pid, true);
	}
	process_info__free(&info);
}

/* A helper goes into what begins to run Node.js, and with what ends. */
static void follow_helpers(struct live_processes *lp, const struct weft_event *ev)
{
	if (!lp->helpers)
		return;
	if (ev->kind == WEFT_EV_SELECT || ev->kind == WEFT_EV_EXEC)
		node_helpers__consider(lp->helpers, (pid_t)ev->pid, true);
	else if (ev->kind == WEFT_EV_EXIT)
		node_helpers__exit(lp->helpers, (pid_t)ev->pid);
}

/* What libraries does it have now? */
static void follow_libraries(struct live_processes *lp, const struct weft_event *ev)
{
	const struct weft_proc *p = (const struct weft_proc *)ev;

	switch (ev->kind) {
	case WEFT_EV_FORK: probes__fork(lp->probes, (pid_t)p->ppid, (pid_t)ev->pid); return;
	case WEFT_EV_SELECT:
	case WEFT_EV_EXEC: probes__mapped(lp->probes, (pid_t)ev->pid, ev->ts, true); return;
	case WEFT_EV_MAP: probes__mapped(lp->probes, (pid_t)ev->pid, ev->ts, false); return;
	case WEFT_EV_EXIT: probes__exit(lp->probes, (pid_t)ev->pid); return;
	}
}

void live_processes__before(struct live_processes *lp, const struct weft_event *ev)
{
	const struct weft_proc *p = (const struct weft_proc *)ev;
	struct traced *t;

	follow_libraries(lp, ev);
	follow_helpers(lp, ev);
	if (ev->kind == WEFT_EV_DATA)
		probes__active(lp->probes, (pid_t)ev->pid, ev->ts);
	switch (ev->kind) {
	case WEFT_EV_FORK:
	case WEFT_EV_SELECT:
	case WEFT_EV_EXEC:
		t = add(lp, ev->pid, p->ppid);
		if (t)
			memcpy(t->comm, p->comm, sizeof(t->comm));
		return;
	case WEFT_EV_IOURING: warn_uring(lp, p); return;
	case WEFT_EV_STRANGER: consider(lp, p); return;
	case WEFT_EV_MAP:
	case WEFT_EV_EXIT: return;
	}
	if (!ev->pid)
		return;
	t = table__get(&lp->by_pid, ev->pid);
	/* A process's sockets are closed a moment after its end: that makes it no new one. */
	if (!t && (ev->kind == WEFT_EV_DATA || ev->kind == WEFT_EV_CONNECT))
		t = add(lp, ev->pid, 0);
	if (t && !t->described)
		describe(lp, t);
}

void live_processes__after(struct live_processes *lp, const struct weft_event *ev)
{
	if (ev->kind == WEFT_EV_EXIT)
		free(table__take(&lp->by_pid, ev->pid));
}

size_t live_processes__count(const struct live_processes *lp)
{
	return lp->by_pid.used;
}

bool live_processes__none_left(const struct live_processes *lp)
{
	return !lp->open_ended && !lp->by_pid.used;
}

static int select_cgroups(struct live_processes *lp, char *why, size_t why_len)
{
	for (size_t i = 0; i < lp->o->n_selectors; i++) {
		const struct selector *s = &lp->o->selectors[i];

		if (s->kind != SELECT_CGROUP)
			continue;
		int fd = targets__open_cgroup(s->text, why, why_len);

		if (fd < 0)
			return fd;
		int err = kernel__select_cgroup(lp->kernel, fd);

		close(fd);
		if (err < 0) {
			snprintf(why, why_len, "can't select cgroup %s: %s", s->text,
				 err == -ENOSPC ? "too many cgroups" : strerror(-err));
			return err;
		}
		lp->open_ended = true;
	}
	return 0;
}

static int find(struct live_processes *lp, char *why, size_t why_len)
{
	free(lp->found);
	lp->found = NULL;
	lp->n_found = 0;
	return targets__resolve(lp->o->selectors, lp->o->n_selectors, lp->o->service_name, getpid(),
				&lp->found, &lp->n_found, why, why_len);
}

int live_processes__find(struct live_processes *lp, char *why, size_t why_len)
{
	return find(lp, why, why_len) < 0 ? EXIT_IMPOSSIBLE : EXIT_DONE;
}

/* Should it end before it can be asked for more. */
static void read_comm(struct traced *t)
{
	char path[32], comm[WEFT_COMM_LEN + 1] = "";

	snprintf(path, sizeof(path), "/proc/%u/comm", t->pid);
	FILE *f = fopen(path, "re");

	if (f && fgets(comm, sizeof(comm), f)) {
		comm[strcspn(comm, "\n")] = '\0';
		memcpy(t->comm, comm, sizeof(t->comm));
	}
	if (f)
		fclose(f);
}

/*
 * Its libraries are attached to first, so that all probes begin at the same moment, the process's
 * selection: answers that are seen while questions are not yet, or the other way round, would be
 * paired wrongly. What it mapped in between is found by looking again.
 */
static void select_one(struct live_processes *lp, pid_t pid)
{
	if (table__get(&lp->by_pid, (uint64_t)pid))
		return;
	probes__look(lp->probes, pid);
	if (kernel__select_pid(lp->kernel, pid) != 0) {
		probes__exit(lp->probes, pid);
		return;
	}
	struct traced *t = add(lp, (uint32_t)pid, 0);

	if (t)
		read_comm(t);
	probes__look(lp->probes, pid);
	if (lp->helpers)
		node_helpers__consider(lp->helpers, pid, false);
}

static void select_found(struct live_processes *lp)
{
	for (size_t i = 0; i < lp->n_found; i++)
		select_one(lp, lp->found[i]);
}

int live_processes__select(struct live_processes *lp, struct kernel *k, struct probes *probes,
			   struct node_helpers *helpers, char *why, size_t why_len)
{
	char again[256];

	lp->kernel = k;
	lp->probes = probes;
	lp->helpers = helpers;
	lp->open_ended = live_processes__watches_exec(lp);
	/* Cgroups first: whoever enters one while the list is being read is caught by an event. */
	if (select_cgroups(lp, why, why_len) < 0)
		return EXIT_IMPOSSIBLE;
	select_found(lp);
	/* Children that were born while their parent was not yet under the filter. */
	if (find(lp, again, sizeof(again)) == 0)
		select_found(lp);
	return EXIT_DONE;
}

static void free_one(void *ctx, uint64_t key, void *value)
{
	(void)ctx;
	(void)key;
	free(value);
}

void live_processes__free(struct live_processes *lp)
{
	if (!lp)
		return;
	table__each(&lp->by_pid, free_one, NULL);
	table__free(&lp->by_pid);
	free(lp->found);
	free(lp);
}
