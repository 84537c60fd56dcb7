// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is captured of TLS connections and sessions; protocols below and above; both ends of a
 * connection; records that nobody honest sends.
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
#define OK200 TLS_OK200

/* ---- what is captured of carriers ---- */

Test(session_protocols, a_library_that_is_not_probed)
{
	struct feed *f = feed__new();
	const struct weft_policy *p = &f->conns[CONN].policy;

	feed__connect(f, CONN, PID, TID, 40001, 443);
	feed__wire(f, CONN, TID, WEFT_OUT, fake__client_hello("shop", 1));
	feed__wire(f, CONN, TID, WEFT_IN, fake__server_hello("", 2));
	cr_expect(!p->off && p->call_cap[0] == 64 && p->turn_cap[1] == UINT32_MAX);
	for (unsigned i = 0; i < 260 && !p->off; i++)
		feed__bytes(f, CONN, PID, TID, i % 2, fake__app_data(400, i).b, 64, 405);
	cr_expect(p->off, "nothing is shown when nobody looks");
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_CLIENT, false);
	cr_expect(!p->off, "until somebody does");
	uint64_t begin = feed__enter(f);

	feed__wire(f, CONN, TID, WEFT_OUT, fake__app_data(80, 1));
	feed__leave(f, SESSION, PID, TID, begin, 0);
	cr_expect(linked(f, SESSION) && p->off);
	cr_expect_eq(f->books.dropped[DROP_TLS] + f->books.lifecycle, f->books.received);
	feed__free(f);
}

/*
 * What came before was lost, so it is shown only as the connection closes that it carries TLS: one
 * that is gone is nobody's carrier.
 */
Test(session_protocols, known_to_carry_only_at_its_end)
{
	struct feed *f = feed__new();

	for (unsigned id = CONN; id < CONN + 3; id++) {
		feed__accept(f, id, PID, TID, (uint16_t)(40000 + id), 443);
		feed__skip(f, id, WEFT_IN, 7);
		feed__wire(f, id, TID, WEFT_IN, fake__client_hello("shop", id));
		cr_expect_eq(f->books.dropped[DROP_TLS], id - CONN, "nothing is known of it yet");
		feed__close(f, id);
		cr_expect_eq(f->books.dropped[DROP_TLS], id - CONN + 1, "but that it carries TLS");
	}
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_SERVER, true);
	feed__finish(f);
	feed__free(f);
}

/* What proto/ wants of a session goes to the kernel with what conn/ knows of it. */
Test(session_protocols, policies_of_a_session)
{
	struct feed *f = feed__new();

	feed__connect(f, CONN, PID, TID, 40001, 443);
	feed__handshake(f, CONN, SESSION, TID, 1);
	cr_expect(linked(f, SESSION) && f->conns[SESSION].policy.call_cap[0] == 4096);
	feed__get(f, SESSION, TID, "/a");
	cr_expect(linked(f, SESSION) && !f->conns[SESSION].policy.off);
	feed__session(f, SESSION + 1, PID, TID, WEFT_ROLE_CLIENT, true);
	for (unsigned i = 0; i < 20; i++) {
		feed__write(f, SESSION + 1, PID, TID, "what is this?");
		feed__read(f, SESSION + 1, PID, TID, "nobody knows");
	}
	feed__wait(f, 3000);
	cr_expect(f->conns[SESSION + 1].policy.off && linked(f, SESSION + 1),
		  "of what nobody reads it need not be known where it goes");
	feed__free(f);
}

/* ---- protocols below and above ---- */

/* The kernel encrypts: the wire wins, and nothing is told twice. */
Test(session_protocols, in_clear)
{
	struct feed *f = feed__new();
	const char *ask_text = "GET /a HTTP/1.1\r\nHost: shop\r\n\r\n";

	feed__accept(f, CONN, PID, TID, 40001, 443);
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_SERVER, false);
	for (unsigned i = 0; i < 2; i++) {
		uint64_t begin = feed__enter(f);

		feed__read(f, CONN, PID, TID, ask_text);
		feed__leave(f, SESSION, PID, TID, begin, 0);
		feed__read(f, SESSION, PID, TID, ask_text);
		begin = feed__enter(f);
		feed__write(f, CONN, PID, TID, OK200);
		feed__leave(f, SESSION, PID, TID, begin, 0);
		feed__write(f, SESSION, PID, TID, OK200);
	}
	cr_expect(f->conns[SESSION].policy.off);
	cr_expect_eq(counts(f)->clear, 1);
	feed__finish(f);
	cr_expect_eq(f->n_spans, 2);
	cr_expect_eq(f->books.dropped[DROP_DUPLICATE], 4);
	feed__free(f);
}

/* The handshake is made by a library that is not probed, and then the kernel encrypts. */
Test(session_protocols, in_clear_after_the_handshake)
{
	struct feed *f = feed__new();

	feed__accept(f, CONN, PID, TID, 40001, 443);
	feed__wire(f, CONN, TID, WEFT_IN, fake__client_hello("shop", 1));
	feed__wire(f, CONN, TID, WEFT_OUT, fake__server_hello("", 2));
	feed__read(f, CONN, PID, TID, "GET /a HTTP/1.1\r\nHost: shop\r\n\r\n");
	feed__write(f, CONN, PID, TID, OK200);
	feed__finish(f);
	feed__span(f, SPAN_SERVER, "url.path", "/a");
	cr_expect_eq(f->books.dropped[DROP_TLS], 2);
	feed__free(f);
}

/* PostgreSQL: asks for TLS in clear, and goes on inside. */
Test(session_protocols, postgres_goes_on_as_tls)
{
	struct feed *f = feed__new();
	static const char ssl[] = "\0\0\0\x08\x04\xd2\x16\x2f",
			  startup[] = "\0\0\0\x1f\0\3\0\0user\0me\0database\0shop\0\0",
			  ready[] = "R\0\0\0\x08\0\0\0\0Z\0\0\0\5I",
			  query[] = "Q\0\0\0\x0dSELECT 1\0",
			  rows[] = "T\0\0\0\6\0\0C\0\0\0\x0dSELECT 1\0Z\0\0\0\5I";

	feed__connect(f, CONN, PID, TID, 40001, 5432);
	feed__bytes(f, CONN, PID, TID, WEFT_OUT, ssl, 8, 8);
	feed__read(f, CONN, PID, TID, "S");
	feed__handshake(f, CONN, SESSION, TID, 1);
	cr_expect(linked(f, SESSION));
	feed__bytes(f, SESSION, PID, TID, WEFT_OUT, startup, sizeof(startup) - 1,
		    sizeof(startup) - 1);
	feed__bytes(f, SESSION, PID, TID, WEFT_IN, ready, sizeof(ready) - 1, sizeof(ready) - 1);
	feed__bytes(f, SESSION, PID, TID, WEFT_OUT, query, sizeof(query) - 1, sizeof(query) - 1);
	feed__bytes(f, SESSION, PID, TID, WEFT_IN, rows, sizeof(rows) - 1, sizeof(rows) - 1);
	feed__finish(f);
	struct span *s = feed__span(f, SPAN_CLIENT, "db.query.text", "SELECT ?");

	cr_expect_eq(number_of(s, "network.peer.port"), 5432);
	cr_expect(text_is(s, "db.namespace", "shop"));
	cr_expect(text_is(s, "server.address", "shop.example"));
	feed__free(f);
}

/* A tunnel through a proxy: HTTP first, then TLS with somebody else. */
Test(session_protocols, tunnel)
{
	struct feed *f = feed__new();

	feed__connect(f, CONN, PID, TID, 40001, 3128);
	feed__write(f, CONN, PID, TID, "CONNECT far:443 HTTP/1.1\r\nHost: far:443\r\n\r\n");
	feed__read(f, CONN, PID, TID, "HTTP/1.1 200 OK\r\n\r\n");
	feed__handshake(f, CONN, SESSION, TID, 1);
	cr_expect(linked(f, SESSION));
	feed__get_ok(f, SESSION, TID, "/a");
	feed__finish(f);
	cr_expect_eq(number_of(url(f, "/a"), "network.local.port"), 40001);
	cr_expect_eq(f->n_spans, 2);
	feed__free(f);
}

/* An upgrade to something else than TLS is let go, as ever. */
Test(session_protocols, upgrade_to_something_else)
{
	struct feed *f = feed__new();

	feed__accept(f, CONN, PID, TID, 40001, 80);
	feed__read(f, CONN, PID, TID,
		   "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: "
		   "Upgrade\r\n\r\n");
	feed__write(f, CONN, PID, TID,
		    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
		    "Upgrade\r\n\r\n");
	feed__read(f, CONN, PID, TID, "\x81\x85\x11\x22\x33\x44hello");
	cr_expect(f->conns[CONN].policy.off);
	feed__finish(f);
	cr_expect_eq(f->n_spans, 1);
	feed__free(f);
}

/* TLS inside TLS (an HTTPS proxy): the inner session goes over the outer one. */
Test(session_protocols, tls_in_tls)
{
	struct feed *f = feed__new();
	struct fake hello = fake__client_hello("inner", 5);

	feed__connect(f, CONN, PID, TID, 40001, 443);
	feed__handshake(f, CONN, SESSION, TID, 1);
	feed__session(f, SESSION + 1, PID, TID, WEFT_ROLE_CLIENT, true);
	uint64_t outer, inner = feed__enter(f);

	outer = feed__enter(f);
	feed__wire(f, CONN, TID, WEFT_OUT, fake__app_data(200, 7));
	feed__leave(f, SESSION, PID, TID, outer, 0);
	feed__wire(f, SESSION, TID, WEFT_OUT, hello);
	feed__leave(f, SESSION + 1, PID, TID, inner, 0);
	cr_expect(linked(f, SESSION + 1));
	feed__get_ok(f, SESSION + 1, TID, "/a");
	feed__close(f, CONN);
	cr_expect_eq(f->forgotten, 2, "all three end");
	feed__finish(f);
	cr_expect_eq(number_of(url(f, "/a"), "network.local.port"), 40001);
	feed__free(f);
}

/* ---- both ends ---- */

static void both_ends(struct feed *f, bool from_start)
{
	static const char text[] = "GET /a HTTP/1.1\r\nHost: shop\r\n\r\n";
	struct fake b = fake__app_data(80, 1);
	uint64_t begin;

	feed__process(f, PID, "front");
	feed__process(f, PID + 1, "back");
	feed__connect(f, 1, PID, TID, 40001, 443);
	feed__accept(f, 2, PID + 1, OTHER, 40001, 443);
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_CLIENT, from_start);
	feed__session(f, SESSION + 1, PID + 1, OTHER, WEFT_ROLE_SERVER, true);
	begin = feed__enter(f);
	feed__wire(f, 1, TID, WEFT_OUT, b);
	feed__leave(f, SESSION, PID, TID, begin, 0);
	feed__write(f, SESSION, PID, TID, text);
	begin = feed__enter(f);
	feed__bytes(f, 2, PID + 1, OTHER, WEFT_IN, b.b, b.n, b.n);
	feed__leave(f, SESSION + 1, PID + 1, OTHER, begin, 0);
	feed__read(f, SESSION + 1, PID + 1, OTHER, text);
	feed__write(f, SESSION + 1, PID + 1, OTHER, OK200);
	feed__read(f, SESSION, PID, TID, OK200);
	feed__finish(f);
}

Test(session_protocols, both_ends_from_the_start)
{
	struct feed *f = feed__new();

	both_ends(f, true);
	cr_expect(feed__is_child(feed__span(f, SPAN_SERVER, "url.path", "/a"), url(f, "/a"),
				 "socket"));
	feed__free(f);
}

/* One end was joined in the middle: it counts from somewhere else. */
Test(session_protocols, both_ends_that_count_differently)
{
	struct feed *f = feed__new();

	both_ends(f, false);
	cr_expect(feed__is_root(feed__span(f, SPAN_SERVER, "url.path", "/a")));
	feed__free(f);
}

/* ---- records that nobody honest sends ---- */

Test(session_protocols, hostile_records)
{
	struct feed *f = feed__new();
	struct fake b = fake__client_hello("a", 1);

	feed__connect(f, CONN, PID, TID, 40001, 443);
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_CLIENT, true);
	feed__session(f, SESSION + 1, PID, TID, WEFT_ROLE_CLIENT, true);
	feed__session(f, SESSION + 2, PID, TID, WEFT_ROLE_CLIENT, true);
	/* Of a socket, of nobody, of another process, from the future. */
	feed__leave(f, CONN, PID, TID, 1, 0);
	feed__cipher(f, CONN, PID, TID, WEFT_OUT, b.b, b.n);
	feed__leave(f, 99, PID, TID, 1, 0);
	uint64_t begin = feed__enter(f);

	feed__wire(f, CONN, TID, WEFT_OUT, b);
	feed__leave(f, SESSION, PID + 1, TID, begin, 0);
	feed__leave(f, SESSION, PID, TID, UINT64_MAX, 0);
	feed__leave(f, SESSION, PID, TID, 0, 0);
	cr_expect(!linked(f, SESSION));
	/* Sessions that ride on each other, and on themselves; nothing of them is held any more. */
	for (unsigned i = 0; i < 3; i++)
		feed__write(f, SESSION + i, PID, TID, "?");
	feed__wait(f, 3000);
	for (unsigned i = 0; i < 3; i++) {
		begin = feed__enter(f);
		feed__wire(f, SESSION + i, TID, WEFT_OUT, b);
		feed__leave(f, SESSION + (i + 1) % 3, PID, TID, begin, 0);
		begin = feed__enter(f);
		feed__wire(f, SESSION + i, TID, WEFT_OUT, b);
		feed__leave(f, SESSION + i, PID, TID, begin, 0);
		feed__leave(f, SESSION + i, PID, TID, begin, SESSION + i);
	}
	feed__cipher(f, SESSION, PID, TID, WEFT_IN, b.b, 0);
	feed__wait(f, 5000);
	feed__close(f, SESSION);
	feed__close(f, SESSION);
	feed__leave(f, SESSION, PID, TID, begin, 0);
	feed__exit(f, PID);
	feed__finish(f);
	cr_expect_eq(f->n_spans, 0);
	feed__free(f);
}
