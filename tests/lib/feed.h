/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Made-up events through the real pipeline (conn, proto, span, trace), for tests of causality and
 * of the books: says who read and wrote what on which thread, and gets the spans back.
 *
 * Every call moves time on by one millisecond. Positions follow by themselves; the two ends of a
 * pair have the same ones.
 */
#ifndef WEFT_TEST_FEED_H
#define WEFT_TEST_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "../../bpf/event.h"
#include "../../user/call/call.h"
#include "../../user/conn/order.h"
#include "../../user/lib/balance.h"
#include "../../user/span/span.h"

#define FEED_CONNS 512
#define FEED_SPANS 8192

struct feed_conn {
	uint32_t pos[2];           /* by enum weft_dir */
	struct weft_policy policy; /* the last that was written; all 0: none was */
};

struct feed {
	struct balance books;
	uint64_t now; /* ns */
	struct feed_conn conns[FEED_CONNS];
	struct trace *traces[FEED_SPANS];
	unsigned n_traces, n_spans;
	struct span *spans[FEED_SPANS];
	uint16_t sleeps[256]; /* by thread modulo 256 */
	uint8_t turns[256];   /* likewise; 0: no event loop, or it does what was put off */
	/* of sessions and Unix sockets: calls of the hooks */
	unsigned forgotten, cipher_wanted, cipher_unwanted;
	/* private */
	struct processes *processes;
	struct tracer *tracer;
	struct calls *calls;
	struct engine *engine;
	struct conns *all;
	struct order *order;
};

struct feed *feed__new(void);
/* The same with --db-source and --protocol. */
struct feed *feed__new_calls(enum call_source source, uint64_t wanted);
/* Checks that the books add up, and frees. */
void feed__free(struct feed *f);
/* End of the run: everything is released. */
void feed__finish(struct feed *f);

void feed__process(struct feed *f, uint32_t pid, const char *service);
/* The same, with its telemetry.sdk.language. */
void feed__written_in(struct feed *f, uint32_t pid, const char *service, const char *language);
/*
 * A connection from 127.0.0.1:`port` to 127.0.0.1:`server_port`, as its client end or its server
 * end. `id` < FEED_CONNS.
 */
void feed__connect(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, uint16_t port,
		   uint16_t server_port);
void feed__accept(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, uint16_t port,
		  uint16_t server_port);
/*
 * One whose addresses are others at the other end; `port` tells which connection it is. UNKNOWN: it
 * was open before, and the greater port is the client's.
 */
void feed__translated(struct feed *f, unsigned id, uint32_t pid, uint16_t local, uint16_t remote,
		      enum weft_role role, uint16_t port);
/* One that was open before; its role is not known. */
void feed__preopen(struct feed *f, unsigned id, uint32_t pid, uint16_t local, uint16_t remote);
/*
 * One end of a Unix connection, just made: the kernel's addresses of this socket and of the other
 * one, which later connections may have again.
 */
void feed__unix(struct feed *f, unsigned id, uint32_t pid, enum weft_role role, uint64_t sock,
		uint64_t peer_sock);

void feed__write(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, const char *bytes);
void feed__read(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, const char *bytes);
/* A call of `len` bytes of which only those of `head` and `tail` were copied. */
void feed__cut(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, enum weft_dir dir,
	       const char *head, const char *tail, uint32_t len);
/* A call of `len` bytes, zeros among them, of which the first `head` were copied. */
void feed__bytes(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, enum weft_dir dir,
		 const void *bytes, uint32_t head, uint32_t len);
/*
 * A call that moves all `len` bytes, of which the `n` parts are shown: one at 0 as the record's
 * head, the others as its parts.
 */
void feed__parts(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, enum weft_dir dir,
		 const void *bytes, uint32_t len, const struct weft_part *parts, size_t n);
/*
 * A program's own words for a header block: "name=value\n" for each field, of `all` (0: not told).
 */
void feed__fields(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, enum weft_dir dir,
		  uint32_t stream, const char *fields, uint16_t all);
/*
 * A program's own header table: "name=value\n" for each entry, the newest first, its `size` as the
 * program counts (0: as it is), before or `behind` the block of a stream with these bytes, or (stream
 * 0) before that of these fields.
 */
struct feed_table {
	enum weft_dir dir;
	const char *entries;
	uint32_t size;
	uint32_t stream;
	bool behind;
	const void *block;
	uint32_t len;
	const char *fields;
	uint16_t all;
};

void feed__table(struct feed *f, unsigned id, uint32_t pid, uint32_t tid,
		 const struct feed_table *t);
/* Bytes that passed without an event: the ring was full. */
void feed__lose(struct feed *f, unsigned id, enum weft_dir dir, const char *bytes);
void feed__skip(struct feed *f, unsigned id, enum weft_dir dir, uint32_t len);
/* These bytes were written, says whoever reads next; feed__write() tells of them later, or not. */
void feed__written(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, const char *bytes);
void feed__eof(struct feed *f, unsigned id, uint32_t pid, uint32_t tid);
void feed__close(struct feed *f, unsigned id);
/* The thread goes to sleep before what it does next (any of at most 256 threads). */
void feed__sleep(struct feed *f, uint32_t tid);
/* The thread is an event loop, and its next turn begins. */
void feed__turn(struct feed *f, uint32_t tid);
/*
 * The thread's runtime says: it works for what was read so far from connection `id` (which was given
 * to feed__accept()); 0: for nothing that it knows.
 */
void feed__unit(struct feed *f, uint32_t pid, uint32_t tid, unsigned id);
/* The same, but it need not have got that far itself (WEFT_F_AHEAD). */
void feed__unit_ahead(struct feed *f, uint32_t pid, uint32_t tid, unsigned id);
/* The thread begins thread `child`; 0: it ends. */
void feed__thread(struct feed *f, uint32_t pid, uint32_t tid, uint32_t child);
/*
 * Trace context that goes beside what is written on or read from connection `id` next. Its trace id
 * is all `trace`, its span id all `span`; `cause`: it is that of the request that begins on this
 * connection at the position `cause_pos`, 0: of none.
 */
void feed__context(struct feed *f, unsigned id, uint32_t tid, enum weft_dir dir, uint8_t trace,
		   uint8_t span, unsigned cause, uint32_t cause_pos);
/*
 * A function of a client library returned: as struct weft_call. `begin` 0: it began half a
 * millisecond before; `more`: bytes of the text that were not captured.
 */
struct feed_call {
	enum weft_fn fn;
	uint64_t object, made, begin, count;
	int64_t ret, value;
	const char *text, *text2;
	uint32_t more;
};
void feed__call(struct feed *f, uint32_t pid, uint32_t tid, struct feed_call what);
/* The process ended. */
void feed__exit(struct feed *f, uint32_t pid);
/* A TLS session of the process; `key` is what its library calls it by. */
void feed__session(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, enum weft_role role,
		   bool from_start);
/*
 * A call of the library on the session: feed__enter(), what happens inside, feed__leave(); then what
 * it returned, with feed__write() or feed__read(). `sock`: the socket that it names, as id; 0 none.
 */
uint64_t feed__enter(struct feed *f);
void feed__leave(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, uint64_t begin,
		 unsigned sock);
/* Ciphertext that the session handed out or took in: all n bytes, of which 32 are shown. */
void feed__cipher(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, enum weft_dir dir,
		  const void *bytes, uint32_t n);
void feed__exec(struct feed *f, uint32_t pid);
/* Time passes without events. */
void feed__wait(struct feed *f, unsigned ms);

/*
 * The only span for which `key` is `value`; NULL (and a failed assertion) if there is none or more
 * than one.
 */
struct span *feed__span(struct feed *f, enum span_kind kind, const char *key, const char *value);
/* Is `parent` the parent of `child`, by this evidence? */
bool feed__is_child(const struct span *child, const struct span *parent, const char *source);
bool feed__is_root(const struct span *s);

#endif
