// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * W3C Baggage (the `baggage` header): what one service tells all behind it of a request. Anybody
 * may have put anything into it, so only the keys that the user named become attributes, under
 * their own names, as OpenTelemetry's baggage span processors do it; and never in the place of an
 * attribute that weft has set itself.
 */
#include "../lib/percent.h"
#include "conventions.h"

/* The first member of the list with this key; properties (behind ';') are left out. */
static bool member(struct slice list, struct slice key, struct slice *value)
{
	while (list.n) {
		struct slice m = slice__upto(list, ',');
		struct slice name = slice__upto(m, '=');
		size_t step = m.n < list.n ? m.n + 1 : m.n;

		if (name.n < m.n && slice__eq(slice__trim(name), key)) {
			*value = slice__from(m.p + name.n + 1, m.n - name.n - 1);
			*value = slice__trim(slice__upto(*value, ';'));
			return true;
		}
		list = slice__from(list.p + step, list.n - step);
	}
	return false;
}

void span__set_baggage(struct span *s, struct slice baggage, const struct span_options *o,
		       struct arena *scratch)
{
	struct slice value;

	for (const char *const *key = o->baggage; key && *key; key++)
		if (!span__attr(s, *key) && member(baggage, slice__cstr(*key), &value))
			span__set_str(s, *key, percent__decode(value, scratch));
}
