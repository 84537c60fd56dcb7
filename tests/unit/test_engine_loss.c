// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * No response is ever given to a request that is not its own, whatever is lost, cut, exchanged or
 * pipelined; and where nothing is lost, none is missing. First the cases that are worth a name,
 * then conversations made by dice, in which every request carries a number that its answer repeats:
 * HTTP in the path and the status, Redis in the command and the error's code, PostgreSQL in the
 * table and the SQLSTATE.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "../lib/feed.h"

#define PID 100
#define TID 101

static const char *get(int n)
{
	static char buf[4][128];
	static int i;

	i = (i + 1) % 4;
	snprintf(buf[i], sizeof(buf[i]), "GET /%d HTTP/1.1\r\nHost: shop\r\n\r\n", n);
	return buf[i];
}

static const char *answer(int n)
{
	static char buf[4][128];
	static int i;

	i = (i + 1) % 4;
	snprintf(buf[i], sizeof(buf[i]), "HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok", n);
	return buf[i];
}

/* The number at the end of a text; -1: none. (Answers' are all from 400 on: those have a body.) */
static int number(const struct attr *a)
{
	int n = -1;

	if (!a || a->type != ATTR_STR)
		return a ? (int)a->i : -1;
	for (size_t i = 0; i < a->text_n; i++)
		if (a->text[i] >= '0' && a->text[i] <= '9')
			n = (n < 0 || (i && (a->text[i - 1] < '0' || a->text[i - 1] > '9'))
				     ? 0
				     : n * 10) +
			    a->text[i] - '0';
	return n;
}

static int asked(const struct span *s)
{
	const struct attr *path = span__attr(s, "url.path");

	return number(path ? path : span__attr(s, "url.full"));
}

static int answered(const struct span *s)
{
	return number(span__attr(s, "http.response.status_code"));
}

/* Every answer is its request's own; returns how many requests have one. */
static unsigned check_http(struct feed *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->n_spans; i++) {
		if (answered(f->spans[i]) < 0)
			continue;
		n++;
		cr_expect_eq(answered(f->spans[i]), asked(f->spans[i]),
			     "/%d was given the answer %d", asked(f->spans[i]),
			     answered(f->spans[i]));
	}
	return n;
}

/* A request's event is lost, and the next request comes behind it in the same turn. */
Test(loss, request_lost_before_another_in_its_turn)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, PID, TID, 40001, 80);
	/* This client does not wait for answers. */
	feed__read(f, 1, PID, TID, get(401));
	feed__read(f, 1, PID, TID, get(402));
	feed__write(f, 1, PID, TID, answer(401));
	feed__write(f, 1, PID, TID, answer(402));
	feed__lose(f, 1, WEFT_IN, get(403));
	feed__read(f, 1, PID, TID, get(404));
	feed__wait(f, 200);
	feed__write(f, 1, PID, TID, answer(403));
	feed__read(f, 1, PID, TID, get(405));
	feed__write(f, 1, PID, TID, answer(404));
	feed__write(f, 1, PID, TID, answer(405));
	/* After a pause order is certain again. */
	feed__wait(f, 1500);
	feed__read(f, 1, PID, TID, get(406));
	feed__write(f, 1, PID, TID, answer(406));
	feed__finish(f);
	cr_expect_eq(check_http(f), 3);
	feed__free(f);
}

/*
 * While the hole in front of it keeps a request waiting, the connection goes on: everything keeps
 * its order.
 */
Test(loss, connection_goes_on_while_a_hole_is_waited_for)
{
	struct feed *f = feed__new();

	feed__accept(f, 1, PID, TID, 40001, 80);
	feed__read(f, 1, PID, TID, get(401));
	feed__write(f, 1, PID, TID, answer(401));
	feed__lose(f, 1, WEFT_IN, get(402));
	feed__write(f, 1, PID, TID, answer(402));
	for (int i = 403; i < 600; i++) {
		feed__read(f, 1, PID, TID, get(i));
		feed__write(f, 1, PID, TID, answer(i));
	}
	feed__finish(f);
	cr_expect_geq(check_http(f), 196, "only what is next to the loss has no answer");
	feed__free(f);
}

/*
 * The same, said by the kernel side: nothing is lost, though the next request comes at once, and no
 * call took less than no time.
 */
Test(loss, answer_read_while_its_request_was_not_told_of)
{
	struct feed *f = feed__new();

	feed__connect(f, 1, PID, TID, 40001, 80);
	for (int i = 401; i < 450; i++) {
		if (i % 2) {
			feed__written(f, 1, PID, TID + 1, get(i));
			feed__read(f, 1, PID, TID + 1, answer(i));
		}
		feed__write(f, 1, PID, TID, get(i));
		if (!(i % 2))
			feed__read(f, 1, PID, TID + 1, answer(i));
	}
	feed__finish(f);
	cr_expect_eq(check_http(f), 49);
	for (unsigned i = 0; i < f->n_spans; i++) {
		cr_expect_null(span__attr(f->spans[i], "weft.incomplete"));
		cr_expect_gt(f->spans[i]->end_ns, f->spans[i]->start_ns);
	}
	feed__free(f);
}

/* What was written was told of meanwhile, or comes in two calls: what is read waits for all of it. */
Test(loss, answer_waits_for_all_that_was_written_before)
{
	struct feed *f = feed__new();

	feed__connect(f, 1, PID, TID, 40001, 80);
	feed__write(f, 1, PID, TID, get(401));
	feed__written(f, 1, PID, TID + 1, "");
	feed__read(f, 1, PID, TID + 1, answer(401));
	feed__written(f, 1, PID, TID + 1, "GET /402 HTTP/1.1\r\nHost: shop\r\n\r\n");
	feed__read(f, 1, PID, TID + 1, answer(402));
	feed__write(f, 1, PID, TID, "GET /402 HTTP/1.1\r\n");
	cr_expect_eq(f->n_spans, 0);
	feed__write(f, 1, PID, TID, "Host: shop\r\n\r\n");
	feed__finish(f);
	cr_expect_eq(check_http(f), 2);
	cr_expect_eq(f->n_spans, 2);
	feed__free(f);
}

/* A call that writes much has not returned, or is one that weft can't see: nothing is lost by it. */
Test(loss, what_was_written_may_be_told_of_much_later_or_never)
{
	struct feed *f = feed__new();

	feed__connect(f, 1, PID, TID, 40001, 80);
	feed__write(f, 1, PID, TID,
		    "POST /401 HTTP/1.1\r\nHost: shop\r\nContent-Length: 10\r\n\r\n01234");
	feed__written(f, 1, PID, TID + 1, "56789");
	feed__read(f, 1, PID, TID + 1, answer(401));
	feed__wait(f, 150);
	feed__write(f, 1, PID, TID, "56789");
	for (int i = 402; i < 410; i++) {
		feed__write(f, 1, PID, TID, get(i));
		feed__written(f, 1, PID, TID + 1, "never told of");
		feed__read(f, 1, PID, TID + 1, answer(i));
	}
	feed__finish(f);
	cr_expect_eq(check_http(f), 9);
	cr_expect_eq(f->n_spans, 9);
	for (unsigned i = 0; i < f->n_spans; i++)
		cr_expect_null(span__attr(f->spans[i], "weft.incomplete"));
	feed__free(f);
}

/*
 * The answer is read by another thread, whose call is reported before the one that wrote the
 * request.
 */
Test(loss, answer_reported_before_its_request)
{
	struct feed *f = feed__new();

	feed__connect(f, 1, PID, TID, 40001, 80);
	for (int i = 401; i < 450; i++) {
		if (i % 5 == 1)
			feed__read(f, 1, PID, TID + 1, answer(i));
		feed__write(f, 1, PID, TID, get(i));
		if (i % 5 != 1)
			feed__read(f, 1, PID, TID + 1, answer(i));
	}
	feed__finish(f);
	cr_expect_eq(check_http(f), 49);
	feed__free(f);
}

/*
 * The same where not every byte was seen: nobody gets a wrong answer, and the connection is not
 * lost for good.
 */
Test(loss, answer_reported_before_its_request_on_an_old_connection)
{
	struct feed *f = feed__new();

	feed__preopen(f, 1, PID, 40001, 80);
	for (int i = 401; i < 450; i++) {
		if (i == 420)
			feed__read(f, 1, PID, TID + 1, answer(i));
		feed__write(f, 1, PID, TID, get(i));
		if (i != 420)
			feed__read(f, 1, PID, TID + 1, answer(i));
	}
	feed__finish(f);
	cr_expect_geq(check_http(f), 40);
	feed__free(f);
}

/* An answer that goes on after its exchange was given up is not the beginning of the next one's. */
Test(loss, rest_of_an_answer_that_was_given_up)
{
	struct feed *f = feed__new();
	const char *head = "HTTP/1.1 401 X\r\nContent-Length: 1000\r\n\r\n";

	feed__accept(f, 1, PID, TID, 40001, 80);
	feed__read(f, 1, PID, TID, get(400));
	feed__write(f, 1, PID, TID, answer(400));
	feed__read(f, 1, PID, TID, get(401));
	feed__cut(f, 1, PID, TID, WEFT_OUT, head, "", (uint32_t)strlen(head) + 500);
	feed__lose(f, 1, WEFT_IN, get(402));
	feed__read(f, 1, PID, TID, get(403));
	feed__wait(f, 200);
	feed__cut(f, 1, PID, TID, WEFT_OUT, "", "", 500);
	feed__write(f, 1, PID, TID, answer(402));
	feed__write(f, 1, PID, TID, answer(403));
	feed__read(f, 1, PID, TID, get(404));
	feed__write(f, 1, PID, TID, answer(404));
	feed__finish(f);
	check_http(f);
	feed__free(f);
}

/* Too many requests without answers: they are given up, and so are the answers when they come. */
Test(loss, too_many_outstanding)
{
	struct feed *f = feed__new();
	char *many = calloc(5000, 40), *at = many;

	feed__accept(f, 1, PID, TID, 40001, 80);
	for (int round = 0; round < 50; round++) {
		at = many;
		for (int i = 0; i < 90; i++)
			at += sprintf(at, "GET /%d HTTP/1.1\r\n\r\n", 400 + (round * 90 + i) % 199);
		feed__read(f, 1, PID, TID, many);
	}
	feed__write(f, 1, PID, TID, answer(400));
	feed__write(f, 1, PID, TID, answer(401));
	feed__finish(f);
	check_http(f);
	cr_expect_eq(f->n_spans, 4500);
	free(many);
	feed__free(f);
}

/*
 * CLIENT REPLY SKIP: the next command is never answered, and its neighbour's answer is not its own.
 */
Test(loss, redis_request_without_answer)
{
	struct feed *f = feed__new();

	feed__connect(f, 1, PID, TID, 40001, 6379);
	feed__write(f, 1, PID, TID, "*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$4\r\nSKIP\r\n");
	feed__write(f, 1, PID, TID, "*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n");
	feed__write(f, 1, PID, TID, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n");
	feed__read(f, 1, PID, TID, "-WRONGTYPE no\r\n");
	feed__finish(f);
	struct span *incr = feed__span(f, SPAN_CLIENT, "db.operation.name", "INCR");
	struct span *getk = feed__span(f, SPAN_CLIENT, "db.operation.name", "GET");

	cr_expect_eq(incr->status, SPAN_UNSET);
	cr_expect_eq(getk->status, SPAN_ERROR);
	feed__free(f);
}

/* ---- by dice ---- */

enum speech { HTTP, REDIS, POSTGRES };
enum manner { WAITS, OVERLAPS, BURSTS };

struct dice {
	uint64_t s;
};

static unsigned roll(struct dice *d, unsigned n)
{
	d->s = d->s * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(d->s >> 33) % n;
}

struct talk {
	struct feed *f;
	struct dice dice;
	enum speech speech;
	bool client;
	unsigned lose, cut, split, swap, invert; /* of 1000 calls */
	int next, first; /* numbers: to be asked next, to be answered next */
};

static const char *const commands[] = { "GET",  "INCR",   "DECR",  "LLEN",    "SCARD", "ZCARD",
					"HLEN", "STRLEN", "TTL",   "PTTL",    "LPOP",  "RPOP",
					"SPOP", "HKEYS",  "HVALS", "SMEMBERS" };

static uint32_t pg_message(uint8_t *out, char type, const void *body, uint32_t n)
{
	out[0] = (uint8_t)type;
	out[1] = out[2] = 0;
	out[3] = (uint8_t)((n + 4) >> 8);
	out[4] = (uint8_t)(n + 4);
	memcpy(out + 5, body, n);
	return n + 5;
}

static uint32_t request(const struct talk *t, int n, uint8_t *out)
{
	char text[128];

	switch (t->speech) {
	case HTTP:
		return (uint32_t)sprintf((char *)out, "GET /%d HTTP/1.1\r\nHost: shop\r\n\r\n",
					 400 + n % 199);
	case REDIS:
		return (uint32_t)sprintf((char *)out, "*2\r\n$%zu\r\n%s\r\n$1\r\nk\r\n",
					 strlen(commands[n % 16]), commands[n % 16]);
	default:
		return pg_message(out, 'Q', text,
				  (uint32_t)sprintf(text, "SELECT 1 FROM t%d", 42000 + n % 999) +
					  1);
	}
}

static uint32_t response(struct talk *t, int n, uint8_t *out)
{
	char text[128];
	uint32_t at;

	switch (t->speech) {
	case HTTP:
		if (roll(&t->dice, 3))
			return (uint32_t)sprintf((char *)out,
						 "HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nok",
						 400 + n % 199);
		return (uint32_t)sprintf(
			(char *)out,
			"HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
			400 + n % 199);
	case REDIS: return (uint32_t)sprintf((char *)out, "-E%s no\r\n", commands[n % 16]);
	default:
		at = pg_message(out, 'E', text,
				(uint32_t)sprintf(text, "SERROR%cC%05d%cMno%c", 0, 42000 + n % 999,
						  0, 0) +
					1);
		return at + pg_message(out + at, 'Z', "I", 1);
	}
}

/* One call, or two; or none that is seen. */
static void say(struct talk *t, bool asks, const uint8_t *bytes, uint32_t n)
{
	enum weft_dir dir = asks == t->client ? WEFT_OUT : WEFT_IN;
	uint32_t tid = asks ? TID : TID + 1;
	uint32_t *pos = &t->f->conns[1].pos[dir];

	if (roll(&t->dice, 1000) < t->lose) {
		feed__skip(t->f, 1, dir, n);
	} else if (roll(&t->dice, 1000) < t->cut) {
		/*
		 * PostgreSQL's messages say their length first: that is always copied, but for
		 * pages that can't be read.
		 */
		uint32_t least = t->speech == POSTGRES ? 5 : 0;

		feed__bytes(t->f, 1, PID, tid, dir, bytes, least + roll(&t->dice, n - least), n);
	} else if (n > 1 && roll(&t->dice, 1000) < t->split) {
		uint32_t half = 1 + roll(&t->dice, n - 1);

		if (roll(&t->dice, 1000) < t->swap) {
			*pos += half;
			feed__bytes(t->f, 1, PID, tid, dir, bytes + half, n - half, n - half);
			*pos -= n;
			feed__bytes(t->f, 1, PID, tid, dir, bytes, half, half);
			*pos += n - half;
			return;
		}
		feed__bytes(t->f, 1, PID, tid, dir, bytes, half, half);
		if (roll(&t->dice, 1000) < t->lose)
			feed__skip(t->f, 1, dir, n - half);
		else
			feed__bytes(t->f, 1, PID, tid, dir, bytes + half, n - half, n - half);
	} else {
		feed__bytes(t->f, 1, PID, tid, dir, bytes, n, n);
	}
}

static void ask(struct talk *t)
{
	uint8_t buf[256];

	say(t, true, buf, request(t, t->next, buf));
	t->next++;
}

static void reply(struct talk *t)
{
	uint8_t buf[256];

	say(t, false, buf, response(t, t->first, buf));
	t->first++;
}

/* A client that waits, one whose answer may be reported first. */
static void ask_and_wait(struct talk *t)
{
	if (!t->client || roll(&t->dice, 1000) >= t->invert) {
		ask(t);
		reply(t);
		return;
	}
	reply(t);
	ask(t);
}

static void converse(struct talk *t, enum manner manner, int n)
{
	while (t->next < n) {
		unsigned burst = manner == BURSTS ? 1 + roll(&t->dice, 4) : 1;

		if (manner == WAITS) {
			ask_and_wait(t);
			continue;
		}
		for (unsigned i = 0; i < burst; i++)
			ask(t);
		while (t->first < t->next &&
		       (manner == BURSTS || t->next - t->first > 3 || roll(&t->dice, 2)))
			reply(t);
	}
	while (t->first < t->next)
		reply(t);
}

/* Of a text that was cut only the first digits may be left. */
static bool is_beginning(int n, int whole)
{
	while (n >= 0 && whole > n)
		whole /= 10;
	return n < 0 || n == whole;
}

static bool is_own(const struct span *s, enum speech speech, bool *has)
{
	const struct attr *code = span__attr(s, speech == HTTP ? "http.response.status_code"
							       : "db.response.status_code");
	const struct attr *op = span__attr(s, "db.operation.name");

	*has = code;
	if (!code)
		return true;
	if (speech == HTTP)
		return answered(s) == asked(s);
	if (speech == POSTGRES)
		return is_beginning(number(span__attr(s, "db.query.text")), number(code));
	/* "PIPELINE" of several is not made here. */
	return op && code->text_n == op->text_n + 1 &&
	       !memcmp(code->text + 1, op->text, op->text_n);
}

/* Returns the requests that have no answer; all that have one must have their own. */
static unsigned run(uint64_t seed, struct talk t, enum manner manner, int n)
{
	static const uint16_t port[] = { [HTTP] = 80, [REDIS] = 6379, [POSTGRES] = 5432 };
	unsigned wrong = 0, has = 0, lose = t.lose, cut = t.cut;
	bool one;

	t.f = feed__new();
	t.dice.s = seed * 2654435761u;
	(t.client ? feed__connect : feed__accept)(t.f, 1, PID, TID, 40001, port[t.speech]);
	/* What kind of client it is shows before anything is lost. */
	t.lose = t.cut = 0;
	if (manner != WAITS) {
		ask(&t);
		ask(&t);
		reply(&t);
		reply(&t);
	}
	converse(&t, manner, 6);
	t.lose = lose;
	t.cut = cut;
	converse(&t, manner, n);
	feed__finish(t.f);
	for (unsigned i = 0; i < t.f->n_spans; i++) {
		wrong += !is_own(t.f->spans[i], t.speech, &one);
		has += one;
	}
	cr_expect_eq(wrong, 0, "%u wrong answers: speech %d, manner %d, seed %lu, %s", wrong,
		     t.speech, manner, (unsigned long)seed, t.client ? "client" : "server");
	feed__free(t.f);
	return (unsigned)t.next - has;
}

/* Cut into calls anywhere, and exchanged: nothing is missing. */
Test(dice, nothing_lost, .timeout = 120)
{
	for (uint64_t seed = 0; seed < 120; seed++)
		for (enum speech s = HTTP; s <= POSTGRES; s++) {
			struct talk t = {
				.speech = s, .client = seed & 1, .split = 500, .swap = 300
			};

			cr_expect_eq(run(seed, t, seed / 2 % 3, 60), 0, "speech %d, seed %lu", s,
				     (unsigned long)seed);
		}
}

Test(dice, events_lost, .timeout = 120)
{
	unsigned none = 0, all = 0;

	for (uint64_t seed = 0; seed < 200; seed++)
		for (enum speech s = HTTP; s <= POSTGRES; s++) {
			struct talk t = { .speech = s,
					  .client = seed & 1,
					  .lose = 20,
					  .split = 200,
					  .swap = 100 };

			unsigned n = run(seed, t, seed / 2 % 3, 100);

			/* Who does not wait for answers is not followed before the next pause. */
			none += seed / 2 % 3 == WAITS ? n : 0;
			all += seed / 2 % 3 == WAITS ? 100 : 0;
		}
	cr_expect_leq(none, all / 4, "%u of %u have no answer", none, all);
}

Test(dice, bytes_not_copied, .timeout = 120)
{
	for (uint64_t seed = 0; seed < 200; seed++)
		for (enum speech s = HTTP; s <= POSTGRES; s++) {
			struct talk t = {
				.speech = s, .client = seed & 1, .cut = 30, .split = 100
			};

			/*
			 * In a pipeline, what lies in a gap is its parser's best guess, but for
			 * Redis.
			 */
			if (s == REDIS || seed / 2 % 3 != OVERLAPS)
				run(seed, t, seed / 2 % 3, 100);
		}
}

/* Answers that are reported before their requests, among clients that wait. */
Test(dice, answers_first, .timeout = 120)
{
	for (uint64_t seed = 0; seed < 100; seed++) {
		struct talk t = { .speech = seed & 1 ? HTTP : REDIS,
				  .client = true,
				  .invert = 15,
				  .split = 100 };

		cr_expect_eq(run(seed, t, WAITS, 100), 0, "seed %lu", (unsigned long)seed);
		t.lose = 20;
		run(seed, t, WAITS, 100);
	}
}
