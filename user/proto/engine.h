/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The engine: recognises each connection's protocol, runs its parser over the pieces of both
 * directions, and pairs requests with responses. What it hands on is the exchange.
 */
#ifndef WEFT_ENGINE_H
#define WEFT_ENGINE_H

#include "../conn/conn.h"
#include "../lib/balance.h"
#include "../lib/list.h"
#include "proto.h"

/*
 * A request and its response. Made when the first byte of the request was seen; handed to
 * exchange_sink.begin when the request is known to be one, and to .end exactly once after that.
 * Owned by the engine until .end, then by the sink, which frees it with exchange__free(). All times
 * are CLOCK_BOOTTIME ns, 0 unknown.
 */
enum exchange_seen {
	EXCHANGE_ON_WIRE = 0, /* on a connection */
	/*
	 * In calls of a library, its connection, if there is one, unknown or of no interest: made
	 * and answered within one call of one thread ...
	 */
	EXCHANGE_IN_CALL,
	EXCHANGE_IN_CALLS, /* ... or asked with one call and answered with others */
};

struct exchange {
	struct list link;  /* in its flow */
	struct conn *conn; /* valid until .end returned */
	const struct protocol *proto;
	const void *state; /* the protocol's, for describe(); valid until .end returned */
	bool server;       /* the traced process is the responder */
	/* the requester is the connection's local end (in a packet capture: either) */
	bool local_asks;
	unsigned flags; /* enum exchange_flags */
	size_t n;       /* requests: 1, or more in a batch */
	size_t n_answered;
	struct message **reqs, **resps; /* n each; resps[i] NULL while unanswered */
	struct message *one[2];         /* private: room for one of each */
	uint64_t req_start, req_end;    /* first and last byte of the request(s) */
	uint64_t resp_start, resp_end;
	bool first; /* the request's first byte is the connection's */
	/* stream position of the request's first byte (struct weft_data.off) */
	uint32_t req_pos;
	uint32_t pid; /* who moved the request's first byte */
	/* threads that moved the first request byte and the last response byte */
	uint32_t req_tid, resp_tid;
	uint64_t events;    /* data events that belong to it */
	bool begun;         /* .begin was called */
	uint64_t call;      /* private: which call its request came in */
	uint64_t done_call; /* private: the call its request ended in */
	uint64_t turn;      /* private: the turn its request ended in */
	/* private: other requests may have been lost before it: no answer is certainly its own */
	bool doubtful;
	/* private: its answer may be among bytes that were not captured */
	bool at_risk;
	enum exchange_seen seen;
	bool told;  /* call/'s: a library has told of it, and this is not passed on */
	void *node; /* trace/'s */
};

/* Zeroed, with room for one request and its answer; NULL: memory is out. */
struct exchange *exchange__new(void);
void exchange__free(struct exchange *x);

struct exchange_sink {
	void *ctx;
	/*
	 * The request is known. For a batch: called once more for each request that joins, with its
	 * position.
	 */
	void (*begin)(void *ctx, struct exchange *x, uint32_t req_pos);
	/* A call of this thread moved bytes of the exchange's request or response (after begin). */
	void (*moved)(void *ctx, struct exchange *x, enum proto_dir dir, uint32_t tid, uint64_t ts);
	/*
	 * This thread wrote an answer to a request that was not seen: it was asked before weft came,
	 * or lost. May be NULL.
	 */
	void (*strange_answer)(void *ctx, uint32_t pid, uint32_t tid);
	/* Complete, or given up (flags say). Takes the exchange. */
	void (*end)(void *ctx, struct exchange *x);
	/*
	 * The rest is call/'s, which hears of some exchanges twice; the engine does not use it.
	 * number: names an exchange that began, also after .end; 0: it has none.
	 */
	uint64_t (*number)(void *ctx, const struct exchange *x);
	/*
	 * It began at `start` and lasted to `end` at least (0: not known), and so many pending
	 * events more belong to it. False: its span has left already, nothing was done.
	 */
	bool (*stretch)(void *ctx, uint64_t number, uint64_t start, uint64_t end, uint64_t events);
	/*
	 * It becomes no span, since `heir` (0: none) tells of the same: what it was the parent of,
	 * that one is. False: its span has left already.
	 */
	bool (*withdraw)(void *ctx, uint64_t number, uint64_t heir);
};

/* What the engine says of connections to conn/; members may be NULL. */
struct policy_sink {
	void *ctx;
	/* The connection's capture policy should be another from now on. */
	void (*fn)(void *ctx, struct conn *c, const struct weft_policy *policy);
	/* Its bytes are TLS: conn->tls is to be set. */
	void (*tls)(void *ctx, struct conn *c);
};

struct engine;

/* `wanted`: bit i is protocol_table[i]; others are recognised and let go. NULL: out of memory. */
struct engine *engine__new(uint64_t wanted, const struct exchange_sink *sink,
			   const struct policy_sink *policy, struct balance *books);
/* The sink to give to conn/. */
struct conn_sink engine__conn_sink(struct engine *e);
/*
 * weft ends: exchanges that are still open when their connection is closed now were not cut off by
 * anybody else.
 */
void engine__stop(struct engine *e);
void engine__free(struct engine *e);

#endif /* WEFT_ENGINE_H */
