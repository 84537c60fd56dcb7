/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Reads *.case files; tests/proto/README describes them. */
#ifndef WEFT_TEST_CASE_FILE_H
#define WEFT_TEST_CASE_FILE_H

#include "../../user/proto/proto.h"

enum piece_kind { PIECE_BYTES, PIECE_GAP, PIECE_EOF };

struct piece {
	enum piece_kind kind;
	enum proto_dir dir;
	bool call_start, call_end;
	uint8_t *data; /* PIECE_BYTES */
	size_t len;    /* of data, or of the gap */
};

struct test_case {
	char *title;
	unsigned line;       /* where it begins */
	bool mid;            /* the connection's beginning was not seen */
	bool no_detect;      /* the bytes alone need not be recognised */
	bool unknown;        /* the bytes must not be recognised; nothing is parsed */
	bool any_truncation; /* truncated runs only have to survive */
	struct piece *pieces;
	size_t n;
	char **expect;
	size_t n_expect;
};

struct case_file {
	struct test_case *cases;
	size_t n;
	char *error; /* NULL, or what is wrong with the file */
};

struct case_file *case_file__read(const char *path);
void case_file__free(struct case_file *f);

/* Captured bytes of all pieces; whether there is a gap among them. */
size_t test_case__bytes(const struct test_case *c);
bool test_case__has_gap(const struct test_case *c);

#endif
