/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private to conn/: how its files share connections and sessions.
 *
 *   order.c     a process's events in the order in which things happened
 *   conn.c      events in, connections made and ended
 *   stream.c    the bytes of one direction put in order
 *   session.c   TLS sessions: held until the carrier is known, linked, ended
 *   nesting.c   evidence: a socket call inside a call of the library, on one thread
 *   cipher.c    evidence: the same ciphertext in the session's hands and on a socket
 *   carrier.c   connections that carry TLS: what of them is captured, and how long
 */
#ifndef WEFT_CONN_INTERNAL_H
#define WEFT_CONN_INTERNAL_H

#include "../lib/table.h"
#include "conn.h"
#include "tls_record.h"

/* A process with TLS sessions, or with connections that carry TLS. */
struct tls_process {
	uint32_t pid;
	struct list looking;  /* sessions without a carrier */
	struct list carriers; /* connections that carry TLS and have no session */
	bool all_shown;       /* of these, all are captured a little */
	uint64_t looked;      /* when a session last looked for its carrier; 0 never */
	/* plaintext events that went on to proto/, of all connections */
	uint64_t events;
	struct list wanting; /* in sessions.wanting while ciphertext is asked for */
};

/* What a call moved, to be compared: 16 bytes tell. */
#define SAMPLE_BYTES 16
struct sample {
	uint32_t len;
	uint8_t dir, n;
	uint8_t bytes[SAMPLE_BYTES];
};

struct session {
	struct conn *conn;
	struct list looking; /* in tls_process.looking */
	struct list holding; /* in sessions.holding while events are held */
	struct list held;
	size_t held_bytes;
	uint64_t since;     /* its first event that was held; 0 none yet */
	bool waiting;       /* what comes is held */
	bool clear;         /* what comes is seen on the socket as well */
	unsigned ops;       /* that looked for the carrier */
	uint64_t looked;    /* when the first of them did */
	unsigned dry;       /* signs that it makes no socket calls itself */
	uint64_t begin, ts; /* the last op; begin 0: nothing follows from its time */
	uint32_t tid;
	bool op_dry; /* no socket was used in it */
};

struct sessions {
	struct table processes; /* struct tls_process, by PID */
	struct table threads;   /* struct tls_thread, by PID and TID */
	struct list threads_by_use;
	struct table prints; /* struct print, by what it says */
	struct list prints_by_age;
	struct list holding; /* sessions that hold events, the longest waiting first */
	struct list wanting;
	size_t held_bytes;
	struct session_counts counts;
};

#define CLOSED_KEPT 32

struct conns {
	struct conn_sink sink;
	struct conns_hooks hooks;
	struct balance *books;
	struct table by_id;
	struct table by_sock; /* sockets alone */
	struct table by_pid;  /* struct users: Unix sockets and sessions only */
	struct list by_use;
	struct list holding;
	uint64_t closed[CLOSED_KEPT]; /* numbers of those whose CLOSE came last */
	size_t n_closed;
	size_t max;
	struct sessions tls;
};

/* ---- conn.c ---- */

/* Close and free: c, and what rides on it. */
void conns__drop(struct conns *cs, struct conn *c, uint64_t ts);
/* Put an event into its stream, and deliver what is in order. */
void conns__push(struct conns *cs, struct conn *c, const struct weft_data *d);
/* Say to the kernel what is captured of it now. */
void conns__send_policy(struct conns *cs, const struct conn *c);

/* ---- session.c ---- */

/* False: out of memory. */
bool session__new(struct conns *cs, struct conn *c);
/* The session's CLOSE, or its carrier's, came: all that the peer sent was read. */
void session__ended(struct conns *cs, struct conn *c, uint64_t ts);
/* A DATA or SHUT event of a session. True: it was taken, and is not to be passed on now. */
bool session__take(struct conns *cs, struct conn *c, const struct weft_data *d);
/* A SESSION event. */
void session__event(struct conns *cs, struct conn *c, const struct weft_session *ev);
/* Can this connection be the session's carrier at all, by what both are? */
bool session__may_ride(const struct session *s, const struct conn *carrier);
/* Evidence says that it is: session__may_ride() holds. `count`: of this kind of evidence. */
void session__link(struct conns *cs, struct session *s, struct conn *carrier, uint64_t *count);
/* Its carrier need not be known any more, or never will be. */
void session__stop_looking(struct conns *cs, struct session *s, uint64_t ts);
/* Is deaf to what comes: the socket's bytes are the plaintext. */
void session__in_clear(struct conns *cs, struct session *s, uint64_t ts);
/* c is about to be dropped: what is held is delivered, links are cut. */
void session__closing(struct conns *cs, struct conn *c, uint64_t ts);
void sessions__tick(struct conns *cs, uint64_t now);
/* After an event of a connection, socket or session, was passed on. */
void sessions__saw(struct conns *cs, struct conn *c, const struct weft_data *d);
void sessions__free(struct sessions *ss);

static inline bool session__looks(const struct session *s)
{
	return !list__empty(&s->looking);
}

/* ---- nesting.c ---- */

void nesting__saw(struct conns *cs, struct conn *c, const struct weft_data *d, bool tls);
/* The session's op ended. */
void nesting__op(struct conns *cs, struct session *s);
/* Did the session's last op move these bytes over a socket as they are? */
bool nesting__in_clear(const struct conns *cs, const struct session *s, const struct weft_data *d);
void nesting__free(struct sessions *ss);

/* ---- cipher.c ---- */

/* Bytes of a carrier without a session. */
void cipher__on_socket(struct conns *cs, struct conn *c, const struct weft_data *d);
/* SESSION OUT or IN of a session without a carrier. */
void cipher__in_session(struct conns *cs, struct session *s, const struct weft_session *ev);
void cipher__free(struct sessions *ss);

/* ---- carrier.c ---- */

/* NULL: out of memory. */
struct tls_process *tls_process__get(struct sessions *ss, uint32_t pid);
/* Free it if nothing of it is left. */
void tls_process__put(struct sessions *ss, struct tls_process *p);
/* A session of the process looks for its carrier. */
void tls_process__looks(struct conns *cs, struct tls_process *p, uint64_t ts);
void tls_process__wants_cipher(struct conns *cs, struct tls_process *p);
/* What is captured of a connection that carries TLS. */
struct weft_policy carrier__policy(const struct conn *c);
/* A call of it, while it has no session. */
void carrier__saw(struct conns *cs, struct conn *c, const struct weft_data *d);
/* It has a session now, or is about to be dropped. */
void carrier__taken(struct conns *cs, struct conn *c);
/* Its session ended before it. */
void carrier__left(struct conns *cs, struct conn *c);
void carriers__tick(struct conns *cs, uint64_t now);

#endif /* WEFT_CONN_INTERNAL_H */
