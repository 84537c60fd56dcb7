/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside source/ only: the bytes of a file or a pipe through one bounded buffer, and what is opened
 * over them.
 */
#ifndef WEFT_SOURCE_FILE_H
#define WEFT_SOURCE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "source.h"

#define INPUT_BUFFER (256 * 1024)

struct input {
	int fd;
	bool waits;      /* a pipe, socket or terminal: reading may have to wait for the writer */
	bool ended;      /* the file's end was reached */
	int error;       /* of read(), a positive errno */
	uint64_t offset; /* position of buf[pos] in the file, bytes */
	size_t pos, len; /* not yet taken: buf[pos] up to buf[len] */
	_Alignas(16) uint8_t buf[INPUT_BUFFER];
};

/* NULL with one line in `why`. "-" is standard input, of which a duplicate is read. */
struct input *input__open(const char *path, char *why, size_t why_len);
void input__close(struct input *in);

/*
 * Try to have `want` (<= INPUT_BUFFER) bytes at buf + pos, waiting for a pipe's writer if need be.
 * Returns how many there are: fewer than `want` only at the end of the file; or a negative errno.
 * Bytes at offsets that are multiples of 16 stay aligned to 8 in memory.
 */
ssize_t input__need(struct input *in, size_t want);
void input__take(struct input *in, size_t n);

/* Would reading one more byte return at once? */
bool input__ready(struct input *in);

/* record.c, pcap.c: both own `in` from here on, also when they fail. `name` is for `why`. */
struct source *source__record(struct input *in, const char *name, char *why, size_t why_len);
struct source *source__pcap(struct input *in, const char *name, char *why, size_t why_len);

#endif /* WEFT_SOURCE_FILE_H */
