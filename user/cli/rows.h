/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rows of weft doctor. */
#ifndef WEFT_CLI_ROWS_H
#define WEFT_CLI_ROWS_H

#include "opts.h"

enum row_verdict { ROW_GOOD, ROW_WITHOUT, ROW_BAD };

void rows__heading(const struct options *o, const char *text);
/* "  [ok] label  detail", and, unless NULL, a second line that says what weft does instead. */
void rows__add(const struct options *o, enum row_verdict v, const char *label, const char *instead,
	       const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#endif /* WEFT_CLI_ROWS_H */
