// SPDX-License-Identifier: GPL-2.0-or-later
#include "traceparent.h"

#define TRACEPARENT_LEN 55 /* 00-<32>-<16>-<2> */
#define TRACESTATE_MEMBERS_MAX 32
#define TRACESTATE_KEY_MAX 256
#define TRACESTATE_VALUE_MAX 256

/* Lowercase only: uppercase is invalid (Trace Context, 3.2.2). */
static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

/* n bytes from 2n digits. */
static bool hex_bytes(const char *p, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int hi = hex_digit(p[2 * i]), lo = hex_digit(p[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

bool traceparent__parse(struct slice value, uint8_t trace_id[16], uint8_t span_id[8],
			uint8_t *flags)
{
	struct slice s = slice__trim(value);
	uint8_t version, trace[16], span[8], bits;

	if (s.n < TRACEPARENT_LEN || s.p[2] != '-' || s.p[35] != '-' || s.p[52] != '-')
		return false;
	if (!hex_bytes(s.p, &version, 1) || !hex_bytes(s.p + 3, trace, 16) ||
	    !hex_bytes(s.p + 36, span, 8) || !hex_bytes(s.p + 53, &bits, 1))
		return false;
	if (version == 0xff || (version == 0 && s.n != TRACEPARENT_LEN))
		return false;
	/* A version to come may add fields, but only after another dash. */
	if (s.n > TRACEPARENT_LEN && s.p[TRACEPARENT_LEN] != '-')
		return false;
	if (all_zero(trace, sizeof(trace)) || all_zero(span, sizeof(span)))
		return false;
	memcpy(trace_id, trace, sizeof(trace));
	memcpy(span_id, span, sizeof(span));
	*flags = bits & (TRACE_FLAG_SAMPLED | TRACE_FLAG_RANDOM);
	return true;
}

static bool key_char(char c, bool first)
{
	if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
		return true;
	return !first && (c == '_' || c == '-' || c == '*' || c == '/' || c == '@');
}

/* A member without white space around it: is it key=value? *key gets the key. */
static bool member_valid(struct slice m, struct slice *key)
{
	size_t k = 0;

	while (k < m.n && m.p[k] != '=') {
		if (k == TRACESTATE_KEY_MAX || !key_char(m.p[k], k == 0))
			return false;
		k++;
	}
	if (k == 0 || k == m.n)
		return false;
	*key = slice__from(m.p, k);
	struct slice v = slice__from(m.p + k + 1, m.n - k - 1);

	/* It can't end in a space: the member was trimmed. */
	if (v.n == 0 || v.n > TRACESTATE_VALUE_MAX)
		return false;
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] < 0x20 || v.p[i] > 0x7e || v.p[i] == ',' || v.p[i] == '=')
			return false;
	return true;
}

struct members {
	unsigned n;
	struct slice member[TRACESTATE_MEMBERS_MAX], key[TRACESTATE_MEMBERS_MAX];
	bool twice; /* a key came twice; the later one was left out */
};

static bool has_key(const struct members *m, struct slice key)
{
	for (unsigned i = 0; i < m->n; i++)
		if (slice__eq(m->key[i], key))
			return true;
	return false;
}

/* The members of a list; false if one of them is broken or there are too many. */
static bool split(struct slice value, struct members *m)
{
	unsigned seen = 0;

	m->n = 0;
	m->twice = false;
	while (value.n) {
		const char *comma = memchr(value.p, ',', value.n);
		size_t len = comma ? (size_t)(comma - value.p) : value.n;
		struct slice member = slice__trim(slice__from(value.p, len)), key;
		size_t step = comma ? len + 1 : len;

		value = slice__from(value.p + step, value.n - step);
		if (member.n == 0)
			continue;
		if (++seen > TRACESTATE_MEMBERS_MAX || !member_valid(member, &key))
			return false;
		if (has_key(m, key)) {
			m->twice = true;
			continue;
		}
		m->member[m->n] = member;
		m->key[m->n++] = key;
	}
	return true;
}

bool tracestate__valid(struct slice value)
{
	struct members m;

	return split(value, &m) && m.n > 0 && !m.twice;
}

struct slice tracestate__normalise(struct slice value, struct arena *a)
{
	struct members m;
	size_t n = 0;

	if (!split(value, &m) || m.n == 0)
		return (struct slice){ "", 0 };
	for (unsigned i = 0; i < m.n; i++)
		n += m.member[i].n + 1;
	char *p = arena__alloc(a, n); /* the last comma's place is the NUL's */

	if (!p)
		return (struct slice){ "", 0 };
	struct slice out = { p, n - 1 };

	for (unsigned i = 0; i < m.n; i++) {
		if (i)
			*p++ = ',';
		memcpy(p, m.member[i].p, m.member[i].n);
		p += m.member[i].n;
	}
	return out;
}
