/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every map of the kernel side: who writes, who deletes, who sizes. Every .bpf.c includes this
 * file; the maps are weak, so that the linker (bpftool gen object) makes one of each.
 *
 *   filter     user space (a process chosen by PID) and task.bpf.c (children, cgroups) write; the
 *              kernel deletes with the task, task.bpf.c where a process leaves a cgroup. Grows by
 *              need.
 *   leaderless task.bpf.c only: processes whose leading thread ended before the others. Fixed,
 *              small.
 *   calls      kprobe back end: written at a function's entry, read at its exit; fentry: says, while
 *              settings.late, that the thread has come out of one; freed with the thread.
 *   conns      conn.bpf.h creates and deletes; policy_write changes a policy in place; sized by
 *              user space.
 *   probe_descs  user space writes before it attaches what refers to an entry.
 *   frames     frame.bpf.h: probed functions under way, by thread; freed with the thread.
 *   goroutines the same by goroutine; deleted with the last of them, by `sweep` for processes that
 *              are gone. Grows by need.
 *   any_goroutine  is there anything in goroutines? set by frame.bpf.h, cleared by `sweep`.
 *   counts     libcall.bpf.h creates and deletes; the kernel, when it is full, what was used least.
 *   labels     unit.bpf.h creates and deletes; the kernel, when it is full, what was used least.
 *   unit_threads  unit.bpf.h: what was told of a thread; freed with the thread.
 *   owners     go.bpf.h writes; the kernel deletes, when it is full, what was used least.
 *   go_starts  user space alone writes and deletes.
 *   turns      turn.bpf.h only; freed with the thread.
 *   last_reads conn.bpf.h only, while header tables are wanted; freed with the thread.
 *   table_owners  h2_table.bpf.h; the kernel deletes, when it is full, what was used least.
 *   announced  user space fills it in, node.bpf.c answers.
 *   contexts   propagate.bpf.c and context.bpf.h; the kernel deletes, when it is full, what was used
 *              least. Sized by user space: 1 where nothing is propagated.
 *   serving    context.bpf.h; likewise.
 *   parts      walk.bpf.h only, for the time of one run.
 *   ring       emit.bpf.h reserves; user space reads; sized by user space.
 *   made, drops, serial   per-CPU counters, written here, read by user space.
 */
#ifndef WEFT_MAPS_BPF_H
#define WEFT_MAPS_BPF_H

#include "types.bpf.h"

/* Selected processes: on the group leader's task, so that a reused PID can't inherit it. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct filter);
} filter __weak SEC(".maps");

/* By signal_struct, which all threads of a process share and which outlives its leader. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 256);
	__type(key, __u64);
	__type(value, struct filter);
} leaderless __weak SEC(".maps");

/* What a kretprobe on a socket function needs to know of its entry, by thread. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct call);
} calls __weak SEC(".maps");

/* By address of struct sock; the inode number in the value tells when an address is used again.
 * TLS sessions: tls.bpf.h. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct conn_state);
} conns __weak SEC(".maps");

/* By the attach cookie's low bits. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PROBE_DESCS_MAX);
	__type(key, __u32);
	__type(value, struct probe_desc);
} probe_descs __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct frames);
} frames __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct goroutine_key);
	__type(value, struct frames);
} goroutines __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} any_goroutine __weak SEC(".maps");

/*
 * How many connections' header fields are wanted, or more than that. policy_write, conn__make()
 * and conn__gone() write; who tells of fields asks it first.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} fields_wanted __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct count_key);
	__type(value, struct count);
} counts __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, struct label_key);
	__type(value, struct label);
} labels __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct unit_thread);
} unit_threads __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct turn);
} turns __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct last_read);
} last_reads __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct table_owner_key);
	__type(value, struct table_owner);
} table_owners __weak SEC(".maps");

/* By key of the connection. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, struct owner);
} owners __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct context_key);
	__type(value, struct trace_context);
} contexts __weak SEC(".maps");

/* By address of the task_struct. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct serving);
} serving __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct go_start_key);
	__type(value, __u8);
} go_starts __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct announced);
} announced __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, PARTS_MAX);
	__type(key, __u32);
	__type(value, struct parts);
} parts __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WEFT_EV_KERNEL_MAX);
	__type(key, __u32);
	__type(value, __u64);
} made __weak SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WEFT_DROP_MAX);
	__type(key, __u32);
	__type(value, __u64);
} drops __weak SEC(".maps");

/* The last connection number that this CPU gave. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} serial __weak SEC(".maps");

/* Written by user space once before attaching, and by the program `setup`. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct settings);
} settings __weak SEC(".maps");

/* Ids of the selected cgroups; user space writes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, WEFT_CGROUPS_MAX);
	__type(key, __u64);
	__type(value, __u32);
} cgroups __weak SEC(".maps");

/* Arguments of policy_write; user space is its only writer. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct weft_policy_batch);
} batch __weak SEC(".maps");

#endif /* WEFT_MAPS_BPF_H */
