// SPDX-License-Identifier: GPL-2.0-or-later
#include "case_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct reader {
	struct case_file *file;
	const char *path;
	unsigned line;
	struct test_case *now;
	bool open[2]; /* a call of this direction is open: `+` may add to it */
};

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

__attribute__((format(printf, 2, 3))) static void fail(struct reader *r, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!r->file->error && asprintf(&r->file->error, "%s:%u: %s", r->path, r->line, text) < 0)
		abort();
}

static struct test_case *case__new(struct reader *r, const char *title)
{
	struct case_file *f = r->file;

	f->cases = need(realloc(f->cases, (f->n + 1) * sizeof(*f->cases)));
	r->now = &f->cases[f->n++];
	*r->now = (struct test_case){ .title = need(strdup(title)), .line = r->line };
	r->open[0] = r->open[1] = false;
	return r->now;
}

static struct piece *piece__new(struct reader *r, enum piece_kind kind, enum proto_dir dir)
{
	struct test_case *c = r->now ? r->now : case__new(r, "");

	c->pieces = need(realloc(c->pieces, (c->n + 1) * sizeof(*c->pieces)));
	c->pieces[c->n] = (struct piece){ .kind = kind, .dir = dir };
	return &c->pieces[c->n++];
}

static void piece__add(struct piece *p, const void *data, size_t n)
{
	p->data = need(realloc(p->data, p->len + n + 1));
	memcpy(p->data + p->len, data, n);
	p->len += n;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/*
 * \{N:V}: V as N bytes, most significant first. Returns how much of `s` it took, 0 if it is none.
 */
static size_t unescape_int(const char *s, char *out, size_t *n)
{
	int taken = 0;
	unsigned width;
	long long v;

	if (sscanf(s, "{%1u:%lli}%n", &width, &v, &taken) != 2 || !taken || width > 8)
		return 0;
	for (unsigned i = 0; i < width; i++)
		out[(*n)++] = (char)((unsigned long long)v >> (8 * (width - 1 - i)));
	return (size_t)taken;
}

/* In place; returns the number of bytes. */
static size_t unescape(struct reader *r, char *s)
{
	static const char from[] = "rnt0\\s", to[] = "\r\n\t\0\\ ";
	size_t n = 0, took;

	for (const char *p = s; *p; p++) {
		const char *known;

		if (*p != '\\') {
			s[n++] = *p;
			continue;
		}
		p++;
		if (*p && (known = strchr(from, *p))) {
			s[n++] = to[known - from];
		} else if (*p == 'x' && hex_digit(p[1]) >= 0 && hex_digit(p[2]) >= 0) {
			s[n++] = (char)(hex_digit(p[1]) << 4 | hex_digit(p[2]));
			p += 2;
		} else if (*p == '{' && (took = unescape_int(p, s, &n))) {
			p += took - 1;
		} else {
			fail(r, "unknown escape '\\%.5s'", p);
			return n;
		}
	}
	return n;
}

static void add_file(struct reader *r, struct piece *p, char *spec)
{
	char name[256], path[1024], *slash;
	long from = 0, count = -1;
	uint8_t buf[4096];
	size_t n;

	if (sscanf(spec, "%255s %ld %ld", name, &from, &count) < 1) {
		fail(r, "@ needs a file name");
		return;
	}
	snprintf(path, sizeof(path), "%s", r->path);
	slash = strrchr(path, '/');
	n = slash ? (size_t)(slash + 1 - path) : 0;
	snprintf(path + n, sizeof(path) - n, "%s", name);
	FILE *f = fopen(path, "rb");

	if (!f || fseek(f, from, SEEK_SET)) {
		fail(r, "%s: %s", path, strerror(errno));
		if (f)
			fclose(f);
		return;
	}
	while (count && (n = fread(buf, 1, count > 0 && count < 4096 ? (size_t)count : 4096, f))) {
		piece__add(p, buf, n);
		if (count > 0)
			count -= (long)n;
	}
	fclose(f);
	if (count > 0)
		fail(r, "%s is shorter than that", path);
}

static void add_hex(struct reader *r, struct piece *p, const char *s)
{
	for (; *s; s++) {
		uint8_t byte;

		if (isspace((unsigned char)*s))
			continue;
		if (hex_digit(s[0]) < 0 || hex_digit(s[1]) < 0) {
			fail(r, "'%.8s' is no hexadecimal byte", s);
			return;
		}
		byte = (uint8_t)(hex_digit(s[0]) << 4 | hex_digit(s[1]));
		piece__add(p, &byte, 1);
		s++;
	}
}

/* "T payload": type byte, 32-bit length of itself and the payload, payload; T may be - for none. */
static void add_typed(struct reader *r, struct piece *p, char *s)
{
	size_t n;

	if (!s[0] || (s[1] && s[1] != ' ')) {
		fail(r, "= needs one type character (or -), a space and the payload");
		return;
	}
	n = s[1] ? unescape(r, s + 2) : 0;
	uint32_t len = (uint32_t)n + 4;
	uint8_t head[5] = { (uint8_t)s[0], (uint8_t)(len >> 24), (uint8_t)(len >> 16),
			    (uint8_t)(len >> 8), (uint8_t)len };

	if (s[0] == '-')
		piece__add(p, head + 1, 4);
	else
		piece__add(p, head, 5);
	if (n)
		piece__add(p, s + 2, n);
}

static void add_repeated(struct reader *r, struct piece *p, char *s)
{
	char *text;
	unsigned long times = strtoul(s, &text, 10);
	size_t n;

	if (text == s || *text != ' ') {
		fail(r, "* needs a number, a space and what is repeated");
		return;
	}
	n = unescape(r, ++text);
	for (unsigned long i = 0; i < times; i++)
		piece__add(p, text, n);
}

/* The piece that more bytes of the open call go into. */
static struct piece *piece__open(struct reader *r, enum proto_dir dir)
{
	struct test_case *c = r->now;

	if (!c || !r->open[dir]) {
		fail(r, "there is no call to add to");
		return piece__new(r, PIECE_BYTES, dir);
	}
	if (c->pieces[c->n - 1].kind == PIECE_BYTES)
		return &c->pieces[c->n - 1];
	return piece__new(r, PIECE_BYTES, dir);
}

static void add_gap(struct reader *r, enum proto_dir dir, const char *s)
{
	char *end;
	unsigned long n = strtoul(s, &end, 10);

	if (end == s || *end || !n)
		fail(r, "~ needs a number of bytes");
	if (!r->open[dir])
		fail(r, "there is no call to add to");
	piece__new(r, PIECE_GAP, dir)->len = n;
}

static void read_traffic(struct reader *r, char *s)
{
	enum proto_dir dir = s[0] == '>' ? PROTO_REQ : PROTO_RESP;
	char *rest = s[1] ? s + 2 : s + 1;

	if (s[1] && s[1] != ' ' && *rest == ' ')
		rest++;
	switch (s[1]) {
	case '\0':
	case ' ': {
		struct piece *p = piece__new(r, PIECE_BYTES, dir);

		r->open[dir] = true;
		r->open[!dir] = false;
		p->call_start = true;
		piece__add(p, rest, unescape(r, rest));
		break;
	}
	case '+': piece__add(piece__open(r, dir), rest, unescape(r, rest)); break;
	case '*': add_repeated(r, piece__open(r, dir), rest); break;
	case '@': add_file(r, piece__open(r, dir), rest); break;
	case '#': add_hex(r, piece__open(r, dir), rest); break;
	case '=': add_typed(r, piece__open(r, dir), rest); break;
	case '~': add_gap(r, dir, rest); break;
	case '.':
		piece__new(r, PIECE_EOF, dir);
		r->open[dir] = false;
		break;
	default: fail(r, "'%c%c' is unknown", s[0], s[1]);
	}
}

static void read_line(struct reader *r, char *s)
{
	struct test_case *c = r->now;

	if (!*s || *s == '#')
		return;
	if (!strncmp(s, "== ", 3)) {
		case__new(r, s + 3);
		return;
	}
	if (*s == '>' || *s == '<') {
		read_traffic(r, s);
		return;
	}
	if (!c)
		c = case__new(r, "");
	if (!strncmp(s, "= ", 2)) {
		c->expect = need(realloc(c->expect, (c->n_expect + 1) * sizeof(char *)));
		c->expect[c->n_expect++] = need(strdup(s + 2));
	} else if (!strcmp(s, "mid")) {
		c->mid = true;
	} else if (!strcmp(s, "no-detect")) {
		c->no_detect = true;
	} else if (!strcmp(s, "unknown")) {
		c->unknown = true;
	} else if (!strcmp(s, "any-truncation")) {
		c->any_truncation = true;
	} else if (!strcmp(s, "close")) {
		piece__new(r, PIECE_EOF, PROTO_REQ);
		piece__new(r, PIECE_EOF, PROTO_RESP);
		r->open[0] = r->open[1] = false;
	} else {
		fail(r, "'%.20s' is unknown", s);
	}
}

/* Empty pieces (">" alone, before a gap) go, and calls get their ends. */
static void case__finish(struct test_case *c)
{
	size_t n = 0;
	bool start = false;

	for (size_t i = 0; i < c->n; i++) {
		struct piece p = c->pieces[i];

		if (p.kind == PIECE_BYTES && !p.len) {
			start |= p.call_start;
			free(p.data);
			continue;
		}
		p.call_start |= start;
		start = false;
		c->pieces[n++] = p;
	}
	c->n = n;
	for (size_t i = 0; i < n; i++)
		c->pieces[i].call_end = i + 1 == n || c->pieces[i + 1].call_start ||
					c->pieces[i + 1].kind == PIECE_EOF;
}

struct case_file *case_file__read(const char *path)
{
	struct reader r = { .file = need(calloc(1, sizeof(*r.file))), .path = path };
	FILE *f = fopen(path, "r");
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	if (!f) {
		fail(&r, "%s", strerror(errno));
		return r.file;
	}
	while (!r.file->error && (n = getline(&line, &room, f)) >= 0) {
		r.line++;
		if (n && line[n - 1] == '\n')
			line[n - 1] = '\0';
		read_line(&r, line);
	}
	free(line);
	fclose(f);
	for (size_t i = 0; i < r.file->n; i++)
		case__finish(&r.file->cases[i]);
	if (!r.file->n)
		fail(&r, "there is no case in it");
	return r.file;
}

void case_file__free(struct case_file *f)
{
	for (size_t i = 0; i < f->n; i++) {
		struct test_case *c = &f->cases[i];

		for (size_t k = 0; k < c->n; k++)
			free(c->pieces[k].data);
		for (size_t k = 0; k < c->n_expect; k++)
			free(c->expect[k]);
		free(c->pieces);
		free(c->expect);
		free(c->title);
	}
	free(f->cases);
	free(f->error);
	free(f);
}

size_t test_case__bytes(const struct test_case *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		if (c->pieces[i].kind == PIECE_BYTES)
			n += c->pieces[i].len;
	return n;
}

bool test_case__has_gap(const struct test_case *c)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->pieces[i].kind == PIECE_GAP)
			return true;
	return false;
}
