/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The outside of TLS: records as they lie on the wire (RFC 8446, 5.1; the same since SSL 3.0). */
#ifndef WEFT_TLS_RECORD_H
#define WEFT_TLS_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_HEADER 5
/* RFC 5246, 6.2.3: what encryption may add to 2^14 bytes of plaintext */
#define TLS_BODY_MAX (16384 + 2048)

enum tls_type {
	TLS_CHANGE_CIPHER_SPEC = 20,
	TLS_ALERT = 21,
	TLS_HANDSHAKE = 22,
	TLS_APPLICATION_DATA = 23,
};

enum tls_handshake { TLS_CLIENT_HELLO = 1, TLS_SERVER_HELLO = 2 };

struct tls_record {
	enum tls_type type;
	uint32_t len; /* of the body behind the header */
};

/* Can a record begin with this header, as far as it is here? */
static inline bool tls_record__may_begin(const uint8_t *p, size_t n)
{
	if (n > 0 && (p[0] < TLS_CHANGE_CIPHER_SPEC || p[0] > TLS_APPLICATION_DATA))
		return false;
	if (n > 1 && p[1] != 3)
		return false;
	return n < 3 || p[2] <= 4;
}

/* Is p[0..n) a record's header, and what follows it? */
static inline bool tls_record__read(const uint8_t *p, size_t n, struct tls_record *r)
{
	if (n < TLS_HEADER || !tls_record__may_begin(p, n))
		return false;
	r->type = p[0];
	r->len = (uint32_t)p[3] << 8 | p[4];
	return r->len && r->len <= TLS_BODY_MAX;
}

/*
 * Does a call that moved these bytes begin with a record? All headers that can be seen must be
 * headers.
 */
static inline bool tls_record__begins(const uint8_t *p, size_t n)
{
	struct tls_record r;

	if (!tls_record__read(p, n, &r))
		return false;
	while (n > TLS_HEADER + (size_t)r.len) {
		p += TLS_HEADER + r.len;
		n -= TLS_HEADER + r.len;
		if (!tls_record__may_begin(p, n < 3 ? n : 3))
			return false;
		if (!tls_record__read(p, n, &r))
			return n < TLS_HEADER;
	}
	return true;
}

/* Text is no ciphertext: sixteen random bytes are all of it once in millions of times. */
static inline bool tls_record__is_text(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((p[i] < 0x20 || p[i] > 0x7e) && p[i] != '\r' && p[i] != '\n' && p[i] != '\t')
			return false;
	return true;
}

#endif /* WEFT_TLS_RECORD_H */
