// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * OpenSSL 1.1 and 3, and those who kept its functions: BoringSSL, LibreSSL.
 *
 * A function that calls another of these for the same session (SSL_connect ends in
 * SSL_do_handshake, SSL_write_early_data calls SSL_write_ex) counts once: the kernel side takes the
 * outermost.
 *
 * Where a session begins is told by SSL_set_connect_state and SSL_set_accept_state, which throw
 * away all that was and which SSL_connect and SSL_accept call by themselves, and by SSL_clear, which
 * every first handshake calls. A handshake function would not do: on a session whose handshake is
 * long over it returns at once.
 *
 * Not here, because they hand over no plaintext that isn't seen already: SSL_sendfile (sends a
 * file's pages through kernel TLS, where the socket shows the plaintext). Not seen: a BIO of type
 * BIO_f_ssl, which goes to the record layer by functions without names.
 */
#include "table.h"

/* With an int that is the length, or an error. */
#define MOVES(function, direction)                                                                 \
	{                                                                                          \
		.symbol = (function),                                                              \
		.desc = { .what = (direction),                                                     \
			  .result = PROBE_RESULT_LEN,                                              \
			  .flags = PROBE_INT,                                                      \
			  .object = 1,                                                             \
			  .buf = 2,                                                                \
			  .len = 3 },                                                              \
	}
/* With 1 for success, the length in a size_t behind argument `n`; OpenSSL 1.1.1, LibreSSL 3.3. */
#define MOVES_EX(function, direction, n)                                                           \
	{                                                                                          \
		.symbol = (function), .optional = true,                                            \
		.desc = { .what = (direction),                                                     \
			  .result = PROBE_RESULT_OUT,                                              \
			  .flags = PROBE_INT,                                                      \
			  .object = 1,                                                             \
			  .buf = 2,                                                                \
			  .len = 3,                                                                \
			  .out = (n) },                                                            \
	}
#define WORKS(function, kind, more_flags)                                                          \
	{                                                                                          \
		.symbol = (function),                                                              \
		.desc = { .what = (kind), .flags = PROBE_INT | (more_flags), .object = 1 },        \
	}
#define CIPHER(function, direction)                                                                \
	{                                                                                          \
		.symbol = (function), .optional = true, .on_demand = true,                         \
		.desc = { .what = (direction), .flags = PROBE_INT, .buf = 2, .len = 3 },           \
	}

/* Ciphertext goes through the session's BIOs, and libssl has no other way to them. */
#define CIPHER_FUNCS CIPHER("BIO_read", PROBE_CIPHER_IN), CIPHER("BIO_write", PROBE_CIPHER_OUT)

static const struct probe_func ssl_funcs[] = {
	MOVES("SSL_read", PROBE_TLS_READ),
	MOVES("SSL_write", PROBE_TLS_WRITE),
	MOVES_EX("SSL_read_ex", PROBE_TLS_READ, 4),
	MOVES_EX("SSL_write_ex", PROBE_TLS_WRITE, 4),
	/* OpenSSL 3.3: argument 4 is a word of flags */
	MOVES_EX("SSL_write_ex2", PROBE_TLS_WRITE, 5),
	/* Early data; 2 is returned when there is no more of it, and then nothing was read. */
	MOVES_EX("SSL_read_early_data", PROBE_TLS_READ, 4),
	MOVES_EX("SSL_write_early_data", PROBE_TLS_WRITE, 4),
	/* What is peeked at stays, and is read later. */
	WORKS("SSL_peek", PROBE_TLS_OTHER, 0),
	{ .symbol = "SSL_peek_ex",
	  .optional = true,
	  .desc = { .what = PROBE_TLS_OTHER, .flags = PROBE_INT, .object = 1 } },
	WORKS("SSL_do_handshake", PROBE_TLS_OTHER, 0),
	WORKS("SSL_connect", PROBE_TLS_OTHER, PROBE_CLIENT),
	WORKS("SSL_accept", PROBE_TLS_OTHER, PROBE_SERVER),
	WORKS("SSL_set_connect_state", PROBE_TLS_END, PROBE_CLIENT | PROBE_BEGINS),
	WORKS("SSL_set_accept_state", PROBE_TLS_END, PROBE_SERVER | PROBE_BEGINS),
	WORKS("SSL_shutdown", PROBE_TLS_SHUTDOWN, 0),
	WORKS("SSL_free", PROBE_TLS_END, 0),
	WORKS("SSL_clear", PROBE_TLS_END, PROBE_BEGINS),
	CIPHER_FUNCS,
	{ 0 },
};

static const struct probe_func crypto_funcs[] = { CIPHER_FUNCS, { 0 } };

static const char *const ssl_names[] = { "libssl", NULL };
static const char *const crypto_names[] = { "libcrypto", NULL };
static const char *const ssl_inside[] = { "ssl", "tcnative", "libnode", NULL };

const struct probe_library probe_openssl = {
	.name = "openssl",
	.title = "OpenSSL",
	.area = PROBE_AREA_TLS,
	.sonames = ssl_names,
	.marker = "SSL_write",
	.inside = ssl_inside,
	.funcs = ssl_funcs,
};

/* The same library's other file. */
const struct probe_library probe_openssl_crypto = {
	.name = "openssl",
	.title = "OpenSSL",
	.area = PROBE_AREA_TLS,
	.sonames = crypto_names,
	.funcs = crypto_funcs,
};
