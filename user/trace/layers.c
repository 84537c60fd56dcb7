// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers.h"

/*
 * In order of evidence: the better first; but hand-over before thread, which asks whether the call has
 * a request.
 */
const struct layer *const layer_table[] = {
	&layer_remote,  &layer_socket,   &layer_runtime,
	&layer_content, &layer_callback, &layer_handover,
	&layer_thread,  &layer_sdk, /* no evidence: who needs none */
	NULL,
};

_Static_assert(sizeof(layer_table) / sizeof(*layer_table) <= LAYERS_MAX, "layers_with is full");

void layers__sort(struct layers_with *with)
{
	size_t awake = 0, begin = 0, moved = 0, ended = 0, released = 0;

	*with = (struct layers_with){ 0 };
	for (size_t i = 0; layer_table[i]; i++) {
		const struct layer *l = layer_table[i];

		if (l->awake)
			with->awake[awake++] = l;
		if (l->begin)
			with->begin[begin++] = l;
		if (l->moved)
			with->moved[moved++] = l;
		if (l->ended)
			with->ended[ended++] = l;
		if (l->released)
			with->released[released++] = l;
	}
}
