// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Between the tracer, which must never wait, and an exporter, which may take its time: a bounded
 * queue of traces, and a thread that takes batches of spans from it.
 *
 * Every span accepted ends in exactly one counter: exported, or dropped_* by reason. A trace that
 * does not fit is dropped whole: half a trace would be spans without their parents. (One that is
 * larger than the whole queue is cut behind its first spans, where the parents are.)
 *
 * The exporter says of each send what became of it (struct export_answer); repeating, waiting and
 * giving up are decided here and nowhere else. While a batch is being repeated the queue fills, and
 * then counts what it drops.
 */
#include "queue.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../user/lib/clock.h"
#include "../user/lib/log.h"
#include "../user/span/ids.h"
#include "env.h"

#define NEVER INT64_MAX
#define QUIET_MS 10000

/* Spans [next, end) of a trace wait; the reference is the queue's. */
struct item {
	struct trace *trace;
	unsigned next, end;
};

struct export_queue {
	const struct exporter *exporter;
	void *state;
	struct queue_limits limits;
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t wake; /* there is a first span, or a full batch, or `stopping` */
	/* Under lock: */
	struct item *items; /* a ring; n_items from `head` on */
	size_t head, n_items, cap;
	size_t queued;    /* spans in items */
	int64_t first_ns; /* since when the queue is not empty */
	bool stopping;
	int64_t deadline_ns; /* by which all must end; NEVER until stopping */
	struct export_stats stats;

	/* The thread's own: */
	struct span **batch; /* batch_spans of them */
	struct trace **done; /* traces whose last span is in the batch */
	size_t n_done;
	int64_t not_before_ns;  /* the receiver asked to be left alone until then */
	bool failing;           /* the last send failed: said so once */
	int64_t quiet_until_ns; /* partial successes are not told of once a batch */
};

/* now + ms, without overflow. */
static int64_t after_ms(int64_t now, int64_t ms)
{
	return ms > (NEVER - now) / 1000000 ? NEVER : now + ms * 1000000;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* ---- putting in ---- */

static bool ring__push(struct export_queue *q, struct item item)
{
	if (q->n_items == q->cap) {
		size_t cap = q->cap ? 2 * q->cap : 64;
		struct item *items = malloc(cap * sizeof(*items));

		if (!items)
			return false;
		for (size_t i = 0; i < q->n_items; i++)
			items[i] = q->items[(q->head + i) & (q->cap - 1)];
		free(q->items);
		q->items = items;
		q->cap = cap;
		q->head = 0;
	}
	q->items[(q->head + q->n_items++) & (q->cap - 1)] = item;
	return true;
}

void export_queue__put(void *queue, struct trace *t)
{
	struct export_queue *q = queue;

	if (t->n == 0)
		return;
	pthread_mutex_lock(&q->lock);
	size_t room = q->limits.max_spans - q->queued, before = q->queued;
	unsigned take = t->n;

	if (take > room)
		take = q->queued == 0 ? (unsigned)room : 0;
	q->stats.accepted += t->n;
	if (take && ring__push(q, (struct item){ .trace = trace__ref(t), .end = take })) {
		q->queued += take;
	} else if (take) {
		trace__unref(t);
		take = 0;
	}
	q->stats.dropped_full += t->n - take;
	if (before == 0)
		q->first_ns = clock__monotonic();
	bool signal = take && (before == 0 || (before < q->limits.batch_spans &&
					       q->queued >= q->limits.batch_spans));

	pthread_mutex_unlock(&q->lock);
	if (signal)
		pthread_cond_signal(&q->wake);
}

/* ---- waiting; all with the lock held ---- */

static void wait_until(struct export_queue *q, int64_t until_ns)
{
	if (until_ns == NEVER) {
		pthread_cond_wait(&q->wake, &q->lock);
		return;
	}
	struct timespec ts = { .tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000 };

	pthread_cond_timedwait(&q->wake, &q->lock, &ts);
}

/*
 * Until there is a batch to send, or the queue ends. False: it ended, and is empty or out of time.
 */
static bool wait_for_batch(struct export_queue *q)
{
	while (!q->queued && !q->stopping)
		wait_until(q, NEVER);
	int64_t due = after_ms(q->first_ns, q->limits.delay_ms);

	while (q->queued && q->queued < q->limits.batch_spans && !q->stopping &&
	       clock__monotonic() < due)
		wait_until(q, due);
	/*
	 * Nobody is there to be asked again before the end: what waits is lost now rather than
	 * later.
	 */
	return q->queued && clock__monotonic() < q->deadline_ns &&
	       q->not_before_ns < q->deadline_ns;
}

/*
 * Sleep until then, or until weft begins to end (then at once: better one try too early than none),
 * or until the end itself. Takes the lock.
 */
static void rest_until(struct export_queue *q, int64_t until_ns)
{
	pthread_mutex_lock(&q->lock);
	bool was_stopping = q->stopping;

	while (q->stopping == was_stopping && clock__monotonic() < least(until_ns, q->deadline_ns))
		wait_until(q, least(until_ns, q->deadline_ns));
	pthread_mutex_unlock(&q->lock);
}

static int64_t end_of_queue(struct export_queue *q)
{
	pthread_mutex_lock(&q->lock);
	int64_t deadline = q->deadline_ns;

	pthread_mutex_unlock(&q->lock);
	return deadline;
}

/* ---- counting ---- */

static void count(struct export_queue *q, uint64_t *counter, uint64_t n)
{
	pthread_mutex_lock(&q->lock);
	*counter += n;
	pthread_mutex_unlock(&q->lock);
}

/* Keep the last error; say it once when things go wrong, and once when they are well again. */
static void note(struct export_queue *q, const struct export_answer *a)
{
	bool failing = a->result != EXPORT_OK;

	if (a->why[0]) {
		pthread_mutex_lock(&q->lock);
		bool news = strcmp(q->stats.last_error, a->why) != 0;

		snprintf(q->stats.last_error, sizeof(q->stats.last_error), "%s", a->why);
		pthread_mutex_unlock(&q->lock);
		if (!q->failing && (failing || (news && clock__monotonic() >= q->quiet_until_ns)))
			log_warn("export: %s%s", a->why,
				 a->result == EXPORT_RETRY ? "; trying again" : "");
		else
			log_debug("export: %s", a->why);
		if (!failing && news)
			q->quiet_until_ns = after_ms(clock__monotonic(), QUIET_MS);
	}
	if (q->failing && !failing)
		log_info("export: spans are accepted again");
	q->failing = failing;
}

/* ---- sending ---- */

/*
 * How long to wait after the failed attempt number `attempt` (from 0): exponential, the upper half
 * of it by chance.
 */
static int64_t backoff_ms(const struct queue_limits *l, unsigned attempt)
{
	int64_t ms = l->backoff_ms;

	while (attempt-- && ms < l->backoff_max_ms)
		ms *= 2;
	ms = least(ms, l->backoff_max_ms);
	return ms / 2 + (int64_t)(ids__random() % (uint64_t)(ms / 2 + 1));
}

static void deliver(struct export_queue *q, struct span *const *spans, size_t n);

/* What the answer means; true when the batch has found its end. */
static bool settle(struct export_queue *q, struct span *const *spans, size_t n,
		   const struct export_answer *a)
{
	uint64_t rejected = a->rejected < n ? a->rejected : n;

	switch (a->result) {
	case EXPORT_OK:
		count(q, &q->stats.exported, n - rejected);
		count(q, &q->stats.dropped_refused, rejected);
		return true;
	case EXPORT_SPLIT:
		if (n > 1) {
			deliver(q, spans, n / 2);
			deliver(q, spans + n / 2, n - n / 2);
			return true;
		}
		/* fall through */
	case EXPORT_REFUSED: count(q, &q->stats.dropped_refused, n); return true;
	case EXPORT_RETRY: break;
	}
	return false;
}

/* Send a batch, again and again if need be, until it is accepted, refused, or given up. */
static void deliver(struct export_queue *q, struct span *const *spans, size_t n)
{
	int64_t give_up = after_ms(clock__monotonic(), q->limits.give_up_ms);

	for (unsigned attempt = 0;; attempt++) {
		struct export_answer a = { .retry_after_ms = -1 };

		rest_until(q, q->not_before_ns);
		int64_t now = clock__monotonic(), end = end_of_queue(q);

		if (now >= end)
			break;
		if (attempt)
			count(q, &q->stats.retries, 1);
		q->exporter->send(q->state, spans, n,
				  least(q->limits.give_up_ms, (end - now) / 1000000), &a);
		if (a.result != EXPORT_SPLIT)
			note(q, &a);
		if (settle(q, spans, n, &a))
			return;
		now = clock__monotonic();
		/*
		 * A delay that the receiver asked for may reach beyond `give_up`: it is kept, and
		 * one more try follows it.
		 */
		if (a.retry_after_ms >= 0)
			q->not_before_ns = after_ms(now, least(a.retry_after_ms,
							       q->limits.retry_after_max_ms));
		else
			q->not_before_ns = after_ms(now, backoff_ms(&q->limits, attempt));
		if (now >= give_up || (a.retry_after_ms < 0 && q->not_before_ns >= give_up) ||
		    q->not_before_ns >= end_of_queue(q))
			break;
	}
	count(q, &q->stats.dropped_timeout, n);
}

/* The next spans into q->batch; returns how many. With the lock held. */
static size_t take_batch(struct export_queue *q)
{
	size_t n = 0;

	q->n_done = 0;
	while (q->n_items && n < q->limits.batch_spans) {
		struct item *item = &q->items[q->head];

		while (item->next < item->end && n < q->limits.batch_spans)
			q->batch[n++] = item->trace->spans[item->next++];
		if (item->next < item->end)
			break;
		q->done[q->n_done++] = item->trace;
		q->head = (q->head + 1) & (q->cap - 1);
		q->n_items--;
	}
	q->queued -= n;
	q->first_ns = clock__monotonic();
	return n;
}

static void drop_rest(struct export_queue *q)
{
	for (; q->n_items; q->n_items--) {
		trace__unref(q->items[q->head].trace);
		q->head = (q->head + 1) & (q->cap - 1);
	}
	q->stats.dropped_timeout += q->queued;
	q->queued = 0;
}

static void *run(void *arg)
{
	struct export_queue *q = arg;

	pthread_setname_np(pthread_self(), "weft-export");
	pthread_mutex_lock(&q->lock);
	while (wait_for_batch(q)) {
		size_t n = take_batch(q);

		pthread_mutex_unlock(&q->lock);
		deliver(q, q->batch, n);
		for (size_t i = 0; i < q->n_done; i++)
			trace__unref(q->done[i]);
		pthread_mutex_lock(&q->lock);
	}
	drop_rest(q);
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

/* ---- from start to finish ---- */

/*
 * The SDK's defaults are made for one process; weft speaks for a host. A batch outlives a restart
 * of its collector. OTEL_BSP_EXPORT_TIMEOUT bounds all attempts of a batch,
 * OTEL_EXPORTER_OTLP_TIMEOUT one request.
 */
void queue_limits__read(const struct exporter_config *cfg, struct queue_limits *l)
{
	int64_t queue = env__int(cfg, "OTEL_BSP_MAX_QUEUE_SIZE", 1, INT32_MAX, 65536);
	int64_t batch = env__int(cfg, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 1, 65536, 512);

	*l = (struct queue_limits){
		.max_spans = (size_t)queue,
		.batch_spans = (size_t)least(batch, queue),
		.delay_ms = env__int(cfg, "OTEL_BSP_SCHEDULE_DELAY", 0, INT32_MAX, 1000),
		.give_up_ms = env__int(cfg, "OTEL_BSP_EXPORT_TIMEOUT", 0, INT32_MAX, 60000),
		.backoff_ms = 500,
		.backoff_max_ms = 10000,
		.retry_after_max_ms = 300000,
	};
	if (l->give_up_ms == 0)
		l->give_up_ms = NEVER;
	if (batch > queue && env__text(cfg, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"))
		log_warn("OTEL_BSP_MAX_EXPORT_BATCH_SIZE is larger than the queue: %lld is used",
			 (long long)queue);
}

static void destroy(struct export_queue *q)
{
	q->exporter->close(q->state);
	free(q->items);
	free(q->batch);
	free(q->done);
	free(q);
}

struct export_queue *export_queue__new(const struct exporter *exporter, void *state,
				       const struct queue_limits *l)
{
	struct export_queue *q = calloc(1, sizeof(*q));
	pthread_condattr_t attr;

	if (!q) {
		exporter->close(state);
		return NULL;
	}
	*q = (struct export_queue){ .not_before_ns = INT64_MIN,
				    .exporter = exporter,
				    .state = state,
				    .limits = *l,
				    .deadline_ns = NEVER };
	q->batch = calloc(l->batch_spans, sizeof(struct span *));
	q->done = calloc(l->batch_spans, sizeof(struct trace *));
	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->wake, &attr);
	pthread_condattr_destroy(&attr);
	if (!q->batch || !q->done || pthread_create(&q->thread, NULL, run, q) != 0) {
		destroy(q);
		return NULL;
	}
	return q;
}

int export_queue__start(const struct exporter_config *cfg, struct export_queue **out, char *why,
			size_t why_len)
{
	struct queue_limits limits;

	*out = NULL;
	for (const struct exporter *const *e = exporter_table; *e; e++) {
		void *state;
		int asked = (*e)->open(cfg, &state, why, why_len);

		if (asked < 0)
			return asked;
		if (!asked)
			continue;
		queue_limits__read(cfg, &limits);
		*out = export_queue__new(*e, state, &limits);
		if (*out)
			return 0;
		snprintf(why, why_len, "%s: no memory or no thread for its queue", (*e)->name);
		return -ENOMEM;
	}
	return 0;
}

void export_queue__stats(struct export_queue *q, struct export_stats *stats)
{
	pthread_mutex_lock(&q->lock);
	*stats = q->stats;
	pthread_mutex_unlock(&q->lock);
}

void export_queue__finish(struct export_queue *q, int64_t timeout_ms, struct export_stats *stats)
{
	int64_t deadline = after_ms(clock__monotonic(), timeout_ms > 0 ? timeout_ms : 0);

	pthread_mutex_lock(&q->lock);
	q->stopping = true;
	q->deadline_ns = deadline;
	pthread_cond_signal(&q->wake);
	pthread_mutex_unlock(&q->lock);
	if (q->exporter->hurry)
		q->exporter->hurry(q->state, deadline);
	pthread_join(q->thread, NULL);
	*stats = q->stats;
	pthread_mutex_destroy(&q->lock);
	pthread_cond_destroy(&q->wake);
	destroy(q);
}
