// SPDX-License-Identifier: GPL-2.0-or-later
#include "json_out.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "utf8.h"

void json_out__init(struct json_out *j)
{
	*j = (struct json_out){ 0 };
}

void json_out__free(struct json_out *j)
{
	free(j->p);
	json_out__init(j);
}

void json_out__reset(struct json_out *j)
{
	j->n = 0;
	j->comma = false;
	j->failed = false;
}

/* Room for n more bytes; NULL when memory is out. The caller adds to j->n what it used. */
static char *room(struct json_out *j, size_t n)
{
	if (j->failed)
		return NULL;
	if (j->cap - j->n < n) {
		size_t cap = j->cap ? j->cap : 1024;

		while (cap - j->n < n)
			cap *= 2;
		char *p = realloc(j->p, cap);

		if (!p) {
			j->failed = true;
			return NULL;
		}
		j->p = p;
		j->cap = cap;
	}
	return j->p + j->n;
}

static void put(struct json_out *j, const char *s, size_t n)
{
	char *p = n ? room(j, n) : NULL;

	if (p) {
		memcpy(p, s, n);
		j->n += n;
	}
}

static void put_char(struct json_out *j, char c)
{
	put(j, &c, 1);
}

/* Before a value or a key. */
static void separate(struct json_out *j)
{
	if (j->comma)
		put_char(j, ',');
	j->comma = true;
}

static void put_value(struct json_out *j, const char *s, size_t n)
{
	separate(j);
	put(j, s, n);
}

static void put_escape(struct json_out *j, uint8_t c)
{
	static const char hex[] = "0123456789abcdef";
	static const char named[] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
				      ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\' };

	if (c < sizeof(named) && named[c])
		put(j, (char[]){ '\\', named[c] }, 2);
	else
		put(j, (char[]){ '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] }, 6);
}

static void put_text(struct json_out *j, struct slice s)
{
	const uint8_t *p = (const uint8_t *)s.p;
	size_t run = 0; /* start of what can be copied as it is */

	for (size_t i = 0; i < s.n;) {
		if (p[i] >= 0x20 && p[i] < 0x7f && p[i] != '"' && p[i] != '\\') {
			i++;
			continue;
		}
		size_t len = p[i] >= 0x80 ? utf8__len(p + i, s.n - i) : 0;

		if (len) {
			i += len;
			continue;
		}
		put(j, s.p + run, i - run);
		if (p[i] >= 0x80)
			put(j, "\xef\xbf\xbd", 3);
		else
			put_escape(j, p[i]);
		run = ++i;
	}
	if (s.n > run)
		put(j, s.p + run, s.n - run);
}

static void put_string(struct json_out *j, struct slice s)
{
	put_char(j, '"');
	put_text(j, s);
	put_char(j, '"');
}

void json_out__str(struct json_out *j, struct slice s)
{
	separate(j);
	put_string(j, s);
}

void json_out__key(struct json_out *j, struct slice key)
{
	separate(j);
	put_string(j, key);
	put_char(j, ':');
	j->comma = false;
}

void json_out__lit_key(struct json_out *j, struct slice quoted)
{
	put_value(j, quoted.p, quoted.n);
	j->comma = false;
}

static void open_with(struct json_out *j, char c)
{
	separate(j);
	put_char(j, c);
	j->comma = false;
}

static void close_with(struct json_out *j, char c)
{
	put_char(j, c);
	j->comma = true;
}

void json_out__object(struct json_out *j)
{
	open_with(j, '{');
}

void json_out__end_object(struct json_out *j)
{
	close_with(j, '}');
}

void json_out__array(struct json_out *j)
{
	open_with(j, '[');
}

void json_out__end_array(struct json_out *j)
{
	close_with(j, ']');
}

void json_out__printf(struct json_out *j, const char *fmt, ...)
{
	char text[128];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		j->failed = true;
	else
		put_value(j, text, (size_t)n);
}

/*
 * Decimal digits of v, written backwards from `end`; returns their start. printf is too slow for
 * four numbers a span.
 */
static char *digits(uint64_t v, char *end)
{
	do {
		*--end = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	return end;
}

static void put_number(struct json_out *j, bool negative, uint64_t magnitude, bool quoted)
{
	char text[24], *end = text + sizeof(text), *p;

	if (quoted)
		*--end = '"';
	p = digits(magnitude, end);
	if (negative)
		*--p = '-';
	if (quoted)
		*--p = '"';
	put_value(j, p, (size_t)(text + sizeof(text) - p));
}

void json_out__uint(struct json_out *j, uint64_t v)
{
	put_number(j, false, v, false);
}

void json_out__int(struct json_out *j, int64_t v)
{
	put_number(j, v < 0, v < 0 ? -(uint64_t)v : (uint64_t)v, false);
}

void json_out__uint_str(struct json_out *j, uint64_t v)
{
	put_number(j, false, v, true);
}

void json_out__int_str(struct json_out *j, int64_t v)
{
	put_number(j, v < 0, v < 0 ? -(uint64_t)v : (uint64_t)v, true);
}

void json_out__double(struct json_out *j, double v)
{
	char text[40];

	if (isnan(v)) {
		json_out__str(j, SLICE("NaN"));
		return;
	}
	if (isinf(v)) {
		json_out__str(j, v < 0 ? SLICE("-Infinity") : SLICE("Infinity"));
		return;
	}
	for (int precision = 15; precision <= 17; precision++) {
		snprintf(text, sizeof(text), "%.*g", precision, v);
		if (strtod(text, NULL) == v)
			break;
	}
	for (char *p = text; *p; p++)
		if (*p == ',') /* a locale's decimal point */
			*p = '.';
	put_value(j, text, strlen(text));
}

void json_out__bool(struct json_out *j, bool v)
{
	put_value(j, v ? "true" : "false", v ? 4 : 5);
}

void json_out__null(struct json_out *j)
{
	put_value(j, "null", 4);
}

void json_out__hex(struct json_out *j, const uint8_t *p, size_t n)
{
	static const char hex[] = "0123456789abcdef";

	separate(j);
	char *out = room(j, 2 * n + 2);

	if (!out)
		return;
	*out++ = '"';
	for (size_t i = 0; i < n; i++) {
		*out++ = hex[p[i] >> 4];
		*out++ = hex[p[i] & 15];
	}
	*out = '"';
	j->n += 2 * n + 2;
}

void json_out__newline(struct json_out *j)
{
	put_char(j, '\n');
	j->comma = false;
}
