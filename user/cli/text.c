// SPDX-License-Identifier: GPL-2.0-or-later
#include "text.h"

#include <stdio.h>
#include <string.h>

/* Bytes of the first n characters of s. */
static size_t bytes_of(const char *s, size_t n)
{
	size_t i = 0;

	for (; s[i]; i++)
		if (((unsigned char)s[i] & 0xc0) != 0x80 && n-- == 0)
			break;
	return i;
}

size_t text__width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

void text__cell(const char *s, size_t width)
{
	size_t n = text__width(s);

	if (n <= width)
		printf("%s%*s", s, (int)(width - n), "");
	else if (width)
		printf("%.*s…", (int)bytes_of(s, width - 1), s);
}

void text__wrap(const char *s, size_t indent, size_t columns)
{
	size_t room = columns > indent + 20 ? columns - indent : 20;

	while (text__width(s) > room) {
		size_t cut = bytes_of(s, room + 1);

		while (cut && s[cut - 1] != ' ')
			cut--;
		if (!cut)
			cut = bytes_of(s, room); /* a word longer than the line */
		size_t shown = cut;

		while (shown && s[shown - 1] == ' ')
			shown--;
		printf("%.*s\n%*s", (int)shown, s, (int)indent, "");
		s += cut;
	}
	puts(s);
}
