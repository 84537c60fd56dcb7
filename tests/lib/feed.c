// SPDX-License-Identifier: GPL-2.0-or-later
#include "feed.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "../../user/source/source.h"
#include "../../user/trace/trace.h"

#define MS 1000000ull
#define START (1000 * MS)

static void collect(void *ctx, struct trace *t)
{
	struct feed *f = ctx;

	cr_assert(f->n_traces < FEED_SPANS && f->n_spans + t->n <= FEED_SPANS);
	f->traces[f->n_traces++] = trace__ref(t);
	for (unsigned i = 0; i < t->n; i++)
		f->spans[f->n_spans++] = t->spans[i];
}

static void on_policy(void *ctx, struct conn *c, const struct weft_policy *policy)
{
	conns__policy(((struct feed *)ctx)->all, c, policy);
}

static void on_tls(void *ctx, struct conn *c)
{
	conns__carries_tls(((struct feed *)ctx)->all, c);
}

static void write_policy(void *ctx, const struct conn *c, const struct weft_policy *policy)
{
	struct feed *f = ctx;

	f->conns[c->id - 1000].policy = *policy;
}

static void forget(void *ctx, uint64_t sock, uint64_t conn)
{
	(void)sock;
	(void)conn;
	((struct feed *)ctx)->forgotten++;
}

static void want_cipher(void *ctx, uint32_t pid, bool want)
{
	struct feed *f = ctx;

	(void)pid;
	if (want)
		f->cipher_wanted++;
	else
		f->cipher_unwanted++;
}

static void process_exit(struct feed *f, uint32_t pid, uint64_t ts)
{
	conns__process_exit(f->all, pid, ts);
	calls__process_exit(f->calls, pid, ts);
	tracer__process_exit(f->tracer, pid);
}

/* As the pipeline does. */
static void take(void *feed, const struct weft_event *ev)
{
	struct feed *f = feed;

	balance__receive(&f->books, ev->kind != WEFT_EV_DATA && ev->kind != WEFT_EV_CALL);
	switch (ev->kind) {
	case WEFT_EV_DATA:
		tracer__awake(f->tracer, (const struct weft_data *)ev);
		conns__event(f->all, ev);
		return;
	case WEFT_EV_CONNECT: tracer__connect(f->tracer, (const struct weft_connect *)ev); return;
	case WEFT_EV_CONTEXT: tracer__context(f->tracer, (const struct weft_context *)ev); return;
	case WEFT_EV_UNIT: tracer__unit(f->tracer, (const struct weft_unit *)ev); return;
	case WEFT_EV_THREAD: tracer__thread(f->tracer, (const struct weft_thread *)ev); return;
	case WEFT_EV_CALL: calls__event(f->calls, (const struct weft_call *)ev); return;
	case WEFT_EV_EXEC: conns__process_exec(f->all, ev->pid, ev->ts); return;
	case WEFT_EV_EXIT: process_exit(f, ev->pid, ev->ts); return;
	default: conns__event(f->all, ev);
	}
}

static void tick(struct feed *f)
{
	order__tick(f->order, f->now);
	conns__tick(f->all, f->now);
	calls__tick(f->calls, f->now);
	tracer__tick(f->tracer, f->now);
}

/* An event of a process. */
static void say(struct feed *f, uint8_t kind, uint32_t pid)
{
	struct weft_event ev = {
		.size = sizeof(ev), .kind = kind, .ts = f->now, .pid = pid, .tid = pid
	};

	order__event(f->order, &ev);
}

struct feed *feed__new(void)
{
	return feed__new_calls(CALL_BOTH, UINT64_MAX);
}

struct feed *feed__new_calls(enum call_source source, uint64_t wanted)
{
	struct feed *f = calloc(1, sizeof(*f));

	cr_assert(f);
	f->now = START;
	f->processes = processes__new();

	struct tracer_config cfg = { .processes = f->processes,
				     .books = &f->books,
				     .sinks = { { collect, f } } };

	f->tracer = tracer__new(&cfg);
	struct exchange_sink spans = tracer__exchange_sink(f->tracer);

	f->calls = calls__new(source, wanted, &spans, &f->books);
	struct exchange_sink xs = calls__sink(f->calls);
	struct policy_sink ps = { f, on_policy, on_tls };

	f->engine = engine__new(wanted, &xs, &ps, &f->books);
	struct conn_sink cs = engine__conn_sink(f->engine);

	f->all = conns__new(FEED_CONNS, &cs, &f->books);
	f->order = order__new(f->all, take, f);
	conns__set_hooks(f->all, &(struct conns_hooks){ .ctx = f,
							.policy = write_policy,
							.forget = forget,
							.want_cipher = want_cipher });
	return f;
}

void feed__finish(struct feed *f)
{
	order__free(f->order);
	f->order = NULL;
	engine__stop(f->engine);
	conns__free(f->all, f->now);
	f->all = NULL;
	calls__free(f->calls, f->now);
	f->calls = NULL;
	tracer__flush(f->tracer);
}

void feed__free(struct feed *f)
{
	if (f->all)
		feed__finish(f);
	cr_expect(balance__exact(&f->books), "the books add up");
	cr_expect(f->books.pending == 0, "%lu events are still pending",
		  (unsigned long)f->books.pending);
	cr_expect(f->books.spans == f->n_spans, "every span made was released");
	for (unsigned i = 0; i < f->n_traces; i++)
		trace__unref(f->traces[i]);
	tracer__free(f->tracer);
	engine__free(f->engine);
	processes__free(f->processes);
	free(f);
}

static void deliver(struct feed *f, struct weft_event *ev, uint8_t kind, uint32_t size, unsigned id,
		    uint32_t pid, uint32_t tid)
{
	*ev = (struct weft_event){
		.size = (size + 7) & ~7u,
		.kind = kind,
		.flags = ev->flags,
		.ts = f->now,
		.pid = pid,
		.tid = tid,
		.conn = id + 1000,
	};
	if (kind == WEFT_EV_DATA) {
		((struct weft_data *)ev)->sleeps = f->sleeps[tid % 256];
		((struct weft_data *)ev)->loop_turn = f->turns[tid % 256];
	}
	order__event(f->order, ev);
	f->now += MS;
	tick(f);
}

void feed__process(struct feed *f, uint32_t pid, const char *service)
{
	feed__written_in(f, pid, service, "c");
}

void feed__written_in(struct feed *f, uint32_t pid, const char *service, const char *language)
{
	struct {
		struct record_process r;
		char text[128];
	} p = { 0 };
	const char *const words[] = { "service.name", service, "telemetry.sdk.language", language };

	p.r.h = (struct weft_event){ .size = sizeof(p), .kind = RECORD_PROCESS, .pid = pid };
	p.r.n = 2;
	for (size_t i = 0; i < 4; i++) {
		cr_assert(p.r.len + strlen(words[i]) < sizeof(p.text));
		strcpy(p.r.text + p.r.len, words[i]);
		p.r.len += (uint32_t)strlen(words[i]) + 1;
	}
	processes__described(f->processes, &p.r);
}

/* Ports as this end sees them; and those by which the positions go, the same at both ends. */
static void open_pair(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, uint16_t local,
		      uint16_t remote, enum weft_role role, uint16_t client_pos,
		      uint16_t server_pos)
{
	struct weft_open o = {
		.local = { .port = local, .family = AF_INET },
		.remote = { .port = remote, .family = AF_INET },
		.sock = id + 1,
		.netns = 1,
		.role = (uint8_t)role,
		.start_ts = role == WEFT_ROLE_CLIENT ? f->now : 0,
	};
	uint32_t ip = htonl(INADDR_LOOPBACK);

	memcpy(o.local.ip, &ip, 4);
	memcpy(o.remote.ip, &ip, 4);
	o.h.flags = WEFT_F_POS | (role == WEFT_ROLE_UNKNOWN ? WEFT_F_PREOPEN : 0);
	/*
	 * One position per direction of the pair, close to the wrap so that every test passes it.
	 */
	uint32_t base = 0xffffff00u + (uint32_t)server_pos % 16;
	uint32_t back = 0xfffff000u + (uint32_t)(server_pos * 31 + client_pos) % 0xf00;
	bool client = role == WEFT_ROLE_CLIENT || (role == WEFT_ROLE_UNKNOWN && local > remote);

	f->conns[id].pos[client ? WEFT_OUT : WEFT_IN] = base;
	f->conns[id].pos[client ? WEFT_IN : WEFT_OUT] = back;
	memcpy(o.pos, f->conns[id].pos, sizeof(o.pos));
	deliver(f, &o.h, WEFT_EV_OPEN, sizeof(o), id, pid, tid);
}

static void open_conn(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, uint16_t local,
		      uint16_t remote, enum weft_role role)
{
	bool client = local > remote;

	open_pair(f, id, pid, tid, local, remote, role, client ? local : remote,
		  client ? remote : local);
}

void feed__translated(struct feed *f, unsigned id, uint32_t pid, uint16_t local, uint16_t remote,
		      enum weft_role role, uint16_t port)
{
	open_pair(f, id, pid, pid, local, remote, role, port, 1);
}

void feed__connect(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, uint16_t port,
		   uint16_t server_port)
{
	struct weft_connect c = {
		.h = { .size = sizeof(c),
		       .kind = WEFT_EV_CONNECT,
		       .flags = f->turns[tid % 256],
		       .ts = f->now,
		       .pid = pid,
		       .tid = tid },
		.sock = id + 1,
	};

	order__event(f->order, &c.h);
	open_conn(f, id, pid, tid, port, server_port, WEFT_ROLE_CLIENT);
}

static void unit(struct feed *f, uint32_t pid, uint32_t tid, unsigned id, uint8_t flags)
{
	struct weft_unit u = {
		.h = { .size = sizeof(u),
		       .kind = WEFT_EV_UNIT,
		       .flags = flags,
		       .ts = f->now,
		       .pid = pid,
		       .tid = tid,
		       .conn = id ? id + 1000 : 0 },
		.pos = id ? f->conns[id].pos[WEFT_IN] : 0,
	};

	order__event(f->order, &u.h);
}

void feed__thread(struct feed *f, uint32_t pid, uint32_t tid, uint32_t child)
{
	struct weft_thread e = { .h = { .size = sizeof(e),
					.kind = WEFT_EV_THREAD,
					.ts = f->now,
					.pid = pid,
					.tid = tid },
				 .child = child };

	cr_assert(event__valid(&e.h, sizeof(e)));
	order__event(f->order, &e.h);
}

void feed__unit(struct feed *f, uint32_t pid, uint32_t tid, unsigned id)
{
	unit(f, pid, tid, id, 0);
}

void feed__unit_ahead(struct feed *f, uint32_t pid, uint32_t tid, unsigned id)
{
	unit(f, pid, tid, id, WEFT_F_AHEAD);
}

void feed__context(struct feed *f, unsigned id, uint32_t tid, enum weft_dir dir, uint8_t trace,
		   uint8_t span, unsigned cause, uint32_t cause_pos)
{
	struct weft_context c = {
		.h = { .size = sizeof(c),
		       .kind = WEFT_EV_CONTEXT,
		       .ts = f->now,
		       .tid = tid,
		       .conn = id + 1000 },
		.pos = f->conns[id].pos[dir],
		.dir = (uint8_t)dir,
		.cause = cause ? cause + 1000 : 0,
		.cause_pos = cause_pos,
	};

	memset(c.trace_id, trace, sizeof(c.trace_id));
	memset(c.span_id, span, sizeof(c.span_id));
	cr_assert(event__valid(&c.h, sizeof(c)));
	order__event(f->order, &c.h);
}

void feed__accept(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, uint16_t port,
		  uint16_t server_port)
{
	open_conn(f, id, pid, tid, server_port, port, WEFT_ROLE_SERVER);
}

void feed__unix(struct feed *f, unsigned id, uint32_t pid, enum weft_role role, uint64_t sock,
		uint64_t peer_sock)
{
	struct weft_open o = {
		.local = { .family = AF_UNIX },
		.remote = { .family = AF_UNIX },
		.sock = sock,
		.peer_sock = peer_sock,
		.netns = 1,
		.role = (uint8_t)role,
	};

	o.h.flags = WEFT_F_POS;
	f->conns[id] = (struct feed_conn){ 0 };
	deliver(f, &o.h, WEFT_EV_OPEN, sizeof(o), id, pid, pid);
}

void feed__preopen(struct feed *f, unsigned id, uint32_t pid, uint16_t local, uint16_t remote)
{
	open_conn(f, id, pid, pid, local, remote, WEFT_ROLE_UNKNOWN);
}

static void call(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, enum weft_dir dir,
		 struct slice head, struct slice tail, uint32_t len)
{
	struct weft_data *d = calloc(1, sizeof(*d) + head.n + tail.n + 8);

	cr_assert(d);
	d->off = f->conns[id].pos[dir];
	d->len = len;
	d->head = (uint16_t)head.n;
	d->tail = (uint16_t)tail.n;
	d->dir = dir;
	memcpy(d->bytes, head.p, head.n);
	memcpy(d->bytes + head.n, tail.p, tail.n);
	f->conns[id].pos[dir] += len;
	deliver(f, &d->h, WEFT_EV_DATA, (uint32_t)(sizeof(*d) + head.n + tail.n), id, pid, tid);
	free(d);
}

/* "name=value\n" for each; how many. */
static size_t write_fields(struct weft_field *to, const char *fields, size_t room)
{
	size_t n = 0;

	for (const char *at = fields; at && *at; at = strchr(at, '\n') + 1) {
		struct weft_field *w = &to[n++];
		const char *is = strchr(at + 1, '='), *end = strchr(at, '\n');

		cr_assert(is && end && n <= room);
		w->name_len = (uint32_t)(is - at);
		w->value_len = (uint32_t)(end - is - 1);
		memcpy(w->name, at, w->name_len < WEFT_FIELD_NAME ? w->name_len : WEFT_FIELD_NAME);
		memcpy(w->value, is + 1,
		       w->value_len < WEFT_FIELD_VALUE ? w->value_len : WEFT_FIELD_VALUE);
	}
	return n;
}

void feed__fields(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, enum weft_dir dir,
		  uint32_t stream, const char *fields, uint16_t all)
{
	size_t room = sizeof(struct weft_fields) + WEFT_FIELDS_MAX * sizeof(struct weft_field);
	struct weft_fields *e = calloc(1, room);

	cr_assert(e);
	e->stream = stream;
	e->dir = (uint8_t)dir;
	e->all = all;
	e->n = (uint8_t)write_fields(e->f, fields, WEFT_FIELDS_MAX);
	deliver(f, &e->h, WEFT_EV_FIELDS, (uint32_t)(sizeof(*e) + e->n * sizeof(struct weft_field)),
		id, pid, tid);
	free(e);
}

void feed__table(struct feed *f, unsigned id, uint32_t pid, uint32_t tid,
		 const struct feed_table *t)
{
	size_t room = WEFT_TABLE_MAX + WEFT_FIELDS_MAX;
	struct weft_table *e = calloc(1, sizeof(*e) + room * sizeof(struct weft_field));

	cr_assert(e);
	e->dir = (uint8_t)t->dir;
	e->stream = t->stream;
	e->behind = t->behind;
	e->len = t->len;
	e->all = t->all;
	if (t->len)
		memcpy(e->block, t->block, t->len < WEFT_TABLE_BLOCK ? t->len : WEFT_TABLE_BLOCK);
	e->n = (uint8_t)write_fields(e->f, t->entries, WEFT_TABLE_MAX);
	e->fields = (uint8_t)write_fields(e->f + e->n, t->fields, WEFT_FIELDS_MAX);
	e->size = t->size;
	for (size_t i = 0; !t->size && i < e->n; i++)
		e->size += 32 + e->f[i].name_len + e->f[i].value_len;
	room = (size_t)e->n + e->fields;
	deliver(f, &e->h, WEFT_EV_TABLE, (uint32_t)(sizeof(*e) + room * sizeof(struct weft_field)),
		id, pid, tid);
	free(e);
}

void feed__cut(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, enum weft_dir dir,
	       const char *head, const char *tail, uint32_t len)
{
	call(f, id, pid, tid, dir, slice__cstr(head), slice__cstr(tail), len);
}

void feed__bytes(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, enum weft_dir dir,
		 const void *bytes, uint32_t head, uint32_t len)
{
	call(f, id, pid, tid, dir, slice__from(bytes, head), SLICE(""), len);
}

void feed__parts(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, enum weft_dir dir,
		 const void *bytes, uint32_t len, const struct weft_part *parts, size_t n)
{
	struct weft_data *d = calloc(1, sizeof(*d) + len + n * sizeof(*parts) + 8);
	uint32_t at = 0;

	cr_assert(d);
	d->off = f->conns[id].pos[dir];
	d->len = len;
	d->dir = dir;
	d->h.flags = WEFT_F_PARTS | WEFT_F_POLICY;
	for (size_t i = 0; i < n; i++) {
		if (parts[i].off) {
			memcpy(d->bytes + at, &parts[i], sizeof(*parts));
			at += sizeof(*parts);
		} else {
			d->head = (uint16_t)parts[i].len;
		}
		memcpy(d->bytes + at, (const uint8_t *)bytes + parts[i].off, parts[i].len);
		at += parts[i].len;
	}
	f->conns[id].pos[dir] += len;
	deliver(f, &d->h, WEFT_EV_DATA, (uint32_t)sizeof(*d) + at, id, pid, tid);
	cr_assert(event__valid(&d->h, d->h.size));
	free(d);
}

void feed__write(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, const char *bytes)
{
	feed__cut(f, id, pid, tid, WEFT_OUT, bytes, "", (uint32_t)strlen(bytes));
}

void feed__read(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, const char *bytes)
{
	feed__cut(f, id, pid, tid, WEFT_IN, bytes, "", (uint32_t)strlen(bytes));
}

void feed__lose(struct feed *f, unsigned id, enum weft_dir dir, const char *bytes)
{
	feed__skip(f, id, dir, (uint32_t)strlen(bytes));
}

void feed__skip(struct feed *f, unsigned id, enum weft_dir dir, uint32_t len)
{
	f->conns[id].pos[dir] += len;
	f->now += MS;
}

void feed__written(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, const char *bytes)
{
	struct weft_data d = { .off = f->conns[id].pos[WEFT_OUT] + (uint32_t)strlen(bytes),
			       .dir = WEFT_OUT };

	deliver(f, &d.h, WEFT_EV_WRITTEN, sizeof(d), id, pid, tid);
}

void feed__eof(struct feed *f, unsigned id, uint32_t pid, uint32_t tid)
{
	struct weft_data d = { .off = f->conns[id].pos[WEFT_IN], .dir = WEFT_IN };

	deliver(f, &d.h, WEFT_EV_EOF, sizeof(d), id, pid, tid);
}

void feed__close(struct feed *f, unsigned id)
{
	struct weft_data d = { 0 };

	deliver(f, &d.h, WEFT_EV_CLOSE, sizeof(d), id, 0, 0);
}

void feed__wait(struct feed *f, unsigned ms)
{
	f->now += ms * MS;
	tick(f);
}

void feed__session(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, enum weft_role role,
		   bool from_start)
{
	struct weft_open o = { .sock = id + 1, .role = (uint8_t)role };

	o.h.flags = WEFT_F_TLS | WEFT_F_POS | (from_start ? 0 : WEFT_F_PREOPEN);
	f->conns[id] = (struct feed_conn){ 0 };
	deliver(f, &o.h, WEFT_EV_OPEN, sizeof(o), id, pid, tid);
}

uint64_t feed__enter(struct feed *f)
{
	f->now += MS;
	return f->now - MS;
}

void feed__leave(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, uint64_t begin,
		 unsigned sock)
{
	struct weft_session s = { .begin = sock ? 0 : begin,
				  .sock = sock ? sock + 1 : 0,
				  .what = WEFT_SESSION_OP };

	deliver(f, &s.h, WEFT_EV_SESSION, sizeof(s), id, pid, tid);
}

void feed__cipher(struct feed *f, unsigned id, uint32_t pid, uint32_t tid, enum weft_dir dir,
		  const void *bytes, uint32_t n)
{
	struct weft_session s = {
		.what = dir == WEFT_OUT ? WEFT_SESSION_OUT : WEFT_SESSION_IN,
		.len = n,
		.n = (uint8_t)(n < WEFT_SESSION_BYTES ? n : WEFT_SESSION_BYTES),
	};

	memcpy(s.bytes, bytes, s.n);
	deliver(f, &s.h, WEFT_EV_SESSION, sizeof(s), id, pid, tid);
}

void feed__exec(struct feed *f, uint32_t pid)
{
	say(f, WEFT_EV_EXEC, pid);
}

struct span *feed__span(struct feed *f, enum span_kind kind, const char *key, const char *value)
{
	struct span *found = NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < f->n_spans; i++) {
		const struct attr *a = span__attr(f->spans[i], key);

		if (f->spans[i]->kind != kind || !a || a->type != ATTR_STR ||
		    !slice__eq(attr__text(a), slice__cstr(value)))
			continue;
		found = f->spans[i];
		n++;
	}
	cr_assert(n == 1, "%u spans of kind %d with %s=%s, expected one", n, kind, key, value);
	return found;
}

bool feed__is_root(const struct span *s)
{
	static const uint8_t none[8];

	return memcmp(s->parent_id, none, 8) == 0;
}

bool feed__is_child(const struct span *child, const struct span *parent, const char *source)
{
	const struct attr *a = span__attr(child, "weft.parent.source");

	return !memcmp(child->parent_id, parent->span_id, 8) &&
	       !memcmp(child->trace_id, parent->trace_id, 16) &&
	       child->start_ns >= parent->start_ns && a &&
	       slice__eq(attr__text(a), slice__cstr(source));
}

void feed__sleep(struct feed *f, uint32_t tid)
{
	f->sleeps[tid % 256]++;
}

void feed__turn(struct feed *f, uint32_t tid)
{
	uint8_t *turn = &f->turns[tid % 256], number = *turn & (WEFT_TURN_WHOLE - 1);

	*turn = (*turn & WEFT_TURN_WHOLE) | (number == WEFT_TURN_WHOLE - 1 ? 1 : number + 1);
}

void feed__call(struct feed *f, uint32_t pid, uint32_t tid, struct feed_call what)
{
	struct slice text = slice__cstr(what.text ? what.text : ""),
		     text2 = slice__cstr(what.text2 ? what.text2 : "");
	struct weft_call *ev = calloc(1, sizeof(*ev) + text.n + text2.n + 8);

	cr_assert(ev);
	*ev = (struct weft_call){
		.h = { .kind = WEFT_EV_CALL, .ts = f->now, .pid = pid, .tid = tid },
		.begin = what.begin ? what.begin : f->now - MS / 2,
		.object = what.object,
		.made = what.made,
		.ret = what.ret,
		.count = what.count,
		.value = what.value,
		.fn = what.fn,
		.text_len = (uint32_t)text.n + what.more,
		.text = (uint16_t)text.n,
		.text2 = (uint16_t)text2.n,
		.text2_len = (uint32_t)text2.n,
	};
	memcpy(ev->bytes, text.p, text.n);
	memcpy(ev->bytes + text.n, text2.p, text2.n);
	ev->h.size = (uint32_t)(sizeof(*ev) + text.n + text2.n + 7) & ~7u;
	order__event(f->order, &ev->h);
	free(ev);
	f->now += MS;
	tick(f);
}

void feed__exit(struct feed *f, uint32_t pid)
{
	say(f, WEFT_EV_EXIT, pid);
	f->now += MS;
}
