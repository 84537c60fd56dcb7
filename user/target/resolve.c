// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From selectors to PIDs: a snapshot of all processes and their parents is taken, each selector
 * marks its roots in it, and everybody below a root is selected. weft itself and its ancestors
 * (sudo, the shell) are passed over unless named by PID; what else hangs below such an ancestor is
 * not.
 */
#include "parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct proc {
	pid_t pid, ppid;
	bool kthread;
	bool root;   /* a selector names it */
	bool by_pid; /* by its number */
	bool ours;   /* weft or an ancestor */
	bool read;   /* info is there, or was asked for in vain */
	struct process_info *info;
};

struct snapshot {
	struct proc *v;
	size_t n;
	unsigned parts; /* of process_info that some selector needs */
	unsigned opaque;
};

static int compare_procs(const void *a, const void *b)
{
	pid_t x = ((const struct proc *)a)->pid, y = ((const struct proc *)b)->pid;

	return (x > y) - (x < y);
}

static struct proc *find(const struct snapshot *s, pid_t pid)
{
	struct proc key = { .pid = pid };

	return s->n ? bsearch(&key, s->v, s->n, sizeof(*s->v), compare_procs) : NULL;
}

static bool read_proc(pid_t pid, struct proc *out)
{
	struct proc_stat st = { 0 };
	int dir = procfs__open(pid);

	if (dir < 0)
		return false;
	int err = procfs__stat(dir, &st);

	close(dir);
	*out = (struct proc){ .pid = pid,
			      .ppid = st.ppid,
			      .kthread = !err && (st.flags & PROC_KTHREAD) };
	return !err && st.state != 'Z' && st.state != 'X';
}

static int take_snapshot(struct snapshot *s)
{
	pid_t *pids;
	size_t n;
	int err = procfs__pids(&pids, &n);

	if (err)
		return err;
	s->v = calloc(n ? n : 1, sizeof(*s->v));
	for (size_t i = 0; s->v && i < n; i++)
		if (read_proc(pids[i], &s->v[s->n]))
			s->n++;
	free(pids);
	return s->v ? 0 : -ENOMEM;
}

static void drop_snapshot(struct snapshot *s)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->v[i].info)
			process_info__free(s->v[i].info);
		free(s->v[i].info);
	}
	free(s->v);
}

static void mark_ours(struct snapshot *s, pid_t self)
{
	struct proc *p = find(s, self);

	/*
	 * `ours` ends the walk should parents ever form a ring (the snapshot is not taken in one
	 * instant)
	 */
	for (; p && !p->ours; p = find(s, p->ppid))
		p->ours = true;
}

/* What is known of a process; NULL if it is gone. Read once. */
static const struct process_info *info_of(struct snapshot *s, struct proc *p)
{
	if (!p->read) {
		p->read = true;
		p->info = malloc(sizeof(*p->info));
		if (p->info && process__read(p->pid, NULL, s->parts, p->info) != 0) {
			free(p->info);
			p->info = NULL;
		}
		s->opaque += p->info && p->info->opaque;
	}
	return p->info;
}

/* --exe: a path names a file, whatever links lead to it; a bare name the last part of the path. */
static bool exe_is(const struct process_info *p, const char *text)
{
	struct stat wanted, theirs;
	char path[PATH_MAX];

	if (!p->exe)
		return false;
	if (!strchr(text, '/'))
		return strcmp(path__base(p->exe), text) == 0;
	if (strcmp(p->exe, text) == 0)
		return true;
	snprintf(path, sizeof(path), "%s/%d/exe", procfs__root(), p->pid);
	return stat(text, &wanted) == 0 && stat(path, &theirs) == 0 &&
	       wanted.st_dev == theirs.st_dev && wanted.st_ino == theirs.st_ino;
}

static bool matches(const struct selector *sel, const struct process_info *p)
{
	switch (sel->kind) {
	case SELECT_SERVICE: return p->service && strcmp(p->service, sel->text) == 0;
	case SELECT_EXE: return exe_is(p, sel->text);
	case SELECT_COMM:
		/* the kernel keeps 15 bytes of a name */
		return p->comm && strlen(p->comm) == strnlen(sel->text, 15) &&
		       strncmp(p->comm, sel->text, 15) == 0;
	case SELECT_PORT:
		for (unsigned i = 0; i < p->n_ports; i++)
			if (p->ports[i] == sel->number)
				return true;
		return false;
	case SELECT_PID:
	case SELECT_CGROUP: break;
	}
	return false;
}

bool targets__match(const struct selector *sel, size_t n, const struct process_info *p)
{
	for (size_t i = 0; i < n; i++)
		if (matches(&sel[i], p))
			return true;
	return false;
}

#define SHOWN_MAX 8

struct names {
	const char *v[SHOWN_MAX];
	size_t shown, more;
};

/*
 * Distinct names; those beyond the first few are only counted (a name among them may be counted
 * again: "or more").
 */
static void add_name(struct names *names, const char *name)
{
	for (size_t i = 0; i < names->shown; i++)
		if (strcmp(names->v[i], name) == 0)
			return;
	if (names->shown < SHOWN_MAX)
		names->v[names->shown++] = name;
	else
		names->more++;
}

static void append(char *why, size_t why_len, const char *fmt, const char *arg)
{
	size_t used = strlen(why);

	if (used < why_len)
		snprintf(why + used, why_len - used, fmt, arg);
}

static void say_names(const struct names *names, char *why, size_t why_len)
{
	for (size_t i = 0; i < names->shown; i++) {
		append(why, why_len, "%s", i ? ", " : "; there are: ");
		append(why, why_len, "%s", names->v[i]);
	}
	if (names->more)
		append(why, why_len, "%s", " and others ('weft list -v' shows all)");
}

/*
 * The names that could have been meant; those that somebody gave come before those of mere
 * executables.
 */
static void say_what_there_is(struct snapshot *s, enum selector_kind kind, char *why,
			      size_t why_len)
{
	static const char *const order[] = { "env", "cgroup", "script", "exe" };
	struct names names = { 0 };
	char ports[SHOWN_MAX][8];

	for (size_t o = 0; o < (kind == SELECT_SERVICE ? 4 : 1); o++) {
		for (size_t i = 0; i < s->n; i++) {
			struct proc *p = &s->v[i];
			const struct process_info *info = p->kthread || p->ours ? NULL
										: info_of(s, p);

			if (!info)
				continue;
			if (kind == SELECT_SERVICE && strcmp(info->service_source, order[o]) == 0)
				add_name(&names, info->service);
			else if (kind == SELECT_COMM)
				add_name(&names, info->comm);
			else if (kind == SELECT_EXE && info->exe)
				add_name(&names, info->exe);
			for (unsigned k = 0; kind == SELECT_PORT && k < info->n_ports; k++) {
				char text[8];

				snprintf(text, sizeof(text), "%u", info->ports[k]);
				size_t at = names.shown;

				add_name(&names, text);
				if (names.shown > at)
					names.v[at] = memcpy(ports[at], text, sizeof(text));
			}
		}
	}
	say_names(&names, why, why_len);
	if (s->opaque)
		append(why, why_len, "%s",
		       " (other users' processes can't be looked into without root)");
}

static int select_pid(struct snapshot *s, pid_t pid, char *why, size_t why_len)
{
	struct proc *p = find(s, pid);
	char *status = NULL;
	int tgid = 0;

	if (p && !p->kthread) {
		p->root = p->by_pid = true;
		return 0;
	}
	int dir = procfs__open(pid);

	if (dir >= 0) {
		status = procfs__slurp(dir, "status", 64 << 10, NULL);
		close(dir);
	}
	const char *line = status ? strstr(status, "\nTgid:") : NULL;

	if (p)
		snprintf(why, why_len, "process %d is a thread of the kernel", pid);
	else if (line && sscanf(line + 6, "%d", &tgid) == 1 && tgid != pid)
		snprintf(why, why_len, "%d is a thread of process %d: use -p %d", pid, tgid, tgid);
	else if (line)
		snprintf(why, why_len, "process %d has ended", pid);
	else
		snprintf(why, why_len, "no process %d", pid);
	free(status);
	return -ESRCH;
}

struct members {
	struct snapshot *s;
	size_t n;
};

static void take_member(void *ctx, pid_t pid)
{
	struct members *m = ctx;
	struct proc *p = find(m->s, pid);
	struct proc new;

	if (!p && read_proc(pid, &new)) { /* born since the snapshot */
		struct proc *more = realloc(m->s->v, (m->s->n + 1) * sizeof(*more));

		if (!more)
			return;
		m->s->v = more;
		more[m->s->n++] = new;
		qsort(more, m->s->n, sizeof(*more), compare_procs);
		p = find(m->s, pid);
	}
	if (p && !p->kthread && !p->ours) {
		p->root = true;
		m->n++;
	}
}

static int select_cgroup(struct snapshot *s, const char *path, char *why, size_t why_len)
{
	struct members m = { .s = s };
	int dir = targets__open_cgroup(path, why, why_len);

	if (dir < 0)
		return dir;
	int err = cgroup__each_pid(dir, take_member, &m);

	close(dir);
	if (err)
		snprintf(why, why_len, "--cgroup %s: can't list its processes: %s", path,
			 strerror(-err));
	/* An empty one is as good as any: who enters it is told by the kernel. */
	return err;
}

static int select_matching(struct snapshot *s, const struct selector *sel, char *why,
			   size_t why_len)
{
	size_t found = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct proc *p = &s->v[i];
		const struct process_info *info = p->kthread || p->ours ? NULL : info_of(s, p);

		if (info && matches(sel, info)) {
			p->root = true;
			found++;
		}
	}
	if (found)
		return 0;
	switch (sel->kind) {
	case SELECT_SERVICE:
		snprintf(why, why_len, "no process belongs to service '%s'", sel->text);
		break;
	case SELECT_EXE: snprintf(why, why_len, "no process runs %s", sel->text); break;
	case SELECT_COMM: snprintf(why, why_len, "no process is called '%s'", sel->text); break;
	default: snprintf(why, why_len, "no process listens on TCP port %ld", sel->number); break;
	}
	say_what_there_is(s, sel->kind, why, why_len);
	return -ESRCH;
}

static int select_one(struct snapshot *s, const struct selector *sel, char *why, size_t why_len)
{
	switch (sel->kind) {
	case SELECT_PID: return select_pid(s, (pid_t)sel->number, why, why_len);
	case SELECT_CGROUP: return select_cgroup(s, sel->text, why, why_len);
	default: return select_matching(s, sel, why, why_len);
	}
}

/* Is p below a root? Walks up its parents, at most as many as there are processes. */
static bool below_root(const struct snapshot *s, const struct proc *p)
{
	for (size_t steps = 0; p && steps <= s->n; steps++) {
		if (p->root)
			return true;
		p = find(s, p->ppid);
	}
	return false;
}

static int collect(const struct snapshot *s, pid_t **pids, size_t *n_pids)
{
	pid_t *out = malloc((s->n ? s->n : 1) * sizeof(*out));
	size_t n = 0;

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++) {
		const struct proc *p = &s->v[i];

		if (p->by_pid || (!p->ours && !p->kthread && below_root(s, p)))
			out[n++] = p->pid;
	}
	*pids = out;
	*n_pids = n;
	return 0;
}

int targets__resolve(const struct selector *sel, size_t n, const char *flag_name, pid_t self,
		     pid_t **pids, size_t *n_pids, char *why, size_t why_len)
{
	struct snapshot s = { 0 };
	int err;

	(void)flag_name; /* it names what is selected; it must not decide what is */
	if (why_len)
		why[0] = '\0';
	for (size_t i = 0; i < n; i++)
		if (sel[i].kind == SELECT_PORT)
			s.parts |= PROCESS_PORTS;
	err = take_snapshot(&s);
	if (err)
		snprintf(why, why_len, "can't read %s: %s", procfs__root(), strerror(-err));
	else
		mark_ours(&s, self);
	for (size_t i = 0; i < n && !err; i++)
		err = select_one(&s, &sel[i], why, why_len);
	if (!err)
		err = collect(&s, pids, n_pids);
	if (err == -ENOMEM)
		snprintf(why, why_len, "out of memory");
	drop_snapshot(&s);
	return err;
}
