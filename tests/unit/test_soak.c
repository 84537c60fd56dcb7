// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory stays flat: 100,000 connections come and go through the whole pipeline, TCP and Unix, used
 * and never used, closed and forgotten, of processes that come and go too; what is in use after
 * 20,000 of them is what is in use after 100,000.
 */
#include <criterion/criterion.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../../user/lib/log.h"
#include "../../user/run/pipeline.h"
#include "../../user/source/source.h"
#include "../../user/span/span.h"

#define CONNS 100000
#define SETTLED 20000
#define CONNS_OF_A_PROCESS 40
#define STEP_NS 100000ull /* between two events */
#define TICK_NS 50000000ull
#define SLACK (256 * 1024) /* tables that are just being made larger */

/* Of the sanitizer, which has an allocator of its own; absent in an ordinary build. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

struct soak {
	struct pipeline *pipeline;
	uint64_t now, ticked, spans, last_conn;
	uint32_t pid;
};

static size_t in_use(void)
{
	return __sanitizer_get_current_allocated_bytes ? __sanitizer_get_current_allocated_bytes()
						       : mallinfo2().uordblks;
}

static void count(void *ctx, struct trace *t)
{
	((struct soak *)ctx)->spans += t->n;
}

static void put(struct soak *s, struct weft_event *ev, size_t size, uint8_t kind, uint64_t conn,
		uint32_t tid)
{
	ev->size = (uint32_t)((size + 7) & ~(size_t)7);
	ev->kind = kind;
	ev->conn = conn;
	ev->pid = s->pid;
	ev->tid = tid;
	ev->ts = s->now;
	cr_assert(event__valid(ev, ev->size));
	pipeline__event(s->pipeline, ev);
	s->now += STEP_NS;
	if (s->now < s->ticked + TICK_NS)
		return;
	s->ticked = s->now;
	pipeline__tick(s->pipeline, s->now);
}

static void process_begins(struct soak *s)
{
	struct {
		_Alignas(8) char room[sizeof(struct record_process) + 40];
	} buf = { 0 };
	struct record_process *r = (struct record_process *)buf.room;
	static const char text[] = "service.name\0shop";

	s->pid = s->pid < 4000000 ? s->pid + 7 : 100;
	r->n = 1;
	r->len = sizeof(text);
	memcpy((char *)r + sizeof(*r), text, sizeof(text));
	put(s, &r->h, sizeof(*r) + sizeof(text), RECORD_PROCESS, 0, s->pid);
}

static void process_ends(struct soak *s)
{
	struct weft_proc p = { .ppid = 1 };

	put(s, &p.h, sizeof(p), WEFT_EV_EXIT, 0, s->pid);
}

static uint64_t open_conn(struct soak *s, enum weft_role role, bool is_unix, uint64_t sock,
			  uint64_t connected, uint32_t tid)
{
	struct weft_open o = {
		.sock = sock, .start_ts = connected, .netns = 1, .role = (uint8_t)role
	};
	uint16_t far = (uint16_t)(sock * 7 + 1024);

	o.local.family = o.remote.family = is_unix ? AF_UNIX : AF_INET;
	if (!is_unix) {
		memcpy(o.local.ip, "\x7f\0\0\1", 4);
		memcpy(o.remote.ip, &sock, 4); /* ever other peers */
		o.local.port = role == WEFT_ROLE_SERVER ? 80 : far;
		o.remote.port = role == WEFT_ROLE_SERVER ? far : 8080;
		o.h.flags = WEFT_F_POS;
	} else {
		o.peer_sock = sock + 1;
	}
	put(s, &o.h, sizeof(o), WEFT_EV_OPEN, ++s->last_conn, tid);
	return s->last_conn;
}

static void data(struct soak *s, uint64_t conn, uint32_t tid, enum weft_dir dir, uint32_t *pos,
		 const char *bytes)
{
	size_t n = strlen(bytes);
	struct {
		struct weft_data d;
		char room[512];
	} buf;

	memset(&buf, 0, sizeof(buf));
	buf.d.off = *pos;
	buf.d.len = (uint32_t)n;
	buf.d.head = (uint16_t)n;
	buf.d.dir = dir;
	memcpy((char *)&buf + sizeof(buf.d), bytes, n);
	*pos += (uint32_t)n;
	put(s, &buf.d.h, sizeof(buf.d) + n, WEFT_EV_DATA, conn, tid);
}

static void close_conn(struct soak *s, uint64_t conn)
{
	struct weft_data d = { 0 };

	put(s, &d.h, sizeof(d), WEFT_EV_CLOSE, conn, 0);
}

#define REQUEST                                                                                    \
	"GET /a HTTP/1.1\r\nHost: shop\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n"
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

/*
 * A request that is served, during which another connection is made: used or not. Some of it goes
 * wrong.
 */
static void one(struct soak *s, unsigned i)
{
	uint32_t in = 0, out = 0, cin = 0, cout = 0, tid = s->pid + i % 5;
	bool is_unix = i % 3 == 0;
	uint64_t server = open_conn(s, WEFT_ROLE_SERVER, is_unix, 2ull * i + 100, 0, tid),
		 client = 0;
	struct weft_connect c = { .sock = 2ull * i + 101 };
	uint64_t connected = s->now;

	data(s, server, tid, WEFT_IN, &in, i % 11 ? REQUEST : "\x01\x02 nothing that we know");
	put(s, &c.h, sizeof(c), WEFT_EV_CONNECT, 0, tid);
	if (i % 4) {
		client = open_conn(s, WEFT_ROLE_CLIENT, false, c.sock, connected, tid);
		data(s, client, tid, WEFT_OUT, &cout, REQUEST);
		if (i % 13 == 0)
			cin += 100; /* lost */
		if (i % 17)
			data(s, client, tid, WEFT_IN, &cin, ANSWER);
	}
	if (i % 19)
		data(s, server, i % 7 ? tid : tid + 1, WEFT_OUT, &out, ANSWER);
	if (client)
		close_conn(s, client);
	/* Nothing closes a Unix socket, on some back ends, but the end of its process. */
	if (!is_unix)
		close_conn(s, server);
}

/* Until all that waits for something has waited long enough. */
static void settle(struct soak *s)
{
	s->now += 60000000000ull;
	pipeline__tick(s->pipeline, s->now);
	s->now += 60000000000ull;
	pipeline__tick(s->pipeline, s->now);
}

Test(soak, connections_come_and_go, .timeout = 240)
{
	struct soak s = { .now = 1000000000, .pid = 100 };
	struct options o = { .command = CMD_REPLAY,
			     .output = OUTPUT_NONE,
			     .protocols = UINT64_MAX,
			     .max_conns = 65536,
			     .columns = 80 };
	struct pipeline_hooks hooks = { .ctx = &s, .trace = count };
	struct outcome out;
	char why[256];
	int status;
	size_t before = 0, after;

	unsetenv("OTEL_EXPORTER_OTLP_ENDPOINT");
	unsetenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
	log__set_level(LOG_ERROR);
	s.pipeline = pipeline__new(&o, &hooks, &status, why, sizeof(why));
	cr_assert(s.pipeline, "%s", why);
	process_begins(&s);
	for (unsigned i = 0; s.last_conn < CONNS; i++) {
		one(&s, i);
		if (i % CONNS_OF_A_PROCESS == CONNS_OF_A_PROCESS - 1) {
			process_ends(&s);
			process_begins(&s);
		}
		if (!before && s.last_conn >= SETTLED) {
			settle(&s);
			before = in_use();
		}
	}
	settle(&s);
	after = in_use();
	cr_expect_leq(after, before + SLACK, "%zu bytes in use after %d connections, %zu after %d",
		      before, SETTLED, after, CONNS);
	/*
	 * Connections of the last process that nothing closed are still open, and no more than
	 * those.
	 */
	cr_expect_leq(after, 4u << 20, "%zu bytes in use with next to nothing open", after);
	pipeline__finish(s.pipeline, &out);
	cr_expect(balance__exact(&out.books));
	cr_expect_eq(out.books.pending, 0);
	cr_expect_eq(out.books.spans, s.spans);
	cr_expect_gt(s.spans, CONNS / 2);
}
