// SPDX-License-Identifier: GPL-2.0-or-later
/* TLS seen from outside: detection and hellos, over any bytes. */
#include <stdlib.h>
#include <string.h>

#include "user/conn/tls_record.h"
#include "user/proto/tls.h"

#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(const char *name, size_t room)
{
	size_t n = strnlen(name, room);

	REQUIRE(n < room);
	for (size_t i = 0; i < n; i++)
		REQUIRE(name[i] > ' ' && name[i] <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conn_tls part = { 0 }, whole = { 0 };
	struct tls_record r;

	if (!size)
		return 0;
	enum detect_result d = tls__detect(data, size);

	REQUIRE(d == DETECT_NO || d == DETECT_MORE || d == DETECT_REQ);
	if (d == DETECT_REQ)
		REQUIRE(tls_record__read(data, size, &r) && r.len <= TLS_BODY_MAX);
	bool done = tls__hello(data, size, false, &part);

	REQUIRE(tls__hello(data, size, true, &whole));
	/* Nothing was written before all was here, and then the same. */
	if (!done)
		REQUIRE(!part.version && !part.server_name[0] && !part.next_protocol[0]);
	else
		REQUIRE(!memcmp(&part, &whole, sizeof(part)));
	check_name(whole.server_name, sizeof(whole.server_name));
	check_name(whole.next_protocol, sizeof(whole.next_protocol));
	return 0;
}
