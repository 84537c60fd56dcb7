/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Made-up TLS: records and hellos as bytes, and the events of a program that speaks it. */
#ifndef WEFT_TEST_TLS_FEED_H
#define WEFT_TEST_TLS_FEED_H

#include <stdio.h>

#include "../../user/conn/conn.h"
#include "feed.h"

#define TLS_PID 100
#define TLS_TID 101
#define TLS_OK200 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

struct fake {
	uint8_t b[512];
	uint32_t n;
};

/* One record whose body is random: the same for the same seed. */
struct fake fake__record(uint8_t type, uint32_t len, unsigned seed);
struct fake fake__app_data(uint32_t len, unsigned seed);
/* Hellos of one library differ in their random numbers alone. */
struct fake fake__client_hello(const char *sni, unsigned seed);
/* TLS 1.3; `alpn` "": none; seed 0: HelloRetryRequest. */
struct fake fake__server_hello(const char *alpn, unsigned seed);
void fake__add(struct fake *to, const void *p, uint32_t n);

/* A socket call of TLS_PID that moves these bytes, all of which are copied. */
void feed__wire(struct feed *f, unsigned conn, uint32_t tid, enum weft_dir dir, struct fake b);
/* OpenSSL reads a record's header and its body by calls of their own. */
void feed__wire_read(struct feed *f, unsigned conn, uint32_t tid, struct fake b);
/* A new session's whole handshake, at the client's end, within one call of the library. */
void feed__handshake(struct feed *f, unsigned conn, unsigned session, uint32_t tid, unsigned seed);
/* GET `path`, on the session; and its answer. */
void feed__get(struct feed *f, unsigned session, uint32_t tid, const char *path);
void feed__get_ok(struct feed *f, unsigned session, uint32_t tid, const char *path);

/* ---- what became of it ---- */

static inline long number_of(const struct span *s, const char *key)
{
	const struct attr *a = span__attr(s, key);

	return a ? (long)a->i : -1;
}

static inline bool text_is(const struct span *s, const char *key, const char *value)
{
	const struct attr *a = span__attr(s, key);

	return a && slice__eq(attr__text(a), slice__cstr(value));
}

static inline struct span *url(struct feed *f, const char *path)
{
	char full[128];

	snprintf(full, sizeof(full), "https://shop%s", path);
	return feed__span(f, SPAN_CLIENT, "url.full", full);
}

static inline bool linked(const struct feed *f, unsigned session)
{
	return f->conns[session].policy.linked;
}

static inline const struct session_counts *counts(struct feed *f)
{
	return conns__session_counts(f->all);
}

#endif
