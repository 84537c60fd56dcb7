// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The shape of PostgreSQL messages: a type byte, a 32-bit length that counts itself, a body whose
 * inner lengths must add up. The same letters mean different things in the two directions, so a
 * single short message proves little; a body that adds up exactly, or two messages in a row, prove
 * much.
 */
#include <string.h>

#include "postgres.h"

#define FIND_WINDOW 512 /* bytes before a call's end in which its last messages are looked for */

enum shape { SHAPE_BAD = -1, SHAPE_WEAK = 0, SHAPE_STRONG = 1 };

struct body {
	const uint8_t *p;
	size_t n;
};

struct wire_type {
	uint32_t min, max;                   /* of the length field; max 0: no such message */
	enum shape (*check)(struct body b);  /* NULL: its length is all there is to check */
	enum shape (*begins)(struct body b); /* what its first bytes tell, or NULL */
};

static bool take(struct body *b, size_t n)
{
	if (b->n < n)
		return false;
	b->p += n;
	b->n -= n;
	return true;
}

/* A NUL-terminated string; its length without the NUL, or -1. */
static ssize_t take_string(struct body *b)
{
	const uint8_t *nul = b->n ? memchr(b->p, 0, b->n) : NULL;
	ssize_t n;

	if (!nul)
		return -1;
	n = nul - b->p;
	take(b, (size_t)n + 1);
	return n;
}

static bool take_strings(struct body *b, unsigned n)
{
	while (n--) {
		if (take_string(b) < 0)
			return false;
	}
	return true;
}

static bool take_u16(struct body *b, unsigned *v)
{
	if (b->n < 2)
		return false;
	*v = pg__be16(b->p);
	return take(b, 2);
}

/* `n` values: a length and so many bytes each; -1 is NULL. */
static bool take_values(struct body *b, unsigned n)
{
	while (n--) {
		if (b->n < 4)
			return false;
		uint32_t len = pg__be32(b->p);

		take(b, 4);
		if (len != UINT32_MAX && !take(b, len))
			return false;
	}
	return true;
}

/* Format codes: 0 text, 1 binary. */
static bool take_formats(struct body *b)
{
	unsigned n, f;

	if (!take_u16(b, &n))
		return false;
	while (n--) {
		if (!take_u16(b, &f) || f > 1)
			return false;
	}
	return true;
}

static bool is_text(uint8_t c)
{
	return c >= 0x20 || (c >= '\t' && c <= '\r');
}

static bool is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* SQL, as far as it goes: eight characters of text that begin like a statement or a comment. */
static enum shape sql_begins(struct body b)
{
	size_t i = 0, n = b.n < 64 ? b.n : 64;

	for (size_t k = 0; k < n; k++) {
		if (!b.p[k])
			n = k;
		else if (!is_text(b.p[k]))
			return SHAPE_BAD;
	}
	while (i < n && b.p[i] <= ' ')
		i++;
	if (i == n)
		return SHAPE_WEAK;
	if (!is_letter(b.p[i]) && b.p[i] != '(' && b.p[i] != '-' && b.p[i] != '/' && b.p[i] != ';')
		return SHAPE_WEAK;
	return n >= 8 ? SHAPE_STRONG : SHAPE_WEAK;
}

/* ---- requester ---- */

static enum shape check_query(struct body b)
{
	struct body text = b;

	if (take_string(&b) < 0 || b.n)
		return SHAPE_BAD;
	if (text.n == 1)
		return SHAPE_WEAK; /* the empty query */
	return sql_begins(text) == SHAPE_BAD ? SHAPE_BAD : SHAPE_STRONG;
}

static enum shape check_parse(struct body b)
{
	unsigned n;

	if (take_string(&b) < 0 || sql_begins(b) == SHAPE_BAD || take_string(&b) < 0 ||
	    !take_u16(&b, &n))
		return SHAPE_BAD;
	return b.n == n * 4 ? SHAPE_STRONG : SHAPE_BAD;
}

static enum shape parse_begins(struct body b)
{
	return take_string(&b) < 0 ? SHAPE_WEAK : sql_begins(b);
}

static enum shape check_bind(struct body b)
{
	unsigned n;

	if (!take_strings(&b, 2) || !take_formats(&b) || !take_u16(&b, &n) || !take_values(&b, n) ||
	    !take_formats(&b))
		return SHAPE_BAD;
	return b.n ? SHAPE_BAD : SHAPE_STRONG;
}

static enum shape check_execute(struct body b)
{
	return take_string(&b) >= 0 && b.n == 4 ? SHAPE_WEAK : SHAPE_BAD;
}

/* Describe and Close: a statement or a portal */
static enum shape check_target(struct body b)
{
	if (b.p[0] != 'S' && b.p[0] != 'P')
		return SHAPE_BAD;
	take(&b, 1);
	return take_string(&b) >= 0 && !b.n ? SHAPE_WEAK : SHAPE_BAD;
}

/* ---- responder ---- */

static enum shape check_tag(struct body b)
{
	static const char *const tags[] = {
		"SELECT", "INSERT",   "UPDATE",  "DELETE", "BEGIN",   "COMMIT", "ROLLBACK",
		"SET",    "CREATE",   "DROP",    "COPY",   "MERGE",   "FETCH",  "ALTER",
		"SHOW",   "TRUNCATE", "PREPARE", "CLOSE",  "DECLARE",
	};
	struct body text = b;
	ssize_t n = take_string(&b);

	if (n < 0 || b.n)
		return SHAPE_BAD;
	for (ssize_t i = 0; i < n; i++) {
		uint8_t c = text.p[i];

		if (!((c >= 'A' && c <= 'Z') || c == ' ' || (c >= '0' && c <= '9' && i)))
			return SHAPE_BAD;
	}
	for (size_t i = 0; i < sizeof(tags) / sizeof(*tags); i++) {
		size_t len = strlen(tags[i]);

		if ((size_t)n >= len && !memcmp(text.p, tags[i], len) &&
		    (text.p[len] == ' ' || !text.p[len]))
			return SHAPE_STRONG;
	}
	return SHAPE_WEAK;
}

/* ErrorResponse and NoticeResponse: the severity comes first, and always. */
static enum shape check_fields(struct body b)
{
	if (b.p[0] != 'S')
		return SHAPE_BAD;
	while (b.n > 1) {
		if (!is_letter(b.p[0]))
			return SHAPE_BAD;
		take(&b, 1);
		if (take_string(&b) < 0)
			return SHAPE_BAD;
	}
	return b.n == 1 && b.p[0] == 0 ? SHAPE_STRONG : SHAPE_BAD;
}

static enum shape check_columns(struct body b)
{
	unsigned n;

	if (!take_u16(&b, &n))
		return SHAPE_BAD;
	while (n--) {
		if (take_string(&b) < 0 || !take(&b, 18))
			return SHAPE_BAD;
	}
	return b.n ? SHAPE_BAD : SHAPE_STRONG;
}

static enum shape check_row(struct body b)
{
	unsigned n;

	return take_u16(&b, &n) && take_values(&b, n) && !b.n ? SHAPE_WEAK : SHAPE_BAD;
}

static enum shape check_parameters(struct body b)
{
	unsigned n;

	return take_u16(&b, &n) && b.n == n * 4 ? SHAPE_WEAK : SHAPE_BAD;
}

static enum shape check_ready(struct body b)
{
	return b.p[0] == 'I' || b.p[0] == 'T' || b.p[0] == 'E' ? SHAPE_STRONG : SHAPE_BAD;
}

static enum shape check_setting(struct body b)
{
	return b.p[0] && take_strings(&b, 2) && !b.n ? SHAPE_WEAK : SHAPE_BAD;
}

static enum shape check_copy(struct body b)
{
	return b.p[0] <= 1 && take(&b, 1) && take_formats(&b) && !b.n ? SHAPE_WEAK : SHAPE_BAD;
}

static enum shape check_auth(struct body b)
{
	return pg__be32(b.p) <= 12 ? SHAPE_WEAK : SHAPE_BAD;
}

#define SMALL 1024
#define LARGE 0x3fffffff

static const struct wire_type types[2][128] = {
	[PROTO_REQ] = {
		['Q'] = { 5, LARGE, check_query, sql_begins },
		['P'] = { 8, LARGE, check_parse, parse_begins },
		['B'] = { 12, LARGE, check_bind, NULL },
		['E'] = { 9, SMALL, check_execute, NULL },
		['D'] = { 6, SMALL, check_target, NULL },
		['C'] = { 6, SMALL, check_target, NULL },
		['S'] = { 4, 4, NULL, NULL },
		['H'] = { 4, 4, NULL, NULL },
		['X'] = { 4, 4, NULL, NULL },
		['F'] = { 14, LARGE, NULL, NULL },
		['d'] = { 4, LARGE, NULL, NULL },
		['c'] = { 4, 4, NULL, NULL },
		['f'] = { 5, LARGE, NULL, NULL },
		['p'] = { 4, 65536, NULL, NULL },
	},
	[PROTO_RESP] = {
		['1'] = { 4, 4, NULL, NULL },
		['2'] = { 4, 4, NULL, NULL },
		['3'] = { 4, 4, NULL, NULL },
		['n'] = { 4, 4, NULL, NULL },
		['s'] = { 4, 4, NULL, NULL },
		['I'] = { 4, 4, NULL, NULL },
		['c'] = { 4, 4, NULL, NULL },
		['T'] = { 6, LARGE, check_columns, NULL },
		['D'] = { 6, LARGE, check_row, NULL },
		['C'] = { 5, 128, check_tag, NULL },
		['E'] = { 6, LARGE, check_fields, NULL },
		['N'] = { 6, LARGE, check_fields, NULL },
		['Z'] = { 5, 5, check_ready, NULL },
		['t'] = { 6, 6 + 4 * 65535, check_parameters, NULL },
		['S'] = { 6, LARGE, check_setting, NULL },
		['A'] = { 10, LARGE, NULL, NULL },
		['R'] = { 8, 65536, check_auth, NULL },
		['K'] = { 8, 264, NULL, NULL },
		['v'] = { 12, 65536, NULL, NULL },
		['G'] = { 7, 7 + 2 * 65535, check_copy, NULL },
		['H'] = { 7, 7 + 2 * 65535, check_copy, NULL },
		['W'] = { 7, 7 + 2 * 65535, check_copy, NULL },
		['V'] = { 8, LARGE, NULL, NULL },
		['d'] = { 4, LARGE, NULL, NULL },
	},
};

int pg_wire__check_header(enum proto_dir dir, const uint8_t *p, size_t n)
{
	if (p[0] >= 128 || !types[dir][p[0]].max)
		return -1;
	if (n >= 2 && p[1] > LARGE >> 24)
		return -1;
	if (n < 5)
		return 0;
	uint32_t len = pg__be32(p + 1);

	return len >= types[dir][p[0]].min && len <= types[dir][p[0]].max ? 0 : -1;
}

/* One message: its size if it is whole, 0 if it may go on, -1 if it is none. */
static ssize_t check_message(enum proto_dir dir, const uint8_t *p, size_t n, bool *strong)
{
	const struct wire_type *t;
	enum shape shape = SHAPE_WEAK;
	uint32_t len;

	if (pg_wire__check_header(dir, p, n))
		return -1;
	if (n < 5)
		return 0;
	t = &types[dir][p[0]];
	len = pg__be32(p + 1);
	if (n - 1 < len) {
		if (t->begins)
			shape = t->begins((struct body){ p + 5, n - 5 });
	} else if (t->check) {
		shape = t->check((struct body){ p + 5, len - 4 });
	}
	if (shape == SHAPE_BAD)
		return -1;
	*strong |= shape == SHAPE_STRONG;
	return n - 1 < len ? 0 : (ssize_t)len + 1;
}

static enum detect_result judge(enum proto_dir dir, const uint8_t *p, size_t n)
{
	bool strong = false;
	unsigned whole = 0;

	while (n && whole < 16) {
		ssize_t r = check_message(dir, p, n, &strong);

		if (r < 0)
			return DETECT_NO;
		if (r == 0)
			break;
		whole++;
		p += r;
		n -= (size_t)r;
	}
	if (strong || whole >= 2)
		return dir == PROTO_REQ ? DETECT_REQ : DETECT_RESP;
	if (whole)
		return dir == PROTO_REQ ? DETECT_MAYBE_REQ : DETECT_MAYBE_RESP;
	return DETECT_MORE;
}

/* StartupMessage 3.x, SSLRequest, GSSENCRequest, CancelRequest: no type byte. */
static enum detect_result judge_startup(const uint8_t *p, size_t n)
{
	static const char known[] = { 0x04, (char)0xd2, 0x16 }; /* 1234 << 16 | 5678.. */
	uint32_t len;

	if ((n > 1 && p[1]) || (n > 2 && p[2] > 0x27))
		return DETECT_NO;
	if (n < 4)
		return DETECT_MORE;
	len = pg__be32(p);
	if (len < 8 || len > 10000)
		return DETECT_NO;
	if (p[n > 4 ? 4 : 0] == 0x04) {
		if (memcmp(p + 4, known, n - 4 < 3 ? n - 4 : 3) != 0)
			return DETECT_NO;
		if (n < 8)
			return DETECT_MORE;
		if ((p[7] == 0x2f || p[7] == 0x30) && len == 8)
			return DETECT_REQ;
		return p[7] == 0x2e && len >= 16 ? DETECT_REQ : DETECT_NO;
	}
	/*
	 * 3.x; then a parameter's name, which tells it from other protocols with a length in front.
	 */
	if ((n > 4 && p[4]) || (n > 5 && p[5] != 3))
		return DETECT_NO;
	if (n < 12)
		return n > 8 && !is_letter(p[8]) && p[8] != '_' ? DETECT_NO : DETECT_MORE;
	for (size_t i = 8; i < 12; i++) {
		if (!is_letter(p[i]) && p[i] != '_')
			return DETECT_NO;
	}
	return DETECT_REQ;
}

static int rank(enum detect_result r)
{
	return r == DETECT_NO                                    ? 0
	       : r == DETECT_MORE                                ? 1
	       : r == DETECT_MAYBE_REQ || r == DETECT_MAYBE_RESP ? 2
								 : 3;
}

enum detect_result pg_wire__detect(const uint8_t *p, size_t n)
{
	if (p[0] == 0)
		return judge_startup(p, n);
	enum detect_result req = judge(PROTO_REQ, p, n), resp = judge(PROTO_RESP, p, n);

	if (rank(req) == rank(resp))
		return rank(req) == 0 ? DETECT_NO : DETECT_MORE;
	return rank(req) > rank(resp) ? req : resp;
}

/* Whole messages from p to exactly p + n? `last`: type of the last one. */
static bool is_run(enum proto_dir dir, const uint8_t *p, size_t n, uint8_t *last)
{
	bool strong = false;

	while (n) {
		ssize_t r = check_message(dir, p, n, &strong);

		if (r <= 0)
			return false;
		*last = p[0];
		p += r;
		n -= (size_t)r;
	}
	return true;
}

ssize_t pg_wire__find_end(enum proto_dir dir, const uint8_t *p, size_t n)
{
	/*
	 * What a run may begin with: rows and copied data can hold anything, a run is not searched
	 * from them.
	 */
	const char *first = dir == PROTO_REQ ? "PBDECQS" : "CEIsZN3";
	const char *end = dir == PROTO_REQ ? "SHQX" : "Z";

	for (size_t i = n > FIND_WINDOW ? n - FIND_WINDOW : 0; i + 5 <= n; i++) {
		uint8_t last = 0;

		if (p[i] && strchr(first, p[i]) && is_run(dir, p + i, n - i, &last) &&
		    strchr(end, last))
			return (ssize_t)i;
	}
	return -1;
}
