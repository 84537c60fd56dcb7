/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private to the PostgreSQL parser: what its files share.
 *
 *   postgres.c           the protocol: what is outstanding, lost bytes, what an exchange was
 *   postgres_request.c   what the requester says
 *   postgres_response.c  what the responder says
 *   postgres_wire.c      the shape of single messages: detection and finding a boundary after lost
 *                        bytes
 *   postgres_names.c     prepared statements and portals by name
 */
#ifndef WEFT_POSTGRES_H
#define WEFT_POSTGRES_H

#include "proto.h"

/* Query text kept for one statement. */
#define PG_TEXT_MAX 8192

static inline uint32_t pg__be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint16_t pg__be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

/* A name's length: NAMEDATALEN - 1. PostgreSQL looks at no more. */
#define PG_NAME_MAX 63

/* ---- postgres_wire.c ---- */

/* A header of direction `dir`: 0, or -1 if no message begins so. Looks at n <= 5 bytes. */
int pg_wire__check_header(enum proto_dir dir, const uint8_t *p, size_t n);
enum detect_result pg_wire__detect(const uint8_t *p, size_t n);
/*
 * The first message of a run of whole messages that ends exactly at p + n, as the last messages of
 * a call: its index, or -1. The run ends with ReadyForQuery (RESP) or with Sync, Flush, Query or
 * Terminate (REQ).
 */
ssize_t pg_wire__find_end(enum proto_dir dir, const uint8_t *p, size_t n);

/* ---- postgres_names.c ---- */

/* A query's text, shared by a statement and its portals. */
struct pg_text {
	unsigned refs;
	bool cut; /* longer than what is here */
	size_t n;
	char p[];
};

/* NULL when memory is out. Keeps at most PG_TEXT_MAX bytes. */
struct pg_text *pg_text__new(struct slice text, bool cut);
struct pg_text *pg_text__ref(struct pg_text *t); /* NULL stays NULL */
void pg_text__unref(struct pg_text *t);

struct pg_name;

/*
 * Bounded: the name that was not used for the longest time goes first; its text is unknown from
 * then on.
 */
struct pg_names {
	struct pg_name *names;
	unsigned n, cap;
	unsigned tick;
	size_t bytes; /* of texts */
};

/*
 * Replaces what has that name; takes a reference of its own. `t` NULL: the name exists, its text is
 * unknown.
 */
void pg_names__put(struct pg_names *t, struct slice name, struct pg_text *text);
/* Borrowed; NULL if unknown. */
struct pg_text *pg_names__get(struct pg_names *t, struct slice name);
void pg_names__remove(struct pg_names *t, struct slice name);
void pg_names__clear(struct pg_names *t);

/* ---- one connection ---- */

enum pg_op_kind {
	PG_OP_NONE,
	PG_OP_STARTUP,
	PG_OP_QUERY,
	PG_OP_FUNCTION,
	PG_OP_EXECUTE,
	PG_OP_PREPARE, /* Parse, Bind, Describe; no Execute */
	PG_OP_SYNC,
	PG_OP_COPY_END, /* CopyDone or CopyFail that was sent before the server asked for data */
	PG_OP_LOST,     /* requests that were not seen, up to the next Sync */
};

enum pg_fate { PG_FATE_OPEN, PG_FATE_SKIPPED, PG_FATE_UNKNOWN };

struct pg_op {
	uint64_t key;
	uint8_t kind; /* enum pg_op_kind */
	uint8_t fate; /* enum pg_fate: other than OPEN it ends without bytes */
	bool hidden;  /* others may hide behind it up to its Sync: it ends with ReadyForQuery */
	bool lost;  /* which answer is its own is not certain: ends as usual, but without status */
	bool cut;   /* the beginning of its answer was lost */
	bool bound; /* Parse or Bind belongs to it: their answers come first */
	uint16_t acks; /* answers that Parse, Bind, Describe and Close before it will have */
	uint32_t turn;
};

struct pg_state {
	char database[PG_NAME_MAX];
	uint8_t database_len;
	bool started;      /* StartupMessage was seen, or the connection was joined in the middle */
	uint8_t ssl_asked; /* an SSLRequest or GSSENCRequest waits for its one byte */
	bool encrypts;     /* it was answered with yes: TLS or GSS from here on */
	bool copy_in;      /* the server takes copied data: Sync and Flush mean nothing */
	bool failed;       /* the server skips to the next Sync */
	bool foreign;      /* what comes up to ReadyForQuery answers something that was not seen */
	bool idle;         /* the last thing the responder said was ReadyForQuery */
	bool hidden;       /* requests were lost before what comes next */
	bool gap;          /* requests of this Sync group were lost */
	bool joined;    /* in mid-connection, and nothing has shown yet that it was at rest then */
	bool suspect;   /* how many Syncs are outstanding is not certain */
	bool pipelined; /* was seen to send on before ReadyForQuery */
	uint32_t turn;  /* of the requester; grows with each, not always by one */
	uint64_t next_key;
	struct pg_op *ops; /* ring */
	unsigned first, n, cap;
	struct pg_text *text; /* of the Parse or Bind under way */
	uint16_t acks;
	struct pg_names statements, portals;
};

struct pg_message {
	enum pg_op_kind kind; /* request */
	bool begun;           /* something of it was seen */
	bool bound;           /* request: Parse or Bind is among it */
	/* request: what its Parse brought, to compare; NULL none */
	const struct pg_text *parsed;
	/* request: the text was sent with it, not before: its comment is of this execution */
	bool own_text;
	bool acked; /* response: an answer to Parse or Bind came */
	bool error, skipped, unknown;
	bool rows_lost; /* bytes were lost in it: rows can't be counted */
	bool rows_known;
	int64_t rows_seen; /* DataRows since the last completion */
	unsigned completions;
	unsigned acks;
	int64_t rows;
	struct slice query;
	char code[5];
	bool has_code;
	struct slice error_message;
};

/* ---- postgres.c: the queue of what is outstanding ---- */

/* NULL past its end. */
struct pg_op *pg_ops__at(struct pg_state *st, unsigned i);
bool pg_ops__is(struct pg_state *st, unsigned i, enum pg_op_kind kind);
/* NULL when there are too many, or memory is out. */
struct pg_op *pg_ops__push(struct pg_state *st, enum pg_op_kind kind);
void pg_ops__pop(struct pg_state *st);
void pg_ops__remove(struct pg_state *st, unsigned i);
/* Those that ReadyForQuery answers. */
unsigned pg_ops__groups(struct pg_state *st);
/* All from before that turn end without a status. */
void pg_ops__settle(struct pg_state *st, uint32_t before_turn);
/* NULL is none. */
bool pg_op__is_exchange(const struct pg_op *op);

static inline struct pg_message *pg__of(struct message *m)
{
	return m->data;
}

/*
 * A NUL-terminated string at *at, which moves behind it. False: its end is not here; *s is what is.
 */
bool pg__string(const uint8_t *p, size_t n, size_t *at, struct slice *s);

/* Only what is needed of a message is waited for; what is missing is not. */
static inline bool pg__enough(const struct proto_in *in, size_t total, size_t wanted)
{
	return in->len >= total || in->len >= wanted || in->gap_follows;
}

/* As parse() of struct protocol. */
ssize_t pg_request__parse(struct pg_state *st, const struct proto_in *in, struct message *m,
			  enum message_state *what);
ssize_t pg_response__parse(struct pg_state *st, const struct proto_in *in, struct message *m,
			   enum message_state *what);
/*
 * The requester begins a turn: where order was lost, and the responder is at rest, all from before
 * is over.
 */
void pg_request__begin_turn(struct pg_state *st);

#endif /* WEFT_POSTGRES_H */
