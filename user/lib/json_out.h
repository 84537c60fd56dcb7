/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing JSON into a growing buffer. Commas are set by the writer; objects and arrays must be
 * closed by the caller. A failed allocation makes the whole text bad: `failed` says so, calls after
 * it do nothing.
 */
#ifndef WEFT_JSON_OUT_H
#define WEFT_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "slice.h"

struct json_out {
	char *p; /* malloc'ed; not NUL-terminated */
	size_t n, cap;
	bool comma; /* the next value or key needs one before it */
	bool failed;
};

void json_out__init(struct json_out *j);
void json_out__free(struct json_out *j);
/* Start again, keeping the memory. */
void json_out__reset(struct json_out *j);

/* Values; after a key, or as an element of an array. */
void json_out__object(struct json_out *j);
void json_out__end_object(struct json_out *j);
void json_out__array(struct json_out *j);
void json_out__end_array(struct json_out *j);
/* Escaped; bytes that are not UTF-8 become U+FFFD. */
void json_out__str(struct json_out *j, struct slice s);
void json_out__int(struct json_out *j, int64_t v);
void json_out__uint(struct json_out *j, uint64_t v);
/* 64-bit integers as decimal strings, as the JSON form of protobuf wants them. */
void json_out__int_str(struct json_out *j, int64_t v);
void json_out__uint_str(struct json_out *j, uint64_t v);
/* The shortest text that reads back as v; "NaN", "Infinity", "-Infinity" as strings. */
void json_out__double(struct json_out *j, double v);
void json_out__bool(struct json_out *j, bool v);
void json_out__null(struct json_out *j);
/* Lowercase hex, as a string. */
void json_out__hex(struct json_out *j, const uint8_t *p, size_t n);
/*
 * printf of what already is one JSON value (a number, a string without anything to escape); at most
 * 127 bytes.
 */
void json_out__printf(struct json_out *j, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

void json_out__key(struct json_out *j, struct slice key);
/* A key that is a literal without anything to escape. */
#define json_out__lit(j, key) json_out__lit_key((j), SLICE("\"" key "\":"))
void json_out__lit_key(struct json_out *j, struct slice quoted);

/* A byte outside of any value: the newline between lines. The next value gets no comma. */
void json_out__newline(struct json_out *j);

#endif /* WEFT_JSON_OUT_H */
