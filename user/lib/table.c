// SPDX-License-Identifier: GPL-2.0-or-later
#include "table.h"

#include <stdlib.h>

#define SIZE_MIN 64

static size_t home(const struct table *t, uint64_t key)
{
	return table__mix(0, key) & (t->size - 1);
}

static struct table_slot *find(const struct table *t, uint64_t key)
{
	size_t i = home(t, key);

	while (t->slots[i].value && t->slots[i].key != key)
		i = (i + 1) & (t->size - 1);
	return &t->slots[i];
}

static bool resize(struct table *t, size_t size)
{
	struct table bigger = {
		.slots = calloc(size, sizeof(*bigger.slots)),
		.size = size,
		.used = t->used,
	};

	if (!bigger.slots)
		return false;
	for (size_t i = 0; i < t->size; i++)
		if (t->slots[i].value)
			*find(&bigger, t->slots[i].key) = t->slots[i];
	free(t->slots);
	*t = bigger;
	return true;
}

void table__free(struct table *t)
{
	free(t->slots);
	*t = (struct table){ 0 };
}

bool table__put(struct table *t, uint64_t key, void *value)
{
	if (t->used * 4 >= t->size * 3 && !resize(t, t->size ? t->size * 2 : SIZE_MIN))
		return false;
	struct table_slot *s = find(t, key);

	if (!s->value)
		t->used++;
	*s = (struct table_slot){ .key = key, .value = value };
	return true;
}

void *table__take(struct table *t, uint64_t key)
{
	if (!t->used)
		return NULL;
	struct table_slot *hole = find(t, key);
	void *value = hole->value;

	if (!value)
		return NULL;
	t->used--;
	/* Close the hole: move back every follower whose way from home leads through it. */
	size_t h = (size_t)(hole - t->slots), i = h;

	for (;;) {
		i = (i + 1) & (t->size - 1);
		if (!t->slots[i].value)
			break;
		size_t want = home(t, t->slots[i].key);

		if (((i - want) & (t->size - 1)) >= ((i - h) & (t->size - 1))) {
			t->slots[h] = t->slots[i];
			h = i;
		}
	}
	t->slots[h].value = NULL;
	/* Give memory back after a peak. */
	if (t->size > SIZE_MIN && t->used * 8 < t->size)
		(void)resize(t, t->size / 2);
	return value;
}

void table__each(const struct table *t, void (*fn)(void *ctx, uint64_t key, void *value), void *ctx)
{
	for (size_t i = 0; i < t->size; i++)
		if (t->slots[i].value)
			fn(ctx, t->slots[i].key, t->slots[i].value);
}
