// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The packet capture reader: any bytes as a capture file. What is handed over is valid, and every
 * connection opens once, before its events, and closes once, after them.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/source/record.h"
#include "user/source/source.h"

#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONNS 4096 /* an input of libFuzzer's size has no more packets */

struct seen {
	uint64_t n, conns, open;
	bool closed[CONNS];
	uint8_t sum;
};

static void see(void *ctx, const struct weft_event *ev)
{
	struct seen *s = ctx;
	const uint8_t *p = (const void *)ev;

	REQUIRE(event__valid(ev, ev->size));
	for (uint32_t i = 0; i < ev->size; i++)
		s->sum ^= p[i];
	REQUIRE((ev->kind == RECORD_CLOCK) == (s->n == 0));
	s->n++;
	if (ev->kind == RECORD_CLOCK)
		return;
	if (ev->kind == WEFT_EV_OPEN) {
		REQUIRE(ev->conn == ++s->conns && s->conns < CONNS);
		s->open++;
		return;
	}
	REQUIRE(ev->conn >= 1 && ev->conn <= s->conns && !s->closed[ev->conn]);
	REQUIRE(ev->kind != WEFT_EV_DATA || ((const struct weft_data *)ev)->len);
	if (ev->kind == WEFT_EV_CLOSE) {
		s->closed[ev->conn] = true;
		s->open--;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct seen seen;
	char path[40], why[600];
	int fd = memfd_create("fuzz", 0), n;

	if (size > 65536 || (size && data[0] == 'w')) {
		close(fd);
		return 0;
	}
	REQUIRE(fd >= 0);
	memset(&seen, 0, sizeof(seen));
	REQUIRE(write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct source *s = source__file(path, why, sizeof(why));

	for (uint64_t polls = 0; s; polls++) {
		REQUIRE(polls <= size);
		n = source__poll(s, see, &seen, 3);
		REQUIRE(n != 0 && n <= 3);
		if (n > 0)
			continue;
		REQUIRE(n == -ENODATA || (n == -EBADMSG && s->error[0]));
		REQUIRE(s->received == seen.n && seen.open == 0);
		source__close(s);
		s = NULL;
	}
	close(fd);
	return 0;
}
