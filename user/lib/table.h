/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hash table from 64-bit keys to pointers, with open addressing. It owns neither keys' meaning
 * nor values.
 */
#ifndef WEFT_TABLE_H
#define WEFT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_slot {
	uint64_t key;
	void *value; /* NULL: free */
};

struct table {
	struct table_slot *slots;
	size_t size; /* a power of two, or 0 */
	size_t used;
};

/* A zeroed struct table is an empty table. */
void table__free(struct table *t);

/* A good mix of 64 bits, for making keys out of several numbers. */
static inline uint64_t table__mix(uint64_t h, uint64_t v)
{
	h ^= v + 0x9e3779b97f4a7c15ull + (h << 6) + (h >> 2);
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93ull;
	return h ^ (h >> 29);
}

/* NULL if the key is not there. */
static inline void *table__get(const struct table *t, uint64_t key)
{
	/* Many are empty most of the time: then nothing is computed. */
	if (!t->used)
		return NULL;
	size_t i = table__mix(0, key) & (t->size - 1);

	while (t->slots[i].value && t->slots[i].key != key)
		i = (i + 1) & (t->size - 1);
	return t->slots[i].value;
}

/*
 * `value` must not be NULL; replaces what was there. False when memory is out (the table is
 * unchanged).
 */
bool table__put(struct table *t, uint64_t key, void *value);
/* Takes the key out and returns its value, NULL if it was not there. */
void *table__take(struct table *t, uint64_t key);
/* Calls fn for every entry; fn must not change the table. */
void table__each(const struct table *t, void (*fn)(void *ctx, uint64_t key, void *value),
		 void *ctx);

#endif
