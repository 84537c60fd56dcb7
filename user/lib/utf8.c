// SPDX-License-Identifier: GPL-2.0-or-later
#include "utf8.h"

size_t utf8__len(const uint8_t *p, size_t n)
{
	uint8_t lo = 0x80, hi = 0xbf; /* what the second byte may be */
	size_t len;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		len = 2;
	else if ((p[0] & 0xf0) == 0xe0)
		len = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (p[0] == 0xe0)
		lo = 0xa0; /* overlong */
	else if (p[0] == 0xed)
		hi = 0x9f; /* surrogates */
	else if (p[0] == 0xf0)
		lo = 0x90; /* overlong */
	else if (p[0] == 0xf4)
		hi = 0x8f; /* above U+10FFFF */
	if (n < len || p[1] < lo || p[1] > hi)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

bool utf8__valid(struct slice s)
{
	const uint8_t *p = (const uint8_t *)s.p;

	if (utf8__ascii(s.p, s.n))
		return true;

	for (size_t i = 0, len; i < s.n; i += len) {
		len = utf8__len(p + i, s.n - i);
		if (!len)
			return false;
	}
	return true;
}

size_t utf8__repair(struct slice s, char *out, size_t cap)
{
	const uint8_t *p = (const uint8_t *)s.p;
	size_t n = 0;

	for (size_t i = 0; i < s.n;) {
		size_t len = utf8__len(p + i, s.n - i);
		const char *from = len ? s.p + i : "\xef\xbf\xbd";
		size_t take = len ? len : 3;

		if (take > cap - n)
			break;
		memcpy(out + n, from, take);
		n += take;
		i += len ? len : 1;
	}
	return n;
}
