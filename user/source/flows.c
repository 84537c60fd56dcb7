// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TCP connections, seen from between the two ends.
 *
 * A flow is found by its two endpoints, in either order. It begins SYN_ONLY (nobody is told),
 * becomes LIVE with a SYN-ACK, with bytes or with the client's acknowledgement, and DEAD after both
 * ends' FIN or one end's RST. Dead flows are remembered for a while: what still comes of them is
 * late, not a new connection. Direction OUT is client to server.
 *
 * Ends are held back. A capture is not in the order of the wire: segments overtake each other, and
 * are sent again. The FIN has a sequence number as bytes have; its direction ends when all bytes
 * before it were seen. Bytes that the capture lost never come, so there are two time limits: short
 * once the receiver acknowledged the FIN (it has the bytes: only shuffling inside the capture can
 * still bring them), long otherwise. RST is treated alike.
 *
 * Sequence numbers are compared modulo 2^32: a is after b if (int32_t)(a - b) > 0.
 */
#include "flows.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../lib/list.h"
#include "../lib/table.h"

#define HOLD_LONG 5000000000ull /* ns of capture time: covers the usual retransmission time-outs */
#define HOLD_SHORT 200000000ull

/*
 * Farther than this from the bytes seen before, it is another connection whose beginning and whose
 * predecessor's end were lost: nobody sends again what lies 64 MiB back, and no window is larger
 * than 1 GiB (RFC 7323 2.3).
 */
#define FAR_BEHIND (64 << 20)
#define FAR_AHEAD (1 << 30)

/* Runs of bytes beyond a hole that are remembered. */
#define AHEAD_MAX 6

enum flow_state { SYN_ONLY, LIVE, DEAD };

enum todo { TODO_OPEN = 1, TODO_DATA = 2, TODO_END_OUT = 4, TODO_END_IN = 8, TODO_CLOSE = 16 };

struct run {
	uint32_t from, to;
};

/* One direction, named after what flows in it. */
struct half {
	uint32_t next; /* all before was seen, or was before our time */
	uint32_t isn;
	uint32_t fin; /* sequence number of the end */
	uint32_t rst;
	uint32_t acked; /* the other end has all before this */
	bool known;     /* next is set */
	bool seen; /* bytes were seen; until then `next` is only what the other end acknowledged */
	bool has_isn;
	bool has_fin, fin_told;
	bool has_rst;
	bool has_acked;
	uint8_t n_ahead;
	struct run ahead[AHEAD_MAX];
};

struct flow {
	struct list order; /* in flows.live or flows.aside: longest idle first */
	struct list busy;  /* in flows.busy: has something to do */
	struct list held;  /* in flows.held_*: an end is held back */
	struct flow *same_key;
	uint64_t key;
	uint64_t conn;  /* 0 until LIVE */
	uint64_t start; /* time of the first SYN */
	uint64_t due;   /* when what is held back is told anyway */
	struct weft_addr client, server;
	struct half half[2]; /* by enum weft_dir */
	uint8_t state;
	uint8_t todo;
	bool preopen;
	bool held_short; /* in which list `held` is */
	bool forgotten;  /* out of the table: free after the last step */
};

struct flows {
	struct table table; /* key to chain of flows */
	struct list live, aside;
	size_t n_live, n_aside;
	struct list busy;
	struct list held_short, held_long; /* each in order of `due` */
	enum weft_dir data_dir;
	uint64_t now;
	uint64_t last_conn;
	uint64_t seed;
	uint64_t *skipped;
};

static bool after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

/* Table and lists */

static uint64_t addr_hash(uint64_t seed, const struct weft_addr *a)
{
	uint64_t half[2];

	memcpy(half, a->ip, sizeof(half));
	return table__mix(table__mix(table__mix(seed, half[0]), half[1]),
			  (uint64_t)a->port << 16 | a->family);
}

/*
 * The same for both directions. Seeded, so that no capture can be made to put all flows into one
 * chain.
 */
static uint64_t key_of(const struct flows *fs, const struct weft_addr *a, const struct weft_addr *b)
{
	return table__mix(fs->seed, addr_hash(fs->seed, a) + addr_hash(fs->seed, b));
}

static bool addr_eq(const struct weft_addr *a, const struct weft_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static struct flow *find(struct flows *fs, const struct segment *seg, enum weft_dir *dir)
{
	struct flow *f = table__get(&fs->table, key_of(fs, &seg->src, &seg->dst));

	for (; f; f = f->same_key) {
		*dir = addr_eq(&f->client, &seg->src) ? WEFT_OUT : WEFT_IN;
		if (*dir == WEFT_OUT && addr_eq(&f->server, &seg->dst))
			return f;
		if (*dir == WEFT_IN && addr_eq(&f->server, &seg->src) &&
		    addr_eq(&f->client, &seg->dst))
			return f;
	}
	return NULL;
}

static const uint8_t todo_end[2] = { [WEFT_OUT] = TODO_END_OUT, [WEFT_IN] = TODO_END_IN };

static void set_busy(struct flows *fs, struct flow *f, unsigned todo)
{
	f->todo |= (uint8_t)todo;
	if (list__empty(&f->busy))
		list__append(&fs->busy, &f->busy);
}

/* Out of the table and all orders; the memory goes at once, or with its last step. */
static void forget(struct flows *fs, struct flow *f)
{
	struct flow *first = table__take(&fs->table, f->key);

	if (first == f) {
		first = f->same_key;
	} else {
		struct flow *prev = first;

		while (prev->same_key != f)
			prev = prev->same_key;
		prev->same_key = f->same_key;
	}
	/* Can't fail: the table had room for this key a moment ago, and shrinks only after. */
	if (first)
		(void)table__put(&fs->table, f->key, first);
	list__remove(&f->order);
	list__remove(&f->held);
	if (f->state == LIVE)
		fs->n_live--;
	else
		fs->n_aside--;
	f->forgotten = true;
	if (list__empty(&f->busy))
		free(f);
}

static void tell_ends(struct flows *fs, struct flow *f)
{
	for (int d = 0; d < 2; d++) {
		if (f->half[d].has_fin && !f->half[d].fin_told) {
			f->half[d].fin_told = true;
			set_busy(fs, f, todo_end[d]);
		}
	}
}

static void set_aside(struct flows *fs, struct flow *f)
{
	list__remove(&f->order);
	list__append(&fs->aside, &f->order);
	fs->n_aside++;
}

/* LIVE becomes DEAD. */
static void close_flow(struct flows *fs, struct flow *f)
{
	tell_ends(fs, f);
	set_busy(fs, f, TODO_CLOSE);
	list__remove(&f->held);
	fs->n_live--;
	f->state = DEAD;
	set_aside(fs, f);
}

static void drop(struct flows *fs, struct flow *f)
{
	if (f->state == LIVE)
		close_flow(fs, f);
	forget(fs, f);
}

/*
 * The first of an order is the longest idle; the newest is never the first, as the limits are far
 * above 1.
 */
static void keep_limits(struct flows *fs)
{
	if (fs->n_live > FLOWS_MAX) {
		fs->skipped[CAPTURE_IDLE]++;
		drop(fs, LIST_OF(fs->live.next, struct flow, order));
	}
	while (fs->n_aside > FLOWS_ASIDE_MAX)
		drop(fs, LIST_OF(fs->aside.next, struct flow, order));
}

static struct flow *create(struct flows *fs, const struct weft_addr *client,
			   const struct weft_addr *server)
{
	struct flow *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->key = key_of(fs, client, server);
	f->client = *client;
	f->server = *server;
	f->state = SYN_ONLY;
	list__init(&f->order);
	list__init(&f->busy);
	list__init(&f->held);
	f->same_key = table__get(&fs->table, f->key);
	if (!table__put(&fs->table, f->key, f)) {
		free(f);
		return NULL;
	}
	set_aside(fs, f);
	keep_limits(fs);
	return f;
}

/* SYN_ONLY becomes LIVE. */
static void go_live(struct flows *fs, struct flow *f)
{
	if (f->state != SYN_ONLY)
		return;
	f->state = LIVE;
	f->conn = ++fs->last_conn;
	fs->n_aside--;
	fs->n_live++;
	list__remove(&f->order);
	list__append(&fs->live, &f->order);
	set_busy(fs, f, TODO_OPEN);
	keep_limits(fs);
}

static void touch(struct flows *fs, struct flow *f)
{
	list__remove(&f->order);
	list__append(f->state == LIVE ? &fs->live : &fs->aside, &f->order);
}

/* What was seen of one direction */

static void absorb(struct half *h)
{
	for (unsigned i = 0; i < h->n_ahead;) {
		struct run r = h->ahead[i];

		if (after(r.from, h->next)) {
			i++;
			continue;
		}
		if (after(r.to, h->next))
			h->next = r.to;
		h->ahead[i] = h->ahead[--h->n_ahead];
		i = 0;
	}
}

/* The hole before the nearest run is given up: its bytes are lost. */
static void jump_hole(struct half *h)
{
	unsigned near = 0;

	for (unsigned i = 1; i < h->n_ahead; i++)
		if (after(h->ahead[near].from, h->ahead[i].from))
			near = i;
	h->next = h->ahead[near].from;
	absorb(h);
}

static void saw(struct half *h, uint32_t from, uint32_t to)
{
	if (h->n_ahead == AHEAD_MAX && after(from, h->next))
		jump_hole(h);
	if (!after(from, h->next)) {
		if (after(to, h->next))
			h->next = to;
		absorb(h);
		return;
	}
	for (unsigned i = 0; i < h->n_ahead; i++) {
		struct run *r = &h->ahead[i];

		if (after(from, r->to) || after(r->from, to))
			continue;
		if (after(r->from, from))
			r->from = from;
		if (after(to, r->to))
			r->to = to;
		return;
	}
	h->ahead[h->n_ahead++] = (struct run){ from, to };
}

static bool end_reached(const struct half *h, uint32_t end)
{
	return !h->known || !after(end, h->next);
}

/* Ends */

static void hold(struct flows *fs, struct flow *f, bool acknowledged)
{
	list__remove(&f->held);
	f->held_short = acknowledged;
	f->due = fs->now + (acknowledged ? HOLD_SHORT : HOLD_LONG);
	list__append(acknowledged ? &fs->held_short : &fs->held_long, &f->held);
}

/*
 * Tells the ends whose bytes are all there, and holds the others. `progress`: the wait for bytes
 * was not in vain.
 */
static void check_ends(struct flows *fs, struct flow *f, bool progress)
{
	bool waiting = false, reset = false, acknowledged = true;

	for (int d = 0; d < 2; d++) {
		struct half *h = &f->half[d];

		if (h->has_fin && !h->fin_told && end_reached(h, h->fin)) {
			h->fin_told = true;
			set_busy(fs, f, todo_end[d]);
		} else if (h->has_fin && !h->fin_told) {
			waiting = true;
			acknowledged = acknowledged && h->has_acked && after(h->acked, h->fin);
		}
		if (h->has_rst && end_reached(h, h->rst)) {
			reset = true;
		} else if (h->has_rst) {
			waiting = true;
			acknowledged = false;
		}
	}
	if (reset || (f->half[0].fin_told && f->half[1].fin_told))
		close_flow(fs, f);
	else if (!waiting)
		list__remove(&f->held);
	else if (list__empty(&f->held) || progress || acknowledged != f->held_short)
		hold(fs, f, acknowledged);
}

bool flows__overdue(struct flows *fs, uint64_t now)
{
	struct list *orders[2] = { &fs->held_short, &fs->held_long };

	for (int i = 0; i < 2; i++) {
		struct flow *f = LIST_OF(orders[i]->next, struct flow, held);

		if (list__empty(orders[i]) || f->due > now)
			continue;
		list__remove(&f->held);
		tell_ends(fs, f);
		if (f->half[0].has_rst || f->half[1].has_rst ||
		    (f->half[0].fin_told && f->half[1].fin_told))
			close_flow(fs, f);
		return true;
	}
	return false;
}

/* Segments */

/*
 * Mid-connection: servers listen on low ports, clients get high ones. The protocol engine corrects
 * a wrong guess.
 */
static struct flow *create_by_guess(struct flows *fs, const struct segment *seg)
{
	bool from_client = seg->dst.port <= seg->src.port;
	struct flow *f = from_client ? create(fs, &seg->src, &seg->dst)
				     : create(fs, &seg->dst, &seg->src);

	if (f)
		f->preopen = true;
	return f;
}

/* Another connection with the same endpoints, whose handshake was not seen. */
static struct flow *begin_again(struct flows *fs, struct flow *old)
{
	struct weft_addr client = old->client, server = old->server;

	drop(fs, old);
	struct flow *f = create(fs, &client, &server);

	if (f)
		f->preopen = true;
	return f;
}

/* A SYN that comes after the bytes it precedes: the capture shuffled them. */
static bool syn_of_these_bytes(const struct half *h, uint32_t isn)
{
	return !h->known || h->next - (isn + 1) < (1 << 20);
}

/* SYN or SYN-ACK. Returns the connection it belongs to; NULL: it belongs to none. */
static struct flow *on_syn(struct flows *fs, struct flow *f, enum weft_dir *dir,
			   const struct segment *seg)
{
	bool ack = seg->flags & TCP_ACK;

	if (f) {
		struct half *h = &f->half[*dir], *back = &f->half[!*dir];

		/*
		 * The answer to an earlier attempt. With fast open it may acknowledge bytes. RFC
		 * 7413 3
		 */
		if (f->state == SYN_ONLY && ack && back->has_isn &&
		    seg->ack - (back->isn + 1) > 0xffff)
			return NULL;
		if (h->has_isn ? h->isn != seg->seq : !syn_of_these_bytes(h, seg->seq)) {
			drop(fs, f);
			f = NULL;
		}
	}
	if (!f) {
		*dir = ack ? WEFT_IN : WEFT_OUT;
		f = ack ? create(fs, &seg->dst, &seg->src) : create(fs, &seg->src, &seg->dst);
		if (!f)
			return NULL;
		f->start = ack ? 0 : fs->now;
	}
	struct half *h = &f->half[*dir];

	h->has_isn = true;
	h->isn = seg->seq;
	if (!h->known)
		h->next = seg->seq + 1;
	h->known = true;
	if (ack || seg->len)
		go_live(fs, f);
	return f;
}

static void on_reset(struct flows *fs, struct flow *f, enum weft_dir dir, const struct segment *seg)
{
	if (f->state == SYN_ONLY) { /* refused: it never was a connection */
		forget(fs, f);
	} else if (f->state == LIVE) {
		f->half[dir].has_rst = true;
		f->half[dir].rst = seg->seq;
		check_ends(fs, f, false);
	}
}

static bool elsewhere(const struct flow *f, const struct half *h, uint32_t from)
{
	int32_t distance = (int32_t)(from - h->next);

	if (!h->known || (f->preopen && !h->seen))
		return false;
	return distance < -FAR_BEHIND || distance > FAR_AHEAD;
}

/*
 * Who resets a connection sends nothing after it: if bytes follow, it was none, but somebody else's
 * forgery.
 */
static bool outlived_reset(const struct half *h, uint32_t from)
{
	return h->has_rst && !after(h->next, from);
}

/* The live connection to which a segment without SYN and RST belongs, NULL if none. */
static struct flow *flow_of(struct flows *fs, struct flow *f, enum weft_dir *dir,
			    const struct segment *seg)
{
	if (!f) {
		if (!seg->len)
			return NULL;
		f = create_by_guess(fs, seg);
		if (f)
			*dir = addr_eq(&f->client, &seg->src) ? WEFT_OUT : WEFT_IN;
	} else if (seg->len) {
		struct half *h = &f->half[*dir];
		bool other = elsewhere(f, h, seg->seq);

		if (f->state == DEAD && !other && !outlived_reset(h, seg->seq)) {
			fs->skipped[CAPTURE_LATE]++;
			return NULL;
		}
		if (f->state == DEAD || other)
			f = begin_again(fs, f);
	} else if (f->state == DEAD) {
		return NULL;
	}
	if (!f)
		fs->skipped[CAPTURE_NO_MEMORY]++;
	else if (seg->len || seg->flags & TCP_FIN || (*dir == WEFT_OUT && seg->flags & TCP_ACK))
		go_live(fs, f);
	return f;
}

static void on_bytes(struct flows *fs, struct flow *f, enum weft_dir dir, const struct segment *seg)
{
	struct half *h = &f->half[dir], *back = &f->half[!dir];
	uint32_t from = seg->seq + (seg->flags & TCP_SYN ? 1 : 0), to = from + seg->len;
	bool waited = h->has_fin && !h->fin_told;

	if (seg->flags & TCP_ACK) {
		if (!back->known)
			back->next = seg->ack;
		if (!back->has_acked || after(seg->ack, back->acked))
			back->acked = seg->ack;
		back->known = back->has_acked = true;
	}
	if ((seg->len || seg->flags & TCP_FIN) && (!h->known || (f->preopen && !h->seen))) {
		h->next = from;
		h->known = true;
	}
	if (seg->len) {
		h->seen = true;
		saw(h, from, to);
		fs->data_dir = dir;
		set_busy(fs, f, TODO_DATA);
	}
	if (seg->flags & TCP_FIN && !h->has_fin) {
		h->has_fin = true;
		h->fin = to;
	}
	check_ends(fs, f, waited && seg->len);
}

void flows__segment(struct flows *fs, const struct segment *seg, uint64_t now)
{
	enum weft_dir dir = WEFT_OUT;
	struct flow *f = find(fs, seg, &dir);

	fs->now = now;
	if (f)
		touch(fs, f);
	if (seg->flags & TCP_RST) {
		if (f)
			on_reset(fs, f, dir, seg);
		return;
	}
	f = seg->flags & TCP_SYN ? on_syn(fs, f, &dir, seg) : flow_of(fs, f, &dir, seg);
	if (f && f->state == LIVE)
		on_bytes(fs, f, dir, seg);
}

bool flows__finish(struct flows *fs)
{
	if (list__empty(&fs->live))
		return false;
	drop(fs, LIST_OF(fs->live.next, struct flow, order));
	return true;
}

/* Steps */

static void describe(const struct flows *fs, const struct flow *f, unsigned what,
		     struct flow_step *out)
{
	*out = (struct flow_step){ .conn = f->conn, .client = &f->client, .server = &f->server };
	switch (what) {
	case TODO_OPEN:
		out->kind = WEFT_EV_OPEN;
		out->preopen = f->preopen;
		out->start = f->start;
		out->pos_known = f->half[WEFT_OUT].has_isn && f->half[WEFT_IN].has_isn;
		for (int dir = 0; dir < 2; dir++)
			out->pos[dir] = f->half[dir].isn + 1;
		break;
	case TODO_DATA:
		out->kind = WEFT_EV_DATA;
		out->dir = fs->data_dir;
		break;
	case TODO_END_OUT:
		out->kind = WEFT_EV_SHUT;
		out->dir = WEFT_OUT;
		out->off = f->half[WEFT_OUT].fin;
		break;
	case TODO_END_IN:
		out->kind = WEFT_EV_EOF;
		out->dir = WEFT_IN;
		out->off = f->half[WEFT_IN].fin;
		break;
	default: out->kind = WEFT_EV_CLOSE; break;
	}
}

/*
 * Within a connection in the order of the bits of enum todo; a connection that makes room for
 * another comes before it.
 */
bool flows__step(struct flows *fs, struct flow_step *out)
{
	LIST_EACH (it, next, &fs->busy) {
		struct flow *f = LIST_OF(it, struct flow, busy);
		unsigned what = f->todo & -(unsigned)f->todo;

		if (what) {
			f->todo &= (uint8_t)~what;
			describe(fs, f, what, out);
			return true;
		}
		list__remove(&f->busy);
		if (f->forgotten)
			free(f);
	}
	return false;
}

struct flows *flows__new(uint64_t *skipped)
{
	struct flows *fs = calloc(1, sizeof(*fs));

	if (!fs)
		return NULL;
	list__init(&fs->live);
	list__init(&fs->aside);
	list__init(&fs->busy);
	list__init(&fs->held_short);
	list__init(&fs->held_long);
	fs->skipped = skipped;
	/* A weaker seed than wished for is no reason to stop. */
	if (getrandom(&fs->seed, sizeof(fs->seed), GRND_NONBLOCK) < 0)
		fs->seed = (uintptr_t)fs;
	return fs;
}

void flows__free(struct flows *fs)
{
	struct flow_step step;

	while (flows__finish(fs))
		;
	while (!list__empty(&fs->aside))
		drop(fs, LIST_OF(fs->aside.next, struct flow, order));
	while (flows__step(fs, &step))
		;
	table__free(&fs->table);
	free(fs);
}
