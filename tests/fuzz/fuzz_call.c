// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Calls of client libraries, beside what the wire says: any bytes as a sequence of CALL records
 * with few processes, threads, objects and times, so that they meet, and of reads and writes of
 * PostgreSQL and Redis connections; through the real pipeline, with each --db-source.
 *
 * Besides not crashing: the books add up at every moment and nothing is left pending; every span
 * made is released; no span ends before it begins; a query's text holds no literal ("secret").
 *
 * Input: a byte of options, then operations: a byte of what (low 3 bits) and on which thread, and
 * its arguments.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "user/lib/log.h"
#include "user/run/pipeline.h"
#include "user/source/source.h"
#include "user/span/span.h"

#include "require.h"

#define CONNS 4
#define BEGINS 4

static const char *const texts[] = {
	"",
	"s",
	"SELECT a FROM t WHERE b = 'secret'",
	"INSERT INTO t VALUES ('secret', ?1); SELECT 'secret'",
	"BEGIN",
	"CREATE TRIGGER x BEGIN SELECT 'secret'; END; SELECT 'secret'",
	"/*traceparent='00-11111111111111111111111111111111-2222222222222222-01'*/ SELECT 'secret",
};
#define TEXTS (sizeof(texts) / sizeof(texts[0]))
#define FILE_NAME "file:/a/b?key=secret"
#define COMMAND "GET secret"

static const struct {
	const char *p;
	size_t n;
	bool out;
} says[] = {
#define SAY(out, text)                                                                             \
	{                                                                                          \
		text, sizeof(text) - 1, out                                                        \
	}
	SAY(true, "Q\0\0\0\x17SELECT 1 FROM item\0"),
	SAY(false, "T\0\0\0\6\0\0D\0\0\0\x0b\0\1\0\0\0\1"
		   "1C\0\0\0\x0dSELECT 1\0Z\0\0\0\5I"),
	SAY(false, "E\0\0\0\x17SERROR\0C42P01\0Mno\0\0Z\0\0\0\5I"),
	SAY(true, "P\0\0\0\x15\0SELECT 1 AS a\0\0\0B\0\0\0\x0c\0\0\0\0\0\0\0\0E\0\0\0\x09\0\0\0\0\0"
		  "S\0\0\0\4"),
	SAY(true, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$6\r\nsecret\r\n"),
	SAY(false, "+OK\r\n"),
	SAY(true, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"),
	SAY(false, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
#undef SAY
};
#define SAYS (sizeof(says) / sizeof(says[0]))

struct run {
	const uint8_t *p, *end;
	struct pipeline *pipeline;
	uint64_t now, spans;
	uint64_t begins[BEGINS]; /* times that calls may have begun at */
	struct {
		uint64_t id;
		uint32_t pos[2];
		bool server;
	} conns[CONNS];
	uint64_t last_conn;
};

static struct run run;

static uint8_t byte(void)
{
	return run.p < run.end ? *run.p++ : 0;
}

static void on_trace(void *ctx, struct trace *t)
{
	(void)ctx;
	for (unsigned i = 0; i < t->n; i++) {
		const struct span *s = t->spans[i];

		REQUIRE(s->end_ns >= s->start_ns && s->name.n);
		REQUIRE(!memmem(s->name.p, s->name.n, "secret", 6));
		for (unsigned k = 0; k < s->n_attrs; k++)
			REQUIRE(s->attrs[k].type != ATTR_STR ||
				!memmem(s->attrs[k].text, s->attrs[k].text_n, "secret", 6));
	}
	run.spans += t->n;
}

static void send_event(struct weft_event *ev, size_t size, uint8_t kind, uint8_t who)
{
	ev->size = (uint32_t)((size + 7) & ~(size_t)7);
	ev->kind = kind;
	ev->ts = run.now;
	ev->pid = 100 + (who & 1);
	ev->tid = ev->pid + (who >> 1 & 1);
	REQUIRE(event__valid(ev, ev->size));
	pipeline__event(run.pipeline, ev);
}

static void op_call(uint8_t who)
{
	static const uint8_t fns[] = { 16, 17, 18, 19, 20, 21, 22, 32, 33, 34, 35, 36,
				       37, 38, 39, 48, 49, 50, 51, 64, 0,  15, 23, 255 };
	static const int64_t rets[] = { 0, 1, 100, 101, 19, -1, INT64_MAX, INT64_MIN };
	_Alignas(8) static uint8_t bytes[sizeof(struct weft_call) + 2 * WEFT_CALL_TEXT_MAX + 8];
	struct weft_call *c = (struct weft_call *)bytes;
	uint8_t what = byte(), how = byte(), more = byte();
	const char *text = texts[byte() % TEXTS], *text2 = texts[more % TEXTS];

	memset(bytes, 0, sizeof(bytes));
	c->fn = fns[what % sizeof(fns)];
	text = c->fn == WEFT_FN_SQLITE_OPEN       ? FILE_NAME
	       : c->fn == WEFT_FN_HIREDIS_COMMAND ? COMMAND
						  : text;
	size_t n = strlen(text), n2 = how & 128 ? strlen(text2) : 0;

	c->begin = how & 8 ? run.begins[how >> 4 & 3] : run.now - (how & 64 ? 0 : 1000);
	c->object = 1 + (how & 3);
	c->made = how & 4 ? 1 + (more & 3) : 0;
	c->ret = rets[more >> 2 & 7];
	c->count = more & 32 ? more : 0;
	c->value = (int64_t)(more & 15) - 1;
	c->text = (uint16_t)n;
	c->text2 = (uint16_t)n2;
	/* Half of it may have been captured. */
	if (more & 64)
		c->text /= 2;
	memcpy(c->bytes, text, c->text);
	memcpy(c->bytes + c->text, text2, n2);
	c->text_len = (uint32_t)n;
	c->text2_len = (uint32_t)n2;
	send_event(&c->h, sizeof(*c) + c->text + n2, WEFT_EV_CALL, who);
}

/* Anything at all that is a valid record. */
static void op_raw(uint8_t who)
{
	_Alignas(8) static uint8_t bytes[sizeof(struct weft_call) + 256 + 8];
	struct weft_call *c = (struct weft_call *)bytes;
	size_t left = (size_t)(run.end - run.p), n = byte();

	memset(bytes, 0, sizeof(bytes));
	left = left < sizeof(*c) - sizeof(c->h) ? left : sizeof(*c) - sizeof(c->h);
	left = left ? left - 1 : 0;
	memcpy(&c->begin, run.p, left);
	run.p += left;
	for (size_t i = 0; i < n; i++)
		c->bytes[i] = byte();
	c->text = (uint16_t)(n / 2);
	c->text2 = (uint16_t)(n - n / 2);
	c->text_len = c->text_len < c->text ? c->text : c->text_len;
	c->text2_len = c->text2_len < c->text2 ? c->text2 : c->text2_len;
	/* Random text may hold the word; it is not looked for then. */
	for (size_t i = 0; i < n; i++)
		if (c->bytes[i] == 's')
			c->bytes[i] = 'x';
	send_event(&c->h, sizeof(*c) + n, WEFT_EV_CALL, who);
}

static void op_open(uint8_t who)
{
	unsigned i = byte() % CONNS;
	struct weft_open o = { .sock = i + 1, .netns = 1 };
	static const uint16_t ports[] = { 5432, 6379, 80, 7777 };

	run.conns[i].server = who & 8;
	run.conns[i].id = ++run.last_conn;
	run.conns[i].pos[0] = run.conns[i].pos[1] = 0;
	o.role = run.conns[i].server ? WEFT_ROLE_SERVER : WEFT_ROLE_CLIENT;
	o.h.conn = run.conns[i].id;
	o.h.flags = WEFT_F_POS;
	o.local.family = o.remote.family = AF_INET;
	o.local.port = run.conns[i].server ? ports[i] : (uint16_t)(40000 + i);
	o.remote.port = run.conns[i].server ? (uint16_t)(40000 + i) : ports[i];
	send_event(&o.h, sizeof(o), WEFT_EV_OPEN, who);
}

static void op_say(uint8_t who)
{
	_Alignas(8) static uint8_t bytes[sizeof(struct weft_data) + 512];
	struct weft_data *d = (struct weft_data *)bytes;
	uint8_t how = byte();
	unsigned i = how & 3, say = how >> 2 & 7;

	if (!run.conns[i].id)
		return;
	memset(bytes, 0, sizeof(bytes));
	d->dir = says[say].out != run.conns[i].server ? WEFT_OUT : WEFT_IN;
	d->h.conn = run.conns[i].id;
	d->len = (uint32_t)says[say].n;
	d->head = how & 64 ? (uint16_t)(says[say].n / 2) : (uint16_t)says[say].n;
	/* A hole before it. */
	d->off = run.conns[i].pos[d->dir] + (how & 128 ? 5 : 0);
	run.conns[i].pos[d->dir] = d->off + d->len;
	memcpy(d->bytes, says[say].p, d->head);
	send_event(&d->h, sizeof(*d) + d->head, WEFT_EV_DATA, who);
}

static void op_end(uint8_t who)
{
	struct weft_proc p = { .comm = "app", .ppid = 1 };
	struct weft_data d = { 0 };
	uint8_t how = byte();

	if (how & 1) {
		send_event(&p.h, sizeof(p), how & 2 ? WEFT_EV_EXEC : WEFT_EV_EXIT, who);
		return;
	}
	d.h.conn = run.conns[how >> 2 & 3].id;
	run.conns[how >> 2 & 3].id = 0;
	send_event(&d.h, sizeof(d), WEFT_EV_CLOSE, who);
}

static void operation(void)
{
	uint8_t op = byte(), who = op >> 3;

	switch (op & 7) {
	case 0:
	case 1:
	case 2: op_call(who); break;
	case 3: op_say(who); break;
	case 4: op_open(who); break;
	case 5: op_end(who); break;
	case 6:
		run.now += (uint64_t)byte() * 2000000;
		pipeline__tick(run.pipeline, run.now);
		break;
	case 7:
		if (who & 4)
			op_raw(who);
		else
			run.begins[who & 3] = run.now;
		break;
	}
	run.now += 10000;
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log__set_level(LOG_ERROR);
	/* Where spans go is not this target's business. */
	unsetenv("OTEL_EXPORTER_OTLP_ENDPOINT");
	unsetenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pipeline_hooks hooks = { .trace = on_trace };
	struct outcome out;
	char why[256];
	int status;

	memset(&run, 0, sizeof(run));
	run.p = data;
	run.end = data + size;
	run.now = 1000000000;

	uint8_t how = byte();
	struct options o = {
		.command = CMD_REPLAY,
		.output = OUTPUT_NONE,
		.protocols = how & 4 ? (uint64_t)how : UINT64_MAX,
		.db_source = (enum call_source)((how & 3) % 3),
		.max_conns = 16,
		.columns = 80,
	};

	run.pipeline = pipeline__new(&o, &hooks, &status, why, sizeof(why));
	REQUIRE(run.pipeline);
	while (run.p < run.end)
		operation();
	pipeline__finish(run.pipeline, &out);
	REQUIRE(balance__exact(&out.books));
	REQUIRE(out.books.pending == 0);
	REQUIRE(out.books.spans == run.spans);
	return 0;
}
