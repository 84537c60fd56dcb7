// SPDX-License-Identifier: GPL-2.0-or-later
#include "percent.h"

#include "hex.h"

struct slice percent__decode(struct slice s, struct arena *a)
{
	char *out = s.n ? arena__alloc(a, s.n) : NULL;
	size_t n = 0;

	for (size_t i = 0; out && i < s.n; i++) {
		bool code = s.p[i] == '%' && s.n - i > 2 && hex__digit(s.p[i + 1]) >= 0 &&
			    hex__digit(s.p[i + 2]) >= 0;

		out[n++] = code ? (char)(hex__digit(s.p[i + 1]) << 4 | hex__digit(s.p[i + 2]))
				: s.p[i];
		i += code ? 2 : 0;
	}
	return slice__from(out ? out : "", n);
}
