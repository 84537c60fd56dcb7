// SPDX-License-Identifier: GPL-2.0-or-later
#include "values.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

bool value__number(const char *s, size_t n, uint64_t min, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (n == 0 || n > 19)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!isdigit((unsigned char)s[i]))
			return false;
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	if (v < min || v > max)
		return false;
	*out = v;
	return true;
}

bool value__duration(const char *text, uint64_t *ns)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = { { "", 1e9 }, { "ms", 1e6 }, { "s", 1e9 }, { "m", 60e9 }, { "h", 3600e9 } };
	static const double longest = 10 * 365.25 * 86400e9;
	size_t n = strspn(text, "0123456789.");
	char *end;
	double v = n ? strtod(text, &end) : 0;

	if (!n || end != text + n)
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (strcmp(text + n, units[i].unit) != 0)
			continue;
		v *= units[i].ns;
		if (v < 1 || v > longest)
			return false;
		*ns = (uint64_t)v;
		return true;
	}
	return false;
}

bool value__size(const char *text, uint64_t min, uint64_t max, uint64_t *bytes)
{
	size_t n = strspn(text, "0123456789");
	unsigned shift = 0;
	uint64_t v;

	switch (toupper((unsigned char)text[n])) {
	case 'K': shift = 10; break;
	case 'M': shift = 20; break;
	case 'G': shift = 30; break;
	}
	if (text[n + (shift != 0)] || !value__number(text, n, 1, max >> shift, &v) ||
	    v << shift < min)
		return false;
	*bytes = v << shift;
	return true;
}

bool value__is_plain(const char *text)
{
	for (const char *s = text; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			return false;
	return true;
}

bool value__is_url(const char *text)
{
	size_t scheme = strncmp(text, "http://", 7) == 0    ? 7
			: strncmp(text, "https://", 8) == 0 ? 8
							    : 0;

	return scheme && text[scheme] && !strchr("/:?#", text[scheme]);
}
