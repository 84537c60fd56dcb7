// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * HTTP/1 over any bytes, cuts and gaps. The input is a list of calls: a byte of flags, a byte with
 * their length (times 16 with F_LONG), the bytes. Each input is run as given and byte by byte,
 * which must find the same messages at the same places. What is shown to the parser is a heap block
 * of exactly its size.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../user/proto/proto.h"

extern const struct protocol protocol_http1;

enum { F_RESP = 1, F_GAP = 2, F_MORE = 4, F_EOF = 8, F_LONG = 16 };

struct found {
	enum proto_dir dir;
	enum message_state what;
	uint64_t pos; /* of the byte behind it */
	bool described;
	int status;
	int64_t body[2];
};

#define FOUND_MAX 4096

struct half {
	uint8_t *buf;
	size_t len;
	uint64_t pos, skip;
	enum message_state skip_what;
	bool fresh, resync, wait_turn, ended, headed;
	struct message *m;
};

struct run {
	void *state;
	struct half half[2];
	int spoke;
	bool left, byte_by_byte;
	struct found found[FOUND_MAX];
	size_t n_found;
};

static void require(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_http1: %s\n", what);
	abort();
}

static struct message *message(struct half *h)
{
	if (h->m)
		return h->m;
	h->m = calloc(1, sizeof(*h->m) + protocol_http1.message_size);
	arena__init(&h->m->keep, MESSAGE_KEEP_MAX);
	h->m->data = h->m + 1;
	return h->m;
}

static void message_drop(struct half *h)
{
	if (!h->m)
		return;
	arena__reset(&h->m->keep);
	free(h->m);
	h->m = NULL;
	h->headed = false;
}

/* The engine describes exchanges; here each message is one half of one. */
static void describe(struct run *r, struct found *f, struct message *m)
{
	struct message *other = calloc(1, sizeof(*other) + protocol_http1.message_size);
	struct message *reqs[1] = { f->dir == PROTO_REQ ? m : other },
		       *resps[1] = { f->dir == PROTO_REQ ? NULL : m };
	struct facts facts;
	struct arena scratch;

	other->data = other + 1;
	arena__init(&scratch, 4096);
	f->described = protocol_http1.describe(r->state, reqs, resps, 1, 0, &scratch, &facts);
	require(f->described == (f->dir == PROTO_REQ), "a message without a method");
	if (f->described) {
		f->status = facts.http.status;
		f->body[0] = facts.http.request_body;
		require(facts.http.method.n > 0 && facts.http.method.n <= 32, "a method's length");
		require(facts.context.tracestate.n <= MESSAGE_KEEP_MAX, "tracestate");
	}
	arena__reset(&scratch);
	free(other);
}

static void apply(struct run *r, enum proto_dir dir, enum message_state what)
{
	struct half *h = &r->half[dir];

	if (what == MESSAGE_PARTIAL)
		return;
	if (what == MESSAGE_IGNORE) {
		require(!h->headed, "IGNORE after HEAD");
		message_drop(h);
		return;
	}
	require(what == MESSAGE_DONE || !h->headed, "HEAD twice");
	if (r->n_found < FOUND_MAX) {
		struct found *f = &r->found[r->n_found++];

		*f = (struct found){ .dir = dir, .what = what, .pos = h->pos };
		describe(r, f, message(h));
	}
	h->headed = true;
	if (what == MESSAGE_DONE)
		message_drop(h);
}

static void consume(struct half *h, size_t n)
{
	if (!n)
		return; /* there may be no buffer yet */
	memmove(h->buf, h->buf + n, h->len - n);
	h->len -= n;
	h->pos += n;
	h->fresh = false;
}

static void lose(struct half *h)
{
	consume(h, h->len);
	h->resync = true;
}

static void search(struct run *r, enum proto_dir dir, const struct proto_in *in)
{
	struct half *h = &r->half[dir];

	message(h)->resumed = false;
	ssize_t at = protocol_http1.resync(r->state, dir, in, h->m);

	require(at <= (ssize_t)in->len, "resync() beyond its bytes");
	if (at < 0) {
		if (in->call_end || in->gap_follows)
			consume(h, h->len);
		return;
	}
	if (!h->m->resumed)
		message_drop(h);
	consume(h, (size_t)at);
	h->resync = false;
}

static bool step(struct run *r, enum proto_dir dir, const struct proto_in *in)
{
	struct half *h = &r->half[dir];
	enum message_state what = MESSAGE_PARTIAL;
	ssize_t n = protocol_http1.parse(r->state, dir, in, message(h), &what);

	if (n == PARSE_LEAVE)
		r->left = true;
	if (n == PARSE_BAD) {
		message_drop(h);
		lose(h);
		h->wait_turn = true;
	}
	if (n < 0)
		return false;
	if (n == 0 && what == MESSAGE_PARTIAL)
		return false;
	if ((size_t)n > h->len) {
		h->skip = (uint64_t)n - h->len;
		h->skip_what = what;
		consume(h, h->len);
		return false;
	}
	consume(h, (size_t)n);
	apply(r, dir, what);
	return true;
}

static void work(struct run *r, enum proto_dir dir, bool call_end, bool gap_follows)
{
	struct half *h = &r->half[dir];
	unsigned idle = 0;

	while (h->len && !h->skip && !r->left && !(h->resync && h->wait_turn)) {
		uint8_t *exact = malloc(h->len);
		struct proto_in in = { .data = exact,
				       .len = h->len,
				       .fresh = h->fresh,
				       .call_end = call_end,
				       .gap_follows = gap_follows };
		size_t before = h->len;
		bool on = true;

		memcpy(exact, h->buf, h->len);
		if (h->resync) {
			search(r, dir, &in);
			on = !h->resync;
		} else {
			on = step(r, dir, &in);
		}
		free(exact);
		if (!on)
			break;
		idle = h->len == before ? idle + 1 : 0;
		require(idle < 8, "no end");
	}
}

static void pass(struct run *r, enum proto_dir dir, uint64_t *n)
{
	struct half *h = &r->half[dir];
	uint64_t took = *n < h->skip ? *n : h->skip;

	if (!took)
		return;
	h->skip -= took;
	h->pos += took;
	*n -= took;
	if (!h->skip)
		apply(r, dir, h->skip_what);
}

static void bytes(struct run *r, enum proto_dir dir, const uint8_t *data, size_t n, bool call_end)
{
	struct half *h = &r->half[dir];
	uint64_t rest = n;

	pass(r, dir, &rest);
	if (!rest)
		return;
	if (rest < n)
		h->fresh = false;
	if (h->len + rest > protocol_http1.buffer_cap) {
		message_drop(h);
		lose(h);
		h->wait_turn = true;
	}
	if (h->resync && h->wait_turn) {
		h->pos += rest;
		return;
	}
	h->buf = realloc(h->buf, h->len + rest);
	memcpy(h->buf + h->len, data + n - rest, rest);
	h->len += rest;
	work(r, dir, call_end, false);
}

static void gap(struct run *r, enum proto_dir dir, uint64_t n)
{
	struct half *h = &r->half[dir];

	pass(r, dir, &n);
	if (!n)
		return;
	work(r, dir, false, true);
	pass(r, dir, &n);
	if (n) {
		lose(h);
		h->pos += n;
	}
}

static void end(struct run *r, enum proto_dir dir)
{
	struct half *h = &r->half[dir];

	if (h->ended || r->left)
		return;
	h->ended = true;
	if (!h->skip && !h->len && !h->resync)
		apply(r, dir, protocol_http1.eof(r->state, dir, message(h)));
}

static void call(struct run *r, const uint8_t **p, size_t *left, bool *begins)
{
	uint8_t flags = (*p)[0];
	size_t n = (size_t)(*p)[1] * (flags & F_LONG ? 16 : 1);
	enum proto_dir dir = flags & F_RESP ? PROTO_RESP : PROTO_REQ;
	struct half *h = &r->half[dir];
	bool call_end = !(flags & F_MORE);

	*p += 2;
	*left -= 2;
	if (!(flags & F_GAP))
		n = n < *left ? n : *left;
	if (*begins && r->spoke != (int)dir && !h->ended) {
		/* A new turn: what was waited for in the last one does not come. */
		if (h->resync) {
			consume(h, h->len);
			h->wait_turn = false;
		}
		h->fresh = h->len == 0;
		r->spoke = dir;
	} else if (!h->len) {
		h->fresh = false;
	}
	*begins = call_end;
	if (!h->ended && !r->left && (flags & F_GAP)) {
		gap(r, dir, n);
	} else if (!h->ended && !r->left) {
		for (size_t i = 0; i < n && !r->left; i += r->byte_by_byte ? 1 : n)
			bytes(r, dir, *p + i, r->byte_by_byte ? 1 : n,
			      call_end && (!r->byte_by_byte || i + 1 == n));
	}
	if (!(flags & F_GAP)) {
		*p += n;
		*left -= n;
	}
	if (flags & F_EOF)
		end(r, dir);
}

static void run(struct run *r, const uint8_t *data, size_t size)
{
	bool begins = true;

	r->state = calloc(1, protocol_http1.state_size);
	r->spoke = -1;
	while (size >= 2)
		call(r, &data, &size, &begins);
	for (int dir = 0; dir < 2; dir++) {
		message_drop(&r->half[dir]);
		free(r->half[dir].buf);
	}
	protocol_http1.fini(r->state);
	free(r->state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run whole, cut;

	if (size) {
		uint8_t *exact = malloc(size);

		memcpy(exact, data, size);
		protocol_http1.detect(exact, size);
		free(exact);
	}
	memset(&whole, 0, sizeof(whole));
	memset(&cut, 0, sizeof(cut));
	cut.byte_by_byte = true;
	run(&whole, data, size);
	run(&cut, data, size);
	require(whole.n_found == cut.n_found, "cuts change the number of messages");
	for (size_t i = 0; i < whole.n_found; i++) {
		const struct found *a = &whole.found[i], *b = &cut.found[i];

		require(a->dir == b->dir && a->what == b->what, "cuts change a message's state");
		require(a->pos == b->pos, "cuts change a message's place");
		require(a->described == b->described && a->body[0] == b->body[0],
			"cuts change a message");
	}
	return 0;
}
