// SPDX-License-Identifier: GPL-2.0-or-later
/* The ring's reader: how long it sleeps. All times are made up. */
#include <criterion/criterion.h>

#include "user/run/pace.h"

#define MS 1000000ull
#define S (1000 * MS)
#define RING (8u << 20)

static struct pace pace;
static uint64_t now;

static void event(uint8_t kind)
{
	struct weft_event ev = { .kind = kind, .ts = now };

	pace__event(&pace, &ev);
}

/* Polls for so long, each of which gives `bytes` a ms since the last. The last pause, in ms. */
static unsigned run(uint64_t ns, size_t bytes)
{
	uint64_t end = now + ns;
	unsigned ms = 0, last = 5;

	while (now < end) {
		ms = pace__pause(&pace, bytes * last, now);
		cr_assert_gt(ms, 0);
		last = ms;
		now += ms * MS;
	}
	return ms;
}

static void begin(size_t ring)
{
	now = 1000 * S;
	pace__init(&pace, ring, now);
}

Test(pace, is_quick_at_the_start)
{
	begin(RING);
	cr_assert_eq(run(2 * S, 0), 5);
	cr_assert_eq(run(8 * S, 0), 50);
}

Test(pace, little_traffic_waits_for_company)
{
	begin(RING);
	run(4 * S, 100);
	cr_assert_eq(run(S, 100), 50);
}

Test(pace, much_traffic_is_read_often)
{
	begin(RING);
	run(4 * S, 100);
	cr_assert_eq(run(S, RING / 100), 5);
	cr_assert_eq(run(S, 100), 50, "and then not any more");
}

Test(pace, what_is_read_never_fills_the_ring)
{
	for (size_t rate = 16; rate < RING / 400; rate *= 2) {
		begin(RING);
		run(10 * S, 0);
		cr_assert_lt(run(S, rate) * rate, RING / 4, "%zu bytes a ms", rate);
	}
}

Test(pace, a_process_is_answered_soon)
{
	static const uint8_t kinds[] = { WEFT_EV_FORK, WEFT_EV_EXEC,     WEFT_EV_SELECT,
					 WEFT_EV_MAP,  WEFT_EV_STRANGER, WEFT_EV_EXIT };

	for (size_t i = 0; i < sizeof(kinds); i++) {
		begin(RING);
		run(10 * S, 0);
		event(kinds[i]);
		cr_assert_leq(pace__pause(&pace, 48, now), 5, "kind %u", kinds[i]);
		cr_assert_leq(run(2 * S, 0), 5);
		run(2 * S, 0);
		cr_assert_eq(run(S, 0), 50);
	}
}

Test(pace, a_program_that_begins_is_answered_at_once)
{
	begin(RING);
	run(10 * S, 0);
	event(WEFT_EV_EXEC);
	cr_assert_eq(pace__pause(&pace, 48, now), 1);
	now += 100 * MS;
	cr_assert_eq(pace__pause(&pace, 0, now), 5);
}

Test(pace, a_connection_is_answered_soon)
{
	static const uint8_t kinds[] = { WEFT_EV_OPEN, WEFT_EV_CONNECT, WEFT_EV_SESSION };

	for (size_t i = 0; i < sizeof(kinds); i++) {
		begin(RING);
		run(10 * S, 0);
		event(kinds[i]);
		cr_assert_eq(run(400 * MS, 100), 5);
		run(S, 100);
		cr_assert_eq(run(S, 100), 50);
	}
}

Test(pace, connections_that_come_all_the_time_are_answered_soon)
{
	begin(RING);
	run(10 * S, 0);
	for (int i = 0; i < 100; i++) {
		event(WEFT_EV_CONNECT);
		cr_assert_eq(run(100 * MS, 100), 5);
	}
}

Test(pace, ends_wait)
{
	begin(RING);
	run(10 * S, 0);
	event(WEFT_EV_CLOSE);
	event(WEFT_EV_SHUT);
	event(WEFT_EV_EOF);
	cr_assert_eq(pace__pause(&pace, 144, now), 50);
}

Test(pace, a_small_ring_is_read_often_unless_idle)
{
	begin(256 * 1024);
	run(10 * S, 10);
	cr_assert_eq(run(S, 10), 5);
	cr_assert_eq(run(10 * S, 0), 50);
	cr_assert_eq(pace__pause(&pace, 500, now), 5);
}
