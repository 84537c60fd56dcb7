// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers.h"

/* In order of evidence: the better first. */
const struct layer *const layer_table[] = {
	&layer_remote, &layer_socket, &layer_runtime, &layer_content, &layer_callback,
	&layer_thread, &layer_sdk, /* no evidence: who needs none */
	NULL,
};
