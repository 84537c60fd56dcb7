// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Redaction and summary on any text. Beside memory errors: what is written is bounded, and a secret
 * put between quotes does not come out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../user/span/conventions.h"
#include "../../user/span/sql.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECRET "zQ9secretQ9z"

static bool contains(struct slice s, const char *word)
{
	return s.n && memmem(s.p, s.n, word, strlen(word));
}

/*
 * The input, up to where a string could begin, then a string with the secret, then all the input.
 */
static void check_secret(const uint8_t *data, size_t size, struct arena *a)
{
	size_t before = 0;
	char *sql = malloc(2 * size + sizeof(SECRET) + 16);
	size_t n;

	/* Nothing that opens a string, a comment or a name: then the quote opens one for sure. */
	while (before < size && !memchr("'\"`$[-/#\\", data[before], 9))
		before++;
	memcpy(sql, data, before);
	n = before;
	n += (size_t)sprintf(sql + n, " '" SECRET "' ");
	memcpy(sql + n, data, size);
	n += size;
	if (!memmem(data, size, SECRET, strlen(SECRET)) &&
	    (contains(sql__redact(slice__from(sql, n), a, 4096), SECRET) ||
	     contains(sql__summary(slice__from(sql, n), a), SECRET)))
		abort();
	/* The same where such a string may stand between double quotes. */
	sql[before + 1] = sql[before + sizeof(SECRET) + 1] = '"';
	if (!memmem(data, size, SECRET, strlen(SECRET)) &&
	    contains(sql__redact_quotes(slice__from(sql, n), FACTS_QUOTES_VALUE, a, 4096), SECRET))
		abort();
	free(sql);
}

/* A prefix, and not an empty one where there is something. */
static void check_first(struct slice sql)
{
	struct slice first = sql__first(sql);

	if (first.n > sql.n || (first.n && first.p != sql.p) || (sql.n && !first.n))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct arena a;
	struct slice once, summary;

	memcpy(copy, data, size);
	arena__init(&a, 1 << 20);
	once = sql__redact(slice__from(copy, size), &a, 4096);
	summary = sql__summary(slice__from(copy, size), &a);
	if (once.n > 4096 || summary.n > 255)
		abort();
	if (sql__redact(slice__from(copy, size), &a, 10).n > 10)
		abort();
	check_first(slice__from(copy, size));
	if (sql__redact_quotes(slice__from(copy, size), FACTS_QUOTES_EITHER, &a, 100).n > 100)
		abort();
	check_secret(copy, size, &a);
	arena__reset(&a);
	free(copy);
	return 0;
}
