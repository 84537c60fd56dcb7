// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which files the traced processes have mapped, and which of these are attached to.
 *
 * A mapping is a file as /proc/PID/maps shows it; it is opened and looked into once, and remembered
 * also if there is nothing in it for us, so that the fiftieth process with the same libraries costs
 * a reading of its maps and nothing else. Two mappings can be one file (hard links, mounts,
 * overlays): a uprobe sits on the inode, so they share one struct lib_file.
 *
 * What no process maps any more is kept for a while (LINGER_NS), and is seen to be the same file
 * before it is used again, since inode numbers are.
 */
#include "probe.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/list.h"
#include "../lib/log.h"
#include "../lib/table.h"
#include "lib_file.h"
#include "place_code.h"
#include "units.h"

#define LINGER_NS (5ull * 1000000000)
#define UNUSED_MAX 1024
#define UNSURE_NS (300ull * 1000000000) /* after that, it is not for the others to pay */
#define CONTENT_NS (2ull * 1000000000)  /* others may be joined yet */
/*
 * Tens of thousands of mappings take a tenth of a second to read, in which the ring is not. A
 * process that has so many, and maps known files again and again, is looked at for a tenth of the
 * time.
 */
#define COSTLY_NS (5ull * 1000000)
#define REST_TIMES 10

struct mapping {
	struct list unused; /* where refs is 0: in p->unused, the longest unused first */
	uint64_t key;
	uint64_t since; /* unused, CLOCK_BOOTTIME ns */
	struct map_identity id;
	struct lib_file *file; /* NULL: nothing for us in it */
	unsigned refs;         /* processes */
};

/*
 * Ciphertext in the libraries' own buffers. A session's first records are gone by the time it is
 * known to need them, so they are watched until a process was seen to do without.
 */
enum cipher { CIPHER_UNSURE, CIPHER_WATCHED, CIPHER_UNWATCHED };

struct process {
	pid_t pid;
	struct mapping **maps;
	size_t n, size;
	enum cipher cipher;
	uint64_t seen;      /* when it was first looked at, CLOCK_BOOTTIME ns */
	struct units units; /* its runtime */
	bool uvloop;        /* its files are watched for that */
	bool fields;        /* ... for header fields, ... */
	unsigned wanting;   /* ... of so many connections; if none, since: */
	uint64_t content;   /* CLOCK_BOOTTIME ns */
	bool changed;       /* to be looked at */
	uint64_t since;     /* ... because of something that happened then */
	uint64_t rest;      /* but not before, CLOCK_BOOTTIME ns */
};

struct probes {
	struct kernel *kernel;
	uint64_t wanted;
	struct table mappings;  /* struct mapping by key */
	struct table processes; /* struct process by PID */
	struct list files;      /* struct lib_file */
	struct list unused;
	size_t n_unused;
	pid_t *changed; /* PIDs of processes that are, or were, changed */
	size_t n_changed, changed_size;
	bool ending;
	uint64_t now; /* in probes__tick() */
};

/* A process being looked at. */
struct look {
	struct probes *p;
	struct process *process;
	struct mapping **maps;
	size_t n, size;
	struct units units;
	bool uvloop; /* it is among them */
	bool found;  /* what had not been known before */
	char exe[PATH_MAX];
	char root[32];
	bool no_memory;
};

struct probes *probes__new(struct kernel *k, uint64_t wanted)
{
	struct probes *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->kernel = k;
	p->wanted = wanted;
	list__init(&p->files);
	list__init(&p->unused);
	return p;
}

static void drop_file(struct probes *p, struct lib_file *f)
{
	if (!f || --f->refs)
		return;
	if (f->always.attached && !p->ending)
		log_debug("detached from %s: no traced process has it mapped", f->path);
	list__remove(&f->all);
	lib_file__free(p->kernel, f);
}

static void forget_mapping(struct probes *p, struct mapping *m)
{
	table__take(&p->mappings, m->key);
	list__remove(&m->unused);
	p->n_unused--;
	drop_file(p, m->file);
	free(m);
}

static void watch_cipher(struct probes *p, struct lib_file *f)
{
	if (f && !f->wanting++ && f->ready)
		lib_file__attach(p->kernel, f, &f->demand);
}

static void unwatch_cipher(struct probes *p, struct lib_file *f)
{
	if (f && !--f->wanting)
		lib_file__detach(p->kernel, &f->demand);
}

/* A process with uvloop has these, or has them no more. */
static void watch_uvloop(struct probes *p, struct mapping **maps, size_t n, bool watch)
{
	for (size_t i = 0; i < n; i++) {
		struct lib_file *f = maps[i]->file;

		if (f && watch && !f->uvloops++ && f->ready)
			lib_file__attach(p->kernel, f, &f->uvloop);
		else if (f && !watch && !--f->uvloops)
			lib_file__detach(p->kernel, &f->uvloop);
	}
}

/* Header fields of a process are wanted, or not any more. */
static void watch_fields(struct probes *p, struct mapping **maps, size_t n, bool watch)
{
	for (size_t i = 0; i < n; i++) {
		struct lib_file *f = maps[i]->file;

		if (f && watch && !f->fielded++ && f->ready)
			lib_file__attach(p->kernel, f, &f->fields);
		else if (f && !watch && !--f->fielded)
			lib_file__detach(p->kernel, &f->fields);
	}
}

/* The process has it mapped. */
static void hold(struct probes *p, struct process *pr, struct mapping *m)
{
	if (!m->refs++) {
		list__remove(&m->unused);
		p->n_unused--;
	}
	if (pr->cipher != CIPHER_UNWATCHED)
		watch_cipher(p, m->file);
}

static void let_go(struct probes *p, struct process *pr, struct mapping *m)
{
	if (pr->cipher != CIPHER_UNWATCHED)
		unwatch_cipher(p, m->file);
	if (--m->refs)
		return;
	m->since = clock__boottime();
	list__append(&p->unused, &m->unused);
	p->n_unused++;
}

static struct lib_file *find_file(struct probes *p, const struct map_identity *id)
{
	LIST_EACH (it, tmp, &p->files) {
		struct lib_file *f = LIST_OF(it, struct lib_file, all);

		if (memcmp(&f->id, id, sizeof(*id)) == 0)
			return f;
	}
	return NULL;
}

/* A file that no mapping led to so far. Takes fd. */
static struct lib_file *load_file(struct look *l, const struct map_file *mf, int fd,
				  const struct map_identity *id)
{
	struct probes *p = l->p;
	struct lib_file *f;

	if (lib_file__load(p->kernel, fd, mf->path, p->wanted, strcmp(mf->path, l->exe) == 0,
			   l->root, &f) < 0)
		l->no_memory = true;
	if (!f)
		return NULL;
	f->id = *id;
	list__append(&p->files, &f->all);
	return f;
}

static void attach_file(struct probes *p, const struct process *pr, struct lib_file *f)
{
	lib_file__attach(p->kernel, f, &f->always);
	if (pr->since && f->always.attached)
		log_info("attached to %s of pid %d %.1f ms after it was mapped", f->path, pr->pid,
			 (double)(int64_t)(f->attached_at - pr->since) / 1e6);
	else if (f->always.attached)
		log_debug("attached to %s of pid %d", f->path, pr->pid);
	if (f->wanting)
		lib_file__attach(p->kernel, f, &f->demand);
	if (f->uvloops)
		lib_file__attach(p->kernel, f, &f->uvloop);
	if (f->fielded)
		lib_file__attach(p->kernel, f, &f->fields);
	lib_file__complain(f, pr->pid);
	f->ready = true;
}

/*
 * What was found for the first time. Attaching takes the kernel some milliseconds a file, while
 * the process runs on: in the table's order, the most used first.
 */
static void attach_new(struct probes *p, const struct process *pr)
{
	for (size_t i = 0; probe_table[i]; i++)
		LIST_EACH (it, tmp, &p->files) {
			struct lib_file *f = LIST_OF(it, struct lib_file, all);

			if (!f->ready && f->lib == probe_table[i])
				attach_file(p, pr, f);
		}
}

/* Opens what is mapped: negative errno, or a descriptor and the file's identity. */
static int identify(const struct look *l, const struct map_file *mf, struct map_identity *id)
{
	int fd = maps__open(l->process->pid, mf);
	int err = fd < 0 ? fd : maps__identity(fd, id);

	if (fd >= 0 && err < 0) {
		close(fd);
		return err;
	}
	return fd;
}

static struct mapping *new_mapping(struct look *l, const struct map_file *mf, uint64_t key)
{
	struct mapping *m = calloc(1, sizeof(*m));
	struct probes *p = l->p;
	int fd = -1;

	if (!m || (fd = identify(l, mf, &m->id)) < 0) {
		if (fd < 0 && fd != -ESRCH)
			log_debug("%s of pid %d can't be looked into: %s", mf->path,
				  l->process->pid, strerror(m ? -fd : ENOMEM));
		free(m);
		return NULL;
	}
	m->key = key;
	m->file = find_file(p, &m->id);
	if (m->file)
		close(fd);
	else
		m->file = load_file(l, mf, fd, &m->id);
	if (m->file)
		m->file->refs++;
	list__init(&m->unused);
	list__append(&p->unused, &m->unused);
	p->n_unused++;
	if (!table__put(&p->mappings, key, m)) {
		l->no_memory = true;
		forget_mapping(p, m);
		return NULL;
	}
	l->found = true;
	return m;
}

static uint64_t key_of(const struct map_file *mf)
{
	uint64_t key = table__mix(table__mix(mf->dev, mf->ino), mf->end - mf->start);

	key = table__mix(key, mf->offset);
	for (const char *s = mf->path; *s; s++)
		key = (key ^ (unsigned char)*s) * 0x100000001b3ull;
	return key;
}

/* One that no process has now is good only if it still is the same file. */
static struct mapping *known_mapping(struct look *l, const struct map_file *mf, uint64_t key)
{
	struct mapping *m = table__get(&l->p->mappings, key);
	struct map_identity id;

	if (!m || m->refs)
		return m;
	int fd = identify(l, mf, &id);

	if (fd >= 0)
		close(fd);
	if (fd >= 0 && memcmp(&id, &m->id, sizeof(id)) == 0)
		return m;
	forget_mapping(l->p, m);
	return NULL;
}

static bool see_mapping(void *ctx, const struct map_file *mf)
{
	struct look *l = ctx;
	uint64_t key = key_of(mf);
	struct mapping *m = known_mapping(l, mf, key);

	l->uvloop |= python__is_uvloop(mf->path);
	if (!m)
		m = new_mapping(l, mf, key);
	if (l->no_memory)
		return false;
	if (!m)
		return true;
	if (l->n == l->size) {
		size_t size = l->size ? 2 * l->size : 64;
		struct mapping **more = realloc(l->maps, size * sizeof(*more));

		if (!more) {
			l->no_memory = true;
			return false;
		}
		l->maps = more;
		l->size = size;
	}
	hold(l->p, l->process, m);
	l->maps[l->n++] = m;
	if (m->file && m->file->python.state)
		units__python(&l->units, &m->file->python, mf->start - mf->offset);
	return true;
}

static void let_all_go(struct probes *p, struct process *pr)
{
	if (pr->uvloop)
		watch_uvloop(p, pr->maps, pr->n, false);
	if (pr->fields)
		watch_fields(p, pr->maps, pr->n, false);
	pr->uvloop = pr->fields = false;
	for (size_t i = 0; i < pr->n; i++)
		let_go(p, pr, pr->maps[i]);
	free(pr->maps);
	pr->maps = NULL;
	pr->n = pr->size = 0;
}

static void look_at(struct probes *p, struct process *pr)
{
	struct look l = { .p = p, .process = pr };
	uint64_t began = clock__thread_cpu(), spent;
	char link[32];

	snprintf(l.root, sizeof(l.root), "/proc/%d/root", pr->pid);
	snprintf(link, sizeof(link), "/proc/%d/exe", pr->pid);
	ssize_t n = readlink(link, l.exe, sizeof(l.exe) - 1);

	l.exe[n > 0 ? n : 0] = '\0';
	if (n > 10 && strcmp(l.exe + n - 10, " (deleted)") == 0)
		l.exe[n - 10] = '\0';
	int err = maps__each(pr->pid, see_mapping, &l);

	if (l.no_memory)
		log_warn("out of memory: libraries of pid %d are not watched", pr->pid);
	else if (err < 0 && err != -ESRCH)
		log_warn("libraries of pid %d are not watched: its maps can't be read: %s", pr->pid,
			 strerror(-err));
	if (l.uvloop)
		watch_uvloop(p, l.maps, l.n, true);
	bool fields = pr->fields || pr->wanting;

	if (fields)
		watch_fields(p, l.maps, l.n, true);
	attach_new(p, pr);
	/* What it has is held before what it had is let go. */
	let_all_go(p, pr);
	pr->maps = l.maps;
	pr->n = l.n;
	pr->size = l.size;
	pr->uvloop = l.units.uvloop = l.uvloop;
	pr->fields = fields;
	for (size_t i = 0; i < pr->n; i++)
		if (pr->maps[i]->file && lib_file__tells_goroutines(pr->maps[i]->file))
			units__go(&l.units);
	units__has(&pr->units, &l.units);
	uint64_t now = clock__boottime();

	units__try(&pr->units, p->kernel, pr->pid, now);
	pr->changed = false;
	pr->since = 0;
	spent = clock__thread_cpu() - began;
	pr->rest = !l.found && spent > COSTLY_NS ? now + REST_TIMES * spent : 0;
}

static struct process *get_process(struct probes *p, pid_t pid)
{
	struct process *pr = table__get(&p->processes, (uint64_t)pid);

	if (pr)
		return pr;
	pr = calloc(1, sizeof(*pr));
	if (pr) {
		pr->pid = pid;
		pr->seen = clock__boottime();
	}
	if (pr && table__put(&p->processes, (uint64_t)pid, pr))
		return pr;
	free(pr);
	log_warn("out of memory: libraries of pid %d are not watched", pid);
	return NULL;
}

void probes__look(struct probes *p, pid_t pid)
{
	struct process *pr = p->wanted ? get_process(p, pid) : NULL;

	if (pr)
		look_at(p, pr);
}

void probes__mapped(struct probes *p, pid_t pid, uint64_t ts, bool exec)
{
	struct process *pr = p->wanted ? get_process(p, pid) : NULL;

	if (!pr)
		return;
	if (exec) {
		let_all_go(p, pr);
		pr->cipher = CIPHER_UNSURE;
		pr->units = (struct units){ 0 };
		pr->seen = ts;
		pr->since = pr->rest = 0;
	}
	if (!pr->since)
		pr->since = ts;
	if (pr->changed)
		return;
	if (p->n_changed == p->changed_size) {
		size_t size = p->changed_size ? 2 * p->changed_size : 32;
		pid_t *more = realloc(p->changed, size * sizeof(*more));

		if (!more) {
			look_at(p, pr);
			return;
		}
		p->changed = more;
		p->changed_size = size;
	}
	p->changed[p->n_changed++] = pid;
	pr->changed = true;
}

void probes__settle(struct probes *p)
{
	size_t n = p->n_changed, resting = 0;
	uint64_t now = n ? clock__boottime() : 0;

	for (size_t i = 0; i < n; i++) {
		pid_t pid = p->changed[i];
		struct process *pr = table__get(&p->processes, (uint64_t)pid);

		if (!pr || !pr->changed)
			continue;
		if (now < pr->rest)
			p->changed[resting++] = pid;
		else
			look_at(p, pr);
	}
	p->n_changed = resting;
}

void probes__fork(struct probes *p, pid_t parent, pid_t child)
{
	struct process *from = table__get(&p->processes, (uint64_t)parent), *to;

	if (!from) {
		probes__look(p, child);
		return;
	}
	/* The number is used again, and its last owner's end was lost. */
	probes__exit(p, child);
	to = get_process(p, child);
	if (!to)
		return;
	to->cipher = from->cipher;
	to->rest = from->rest;
	units__has(&to->units, &from->units);
	to->maps = from->n ? calloc(from->n, sizeof(*to->maps)) : NULL;
	to->size = to->maps ? from->n : 0;
	for (; to->n < to->size; to->n++) {
		to->maps[to->n] = from->maps[to->n];
		hold(p, to, to->maps[to->n]);
	}
	to->uvloop = from->uvloop;
	if (to->uvloop)
		watch_uvloop(p, to->maps, to->n, true);
	if (from->changed)
		probes__mapped(p, child, from->since, false);
}

void probes__exit(struct probes *p, pid_t pid)
{
	struct process *pr = table__take(&p->processes, (uint64_t)pid);

	if (!pr)
		return;
	let_all_go(p, pr);
	free(pr);
}

static void set_cipher(struct probes *p, struct process *pr, enum cipher cipher)
{
	bool was = pr->cipher != CIPHER_UNWATCHED, is = cipher != CIPHER_UNWATCHED;

	pr->cipher = cipher;
	for (size_t i = 0; was != is && i < pr->n; i++)
		if (is)
			watch_cipher(p, pr->maps[i]->file);
		else
			unwatch_cipher(p, pr->maps[i]->file);
}

void probes__want_cipher(struct probes *p, pid_t pid, bool want)
{
	struct process *pr = table__get(&p->processes, (uint64_t)pid);
	enum cipher cipher = want ? CIPHER_WATCHED : CIPHER_UNWATCHED;

	if (!pr || pr->cipher == cipher || (!want && pr->cipher == CIPHER_WATCHED))
		return;
	set_cipher(p, pr, cipher);
	log_debug("TLS records inside pid %d are %s", pid,
		  want ? "needed" : "not needed: its library uses the socket by itself");
}

void probes__want_fields(struct probes *p, pid_t pid, bool more)
{
	struct process *pr = p->wanted ? table__get(&p->processes, (uint64_t)pid) : NULL;

	if (!pr || (!more && !pr->wanting))
		return;
	pr->wanting += more ? 1 : -1U;
	pr->content = clock__boottime();
	if (!more || pr->fields)
		return;
	watch_fields(p, pr->maps, pr->n, true);
	pr->fields = true;
	log_debug("header fields of pid %d are wanted: HTTP/2 that was joined in its middle", pid);
}

void probes__active(struct probes *p, pid_t pid, uint64_t ts)
{
	struct process *pr = p->wanted ? table__get(&p->processes, (uint64_t)pid) : NULL;

	if (pr)
		units__try(&pr->units, p->kernel, pid, ts);
}

static void be_sure(void *ctx, uint64_t key, void *value)
{
	struct probes *p = ctx;
	struct process *pr = value;

	(void)key;
	units__try(&pr->units, p->kernel, pr->pid, p->now);
	if (pr->cipher == CIPHER_UNSURE && p->now > pr->seen + UNSURE_NS)
		set_cipher(p, pr, CIPHER_UNWATCHED);
	if (pr->fields && !pr->wanting && p->now > pr->content + CONTENT_NS) {
		watch_fields(p, pr->maps, pr->n, false);
		pr->fields = false;
		log_debug("header fields of pid %d are not wanted any more", pr->pid);
	}
}

bool probes__tick(struct probes *p, uint64_t now)
{
	p->now = now;
	table__each(&p->processes, be_sure, p);
	LIST_EACH (it, tmp, &p->unused) {
		struct mapping *m = LIST_OF(it, struct mapping, unused);

		if ((m->file && now - m->since >= LINGER_NS && now > m->since) ||
		    p->n_unused > UNUSED_MAX)
			forget_mapping(p, m);
	}
	return place_code__rest();
}

struct probes_count probes__count(const struct probes *p)
{
	struct probes_count c = { 0 };

	LIST_EACH (it, tmp, &p->files) {
		const struct lib_file *f = LIST_OF(it, struct lib_file, all);

		c.files += f->always.attached || f->demand.attached || f->fields.attached;
		for (size_t i = 0; i < f->n_funcs; i++)
			c.functions += f->funcs[i].attached;
	}
	return c;
}

static void report_file(const struct lib_file *f, void (*fn)(void *, const struct probe_report *),
			void *ctx)
{
	struct probe_report r = {
		.library = f->lib->title,
		.path = f->path,
		.build_id = f->build_id,
		.attached = f->always.attached || f->demand.attached || f->fields.attached,
		.on_demand = !f->always.n && !f->why[0],
		.place = "",
		.why = f->why,
	};

	fn(ctx, &r);
	for (size_t i = 0; i < f->n_funcs; i++) {
		const struct file_func *func = &f->funcs[i];

		r.library = func->lib->title;
		r.symbol = func->func->symbol;
		r.attached = func->attached;
		r.on_demand = func->func->on_demand || func->func->uvloop || func->func->fields;
		r.offset = func->entry;
		r.place = func->place;
		r.why = func->why;
		fn(ctx, &r);
	}
}

void probes__report(const struct probes *p, pid_t pid,
		    void (*fn)(void *ctx, const struct probe_report *r), void *ctx)
{
	const struct process *pr = table__get(&p->processes, (uint64_t)pid);

	for (size_t i = 0; pr && i < pr->n; i++) {
		bool seen = !pr->maps[i]->file;

		for (size_t k = 0; k < i && !seen; k++)
			seen = pr->maps[k]->file == pr->maps[i]->file;
		if (!seen)
			report_file(pr->maps[i]->file, fn, ctx);
	}
}

static void free_process(void *ctx, uint64_t key, void *value)
{
	struct process *pr = value;

	(void)key;
	let_all_go(ctx, pr);
	free(pr);
}

void probes__free(struct probes *p)
{
	if (!p)
		return;
	p->ending = true;
	table__each(&p->processes, free_process, p);
	LIST_EACH (it, tmp, &p->unused)
		forget_mapping(p, LIST_OF(it, struct mapping, unused));
	table__free(&p->processes);
	table__free(&p->mappings);
	free(p->changed);
	free(p);
}
