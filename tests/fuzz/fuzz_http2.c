// SPDX-License-Identifier: GPL-2.0-or-later
#include "protocol_fuzz.h"

extern const struct protocol protocol_http2;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_protocol(&protocol_http2, data, size);
}
