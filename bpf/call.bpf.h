/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A finished read or write: what all ways of copying its bytes need. */
#ifndef WEFT_CALL_BPF_H
#define WEFT_CALL_BPF_H

#include "conn.bpf.h"

/* The i-th of c->n_iov segments. */
static __always_inline int io__segment(const struct call *c, __u32 i, struct iovec *v)
{
	const void *from = (const void *)(c->base + i * sizeof(*v));

	if (c->iov_user)
		return bpf_probe_read_user(v, sizeof(*v), from);
	return bpf_probe_read_kernel(v, sizeof(*v), from);
}

/* All that a record says beside its bytes and how many they are. */
static __always_inline void io__fill(struct weft_data *d, struct call *c, struct conn_state *st,
				     __u32 off, __u32 len)
{
	emit__header(&d->h, WEFT_EV_DATA, sizeof(*d), c->pid, c->tid, st->conn);
	d->off = off;
	d->len = len;
	d->dir = c->dir & 1;
	d->loop_turn = c->turn;
	d->sleeps = bpf_get_current_task_btf()->nvcsw;
}

#endif /* WEFT_CALL_BPF_H */
