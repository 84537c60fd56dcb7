/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kernel/: what this kernel can do, loading and attaching the programs of bpf/, the filter, the
 * capture policies written back.
 *
 * In:  a const struct kernel_config (from cli/), processes and cgroups to select (from target/).
 * Out: a loaded and attached program set and a ring buffer that source/ring.c reads.
 * Owner: the caller of kernel__open() owns struct kernel and frees it with kernel__close(), which
 *        detaches all. Nothing is pinned: if weft dies, the kernel removes every program and map by
 *        itself.
 */
#ifndef WEFT_KERNEL_H
#define WEFT_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../bpf/event.h"

/* The interchangeable ways of seeing socket calls. */
enum kernel_backend {
	KERNEL_BACKEND_AUTO = 0, /* the first that works of: fentry, syscall, kprobe, tracepoint */
	KERNEL_BACKEND_FENTRY,   /* fentry/fexit on the socket operations */
	KERNEL_BACKEND_KPROBE,   /* kprobe/kretprobe on the same functions */
	KERNEL_BACKEND_SYSCALL,  /* tp_btf/sys_exit alone */
	KERNEL_BACKEND_TRACEPOINT, /* classic syscalls:sys_exit_* tracepoints, behind tp_btf */
	KERNEL_BACKEND_MAX,
};

/* "auto", "fentry", "kprobe", "syscall", "tracepoint"; NULL for an unknown number. */
const char *kernel__backend_name(enum kernel_backend backend);
/* The reverse; -EINVAL for an unknown name. */
int kernel__backend_parse(const char *name);

/* How uprobes are attached. */
enum kernel_uprobes_way {
	KERNEL_UPROBES_AUTO = 0, /* the best that works here */
	KERNEL_UPROBES_MULTI,    /* one link for many (Linux 6.6) */
	KERNEL_UPROBES_PERF,     /* a perf event each */
	KERNEL_UPROBES_OFF,      /* none: their programs are not even loaded */
};

struct kernel_config {
	enum kernel_backend backend;
	size_t ring_bytes;          /* rounded up to a power of two of at least one page */
	uint32_t max_conns;         /* size of the connection table */
	struct weft_policy initial; /* policy of a connection until user space wrote another */
	bool verbose;               /* libbpf's own log to stderr */
	/* WEFT_EV_STRANGER for programs that unselected processes begin to run */
	bool watch_exec;
	/* ask for bpf_stats (kernel time of our programs); may be refused */
	bool stats;
	enum kernel_uprobes_way uprobes;
	/* send and receive trace context in a TCP option; if that can't be, nothing is opened */
	bool propagate_tcp;
	bool node_helper; /* what kernel__await_announcement() and kernel__signal() need */
};

struct kernel;

/*
 * Open, load and attach. Nobody is selected yet. On success *out is the caller's. Returns 0, or a
 * negative errno with one line in `why` (what, why, what the user can do) that the caller logs.
 * -EPERM: privileges missing; -EOPNOTSUPP: this kernel can't (or not with the forced back end).
 */
int kernel__open(const struct kernel_config *cfg, struct kernel **out, char *why, size_t why_len);
/*
 * Detach every program: no event is made after this returned. Ring, maps and statistics stay
 * readable.
 */
void kernel__detach(struct kernel *k);
void kernel__close(struct kernel *k);

/* Which back end is attached. */
enum kernel_backend kernel__backend(const struct kernel *k);

/*
 * Put a running process (pid of its leader, in our PID namespace) under the filter; its later
 * children follow by themselves. Goes through a pidfd, so that a reused PID can't be hit by
 * mistake. -ESRCH: no such process.
 */
int kernel__select_pid(struct kernel *k, pid_t pid);

/*
 * Say what the runtime of a selected process is, and where its units of work are found; its later
 * children have it by themselves, and another program that it runs has none. -ENOENT: it is not
 * selected (any more).
 */
struct runtime;
int kernel__set_runtime(struct kernel *k, pid_t pid, const struct runtime *runtime);

/*
 * Select what enters this cgroup v2 (an open directory fd of it) or a descendant from now on: fork
 * into it, migration, exec. Processes already in it are the caller's to select by PID. At most
 * KERNEL_CGROUPS_MAX cgroups: -ENOSPC.
 */
#define KERNEL_CGROUPS_MAX 16
int kernel__select_cgroup(struct kernel *k, int cgroup_fd);

/*
 * Write capture policies back; entries whose socket is gone are skipped. Returns how many were set,
 * or negative errno.
 */
int kernel__set_policies(struct kernel *k, const struct weft_policy_entry *e, size_t n);

/*
 * Forget a connection that user space knows to be dead (a Unix socket on a system-call back end).
 */
int kernel__forget_conn(struct kernel *k, uint64_t sock, uint64_t conn);

/*
 * Housekeeping, to be called about once a second: sends CLOSE for sockets whose end no program sees
 * (Unix sockets on a system-call back end, MPTCP; looked for every fourth time as long as there are
 * none), and detaches what was only needed for calls that
 * were under way when a process was selected. Returns how many connections were found to be gone,
 * or negative errno.
 */
int kernel__tick(struct kernel *k);

/*
 * For probe/node_helper.c, which calls these from a thread of its own; one process at a time.
 *
 * kernel__await_announcement(): the process's main thread will write to NODE_ANNOUNCE_FD what begins
 * with this key (NODE_KEY_LEN bytes); until then, what it serves on `port` is weft's own business and
 * not traced. kernel__announced(): where that lay in its memory; 0: it has
 * not yet. kernel__stop_awaiting() when it has, or nobody waits any more.
 * kernel__signal(): what the process does with SIGUSR1. 0, or -ESRCH, -EOPNOTSUPP (this kernel or
 * back end can't say), another negative errno.
 */
struct signal_action;
int kernel__await_announcement(struct kernel *k, pid_t pid, uint16_t port, const uint8_t *key);
uint64_t kernel__announced(struct kernel *k);
void kernel__stop_awaiting(struct kernel *k);
int kernel__signal(struct kernel *k, pid_t pid, struct signal_action *out);

/*
 * Uprobes. A description (struct probe_desc of bpf/types.bpf.h) says once what a function is; sites
 * are the instructions at which it is watched.
 */
struct probe_desc;

struct kernel_site {
	uint64_t offset; /* of the instruction in the file */
	uint64_t cookie; /* PROBE_COOKIE() */
	bool ret;        /* a return probe: offset is the function's first instruction */
};

/*
 * How they are attached: KERNEL_UPROBES_OFF if the kernel can't, or was not asked to; then
 * kernel__attach_uprobes() fails with -EOPNOTSUPP.
 */
enum kernel_uprobes_way kernel__uprobes_way(const struct kernel *k);

/* Returns the description's index, the same for equal ones; -ENOSPC, or another negative errno. */
int kernel__describe_probe(struct kernel *k, const struct probe_desc *d);

/*
 * Go: goroutines that begin with the function that lies at `distance` bytes from a site of
 * PROBE_GO_SPAWN, whose cookie has the number `file`, inherit nothing; no longer, if not `there`.
 * -E2BIG: too many.
 */
int kernel__go_start(struct kernel *k, uint32_t file, int32_t distance, bool there);

struct kernel_uprobes; /* the sites of one file */

/*
 * Attach to a file for all processes that map it, now or later; the programs look at selected ones
 * alone. `path` is opened here and need not stay (/proc/self/fd/N and /proc/PID/map_files/... will
 * do). Sites fail one by one: errs[i] is 0 or a negative errno. *out is the caller's, to be given
 * back before kernel__close(); NULL if none could be attached. Returns how many were, or a negative
 * errno where nothing could be tried. Exits are attached before entries.
 */
int kernel__attach_uprobes(struct kernel *k, const char *path, const struct kernel_site *sites,
			   size_t n, int *errs, struct kernel_uprobes **out);
/*
 * Returns at once. The kernel may take some 100 ms until the last of them is gone; kernel__detach()
 * waits for that.
 */
void kernel__detach_uprobes(struct kernel *k, struct kernel_uprobes *u);

/* File descriptor of the ring buffer map; stays the kernel object's. */
int kernel__ring_fd(const struct kernel *k);

#define KERNEL_PROGS_MAX 64

/* One program's share, for the balance and the bench table. */
struct kernel_prog_stats {
	const char *name;           /* the kernel object's, valid until kernel__close() */
	uint64_t run_count, run_ns; /* 0 where bpf_stats is off */
	uint64_t recursion_misses;  /* runs that the kernel refused: events that were lost unseen */
};

struct kernel_stats {
	uint64_t made[WEFT_EV_KERNEL_MAX]; /* events put into the ring, by kind, all CPUs */
	/* events that were seen and not delivered, by reason, all CPUs */
	uint64_t drops[WEFT_DROP_MAX];
	uint64_t recursion_misses; /* sum over the programs */
	uint64_t run_ns;           /* kernel time in our programs; 0 if unknown */
	bool run_ns_known;
	size_t n_progs;
	struct kernel_prog_stats progs[KERNEL_PROGS_MAX];
};

int kernel__stats(const struct kernel *k, struct kernel_stats *out);

/*
 * Per-CPU drop counters, for -v: writes up to `max` CPUs of reason `why`, returns how many CPUs
 * there are.
 */
int kernel__drops_per_cpu(const struct kernel *k, enum weft_drop why, uint64_t *out, size_t max);

/*
 * What this kernel and these privileges allow. `weft doctor` prints the rows; kernel__open() asks
 * the same questions. Each row: a feature, whether it is there (by loading and attaching, not by
 * type), and what weft does without it.
 */
struct kernel_feature {
	const char *name; /* "fentry back end", "BTF", "ring buffer", "bpf_stats" ... */
	bool present;
	bool required;
	char detail[160];    /* "loaded and attached" / why not */
	const char *instead; /* what weft does instead; NULL if present or nothing */
};

/*
 * Fill up to `max` rows; returns how many there are. Needs no struct kernel; leaves nothing behind.
 */
size_t kernel__features(struct kernel_feature *rows, size_t max);

#endif /* WEFT_KERNEL_H */
