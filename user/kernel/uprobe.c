// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Uprobes: descriptions and sites. A file's sites are attached by one link each for its return
 * probes, its other exits and its entries where the kernel has such links (6.6, commit 89ae89f53d20
 * "bpf: Add multi uprobe link"), and by a perf event a site where not. Exits come first, so that a
 * function that was seen to begin is also seen to end.
 *
 * libbpf 1.1 knows nothing of the former, nor do its headers, so that link is made by the system
 * call itself.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

/* include/uapi/linux/bpf.h */
#define UPROBE_TRACE_MULTI 48           /* enum bpf_attach_type: BPF_TRACE_UPROBE_MULTI */
#define UPROBE_F_MULTI_RETURN (1U << 0) /* BPF_F_UPROBE_MULTI_RETURN */

struct uprobe_link_attr { /* union bpf_attr.link_create, with its uprobe_multi */
	uint32_t prog_fd;
	uint32_t target_fd;
	uint32_t attach_type;
	uint32_t flags;
	uint64_t path;
	uint64_t offsets;
	uint64_t ref_ctr_offsets;
	uint64_t cookies;
	uint32_t cnt;
	uint32_t multi_flags;
	uint32_t pid;
	uint32_t pad;
};

/* The sites of one file: a descriptor a link. */
struct kernel_uprobes {
	struct kernel_uprobes *next;
	struct kernel *k;
	bool given_back; /* nobody else has it any more */
	size_t n;
	size_t n_units; /* so many of them, the first, tell of units of work */
	size_t keep;    /* on its way out: so many are not closed yet */
	int fds[];
};

/*
 * What is attached together, in this order. What tells of units of work is there before all others,
 * and after them: who does not hear that a unit has ended takes its successor for it.
 */
enum uprobe_group {
	UPROBE_UNIT_RETS,
	UPROBE_UNIT_EXITS,
	UPROBE_UV_ENTRIES,
	UPROBE_UNIT_ENTRIES,
	UPROBE_RETS,
	UPROBE_EXITS,
	UPROBE_ENTRIES,
	UPROBE_GROUPS
};

static unsigned uprobe__what(const struct kernel *k, const struct kernel_site *s)
{
	size_t i = s->cookie & 0xffff;

	return i < k->n_descs ? k->descs[i].what : PROBE_NONE;
}

static enum uprobe_group uprobe__group(const struct kernel *k, const struct kernel_site *s)
{
	unsigned what = uprobe__what(k, s);
	bool unit = what == PROBE_SPAWN || what >= PROBE_GO_SPAWN;

	if (what == PROBE_UV_ENTERS || what == PROBE_UV_QUEUES)
		return UPROBE_UV_ENTRIES;
	if (s->ret)
		return unit ? UPROBE_UNIT_RETS : UPROBE_RETS;
	if ((uint8_t)(s->cookie >> 16) == PROBE_AT_ENTER)
		return unit ? UPROBE_UNIT_ENTRIES : UPROBE_ENTRIES;
	return unit ? UPROBE_UNIT_EXITS : UPROBE_EXITS;
}

static int uprobe__multi(int prog, const char *path, const uint64_t *offsets,
			 const uint64_t *cookies, size_t n, bool ret)
{
	struct uprobe_link_attr attr = {
		.prog_fd = prog,
		.attach_type = UPROBE_TRACE_MULTI,
		.path = (uintptr_t)path,
		.offsets = (uintptr_t)offsets,
		.cookies = (uintptr_t)cookies,
		.cnt = n,
		.multi_flags = ret ? UPROBE_F_MULTI_RETURN : 0,
	};
	int fd = syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));

	return fd < 0 ? -errno : fd;
}

/* A number that the kernel gives in a file of the event source, "config:0" being 0. */
static int uprobe__number(const char *file, const char *format)
{
	char path[80];
	int n = -ENOENT;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/bus/event_source/devices/uprobe/%s", file);
	f = fopen(path, "re");
	if (f && fscanf(f, format, &n) != 1)
		n = -ENOENT;
	if (f)
		fclose(f);
	return n;
}

/* Returns a link; it keeps the perf event. */
static int uprobe__perf(int prog, const char *path, uint64_t offset, uint64_t cookie, bool ret)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .perf_event.bpf_cookie = cookie);
	struct perf_event_attr attr = { .size = sizeof(attr) };
	int type = uprobe__number("type", "%d"),
	    bit = uprobe__number("format/retprobe", "config:%d");
	int pfd, link;

	if (type < 0 || bit < 0)
		return -EOPNOTSUPP;
	attr.type = type;
	attr.config = ret ? 1ULL << bit : 0;
	attr.uprobe_path = (uintptr_t)path;
	attr.probe_offset = offset;
	pfd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (pfd < 0)
		return -errno;
	link = bpf_link_create(prog, pfd, BPF_PERF_EVENT, &opts);
	close(pfd);
	return link;
}

/* A program of two instructions on the first byte of `path`. Returns a link. */
static int uprobe__try_on(const char *path, bool multi)
{
	static const struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	uint64_t zero = 0;
	int prog, link;

	if (multi)
		opts.expected_attach_type = UPROBE_TRACE_MULTI;
	prog = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "weft_probe", "GPL", nothing, 2, &opts);
	if (prog < 0)
		return prog;
	link = multi ? uprobe__multi(prog, path, &zero, &zero, 1, false)
		     : uprobe__perf(prog, path, 0, 0, false);
	close(prog);
	return link;
}

/*
 * Tried for real. The place is the program's own ELF header, which nobody executes: no process is
 * touched.
 */
int uprobe__try(enum kernel_uprobes_way way)
{
	int link = uprobe__try_on("/proc/self/exe", way == KERNEL_UPROBES_MULTI);

	if (link < 0)
		return link;
	close(link);
	return 0;
}

/*
 * Only asked, because to take a uprobe away again costs 50 ms: a kernel that knows the link says
 * that a folder is no file to probe (EBADF), others that there is no such link (EINVAL).
 */
static bool uprobe__known(enum kernel_uprobes_way way)
{
	int link;

	if (way == KERNEL_UPROBES_PERF)
		return uprobe__number("type", "%d") >= 0;
	link = uprobe__try_on("/", true);
	if (link >= 0)
		close(link);
	return link == -EBADF;
}

enum kernel_uprobes_way uprobe__way(enum kernel_uprobes_way wanted)
{
	if (wanted == KERNEL_UPROBES_OFF)
		return KERNEL_UPROBES_OFF;
	if (wanted != KERNEL_UPROBES_PERF && uprobe__known(KERNEL_UPROBES_MULTI))
		return KERNEL_UPROBES_MULTI;
	if (wanted != KERNEL_UPROBES_MULTI && uprobe__known(KERNEL_UPROBES_PERF))
		return KERNEL_UPROBES_PERF;
	return KERNEL_UPROBES_OFF;
}

enum kernel_uprobes_way kernel__uprobes_way(const struct kernel *k)
{
	return k->uprobes_way;
}

void uprobe__prepare(struct kernel *k)
{
	static const char *const progs[] = { UPROBE_ENTER, UPROBE_EXIT, UPROBE_SPAWN, UPROBE_UV };

	for (size_t i = 0; i < sizeof(progs) / sizeof(progs[0]); i++) {
		struct bpf_program *p = bpf_object__find_program_by_name(k->obj, progs[i]);

		if (k->uprobes_way == KERNEL_UPROBES_OFF)
			bpf_program__set_autoload(p, false);
		else if (k->uprobes_way == KERNEL_UPROBES_MULTI)
			bpf_program__set_expected_attach_type(p, UPROBE_TRACE_MULTI);
	}
}

int kernel__describe_probe(struct kernel *k, const struct probe_desc *d)
{
	uint32_t i;
	int err;

	for (i = 0; i < k->n_descs; i++)
		if (!memcmp(&k->descs[i], d, sizeof(*d)))
			return i;
	if (i == PROBE_DESCS_MAX)
		return -ENOSPC;
	err = bpf_map_update_elem(k->map.probe_descs, &i, d, BPF_ANY);
	if (err)
		return err;
	k->descs[k->n_descs++] = *d;
	return i;
}

int kernel__go_start(struct kernel *k, uint32_t file, int32_t distance, bool there)
{
	struct go_start_key key = { .file = file, .distance = distance };
	uint8_t yes = 1;

	return there ? bpf_map_update_elem(k->map.go_starts, &key, &yes, BPF_ANY)
		     : bpf_map_delete_elem(k->map.go_starts, &key);
}

/* An attachment on its way. */
struct uprobe_work {
	const char *path;
	const struct kernel_site *sites;
	size_t n;
	int *errs;
	struct kernel_uprobes *u;
	uint64_t *offsets, *cookies; /* room for n each */
	size_t done;
};

static int uprobe__prog(const struct kernel *k, enum uprobe_group group)
{
	static const char *const progs[UPROBE_GROUPS] = {
		[UPROBE_UNIT_RETS] = UPROBE_SPAWN, [UPROBE_UNIT_EXITS] = UPROBE_SPAWN,
		[UPROBE_UV_ENTRIES] = UPROBE_UV,   [UPROBE_UNIT_ENTRIES] = UPROBE_ENTER,
		[UPROBE_RETS] = UPROBE_EXIT,       [UPROBE_EXITS] = UPROBE_EXIT,
		[UPROBE_ENTRIES] = UPROBE_ENTER,
	};

	return programs__fd(k, progs[group]);
}

/* All sites of a group by one link. */
static bool uprobe__attach_group(struct kernel *k, struct uprobe_work *w, enum uprobe_group group)
{
	size_t n = 0;
	int fd;

	for (size_t i = 0; i < w->n; i++) {
		if (uprobe__group(k, &w->sites[i]) != group)
			continue;
		w->offsets[n] = w->sites[i].offset;
		w->cookies[n++] = w->sites[i].cookie;
	}
	if (!n)
		return true;
	fd = uprobe__multi(uprobe__prog(k, group), w->path, w->offsets, w->cookies, n,
			   group == UPROBE_RETS || group == UPROBE_UNIT_RETS);
	if (fd < 0)
		return false;
	w->u->fds[w->u->n++] = fd;
	w->done += n;
	return true;
}

/* Each by itself: one that the kernel refuses takes no other with it. */
static void uprobe__attach_each(struct kernel *k, struct uprobe_work *w, enum uprobe_group group)
{
	int prog = uprobe__prog(k, group), fd;

	for (size_t i = 0; i < w->n; i++) {
		const struct kernel_site *s = &w->sites[i];

		if (uprobe__group(k, s) != group)
			continue;
		fd = k->uprobes_way == KERNEL_UPROBES_MULTI
			     ? uprobe__multi(prog, w->path, &s->offset, &s->cookie, 1, s->ret)
			     : uprobe__perf(prog, w->path, s->offset, s->cookie, s->ret);
		if (fd < 0) {
			w->errs[i] = fd;
			continue;
		}
		w->u->fds[w->u->n++] = fd;
		w->done++;
	}
}

int kernel__attach_uprobes(struct kernel *k, const char *path, const struct kernel_site *sites,
			   size_t n, int *errs, struct kernel_uprobes **out)
{
	struct uprobe_work w = { .path = path, .sites = sites, .n = n, .errs = errs };

	*out = NULL;
	for (size_t i = 0; i < n; i++)
		errs[i] = k->uprobes_way == KERNEL_UPROBES_OFF ? -EOPNOTSUPP : 0;
	if (k->uprobes_way == KERNEL_UPROBES_OFF)
		return -EOPNOTSUPP;
	w.u = calloc(1, sizeof(*w.u) + (n + UPROBE_GROUPS) * sizeof(w.u->fds[0]));
	w.offsets = calloc(2 * n + 1, sizeof(*w.offsets));
	if (!w.u || !w.offsets) {
		free(w.u);
		free(w.offsets);
		return -ENOMEM;
	}
	w.cookies = w.offsets + n;
	for (int g = 0; g < UPROBE_GROUPS; g++) {
		if (k->uprobes_way != KERNEL_UPROBES_MULTI || !uprobe__attach_group(k, &w, g))
			uprobe__attach_each(k, &w, g);
		if (g == UPROBE_UNIT_ENTRIES)
			w.u->n_units = w.u->n;
	}
	free(w.offsets);
	if (!w.u->n) {
		free(w.u);
		return 0;
	}
	w.u->next = k->uprobes;
	k->uprobes = *out = w.u;
	return w.done;
}

static void uprobe__close(struct kernel_uprobes *u)
{
	/* entries first: what begins now is not seen at all */
	while (u->n > u->keep)
		close(u->fds[--u->n]);
}

static pthread_mutex_t closing_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t closing_less = PTHREAD_COND_INITIALIZER;

static void *uprobe__closer(void *arg)
{
	struct kernel_uprobes *u = arg;
	struct kernel *k = u->k;

	uprobe__close(u);
	if (u->given_back)
		free(u);
	pthread_mutex_lock(&closing_lock);
	k->closing--;
	pthread_cond_signal(&closing_less);
	pthread_mutex_unlock(&closing_lock);
	return NULL;
}

/*
 * The kernel takes 50 to 300 ms to be sure that nobody is in a probe any more. The ring's reader
 * does not wait for that.
 */
static void uprobe__close_aside(struct kernel *k, struct kernel_uprobes *u)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_mutex_lock(&closing_lock);
	k->closing++;
	pthread_mutex_unlock(&closing_lock);
	u->k = k;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&thread, &attr, uprobe__closer, u);
	pthread_attr_destroy(&attr);
	if (err)
		uprobe__closer(u);
}

void kernel__detach_uprobes(struct kernel *k, struct kernel_uprobes *u)
{
	struct kernel_uprobes **at = &k->uprobes;

	if (!u)
		return;
	while (*at && *at != u)
		at = &(*at)->next;
	if (*at)
		*at = u->next;
	u->given_back = true;
	uprobe__close_aside(k, u);
}

void uprobe__detach_all(struct kernel *k, bool units)
{
	for (struct kernel_uprobes *u = k->uprobes, *next; u; u = next) {
		next = u->next;
		u->keep = units ? 0 : u->n_units;
		if (u->n > u->keep)
			uprobe__close_aside(k, u);
	}
	pthread_mutex_lock(&closing_lock);
	while (k->closing)
		pthread_cond_wait(&closing_less, &closing_lock);
	pthread_mutex_unlock(&closing_lock);
}
