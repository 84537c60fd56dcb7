// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * GnuTLS. While a session is corked, gnutls_record_send takes what it is given and returns its
 * length as always; what gnutls_record_uncork then sends has been counted.
 *
 * gnutls_record_recv_packet gives a buffer of the library's own: the length is seen, the bytes are
 * not. Not seen are early data.
 */
#include "table.h"

#define MOVES(function, direction, buffer, length)                                                 \
	.symbol = (function), .desc = {                                                            \
		.what = (direction),                                                               \
		.result = PROBE_RESULT_LEN,                                                        \
		.object = 1,                                                                       \
		.buf = (buffer),                                                                   \
		.len = (length),                                                                   \
	}
#define WORKS(function, kind, more_flags)                                                          \
	.symbol = (function), .desc = {                                                            \
		.what = (kind),                                                                    \
		.flags = PROBE_INT | (more_flags),                                                 \
		.object = 1,                                                                       \
	}

static const struct probe_func funcs[] = {
	{ MOVES("gnutls_record_recv", PROBE_TLS_READ, 2, 3) },
	{ MOVES("gnutls_record_recv_seq", PROBE_TLS_READ, 2, 3), .optional = true },
	{ MOVES("gnutls_record_recv_packet", PROBE_TLS_READ, 0, 0), .optional = true },
	/* From 3.6.3 on it is a jump to gnutls_record_send2. */
	{ MOVES("gnutls_record_send", PROBE_TLS_WRITE, 2, 3), .unless = "gnutls_record_send2" },
	{ MOVES("gnutls_record_send2", PROBE_TLS_WRITE, 2, 3), .optional = true },
	{ MOVES("gnutls_record_send_range", PROBE_TLS_WRITE, 2, 3), .optional = true },
	/* It moves nothing by itself, and hides the gnutls_record_send inside. */
	{ .symbol = "gnutls_record_uncork",
	  .optional = true,
	  .desc = { .what = PROBE_TLS_WRITE,
		    .result = PROBE_RESULT_OUT,
		    .flags = PROBE_INT,
		    .object = 1 } },
	{ WORKS("gnutls_handshake", PROBE_TLS_OTHER, PROBE_BEGINS) },
	/* A server that asks for another handshake: so this one is not the session's first. */
	{ WORKS("gnutls_rehandshake", PROBE_TLS_OTHER, 0), .optional = true },
	{ WORKS("gnutls_bye", PROBE_TLS_SHUTDOWN, 0) },
	{ WORKS("gnutls_deinit", PROBE_TLS_END, 0) },
	{ 0 },
};

static const char *const names[] = { "libgnutls", NULL };

const struct probe_library probe_gnutls = {
	.name = "gnutls",
	.title = "GnuTLS",
	.area = PROBE_AREA_TLS,
	.sonames = names,
	.marker = "gnutls_record_recv",
	.funcs = funcs,
};
