/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * proto/: from bytes to messages to exchanges.
 *
 * In:  ordered bytes of both directions of a connection, with the places where bytes are missing
 *      (from conn/).
 * Out: exchanges: a request and its response, with times, threads and positions (to trace/, through
 *      struct exchange_sink).
 * Owner: the engine (engine.c) owns per-connection protocol state and every exchange, until the
 *        sink releases it.
 *
 * A protocol file knows bytes and messages: no clocks, no sockets, no eBPF, no trace. It is one
 * file that defines one `const struct protocol` and one row in table.c. Parsers are pure over
 * (buffer, length): they never read past it, keep nothing that points into it (copy with
 * message__keep()), and do the same whatever way the bytes are cut into calls.
 */
#ifndef WEFT_PROTO_H
#define WEFT_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../lib/arena.h"
#include "../lib/slice.h"
#include "facts.h"

/*
 * Direction by role in the exchange, not by host: REQ flows from the requester (client) to the
 * responder (server).
 */
enum proto_dir { PROTO_REQ = 0, PROTO_RESP = 1 };

/*
 * A field of a header block, in a program's own words: true lengths, and as much of the text as is
 * known.
 */
struct told_field {
	struct slice name, value;
	uint32_t name_len, value_len;
};

#define TOLD_FIELDS_MAX 24

/* A header block of a stream: of `all` fields (0: nobody says how many) the first n. */
struct told_fields {
	uint32_t stream;
	size_t n, all;
	struct told_field f[TOLD_FIELDS_MAX];
};

#define TOLD_TABLE_MAX 128
#define TOLD_BLOCK 32

/*
 * A header table in a program's own words, before or behind a header block that is known by its
 * stream and its bytes, or (not sent yet) by its fields.
 */
struct told_table {
	uint32_t stream;    /* 0: it is known by its fields */
	uint32_t len;       /* of the block, bytes */
	struct slice block; /* the first of them, at most TOLD_BLOCK */
	bool behind;
	uint32_t size; /* of the table, as its owner counts */
	size_t n;      /* entries, the newest first */
	struct told_field entries[TOLD_TABLE_MAX];
	struct told_fields fields; /* of the block */
};

/* The request of a stream's exchange; NULL: none is pending. */
typedef struct message *(*told_request_fn)(void *ctx, uint32_t stream);

enum detect_result {
	DETECT_NO = -1,  /* certainly not this protocol */
	DETECT_MORE = 0, /* could be, not enough bytes to say */
	DETECT_REQ = 1,  /* these bytes are this protocol's, sent by a requester */
	DETECT_RESP = 2, /* these bytes are this protocol's, sent by a responder */
	/*
	 * The two below say the same, but less surely than a protocol with a magic word: taken only
	 * when no other protocol says DETECT_REQ/DETECT_RESP, and when the port or a second message
	 * agrees.
	 */
	DETECT_MAYBE_REQ = 3,
	DETECT_MAYBE_RESP = 4,
};

/* What a parser is shown: contiguous captured bytes of one direction. */
struct proto_in {
	const uint8_t *data;
	size_t len;
	/*
	 * data[0] is the first byte of a call that began a turn (the other direction spoke before,
	 * or the connection just began): a likely message boundary.
	 */
	bool fresh;
	/*
	 * protocol.frames: the kernel side has followed the frames of this direction, and data[0]
	 * begins one.
	 */
	bool framed;
	/*
	 * Bytes right behind data[len-1] are known to be missing (not captured or lost): waiting
	 * for them is in vain.
	 */
	bool gap_follows;
	/* data[len-1] is the last byte of a read or write call. */
	bool call_end;
};

/* What one message became after a parse() call. */
enum message_state {
	/* it began, or nothing began; more bytes of this direction belong to it */
	MESSAGE_PARTIAL = 0,
	/*
	 * REQ: enough is known for the exchange to exist (e.g. HTTP header block complete); goes
	 * on. RESP: the first part of the answer is known (e.g. status line); goes on.
	 */
	MESSAGE_HEAD,
	MESSAGE_DONE, /* complete at the position that was consumed */
	/* what was consumed belongs to no exchange (notice, push, interim response): start anew */
	MESSAGE_IGNORE,
	/*
	 * Keyed protocols only, whose messages are mixed with each other. What was consumed is a
	 * part of the exchange of m->key, in this direction; not m: start anew.
	 */
	MESSAGE_PART,
	/*
	 * REQ, keyed: what was consumed ends the exchange of m->key; m counts as its response (the
	 * client resets it).
	 */
	MESSAGE_ANSWER,
};

/* Limit of what one message may keep. */
#define MESSAGE_KEEP_MAX (32 * 1024)

/*
 * One message while it is parsed and after. The engine makes it (zeroed, `data` of
 * protocol.message_size bytes) before the first byte is shown, and keeps it until its exchange
 * ends.
 */
struct message {
	struct arena keep; /* for message__keep() */
	/* set by the parser when protocol.keyed: how a response finds its request; never 0 */
	uint64_t key;
	/* set by the parser: something it wanted was not captured (a long URL, a long query) */
	bool truncated;
	/* set by the parser: the exchange failed below the protocol, see `failure` */
	bool failed;
	const char *failure; /* static text for facts.failure */
	/* operations in this message, for protocols that batch (set by the parser; default 1) */
	unsigned ops;
	/*
	 * Set by resync() when this message goes on behind the gap (its exchange is then marked
	 * LOST_BYTES). Left false: the message is given up and a new, empty one is shown to
	 * parse(). The engine clears it before each resync().
	 */
	bool resumed;
	/*
	 * Set by the parser of a request that is DONE: no response will come (Redis with CLIENT
	 * REPLY OFF). Its exchange, or its part in a batch, is complete without one: resps[i] is
	 * NULL and EXCHANGE_NO_RESPONSE is not set.
	 */
	bool one_way;
	/*
	 * Set by the parser while a loss inside this message need not end it: whatever comes in the
	 * rest of this turn belongs to it, though it can't be followed through the gap (an array
	 * whose elements were not captured). Instead of asking resync(), the engine lets the turn's
	 * bytes pass unseen and takes the message as DONE when the other direction speaks (before
	 * those bytes are shown to parse()) or when this one ends; its exchange is marked
	 * LOST_BYTES. What else the hidden bytes held is not known, as after any loss: other
	 * exchanges outstanding (RESP), or what is asked further in this turn (REQ), are not
	 * paired.
	 */
	bool fills_turn;
	/*
	 * Set by the parser of a response that is DONE or ANSWER: a part of it that matters was
	 * lost (marks LOST_BYTES).
	 */
	bool lost;
	/*
	 * The same, of a keyed protocol: the response is given up, because its end may have passed
	 * unseen. Its exchange is marked CUT and LOST_BYTES, and ends with the last part of it that
	 * was seen.
	 */
	bool end_unseen;
	void *data; /* the protocol's own struct */
};

/*
 * Copy bytes that shall outlive the buffer; cut at the message's limit (then m->truncated is set).
 */
struct slice message__keep(struct message *m, struct slice s);

/* parse() results below zero */
/* not this protocol, or broken beyond going on: the engine resyncs at the next turn */
#define PARSE_BAD (-1)
/* the connection goes on in another protocol of ours (h2c): recognise these bytes anew */
#define PARSE_SWITCH (-3)
/*
 * the connection leaves this protocol for good (Upgrade, CONNECT, replication, STARTTLS): no more
 * capture, unless it goes on as TLS
 */
#define PARSE_LEAVE (-2)

/* What the engine tells describe() about how the exchange ended, besides the messages. */
enum exchange_flags {
	/* joined in the middle: only the response was seen (never becomes a span) */
	EXCHANGE_NO_REQUEST = 1 << 0,
	/* the connection ended, or weft did, before the response began */
	EXCHANGE_NO_RESPONSE = 1 << 1,
	EXCHANGE_CUT = 1 << 2,        /* the response began and its end was not seen */
	EXCHANGE_LOST_BYTES = 1 << 3, /* bytes inside it were lost and skipped over */
	EXCHANGE_RESET = 1 << 4,      /* the connection was closed before the response's end */
	/* weft ended before the response's end: says nothing about the exchange */
	EXCHANGE_STOPPED = 1 << 5,
};

struct protocol {
	const char *name; /* as in --protocol: "http", "postgres", "redis" */
	/* other accepted names, comma-separated, or NULL: "postgresql,pg" */
	const char *aliases;
	const char *title;  /* for people: "HTTP/1.0 and 1.1" */
	uint16_t port_hint; /* usual server port: may only break ties */
	/* responses find their request by message.key; else first in, first out */
	bool keyed;
	/* keyed, but by counting: after lost bytes a key is as uncertain as a place in a queue */
	bool counted;
	bool server_first; /* the responder may speak first (greeting) */
	/* requests that arrive complete in one call are one exchange (pipelines) */
	bool batches;
	size_t state_size;   /* per-connection state, zeroed; both directions share it */
	size_t message_size; /* struct that message.data points to, zeroed */
	/* mandatory: bytes of one direction that may wait for more; beyond: PARSE_BAD */
	size_t buffer_cap;
	/*
	 * Capture wanted once the protocol is known: head bytes of a call, of a turn, tail bytes;
	 * by enum proto_dir.
	 */
	struct {
		uint16_t call_cap;
		uint32_t turn_cap;
		uint8_t tail;
	} capture[2];
	/* its messages are HTTP/2's frames, which the kernel side can follow (WEFT_FRAMES) */
	bool frames;

	/*
	 * The first bytes of a direction (possibly in mid-connection). Never says REQ/RESP on a
	 * guess. len >= 1.
	 */
	enum detect_result (*detect)(const uint8_t *data, size_t len);
	/*
	 * Prepare `state` (already zeroed); may be NULL. `mid` says the connection's beginning was
	 * not seen.
	 */
	void (*init)(void *state, bool mid);
	/*
	 * Look at in->data and take one step: at most one message ends a call.
	 *  > 0  so many bytes are consumed; may exceed in->len: the bytes beyond are skipped as
	 *       they pass, captured or not, and *what takes effect when the last of them has passed
	 *  0    with *what PARTIAL: more bytes are needed; with *what DONE/IGNORE: a message ended
	 *       without bytes (call again)
	 *  < 0  PARSE_BAD, PARSE_LEAVE, PARSE_SWITCH
	 * `m` is the message of direction `dir` now under way.
	 */
	ssize_t (*parse)(void *state, enum proto_dir dir, const struct proto_in *in,
			 struct message *m, enum message_state *what);
	/*
	 * Bytes of `dir` were lost (or parse() said PARSE_BAD). Find a message boundary in
	 * in->data: returns its index and leaves the state such that parse() can go on there; -1:
	 * none here, ask again with what comes next (the same bytes and those behind them; a fresh
	 * call or another gap starts anew). `m` is what was under way: message.resumed says whether
	 * it goes on (its exchange is then marked LOST_BYTES) or is given up.
	 */
	ssize_t (*resync)(void *state, enum proto_dir dir, const struct proto_in *in,
			  struct message *m);
	/*
	 * The direction ended (EOF, close). What becomes of the message under way: DONE if its end
	 * is marked so (close-delimited body), else PARTIAL. May be NULL (PARTIAL).
	 */
	enum message_state (*eof)(void *state, enum proto_dir dir, struct message *m);
	/*
	 * Say what the exchange was. `resp` is NULL with EXCHANGE_NO_RESPONSE. For batches `req` is
	 * the first of `n` requests and `reqs`/`resps` are all of them (n >= 1, resps[i] may be
	 * NULL). Return false if it shall be no span at all (counted as protocol_control).
	 * `scratch` lives as long as the exchange.
	 */
	bool (*describe)(const void *state, struct message *const *reqs,
			 struct message *const *resps, size_t n, unsigned exchange_flags,
			 struct arena *scratch, struct facts *out);
	/*
	 * Header blocks whose fields can't all be read off the wire; may be NULL. wants_fields():
	 * words for the blocks of this direction would help. told_fields(): here are some, before or
	 * after the block itself; told_table(): here is the header table. `request` is asked for the
	 * requests that they say something of.
	 */
	bool (*wants_fields)(const void *state, enum proto_dir dir);
	void (*told_fields)(void *state, enum proto_dir dir, const struct told_fields *fields,
			    told_request_fn request, void *ctx);
	void (*told_table)(void *state, enum proto_dir dir, const struct told_table *table,
			   told_request_fn request, void *ctx);
	/* Free what `state` holds beyond itself; may be NULL. */
	void (*fini)(void *state);
	/* Free what message.data holds beyond keep; may be NULL. */
	void (*message_fini)(void *data);
};

/* table.c: all protocols, in the order in which detection asks them; ends with NULL. */
extern const struct protocol *const protocol_table[];

/*
 * Databases that are known by calls of their libraries alone (call/): their bytes are not
 * recognised, or there are none. Of these, name, aliases, title and describe() are set. Ends with
 * NULL.
 */
extern const struct protocol *const protocol_library_table[];

/*
 * Both tables as one, that of the libraries behind the other: the place is the protocol's bit in
 * what --protocol chose. NULL past the end.
 */
const struct protocol *protocol__at(size_t place);
/* Its place; -1: in neither table. */
int protocol__place(const struct protocol *p);

/* By name or alias, case ignored; NULL if unknown. */
const struct protocol *protocol__find(struct slice name);

/* A message of this protocol, empty; NULL: out of memory. */
struct message *message__new(const struct protocol *proto);
void message__free(struct message *m, const struct protocol *proto);

#endif /* WEFT_PROTO_H */
