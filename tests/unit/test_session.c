// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TLS sessions and their carriers, found by what happens inside a call of the library; how sessions
 * end, and what becomes of their events until the carrier is known.
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
#define OTHER_CONN 3
#define OK200 TLS_OK200

/* ---- nesting ---- */

Test(session, a_client_on_a_socket)
{
	struct feed *f = feed__new();

	feed__connect(f, CONN, PID, TID, 40001, 443);
	feed__handshake(f, CONN, SESSION, TID, 1);
	cr_expect(linked(f, SESSION), "known before the first byte of plaintext");
	cr_expect(f->conns[CONN].policy.off, "the ciphertext is not captured any more");
	feed__get_ok(f, SESSION, TID, "/a");
	feed__close(f, SESSION);
	feed__close(f, CONN);
	feed__finish(f);
	struct span *s = url(f, "/a");

	cr_expect_eq(number_of(s, "http.response.status_code"), 200);
	cr_expect(text_is(s, "network.peer.address", "127.0.0.1"));
	cr_expect_eq(number_of(s, "network.peer.port"), 443);
	cr_expect_eq(number_of(s, "network.local.port"), 40001);
	cr_expect(text_is(s, "tls.protocol.name", "tls"));
	cr_expect(text_is(s, "tls.protocol.version", "1.3"));
	cr_expect(text_is(s, "tls.next_protocol", "http/1.1"));
	cr_expect_eq(f->n_spans, 1);
	cr_expect_eq(f->books.in_spans, 2);
	cr_expect_eq(f->books.dropped[DROP_TLS], 3);
	feed__free(f);
}

/* A server's new connection and its session. */
static void serve(struct feed *f)
{
	feed__accept(f, CONN, PID, TID, 40001, 443);
	uint64_t begin = feed__enter(f);

	feed__wire_read(f, CONN, TID, fake__client_hello("shop", 1));
	feed__wire(f, CONN, TID, WEFT_OUT, fake__server_hello("", 2));
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_UNKNOWN, true);
	feed__leave(f, SESSION, PID, TID, begin, 0);
	cr_assert(linked(f, SESSION));
}

/* The kernel side labels units of work by what is served, and learns here what that is. */
Test(session, policy_says_whose_it_is)
{
	struct feed *f = feed__new();

	serve(f);
	cr_expect_eq(f->conns[SESSION].policy.role, WEFT_ROLE_SERVER);
	cr_expect_eq(f->conns[SESSION].policy.other, CONN + 1);
	cr_expect_eq(f->conns[CONN].policy.other, SESSION + 1);
	feed__close(f, SESSION);
	cr_expect_eq(f->conns[CONN].policy.other, 0);
	feed__finish(f);
	feed__free(f);
}

static void call_out(struct feed *f, const char *path)
{
	char get[128];

	snprintf(get, sizeof(get), "GET %s HTTP/1.1\r\nHost: other\r\n\r\n", path);
	feed__write(f, OTHER_CONN, PID, TID + 1, get);
	feed__read(f, OTHER_CONN, PID, TID + 1, OK200);
}

/* A unit of work that was begotten for the socket works for the session's first request. */
Test(session, what_was_begotten_for_its_socket)
{
	struct feed *f = feed__new();

	feed__connect(f, OTHER_CONN, PID, TID, 50001, 8080);
	serve(f);
	feed__unit(f, PID, TID + 1, CONN);
	feed__read(f, SESSION, PID, TID, "GET /a HTTP/1.1\r\nHost: shop\r\n\r\n");
	call_out(f, "/call-a");
	feed__write(f, SESSION, PID, TID, OK200);
	feed__read(f, SESSION, PID, TID, "GET /b HTTP/1.1\r\nHost: shop\r\n\r\n");
	call_out(f, "/late");
	feed__write(f, SESSION, PID, TID, OK200);
	feed__finish(f);
	cr_expect(feed__is_child(feed__span(f, SPAN_CLIENT, "url.full", "http://other/call-a"),
				 feed__span(f, SPAN_SERVER, "url.path", "/a"), "runtime"));
	cr_expect(feed__is_root(feed__span(f, SPAN_CLIENT, "url.full", "http://other/late")),
		  "of the first request it may be, or of the second");
	feed__free(f);
}

/* The socket is used before the session is known, and the library's call is still under way. */
Test(session, known_only_at_the_end_of_the_call)
{
	struct feed *f = feed__new();

	feed__accept(f, CONN, PID, TID, 40001, 443);
	uint64_t begin = feed__enter(f);

	feed__wire_read(f, CONN, TID, fake__client_hello("shop", 1));
	feed__wire(f, CONN, TID, WEFT_OUT, fake__server_hello("", 2));
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_SERVER, true);
	feed__leave(f, SESSION, PID, TID, begin, 0);
	cr_expect(linked(f, SESSION));
	feed__read(f, SESSION, PID, TID, "GET /a HTTP/1.1\r\nHost: shop\r\n\r\n");
	feed__write(f, SESSION, PID, TID, OK200);
	feed__finish(f);
	struct span *s = feed__span(f, SPAN_SERVER, "url.path", "/a");

	cr_expect(text_is(s, "url.scheme", "https"));
	cr_expect_eq(number_of(s, "network.peer.port"), 40001);
	feed__free(f);
}

/* A server without Host, a client without either: SNI says the server's name. */
Test(session, server_name)
{
	struct feed *f = feed__new();

	feed__connect(f, CONN, PID, TID, 40001, 8443);
	feed__handshake(f, CONN, SESSION, TID, 1);
	feed__write(f, SESSION, PID, TID, "GET /a HTTP/1.0\r\n\r\n");
	feed__read(f, SESSION, PID, TID, OK200);
	feed__finish(f);
	struct span *s = feed__span(f, SPAN_CLIENT, "server.address", "shop.example");

	cr_expect_eq(number_of(s, "server.port"), 8443);
	cr_expect(text_is(s, "network.peer.address", "127.0.0.1"));
	feed__free(f);
}

/* The hellos come in several calls of the library; they are read although the session is linked. */
Test(session, a_handshake_in_steps)
{
	struct feed *f = feed__new();

	feed__connect(f, CONN, PID, TID, 40001, 443);
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_CLIENT, true);
	uint64_t begin = feed__enter(f);

	feed__wire(f, CONN, TID, WEFT_OUT, fake__client_hello("shop.example", 1));
	feed__leave(f, SESSION, PID, TID, begin, 0);
	cr_expect(linked(f, SESSION));
	cr_expect(!f->conns[CONN].policy.off, "the server's hello is still to come");
	feed__wire_read(f, CONN, OTHER, fake__server_hello("h2", 2));
	cr_expect(f->conns[CONN].policy.off);
	feed__get_ok(f, SESSION, TID, "/a");
	feed__finish(f);
	cr_expect(text_is(url(f, "/a"), "tls.next_protocol", "h2"));
	feed__free(f);
}

/* In mid-connection there are no hellos, and the first call with a record in it tells. */
Test(session, joined_in_the_middle)
{
	struct feed *f = feed__new();

	feed__preopen(f, CONN, PID, 40001, 443);
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_UNKNOWN, false);
	uint64_t begin = feed__enter(f);

	feed__wire(f, CONN, TID, WEFT_OUT, fake__app_data(80, 1));
	feed__leave(f, SESSION, PID, TID, begin, 0);
	feed__get(f, SESSION, TID, "/a");
	begin = feed__enter(f);
	feed__wire_read(f, CONN, TID, fake__app_data(60, 2));
	feed__leave(f, SESSION, PID, TID, begin, 0);
	feed__read(f, SESSION, PID, TID, OK200);
	feed__finish(f);
	cr_expect_eq(number_of(url(f, "/a"), "network.peer.port"), 443);
	cr_expect_eq(f->books.dropped[DROP_TLS], 3, "nothing of the ciphertext is anything else");
	feed__free(f);
}

/* One event loop, fifty connections at a time, all messages of one length. */
Test(session, fifty_on_one_thread)
{
	struct feed *f = feed__new();
	char path[16];

	for (unsigned i = 0; i < 50; i++)
		feed__connect(f, i, PID, TID, (uint16_t)(40000 + i), 443);
	for (unsigned i = 0; i < 50; i++) {
		unsigned k = i * 7 % 50;

		feed__session(f, SESSION + k, PID, TID, WEFT_ROLE_CLIENT, true);
		uint64_t begin = feed__enter(f);

		feed__wire(f, k, TID, WEFT_OUT, fake__client_hello("shop", 1 + k));
		feed__leave(f, SESSION + k, PID, TID, begin, 0);
	}
	for (unsigned i = 0; i < 50; i++) {
		snprintf(path, sizeof(path), "/%u", 40000 + i * 11 % 50);
		feed__get(f, SESSION + i * 11 % 50, TID, path);
	}
	for (unsigned i = 0; i < 50; i++)
		feed__read(f, SESSION + i * 3 % 50, PID, TID, OK200);
	feed__finish(f);
	for (unsigned i = 0; i < 50; i++) {
		snprintf(path, sizeof(path), "/%u", 40000 + i);
		cr_expect_eq(number_of(url(f, path), "network.local.port"), (long)(40000 + i));
	}
	cr_expect_eq(f->n_spans, 50);
	feed__free(f);
}

/* Two TLS sockets within one call: a callback asks another server. The next call tells. */
Test(session, two_candidates_in_one_call)
{
	struct feed *f = feed__new();

	feed__connect(f, 1, PID, TID, 40001, 443);
	feed__connect(f, 2, PID, TID, 40002, 443);
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_CLIENT, true);
	uint64_t begin = feed__enter(f);

	feed__wire(f, 1, TID, WEFT_OUT, fake__client_hello("a", 1));
	feed__wire(f, 2, TID, WEFT_OUT, fake__client_hello("b", 2));
	feed__leave(f, SESSION, PID, TID, begin, 0);
	cr_expect(!linked(f, SESSION));
	begin = feed__enter(f);
	feed__wire(f, 1, TID, WEFT_OUT, fake__app_data(90, 3));
	feed__leave(f, SESSION, PID, TID, begin, 0);
	cr_expect(linked(f, SESSION));
	feed__get_ok(f, SESSION, TID, "/a");
	feed__finish(f);
	cr_expect_eq(number_of(url(f, "/a"), "network.local.port"), 40001);
	feed__free(f);
}

/* What else is done within the call, in clear, is none of the session's. */
Test(session, a_plain_call_inside)
{
	struct feed *f = feed__new();

	feed__connect(f, 1, PID, TID, 40001, 443);
	feed__connect(f, 2, PID, TID, 40002, 6379);
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_CLIENT, true);
	uint64_t begin = feed__enter(f);

	feed__write(f, 2, PID, TID, "*2\r\n$3\r\nGET\r\n$7\r\nsession\r\n");
	feed__read(f, 2, PID, TID, "$-1\r\n");
	feed__leave(f, SESSION, PID, TID, begin, 0);
	cr_expect(!linked(f, SESSION));
	begin = feed__enter(f);
	feed__wire(f, 1, TID, WEFT_OUT, fake__client_hello("a", 1));
	feed__leave(f, SESSION, PID, TID, begin, 0);
	cr_expect(linked(f, SESSION));
	feed__get_ok(f, SESSION, TID, "/a");
	feed__finish(f);
	cr_expect_eq(number_of(url(f, "/a"), "network.local.port"), 40001);
	feed__free(f);
}

/* At the same time is not inside: another thread, another process. */
Test(session, others_at_the_same_time)
{
	struct feed *f = feed__new();

	feed__connect(f, 1, PID, TID, 40001, 443);
	feed__connect(f, 2, PID + 1, TID, 40002, 443);
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_CLIENT, true);
	uint64_t begin = feed__enter(f);

	feed__wire(f, 1, OTHER, WEFT_OUT, fake__client_hello("a", 1));
	feed__bytes(f, 2, PID + 1, TID, WEFT_OUT, fake__client_hello("b", 2).b, 50, 50);
	feed__leave(f, SESSION, PID, TID, begin, 0);
	cr_expect(!linked(f, SESSION));
	/* Before and after the call is not inside either. */
	feed__wire(f, 1, TID, WEFT_OUT, fake__app_data(50, 3));
	begin = feed__enter(f);
	feed__leave(f, SESSION, PID, TID, begin, 0);
	cr_expect(!linked(f, SESSION));
	feed__get_ok(f, SESSION, TID, "/a");
	feed__wait(f, 3000);
	feed__finish(f);
	struct span *s = url(f, "/a");

	cr_expect(!span__attr(s, "network.peer.address") && !span__attr(s, "network.local.port"),
		  "unknown is allowed, wrong is not");
	feed__free(f);
}

/* One thread begins, another goes on. */
Test(session, handed_over_between_calls)
{
	struct feed *f = feed__new();

	feed__accept(f, CONN, PID, TID, 40001, 443);
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_SERVER, true);
	feed__leave(f, SESSION, PID, TID, feed__enter(f), 0); /* nothing to be read yet */
	uint64_t begin = feed__enter(f);

	feed__wire_read(f, CONN, OTHER, fake__client_hello("a", 1));
	feed__leave(f, SESSION, PID, OTHER, begin, 0);
	cr_expect(linked(f, SESSION));
	cr_expect_eq(counts(f)->by_nesting, 1);
	feed__free(f);
}

/* The event of the header was lost; that the connection carries TLS is known. */
Test(session, lost_events)
{
	struct feed *f = feed__new();
	struct fake b = fake__app_data(100, 3);

	feed__accept(f, CONN, PID, TID, 40001, 443);
	feed__wire_read(f, CONN, TID, fake__client_hello("a", 1));
	feed__wire(f, CONN, TID, WEFT_OUT, fake__server_hello("", 2));
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_SERVER, true);
	uint64_t begin = feed__enter(f);

	feed__skip(f, CONN, WEFT_IN, 5);
	feed__bytes(f, CONN, PID, TID, WEFT_IN, b.b + 5, 64, 100);
	feed__leave(f, SESSION, PID, TID, begin, 0);
	cr_expect(linked(f, SESSION));
	feed__read(f, SESSION, PID, TID, "GET /a HTTP/1.1\r\nHost: shop\r\n\r\n");
	feed__write(f, SESSION, PID, TID, OK200);
	feed__finish(f);
	cr_expect_eq(number_of(feed__span(f, SPAN_SERVER, "url.path", "/a"), "client.port"), 40001);
	feed__free(f);
}

/* More sockets in one call than are remembered: the one that is left need not be the only one. */
Test(session, more_calls_than_are_remembered)
{
	struct feed *f = feed__new();

	for (unsigned i = 0; i < 20; i++)
		feed__connect(f, i, PID, TID, (uint16_t)(40000 + i), 443);
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_CLIENT, true);
	uint64_t begin = feed__enter(f);

	feed__wire(f, 0, TID, WEFT_OUT, fake__client_hello("a", 1));
	for (unsigned i = 0; i < 10; i++) {
		feed__write(f, 2, PID, TID, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
		feed__read(f, 2, PID, TID, OK200);
	}
	feed__wire(f, 1, TID, WEFT_OUT, fake__client_hello("b", 2));
	feed__leave(f, SESSION, PID, TID, begin, 0);
	cr_expect(!linked(f, SESSION));
	feed__free(f);
}

/* ---- the end of things ---- */

/* The descriptor, the library's object and the addresses are used again. */
Test(session, used_again)
{
	struct feed *f = feed__new();

	for (unsigned i = 0; i < 3; i++) {
		char path[16];

		feed__connect(f, CONN + i, PID, TID, (uint16_t)(40001 + i), 443);
		feed__handshake(f, CONN + i, SESSION + i, TID, 1 + i);
		snprintf(path, sizeof(path), "/%u", i);
		feed__get_ok(f, SESSION + i, TID, path);
		/* A carrier takes its session along; or the session ends first. */
		if (i != 1)
			feed__close(f, CONN + i);
		else
			feed__close(f, SESSION + i);
	}
	cr_expect_eq(f->forgotten, 2, "the kernel is told of those that no event closes");
	feed__finish(f);
	for (unsigned i = 0; i < 3; i++) {
		char path[16];

		snprintf(path, sizeof(path), "/%u", i);
		cr_expect_eq(number_of(url(f, path), "network.local.port"), (long)(40001 + i));
	}
	feed__free(f);
}

/* The next session on the same connection. */
Test(session, two_sessions_in_turn)
{
	struct feed *f = feed__new();

	feed__connect(f, CONN, PID, TID, 40001, 443);
	feed__handshake(f, CONN, SESSION, TID, 1);
	feed__get_ok(f, SESSION, TID, "/a");
	feed__close(f, SESSION);
	cr_expect(!f->conns[CONN].policy.off, "whose it is must be told anew");
	feed__handshake(f, CONN, SESSION + 1, TID, 3);
	feed__get_ok(f, SESSION + 1, TID, "/b");
	feed__finish(f);
	cr_expect_eq(number_of(url(f, "/b"), "network.local.port"), 40001);
	cr_expect_eq(f->n_spans, 2);
	feed__free(f);
}

Test(session, a_response_that_ends_with_the_connection)
{
	struct feed *f = feed__new();

	feed__connect(f, CONN, PID, TID, 40001, 443);
	feed__handshake(f, CONN, SESSION, TID, 1);
	feed__get(f, SESSION, TID, "/a");
	feed__read(f, SESSION, PID, TID, "HTTP/1.0 200 OK\r\n\r\nuntil the end");
	feed__close(f, CONN);
	feed__finish(f);
	struct span *s = url(f, "/a");

	cr_expect(!span__attr(s, "error.type"));
	cr_expect(!span__attr(s, "weft.incomplete"));
	feed__free(f);
}

/* Another program in the same process: sessions are gone, sockets may stay. */
Test(session, exec_and_exit)
{
	struct feed *f = feed__new();

	feed__connect(f, 1, PID, TID, 40001, 443);
	feed__connect(f, 2, PID, TID, 40002, 443);
	feed__handshake(f, 1, SESSION, TID, 1);
	feed__session(f, SESSION + 1, PID, TID, WEFT_ROLE_CLIENT, true);
	feed__get(f, SESSION, TID, "/a");
	feed__get(f, SESSION + 1, TID, "/b");
	feed__exec(f, PID);
	cr_expect_eq(f->forgotten, 2);
	feed__handshake(f, 1, SESSION + 2, TID, 5);
	cr_expect(linked(f, SESSION + 2));
	feed__get_ok(f, SESSION + 2, TID, "/c");
	feed__exit(f, PID);
	cr_expect_eq(f->forgotten, 3);
	feed__finish(f);
	cr_expect_eq(number_of(url(f, "/c"), "network.local.port"), 40001);
	cr_expect(text_is(url(f, "/a"), "error.type", "connection_closed"));
	cr_expect_eq(f->n_spans, 3);
	feed__free(f);
}

/* ---- held events ---- */

Test(session, held_until_the_carrier_is_known)
{
	struct feed *f = feed__new();

	feed__connect(f, CONN, PID, TID, 40001, 443);
	feed__session(f, SESSION, PID, TID, WEFT_ROLE_CLIENT, false);
	feed__get(f, SESSION, TID, "/a");
	cr_expect_eq(f->books.pending, 1);
	uint64_t begin = feed__enter(f);

	feed__wire_read(f, CONN, TID, fake__app_data(100, 1));
	feed__leave(f, SESSION, PID, TID, begin, 0);
	feed__read(f, SESSION, PID, TID, OK200);
	feed__finish(f);
	cr_expect_eq(number_of(url(f, "/a"), "network.local.port"), 40001);
	feed__free(f);
}

Test(session, held_no_longer_than_it_may)
{
	struct feed *f = feed__new();

	feed__session(f, SESSION, PID, TID, WEFT_ROLE_CLIENT, true);
	feed__get_ok(f, SESSION, TID, "/a");
	feed__wait(f, 1900);
	cr_expect_eq(f->books.pending, 2);
	feed__wait(f, 200);
	cr_expect_eq(f->books.pending, 0, "two seconds");
	feed__get_ok(f, SESSION, TID, "/b");
	cr_expect_eq(f->books.pending, 0, "and not again");
	feed__session(f, SESSION + 1, PID, TID, WEFT_ROLE_CLIENT, true);
	feed__get_ok(f, SESSION + 1, TID, "/c");
	feed__close(f, SESSION + 1);
	cr_expect_eq(f->books.pending, 0, "its own end");
	/* A request whose body is larger than what is held. */
	feed__session(f, SESSION + 2, PID, TID, WEFT_ROLE_CLIENT, true);
	feed__write(f, SESSION + 2, PID, TID,
		    "PUT /d HTTP/1.1\r\nHost: shop\r\nContent-Length: 80000\r\n\r\n");
	static const char body[4000];

	for (int i = 0; i < 20; i++)
		feed__bytes(f, SESSION + 2, PID, TID, WEFT_OUT, body, 4000, 4000);
	feed__read(f, SESSION + 2, PID, TID, OK200);
	cr_expect_eq(f->books.pending, 0, "and bytes");
	feed__finish(f);
	cr_expect(!span__attr(url(f, "/a"), "network.peer.port"));
	cr_expect_eq(number_of(url(f, "/d"), "http.response.status_code"), 200);
	cr_expect_eq(f->n_spans, 4);
	feed__free(f);
}

/* An event loop serves two; it makes a call for the one that it read last. */
static void two_requests(struct feed *f, unsigned round, bool answer_at_once)
{
	char text[80];

	for (unsigned i = 1; i <= 2; i++) {
		snprintf(text, sizeof(text), "GET /%u-%u HTTP/1.1\r\nHost: shop\r\n\r\n", i, round);
		feed__read(f, i, PID, TID, text);
	}
	if (!answer_at_once)
		feed__wait(f, 2100);
	snprintf(text, sizeof(text), "*2\r\n$3\r\nGET\r\n$2\r\n%02u\r\n", round);
	feed__write(f, 3, PID, TID, text);
	feed__read(f, 3, PID, TID, "$-1\r\n");
	if (answer_at_once)
		feed__write(f, 2, PID, TID, OK200);
	feed__read(f, 4, PID, TID, "GET /next HTTP/1.1\r\nHost: shop\r\n\r\n");
	feed__write(f, 4, PID, TID, OK200);
	feed__write(f, 1, PID, TID, OK200);
	if (!answer_at_once)
		feed__write(f, 2, PID, TID, OK200);
}

/*
 * What was held while others went by says nothing of what its thread did when. A request that is
 * passed on late is not the one that was read last: a call after it is not for it.
 */
static void late_request(bool held)
{
	struct feed *f = feed__new();

	for (unsigned i = 1; i <= 4; i++)
		if (i != 3)
			feed__accept(f, i, PID, TID, (uint16_t)(40000 + i), 80);
	feed__connect(f, 3, PID, TID, 40003, 6379);
	for (unsigned i = 0; i < 20; i++)
		two_requests(f, i, true);
	if (held) {
		feed__session(f, SESSION, PID, TID, WEFT_ROLE_SERVER, false);
		feed__read(f, SESSION, PID, TID, "GET /held HTTP/1.1\r\nHost: shop\r\n\r\n");
	}
	two_requests(f, 20, false);
	if (held)
		feed__write(f, SESSION, PID, TID, OK200);
	feed__finish(f);
	unsigned calls = 0, roots = 0;

	for (unsigned i = 0; i < f->n_spans; i++) {
		if (f->spans[i]->kind != SPAN_CLIENT)
			continue;
		calls++;
		roots += feed__is_root(f->spans[i]);
		if (held)
			cr_expect(memcmp(f->spans[i]->parent_id,
					 feed__span(f, SPAN_SERVER, "url.path", "/held")->span_id,
					 8) != 0,
				  "not its call");
	}
	cr_expect_eq(calls, 21);
	cr_expect_eq(roots, held ? 1 : 0, "%u calls without a parent", roots);
	feed__free(f);
}

Test(session, a_request_that_is_passed_on_late)
{
	late_request(false); /* the same without it: what was read last is believed here */
	late_request(true);
}
