// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The same ciphertext in a session's hands and on a socket.
 *
 * What is compared is the beginning of a record's body (the header is the same everywhere): 20
 * bytes. Of an encrypted record they are random; with TLS 1.2 the first 8 may be a counter, then
 * still 12 are. Of a handshake in clear only the hellos can be used, which begin with a random
 * number: 14 of their first 20 bytes. Others, like certificates, are the same on many connections.
 * What kind of record it is, is certain on the socket's side, where the header was seen; a session
 * may take in the body alone. Either side may come first: both are kept, the oldest make room.
 *
 * If two connections show the same bytes (a relay inside the process), neither is taken.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define PRINT_BYTES 20
#define PRINTS_MAX 8192

enum side { ON_SOCKET, IN_SESSION };

struct print {
	uint64_t key;
	struct list by_age;
	uint32_t pid;
	uint8_t side;  /* enum side */
	uint8_t dir;   /* enum weft_dir */
	uint64_t conn; /* 0: of several */
	uint8_t bytes[PRINT_BYTES];
};

static struct print print_of(enum side side, enum weft_dir dir, uint32_t pid, uint64_t conn,
			     const uint8_t *body)
{
	struct print p = { .pid = pid, .side = (uint8_t)side, .dir = (uint8_t)dir, .conn = conn };
	uint64_t word[3] = { 0 };

	memcpy(p.bytes, body, PRINT_BYTES);
	memcpy(word, body, PRINT_BYTES);
	p.key = table__mix((uint64_t)pid << 2 | (uint64_t)dir << 1 | (uint64_t)side, word[0]);
	p.key = table__mix(table__mix(p.key, word[1]), word[2]);
	return p;
}

static void forget(struct sessions *ss, struct print *p)
{
	table__take(&ss->prints, p->key);
	list__remove(&p->by_age);
	free(p);
}

static bool same(const struct print *a, const struct print *b)
{
	return a->pid == b->pid && a->side == b->side && a->dir == b->dir &&
	       !memcmp(a->bytes, b->bytes, PRINT_BYTES);
}

/* False: others show it as well, so it says nothing (or there is no memory for it). */
static bool keep(struct sessions *ss, const struct print *what)
{
	struct print *p = table__get(&ss->prints, what->key);

	if (p && same(p, what)) {
		if (p->conn != what->conn)
			p->conn = 0;
		return p->conn;
	}
	if (p)
		forget(ss, p);
	if (ss->prints.used >= PRINTS_MAX)
		forget(ss, LIST_OF(ss->prints_by_age.next, struct print, by_age));
	p = malloc(sizeof(*p));
	if (!p)
		return false;
	*p = *what;
	if (!table__put(&ss->prints, p->key, p)) {
		free(p);
		return false;
	}
	list__append(&ss->prints_by_age, &p->by_age);
	return true;
}

/* The connection whose print on the other side is the same; NULL: none, or several. */
static struct conn *match(struct conns *cs, const struct print *mine)
{
	struct print other = print_of(mine->side == ON_SOCKET ? IN_SESSION : ON_SOCKET, mine->dir,
				      mine->pid, 0, mine->bytes);
	const struct print *p = table__get(&cs->tls.prints, other.key);

	return p && p->conn && same(p, &other) ? table__get(&cs->by_id, p->conn) : NULL;
}

/* A session or a carrier shows this body. */
static void show(struct conns *cs, struct conn *c, enum side side, enum weft_dir dir,
		 const uint8_t *body)
{
	struct print p = print_of(side, dir, c->session ? c->open.h.pid : c->pid, c->id, body);
	struct conn *other;

	/* Text is not encrypted, whatever it is. */
	if (tls_record__is_text(body, PRINT_BYTES) || !keep(&cs->tls, &p))
		return;
	other = match(cs, &p);
	if (!other)
		return;
	struct conn *session = side == IN_SESSION ? c : other;
	struct conn *carrier = side == IN_SESSION ? other : c;

	if (!session->session || !session__looks(session->session) || !carrier->tls)
		return;
	if (session__may_ride(session->session, carrier))
		session__link(cs, session->session, carrier, &cs->tls.counts.by_bytes);
	else if (carrier->rides)
		cs->tls.counts.contradicted++;
}

/* "HelloRetryRequest": the random number of such a ServerHello is always the same. */
static bool hello_retry(const uint8_t *body)
{
	static const uint8_t retry[8] = { 0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11 };

	return memcmp(body + 6, retry, sizeof(retry)) == 0;
}

/* Is there no other record whose body begins like this one? */
static bool unique(enum tls_type type, const uint8_t *body, size_t n)
{
	if (n < PRINT_BYTES)
		return false;
	if (type == TLS_APPLICATION_DATA)
		return true;
	return type == TLS_HANDSHAKE && body[1] == 0 && body[4] == 3 &&
	       (body[0] == TLS_CLIENT_HELLO || (body[0] == TLS_SERVER_HELLO && !hello_retry(body)));
}

/*
 * Where in this call a header is looked for: where the record before says that it ends, else at
 * the beginning. n: not in what was captured of the call.
 */
static size_t first_header(struct conn *c, const struct weft_data *d)
{
	uint32_t ahead = c->tls->at[d->dir].next - d->off;

	if (!c->tls->at[d->dir].known)
		return 0;
	if (ahead < d->head)
		return ahead;
	if (ahead < d->len || ahead > TLS_BODY_MAX)
		c->tls->at[d->dir].known = false;
	return ahead > TLS_BODY_MAX ? 0 : d->head;
}

void cipher__on_socket(struct conns *cs, struct conn *c, const struct weft_data *d)
{
	const uint8_t *b = d->bytes;
	size_t n = d->head, i;
	struct tls_record r;

	/* The header was read by a call of its own. */
	if (c->tls->at[d->dir].known && c->tls->at[d->dir].body == d->off && !c->rides &&
	    unique(c->tls->at[d->dir].type, b, n))
		show(cs, c, ON_SOCKET, d->dir, b);
	for (i = first_header(c, d); i < n; i += r.len) {
		if (!tls_record__read(b + i, n - i, &r)) {
			c->tls->at[d->dir].known = false;
			return;
		}
		i += TLS_HEADER;
		c->tls->at[d->dir].known = true;
		c->tls->at[d->dir].type = (uint8_t)r.type;
		c->tls->at[d->dir].body = d->off + (uint32_t)i;
		c->tls->at[d->dir].next = d->off + (uint32_t)i + r.len;
		if (!c->rides && r.len >= PRINT_BYTES && unique(r.type, b + i, n - i))
			show(cs, c, ON_SOCKET, d->dir, b + i);
	}
}

void cipher__in_session(struct conns *cs, struct session *s, const struct weft_session *ev)
{
	enum weft_dir dir = ev->what == WEFT_SESSION_OUT ? WEFT_OUT : WEFT_IN;
	const uint8_t *b = ev->bytes;
	size_t n = ev->n, i = 0;
	struct tls_record r;

	s->ts = ev->h.ts;
	if (!tls_record__read(b, n, &r)) {
		if (n >= PRINT_BYTES)
			show(cs, s->conn, IN_SESSION, dir, b);
		return;
	}
	for (; i < n && session__looks(s); i += r.len) {
		if (!tls_record__read(b + i, n - i, &r))
			return;
		i += TLS_HEADER;
		if (r.len >= PRINT_BYTES && i <= n && unique(r.type, b + i, n - i))
			show(cs, s->conn, IN_SESSION, dir, b + i);
	}
}

void cipher__free(struct sessions *ss)
{
	while (!list__empty(&ss->prints_by_age))
		forget(ss, LIST_OF(ss->prints_by_age.next, struct print, by_age));
	table__free(&ss->prints);
}
