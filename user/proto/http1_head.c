// SPDX-License-Identifier: GPL-2.0-or-later
/* HTTP/1: start lines, recognised and read, and the header lines that weft wants. */
#include "../lib/newlines.h"
#include "context.h"
#include "http1.h"

#define METHOD_MAX 32 /* the longest registered one is UPDATEREDIRECTREF, 17 */
#define LINE_DETECT_MAX (16 * 1024)
#define PREFIX_CERTAIN 32  /* a known method and so much of a path can't be anything else */
#define STATUS_LINE_MIN 13 /* HTTP/1.1 200 and what ends the number */

/* What the header block says, while it is read. */
struct head {
	struct http1_message *h;
	struct message *m;
	struct http1_framing *f;
	bool request;
};

static const uint8_t token_char[256] = {
	/* RFC 9110, 5.6.2 */
	['0' ... '9'] = 1, ['a' ... 'z'] = 1, ['A' ... 'Z'] = 1, ['!'] = 1, ['#'] = 1, ['$'] = 1,
	['%'] = 1,         ['&'] = 1,         ['\''] = 1,        ['*'] = 1, ['+'] = 1, ['-'] = 1,
	['.'] = 1,         ['^'] = 1,         ['_'] = 1,         ['`'] = 1, ['|'] = 1, ['~'] = 1,
};

static const struct slice known_methods[] = {
	{ "GET", 3 },   { "POST", 4 },    { "PUT", 3 },   { "HEAD", 4 },    { "DELETE", 6 },
	{ "PATCH", 5 }, { "OPTIONS", 7 }, { "TRACE", 5 }, { "CONNECT", 7 }, { "QUERY", 5 },
};

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static bool ends_word(uint8_t c)
{
	return c == ' ' || c == '\r' || c == '\n';
}

/* As many bytes as there are agree with `prefix`. */
static bool could_start(const uint8_t *p, size_t len, struct slice prefix)
{
	return memcmp(p, prefix.p, len < prefix.n ? len : prefix.n) == 0;
}

static enum line request_line__parse(const uint8_t *p, size_t len, struct http1_line *r)
{
	const struct slice http = SLICE("HTTP/1.");
	size_t i = 0;

	*r = (struct http1_line){ 0 };
	while (i < len && token_char[p[i]])
		if (++i > METHOD_MAX)
			return LINE_NO;
	if (i == len)
		return LINE_MORE;
	if (i == 0 || p[i] != ' ')
		return LINE_NO;
	r->method = i++;
	r->target = i;
	while (i < len && p[i] > ' ' && p[i] != 0x7f)
		i++;
	r->target_end = i;
	if (i == len)
		return LINE_MORE;
	if (p[i] != ' ' || i == r->target)
		return LINE_NO;
	i++;
	if (!could_start(p + i, len - i, http))
		return LINE_NO;
	r->version = i;
	i += http.n;
	if ((i < len && !is_digit(p[i])) || (i + 1 < len && !ends_word(p[i + 1])))
		return LINE_NO;
	return i + 1 < len ? LINE_YES : LINE_MORE;
}

/* A known method and a path that goes on: no version in sight, but no other protocol starts so. */
static bool request_line__certain(const uint8_t *p, const struct http1_line *r)
{
	if (r->target_end <= r->target || p[r->target] != '/')
		return false;
	for (size_t i = 0; i < sizeof(known_methods) / sizeof(known_methods[0]); i++)
		if (slice__eq(slice__from(p, r->method), known_methods[i]))
			return true;
	return false;
}

static enum line status_line__parse(const uint8_t *p, size_t len, int *status)
{
	if (!could_start(p, len, SLICE("HTTP/1.")))
		return LINE_NO;
	for (size_t i = 7; i < len && i < STATUS_LINE_MIN - 1; i++)
		if (i == 8 ? p[i] != ' ' : !is_digit(p[i]))
			return LINE_NO;
	if (len < STATUS_LINE_MIN)
		return LINE_MORE;
	if (p[9] == '0' || !ends_word(p[STATUS_LINE_MIN - 1]))
		return LINE_NO;
	*status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
	return LINE_YES;
}

/* As good as whole: its end was cut off, but what is there leaves no doubt. */
static bool is_request(enum line is, bool cut, const uint8_t *p, const struct http1_line *r)
{
	return is == LINE_YES || (cut && is == LINE_MORE && r->target_end >= PREFIX_CERTAIN &&
				  request_line__certain(p, r));
}

enum line http1__start_line(enum proto_dir dir, const uint8_t *p, size_t len, bool cut)
{
	struct http1_line r;
	int status;

	if (dir == PROTO_RESP)
		return status_line__parse(p, len, &status);
	enum line is = request_line__parse(p, len, &r);

	return is_request(is, cut, p, &r) ? LINE_YES : is;
}

enum detect_result http1__detect(const uint8_t *data, size_t len)
{
	/* Empty lines before a request line are to be ignored (RFC 9112, 2.2). */
	while (len && (*data == '\r' || *data == '\n')) {
		data++;
		len--;
	}
	if (!len)
		return DETECT_MORE;
	enum line resp = http1__start_line(PROTO_RESP, data, len, true);

	if (resp != LINE_NO)
		return resp == LINE_YES ? DETECT_RESP : DETECT_MORE;
	enum line req = http1__start_line(PROTO_REQ, data, len, true);

	if (req == LINE_YES)
		return DETECT_REQ;
	return req == LINE_NO || len > LINE_DETECT_MAX ? DETECT_NO : DETECT_MORE;
}

static inline bool is_space(char c)
{
	const uint64_t spaces = 1ull << ' ' | 1 << '\t' | 1 << '\r' | 1 << '\n';

	return (uint8_t)c <= ' ' && spaces >> c & 1;
}

static struct slice trim(struct slice s)
{
	while (s.n && is_space(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Keep a header's value; line ends of folded lines become spaces (RFC 9112, 5.2). */
static struct slice keep(struct message *m, struct slice value)
{
	struct slice kept = message__keep(m, value);

	if (memchr(kept.p, '\n', kept.n)) {
		char *p = (char *)kept.p; /* our own copy */

		for (size_t i = 0; i < kept.n; i++)
			if (is_space(p[i]))
				p[i] = ' ';
	}
	return kept;
}

static void keep_first(struct head *head, struct slice *where, struct slice value)
{
	if (!where->p)
		*where = keep(head->m, value);
}

/* Content-Length: digits, or the same digits several times (RFC 9110, 8.6). */
static void take_length(struct head *head, struct slice v)
{
	struct http1_framing *f = head->f;

	f->bad |= v.n == 0;
	while (v.n) {
		const char *comma = memchr(v.p, ',', v.n);
		struct slice item = trim(slice__from(v.p, comma ? (size_t)(comma - v.p) : v.n));
		uint64_t n = 0;

		for (size_t i = 0; i < item.n; i++) {
			if (!is_digit((uint8_t)item.p[i]) || n > HTTP1_LENGTH_MAX / 10) {
				f->bad = true;
				return;
			}
			n = n * 10 + (uint64_t)(item.p[i] - '0');
		}
		if (!item.n || (f->has_length && n != f->length))
			f->bad = true;
		f->length = n;
		f->has_length = true;
		if (!comma)
			return;
		v = slice__from(comma + 1, v.n - (size_t)(comma + 1 - v.p));
	}
}

/* Transfer-Encoding: only whether chunked is the last coding matters. */
static void take_coding(struct head *head, struct slice v)
{
	for (size_t i = v.n; i > 0; i--) {
		if (v.p[i - 1] == ',') {
			v = slice__from(v.p + i, v.n - i);
			break;
		}
	}
	const char *param = memchr(v.p, ';', v.n);

	v = trim(slice__from(v.p, param ? (size_t)(param - v.p) : v.n));
	if (slice__ieq(v, SLICE("identity")) && !head->f->coded)
		return;
	head->f->coded = true;
	head->f->chunked = slice__ieq(v, SLICE("chunked"));
}

static void take_header(struct head *head, struct slice name, struct slice value)
{
	struct http1_message *h = head->h;

	/* Only names of these lengths are of interest; most headers have others. */
	switch (name.n) {
	case 14:
		if (slice__ieq(name, SLICE("content-length")))
			take_length(head, value);
		return;
	case 17:
		if (slice__ieq(name, SLICE("transfer-encoding")))
			take_coding(head, value);
		else if (head->request && slice__ieq(name, SLICE("x-forwarded-proto")))
			keep_first(head, &h->x_forwarded_proto, value);
		return;
	}
	if (!head->request) {
		if (slice__ieq(name, SLICE("upgrade")))
			head->f->h2c = slice__ieq(value, SLICE("h2c"));
		return;
	}
	if (context__take(&h->context, head->m, name, value))
		return;
	switch (name.n) {
	case 4:
		if (slice__ieq(name, SLICE("host")))
			keep_first(head, &h->host, value);
		break;
	case 6:
		if (slice__ieq(name, SLICE("expect")))
			head->f->expect = slice__ieq(value, SLICE("100-continue"));
		break;
	case 9:
		if (slice__ieq(name, SLICE("forwarded")))
			keep_first(head, &h->forwarded, value);
		break;
	case 10:
		if (slice__ieq(name, SLICE("user-agent")))
			keep_first(head, &h->user_agent, value);
		break;
	case 15:
		if (slice__ieq(name, SLICE("x-forwarded-for")))
			keep_first(head, &h->x_forwarded_for, value);
		break;
	case 16:
		if (slice__ieq(name, SLICE("x-forwarded-host")))
			keep_first(head, &h->x_forwarded_host, value);
		break;
	}
}

/*
 * Most lines can be passed over for their first byte: those of the names that are taken (with white
 * space, which might stand before any), in requests and in responses.
 */
enum { OF_REQUEST = 1, OF_RESPONSE = 2, OF_BOTH = 3 };

static const uint8_t first_byte[256] = {
	['b'] = OF_REQUEST, ['B'] = OF_REQUEST, ['c'] = OF_BOTH,    ['C'] = OF_BOTH,
	['e'] = OF_REQUEST, ['E'] = OF_REQUEST, ['f'] = OF_REQUEST, ['F'] = OF_REQUEST,
	['h'] = OF_REQUEST, ['H'] = OF_REQUEST, ['s'] = OF_REQUEST, ['S'] = OF_REQUEST,
	['t'] = OF_BOTH,    ['T'] = OF_BOTH,    ['u'] = OF_BOTH,    ['U'] = OF_BOTH,
	['x'] = OF_REQUEST, ['X'] = OF_REQUEST, [' '] = OF_BOTH,    ['\t'] = OF_BOTH,
	['\r'] = OF_BOTH,   ['\n'] = OF_BOTH,
};

/* Of a response few headers matter, which the length of their names tells. */
static bool response_wants(const uint8_t *p, size_t n)
{
	return n == 7 || n == 14 || n == 17 ||
	       (n && (is_space((char)p[0]) || is_space((char)p[n - 1])));
}

static void take_line(struct head *head, const uint8_t *p, const uint8_t *nl)
{
	const uint8_t *colon = memchr(p, ':', (size_t)(nl - p));

	if (colon && (head->request || response_wants(p, (size_t)(colon - p))))
		take_header(head, trim(slice__from(p, (size_t)(colon - p))),
			    trim(slice__from(colon + 1, (size_t)(nl - colon - 1))));
}

/*
 * The header lines in [p, end). Lines that are no headers are passed over; so is, where the block
 * was cut, a line whose end wasn't seen, or of which the next line might have been a part.
 */
static void take_headers(struct head *head, const uint8_t *p, const uint8_t *end, bool cut)
{
	struct newlines lines = newlines__in(p, (size_t)(end - p));
	uint8_t whose = head->request ? OF_REQUEST : OF_RESPONSE;
	const uint8_t *nl;

	while ((nl = newlines__next(&lines))) {
		while (nl + 1 < end &&
		       (nl[1] == ' ' || nl[1] == '\t')) { /* obsolete line folding */
			nl = newlines__next(&lines);
			if (!nl)
				return;
		}
		if (cut && nl + 1 == end)
			return;
		if (first_byte[*p] & whose)
			take_line(head, p, nl);
		p = nl + 1;
	}
}

static struct slice keep_version(struct message *m, const uint8_t *p)
{
	if (p[7] == '1')
		return SLICE("1.1");
	if (p[7] == '0')
		return SLICE("1.0");
	return message__keep(m, slice__from(p + 5, 3));
}

/*
 * The rest of the start line from p is nothing but its end. Returns what follows it; NULL: it is
 * not.
 */
static const uint8_t *line_end(const uint8_t *p, const uint8_t *end)
{
	while (p < end && (*p == ' ' || *p == '\r'))
		p++;
	return p < end && *p == '\n' ? p + 1 : NULL;
}

size_t http1__request_line(const uint8_t *p, size_t len, struct http1_line *line)
{
	if (request_line__parse(p, len, line) != LINE_YES)
		return 0;
	const uint8_t *next = line_end(p + line->version + 8, p + len);

	return next ? (size_t)(next - p) : 0;
}

void http1__keep_line(struct message *m, const uint8_t *p, const struct http1_line *line)
{
	struct http1_message *h = m->data;

	h->method = message__keep(m, slice__from(p, line->method));
	h->target = message__keep(m,
				  slice__from(p + line->target, line->target_end - line->target));
	h->version = keep_version(m, p + line->version);
}

/*
 * Credentials in an absolute target can't be told from a host while the authority's end is not
 * seen.
 */
static bool ends_in_authority(const uint8_t *p, const struct http1_line *r)
{
	struct slice t = slice__from(p + r->target, r->target_end - r->target);
	const char *colon = memchr(t.p, ':', t.n);

	if (t.n && t.p[0] == '/')
		return false;
	return !colon || (size_t)(colon - t.p) + 3 > t.n ||
	       !memchr(colon + 3, '/', t.n - (size_t)(colon + 3 - t.p));
}

bool http1__read_request(struct message *m, const uint8_t *p, size_t size, bool cut,
			 struct http1_framing *f)
{
	struct http1_message *h = m->data;
	struct head head = { .h = h, .m = m, .f = f, .request = true };
	struct http1_line r;
	enum line is = request_line__parse(p, size, &r);
	const uint8_t *next = NULL;

	*f = (struct http1_framing){ 0 };
	if (is == LINE_YES)
		next = line_end(p + r.version + 8, p + size);
	if (!is_request(is, cut, p, &r) || (!next && !cut))
		return false;
	/* A line that was cut behind its target is whole as far as it matters. */
	bool target_cut = is == LINE_MORE && r.target_end == size;

	h->method = message__keep(m, slice__from(p, r.method));
	if (!target_cut || !ends_in_authority(p, &r))
		h->target = message__keep(m, slice__from(p + r.target, r.target_end - r.target));
	if (is == LINE_YES)
		h->version = keep_version(m, p + r.version);
	h->body = -1;
	if (next)
		take_headers(&head, next, p + size, cut);
	/* A request whose last coding is not chunked has no end (RFC 9112, 6.3). */
	return !f->bad && !(f->coded && !f->chunked);
}

bool http1__read_response(struct message *m, const uint8_t *p, size_t size, bool cut,
			  struct http1_framing *f)
{
	struct http1_message *h = m->data;
	struct head head = { .h = h, .m = m, .f = f };
	const uint8_t *nl = memchr(p, '\n', size);

	*f = (struct http1_framing){ 0 };
	if (status_line__parse(p, size, &h->status) != LINE_YES)
		return false;
	h->version = keep_version(m, p);
	h->body = -1;
	if (nl)
		take_headers(&head, nl + 1, p + size, cut);
	/* With a transfer coding the length is not used; else it must be one. */
	return !f->bad || f->coded || cut;
}
