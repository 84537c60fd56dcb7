/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private to HTTP/2 (RFC 9113): frames, header tables, streams, fields, and how its files share
 * them.
 *
 *   http2.c          one direction's frames taken one after another; exchanges described
 *   http2_frame.c    what a frame header may look like; recognising HTTP/2; finding frames again
 *   http2_hpack.c    header tables, and what is known of them
 *   http2_learn.c    what is learnt of them from words for header blocks
 *   http2_table.c    ... and from a program's own header table
 *   http2_fields.c   what the fields of a header block say
 *   http2_exchange.c what the exchange on a stream was, in facts
 *   http2_stream.c   the streams that are open
 */
#ifndef WEFT_HTTP2_H
#define WEFT_HTTP2_H

#include <nghttp2/nghttp2.h>

#include "../lib/list.h"
#include "../lib/table.h"
#include "proto.h"

/* ---- frames (http2_frame.c) ---- */

enum frame_type {
	FRAME_DATA = 0,
	FRAME_HEADERS = 1,
	FRAME_PRIORITY = 2,
	FRAME_RST_STREAM = 3,
	FRAME_SETTINGS = 4,
	FRAME_PUSH_PROMISE = 5,
	FRAME_PING = 6,
	FRAME_GOAWAY = 7,
	FRAME_WINDOW_UPDATE = 8,
	FRAME_CONTINUATION = 9,
};

#define FLAG_ACK 0x1         /* SETTINGS, PING */
#define FLAG_END_STREAM 0x1  /* DATA, HEADERS */
#define FLAG_END_HEADERS 0x4 /* HEADERS, PUSH_PROMISE, CONTINUATION */
#define FLAG_PADDED 0x8      /* DATA, HEADERS, PUSH_PROMISE */
#define FLAG_PRIORITY 0x20   /* HEADERS */

#define FRAME_HEADER 9
#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define PREFACE_SIZE 24

struct frame {
	uint32_t len; /* of the payload */
	uint8_t type, flags;
	uint32_t stream;
};

/* The frame header at p, of which FRAME_HEADER bytes are there. */
struct frame frame__read(const uint8_t *p);
/* Could there be such a frame? Types that are not known may be anything. */
bool frame__valid(const struct frame *f);

static inline uint32_t frame__number(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

struct http2;

enum detect_result http2__detect(const uint8_t *data, size_t len);
/* Where frames of `dir` begin again in these bytes; -1: nowhere for certain. */
ssize_t http2__find_frames(const struct http2 *st, enum proto_dir dir, const struct proto_in *in);
/*
 * May the bytes begin with a header block that is not all here? Who reads header and payload by calls
 * of their own (Go, from TLS) never has a whole frame at the end of a call.
 */
bool http2__is_begun(const struct proto_in *in);

/* ---- header tables (http2_hpack.c) ---- */

/* A block as it was read, to find it again. */
struct hpack_seen {
	uint32_t stream, len;
	uint8_t bytes[TOLD_BLOCK];
	int64_t before, behind; /* hpack.added */
	int64_t oldest;         /* place of the oldest unseen entry that it refers to */
};

/* One direction's header table (RFC 7541). Zeroed: a connection's beginning. */
struct hpack {
	nghttp2_hd_inflater *inflater; /* made for the first block */
	bool blind;                    /* the table may hold entries that were not seen */
	bool wide;                     /* it may be larger than usual */
	/* http2_learn.c's, of a blind table */
	struct table learnt;  /* struct learnt, by place */
	struct list in_order; /* the same, oldest first; next NULL: not begun */
	int64_t added;        /* entries that were added since */
	struct list blocks;   /* with unknown fields, waiting for words */
	struct list words;    /* waiting for their block */
	unsigned n_blocks, n_words;
	unsigned quiet;           /* blocks since something was learnt */
	bool told;                /* a program has said anything */
	bool learnt_now;          /* an entry was */
	bool unknown;             /* something of the block being read is not known */
	struct hpack_block *last; /* it, if so, until hpack__block_is() */
	/* http2_table.c's */
	bool whole;         /* all that the table held was told */
	struct list tables; /* waiting for their block */
	unsigned n_tables;
	struct hpack_seen now;   /* the block being read */
	struct hpack_seen *seen; /* the last ones; NULL: none yet */
	unsigned n_seen;
};

enum hpack_result {
	HPACK_OK,
	/* an entry is missing that there should be: read the block once more, from its beginning */
	HPACK_AGAIN,
	/* no header block, or not one that can be read; the fields so far don't count */
	HPACK_BAD,
};

/* A field; an empty name: not known. Valid during the call. */
typedef void (*hpack_field_fn)(void *ctx, struct slice name, struct slice value);

/*
 * Read a block of n bytes; not `whole`: its end is missing, and with it what the table looks like
 * from here on.
 */
enum hpack_result hpack__read(struct hpack *h, const uint8_t *p, size_t n, bool whole,
			      hpack_field_fn fn, void *ctx);
/* Blocks may have passed unseen. */
void hpack__forget(struct hpack *h);
void hpack__fini(struct hpack *h);

/* What a field refers to. */
struct hpack_ref {
	uint32_t index; /* 0: nothing */
	bool alone;     /* that is all of it */
	bool adds;      /* it makes an entry */
};

#define HPACK_DYNAMIC 62 /* the first index that is not of the static table (RFC 7541, 2.3.3) */

/* ---- learning what a table holds (http2_learn.c); all of blind tables ---- */

/* Words for a block of `t->stream`. */
typedef void (*hpack_words_fn)(void *ctx, const struct told_fields *t);

/* A block is being read: its fields one after another, which may get to be known. */
void hpack__learn_begin(struct hpack *h, const uint8_t *p, size_t n);
void hpack__learn_field(struct hpack *h, const struct hpack_ref *ref, struct slice *name,
			struct slice *value);
void hpack__learn_end(struct hpack *h);
/*
 * Of which stream the block was that was just read; fn is called if there are words for it, or for
 * others that had none.
 */
void hpack__block_is(struct hpack *h, uint32_t stream, int trailing, hpack_words_fn fn, void *ctx);
/* Words for a block. True: it has been read already, and was waiting for them. */
bool hpack__words(struct hpack *h, const struct told_fields *t);
/* What the table holds; fn is called for the blocks that were waiting for it. */
void hpack__table(struct hpack *h, const struct told_table *t, hpack_words_fn fn, void *ctx);
/* Would words for the next blocks help? */
bool hpack__wants_words(const struct hpack *h);
void hpack__unlearn(struct hpack *h);

/* Do the n bytes look like a header block, and whose? Nothing is decoded. */
enum hpack_look { HPACK_NONE, HPACK_ANY, HPACK_REQUEST, HPACK_RESPONSE };
enum hpack_look hpack__look(const uint8_t *p, size_t n);

/* ---- fields (http2_fields.c) ---- */

enum http2_kind { KIND_UNKNOWN, KIND_HTTP, KIND_GRPC, KIND_GRPC_WEB }; /* by content-type */

/* Does a stream look like a gRPC call? By its bodies, and by trailers. */
enum http2_looks {
	LOOKS_UNKNOWN,
	LOOKS_OTHER, /* a body that does not begin as gRPC's do */
	LOOKS_ALIKE, /* one that does, or trailers */
	LOOKS_GRPC,  /* both */
};

/* How a stream ended. */
enum http2_end {
	END_STREAM,
	END_RESET_BY_REQUESTER,
	END_RESET_BY_RESPONDER,
	END_GOAWAY,
	END_UNSEEN,
};

/* message.data */
struct http2_message {
	/* a request's header block */
	struct slice method, target, authority, host, scheme, user_agent;
	struct slice x_forwarded_for, x_forwarded_proto, x_forwarded_host, forwarded;
	struct facts_context context;
	int64_t timeout_ns; /* grpc-timeout; -1 none */
	/* any block */
	enum http2_kind kind;
	bool unknown;              /* it has fields that are not known */
	bool request;              /* it has a request's pseudo fields */
	int status;                /* -1 none */
	int grpc_status;           /* -1 none */
	struct slice grpc_message; /* as sent */
	int64_t length;            /* content-length; -1 none */
	/* a response, when its stream has ended: what the stream was */
	bool ended;
	enum http2_end end;
	uint32_t code;                       /* of the reset */
	int64_t request_body, response_body; /* -1 unknown */
	bool whole; /* all that content-length announced has come, though the stream ended otherwise */
	enum http2_looks looks; /* what it is, where no content-type is known */
};

/* Empty m, and read a header block into it. False: it can't be read. */
bool http2__read_block(struct hpack *h, struct message *m, const uint8_t *p, size_t n, bool whole);

/* What a program says of m's block, where the wire does not. */
void http2__take_words(struct message *m, const struct told_fields *t);

/* ---- exchanges (http2_exchange.c) ---- */

/* struct protocol's. */
bool http2__describe(const void *state, struct message *const *reqs, struct message *const *resps,
		     size_t n, unsigned flags, struct arena *scratch, struct facts *out);

/* ---- streams (http2_stream.c) ---- */

#define STREAMS_MAX 1024
/*
 * A stream whose end may have passed unseen is given up when so many others were opened after that.
 */
#define DOUBT_MAX 256

/* A stream that a request opened and that has not ended. */
struct http2_stream {
	struct list link; /* in http2.open, oldest first */
	uint32_t id;
	enum http2_kind kind;
	int status, grpc_status;
	bool unknown;   /* fields of the response are not known */
	bool answered;  /* something of the response was seen */
	bool lost;      /* bytes of the response may have been lost */
	uint64_t doubt; /* its end may have passed unseen: http2.opened at that time; 0: no */
	int64_t request_body, response_body;
	int64_t length; /* the response's content-length; -1 none */
	bool trailers;  /* the response ended with some */
	bool messages;  /* a body begins with one message of gRPC's ... */
	bool other;     /* ... or can't */
};

struct http2_side {
	struct hpack hpack;
	bool preface;       /* REQ: the preface may still come */
	bool unsynced;      /* joined in the middle: no frame was found yet */
	bool in_block;      /* a header block that was not whole goes on in CONTINUATION frames */
	uint32_t frame_max; /* the largest payload that the other end allows */
	uint32_t ended;     /* stream that ends when the frame that passes now has passed; 0 none */
};

struct http2 {
	struct http2_side side[2];
	bool mid;           /* the connection's beginning was not seen */
	bool grpc, plain;   /* streams were seen that certainly were gRPC calls; that were none */
	struct table by_id; /* struct http2_stream */
	struct list open;
	uint32_t last_id; /* the last stream that the requester opened */
	uint64_t opened;  /* streams so far */
};

struct http2_stream *stream__get(const struct http2 *st, uint32_t id);
/* NULL: out of memory. */
struct http2_stream *stream__open(struct http2 *st, uint32_t id);
void stream__end(struct http2 *st, uint32_t id);
/*
 * Has all come that the response announced? Who asked may then end the stream, or the connection,
 * before END_STREAM has come.
 */
static inline bool stream__whole(const struct http2_stream *s)
{
	return s->length >= 0 && s->response_body == s->length;
}
/* A stream that has to be given up before another one is opened; NULL: none. */
struct http2_stream *stream__surplus(const struct http2 *st);
/* Bytes of `dir` were lost. */
void stream__lost(struct http2 *st, enum proto_dir dir);
void stream__end_all(struct http2 *st);

#endif /* WEFT_HTTP2_H */
