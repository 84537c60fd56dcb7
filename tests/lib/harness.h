/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs the protocol cases (tests/proto/README says how one looks) against a parser, in every way
 * of cutting the bytes: as given; byte by byte; in two pieces at every offset; with the bytes
 * against an unreadable page behind, before, and in a heap block of their size; and truncated at
 * every length, with a gap or the connection's end behind. Cuts are cuts of the buffer, not of
 * calls: `fresh` and `call_end` stay where the calls are.
 */
#ifndef WEFT_TEST_HARNESS_H
#define WEFT_TEST_HARNESS_H

#include <stdio.h>

#include "../../user/proto/proto.h"

struct harness_tally {
	unsigned cases, runs, failures;
};

/*
 * All cases of one file. `all`: every protocol that may not claim its bytes (ends with NULL), or
 * NULL. What fails is written to `out`, a paragraph each.
 */
void harness__run_file(const char *path, const struct protocol *p,
		       const struct protocol *const *all, FILE *out, struct harness_tally *tally);

/* All *.case files of a directory, in the order of their names. */
void harness__run_dir(const char *dir, const struct protocol *p, const struct protocol *const *all,
		      FILE *out, struct harness_tally *tally);

/* What the parser makes of a file's cases, as expectation lines to look at: nothing is compared. */
void harness__print_file(const char *path, const struct protocol *p, FILE *out);

#endif
