/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private to the engine: one connection's flow, its two halves, and how the files of the engine
 * share them.
 *
 *   engine.c    connections in, flows made and ended, books
 *   detect.c    which protocol, and who asks
 *   half.c      the bytes of one direction: buffer, skipping, gaps, the parse loop
 *   exchange.c  requests and responses paired
 *   tls_flow.c  connections that carry TLS
 */
#ifndef WEFT_FLOW_H
#define WEFT_FLOW_H

#include <limits.h>

#include "engine.h"

/* A run of buffered bytes that one call moved. */
struct mark {
	uint64_t start, end; /* positions */
	uint64_t ts;
	uint32_t pid, tid;
	uint64_t call; /* number of the call within the flow */
	bool fresh;    /* `start` begins a call that begins a turn */
	bool ends_call;
	bool framed;    /* struct piece's */
	uint8_t events; /* events that end in this run: 0 or 1 */
};

struct half {
	uint8_t *buf; /* captured bytes not yet consumed: buf[off .. off+len) */
	size_t off, len, cap;
	uint64_t pos; /* position of buf[off] */
	/* n_marks, covering the buffered bytes in order; the first may be partly consumed */
	struct mark *marks;
	size_t n_marks, cap_marks;
	uint64_t skip; /* bytes from pos on that the parser does not want to see */
	enum message_state skip_what;
	bool searching; /* in resync() */
	bool rest;      /* message.fills_turn: what comes of this turn belongs to m, unseen */
	/* REQ: the gap that is searched behind made the flow unsure; not if the message goes on */
	bool made_unsure;
	struct message *m;  /* the message under way, NULL between messages */
	bool partial;       /* some of its bytes were consumed, not all */
	bool m_in_exchange; /* m already belongs to x->reqs */
	uint64_t m_events;  /* events of m that are in no exchange yet */
	struct exchange *x; /* REQ: the one being asked; RESP: the one being answered; NULL none */
	/* the message under way goes on, but its exchange has ended: it is nobody's */
	bool nobody;
	struct mark last; /* of the last consumed byte */
	bool wait_fresh;  /* nothing to be hoped for before the next turn */
	bool ended;       /* EOF was seen */
	bool hello_read;  /* FLOW_TLS: of this direction no more is to be learnt */
};

enum flow_phase { FLOW_DETECT, FLOW_ON, FLOW_TLS, FLOW_OFF };

struct flow {
	struct engine *engine;
	struct conn *conn;
	enum flow_phase phase;
	enum drop_reason off_reason;
	const struct protocol *proto;
	void *state;
	enum weft_dir req_dir;
	struct half half[2]; /* by enum weft_dir */
	struct list pending; /* exchanges begun and not ended, oldest first */
	size_t n_pending;
	uint64_t calls, turn; /* counters */
	uint64_t asked_call;  /* the last call of the requester */
	uint64_t now, before; /* times of the last piece and of the one before it */
	int last_dir;         /* of the last call; -1 none */
	/*
	 * Requests may have been lost in `unsure_turn`: for what is asked now, first in first out
	 * does not hold. It does again when the requester begins another turn, since most wait for
	 * their answers; with one that was seen not to wait, only after a pause with nothing
	 * outstanding.
	 */
	bool unsure;
	uint64_t unsure_turn;
	/* since then: requests more than answers; the same when the last turn began */
	int ahead, ahead_before;
	unsigned steady;              /* turns in a row in which it stayed the same */
	bool overlaps;                /* the requester asks on before it has its answers */
	bool whole;                   /* every byte was seen since the connection was made */
	bool one_ways;                /* requests without answers are pending */
	unsigned strikes;             /* parse errors since the last good message */
	unsigned misses;              /* detection: turns that were nothing */
	const struct protocol *maybe; /* detection: a weak answer, and who would ask */
	enum weft_dir maybe_req_dir;
	unsigned maybe_dirs; /* directions that gave it: bits by enum weft_dir */
	bool seen_request;
	bool left;                 /* it left its protocol: detection looks for TLS alone */
	struct weft_policy policy; /* the last that was asked for */
	/* detection: a program's words for header blocks, and how many they are */
	struct weft_event **early;
	size_t n_early;
};

struct engine {
	struct exchange_sink sink;
	struct policy_sink policy;
	struct balance *books;
	uint64_t wanted;
	bool stopping;
};

static inline enum proto_dir flow__role(const struct flow *f, enum weft_dir dir)
{
	return dir == f->req_dir ? PROTO_REQ : PROTO_RESP;
}

/*
 * Can a request be seen after its answer? When two threads use the socket, the write may return
 * after the read.
 */
static inline bool flow__reported_late(const struct flow *f)
{
	return f->req_dir == WEFT_OUT && !conn__third_party(f->conn);
}

/* Does pairing rest on order? */
static inline bool flow__ordered(const struct flow *f)
{
	return !f->proto->keyed || f->proto->counted;
}

/* From turn `turn` on it is not known what is outstanding. */
static inline void flow__doubt(struct flow *f, uint64_t turn)
{
	f->unsure = true;
	f->unsure_turn = turn;
	f->ahead = 0;
	f->ahead_before = INT_MIN;
	f->steady = 0;
}

/* engine.c */
void flow__off(struct flow *f, enum drop_reason why);
/* The connection goes on in another protocol: what is buffered is recognised anew. */
void flow__switch(struct flow *f);
/*
 * The connection leaves its protocol for good. If what follows is TLS (STARTTLS and the like, a
 * tunnel), it is said to be; else it is let go.
 */
void flow__leave(struct flow *f);
void flow__set_policy(struct flow *f, const struct weft_policy *policy);

/* told.c: FIELDS or TABLE, a program's words for header blocks or a header table. */
void flow__told(struct flow *f, const struct weft_event *ev);
/* What a program said before the protocol was known: to be read now, or thrown away. */
void flow__early_fields(struct flow *f);

/* detect.c: look at what `dir` holds; turns the flow on when the answer is certain. */
void flow__detect(struct flow *f, enum weft_dir dir);

/* tls_flow.c */
/* Detection is certain that it is TLS. */
void flow__tls(struct flow *f);
/* A piece of a flow in FLOW_TLS. */
void flow__tls_piece(struct flow *f, enum weft_dir dir, const struct piece *p);
/* A piece of a flow that is off: it was TLS, and is recognised anew, because this is text. */
bool flow__tls_in_clear(struct flow *f, const struct piece *p);

/* half.c */
bool half__append(struct half *h, const struct piece *p, uint64_t call, bool fresh);
/* Throw away the first n buffered bytes; returns the events that ended in them. */
uint64_t half__consume(struct half *h, size_t n);
/* Run the parser over what is buffered. `gap_follows` as in struct proto_in. */
void half__run(struct flow *f, enum weft_dir dir, bool gap_follows);
/*
 * The other direction speaks, or this one ended: a message that was said to fill the turn is done.
 */
void half__end_rest(struct flow *f, enum weft_dir dir);
/* p->len bytes are missing. */
void half__missing(struct flow *f, enum weft_dir dir, const struct piece *p);
/*
 * A piece, captured or not, that is the rest of a message that fills its turn. False: there is none
 * such.
 */
bool half__absorb(struct flow *f, enum weft_dir dir, const struct piece *p);
/* A new turn: what was waited with is no beginning any more. */
void half__fresh(struct flow *f, enum weft_dir dir);
/*
 * Bytes that are neither buffered nor wanted pass by while the half skips; returns how many were
 * taken.
 */
uint32_t half__pass(struct flow *f, enum weft_dir dir, const struct piece *p);
void half__eof(struct flow *f, enum weft_dir dir);
void half__free(struct half *h, const struct protocol *proto);

/* exchange.c */
/* Of a keyed protocol, pending; NULL: none. */
struct exchange *exchange__by_key(const struct flow *f, uint64_t key);
/* The first byte of a request. */
bool exchange__start(struct flow *f, struct half *h);
/* The request is known (HEAD or DONE). */
void exchange__begin(struct flow *f, struct half *h);
void exchange__request_done(struct flow *f, struct half *h);
/*
 * Bytes of a response: h->x is set to what it answers, or stays NULL (keyed: until the message says
 * its key, which is not 0).
 */
void exchange__answer(struct flow *f, struct half *h);
void exchange__response_done(struct flow *f, struct half *h);
/* No more requests of this call will come: end what waits for no response (message.one_way). */
void exchange__end_one_way(struct flow *f);
/* resync() says that the message under way does not go on. */
void exchange__abandon_message(struct flow *f, struct half *h, enum proto_dir role);
/* What was consumed since the last message is a part of the exchange of its key. */
void exchange__part(struct flow *f, struct half *h, enum proto_dir role);
/* What was consumed since the last message belongs to no exchange. */
void exchange__ignore(struct flow *f, struct half *h, enum drop_reason why);
/*
 * End the exchanges whose request ended before turn `before`, with these flags; `ts` is when that
 * became clear.
 */
void exchange__give_up(struct flow *f, uint64_t before, unsigned flags, uint64_t ts);
/*
 * The next answer may be hidden in a gap; whose it was is known when the response's parser has
 * found its feet.
 */
void exchange__risk(struct flow *f);
/* It has: `kept` were not affected after all, the others are given up. */
void exchange__settle_risk(struct flow *f, bool kept);

#endif /* WEFT_FLOW_H */
