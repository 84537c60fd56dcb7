/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn/: connections and their two byte streams, put in order.
 *
 * In:  OPEN, DATA, EOF, SHUT and CLOSE events, in the order of the source.
 * Out: struct piece, in stream order, each byte at most once, every missing byte named (to proto/,
 *      through conn_sink).
 * Owner: struct conns owns every struct conn; a conn is valid until conn_sink.close returned.
 */
#ifndef WEFT_CONN_H
#define WEFT_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../bpf/event.h"
#include "../lib/balance.h"
#include "../lib/list.h"

/* One contiguous part of a stream: either captured bytes, or a number of bytes that are missing. */
struct piece {
	uint64_t pos;        /* of the first byte; the low 32 bits are the event's `off` */
	const uint8_t *data; /* NULL: missing */
	uint32_t len;        /* bytes, captured or missing */
	/* missing because events were lost, not because they were not copied */
	bool lost;
	bool call_begin; /* the first byte is the first of a read or write call */
	bool call_end;   /* the last byte is the last of its call */
	bool event_end;  /* the event ends here: its place in the books is decided now */
	uint64_t ts;     /* CLOCK_BOOTTIME ns, of the call */
	uint32_t pid, tid;
};

/* One direction. Private to conn/. */
struct stream {
	bool started;
	uint64_t next; /* position of the next byte to deliver */
};

struct conn {
	uint64_t id;
	struct weft_open open;    /* addresses, role, flags: as the kernel gave them */
	uint32_t pid;             /* process that used it last */
	struct stream streams[2]; /* by enum weft_dir */
	/* events behind a hole in one of the streams, in the order in which they came */
	struct list held;
	uint32_t n_held, held_bytes;
	struct list by_use;  /* in conns.by_use, the longest unused first */
	struct list by_pid;  /* Unix sockets: in the list of the process that used it last */
	struct list holding; /* in conns.holding while events are held */
	void *flow;          /* proto/'s: what the engine knows of it */
	bool called;         /* trace/'s: a call was made on it */
};

static inline bool conn__third_party(const struct conn *c)
{
	return c->open.h.flags & WEFT_F_THIRD_PARTY;
}

static inline bool conn__preopen(const struct conn *c)
{
	return c->open.h.flags & WEFT_F_PREOPEN;
}

struct conn_sink {
	void *ctx;
	void (*open)(void *ctx, struct conn *c);
	void (*piece)(void *ctx, struct conn *c, enum weft_dir dir, const struct piece *p);
	/* The direction ended in an orderly way; no piece of it follows. */
	void (*eof)(void *ctx, struct conn *c, enum weft_dir dir, uint64_t ts);
	/* The connection is gone; the conn is freed when this returns. */
	void (*close)(void *ctx, struct conn *c, uint64_t ts);
};

struct conns;

/*
 * `max`: connections kept at a time; beyond, the longest unused is closed. Times are those of the
 * events. NULL: out of memory.
 */
struct conns *conns__new(size_t max, const struct conn_sink *sink, struct balance *books);
/*
 * Take one event of a connection; other kinds are ignored. Every DATA event must have been received
 * in the books before.
 */
void conns__event(struct conns *cs, const struct weft_event *ev);
/*
 * Time passes: give up waiting for bytes that did not come. `now`: CLOCK_BOOTTIME ns, or the file's
 * time.
 */
void conns__tick(struct conns *cs, uint64_t now);
/*
 * A process ended: close the Unix sockets that it used last, which no kernel event closes on
 * system-call back ends. Calls forget(ctx, sock, conn), which may be NULL, for each.
 */
void conns__process_exit(struct conns *cs, uint32_t pid, uint64_t ts,
			 void (*forget)(void *ctx, uint64_t sock, uint64_t conn), void *ctx);
/* Close all and free. */
void conns__free(struct conns *cs, uint64_t ts);

/* stream.c, used by conn.c */

/* The first byte is at this position. Without it, the first byte that comes is the first. */
void stream__begin(struct stream *s, uint32_t pos);
/* Take one DATA, EOF or SHUT event; delivers what is in order now. */
void conn__push(struct conn *c, const struct weft_data *d, struct balance *books,
		const struct conn_sink *sink);
/*
 * Deliver what is held, with the holes before it declared lost: all, or what was held since before
 * `older_than`.
 */
void conn__flush(struct conn *c, uint64_t older_than, struct balance *books,
		 const struct conn_sink *sink);

#endif /* WEFT_CONN_H */
