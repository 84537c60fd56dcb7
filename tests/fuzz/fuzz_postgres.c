// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The PostgreSQL parser on any bytes, in any cuts, with any gaps. Input: pieces, each of a byte of
 * flags, two bytes of length (little endian) and that many bytes.
 *   flags: 1 responder, 2 fresh, 4 call end, 8 bytes are missing behind it; first piece: 16 joined
 *   in the middle, 128 what follows the byte is in the form of protocol_fuzz.h instead, and goes
 *   that way
 * Each look is at a heap block of its own size. Beside memory errors it checks that the parser
 * comes to an end, and that no exchange ends twice.
 */
#include "protocol_fuzz.h"

extern const struct protocol protocol_postgres;
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEYS_MAX 256

struct side {
	uint8_t *buf;
	size_t len;
	uint64_t skip;
	enum message_state skip_what;
	bool fresh, call_end, search;
	struct message *m;
};

struct fuzz {
	const struct protocol *p;
	void *state;
	struct side side[2];
	struct message *pending[KEYS_MAX]; /* requests without an answer */
	uint64_t last_key;
	bool left;
};

static struct message *own_message_new(const struct protocol *p)
{
	struct message *m = calloc(1, sizeof(*m));

	m->data = calloc(1, p->message_size);
	arena__init(&m->keep, MESSAGE_KEEP_MAX);
	return m;
}

static void own_message_free(struct message *m)
{
	if (!m)
		return;
	arena__reset(&m->keep);
	free(m->data);
	free(m);
}

static void own_describe(struct fuzz *f, struct message *req, struct message *resp)
{
	struct arena scratch;
	struct facts facts;
	uint8_t *copy;

	arena__init(&scratch, 4096);
	if (f->p->describe(f->state, &req, &resp, 1, resp ? 0 : EXCHANGE_NO_RESPONSE, &scratch,
			   &facts)) {
		/* Read what it points to. */
		copy = malloc(facts.db.query.n + facts.db.status_code.n + 1);
		if (facts.db.query.n)
			memcpy(copy, facts.db.query.p, facts.db.query.n);
		if (facts.db.status_code.n)
			memcpy(copy, facts.db.status_code.p, facts.db.status_code.n);
		free(copy);
	}
	arena__reset(&scratch);
}

static void own_done(struct fuzz *f, enum proto_dir dir, struct message *m)
{
	struct message **slot = &f->pending[m->key % KEYS_MAX];

	if (dir == PROTO_REQ) {
		if (m->key <= f->last_key)
			abort(); /* a key that was there before */
		f->last_key = m->key;
		if (*slot)
			own_message_free(*slot);
		*slot = m;
		return;
	}
	if (!m->key || m->key > f->last_key)
		abort(); /* an answer to what was not asked */
	if (*slot && (*slot)->key == m->key) {
		own_describe(f, *slot, m);
		own_message_free(*slot);
		*slot = NULL;
	}
	own_message_free(m);
}

static void own_apply(struct fuzz *f, enum proto_dir dir, enum message_state what)
{
	struct side *h = &f->side[dir];

	if (what == MESSAGE_PARTIAL)
		return;
	if (what == MESSAGE_DONE)
		own_done(f, dir, h->m);
	else
		own_message_free(h->m);
	h->m = NULL;
}

static void own_drop(struct side *h, size_t n)
{
	if (n)
		h->fresh = false;
	if (n < h->len)
		memmove(h->buf, h->buf + n, h->len - n);
	h->len -= n;
}

/* False: nothing more to do with what is there. */
static bool own_step(struct fuzz *f, enum proto_dir dir, bool gap)
{
	struct side *h = &f->side[dir];
	struct proto_in in = {
		.len = h->len, .fresh = h->fresh, .gap_follows = gap, .call_end = h->call_end
	};
	enum message_state what = MESSAGE_PARTIAL;
	uint8_t *copy = malloc(h->len);
	ssize_t r;

	memcpy(copy, h->buf, h->len);
	in.data = copy;
	if (!h->m)
		h->m = own_message_new(f->p);
	if (h->search) {
		h->m->resumed = false;
		r = f->p->resync(f->state, dir, &in, h->m);
		free(copy);
		if (r > (ssize_t)h->len)
			abort();
		if (r < 0)
			return false;
		if (!h->m->resumed) {
			own_message_free(h->m);
			h->m = NULL;
		}
		h->search = false;
		own_drop(h, (size_t)r);
		return h->len > 0;
	}
	r = f->p->parse(f->state, dir, &in, h->m, &what);
	free(copy);
	if (r < 0) {
		f->left = r == PARSE_LEAVE;
		h->search = true;
		own_drop(h, h->len);
		return false;
	}
	if (r == 0 && what == MESSAGE_PARTIAL) {
		if (h->len > f->p->buffer_cap)
			abort(); /* waits for more than it may */
		return false;
	}
	if ((size_t)r > h->len) {
		h->skip = (uint64_t)r - h->len;
		h->skip_what = what;
		own_drop(h, h->len);
		return false;
	}
	own_drop(h, (size_t)r);
	own_apply(f, dir, what);
	return h->len > 0;
}

static void own_work(struct fuzz *f, enum proto_dir dir, bool gap)
{
	struct side *h = &f->side[dir];
	unsigned idle = 0;
	size_t before;

	while (!f->left && h->len && !h->skip) {
		before = h->len;
		if (!own_step(f, dir, gap))
			return;
		idle = h->len == before ? idle + 1 : 0;
		if (idle > 10000)
			abort(); /* ends message after message without bytes */
	}
}

static void own_feed(struct fuzz *f, unsigned flags, const uint8_t *data, size_t n)
{
	enum proto_dir dir = flags & 1 ? PROTO_RESP : PROTO_REQ;
	struct side *h = &f->side[dir];
	size_t pass = n < h->skip ? n : (size_t)h->skip;

	if (flags & 2 && h->search)
		own_drop(h, h->len);
	h->skip -= pass;
	if (pass && !h->skip)
		own_apply(f, dir, h->skip_what);
	if (!h->len)
		h->fresh = (flags & 2) && !pass;
	h->call_end = flags & 4;
	h->buf = realloc(h->buf, h->len + n - pass + 1);
	if (n > pass)
		memcpy(h->buf + h->len, data + pass, n - pass);
	h->len += n - pass;
	own_work(f, dir, flags & 8);
	if (flags & 8 && !h->skip) {
		own_drop(h, h->len);
		h->search = true;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz f = { .p = &protocol_postgres };

	if (!size)
		return 0;
	if (data[0] & 128)
		return fuzz_protocol(f.p, data + 1, size - 1);
	f.p->detect(data, size);
	f.state = calloc(1, f.p->state_size);
	f.p->init(f.state, data[0] & 16);
	f.side[1].search = data[0] & 16;
	while (size >= 3 && !f.left) {
		size_t n = data[1] | (size_t)data[2] << 8;

		n = n < size - 3 ? n : size - 3;
		own_feed(&f, data[0], data + 3, n);
		data += 3 + n;
		size -= 3 + n;
	}
	for (size_t i = 0; i < KEYS_MAX; i++) {
		if (f.pending[i])
			own_describe(&f, f.pending[i], NULL);
		own_message_free(f.pending[i]);
	}
	f.p->fini(f.state);
	for (int dir = 0; dir < 2; dir++) {
		own_message_free(f.side[dir].m);
		free(f.side[dir].buf);
	}
	free(f.state);
	return 0;
}
