// SPDX-License-Identifier: GPL-2.0-or-later
/* TLS seen from outside: what is taken for it, and what is read off hellos, whole, cut and forged. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../../user/proto/tls.h"
#include "../lib/tls_feed.h"

/* In memory of its own, so that a byte read too far is seen by the sanitizer. */
static bool read_hello(const uint8_t *p, size_t n, bool whole, struct conn_tls *out)
{
	uint8_t *copy = malloc(n ? n : 1);

	cr_assert(copy);
	memcpy(copy, p, n);
	memset(out, 0, sizeof(*out));
	bool done = tls__hello(copy, n, whole, out);

	free(copy);
	return done;
}

Test(tls, recognised)
{
	static const struct {
		const char *bytes;
		size_t n;
		enum detect_result want;
	} cases[] = {
		{ "\x16\x03\x01\x02\x00\x01", 6, DETECT_REQ },
		{ "\x17\x03\x03\x00\x5a", 5, DETECT_REQ },
		{ "\x15\x03\x03\x00\x02\x02\x28", 7, DETECT_REQ },
		{ "\x14\x03\x03\x00\x01\x01\x17\x03\x03\x00\x20", 11, DETECT_REQ },
		{ "\x16", 1, DETECT_MORE },
		{ "\x16\x03\x01\x02", 4, DETECT_MORE },
		{ "\x18\x03\x03\x00\x20", 5, DETECT_NO }, /* heartbeat: not at a start */
		{ "\x16\x04\x01\x02\x00", 5, DETECT_NO }, /* a version there is not */
		{ "\x16\x03\x05\x02\x00", 5, DETECT_NO },
		{ "\x17\x03\x03\x00\x00", 5, DETECT_NO },           /* empty */
		{ "\x17\x03\x03\x48\x01", 5, DETECT_NO },           /* too long */
		{ "\x14\x03\x03\x00\x01\x01GET /", 11, DETECT_NO }, /* what follows is no record */
		{ "GET / HTTP/1.1", 14, DETECT_NO },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(tls__detect((const uint8_t *)cases[i].bytes, cases[i].n),
			     cases[i].want, "case %zu", i);
}

Test(tls, hellos)
{
	struct conn_tls t;
	struct fake c = fake__client_hello("shop.example", 1), s = fake__server_hello("h2", 2);

	cr_expect(read_hello(c.b, c.n, false, &t));
	cr_expect_str_eq(t.server_name, "shop.example");
	cr_expect_eq(t.version, 0, "a client only offers");
	cr_expect(read_hello(s.b, s.n, false, &t));
	cr_expect_str_eq(t.next_protocol, "h2");
	cr_expect_eq(t.version, 0x0304);
	cr_expect_str_eq(tls__version_name(t.version), "1.3");
	/* The one extension of TLS 1.3 taken away: it is 1.2. */
	s.b[51] = 0x7f;
	cr_expect(read_hello(s.b, s.n, false, &t));
	cr_expect_eq(t.version, 0x0303);
}

/* Cut at every place: more is asked for, and if there is no more, what is here is right. */
Test(tls, cut_hellos)
{
	struct fake c = fake__client_hello("shop.example", 1), s = fake__server_hello("h2", 2);
	struct conn_tls t;

	for (uint32_t n = 1; n < c.n; n++) {
		cr_expect(!read_hello(c.b, n, false, &t), "%u", n);
		cr_expect(read_hello(c.b, n, true, &t));
		cr_expect(!t.server_name[0], "half a name is another name (%u)", n);
	}
	for (uint32_t n = 1; n < s.n; n++) {
		cr_expect(!read_hello(s.b, n, false, &t));
		cr_expect(read_hello(s.b, n, true, &t));
		cr_expect(!t.next_protocol[0]);
	}
}

/* One message in records of few bytes. */
Test(tls, a_hello_in_pieces)
{
	struct fake c = fake__client_hello("shop.example", 1), cut = { .n = 0 };
	struct conn_tls t;

	for (uint32_t at = 5; at < c.n; at += 7) {
		uint8_t n = (uint8_t)(c.n - at < 7 ? c.n - at : 7);

		fake__add(&cut, "\x16\x03\x01\x00", 4);
		fake__add(&cut, &n, 1);
		fake__add(&cut, c.b + at, n);
	}
	cr_expect(read_hello(cut.b, cut.n, false, &t));
	cr_expect_str_eq(t.server_name, "shop.example");
	cr_expect(!read_hello(cut.b, cut.n - 1, false, &t));
}

/* Every byte set to values that lengths are forged with: no over-read, no name that is not there. */
Test(tls, forged_hellos)
{
	static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
	struct fake c = fake__client_hello("shop.example", 1), s = fake__server_hello("h2", 2);
	struct conn_tls t;

	for (size_t v = 0; v < sizeof(values); v++) {
		for (uint32_t i = 0; i < c.n; i++) {
			struct fake f = c;

			f.b[i] = values[v];
			read_hello(f.b, f.n, true, &t);
			cr_expect(strlen(t.server_name) <= 12);
		}
		for (uint32_t i = 0; i < s.n; i++) {
			struct fake f = s;

			f.b[i] = values[v];
			read_hello(f.b, f.n, true, &t);
			cr_expect(strlen(t.next_protocol) <= 2);
		}
	}
}

/* A name that could not be one is none. */
Test(tls, names_that_are_none)
{
	struct fake c = fake__client_hello("shop\nexample", 1);
	struct conn_tls t;
	char longest[300];

	cr_expect(read_hello(c.b, c.n, false, &t));
	cr_expect_str_eq(t.server_name, "");
	memset(longest, 'a', sizeof(longest));
	longest[256] = '\0';
	c = fake__client_hello(longest, 1);
	cr_expect(read_hello(c.b, c.n, false, &t));
	cr_expect_str_eq(t.server_name, "");
	longest[255] = '\0';
	c = fake__client_hello(longest, 1);
	cr_expect(read_hello(c.b, c.n, false, &t));
	cr_expect_str_eq(t.server_name, longest);
}

/* Records of other kinds hold no hello. */
Test(tls, no_hello)
{
	struct conn_tls t;
	struct fake r = fake__app_data(100, 1);

	cr_expect(read_hello(r.b, r.n, false, &t));
	cr_expect(!t.version && !t.server_name[0]);
	r = fake__record(22, 100, 3);
	r.b[5] = 11; /* a certificate, whole */
	r.b[6] = 0;
	r.b[7] = 0;
	r.b[8] = 96;
	cr_expect(read_hello(r.b, r.n, false, &t));
	cr_expect(!t.version && !t.server_name[0]);
}
