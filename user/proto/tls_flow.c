// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A connection whose bytes are TLS. Its hellos are read as they come; from then on its bytes are
 * counted and not looked at, but for one thing: where they turn out to be text, the kernel
 * encrypts (kTLS), and what the socket shows is what is said.
 */
#include "../conn/tls_record.h"
#include "flow.h"
#include "tls.h"

#define HELLO_BYTES_MAX (16 * 1024) /* of one direction */
#define HELLO_PIECES_MAX 32         /* of both, until there are no hellos to be hoped for */
#define TEXT_MIN 16

static void drop(struct flow *f, uint64_t events)
{
	balance__drop(f->engine->books, DROP_TLS, events);
}

/* The hello of this direction was read, or won't be. */
static void settle(struct flow *f, enum weft_dir dir)
{
	struct half *h = &f->half[dir];

	h->hello_read = true;
	drop(f, half__consume(h, h->len));
	if (f->half[!dir].hello_read)
		flow__off(f, DROP_TLS);
}

static void read_hello(struct flow *f, enum weft_dir dir, bool whole)
{
	struct half *h = &f->half[dir];
	struct tls_record r;

	if (tls_record__read(h->buf + h->off, h->len, &r) && r.type != TLS_HANDSHAKE) {
		/* Joined in the middle: there are no hellos to come. */
		f->half[!dir].hello_read = true;
		drop(f, half__consume(&f->half[!dir], f->half[!dir].len));
		settle(f, dir);
		return;
	}
	if (tls__hello(h->buf + h->off, h->len, whole, f->conn->tls))
		settle(f, dir);
}

void flow__tls(struct flow *f)
{
	const struct policy_sink *s = &f->engine->policy;

	if (s->tls)
		s->tls(s->ctx, f->conn);
	if (!f->conn->tls) {
		flow__off(f, DROP_TLS);
		return;
	}
	f->phase = FLOW_TLS;
	f->off_reason = DROP_TLS;
	f->misses = 0;
	for (int dir = 0; dir < 2 && f->phase == FLOW_TLS; dir++)
		if (f->half[dir].len)
			read_hello(f, dir, false);
}

void flow__tls_piece(struct flow *f, enum weft_dir dir, const struct piece *p)
{
	struct half *h = &f->half[dir];

	if (!p->data || h->hello_read || h->len + p->len > HELLO_BYTES_MAX ||
	    !half__append(h, p, f->calls, false)) {
		drop(f, p->event_end);
		if (!h->hello_read && h->len)
			read_hello(f, dir, true);
		if (f->phase == FLOW_TLS && !h->hello_read)
			settle(f, dir);
	} else {
		read_hello(f, dir, false);
	}
	if (f->phase == FLOW_TLS && ++f->misses > HELLO_PIECES_MAX)
		flow__off(f, DROP_TLS);
}

bool flow__tls_in_clear(struct flow *f, const struct piece *p)
{
	if (f->off_reason != DROP_TLS || !f->conn->tls || f->conn->rides || !p->data ||
	    !p->call_begin || p->len < TEXT_MIN || !tls_record__is_text(p->data, TEXT_MIN))
		return false;
	f->conn->tls->settled = false;
	for (int dir = 0; dir < 2; dir++)
		f->half[dir].hello_read = false;
	f->phase = FLOW_DETECT;
	f->misses = 0;
	f->last_dir = -1;
	f->whole = false;
	flow__set_policy(f, &conns__initial_policy);
	return true;
}
