// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The packet capture source, against captures and expectations that tests/pcap/make_pcaps.py
 * writes: what the source hands over is checked record by record, put together by stream position,
 * and compared as text.
 */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "user/source/record.h"
#include "user/source/source.h"

static char folder[64];

static void make_captures(void)
{
	char cmd[160];

	strcpy(folder, "/tmp/weft-test-pcap-XXXXXX");
	cr_assert(mkdtemp(folder));
	snprintf(cmd, sizeof(cmd), "python3 tests/pcap/make_pcaps.py %s", folder);
	cr_assert_eq(system(cmd), 0, "tests are run from the top of the tree");
}

static void remove_captures(void)
{
	char cmd[160];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", folder);
	cr_assert_eq(system(cmd), 0);
}

TestSuite(pcap, .init = make_captures, .fini = remove_captures);

/* One direction: bytes by position, from BEFORE bytes before the first one seen. */
#define BEFORE (1 << 20)
#define SPAN (2 << 20)

struct stream {
	bool any;
	uint32_t base;
	uint32_t lo, hi; /* positions seen, captured or not */
	uint8_t *data, *have;
};

#define CONNS 8

struct conn {
	struct weft_open open;
	bool closed;
	struct stream stream[2];
	char events[200];
	const char *last;
};

struct picture {
	struct conn conn[CONNS];
	unsigned n;
	uint64_t ts, records;
	bool clock;
};

static void stream_add(struct stream *s, const struct weft_data *d)
{
	if (!s->any) {
		s->any = true;
		s->base = d->off - BEFORE;
		s->lo = s->hi = BEFORE;
		s->data = calloc(2, SPAN);
		cr_assert(s->data);
		s->have = s->data + SPAN;
	}
	uint32_t at = d->off - s->base;

	cr_assert(at < SPAN && d->len < SPAN - at, "position %u, length %u", d->off, d->len);
	if (at < s->lo)
		s->lo = at;
	if (at + d->len > s->hi)
		s->hi = at + d->len;
	for (uint32_t i = 0; i < d->head; i++) {
		if (!s->have[at + i])
			s->data[at + i] = d->bytes[i];
		s->have[at + i] = 1;
	}
}

static void note(struct conn *c, const char *event)
{
	if (c->last == event)
		return;
	c->last = event;
	if (c->events[0])
		strncat(c->events, " ", sizeof(c->events) - strlen(c->events) - 1);
	strncat(c->events, event, sizeof(c->events) - strlen(c->events) - 1);
}

static void see_data(struct conn *c, const struct weft_data *d)
{
	static const char *const names[] = {
		[WEFT_EV_EOF] = "eof", [WEFT_EV_SHUT] = "shut", [WEFT_EV_CLOSE] = "close"
	};

	cr_assert(!c->closed, "an event after the close");
	if (d->h.kind == WEFT_EV_DATA) {
		cr_assert(d->len > 0 && d->tail == 0);
		stream_add(&c->stream[d->dir], d);
		note(c, d->dir == WEFT_OUT ? "out" : "in");
		return;
	}
	cr_assert(d->h.kind != WEFT_EV_EOF || d->dir == WEFT_IN);
	cr_assert(d->h.kind != WEFT_EV_SHUT || d->dir == WEFT_OUT);
	c->closed = d->h.kind == WEFT_EV_CLOSE;
	note(c, names[d->h.kind]);
}

static void see(void *ctx, const struct weft_event *ev)
{
	struct picture *p = ctx;

	cr_assert(event__valid(ev, ev->size));
	cr_assert_eq((uintptr_t)ev % 8, 0);
	cr_assert_eq(ev->pid, 0);
	cr_assert(ev->ts >= p->ts, "time goes back");
	p->ts = ev->ts;
	p->records++;
	if (ev->kind == RECORD_CLOCK) {
		cr_assert(!p->clock && p->n == 0, "the clock comes first, once");
		cr_assert_eq(((const struct record_clock *)ev)->realtime_minus_boottime, 0);
		p->clock = true;
		return;
	}
	cr_assert(p->clock);
	if (ev->kind == WEFT_EV_OPEN) {
		cr_assert(p->n < CONNS);
		cr_assert_eq(ev->conn, p->n + 1);
		memcpy(&p->conn[p->n].open, ev, sizeof(struct weft_open));
		cr_assert(ev->flags & WEFT_F_THIRD_PARTY);
		cr_assert_eq(p->conn[p->n].open.role, WEFT_ROLE_CLIENT);
		note(&p->conn[p->n++], "open");
		return;
	}
	cr_assert(ev->conn >= 1 && ev->conn <= p->n, "an event before the open");
	see_data(&p->conn[ev->conn - 1], (const struct weft_data *)ev);
}

static void print_addr(FILE *out, const struct weft_addr *a)
{
	char buf[64];

	inet_ntop(a->family, a->ip, buf, sizeof(buf));
	fprintf(out, a->family == AF_INET6 ? "[%s]:%u" : "%s:%u", buf, a->port);
}

static void print_stream(FILE *out, const char *name, struct stream *s)
{
	uint64_t hash = 0xcbf29ce484222325ull;
	unsigned bytes = 0, holes = 0;

	for (uint32_t i = s->lo; s->any && i < s->hi; i++) {
		if (!s->have[i]) {
			holes++;
			continue;
		}
		bytes++;
		hash = (hash ^ s->data[i]) * 0x100000001b3ull;
	}
	fprintf(out, "  %s bytes=%u holes=%u fnv=%016" PRIx64 "\n", name, bytes, holes, hash);
	free(s->data);
}

static void print_picture(FILE *out, struct picture *p, const struct source *s, int end)
{
	for (unsigned i = 0; i < p->n; i++) {
		struct conn *c = &p->conn[i];

		fputs("conn ", out);
		print_addr(out, &c->open.local);
		fputs(" > ", out);
		print_addr(out, &c->open.remote);
		fprintf(out, "%s start=%" PRIu64 " open=%" PRIu64 "\n",
			c->open.h.flags & WEFT_F_PREOPEN ? " preopen" : "",
			(uint64_t)c->open.start_ts, (uint64_t)c->open.h.ts);
		print_stream(out, "out", &c->stream[WEFT_OUT]);
		print_stream(out, "in", &c->stream[WEFT_IN]);
		fprintf(out, "  events %s\n", c->events);
	}
	fputs("skipped", out);
	for (int i = 0; i < CAPTURE_SKIPS; i++)
		if (s->skipped[i])
			fprintf(out, " %s=%" PRIu64, capture__skip_reason(i), s->skipped[i]);
	fprintf(out, "\nend %s\n",
		end == -EBADMSG   ? "damaged"
		: end != -ENODATA ? "?"
		: s->error[0]     ? "cut"
				  : "ok");
}

/* Text of what is in a capture; to be freed. `max`: records a poll. */
static char *look(const char *path, int max)
{
	struct picture p = { 0 };
	char why[400] = "", *text;
	size_t len;
	struct source *s = source__file(path, why, sizeof(why));
	int n;

	cr_assert(s, "%s", why);
	while ((n = source__poll(s, see, &p, max)) > 0)
		cr_assert(n <= max);
	cr_assert_eq(source__poll(s, see, &p, max), n, "the end is told again");
	cr_assert_eq(s->received, p.records);
	FILE *out = open_memstream(&text, &len);

	print_picture(out, &p, s, n);
	fclose(out);
	source__close(s);
	return text;
}

static char *read_file(const char *path)
{
	char *text = calloc(1, 4096);
	FILE *f = fopen(path, "r");

	cr_assert(f && text, "%s", path);
	cr_assert(fread(text, 1, 4095, f) > 0);
	fclose(f);
	return text;
}

static void compare(const char *name)
{
	char path[400], expect[400];

	snprintf(expect, sizeof(expect), "%s/%s.expect", folder, name);
	snprintf(path, sizeof(path), "%s/%s.pcap", folder, name);
	if (access(path, R_OK))
		snprintf(path, sizeof(path), "%s/%s.pcapng", folder, name);
	char *want = read_file(expect), *got = look(path, 1000), *one = look(path, 1);

	cr_expect_str_eq(got, want, "%s: expected\n%sbut got\n%s", name, want, got);
	cr_expect_str_eq(one, got, "%s: one at a time it is\n%s", name, one);
	free(want);
	free(got);
	free(one);
}

Test(pcap, every_capture)
{
	struct dirent *e;
	DIR *d = opendir(folder);
	int n = 0;

	cr_assert(d);
	while ((e = readdir(d))) {
		char *dot = strstr(e->d_name, ".expect");

		if (!dot)
			continue;
		*dot = '\0';
		compare(e->d_name);
		n++;
	}
	closedir(d);
	cr_expect(n > 50, "%d captures", n);
}

Test(pcap, refused_with_a_reason)
{
	static const struct {
		const char *name, *says;
	} bad[] = {
		{ "bad-empty.bad", "is empty" },
		{ "bad-text.bad", "neither a weft recording nor a packet capture" },
		{ "bad-link.bad",
		  "link of type IEEE802_11 (105); weft reads Ethernet, Linux cooked" },
		{ "bad-header.bad", "neither a weft recording nor a packet capture" },
		{ "bad-gzip.bad", "compressed" },
		{ "nowhere", "No such file" },
		{ ".", "is a directory" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char path[200], why[400] = "";

		snprintf(path, sizeof(path), "%s/%s", folder, bad[i].name);
		cr_expect_null(source__file(path, why, sizeof(why)), "%s", bad[i].name);
		cr_expect(strstr(why, bad[i].says), "%s: \"%s\"", bad[i].name, why);
		cr_expect_null(strchr(why, '\n'));
	}
}

Test(pcap, damage_says_where_and_what)
{
	char path[200], why[400];
	struct picture p = { 0 };
	int n;

	snprintf(path, sizeof(path), "%s/mixed-links.pcapng", folder);
	struct source *s = source__file(path, why, sizeof(why));

	cr_assert(s, "%s", why);
	while ((n = source__poll(s, see, &p, 10)) > 0)
		;
	cr_expect_eq(n, -EBADMSG);
	cr_expect_eq(s->malformed, 1);
	cr_expect(strstr(s->error, "damaged at packet 8"), "%s", s->error);
	cr_expect(strstr(s->error, "different from the type of the first interface"), "%s",
		  s->error);
	cr_expect(p.conn[0].closed);
	source__close(s);
	free(p.conn[0].stream[0].data);
	free(p.conn[0].stream[1].data);
}

struct crowd {
	uint64_t open, data, closed, now_open, most_open;
};

static void count(void *ctx, const struct weft_event *ev)
{
	struct crowd *c = ctx;

	c->open += ev->kind == WEFT_EV_OPEN;
	c->data += ev->kind == WEFT_EV_DATA;
	c->closed += ev->kind == WEFT_EV_CLOSE;
	c->now_open = c->open - c->closed;
	if (c->now_open > c->most_open)
		c->most_open = c->now_open;
}

/* 65,536 + 100 connections that never end: the longest idle ones are closed, and counted. */
Test(pcap, connections_are_bounded)
{
	struct crowd c = { 0 };
	char path[200], why[400];
	int n;

	snprintf(path, sizeof(path), "%s/crowd.big", folder);
	struct source *s = source__file(path, why, sizeof(why));

	cr_assert(s, "%s", why);
	while ((n = source__poll(s, count, &c, 256)) > 0)
		;
	cr_expect_eq(n, -ENODATA);
	cr_expect_eq(c.open, 65636);
	cr_expect_eq(c.data, 65636);
	cr_expect_eq(c.closed, 65636);
	cr_expect_eq(s->skipped[CAPTURE_IDLE], 100);
	cr_expect(c.most_open <= 65537, "%" PRIu64, c.most_open);
	source__close(s);
}

/*
 * A capture that is still being written into a pipe: what is there is handed over, then 0, then the
 * rest.
 */
Test(pcap, a_pipe_is_followed)
{
	char path[200], why[400];
	struct picture p = { 0 };
	static char bytes[65536];
	int ends[2];

	snprintf(path, sizeof(path), "%s/link-eth-4.pcap", folder);
	FILE *f = fopen(path, "r");

	cr_assert(f);
	ssize_t len = (ssize_t)fread(bytes, 1, sizeof(bytes), f);

	fclose(f);
	cr_assert_eq(pipe(ends), 0);
	/* The file's header, and the first packet: SYN, 14 + 20 + 24 bytes. */
	cr_assert_eq(write(ends[1], bytes, 24 + 16 + 58), 24 + 16 + 58);
	snprintf(path, sizeof(path), "/dev/fd/%d", ends[0]);
	struct source *s = source__file(path, why, sizeof(why));

	cr_assert(s, "%s", why);
	cr_expect_eq(source__poll(s, see, &p, 10), 1);
	cr_expect_eq(source__poll(s, see, &p, 10), 0);
	cr_expect_eq(s->packets, 1);
	cr_assert_eq(write(ends[1], bytes + 98, (size_t)len - 98), len - 98);
	cr_expect_eq(source__poll(s, see, &p, 3), 3);
	close(ends[1]);
	int n;

	while ((n = source__poll(s, see, &p, 3)) > 0)
		;
	cr_expect_eq(n, -ENODATA);
	cr_expect_str_empty(s->error);
	cr_expect_str_eq(p.conn[0].events, "open out in eof shut close");
	source__close(s);
	close(ends[0]);
	free(p.conn[0].stream[0].data);
	free(p.conn[0].stream[1].data);
}
