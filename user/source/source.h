/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * source/: where events come from. Three sources, one interface, the same events: the kernel's ring
 * buffer (ring.c), a recorded file (record.c), a packet capture (pcap.c). What follows does not
 * know which it is.
 *
 * In:  a ring buffer, or a file.
 * Out: struct weft_event records (bpf/event.h), handed one by one to a handler, in the order in
 *      which they were made; user-space kinds (source/record.h) among them.
 * Owner: the source owns the record's bytes; the handler must copy what it keeps.
 */
#ifndef WEFT_SOURCE_H
#define WEFT_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "../../bpf/event.h"

/*
 * The record is whole and size-checked for its kind (see event__valid()); it is valid during the
 * call only.
 */
typedef void (*source_handler)(void *ctx, const struct weft_event *ev);

struct source;

struct source_ops {
	/*
	 * Hand over what is there, at most `max` records. Never blocks. Returns the number handed
	 * over, 0 if there is nothing now, -ENODATA at the end of a file, another negative errno
	 * with a line in `error` on damage (-EBADMSG). A file that ends in the middle of a record
	 * gives -ENODATA too, with a line in `error`. What was returned at the end is returned
	 * again by every later call.
	 */
	int (*poll)(struct source *s, source_handler fn, void *ctx, int max);
	void (*close)(struct source *s);
};

/*
 * Why something in a packet capture gave no data records. What is counted, besides connections at
 * the end, is packets.
 */
enum capture_skip {
	CAPTURE_NOT_IP,
	CAPTURE_NOT_TCP,
	CAPTURE_FRAGMENT,  /* a later fragment of an IP packet: has no TCP header */
	CAPTURE_CUT,       /* cut by the capture's snapshot length before its TCP header ended */
	CAPTURE_MALFORMED, /* lengths that contradict each other */
	CAPTURE_LATE,      /* bytes of a connection that was already over */
	CAPTURE_NO_MEMORY,
	/*
	 * connections, not packets: given up, the longest idle first, because there were too many
	 */
	CAPTURE_IDLE,
	CAPTURE_SKIPS,
};

/* First member of every source. */
struct source {
	const struct source_ops *ops;
	uint64_t received;  /* records handed over */
	size_t bytes;       /* of a ring, taken by the last poll */
	uint64_t malformed; /* records refused: wrong size or kind; counted, never handed over */
	char error[200];    /* one line, empty if all is well */
	uint64_t packets;   /* packet captures: packets read, and of those ... */
	uint64_t skipped[CAPTURE_SKIPS]; /* ... why some gave no data records */
};

static inline int source__poll(struct source *s, source_handler fn, void *ctx, int max)
{
	return s->ops->poll(s, fn, ctx, max);
}

static inline void source__close(struct source *s)
{
	if (s)
		s->ops->close(s);
}

/*
 * Is `ev`, of which `avail` bytes are readable, a whole well-formed record of its kind? For every
 * source.
 */
bool event__valid(const struct weft_event *ev, size_t avail);

/* ring.c: over the ring buffer map of kernel__ring_fd(). */
struct source *source__ring(int ring_fd, char *why, size_t why_len);

/*
 * file.c: opens a recorded file or a packet capture (pcap, pcapng), told apart by their first byte.
 * "-" is standard input; a pipe that is still being written is followed. NULL with one line in
 * `why` if it is neither, or can't be opened.
 */
struct source *source__file(const char *path, char *why, size_t why_len);

/* For people: "not TCP". NULL if there is no such reason. */
const char *capture__skip_reason(enum capture_skip why);

#endif /* WEFT_SOURCE_H */
