// SPDX-License-Identifier: GPL-2.0-or-later
#include "context.h"

#include "../lib/hex.h"
#include "traceparent.h"

/*
 * A number of 1 to 2n hex digits into n bytes, padded with zeros on the left (shorter ids of older
 * tracers). False if it is none, or zero.
 */
static bool id(struct slice s, uint8_t *out, size_t n)
{
	uint8_t any = 0;

	if (!s.n || s.n > 2 * n)
		return false;
	memset(out, 0, n);
	for (size_t i = 0; i < s.n; i++) {
		size_t place = s.n - 1 - i;
		int digit = hex__digit(s.p[i]);

		if (digit < 0)
			return false;
		out[n - 1 - place / 2] |= (uint8_t)(digit << (place % 2 * 4));
		any |= (uint8_t)digit;
	}
	return any;
}

/* What is before the next `c`, which is stepped over with it. */
static struct slice part(struct slice *rest, char c)
{
	struct slice p = slice__upto(*rest, c);
	size_t step = p.n < rest->n ? p.n + 1 : p.n;

	if (step)
		*rest = slice__from(rest->p + step, rest->n - step);
	return p;
}

/* B3's ids are of 16 or 32 digits. */
static bool b3_ids(struct slice trace, struct slice span, struct remote_context *out)
{
	return (trace.n == 16 || trace.n == 32) && span.n == 16 && id(trace, out->trace_id, 16) &&
	       id(span, out->span_id, 8);
}

static bool denied(struct slice state)
{
	return slice__eq(state, SLICE("0")) || slice__ieq(state, SLICE("false"));
}

static bool read_w3c(const struct facts_context *c, struct remote_context *out)
{
	return c->traceparent.n && !c->duplicate &&
	       traceparent__parse(c->traceparent, out->trace_id, out->span_id, &out->flags);
}

/* {trace}-{span}[-{state}[-{parent}]] */
static bool read_b3(const struct facts_context *c, struct remote_context *out)
{
	struct slice rest = slice__trim(c->b3), trace = part(&rest, '-'), span = part(&rest, '-');

	out->flags = denied(part(&rest, '-')) ? 0 : TRACE_FLAG_SAMPLED;
	return b3_ids(trace, span, out);
}

static bool read_b3_multi(const struct facts_context *c, struct remote_context *out)
{
	bool debug = slice__eq(slice__trim(c->b3_flags), SLICE("1"));

	out->flags = !debug && denied(slice__trim(c->b3_sampled)) ? 0 : TRACE_FLAG_SAMPLED;
	return b3_ids(slice__trim(c->b3_trace), slice__trim(c->b3_span), out);
}

/* Its colons are often percent-encoded. */
static struct slice jaeger_part(struct slice *rest)
{
	for (size_t i = 0; i < rest->n; i++) {
		size_t step = rest->p[i] == ':' ? 1 : 0;

		if (rest->n - i >= 3 && !strncasecmp(rest->p + i, "%3a", 3))
			step = 3;
		if (!step)
			continue;
		struct slice p = slice__from(rest->p, i);

		*rest = slice__from(rest->p + i + step, rest->n - i - step);
		return p;
	}
	struct slice all = *rest;

	if (rest->n)
		*rest = slice__from(rest->p + rest->n, 0);
	return all;
}

/* {trace}:{span}:{parent}:{flags} */
static bool read_jaeger(const struct facts_context *c, struct remote_context *out)
{
	struct slice rest = slice__trim(c->uber), trace = jaeger_part(&rest),
		     span = jaeger_part(&rest);
	uint8_t flags = 0;

	(void)jaeger_part(&rest); /* the parent: not for receivers */
	if (!id(trace, out->trace_id, 16) || !id(span, out->span_id, 8))
		return false;
	if (!id(rest, &flags, 1) && !slice__eq(rest, SLICE("0")) && !slice__eq(rest, SLICE("00")))
		return false;
	out->flags = flags & 3 ? TRACE_FLAG_SAMPLED : 0; /* 1 sampled, 2 debug */
	return true;
}

/* Root=1-{8 digits of time}-{24 digits};Parent={16};Sampled={0|1|?}, in any order */
static bool read_xray(const struct facts_context *c, struct remote_context *out)
{
	struct slice rest = c->amzn;
	char trace[32];
	bool root = false;

	out->flags = TRACE_FLAG_SAMPLED;
	while (rest.n) {
		struct slice value = slice__trim(part(&rest, ';')), key = part(&value, '=');

		if (slice__ieq(key, SLICE("root")) && value.n == 35 && value.p[0] == '1' &&
		    value.p[1] == '-' && value.p[10] == '-') {
			memcpy(trace, value.p + 2, 8);
			memcpy(trace + 8, value.p + 11, 24);
			root = id(slice__from(trace, 32), out->trace_id, 16);
		} else if (slice__ieq(key, SLICE("parent"))) {
			if (value.n != 16 || !id(value, out->span_id, 8))
				memset(out->span_id, 0, 8);
		} else if (slice__ieq(key, SLICE("sampled")) && denied(value)) {
			out->flags = 0;
		}
	}
	return root;
}

/* Standard base64 of at most `max` bytes; -1 if it is none. */
static int base64(struct slice s, char *out, size_t max)
{
	static const char
		digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned bits = 0, have = 0;
	size_t n = 0;

	while (s.n && s.p[s.n - 1] == '=')
		s.n--;
	for (size_t i = 0; i < s.n; i++) {
		const char *at = s.p[i] ? strchr(digits, s.p[i]) : NULL;

		if (!at || n == max)
			return -1;
		bits = bits << 6 | (unsigned)(at - digits);
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (char)(bits >> have);
		}
	}
	return (int)n;
}

/*
 * SkyWalking's ids are texts. A trace id that is a UUID or 32 digits can be taken over; its spans
 * have no ids that a span here could name as its parent.
 */
static bool read_sw8(const struct facts_context *c, struct remote_context *out)
{
	struct slice rest = slice__trim(c->sw8), sample = part(&rest, '-');
	char text[64], digits[32];
	int n = base64(part(&rest, '-'), text, sizeof(text));
	size_t used = 0;

	if (!slice__eq(sample, SLICE("1")) && !slice__eq(sample, SLICE("0")))
		return false;
	for (int i = 0; i < n; i++) {
		if (text[i] == '-' && n == 36 && (i == 8 || i == 13 || i == 18 || i == 23))
			continue;
		if (used == sizeof(digits))
			return false;
		digits[used++] = text[i];
	}
	out->flags = denied(sample) ? 0 : TRACE_FLAG_SAMPLED;
	return used == sizeof(digits) && id(slice__from(digits, used), out->trace_id, 16);
}

static const struct {
	const char *name;
	bool (*read)(const struct facts_context *c, struct remote_context *out);
} formats[] = {
	{ "tracecontext", read_w3c }, { "b3", read_b3 },     { "b3multi", read_b3_multi },
	{ "jaeger", read_jaeger },    { "xray", read_xray }, { "sw8", read_sw8 },
};

/* Has the request any of the headers that the formats are read from? */
static bool is_there(const struct facts_context *c)
{
	return c->traceparent.n || c->b3.n || c->b3_trace.n || c->b3_span.n || c->uber.n ||
	       c->amzn.n || c->sw8.n;
}

bool context__read(const struct facts_context *c, struct remote_context *out)
{
	if (!is_there(c))
		return false;
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		struct remote_context r = { .format = formats[i].name };

		if (formats[i].read(c, &r)) {
			*out = r;
			return true;
		}
	}
	return false;
}
