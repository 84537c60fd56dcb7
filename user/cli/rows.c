// SPDX-License-Identifier: GPL-2.0-or-later
#include "rows.h"

#include <stdarg.h>
#include <stdio.h>

#include "text.h"

#define LABEL_WIDTH 25
#define DETAIL_AT (2 + 5 + LABEL_WIDTH + 2)

void rows__heading(const struct options *o, const char *text)
{
	printf("%s%s%s\n", o->color ? "\033[1m" : "", text, o->color ? "\033[0m" : "");
}

void rows__add(const struct options *o, enum row_verdict v, const char *label, const char *instead,
	       const char *fmt, ...)
{
	static const char *const marks[] = {
		[ROW_GOOD] = "[ok]", [ROW_WITHOUT] = "[--]", [ROW_BAD] = "[!!]"
	};
	static const char *const colors[] = {
		[ROW_GOOD] = "\033[32m", [ROW_WITHOUT] = "\033[33m", [ROW_BAD] = "\033[1;31m"
	};
	char detail[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	for (char *c = detail; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	printf("  %s%s%s ", o->color ? colors[v] : "", marks[v], o->color ? "\033[0m" : "");
	text__cell(label, LABEL_WIDTH);
	printf("  ");
	text__wrap(detail, DETAIL_AT, (size_t)o->columns);
	if (instead) {
		printf("%*sinstead: ", DETAIL_AT, "");
		text__wrap(instead, DETAIL_AT + 9, (size_t)o->columns);
	}
}
