/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private to HTTP/1: what a header block says (http1_head.c), for the framing of messages
 * (http1.c). Pure over (bytes, length).
 */
#ifndef WEFT_HTTP1_H
#define WEFT_HTTP1_H

#include "proto.h"

/* message.data. All of it is empty until the header block was read. */
struct http1_message {
	struct slice method, target, host, version, user_agent;
	struct slice x_forwarded_for, x_forwarded_proto, x_forwarded_host, forwarded;
	struct facts_context context;
	int status;
	int64_t body; /* -1 unknown */
};

enum line { LINE_NO = -1, LINE_MORE = 0, LINE_YES = 1 };

/*
 * Do these bytes begin with a start line? YES needs no line end: it is said when the version or the
 * status has been seen; with `cut` (more won't come, or need not) also for a known method and so
 * much of a path that it can't be anything else.
 */
enum line http1__start_line(enum proto_dir dir, const uint8_t *p, size_t len, bool cut);

enum detect_result http1__detect(const uint8_t *data, size_t len);

/* What a header block says of the body (RFC 9112, 6). */
struct http1_framing {
	bool has_length, coded,
		chunked; /* Content-Length; Transfer-Encoding, and whether it ends with chunked */
	bool bad;        /* Content-Length is none, or several that differ */
	bool expect;     /* Expect: 100-continue */
	bool h2c;        /* Upgrade: h2c, in a response */
	uint64_t length;
};

#define HTTP1_LENGTH_MAX (1ull << 60)

/*
 * Read a header block of `size` bytes into `m`; `cut`: its end is missing, what is there counts.
 * False: it is none.
 */
bool http1__read_request(struct message *m, const uint8_t *p, size_t size, bool cut,
			 struct http1_framing *f);
bool http1__read_response(struct message *m, const uint8_t *p, size_t size, bool cut,
			  struct http1_framing *f);

struct http1_line {
	size_t method;             /* bytes of it, at 0 */
	size_t target, target_end; /* as far as seen */
	size_t version;            /* index of "HTTP/1.x", whole with LINE_YES */
};

/* Where the header lines behind a whole request line at `p` begin; 0: it is none, or not whole. */
size_t http1__request_line(const uint8_t *p, size_t len, struct http1_line *line);
/* What that says, into `m`. */
void http1__keep_line(struct message *m, const uint8_t *p, const struct http1_line *line);

/* A connection's, of each direction: which of the header blocks that are kept it saw last. */
struct http1_last {
	uint8_t block, misses;
};

/*
 * If the bytes at `p` are a whole header block that says what one said before, byte by byte (of a
 * request: but for the request line): what reading it would do to `m` and *f, and its size. 0: it is
 * to be read.
 */
size_t http1__again(struct http1_last *last, enum proto_dir dir, struct message *m,
		    const uint8_t *p, size_t len, struct http1_framing *f);
/* A whole block was read, for the next time. */
void http1__remember(struct http1_last *last, enum proto_dir dir, struct message *m,
		     const uint8_t *p, size_t size, const struct http1_framing *f);

#endif /* WEFT_HTTP1_H */
