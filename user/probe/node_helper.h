/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * weft's helper in Node.js processes: the one thing that weft changes in a process that it traces,
 * only if asked to (--node-helper), and undone when it ends.
 *
 * In:  PIDs of traced processes; those that run no Node.js are let be.
 * Out: the kernel side knows where the helper's cell is (struct node_cell), and reads it at writes.
 * Owner: struct node_helpers owns a thread that talks with inspectors, so that the ring is read
 *        meanwhile. All functions are to be called from one other thread.
 *
 *   node_helper.js   what runs in the process
 *   node_helper.c    one process: may it be, put in, alive, taken out
 *   node_helpers.c   all of them
 *   inspector.c, listeners.c   the way in
 */
#ifndef WEFT_NODE_HELPER_H
#define WEFT_NODE_HELPER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../kernel/kernel.h"

struct node_helpers;

/*
 * NULL: out of memory, or no thread can be made; or a library is missing, and `why` says which.
 */
struct node_helpers *node_helpers__new(struct kernel *k, char *why, size_t why_len);
/*
 * The process is selected, and its libraries are known; `began`: it has just begun to run this
 * program, which shall be ready first.
 */
void node_helpers__consider(struct node_helpers *h, pid_t pid, bool began);
void node_helpers__exit(struct node_helpers *h, pid_t pid);
/* What became of it is logged; beats. To be called some times a second, `now` in CLOCK_BOOTTIME ns. */
void node_helpers__tick(struct node_helpers *h, uint64_t now);
/* Is one of the processes that ran already still being dealt with? */
bool node_helpers__busy(const struct node_helpers *h);
/*
 * Tells all helpers to go and waits for that, two seconds at most: one whose program is busy
 * goes when it no longer is. To be called before kernel__close(). NULL is allowed.
 */
void node_helpers__free(struct node_helpers *h);

/* Is it Node.js, as far as its name says? */
bool node_helper__is_node(pid_t pid);
/*
 * Could the helper be put in? 0; or -EAGAIN: not yet, it is beginning; or another negative errno.
 * `why`: in words, why not. Nothing is changed. The kernel object was opened with node_helper.
 */
int node_helper__possible(struct kernel *k, pid_t pid, char *why, size_t why_len);

#endif /* WEFT_NODE_HELPER_H */
