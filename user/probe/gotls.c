// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * crypto/tls of Go, from Go 1.17 on (arguments in registers). Offsets of fields that are followed
 * for PROBE_GO_CONN were compared in the debug information of Go 1.19 to 1.26; they are the same.
 *
 * A *tls.Conn has no other ways for plaintext than Read and Write (no ReadFrom, no WriteTo: io.Copy
 * and net/http's file answers end in Write). The error beside the length does not matter: Read
 * may return both bytes and io.EOF.
 *
 * What is written is told when it is handed to writeRecordLocked, which encrypts and sends it, and
 * not when Write returns: one goroutine writes and another reads, and by then that one has often
 * read the answer. The first argument is the type of the record: 23 is application data. If sending
 * fails, the connection is over.
 *
 * Read and Write begin with a handshake if there was none, and call clientHandshake or
 * serverHandshake once, through a function value that tls.Client or tls.Server put there. So these
 * two say whose side it is, and are where a session begins; Handshake, HandshakeContext and
 * handshakeContext are called for each Read and Write and say nothing. (A client that allows
 * renegotiation, which is off by default and gone in TLS 1.3, calls clientHandshake again: its
 * session is then two.)
 *
 * Close ends the session: net/http, its HTTP/2 and grpc-go call it, and a *tls.Conn that was
 * closed can't be used again. Who closes only the connection below leaves the session to be ended
 * by the next handshake at the same address, or by the process's end.
 *
 * `write` hands ciphertext to the connection below. It tells over which socket a session goes
 * whose connection is not a *net.TCPConn, but a type of the program's around one.
 */
#include "table.h"

#define APPLICATION_DATA 23 /* RFC 8446, 5.1 */

#define WORKS(function, kind, more_flags, may_lack)                                                \
	{                                                                                          \
		.symbol = "crypto/tls.(*Conn)." function, .optional = (may_lack),                  \
		.desc = { .what = (kind),                                                          \
			  .abi = PROBE_ABI_GO,                                                     \
			  .flags = PROBE_GO_CONN | (more_flags),                                   \
			  .object = 1 },                                                           \
	}

/* The linker leaves out what a program does not call; clients need no serverHandshake. */
static const struct probe_func funcs[] = {
	{
		.symbol = "crypto/tls.(*Conn).Read",
		.desc = { .what = PROBE_TLS_READ,
			  .abi = PROBE_ABI_GO,
			  .result = PROBE_RESULT_LEN,
			  .flags = PROBE_GO_CONN,
			  .object = 1,
			  .buf = 2,
			  .len = 3 },
	},
	{
		.symbol = "crypto/tls.(*Conn).writeRecordLocked",
		.desc = { .what = PROBE_TLS_WRITE,
			  .abi = PROBE_ABI_GO,
			  .result = PROBE_RESULT_ENTRY,
			  .flags = PROBE_GO_CONN,
			  .object = 1,
			  .buf = 3,
			  .len = 4,
			  .only = 2,
			  .only_is = APPLICATION_DATA },
	},
	WORKS("clientHandshake", PROBE_TLS_END, PROBE_CLIENT | PROBE_BEGINS, true),
	WORKS("serverHandshake", PROBE_TLS_END, PROBE_SERVER | PROBE_BEGINS, true),
	WORKS("CloseWrite", PROBE_TLS_SHUTDOWN, 0, true),
	WORKS("Close", PROBE_TLS_END, 0, true),
	{
		.symbol = "crypto/tls.(*Conn).write",
		.optional = true,
		.on_demand = true,
		.desc = { .what = PROBE_CIPHER_OUT,
			  .abi = PROBE_ABI_GO,
			  .result = PROBE_RESULT_ENTRY,
			  .object = 1,
			  .buf = 2,
			  .len = 3 },
	},
	{ 0 },
};

const struct probe_library probe_gotls = {
	.name = "gotls",
	.title = "Go crypto/tls",
	.area = PROBE_AREA_TLS,
	.marker = "crypto/tls.(*Conn).Write",
	.go = true,
	.funcs = funcs,
};
