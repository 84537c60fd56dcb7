// SPDX-License-Identifier: GPL-2.0-or-later
#include "otlp.h"

#include <errno.h>
#include <stdlib.h>

#define NO_GROUP UINT32_MAX

/*
 * Where in `table` (a power of two in size, never full) the group of this resource is, or would be.
 */
static size_t slot_of(const struct otlp_groups *g, const uint32_t *table, size_t mask,
		      const struct resource *r)
{
	size_t i = ((uintptr_t)r >> 4) * 0x9e3779b97f4a7c15 >> 20 & mask;

	while (table[i] != NO_GROUP && g->v[table[i]].resource != r)
		i = (i + 1) & mask;
	return i;
}

/* group_of[i] becomes the group of span i; groups get their sizes. */
static void assign(struct otlp_groups *g, struct span *const *spans, size_t n, uint32_t *group_of,
		   uint32_t *table, size_t mask)
{
	for (size_t i = 0; i <= mask; i++)
		table[i] = NO_GROUP;
	for (size_t i = 0; i < n; i++) {
		size_t slot = slot_of(g, table, mask, spans[i]->resource);

		if (table[slot] == NO_GROUP) {
			table[slot] = (uint32_t)g->n;
			g->v[g->n++] = (struct otlp_group){ .resource = spans[i]->resource };
		}
		group_of[i] = table[slot];
		g->v[table[slot]].n++;
	}
}

int otlp_groups__make(struct span *const *spans, size_t n, struct otlp_groups *g)
{
	size_t size = 8;

	while (size < 2 * n)
		size *= 2;
	*g = (struct otlp_groups){ .v = calloc(n + 1, sizeof(*g->v)),
				   .spans = calloc(n + 1, sizeof(struct span *)) };
	uint32_t *index = malloc((n + size) * sizeof(*index));

	if (!g->v || !g->spans || !index || n >= NO_GROUP) {
		free(index);
		return -ENOMEM;
	}
	assign(g, spans, n, index, index + n, size - 1);
	for (size_t i = 0, first = 0; i < g->n; i++) {
		g->v[i].first = first;
		first += g->v[i].n;
		g->v[i].n = 0;
	}
	for (size_t i = 0; i < n; i++) {
		struct otlp_group *group = &g->v[index[i]];

		g->spans[group->first + group->n++] = spans[i];
	}
	free(index);
	return 0;
}

void otlp_groups__free(struct otlp_groups *g)
{
	free(g->v);
	free(g->spans);
	*g = (struct otlp_groups){ 0 };
}

void otlp_answer__set_message(struct otlp_answer *out, const void *p, size_t n)
{
	const unsigned char *text = p;
	size_t len = 0;

	for (size_t i = 0; i < n && len < sizeof(out->message) - 1; i++) {
		if (text[i] > 0x20 && text[i] < 0x7f)
			out->message[len++] = (char)text[i];
		else if (text[i] >= 0x80)
			out->message[len++] = '?';
		else if (len && out->message[len - 1] != ' ')
			out->message[len++] = ' ';
	}
	while (len && out->message[len - 1] == ' ')
		len--;
	out->message[len] = '\0';
}
