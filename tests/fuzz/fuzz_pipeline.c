// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The whole way from events to traces: any bytes as a sequence of plausible records, through the
 * real pipeline. Several connections (one end traced or both, TCP and Unix, made or open before)
 * carry pieces of real conversations, whose events are cut, lost, repeated and exchanged; processes
 * come and go; time passes.
 *
 * Besides not crashing: the books add up and nothing is left pending; every span made is released,
 * once; a parent comes before its children, and has their trace id; nobody is his own ancestor; no
 * span ends before it begins.
 *
 * Input: a byte of options, then operations: a byte of what (low 4 bits) and where (high 4 bits),
 * and its arguments.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "user/lib/log.h"
#include "user/lib/table.h"
#include "user/run/pipeline.h"
#include "user/source/source.h"
#include "user/span/span.h"

#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define PAIRS 8
#define SPANS 8192
#define BYTES_MAX 8192 /* of one call */

#define TP "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"

/*
 * What is said: a request and its answer, again and again. Lengths are explicit: PostgreSQL's hold
 * zeros.
 */
static const struct talk {
	const char *ask;
	size_t ask_n;
	const char *answer;
	size_t answer_n;
} talks[] = {
/* clang-format off */
#define TALK(a, b) { a, sizeof(a) - 1, b, sizeof(b) - 1 }
	TALK("GET /a?x=1 HTTP/1.1\r\nHost: shop\r\n" TP "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
	TALK("POST /b HTTP/1.1\r\nHost: shop\r\nContent-Length: 300\r\nExpect: 100-continue\r\n\r\n",
	     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
	TALK("HEAD /c HTTP/1.1\r\nHost: shop\r\n\r\nGET /d HTTP/1.0\r\n\r\n",
	     "HTTP/1.1 500 Oops\r\nContent-Length: 77\r\n\r\nHTTP/1.0 200 OK\r\n\r\nuntil the end"),
	TALK("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n", "+OK\r\n"),
	TALK("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nPING\r\n", "$5\r\nvalue\r\n+PONG\r\n"),
	TALK("*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n",
	     "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n"),
	TALK("*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$4\r\nSKIP\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*2\r\n$4\r\nMGET\r\n$1\r\nn\r\n",
	     "*2\r\n$1\r\n1\r\n$-1\r\n-ERR no\r\n"),
	TALK("\0\0\0\x22\0\3\0\0user\0me\0database\0shop\0\0\0\0\0\0", "R\0\0\0\x08\0\0\0\0Z\0\0\0\5I"),
	TALK("Q\0\0\0\x16SELECT 1 FROM item\0",
	     "T\0\0\0\6\0\0D\0\0\0\x0b\0\1\0\0\0\1" "1C\0\0\0\x0dSELECT 1\0Z\0\0\0\5I"),
	TALK("P\0\0\0\x13s\0INSERT INTO t\0\0\0B\0\0\0\x0d\0s\0\0\0\0\0\0\0E\0\0\0\x09\0\0\0\0\0S\0\0\0\4",
	     "1\0\0\0\4" "2\0\0\0\4E\0\0\0\x15SERROR\0C42P01\0Mno\0\0Z\0\0\0\5I"),
	TALK("\x16\3\1\2\0\1 some TLS", "\x16\3\3 more"),
	TALK("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0\0\0\5\1\5\0\0\0\1\x82\x84\x86\x41\0\0\0\2\1\4\0\0\0\3\x83\x84"
	     "\0\0\x40\0\1\0\0\0\3 the body, as long as it is",
	     "\0\0\0\4\0\0\0\0\0\0\0\1\1\4\0\0\0\1\x88\0\0\x20\0\1\0\0\0\1 some of a body, then \0\0\4\3\0\0\0\0\3\0\0\0\x8"),
	TALK("\x17\3\3\0\x16\x91\x02\xd3\x44 twenty are enough", "\x17\3\3\0\x17\xa1\x02\xd3\x44 and no more than it"),
#undef TALK
	/* clang-format on */
};
#define TALKS (sizeof(talks) / sizeof(talks[0]))

/* Two ends of a conversation; either may be traced. */
struct end {
	bool open;
	uint64_t conn;
	uint32_t pid;
	uint32_t pos[2];        /* by enum weft_dir */
	struct weft_data *late; /* an event that comes later than it should */
	uint64_t session;       /* a TLS session that may go over it; 0: none */
	uint32_t said[2];       /* on the session */
};

struct pair {
	struct end ends[2]; /* 0: the client's */
	bool is_unix;
	unsigned made;
	size_t said[2]; /* bytes of the script, by who says them: 0 the client */
	uint8_t talk;
};

struct run {
	const uint8_t *p, *end;
	struct pipeline *pipeline;
	struct pair pairs[PAIRS];
	uint64_t now, last_conn;
	uint64_t spans;
	struct {
		uint8_t id[8], parent[8], trace[16];
	} seen[SPANS];
};

static struct run run;

static uint8_t byte(void)
{
	return run.p < run.end ? *run.p++ : 0;
}

/* ---- what comes out ---- */

static void on_trace(void *ctx, struct trace *t)
{
	static const uint8_t none[8];

	(void)ctx;
	REQUIRE(t->n > 0);
	for (unsigned i = 0; i < t->n; i++) {
		const struct span *s = t->spans[i];

		REQUIRE(s && s->end_ns >= s->start_ns && s->resource && s->name.n);
		REQUIRE(memcmp(s->span_id, none, 8) != 0);
		REQUIRE(memcmp(s->trace_id, t->spans[0]->trace_id, 16) == 0);
		/* Those of one release hang together, parents first. */
		unsigned j = 0;

		while (j < i && memcmp(t->spans[j]->span_id, s->parent_id, 8) != 0)
			j++;
		REQUIRE(i == 0 || j < i);
		if (run.spans < SPANS) {
			memcpy(run.seen[run.spans].id, s->span_id, 8);
			memcpy(run.seen[run.spans].parent, s->parent_id, 8);
			memcpy(run.seen[run.spans].trace, s->trace_id, 16);
		}
		run.spans++;
	}
}

static void check_parents(void)
{
	static struct table by_id;
	size_t n = run.spans < SPANS ? run.spans : SPANS;
	uint64_t key;

	for (size_t i = 0; i < n; i++) {
		memcpy(&key, run.seen[i].id, 8);
		REQUIRE(!table__get(&by_id, key));
		REQUIRE(table__put(&by_id, key, &run.seen[i]));
	}
	for (size_t i = 0; i < n; i++) {
		size_t steps = 0;

		memcpy(&key, run.seen[i].parent, 8);
		for (size_t at = i; table__get(&by_id, key); steps++) {
			size_t parent = (size_t)((char *)table__get(&by_id, key) -
						 (char *)run.seen) /
					sizeof(run.seen[0]);

			REQUIRE(memcmp(run.seen[at].trace, run.seen[parent].trace, 16) == 0);
			REQUIRE(steps < n);
			at = parent;
			memcpy(&key, run.seen[at].parent, 8);
		}
	}
	table__free(&by_id);
}

/* ---- what goes in ---- */

static void send_event(struct weft_event *ev, size_t size, uint8_t kind)
{
	ev->size = (uint32_t)((size + 7) & ~(size_t)7);
	ev->kind = kind;
	if (!ev->ts)
		ev->ts = run.now;
	REQUIRE(event__valid(ev, ev->size));
	pipeline__event(run.pipeline, ev);
}

static void address(struct weft_addr *a, const struct pair *p, bool client)
{
	a->family = p->is_unix ? AF_UNIX : AF_INET;
	if (p->is_unix)
		return;
	a->ip[0] = 127;
	a->ip[3] = 1;
	/* A port of a known protocol, or of none. */
	static const uint16_t ports[4] = { 80, 6379, 5432, 7777 };

	a->port = client ? (uint16_t)(40000 + (p - run.pairs)) : ports[p->talk % 4];
}

static void open_end(struct pair *p, int which, uint8_t how)
{
	struct end *e = &p->ends[which];
	struct weft_open o = { .netns = 1,
			       .role = how & 1 ? WEFT_ROLE_UNKNOWN
				       : which ? WEFT_ROLE_SERVER
					       : WEFT_ROLE_CLIENT };

	if (e->open)
		return;
	e->open = true;
	e->conn = ++run.last_conn;
	e->pid = which ? 200 + (how >> 6) : 100 + (how >> 6);
	o.h.conn = e->conn;
	o.h.pid = e->pid;
	o.h.tid = e->pid + (how >> 4 & 3);
	o.h.flags = (uint8_t)((how & 1 ? WEFT_F_PREOPEN : 0) | (how & 2 ? WEFT_F_POS : 0) |
			      (how & 8 ? WEFT_F_THIRD_PARTY : 0));
	/* Unix sockets' addresses come again. */
	o.sock = (uint64_t)(p - run.pairs) * 2 + 1 + (unsigned)which;
	o.peer_sock = p->is_unix ? (uint64_t)(p - run.pairs) * 2 + 2 - (unsigned)which : 0;
	o.start_ts = o.role == WEFT_ROLE_CLIENT ? run.now - 1000 : 0;
	for (int dir = 0; dir < 2; dir++)
		e->pos[dir] = p->is_unix
				      ? 0
				      : 0xffffff80u + (unsigned)(dir == which) + (p->made * 1000);
	memcpy(o.pos, e->pos, sizeof(o.pos));
	address(&o.local, p, !which);
	address(&o.remote, p, which);
	if (p->is_unix) {
		o.path_len = 5;
		memcpy(o.path, "/run/", 5);
	}
	send_event(&o.h, sizeof(o), WEFT_EV_OPEN);
}

static void op_open(struct pair *p, uint8_t how)
{
	if (p->ends[0].open || p->ends[1].open)
		return;
	p->made++;
	p->is_unix = (how & 12) == 4;
	p->talk = byte() % TALKS;
	p->said[0] = p->said[1] = 0;
	if (how & 1)
		p->said[0] = p->said[1] = byte();
	if (!(how & 16) || (how & 8))
		open_end(p, 0, how);
	if ((how & 32) && !(how & 8))
		open_end(p, 1, how);
}

static void op_connect(struct pair *p, uint8_t how)
{
	struct weft_connect c = { .sock = (uint64_t)(p - run.pairs) * 2 + 1 };

	c.h.pid = 100 + (how >> 6);
	c.h.tid = c.h.pid + (how >> 4 & 3);
	/* The OPEN that follows says that it began now. */
	run.now += 1000;
	c.h.ts = run.now - 1000;
	send_event(&c.h, sizeof(c), WEFT_EV_CONNECT);
}

/* The next n bytes of what `who` says. */
static void script(struct pair *p, int who, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct talk *t = &talks[p->talk];
		size_t len = who ? t->answer_n : t->ask_n;
		const char *text = who ? t->answer : t->ask;

		out[i] = (uint8_t)text[p->said[who]++ % len];
	}
}

static void release_late(struct end *e)
{
	struct weft_data *d = e->late;

	e->late = NULL;
	if (!d)
		return;
	if (e->open)
		send_event(&d->h, d->h.size, WEFT_EV_DATA);
	free(d);
}

/* Two parts of a call, in its middle and at its end, as if its frames had been followed. */
static uint32_t add_parts(struct weft_data *d, const uint8_t *bytes, uint32_t n, uint8_t cut)
{
	const struct weft_part parts[] = { { n / 2, 1 + (cut >> 1) % (n / 4) }, { n - 3, 3 } };
	uint32_t at = d->head;

	d->h.flags |= WEFT_F_PARTS;
	for (int i = 0; i < 2; i++) {
		memcpy(d->bytes + at, &parts[i], sizeof(parts[i]));
		memcpy(d->bytes + at + sizeof(parts[i]), bytes + parts[i].off, parts[i].len);
		at += (uint32_t)sizeof(parts[i]) + parts[i].len;
	}
	return at;
}

/* One end's view of n bytes that passed. */
static void one_end(struct pair *p, int which, int who, const uint8_t *bytes, size_t n, uint8_t how,
		    uint8_t cut)
{
	struct end *e = &p->ends[which];
	enum weft_dir dir = which == who ? WEFT_OUT : WEFT_IN;
	uint32_t head = (uint32_t)n, tail = 0, size;
	bool parts = how & 2 && cut & 1 && n >= 16;

	if (!e->open)
		return;
	uint32_t pos = e->pos[dir];

	e->pos[dir] += (uint32_t)n;
	if (how & 1) /* lost */
		return;
	if (how & 2) {
		head = cut < n ? cut : (uint32_t)n;
		tail = how & 4 && n - head > 8 ? 8 : 0;
	}
	head = head < WEFT_HEAD_MAX ? head : WEFT_HEAD_MAX;
	if (parts) {
		head = head < n / 2 ? head : (uint32_t)n / 2;
		tail = 0;
	}
	struct weft_data *d = calloc(1, sizeof(*d) + head + tail + n + 32);

	REQUIRE(d);
	d->off = pos - (how & 8 ? cut % 16 : 0); /* some of it again */
	d->len = (uint32_t)n;
	d->head = (uint16_t)head;
	d->tail = (uint16_t)tail;
	d->dir = dir;
	d->h.pid = e->pid;
	d->h.tid = e->pid + (how >> 4 & 3);
	d->h.conn = e->conn;
	d->h.ts = run.now;
	memcpy(d->bytes, bytes, head);
	memcpy(d->bytes + head, bytes + n - tail, tail);
	size = (uint32_t)sizeof(*d) + (parts ? add_parts(d, bytes, (uint32_t)n, cut) : head + tail);
	if (how & 64 && !e->late) {
		e->late = d;
		d->h.size = size;
		return;
	}
	send_event(&d->h, size, WEFT_EV_DATA);
	if (how & 128)
		send_event(&d->h, size, WEFT_EV_DATA);
	free(d);
	release_late(e);
}

static void op_say(struct pair *p, int who, bool raw)
{
	static uint8_t bytes[BYTES_MAX];
	uint8_t len = byte(), how = byte(), other = byte(), cut = byte();
	const struct talk *t = &talks[p->talk];
	/* Small: so many bytes. Large: all that is one message, some of them, or something long. */
	size_t n = len < 200   ? len
		   : len < 240 ? (who ? t->answer_n : t->ask_n) * (len - 199u)
			       : (size_t)(len - 239) * 400;

	if (n > BYTES_MAX)
		n = BYTES_MAX;
	if (raw) {
		if (n > (size_t)(run.end - run.p))
			n = (size_t)(run.end - run.p);
		memcpy(bytes, run.p, n);
		run.p += n;
	} else {
		script(p, who, bytes, n);
	}
	/* The reader may be seen first. */
	int first = other & 16 ? !who : who;

	one_end(p, first, who, bytes, n, how, cut);
	run.now += (uint64_t)(other >> 5) * 100000;
	one_end(p, !first, who, bytes, n, other & ~16, cut);
}

static void op_end(struct pair *p, uint8_t how)
{
	static const uint8_t kinds[4] = { WEFT_EV_EOF, WEFT_EV_SHUT, WEFT_EV_CLOSE,
					  WEFT_EV_WRITTEN };
	struct end *e = &p->ends[how & 1];
	struct weft_data d = { .dir = how >> 1 & 1 };
	uint8_t kind = kinds[how >> 2 & 3];

	if (!e->open)
		return;
	if (kind == WEFT_EV_WRITTEN)
		d.dir = WEFT_OUT;
	d.off = e->pos[d.dir] + (kind == WEFT_EV_WRITTEN ? how >> 4 : 0);
	d.h.conn = e->conn;
	d.h.pid = e->pid;
	d.h.tid = e->pid;
	if (how & 16) /* before what came late */
		release_late(e);
	send_event(&d.h, sizeof(d), kind);
	if (kind == WEFT_EV_CLOSE && !(how & 32)) {
		e->open = false;
		free(e->late);
		e->late = NULL;
	}
}

static void op_process(uint8_t how)
{
	static const uint8_t kinds[8] = { WEFT_EV_FORK,   WEFT_EV_EXEC,    WEFT_EV_EXIT,
					  WEFT_EV_SELECT, WEFT_EV_IOURING, WEFT_EV_EXIT,
					  WEFT_EV_EXIT,   WEFT_EV_EXIT };
	struct weft_proc p = { .comm = "shop", .ppid = 1 };

	p.h.pid = (how & 8 ? 200 : 100) + (how >> 6);
	p.h.tid = p.h.pid;
	send_event(&p.h, sizeof(p), kinds[how & 7]);
}

/* ---- TLS sessions ---- */

static void session_open(struct end *e, uint8_t how)
{
	struct weft_open o = { .role = (uint8_t)(how % 3) };

	e->session = ++run.last_conn;
	e->said[0] = e->said[1] = 0;
	o.sock = e->session << 8;
	o.h.conn = e->session;
	o.h.pid = e->pid;
	o.h.tid = e->pid;
	o.h.flags = (uint8_t)(WEFT_F_TLS | WEFT_F_POS | (how & 4 ? WEFT_F_PREOPEN : 0));
	send_event(&o.h, sizeof(o), WEFT_EV_OPEN);
}

static void session_says(struct end *e, uint8_t how)
{
	static const char *const texts[2] = { "GET /s HTTP/1.1\r\nHost: shop\r\n\r\n",
					      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" };
	const char *text = texts[how >> 1 & 1];
	size_t n = strlen(text);
	struct weft_data *d = calloc(1, sizeof(*d) + n + 8);

	REQUIRE(d);
	d->dir = how & 1;
	d->off = e->said[d->dir];
	d->len = (uint32_t)n;
	d->head = (uint16_t)n;
	memcpy(d->bytes, text, n);
	e->said[d->dir] += d->len;
	d->h.conn = e->session;
	d->h.pid = e->pid;
	d->h.tid = e->pid + (how >> 4 & 3);
	send_event(&d->h, sizeof(*d) + n, WEFT_EV_DATA);
	free(d);
}

/* What the library did: a call, which may hold what happened before; ciphertext, or anything. */
static void session_tells(struct pair *p, struct end *e, uint8_t how)
{
	uint8_t more = byte();
	struct weft_session s = { .what = (uint8_t)(WEFT_SESSION_OP + how % 3) };

	s.h.conn = more & 128 ? e->conn : e->session;
	s.h.pid = e->pid + (more >> 6 & 1);
	s.h.tid = e->pid + (how >> 4 & 3);
	s.begin = run.now - (uint64_t)(more & 7) * 50000;
	s.sock = more & 8 ? (uint64_t)(p - run.pairs) * 2 + 1 : 0;
	s.n = more & 31;
	s.len = s.n;
	script(p, more >> 5 & 1, s.bytes, s.n);
	send_event(&s.h, sizeof(s), WEFT_EV_SESSION);
}

static void op_session(struct pair *p, uint8_t how)
{
	struct end *e = &p->ends[how & 1];
	struct weft_data d = { 0 };

	if (!e->open)
		return;
	how >>= 1;
	switch (byte() & 7) {
	case 0:
	case 1: session_open(e, how); break;
	case 2:
	case 3:
		if (e->session)
			session_says(e, how);
		break;
	case 4:
		d.h.conn = e->session;
		d.h.pid = e->pid;
		if (e->session)
			send_event(&d.h, sizeof(d), how & 1 ? WEFT_EV_CLOSE : WEFT_EV_SHUT);
		break;
	default: session_tells(p, e, how);
	}
}

static void op_record(uint8_t how)
{
	struct record_clock c = { .realtime_minus_boottime = (int64_t)how << 40 };
	struct record_stats s = { .recursion_misses = how };
	_Alignas(8) uint8_t bytes[sizeof(struct record_process) + 40] = { 0 };
	struct record_process *p = (struct record_process *)bytes;
	static const char text[] = "service.name\0shop\0process.pid\0"
				   "100\0";

	if ((how & 3) == 0) {
		send_event(&c.h, sizeof(c), RECORD_CLOCK);
	} else if ((how & 3) == 1) {
		send_event(&s.h, sizeof(s), RECORD_STATS);
	} else {
		p->n = 2;
		p->h.pid = (how & 8 ? 200 : 100) + (how >> 6);
		p->len = sizeof(text) - 1;
		memcpy(p->text, text, sizeof(text) - 1);
		send_event(&p->h, sizeof(bytes), RECORD_PROCESS);
	}
}

static void operation(void)
{
	uint8_t op = byte();
	struct pair *p = &run.pairs[op >> 4 & (PAIRS - 1)];

	switch (op & 15) {
	case 0:
	case 1: op_open(p, byte()); break;
	case 2: op_connect(p, byte()); break;
	case 3:
	case 4:
	case 5: op_say(p, 0, false); break;
	case 6:
	case 7:
	case 8: op_say(p, 1, false); break;
	case 9: op_say(p, op >> 7, true); break;
	case 10: op_end(p, byte()); break;
	case 11: op_process(byte()); break;
	case 12: op_record(byte()); break;
	case 13: {
		uint8_t how = byte();

		if (how & 128) {
			op_session(p, how & 127);
			break;
		}
		p->talk = how % TALKS;
		p->said[0] = p->said[1] = 0;
		break;
	}
	case 14: run.now += (uint64_t)byte() * 1000000; break;
	case 15: { /* long enough for everything to be given up, now and then */
		uint8_t how = byte();

		run.now += how < 16 ? 31000000000ull : (uint64_t)how * 10000000;
		pipeline__tick(run.pipeline, run.now);
		break;
	}
	}
	run.now += 10000;
}

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

	memset(run.pairs, 0, sizeof(run.pairs));
	run.p = data;
	run.end = data + size;
	run.now = 1000000000;
	run.last_conn = run.spans = 0;

	uint8_t how = byte();
	struct options o = {
		.command = CMD_REPLAY,
		.output = OUTPUT_NONE,
		.protocols = how & 1 ? 1ull << (how >> 1 & 3) : UINT64_MAX,
		.max_conns = how & 8 ? 3 : 64,
		.columns = 80,
	};

	run.pipeline = pipeline__new(&o, &hooks, &status, why, sizeof(why));
	REQUIRE(run.pipeline);
	while (run.p < run.end)
		operation();
	for (int i = 0; i < PAIRS; i++)
		for (int which = 0; which < 2; which++)
			free(run.pairs[i].ends[which].late);
	pipeline__finish(run.pipeline, &out);
	REQUIRE(balance__exact(&out.books));
	REQUIRE(out.books.pending == 0);
	REQUIRE(out.books.spans == run.spans);
	check_parents();
	return 0;
}
