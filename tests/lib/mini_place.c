// SPDX-License-Identifier: GPL-2.0-or-later
#include "mini_place.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static void make_room(struct mini_shelf *s, size_t n)
{
	size_t page = page_size(), room = (n / page + 1) * page;

	if (s->guard && s->room >= n)
		return;
	mini_shelf__free(s);
	s->guard = mmap(NULL, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->guard == MAP_FAILED || mprotect(s->guard + page, room, PROT_READ | PROT_WRITE))
		abort();
	s->room = room;
}

uint8_t *mini_shelf__show(struct mini_shelf *s, const uint8_t *data, size_t n)
{
	uint8_t *at;

	if (s->place == MINI_HEAP) {
		at = malloc(n);
		if (!at)
			abort();
	} else {
		make_room(s, n);
		at = s->guard + page_size() + (s->place == MINI_GUARD_END ? s->room - n : 0);
	}
	memcpy(at, data, n);
	return at;
}

void mini_shelf__hide(struct mini_shelf *s, uint8_t *shown, size_t n)
{
	memset(shown, 0xdb, n);
	if (s->place == MINI_HEAP)
		free(shown);
}

void mini_shelf__free(struct mini_shelf *s)
{
	if (s->guard)
		munmap(s->guard, s->room + 2 * page_size());
	s->guard = NULL;
}
