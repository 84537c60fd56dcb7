/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn/: connections and their two byte streams, put in order.
 *
 * In:  OPEN, DATA, EOF, SHUT, CLOSE and SESSION events, in the order of order.h.
 * Out: struct piece, in stream order, each byte at most once, every missing byte named (to proto/,
 *      through conn_sink); capture policies (to the kernel, through conns_hooks).
 * Owner: struct conns owns every struct conn; a conn is valid until conn_sink.close returned.
 *
 * A TLS session is a connection as well, whose bytes are the plaintext. The socket's connection
 * that carries its ciphertext is its carrier: session.c finds out which one that is.
 */
#ifndef WEFT_CONN_H
#define WEFT_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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
	/* a frame header begins here: the kernel side followed the frames to it (weft_part) */
	bool framed;
	bool event_end; /* the event ends here: its place in the books is decided now */
	uint64_t ts;    /* CLOCK_BOOTTIME ns, of the call */
	uint32_t pid, tid;
};

/* Bytes behind the record's fixed part that are in use. */
static inline size_t data__bytes(const struct weft_data *d)
{
	return d->h.flags & WEFT_F_PARTS ? d->h.size - sizeof(*d) : (size_t)d->head + d->tail;
}

/*
 * The part that begins at *p, in a record that is valid; moves *p behind its bytes. False: there is
 * none, `end` is the end of the record's bytes.
 */
static inline bool part__next(const uint8_t **p, const uint8_t *end, struct weft_part *part)
{
	if ((size_t)(end - *p) < sizeof(*part))
		return false;
	memcpy(part, *p, sizeof(*part));
	*p += sizeof(*part) + part->len;
	return true;
}

/* One direction. Private to conn/. */
struct stream {
	bool started;
	uint64_t next; /* position of the next byte to deliver */
};

/* What is known of a connection that carries TLS. */
struct conn_tls {
	/* read off its hellos by proto/ */
	char server_name[256];  /* SNI; "" not seen */
	char next_protocol[32]; /* ALPN, as the server chose in clear; "" not seen */
	uint16_t version;       /* 0x0303: TLS 1.2, 0x0304: 1.3; 0 not seen */
	bool settled;           /* no more is to be read off it */
	/* private to conn/: looking for its session, see carrier.c */
	struct conn *conn;
	uint32_t pid;
	struct list free; /* in the list of the process, while it has no session */
	bool shown;       /* a little of each call is captured */
	unsigned calls;
	uint64_t since;
	struct {
		bool known;
		uint32_t body, next; /* positions: of the record's body, of the next header */
		uint8_t type;
	} at[2]; /* by enum weft_dir */
};

struct session; /* private to conn/ */

struct conn {
	uint64_t id;
	/* addresses, role, flags: as the kernel gave them; a session's from its carrier */
	struct weft_open open;
	uint32_t pid;             /* process that used it last */
	struct stream streams[2]; /* by enum weft_dir */
	/* events behind a hole in one of the streams, in the order in which they came */
	struct list held;
	uint32_t n_held, held_bytes;
	/*
	 * position behind the last byte written that was told of; whether it is known, and whether
	 * more was waited for in vain since
	 */
	uint32_t told;
	bool tells, never_told;
	struct list by_use; /* in conns.by_use, the longest unused first */
	/* Unix sockets and TLS sessions: in the list of the process that used it last */
	struct list by_pid;
	struct list holding;     /* in conns.holding while events are held */
	void *flow;              /* proto/'s: what the engine knows of it */
	bool called;             /* trace/'s: a call was made on it */
	uint8_t ends_tries;      /* trace/'s: how often its other end was looked for */
	uint64_t ends;           /* trace/'s: what both ends of it are called; 0 not known yet */
	void *ends_text;         /* trace/'s: the same as text; freed with it. NULL: not made yet */
	struct session *session; /* NULL: it is a socket's */
	struct conn *carrier;    /* of a session; NULL: not known */
	struct conn *rides;      /* the session whose carrier this is; NULL: none known */
	struct conn_tls *tls;    /* not NULL: its bytes are TLS */
	/*
	 * The piece being delivered was held while other events of the process went by: nothing
	 * follows from its place among them.
	 */
	bool late;
	struct weft_policy policy; /* what proto/ wants of it */
	bool wants_fields;         /* it has asked for header fields */
};

static inline bool conn__third_party(const struct conn *c)
{
	return c->open.h.flags & WEFT_F_THIRD_PARTY;
}

static inline bool conn__preopen(const struct conn *c)
{
	return c->open.h.flags & WEFT_F_PREOPEN;
}

/* The connection whose addresses these are: a session's carrier, a socket itself. */
static inline const struct conn *conn__wire(const struct conn *c)
{
	return c->carrier ? c->carrier : c;
}

/* What is known of the TLS that a session goes over; NULL: nothing, or no session. */
static inline const struct conn_tls *conn__session_tls(const struct conn *c)
{
	return c->session && c->carrier ? c->carrier->tls : NULL;
}

struct conn_sink {
	void *ctx;
	void (*open)(void *ctx, struct conn *c);
	void (*piece)(void *ctx, struct conn *c, enum weft_dir dir, const struct piece *p);
	/*
	 * FIELDS or TABLE: a program's own words for a header block of HTTP/2, or for what its
	 * header table holds; the block's bytes may come before or after.
	 */
	void (*fields)(void *ctx, struct conn *c, const struct weft_event *ev);
	/* The direction ended in an orderly way; no piece of it follows. */
	void (*eof)(void *ctx, struct conn *c, enum weft_dir dir, uint64_t ts);
	/* The connection is gone; the conn is freed when this returns. */
	void (*close)(void *ctx, struct conn *c, uint64_t ts);
};

/* What the outside does for connections; all members may be NULL. */
struct conns_hooks {
	void *ctx;
	/* Capture it like this from now on. */
	void (*policy)(void *ctx, const struct conn *c, const struct weft_policy *policy);
	/* The kernel's entry of this connection is of no use any more. */
	void (*forget)(void *ctx, uint64_t sock, uint64_t conn);
	/*
	 * Sessions of this process look for their carriers and make no socket calls of their own:
	 * show ciphertext (SESSION OUT and IN), until told that none does any more.
	 */
	void (*want_cipher)(void *ctx, uint32_t pid, bool want);
	/*
	 * Header fields of one connection more of this process can't be read off the wire, or of one
	 * less.
	 */
	void (*want_fields)(void *ctx, uint32_t pid, bool want);
};

/* Capture until a connection's protocol is known. */
extern const struct weft_policy conns__initial_policy;

struct conns;

/*
 * `max`: connections kept at a time; beyond, the longest unused is closed. Times are those of the
 * events. NULL: out of memory.
 */
struct conns *conns__new(size_t max, const struct conn_sink *sink, struct balance *books);
void conns__set_hooks(struct conns *cs, const struct conns_hooks *hooks);
/*
 * Take one event of a connection; other kinds are ignored. Every DATA event must have been received
 * in the books before.
 */
void conns__event(struct conns *cs, const struct weft_event *ev);
/* WRITTEN: have the bytes before `off` not been told of, and are they worth waiting for? */
bool conns__untold(const struct conns *cs, uint64_t conn, uint32_t off);
/* They were waited for in vain: no more of that before something written is told of. */
void conns__never_told(struct conns *cs, uint64_t conn);
/*
 * Time passes: give up waiting for bytes that did not come. `now`: CLOCK_BOOTTIME ns, or the file's
 * time.
 */
void conns__tick(struct conns *cs, uint64_t now);
/*
 * A process ended: close its TLS sessions, and the Unix sockets that it used last, which no kernel
 * event closes on system-call back ends. The hook `forget` is called for each.
 */
void conns__process_exit(struct conns *cs, uint32_t pid, uint64_t ts);
/* It runs another program: its TLS sessions are gone. */
void conns__process_exec(struct conns *cs, uint32_t pid, uint64_t ts);
/*
 * proto/ wants a connection to be captured like this. What is said to the kernel may be less (a
 * carrier), and says of a session whether its carrier is known.
 */
void conns__policy(struct conns *cs, struct conn *c, const struct weft_policy *policy);
/* proto/ has seen that its bytes are TLS. Sets c->tls; out of memory: it stays NULL. */
void conns__carries_tls(struct conns *cs, struct conn *c);

/* How sessions found their carriers. */
struct session_counts {
	uint64_t seen;
	uint64_t by_nesting, by_socket, by_bytes;
	uint64_t unknown; /* given up */
	uint64_t clear;   /* the socket's bytes are the plaintext: kTLS */
	/* evidence against a link that was made, or for a carrier that has a session */
	uint64_t contradicted;
};

const struct session_counts *conns__session_counts(const struct conns *cs);
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
