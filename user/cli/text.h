/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text for a terminal of limited width: cells of tables, wrapped lines. Columns are counted as one
 * for each UTF-8 character.
 */
#ifndef WEFT_CLI_TEXT_H
#define WEFT_CLI_TEXT_H

#include <stddef.h>

/* Columns that s takes. */
size_t text__width(const char *s);
/*
 * Print s in exactly `width` columns: padded with blanks, or cut, the last column then an ellipsis.
 */
void text__cell(const char *s, size_t width);
/*
 * Print s and a newline, broken at blanks so that no line is longer than `columns`; following lines
 * are indented by `indent`. The cursor stands at column `indent` already.
 */
void text__wrap(const char *s, size_t indent, size_t columns);

#endif /* WEFT_CLI_TEXT_H */
