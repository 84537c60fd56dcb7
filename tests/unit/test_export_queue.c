// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The queue between tracer and exporter: every span in exactly one counter, whatever the receiver
 * does, and an end in bounded time.
 */
#include <pthread.h>

#include "../../user/lib/log.h"
#include "export_fixture.h"

/* ---- an exporter made for the test ---- */

/*
 * Answers from a script, one a send; then EXPORT_OK. While `held`, send() waits, until release() or
 * the deadline that hurry() sets: so a test knows what is in flight.
 */
struct fake {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	const struct export_answer *script;
	unsigned n_script, sends;
	size_t sizes[64];  /* spans of each send */
	int64_t at_ms[64]; /* when */
	bool held, inside, closed;
	int64_t deadline_ns;
	size_t split_above; /* answers SPLIT to more spans than that; 0 never */
};

static void fake__wait(struct fake *f)
{
	while (f->held) {
		struct timespec ts = { .tv_sec = f->deadline_ns / 1000000000,
				       .tv_nsec = f->deadline_ns % 1000000000 };

		if (f->deadline_ns == INT64_MAX)
			pthread_cond_wait(&f->changed, &f->lock);
		else if (pthread_cond_timedwait(&f->changed, &f->lock, &ts) != 0)
			return;
	}
}

static void fake__send(void *state, struct span *const *spans, size_t n, int64_t timeout_ms,
		       struct export_answer *a)
{
	struct fake *f = state;

	(void)timeout_ms;
	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < n; i++)
		cr_assert_eq(spans[i]->kind, SPAN_SERVER); /* they are alive */
	f->sizes[f->sends % 64] = n;
	f->at_ms[f->sends % 64] = now_ms();
	*a = f->sends < f->n_script ? f->script[f->sends]
				    : (struct export_answer){ .retry_after_ms = -1 };
	if (f->split_above && n > f->split_above)
		a->result = EXPORT_SPLIT;
	f->sends++;
	f->inside = true;
	pthread_cond_broadcast(&f->changed);
	fake__wait(f);
	if (f->held)
		*a = (struct export_answer){ .result = EXPORT_RETRY,
					     .retry_after_ms = -1,
					     .why = "no answer" };
	f->inside = false;
	pthread_mutex_unlock(&f->lock);
}

static void fake__hurry(void *state, int64_t deadline_ns)
{
	struct fake *f = state;

	pthread_mutex_lock(&f->lock);
	f->deadline_ns = deadline_ns;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

static void fake__close(void *state)
{
	((struct fake *)state)->closed = true;
}

static const struct exporter fake_exporter = {
	.name = "fake", .send = fake__send, .hurry = fake__hurry, .close = fake__close
};

static void fake__init(struct fake *f)
{
	pthread_condattr_t attr;

	*f = (struct fake){ .deadline_ns = INT64_MAX };
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->changed, &attr);
	log__set_level(LOG_ERROR);
}

static void fake__release(struct fake *f)
{
	pthread_mutex_lock(&f->lock);
	f->held = false;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

/* Until a send is under way and held. */
static void fake__await_send(struct fake *f)
{
	pthread_mutex_lock(&f->lock);
	while (!f->inside)
		pthread_cond_wait(&f->changed, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

static void fake__await_sends(struct fake *f, unsigned n)
{
	pthread_mutex_lock(&f->lock);
	while (f->sends < n)
		pthread_cond_wait(&f->changed, &f->lock);
	pthread_mutex_unlock(&f->lock);
}

Test(queue, full_batches_go_at_once_and_the_rest_at_the_end, .timeout = 20)
{
	struct fake f;
	struct export_stats s;

	fake__init(&f);
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &patient);

	put(q, 4);
	put(q, 4);
	put(q, 4); /* 12: a batch of 10, 2 stay */
	fake__await_sends(&f, 1);
	put(q, 23);
	fake__await_sends(&f, 3);
	export_queue__finish(q, 5000, &s);
	cr_assert_eq(f.sends, 4);
	cr_assert_eq(f.sizes[0], 10);
	cr_assert_eq(f.sizes[1], 10);
	cr_assert_eq(f.sizes[2], 10);
	cr_assert_eq(f.sizes[3], 5);
	cr_assert_eq(s.accepted, 35);
	cr_assert_eq(s.exported, 35);
	cr_assert(f.closed);
	expect_balance(&s);
}

Test(queue, a_lone_span_goes_when_its_delay_has_passed, .timeout = 20)
{
	struct queue_limits l = patient;
	struct fake f;
	struct export_stats s;
	int64_t start = now_ms();

	l.delay_ms = 50;
	fake__init(&f);
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &l);

	put(q, 1);
	fake__await_sends(&f, 1);
	cr_assert_geq(f.at_ms[0] - start, 49);
	export_queue__finish(q, 5000, &s);
	cr_assert_eq(s.exported, 1);
}

Test(queue, what_does_not_fit_is_dropped_by_whole_traces_and_counted, .timeout = 20)
{
	struct queue_limits l = patient;
	struct fake f;
	struct export_stats s;

	l.max_spans = 20;
	fake__init(&f);
	f.held = true;
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &l);

	put(q, 10);
	fake__await_send(&f); /* these 10 are under way, the queue is empty */
	put(q, 15);
	put(q, 6); /* does not fit */
	put(q, 5); /* does */
	put(q, 1); /* not any more */
	export_queue__stats(q, &s);
	cr_assert_eq(s.accepted, 37);
	cr_assert_eq(s.dropped_full, 7);
	fake__release(&f);
	export_queue__finish(q, 5000, &s);
	cr_assert_eq(s.exported, 30);
	expect_balance(&s);
}

Test(queue, a_trace_larger_than_the_queue_keeps_its_first_spans, .timeout = 20)
{
	struct queue_limits l = patient;
	struct fake f;
	struct export_stats s;

	l.max_spans = 20;
	fake__init(&f);
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &l);

	put(q, 50);
	export_queue__finish(q, 5000, &s);
	cr_assert_eq(s.exported, 20);
	cr_assert_eq(s.dropped_full, 30);
	expect_balance(&s);
}

Test(queue, retries_until_it_is_taken, .timeout = 20)
{
	static const struct export_answer script[] = {
		{ .result = EXPORT_RETRY, .retry_after_ms = -1, .why = "not now" },
		{ .result = EXPORT_RETRY, .retry_after_ms = 30, .why = "in 30 ms" },
		{ .result = EXPORT_RETRY, .retry_after_ms = -1, .why = "not now" },
	};
	struct fake f;
	struct export_stats s;

	fake__init(&f);
	f.script = script;
	f.n_script = 3;
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &patient);

	put(q, 10);
	fake__await_sends(&f, 4);
	export_queue__finish(q, 5000, &s);
	cr_assert_eq(s.exported, 10);
	cr_assert_eq(s.retries, 3);
	cr_assert_geq(f.at_ms[2] - f.at_ms[1], 29, "what the receiver asked for is kept");
	cr_assert_str_eq(s.last_error, "not now");
	expect_balance(&s);
}

Test(queue, refusals_and_partial_successes_are_counted_and_not_repeated, .timeout = 20)
{
	static const struct export_answer script[] = {
		{ .result = EXPORT_REFUSED, .retry_after_ms = -1, .why = "bad" },
		{ .result = EXPORT_OK, .retry_after_ms = -1, .rejected = 3, .why = "3 too old" },
		{ .result = EXPORT_OK,
		  .retry_after_ms = -1,
		  .rejected = 1000,
		  .why = "a receiver that can't count" },
	};
	struct fake f;
	struct export_stats s;

	fake__init(&f);
	f.script = script;
	f.n_script = 3;
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &patient);

	put(q, 40);
	export_queue__finish(q, 5000, &s);
	cr_assert_eq(f.sends, 4);
	cr_assert_eq(s.retries, 0);
	cr_assert_eq(s.dropped_refused, 10 + 3 + 10);
	cr_assert_eq(s.exported, 7 + 10);
	expect_balance(&s);
}

Test(queue, gives_up_after_its_time, .timeout = 20)
{
	static struct export_answer script[10000];
	struct queue_limits l = patient;
	struct fake f;
	struct export_stats s;

	for (int i = 0; i < 10000; i++)
		script[i] = (struct export_answer){ .result = EXPORT_RETRY,
						    .retry_after_ms = -1,
						    .why = "no" };
	l.give_up_ms = 300;
	l.delay_ms = 0;
	fake__init(&f);
	f.script = script;
	f.n_script = 10000;
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &l);

	put(q, 10);
	do
		export_queue__stats(q, &s);
	while (s.dropped_timeout < 10);
	cr_assert_geq(s.retries, 1);
	export_queue__finish(q, 5000, &s);
	cr_assert_eq(s.dropped_timeout, 10);
	expect_balance(&s);
}

Test(queue, too_large_a_request_is_halved, .timeout = 20)
{
	struct fake f;
	struct export_stats s;

	fake__init(&f);
	f.split_above = 3;
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &patient);

	put(q, 10);
	export_queue__finish(q, 5000, &s);
	cr_assert_eq(s.exported, 10);
	cr_assert_eq(s.retries, 0);
	expect_balance(&s);
}

Test(queue, the_end_is_in_time_though_a_send_hangs, .timeout = 20)
{
	struct fake f;
	struct export_stats s;

	fake__init(&f);
	f.held = true;
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &patient);

	put(q, 25);
	fake__await_send(&f);
	int64_t start = now_ms();

	export_queue__finish(q, 100, &s);
	int64_t took = now_ms() - start;

	cr_assert(took >= 99 && took < 1000, "%ld ms", (long)took);
	cr_assert_eq(s.dropped_timeout, 25);
	cr_assert_eq(f.sends, 1);
	expect_balance(&s);
}

Test(queue, the_end_cuts_a_wait_and_tries_once_more, .timeout = 20)
{
	static const struct export_answer script[] = {
		{ .result = EXPORT_RETRY,
		  .retry_after_ms = 3000000,
		  .why = "come back in an hour" },
	};
	struct fake f;
	struct export_stats s;

	fake__init(&f);
	f.script = script;
	f.n_script = 1;
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &patient);

	put(q, 10);
	fake__await_sends(&f, 1);
	int64_t start = now_ms();

	export_queue__finish(q, 5000, &s);
	cr_assert_lt(now_ms() - start, 3000);
	expect_balance(&s);
	/*
	 * Whether the thread had begun its rest by then is a race; nothing may be unaccounted for
	 * in either case.
	 */
	cr_assert_eq(s.exported + s.dropped_timeout, 10);
}

static void *putter(void *q)
{
	for (int i = 0; i < 2000; i++)
		put(q, 1 + (unsigned)i % 7);
	return NULL;
}

Test(queue, many_at_once, .timeout = 60)
{
	struct queue_limits l = patient;
	struct fake f;
	struct export_stats s;
	pthread_t threads[4];

	l.delay_ms = 0;
	fake__init(&f);
	struct export_queue *q = export_queue__new(&fake_exporter, &f, &l);

	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, putter, q);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	export_queue__finish(q, 30000, &s);
	cr_assert_eq(s.accepted, 4 * (2000 / 7 * 28 + 15));
	cr_assert_eq(s.dropped_timeout, 0);
	expect_balance(&s);
}
