// SPDX-License-Identifier: GPL-2.0-or-later
/* HTTP/1: what is recognised as such. Messages and their framing are in tests/proto/http. */
#include <criterion/criterion.h>

#include <stdlib.h>

#include "../../user/proto/proto.h"

extern const struct protocol protocol_http1;

/*
 * The answer to exactly these bytes: behind them is nothing that could be read unnoticed under the
 * sanitizers.
 */
static enum detect_result ask(const char *bytes, size_t n)
{
	uint8_t *exact = malloc(n);

	memcpy(exact, bytes, n);
	enum detect_result r = protocol_http1.detect(exact, n);

	free(exact);
	return r;
}

/* Certain in the end, and on the way there never anything else. */
static void expect(const char *bytes, enum detect_result want)
{
	size_t n = strlen(bytes);

	cr_expect_eq(ask(bytes, n), want, "%s: %d", bytes, ask(bytes, n));
	for (size_t i = 1; i < n; i++) {
		enum detect_result r = ask(bytes, i);

		cr_expect(r == want || r == DETECT_MORE, "%s: %d after %zu bytes", bytes, r, i);
	}
}

Test(http1_detect, requests)
{
	expect("GET / HTTP/1.1\r\n", DETECT_REQ);
	expect("POST /a HTTP/1.0\n", DETECT_REQ);
	expect("OPTIONS * HTTP/1.1\r\n", DETECT_REQ);
	expect("CONNECT a:1 HTTP/1.1\r\n", DETECT_REQ);
	expect("GET http://h/ HTTP/1.1\r\n", DETECT_REQ);
	expect("VERSION-CONTROL /x HTTP/1.1\r\n", DETECT_REQ);
	expect("m-search * HTTP/1.1\r\n", DETECT_REQ);
	expect("\r\n\r\nGET / HTTP/1.1\r\n", DETECT_REQ);
	/* A URL longer than what was captured. */
	expect("GET /0123456789012345678901234567890123456789", DETECT_REQ);
}

Test(http1_detect, responses)
{
	expect("HTTP/1.1 200 OK\r\n", DETECT_RESP);
	expect("HTTP/1.0 404\r\n", DETECT_RESP);
	expect("HTTP/1.1 599 ", DETECT_RESP);
}

Test(http1_detect, undecided)
{
	cr_expect_eq(ask("GET ", 4), DETECT_MORE);
	cr_expect_eq(ask("GET /0123456789", 15), DETECT_MORE);
	cr_expect_eq(ask("PURGE /0123456789012345678901234567890123456789", 47), DETECT_MORE);
	cr_expect_eq(ask("HTTP/1.1 20", 11), DETECT_MORE);
	cr_expect_eq(ask("\r\n", 2), DETECT_MORE);
}

Test(http1_detect, others)
{
	static const char *const no[] = {
		"GET /\r\n",                        /* HTTP/0.9 */
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", /* HTTP/2 */
		"GET / HTTP/2\r\n",
		"HTTP/2 200\r\n",
		"HTTP/1.1 2xx",
		"HTTP/1.1 099 ",
		"HTTP/1.1 2000",
		"HTTP/1.1:200",
		"OPTIONS rtsp://h/a RTSP/1.0\r\n", /* RTSP */
		"INVITE sip:a@b SIP/2.0\r\n",      /* SIP */
		"SET key value\r\n",
		"GET key\r\n",          /* Redis inline, memcached */
		"*1\r\n$4\r\nPING\r\n", /* RESP */
		"+OK\r\n",
		"-ERR x\r\n",
		":1\r\n",
		"EHLO example.com\r\n", /* SMTP */
		"SELECT * FROM t",
		"USER me\r\n",
		"SSH-2.0-OpenSSH_9.2\r\n",
		"\x16\x03\x01\x02", /* TLS */
		"{\"a\": 1}",
		"get / http/1.1\r\n",
		"GET  / HTTP/1.1\r\n",
		"GET /\tHTTP/1.1\r\n",
		" GET / HTTP/1.1\r\n",
		"ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJ / HTTP/1.1\r\n",
	};

	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		cr_expect_eq(ask(no[i], strlen(no[i])), DETECT_NO, "%s: %d", no[i],
			     ask(no[i], strlen(no[i])));
	cr_expect_eq(ask("\0\0\0\x08\x04\xd2\x16\x2f", 8), DETECT_NO); /* PostgreSQL's SSLRequest */
	cr_expect_eq(ask("\xff", 1), DETECT_NO);
}

Test(http1_detect, does_not_wait_for_ever)
{
	size_t n = 64 * 1024;
	char *long_target = malloc(n);

	memset(long_target, 'a', n);
	memcpy(long_target, "XYZ /", 5);
	cr_expect_eq(ask(long_target, n), DETECT_NO);
	free(long_target);
}
