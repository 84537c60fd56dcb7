/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside kernel/ only. */
#ifndef WEFT_KERNEL_INTERNAL_H
#define WEFT_KERNEL_INTERNAL_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/types.h>

#include "kernel.h"
#include "../../bpf/types.bpf.h"

#define KERNEL_LINKS_MAX 64
#define KERNEL_LATE_MAX 1024
#define KERNEL_MAPS 11

/* A thread that was inside a system call when its process was selected; see late.c. */
struct late_thread {
	pid_t pid, tid;
	char call[128]; /* the line of /proc/PID/task/TID/syscall */
};

/* Programs of lib.bpf.c. */
#define UPROBE_ENTER "lib_enter"
#define UPROBE_EXIT "lib_exit"
#define UPROBE_SPAWN "lib_spawn"
#define UPROBE_UV "lib_uv"

/* Programs of node.bpf.c. */
#define NODE_ANNOUNCED "node_announced"
#define NODE_SIGNALS "node_signals"

struct kernel_prog {
	char name[48];
	int fd;
};

struct kernel {
	struct bpf_object *obj; /* until all is attached, see programs.c; maps are its */
	bool kept;              /* then they are ours */
	struct kernel_prog progs[KERNEL_PROGS_MAX];
	size_t n_progs;
	enum kernel_backend backend;
	struct bpf_link *links[KERNEL_LINKS_MAX];
	size_t n_links;
	int stats_fd; /* bpf_enable_stats, -1 */
	int n_cgroups;
	struct {
		int filter, conns, ring, made, drops, settings, cgroups, batch, probe_descs,
			go_starts, announced;
	} map;
	unsigned sweep_in, sweep_rest; /* ticks until the next sweep, and after that */
	/* links of programs that are attached for a while; 0: not now */
	int announced_link, late_link;
	struct late_thread *late;
	size_t n_late;
	/* how uprobes are attached: never KERNEL_UPROBES_AUTO */
	enum kernel_uprobes_way uprobes_way;
	struct kernel_uprobes *uprobes; /* a list of all */
	unsigned closing;               /* attachments on their way out */
	struct probe_desc descs[PROBE_DESCS_MAX];
	size_t n_descs;
};

/* One way of watching, tried for real with the smallest program there is. Leaves nothing behind. */
int backends__probe(enum kernel_backend backend, char *why, size_t why_len);
/* The link is the kernel's from now on, and destroyed with it, or at once: -E2BIG, too many. */
int backends__keep(struct kernel *k, struct bpf_link *link);
/* No more is asked for now: what was kept for the next question goes. */
void backends__probed(void);

/*
 * All is attached that is attached at once: keep what is needed of the object, and close it. 0 or a
 * negative errno.
 */
int programs__keep(struct kernel *k);
/* A program that was loaded, once they are kept; it stays the kernel's. -ENOENT: it was not. */
int programs__fd(const struct kernel *k, const char *name);
/* Closes all programs and maps, the object as well if it is still there. */
void programs__free(struct kernel *k);

/* The running kernel's types, NULL if they can't be had; valid until backends__probed(). */
const struct btf *backends__types(void);
/*
 * Programs of objects that are opened from now on are loaded side by side, until loads__end(), which
 * waits for all of them and returns the first error: `err`, if the object could not be loaded, or
 * that of a program. One at a time. `verbose`: the verifier's words, if it refuses, to stderr.
 */
struct loads;
int loads__begin(struct loads **out);
int loads__end(struct loads *l, int err, bool verbose);
/* Why loading fails, in words, for whom kernel__open() tells. */
void loader__note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Choose the programs of `backend` in an object that is not loaded yet. */
void backends__choose(struct bpf_object *obj, enum kernel_backend backend);
/*
 * Attach a tp_btf program that waits to be asked (parts[].later), once they are kept. Its link, the
 * caller's to close, or a negative errno.
 */
int backends__attach_later(const struct kernel *k, const char *prog);
/* Attach what was chosen; on failure the caller destroys the links that were made. */
int backends__attach(struct kernel *k, char *why, size_t why_len);

/*
 * Attach and detach the system-call program that sees calls which began before fentry or kprobe
 * were there.
 */
void late__expect(struct kernel *k); /* before a process is selected */
void late__watch(struct kernel *k, pid_t pid);
void late__check(struct kernel *k);
void late__free(struct kernel *k);

/*
 * Of the kernel's types, those that have the names of the `programs`' types and what these are made
 * of. Returns a descriptor of a file in memory, in BTF; the caller's to close. Negative errno.
 */
int types__used(const struct btf *kernel, const struct btf *programs);

/*
 * In an object that is not loaded yet: programs read the kernel's structs without a helper, if
 * `kernel` (its types, NULL: not known) says that it can do that.
 */
void casts__prepare(struct bpf_object *obj, const struct btf *kernel);

/* Leave out node.bpf.c's programs of an object that is not loaded yet. */
void nodejs__leave_out(struct bpf_object *obj);
void nodejs__free(struct kernel *k);

/*
 * Which way of attaching uprobes to take here: `wanted` or, for AUTO, the best; KERNEL_UPROBES_OFF
 * if the kernel knows none of these.
 */
enum kernel_uprobes_way uprobe__way(enum kernel_uprobes_way wanted);
/* Attach one somewhere and take it away again: 0 or a negative errno. */
int uprobe__try(enum kernel_uprobes_way way);
/* Tell the programs of an object that is not loaded yet how they will be attached. */
void uprobe__prepare(struct kernel *k);
/*
 * Take all uprobes away, those that tell of `units` of work only if asked to; what
 * kernel__attach_uprobes() gave stays the callers'.
 */
void uprobe__detach_all(struct kernel *k, bool units);

/* Can a TCP option be written here? 0, or a negative errno; `why` says where, or why not. */
int propagate__try(char *why, size_t why_len);
/* In an object that is not loaded yet: the program of propagation, if asked for, and its maps. */
void propagate__choose(struct bpf_object *obj, const struct kernel_config *cfg);
int propagate__attach(struct kernel *k, char *why, size_t why_len);

/*
 * Id of a trace event, through tracefs wherever it is, or a private instance of it where it is not
 * mounted.
 */
int tracefs__event_id(const char *event);
/* Is tracefs mounted where everyone looks for it? */
bool tracefs__mounted(void);

/* The tracepoint `event` as a link on `prog`. */
struct bpf_link *tracefs__attach(struct bpf_program *prog, const char *event);

/* Effective capability by number (CAP_BPF ...). */
bool features__capable(int cap);
/* Why loading BPF is refused here, in words; false if nothing speaks against it. */
bool features__refused(char *why, size_t why_len);

#endif /* WEFT_KERNEL_INTERNAL_H */
