/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The only code that touches the ring buffer and the counters of the balance. Nothing here wakes
 * the reader for data: a forced wake-up costs 17 us, all of the rest under 1 us, and a wake-up
 * inside fexit makes the kernel skip the next run. A program that begins to run is rare, is told of
 * by a tracepoint, and its libraries shall be watched before it uses them: that does.
 */
#ifndef WEFT_EMIT_BPF_H
#define WEFT_EMIT_BPF_H

#include "compat.bpf.h"
#include "maps.bpf.h"

/* Atomic: on a preemptible kernel another task's program may run between load and store. */
static __always_inline void emit__drop(__u32 why)
{
	__u64 *n = bpf_map_lookup_elem(&drops, &why);

	if (n)
		__sync_fetch_and_add(n, 1);
}

static __always_inline void emit__made(__u32 kind)
{
	__u64 *n = bpf_map_lookup_elem(&made, &kind);

	if (n)
		__sync_fetch_and_add(n, 1);
}

/* `bytes` is a constant: the verifier asks for it. */
static __always_inline void *emit__reserve(__u64 bytes)
{
	void *p = bpf_ringbuf_reserve(&ring, bytes, 0);

	if (!p)
		emit__drop(WEFT_DROP_RING_FULL);
	return p;
}

static __always_inline void emit__header(struct weft_event *h, __u8 kind, __u32 size, __u32 pid,
					 __u32 tid, __u64 conn)
{
	h->size = size;
	h->kind = kind;
	h->flags = 0;
	h->cpu = bpf_get_smp_processor_id();
	h->ts = bpf_ktime_get_boot_ns();
	h->pid = pid;
	h->tid = tid;
	h->conn = conn;
}

static __always_inline void emit__submit(void *record, __u32 kind)
{
	bpf_ringbuf_submit(record, kind == WEFT_EV_EXEC ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
	emit__made(kind);
}

/* A record that was put together elsewhere. */
static __always_inline void emit__output(void *record, __u64 bytes, __u32 kind)
{
	if (bpf_ringbuf_output(&ring, record, bytes, BPF_RB_NO_WAKEUP))
		emit__drop(WEFT_DROP_RING_FULL);
	else
		emit__made(kind);
}

static __always_inline void emit__discard(void *record)
{
	bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
}

#endif /* WEFT_EMIT_BPF_H */
