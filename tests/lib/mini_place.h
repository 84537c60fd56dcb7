/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where bytes lie that a parser is shown, so that a read beyond them is a crash. */
#ifndef WEFT_TEST_MINI_PLACE_H
#define WEFT_TEST_MINI_PLACE_H

#include <stddef.h>
#include <stdint.h>

enum mini_place {
	MINI_GUARD_END,   /* they end where an unreadable page begins */
	MINI_GUARD_START, /* they begin where an unreadable page ends */
	MINI_HEAP,        /* a heap block of exactly their size, for ASan and valgrind */
	MINI_PLACES,
};

struct mini_shelf {
	enum mini_place place;
	uint8_t *guard; /* mapping: unreadable page, `room` bytes, unreadable page */
	size_t room;
};

/* A copy of the bytes in the shelf's place; valid until mini_shelf__hide(). One at a time. */
uint8_t *mini_shelf__show(struct mini_shelf *s, const uint8_t *data, size_t n);
/* Overwrites the copy: whoever kept a pointer into it shall notice. */
void mini_shelf__hide(struct mini_shelf *s, uint8_t *shown, size_t n);
void mini_shelf__free(struct mini_shelf *s);

#endif
