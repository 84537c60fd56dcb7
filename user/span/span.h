/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * span/: from exchanges to spans: semantic conventions, redaction, SQL, processes' resources.
 *
 * In:  what proto/ says of an exchange (struct facts), the connection's addresses, times.
 * Out: struct span, complete but for trace id and parent, which trace/ sets.
 * Owner: whoever holds a struct span owns it and frees it with span__free(); strings inside live in
 *        the span's arena.
 */
#ifndef WEFT_SPAN_H
#define WEFT_SPAN_H

#include <stdbool.h>
#include <stdint.h>

#include "../lib/arena.h"
#include "../lib/slice.h"

struct resource;

/* Numbers as in OTLP. */
enum span_kind {
	SPAN_INTERNAL = 1,
	SPAN_SERVER = 2,
	SPAN_CLIENT = 3,
	SPAN_PRODUCER = 4,
	SPAN_CONSUMER = 5
};
enum span_status { SPAN_UNSET = 0, SPAN_OK = 1, SPAN_ERROR = 2 };

enum attr_type { ATTR_STR, ATTR_INT, ATTR_BOOL, ATTR_DOUBLE };

struct attr {
	const char *key; /* static */
	union {
		const char *text; /* text_n bytes, valid UTF-8: attr__text() */
		int64_t i;
		bool b;
		double d;
	};
	uint32_t text_n;
	uint8_t type; /* enum attr_type */
	uint8_t key_len;
	uint16_t key_hash;
};

static inline struct slice attr__text(const struct attr *a)
{
	return slice__from(a->text, a->text_n);
}

/* Of less than 4 GiB, as all that a span holds. */
static inline void attr__set_text(struct attr *a, struct slice s)
{
	a->text = s.p;
	a->text_n = (uint32_t)s.n;
}

#define SPAN_ATTRS_MAX 40

struct span_link {
	uint8_t trace_id[16];
	uint8_t span_id[8];
	struct slice trace_state;
};

#define SPAN_LINKS_MAX 4

struct span {
	uint8_t trace_id[16];
	uint8_t span_id[8];
	uint8_t parent_id[8]; /* all zero: root */
	/* W3C trace flags, and whether the parent is remote (OTLP span flags) */
	uint32_t flags;
	struct slice trace_state;
	struct slice name;
	enum span_kind kind;
	enum span_status status;
	struct slice status_message;
	uint64_t start_ns, end_ns; /* Unix nanoseconds; end >= start */
	unsigned n_attrs, dropped_attrs;
	struct attr *attrs;
	unsigned n_links;
	struct span_link *links;         /* in the arena; few spans have any */
	const struct resource *resource; /* the traced process's; reference held */
	const char *protocol;            /* name of the protocol it came from, static */
	struct arena arena;
	/* private to span.c: which keys may be among attrs; room in attrs; the first room */
	uint64_t key_bits;
	unsigned cap_attrs;
	/*
	 * Thousands of spans wait for their trace and for the exporter: as much as nearly all need,
	 * and no more.
	 */
	struct attr first_attrs[16];
	_Alignas(8) char first_text[304];
};

struct span *span__new(void);
void span__free(struct span *s);

/*
 * Add an attribute; a key that is there already is overwritten. Strings are copied, made valid
 * UTF-8, and cut at SPAN_VALUE_MAX bytes on a character boundary. Beyond SPAN_ATTRS_MAX:
 * dropped_attrs counts it. Empty strings are not added.
 *
 * Keys are string literals of less than 256 bytes: what is hashed of them is known to the compiler.
 */
#define SPAN_VALUE_MAX 4096

struct span_key {
	const char *text;
	uint8_t len;
	uint16_t hash;
};

/* Chosen so that no two keys of an HTTP span, or of one of a database, have the same bit in key_bits. */
#define SPAN_KEY_SPREAD 0x99f16081u

static inline struct span_key span__key(const char *key)
{
	size_t n = __builtin_strlen(key);
	uint32_t h = (uint32_t)n;

	if (n)
		h = (((h * 31 + (uint8_t)key[0]) * 31 + (uint8_t)key[n / 4]) * 31 +
		     (uint8_t)key[n / 2]) *
		    31;
	if (n)
		h = ((h + (uint8_t)key[n * 3 / 4]) * 31 + (uint8_t)key[n - 1]) * SPAN_KEY_SPREAD;
	return (struct span_key){ key, (uint8_t)n, (uint16_t)(h >> 16) };
}

void span__put_str(struct span *s, struct span_key key, struct slice value);
/* A place for a key that may be there, or for which there may be no room (NULL). */
struct attr *span__find_place(struct span *s, struct span_key key);

/* The place for this key; NULL: there is none left. */
static inline struct attr *span__place(struct span *s, struct span_key key, enum attr_type type)
{
	/* Most keys are new to a span, and this says so without comparing. */
	uint64_t bit = 1ull << (key.hash & 63);
	bool new = !(s->key_bits & bit) && s->n_attrs < s->cap_attrs;
	struct attr *a = new ? &s->attrs[s->n_attrs++] : span__find_place(s, key);

	if (!a)
		return NULL;
	s->key_bits |= bit;
	a->key = key.text;
	a->type = type;
	a->key_len = key.len;
	a->key_hash = key.hash;
	return a;
}

/* A copy that lives as long as the span, as attributes are copied; empty if there is no room. */
struct slice span__own(struct span *s, struct slice value);
/* Not copied: valid UTF-8, at most SPAN_VALUE_MAX, and it lives as long as the span does. */
static inline void span__put_text(struct span *s, struct span_key key, struct slice value)
{
	struct attr *a = value.n ? span__place(s, key, ATTR_STR) : NULL;

	if (a)
		attr__set_text(a, value);
}

static inline void span__put_int(struct span *s, struct span_key key, int64_t value)
{
	struct attr *a = span__place(s, key, ATTR_INT);

	if (a)
		a->i = value;
}

void span__put_bool(struct span *s, struct span_key key, bool value);
void span__put_double(struct span *s, struct span_key key, double value);

static inline void span__set_str(struct span *s, const char *key, struct slice value)
{
	span__put_str(s, span__key(key), value);
}

/* For string literals, and what the span has copied before. */
static inline void span__set_text(struct span *s, const char *key, struct slice value)
{
	span__put_text(s, span__key(key), value);
}

static inline void span__set_int(struct span *s, const char *key, int64_t value)
{
	span__put_int(s, span__key(key), value);
}

static inline void span__set_bool(struct span *s, const char *key, bool value)
{
	span__put_bool(s, span__key(key), value);
}

static inline void span__set_double(struct span *s, const char *key, double value)
{
	span__put_double(s, span__key(key), value);
}

/* A new link, all zero; NULL: there are SPAN_LINKS_MAX, or no memory. */
struct span_link *span__add_link(struct span *s);

const struct attr *span__attr(const struct span *s, const char *key);

/*
 * The attributes of a traced process, shared by its spans; reference counted (atomic: exporters run
 * on other threads). The first attribute is service.name.
 */
struct resource_attr {
	char *key;
	enum attr_type type; /* ATTR_STR or ATTR_INT */
	char *s;
	int64_t i;
};

struct resource {
	int refs;
	uint32_t pid; /* 0: no process (packet capture) */
	unsigned n;
	struct resource_attr *attrs;
};

struct resource *resource__new(uint32_t pid, const char *service_name);
/* replaces an existing key */
void resource__add_str(struct resource *r, const char *key, const char *value);
void resource__add_int(struct resource *r, const char *key, int64_t value);
const char *resource__service(const struct resource *r);
struct resource *resource__ref(const struct resource *r);
void resource__unref(const struct resource *r);

/*
 * A finished trace: spans whose ids are all set, parents before children where both are here. What
 * sinks (view/, exporter/) get. Reference counted, atomic; the last unref frees the spans. Nothing
 * in it changes any more.
 */
struct trace {
	int refs;
	unsigned n, room; /* of `spans`: used, allocated */
	struct span *spans[];
};

/* Room for so many spans, none in it; NULL: memory is out. */
struct trace *trace__for(unsigned room);
struct trace *trace__new(struct span **spans, unsigned n); /* takes the spans and the array */
struct trace *trace__ref(struct trace *t);
void trace__unref(struct trace *t);

/*
 * Where finished traces go. A sink that keeps the trace takes a reference. Called on one thread
 * only.
 */
struct trace_sink {
	void (*fn)(void *ctx, struct trace *t);
	void *ctx;
};

#endif /* WEFT_SPAN_H */
