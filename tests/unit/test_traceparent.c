// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * W3C Trace Context: what is taken, what is refused, and that no parser reads past its input. Ids.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../user/span/ids.h"
#include "../../user/span/traceparent.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define GOOD "00-" TRACE "-" SPAN "-01"

/* The text's copy ends where readable memory ends. */
static struct slice at_the_edge(const char *text, size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *p = mmap(NULL, 5 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert(p != MAP_FAILED && n <= 4 * page);
	cr_assert_eq(mprotect(p + 4 * page, page, PROT_NONE), 0);
	return slice__from(memcpy(p + 4 * page - n, text, n), n);
}

static void forget(struct slice s)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	munmap((char *)(((uintptr_t)s.p + s.n) / page * page) - 4 * page, 5 * page);
}

/* The flags, or -1 if it is refused (then nothing may have been written). */
static int parse_n(const char *text, size_t n)
{
	struct slice s = at_the_edge(text, n);
	uint8_t trace[16], span[8], flags = 0xaa, untouched[16];

	memset(trace, 0xaa, sizeof(trace));
	memset(span, 0xaa, sizeof(span));
	memset(untouched, 0xaa, sizeof(untouched));
	bool ok = traceparent__parse(s, trace, span, &flags);

	forget(s);
	if (ok) {
		static const uint8_t want_trace[16] = { 0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3,
							0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d,
							0x0e, 0x0e, 0x47, 0x36 };
		static const uint8_t want_span[8] = {
			0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7
		};

		cr_assert_arr_eq(trace, want_trace, 16);
		cr_assert_arr_eq(span, want_span, 8);
		return flags;
	}
	cr_assert_arr_eq(trace, untouched, 16);
	cr_assert_arr_eq(span, untouched, 8);
	cr_assert_eq(flags, 0xaa);
	return -1;
}

static int parse(const char *text)
{
	return parse_n(text, strlen(text));
}

Test(traceparent, good)
{
	cr_assert_eq(parse(GOOD), 1);
	cr_assert_eq(parse("00-" TRACE "-" SPAN "-00"), 0);
	cr_assert_eq(parse("00-" TRACE "-" SPAN "-03"), 3);
	cr_assert_eq(parse(" \t" GOOD "\t "), 1, "white space around it is allowed");
}

Test(traceparent, unknown_flag_bits_are_dropped)
{
	cr_assert_eq(parse("00-" TRACE "-" SPAN "-ff"), 3);
	cr_assert_eq(parse("00-" TRACE "-" SPAN "-fc"), 0);
}

Test(traceparent, versions)
{
	cr_assert_eq(parse("ff-" TRACE "-" SPAN "-01"), -1, "ff is invalid");
	cr_assert_eq(parse(GOOD "-"), -1, "version 00 has an exact length");
	cr_assert_eq(parse(GOOD "-x"), -1);
	cr_assert_eq(parse(GOOD "0"), -1);
	cr_assert_eq(parse("01-" TRACE "-" SPAN "-01"), 1);
	cr_assert_eq(parse("cc-" TRACE "-" SPAN "-01-what-the-future-will-be-like"), 1);
	cr_assert_eq(parse("cc-" TRACE "-" SPAN "-01-"), 1);
	cr_assert_eq(parse("cc-" TRACE "-" SPAN "-01.what"), -1, "more only after a dash");
	cr_assert_eq(parse("cc-" TRACE "-" SPAN "-012"), -1);
	cr_assert_eq(parse("fe-" TRACE "-" SPAN "-05-01"), 1);
	cr_assert_eq(parse("0-" TRACE "-" SPAN "-01"), -1);
	cr_assert_eq(parse("0A-" TRACE "-" SPAN "-01"), -1);
}

Test(traceparent, zero_ids)
{
	cr_assert_eq(parse("00-00000000000000000000000000000000-" SPAN "-01"), -1);
	cr_assert_eq(parse("00-" TRACE "-0000000000000000-01"), -1);
}

Test(traceparent, uppercase_is_invalid)
{
	cr_assert_eq(parse("00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01"), -1);
	cr_assert_eq(parse("00-" TRACE "-00F067AA0BA902B7-01"), -1);
	cr_assert_eq(parse("00-" TRACE "-" SPAN "-0A"), -1);
}

Test(traceparent, two_headers_joined_are_invalid)
{
	cr_assert_eq(parse(GOOD "," GOOD), -1);
}

Test(traceparent, cut_at_every_length)
{
	for (size_t n = 0; n < strlen(GOOD); n++)
		cr_assert_eq(parse_n(GOOD, n), -1, "%zu bytes", n);
}

/* Any other character at any place makes it invalid, but for digits of ids, flags and version. */
Test(traceparent, every_place_is_looked_at)
{
	for (size_t i = 0; i < strlen(GOOD); i++) {
		char text[] = GOOD;

		for (const char *bad = "gG -\n\x80_"; *bad; bad++) {
			if (text[i] == *bad)
				continue;
			text[i] = *bad;
			cr_assert_eq(parse_n(text, strlen(text)), -1, "'%c' at %zu", *bad, i);
			text[i] = GOOD[i];
		}
	}
}

/* ---- tracestate ---- */

static char normalised[20000];

static const char *normalise(const char *text)
{
	struct slice s = at_the_edge(text, strlen(text));
	struct arena a;

	arena__init(&a, 20000);
	struct slice out = tracestate__normalise(s, &a);

	forget(s);
	snprintf(normalised, sizeof(normalised), SLICE_FMT, SLICE_ARG(out));
	arena__reset(&a);
	return normalised;
}

static bool valid(const char *text)
{
	struct slice s = at_the_edge(text, strlen(text));
	bool ok = tracestate__valid(s);

	forget(s);
	return ok;
}

Test(tracestate, good)
{
	cr_assert_str_eq(normalise("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"),
			 "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
	cr_assert_str_eq(normalise("a=1"), "a=1");
	cr_assert_str_eq(normalise("  a=1\t, ,,b=2 ,"), "a=1,b=2");
	cr_assert_str_eq(normalise("0a/b@c-d_e*=~ !"), "0a/b@c-d_e*=~ !");
	cr_assert_str_eq(normalise("a= b"), "a= b", "a space in front of a value belongs to it");
	cr_assert(valid("a=1,b=2"));
}

Test(tracestate, bad)
{
	static const char *const bad[] = {
		"",      ",",    " , ",    "a",      "a=",    "=1",    "A=1",  "a=1=2",
		"a b=1", "_a=1", "a=\x7f", "a=\x80", "a=1\n", "a=1,b", "a =1", "a=\t1",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert_not(valid(bad[i]), "\"%s\"", bad[i]);
		cr_assert_str_eq(normalise(bad[i]), "", "\"%s\"", bad[i]);
	}
}

Test(tracestate, a_key_twice)
{
	cr_assert_not(valid("a=1,b=2,a=3"));
	cr_assert_str_eq(normalise("a=1,b=2,a=3"), "a=1,b=2", "the first is the newest");
}

Test(tracestate, at_most_32_members)
{
	char text[1000] = "";
	size_t n = 0;

	for (int i = 0; i < 32; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%sk%d=v", i ? "," : "", i);
	cr_assert(valid(text));
	cr_assert_str_eq(normalise(text), text);
	snprintf(text + n, sizeof(text) - n, ",,");
	cr_assert(valid(text), "empty members do not count");
	snprintf(text + n, sizeof(text) - n, ",one=more");
	cr_assert_not(valid(text));
	cr_assert_str_eq(normalise(text), "");
}

Test(tracestate, limits_of_a_member)
{
	char text[600];

	snprintf(text, sizeof(text), "%0256d=%0256d", 0, 0);
	cr_assert(valid(text));
	snprintf(text, sizeof(text), "%0257d=1", 0);
	cr_assert_not(valid(text));
	snprintf(text, sizeof(text), "a=%0257d", 0);
	cr_assert_not(valid(text));
}

Test(tracestate, an_arena_without_room_gives_nothing_rather_than_a_part)
{
	struct arena a;

	arena__init(&a, 8);
	cr_assert_eq(tracestate__normalise(SLICE("abc=1,def=2"), &a).n, 0);
	arena__reset(&a);
}

/* ---- ids ---- */

#define IDS 20000

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, 8);
}

static void *make_ids(void *p)
{
	uint8_t(*ids)[8] = p;

	for (int i = 0; i < IDS; i++)
		ids__span(ids[i]);
	return NULL;
}

Test(ids, differ_within_and_between_threads)
{
	static uint8_t ids[2 * IDS][8];
	pthread_t t;

	cr_assert_eq(pthread_create(&t, NULL, make_ids, ids + IDS), 0);
	make_ids(ids);
	pthread_join(t, NULL);
	qsort(ids, 2 * IDS, 8, by_bytes);
	for (int i = 1; i < 2 * IDS; i++)
		cr_assert(memcmp(ids[i - 1], ids[i], 8) != 0);
}

/* Each bit of a trace id is set about half the time: 20000 throws, 10 standard deviations. */
Test(ids, every_bit_is_random)
{
	int ones[128] = { 0 };
	uint8_t id[16];

	for (int i = 0; i < IDS; i++) {
		ids__trace(id);
		for (int b = 0; b < 128; b++)
			ones[b] += id[b / 8] >> (b % 8) & 1;
	}
	for (int b = 0; b < 128; b++)
		cr_assert(abs(ones[b] - IDS / 2) < 707, "bit %d: %d of %d", b, ones[b], IDS);
}

Test(ids, repeat_after_a_seed)
{
	uint8_t a[16], b[16];

	ids__seed(0);
	ids__trace(a);
	ids__seed(0);
	ids__trace(b);
	cr_assert_arr_eq(a, b, 16);
	ids__seed(1);
	ids__trace(b);
	cr_assert(memcmp(a, b, 16) != 0);
}
