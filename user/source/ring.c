// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ring buffer as a source. The kernel side never wakes anybody, so the caller polls. libbpf's
 * ring_buffer__consume() hands over all there is; ours stops after `max`, so that a flood can't
 * keep the caller from its other work. The layout is the kernel's ABI (kernel/bpf/ringbuf.c): a
 * page with the consumer's position, a page with the producer's, then the data twice in a row, so
 * that a record that wraps around can be read in one piece.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "source.h"

struct ring_source {
	struct source s;
	size_t page;
	size_t bytes; /* of data, a power of two */
	unsigned long *consumer;
	const unsigned long *producer;
	const char *data;
};

static size_t ring__data_map(const struct ring_source *r)
{
	return r->page + 2 * r->bytes;
}

/*
 * Room is given back by the piece, not by the record: whoever reserves reads this position, and each
 * time it moves, it has to be fetched anew from the reader's CPU.
 */
#define RING_PIECES 16

static int ring__poll(struct source *s, source_handler fn, void *ctx, int max)
{
	struct ring_source *r = (struct ring_source *)s;
	unsigned long at = __atomic_load_n(r->consumer, __ATOMIC_RELAXED);
	unsigned long began = at, given = at;
	unsigned long end = __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
	int n = 0;

	while (at < end && n < max) {
		const uint32_t *head = (const void *)(r->data + (at & (r->bytes - 1)));
		uint32_t len = __atomic_load_n(head, __ATOMIC_ACQUIRE);
		const struct weft_event *ev = (const void *)(head +
							     BPF_RINGBUF_HDR_SZ / sizeof(*head));

		if (len & BPF_RINGBUF_BUSY_BIT)
			break; /* still being written */
		at += ((len & ~BPF_RINGBUF_DISCARD_BIT) + BPF_RINGBUF_HDR_SZ + 7) & ~7UL;
		if (!(len & BPF_RINGBUF_DISCARD_BIT)) {
			if (event__valid(ev, len)) {
				fn(ctx, ev);
				s->received++;
			} else {
				s->malformed++;
			}
			n++;
		}
		if (at - given >= r->bytes / RING_PIECES) {
			__atomic_store_n(r->consumer, at, __ATOMIC_RELEASE);
			given = at;
		}
	}
	if (at != given)
		__atomic_store_n(r->consumer, at, __ATOMIC_RELEASE);
	s->bytes = at - began;
	return n;
}

static void ring__close(struct source *s)
{
	struct ring_source *r = (struct ring_source *)s;

	if (r->consumer)
		munmap(r->consumer, r->page);
	if (r->producer)
		munmap((void *)r->producer, ring__data_map(r));
	free(r);
}

static const struct source_ops ring_ops = { .poll = ring__poll, .close = ring__close };

static int ring__map(struct ring_source *r, int fd)
{
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info);
	void *p;

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		return -errno;
	if (info.type != BPF_MAP_TYPE_RINGBUF)
		return -EINVAL;
	r->page = sysconf(_SC_PAGESIZE);
	r->bytes = info.max_entries;
	p = mmap(NULL, r->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	r->consumer = p;
	p = mmap(NULL, ring__data_map(r), PROT_READ, MAP_SHARED, fd, r->page);
	if (p == MAP_FAILED)
		return -errno;
	r->producer = p;
	r->data = (const char *)p + r->page;
	return 0;
}

struct source *source__ring(int ring_fd, char *why, size_t why_len)
{
	struct ring_source *r = calloc(1, sizeof(*r));
	int err = r ? ring__map(r, ring_fd) : -ENOMEM;

	if (err) {
		snprintf(why, why_len, "can't map the ring buffer: %s", strerror(-err));
		if (r)
			ring__close(&r->s);
		return NULL;
	}
	r->s.ops = &ring_ops;
	return &r->s;
}
