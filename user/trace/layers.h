/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WEFT_LAYERS_H
#define WEFT_LAYERS_H

#include "node.h"

extern const struct layer layer_remote, layer_socket, layer_runtime, layer_content, layer_callback,
	layer_thread, layer_handover, layer_sdk;

#endif
