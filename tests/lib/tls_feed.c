// SPDX-License-Identifier: GPL-2.0-or-later
#include "tls_feed.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* The same for the same seed, random for another. */
static void noise(uint8_t *p, size_t n, unsigned seed)
{
	uint64_t x = seed * 0x9e3779b97f4a7c15ull + 0x1234567;

	for (size_t i = 0; i < n; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[i] = (uint8_t)(x >> 24);
	}
}

struct fake fake__record(uint8_t type, uint32_t len, unsigned seed)
{
	struct fake r = { .b = { type, 3, 3, (uint8_t)(len >> 8), (uint8_t)len }, .n = len + 5 };

	cr_assert(r.n <= sizeof(r.b));
	noise(r.b + 5, len, seed);
	return r;
}

struct fake fake__app_data(uint32_t len, unsigned seed)
{
	return fake__record(23, len, seed);
}

void fake__add(struct fake *to, const void *p, uint32_t n)
{
	cr_assert(to->n + n <= sizeof(to->b));
	memcpy(to->b + to->n, p, n);
	to->n += n;
}

static void number(struct fake *to, uint32_t v, unsigned bytes)
{
	while (bytes--)
		to->b[to->n++] = (uint8_t)(v >> (8 * bytes));
}

/* The lengths of the record, the message and its extensions are known at the end. */
static void close_hello(struct fake *h, uint32_t ext)
{
	h->b[3] = (uint8_t)((h->n - 5) >> 8);
	h->b[4] = (uint8_t)(h->n - 5);
	h->b[7] = (uint8_t)((h->n - 9) >> 8);
	h->b[8] = (uint8_t)(h->n - 9);
	h->b[ext] = (uint8_t)((h->n - ext - 2) >> 8);
	h->b[ext + 1] = (uint8_t)(h->n - ext - 2);
}

/* Hellos of one library differ in their random numbers alone. */
struct fake fake__client_hello(const char *sni, unsigned seed)
{
	struct fake h = { .b = { 22, 3, 1, 0, 0, 1, 0, 0, 0, 3, 3 }, .n = 11 };
	uint32_t n = (uint32_t)strlen(sni), ext;

	noise(h.b + h.n, 32, seed);
	h.n += 32;
	number(&h, 0, 1); /* session id */
	number(&h, 2, 2); /* cipher suites */
	number(&h, 0x1301, 2);
	number(&h, 0x0100, 2); /* compression */
	ext = h.n;
	number(&h, 0, 2);
	number(&h, 0, 2); /* server_name */
	number(&h, n + 5, 2);
	number(&h, n + 3, 2);
	number(&h, 0, 1);
	number(&h, n, 2);
	fake__add(&h, sni, n);
	close_hello(&h, ext);
	return h;
}

struct fake fake__server_hello(const char *alpn, unsigned seed)
{
	static const uint8_t retry[] = { 0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11,
					 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
					 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e,
					 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c };
	struct fake h = { .b = { 22, 3, 3, 0, 0, 2, 0, 0, 0, 3, 3 }, .n = 11 };
	uint32_t n = (uint32_t)strlen(alpn), ext;

	if (seed)
		noise(h.b + h.n, 32, seed);
	else
		memcpy(h.b + h.n, retry, 32);
	h.n += 32;
	number(&h, 0, 1);
	number(&h, 0x1301, 2);
	number(&h, 0, 1);
	ext = h.n;
	number(&h, 0, 2);
	number(&h, 43, 2); /* supported_versions */
	number(&h, 2, 2);
	number(&h, 0x0304, 2);
	if (n) {
		number(&h, 16, 2);
		number(&h, n + 3, 2);
		number(&h, n + 1, 2);
		number(&h, n, 1);
		fake__add(&h, alpn, n);
	}
	close_hello(&h, ext);
	return h;
}

/* ---- events ---- */

/* A socket call that moves these bytes, as much of them copied as the policy would have it. */
void feed__wire(struct feed *f, unsigned conn, uint32_t tid, enum weft_dir dir, struct fake b)
{
	feed__bytes(f, conn, TLS_PID, tid, dir, b.b, b.n, b.n);
}

/* OpenSSL reads a record's header and its body by calls of their own. */
void feed__wire_read(struct feed *f, unsigned conn, uint32_t tid, struct fake b)
{
	feed__bytes(f, conn, TLS_PID, tid, WEFT_IN, b.b, 5, 5);
	feed__bytes(f, conn, TLS_PID, tid, WEFT_IN, b.b + 5, b.n - 5, b.n - 5);
}

/* A whole handshake, seen by the program's client end, within one call of the library. */
void feed__handshake(struct feed *f, unsigned conn, unsigned session, uint32_t tid, unsigned seed)
{
	feed__session(f, session, TLS_PID, tid, WEFT_ROLE_CLIENT, true);
	uint64_t begin = feed__enter(f);

	feed__wire(f, conn, tid, WEFT_OUT, fake__client_hello("shop.example", seed));
	feed__wire_read(f, conn, tid, fake__server_hello("http/1.1", seed + 1000));
	feed__leave(f, session, TLS_PID, tid, begin, 0);
}

void feed__get(struct feed *f, unsigned session, uint32_t tid, const char *path)
{
	char text[128];

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: shop\r\n\r\n", path);
	feed__write(f, session, TLS_PID, tid, text);
}

void feed__get_ok(struct feed *f, unsigned session, uint32_t tid, const char *path)
{
	feed__get(f, session, tid, path);
	feed__read(f, session, TLS_PID, tid, TLS_OK200);
}
