/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WEFT_HEX_H
#define WEFT_HEX_H

/* What a hexadecimal digit of either case is worth; -1: it is none. */
static inline int hex__digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

#endif /* WEFT_HEX_H */
