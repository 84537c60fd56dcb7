// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TLS sessions and their carriers, found by the socket that the library names and by ciphertext: the
 * traps in which a session could be given to a connection that is not its own.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "../../user/proto/engine.h"
#include "../lib/tls_feed.h"

#define PID TLS_PID
#define TID TLS_TID
#define OTHER 102
#define CONN 1
#define SESSION 201

/* ---- the library's own struct ---- */

Test(session_cipher, the_socket_that_the_library_names)
{
	struct feed *f = feed__new();

	feed__connect(f, 1, PID, TID, 40001, 443);
	feed__connect(f, 2, PID + 1, TID, 40002, 443);
	feed__connect(f, 3, PID, TID, 40003, 80);
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_CLIENT, true);
	/* Not TLS as far as is known; of another process; inside in time, but goroutines move. */
	feed__leave(f, SESSION, PID, TID, feed__enter(f), 1);
	feed__bytes(f, 2, PID + 1, TID, WEFT_OUT, fake__client_hello("b", 2).b, 60, 60);
	feed__leave(f, SESSION, PID, TID, feed__enter(f), 2);
	uint64_t begin = feed__enter(f);

	feed__wire(f, 3, TID, WEFT_OUT, fake__client_hello("c", 3));
	feed__leave(f, SESSION, PID, TID, begin, 1);
	cr_expect(!linked(f, SESSION));
	feed__wire(f, 1, OTHER, WEFT_OUT, fake__client_hello("a", 1));
	feed__leave(f, SESSION, PID, TID, begin, 1);
	cr_expect(linked(f, SESSION));
	feed__get_ok(f, SESSION, OTHER, "/a");
	cr_expect_eq(counts(f)->by_socket, 1);
	feed__finish(f);
	cr_expect_eq(number_of(url(f, "/a"), "network.local.port"), 40001);
	feed__free(f);
}

/* ---- ciphertext ---- */

static void out(struct feed *f, unsigned session, struct fake b)
{
	feed__cipher(f, session, PID, TID, WEFT_OUT, b.b, b.n);
}

/* As the library takes it in: the header, then the body. */
static void in(struct feed *f, unsigned session, struct fake b)
{
	feed__cipher(f, session, PID, TID, WEFT_IN, b.b, 5);
	feed__cipher(f, session, PID, TID, WEFT_IN, b.b + 5, b.n - 5);
}

/*
 * Fifty clients of one library that works in memory: their hellos differ in the random number
 * alone, and the program writes them in another order.
 */
Test(session_cipher, fifty_in_memory)
{
	struct feed *f = feed__new();
	char path[16];

	for (unsigned i = 0; i < 50; i++)
		feed__connect(f, i, PID, TID, (uint16_t)(40000 + i), 443);
	for (unsigned i = 0; i < 50; i++) {
		feed__session(f, SESSION + i, PID, TID, WEFT_ROLE_CLIENT, true);
		uint64_t begin = feed__enter(f);

		out(f, SESSION + i, fake__client_hello("shop", 1 + i));
		feed__leave(f, SESSION + i, PID, TID, begin, 0);
	}
	for (unsigned i = 0; i < 50; i++)
		feed__wire(f, i * 7 % 50, TID, WEFT_OUT,
			   fake__client_hello("shop", 1 + i * 7 % 50));
	for (unsigned i = 0; i < 50; i++) {
		cr_expect(linked(f, SESSION + i));
		snprintf(path, sizeof(path), "/%u", 40000 + i);
		feed__get_ok(f, SESSION + i, TID, path);
	}
	cr_expect_eq(counts(f)->by_bytes, 50);
	cr_expect_eq(f->cipher_wanted, 0, "it was found without asking for it");
	feed__finish(f);
	for (unsigned i = 0; i < 50; i++) {
		snprintf(path, sizeof(path), "/%u", 40000 + i);
		cr_expect_eq(number_of(url(f, path), "network.local.port"), (long)(40000 + i));
	}
	feed__free(f);
}

/* Servers: the socket is read first, in whatever portions, then the library is given it. */
Test(session_cipher, taken_in_from_memory)
{
	for (unsigned how = 0; how < 4; how++) {
		struct feed *f = feed__new();
		struct fake b = fake__client_hello("shop", 9), data = fake__app_data(100, 10);

		if (how >= 2) /* joined in the middle: two records in one call */
			b = fake__app_data(30, 9);
		feed__accept(f, CONN, PID, TID, 40001, 443);
		feed__accept(f, CONN + 1, PID, TID, 40002, 443);
		feed__wire(f, CONN + 1, TID, WEFT_IN, fake__client_hello("shop", 8));
		if (how == 3)
			fake__add(&b, data.b, data.n);
		if (how == 1)
			feed__wire_read(f, CONN, TID, b);
		else
			feed__wire(f, CONN, TID, WEFT_IN, b);
		feed__session(f, SESSION, PID, TID, WEFT_ROLE_SERVER, how < 2);
		in(f, SESSION, how == 3 ? data : b);
		cr_expect(linked(f, SESSION), "%u", how);
		cr_expect(f->conns[CONN].policy.off || how < 2);
		feed__free(f);
	}
}

/* Several pieces in one write, and a piece that was cut in two. */
Test(session_cipher, written_otherwise_than_handed_out)
{
	struct feed *f = feed__new();
	struct fake a = fake__app_data(40, 1), b = fake__app_data(50, 2), both = a;

	feed__connect(f, 1, PID, TID, 40001, 443);
	feed__connect(f, 2, PID, TID, 40002, 443);
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_CLIENT, false);
	feed__session(f, SESSION + 1, PID, TID, WEFT_ROLE_CLIENT, false);
	fake__add(&both, b.b, b.n);
	out(f, SESSION, b); /* the second of two records in one write */
	feed__wire(f, 1, TID, WEFT_OUT, both);
	cr_expect(linked(f, SESSION));
	a = fake__app_data(300, 3);
	out(f, SESSION + 1, a);
	feed__bytes(f, 2, PID, TID, WEFT_OUT, a.b, 64, 100);
	cr_expect(linked(f, SESSION + 1));
	feed__bytes(f, 2, PID, TID, WEFT_OUT, a.b + 100, 64, a.n - 100);
	feed__free(f);
}

/*
 * Bytes that are the same on every connection say nothing, even if only one session and one socket,
 * not its own, have shown them yet.
 */
Test(session_cipher, what_everybody_sends)
{
	struct fake same[] = {
		fake__server_hello("", 0), /* HelloRetryRequest */
		fake__record(22, 300, 77), /* a certificate */
		fake__app_data(64, 5),     /* a cipher that does not encrypt */
		{ { 20, 3, 3, 0, 1, 1 }, 6 },
	};

	same[1].b[5] = 11;
	memset(same[2].b + 5, 'x', 64);
	for (unsigned i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		struct feed *f = feed__new();

		feed__accept(f, 1, PID, TID, 40001, 443);
		feed__accept(f, 2, PID, TID, 40002, 443);
		feed__wire(f, 1, TID, WEFT_IN, fake__client_hello("shop", 1));
		feed__wire(f, 2, TID, WEFT_IN, fake__client_hello("shop", 2));
		feed__session(f, SESSION, PID, TID, WEFT_ROLE_SERVER, true);
		out(f, SESSION, same[i]);
		in(f, SESSION, same[i]);
		feed__cipher(f, SESSION, PID, TID, WEFT_OUT, same[i].b + 5, same[i].n - 5);
		feed__wire(f, 2, TID, WEFT_OUT, same[i]);
		feed__wire(f, 2, TID, WEFT_IN, same[i]);
		cr_expect(!linked(f, SESSION), "%u", i);
		/* What is random is believed. */
		out(f, SESSION, fake__app_data(100, 50));
		feed__wire(f, 1, TID, WEFT_OUT, fake__app_data(100, 50));
		cr_expect(linked(f, SESSION));
		feed__free(f);
	}
}

/* Too little to be sure; the other direction; another process. */
Test(session_cipher, nearly_the_same)
{
	struct feed *f = feed__new();
	struct fake a = fake__app_data(19, 1), b = fake__app_data(100, 2),
		    c = fake__app_data(100, 3);

	feed__connect(f, CONN, PID, TID, 40001, 443);
	feed__connect(f, CONN + 1, PID + 1, TID, 40002, 443);
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_CLIENT, false);
	out(f, SESSION, a);
	feed__wire(f, CONN, TID, WEFT_OUT, a);
	cr_expect(!linked(f, SESSION), "19 bytes");
	out(f, SESSION, b);
	feed__wire(f, CONN, TID, WEFT_IN, b);
	cr_expect(!linked(f, SESSION), "the other direction");
	out(f, SESSION, c);
	feed__bytes(f, CONN + 1, PID + 1, TID, WEFT_OUT, c.b, c.n, c.n);
	cr_expect(!linked(f, SESSION), "another process");
	c.b[24] ^= 1;
	feed__wire(f, CONN, TID, WEFT_OUT, c);
	cr_expect(!linked(f, SESSION), "one bit");
	feed__free(f);
}

/* A relay within the process: the bytes pass over two sockets. */
Test(session_cipher, the_same_bytes_twice)
{
	struct feed *f = feed__new();
	struct fake b = fake__app_data(100, 2), c = fake__app_data(100, 3);

	feed__preopen(f, 1, PID, 40001, 443);
	feed__preopen(f, 2, PID, 40002, 443);
	feed__wire(f, 1, TID, WEFT_IN, b);
	feed__wire(f, 2, TID, WEFT_IN, b);
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_CLIENT, false);
	in(f, SESSION, b);
	cr_expect(!linked(f, SESSION), "two connections show it");
	feed__session(f, SESSION + 1, PID, TID, WEFT_ROLE_CLIENT, false);
	in(f, SESSION, c);
	in(f, SESSION + 1, c);
	feed__wire(f, 1, TID, WEFT_IN, c);
	cr_expect(!linked(f, SESSION) && !linked(f, SESSION + 1), "two sessions show it");
	feed__free(f);
}

/* The library's buffers are looked into only where that is needed, and as long as it is. */
Test(session_cipher, asking_for_ciphertext)
{
	struct feed *f = feed__new();

	feed__accept(f, CONN, PID, TID, 40001, 443);
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_SERVER, true);
	feed__leave(f, SESSION, PID, TID, feed__enter(f), 0);
	cr_expect_eq(f->cipher_wanted, 0, "nothing may have come yet");
	feed__leave(f, SESSION, PID, TID, feed__enter(f), 0);
	cr_expect_eq(f->cipher_wanted, 1);
	feed__read(f, SESSION, PID, TID, "GET /a HTTP/1.1\r\nHost: shop\r\n\r\n");
	feed__wait(f, 20000);
	cr_expect_eq(f->cipher_unwanted, 0, "one still looks");
	out(f, SESSION, fake__app_data(100, 50));
	feed__wire(f, CONN, TID, WEFT_OUT, fake__app_data(100, 50));
	cr_expect(linked(f, SESSION));
	feed__wait(f, 9000);
	cr_expect_eq(f->cipher_unwanted, 0, "more may come");
	feed__wait(f, 2000);
	cr_expect_eq(f->cipher_unwanted, 1);
	cr_expect_eq(f->cipher_wanted, 1);
	feed__free(f);
}

/* A session whose carrier is never found is not asked for ever. */
Test(session_cipher, given_up)
{
	struct feed *f = feed__new();

	feed__session(f, SESSION, PID, TID, WEFT_ROLE_CLIENT, true);
	for (unsigned i = 0; i < 300 && !linked(f, SESSION); i++) {
		feed__leave(f, SESSION, PID, TID, feed__enter(f), 0);
		feed__wait(f, 50);
	}
	cr_expect(linked(f, SESSION), "told to be silent");
	cr_expect_eq(counts(f)->unknown, 1);
	feed__get_ok(f, SESSION, TID, "/a");
	feed__wait(f, 10000);
	cr_expect_eq(f->cipher_unwanted, 1);
	feed__finish(f);
	cr_expect(!span__attr(url(f, "/a"), "network.peer.port"));
	feed__free(f);
}
