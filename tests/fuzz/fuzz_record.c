// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The event reader: any bytes as a recorded file. What is handed over is whole and valid, in order,
 * and its bytes are all readable; the reader ends.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/source/record.h"
#include "user/source/source.h"

#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void see(void *ctx, const struct weft_event *ev)
{
	uint64_t *sum = ctx;
	const uint8_t *p = (const void *)ev;

	REQUIRE((uintptr_t)ev % 8 == 0);
	REQUIRE(ev->size <= RECORD_SIZE_MAX && event__valid(ev, ev->size));
	for (uint32_t i = 0; i < ev->size; i++)
		sum[1] += p[i];
	sum[0]++;
}

/* Whatever is not a recording would be tried as a packet capture: that is fuzz_pcap's. */
static const uint8_t header[16] = { 'w',      'e', 'f', 't', 'r', 'e', 'c', '\n',
				    WEFT_ABI, 0,   0,   0,   4,   3,   2,   1 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t sum[2] = { 0 };
	char path[40], why[300];
	int fd = memfd_create("fuzz", 0), n;

	REQUIRE(fd >= 0);
	/* An even first byte: the header is whole, and the rest of the input are records. */
	if (size && data[0] % 2 == 0) {
		REQUIRE(write(fd, header, sizeof(header)) == sizeof(header));
		data++;
		size--;
	}
	REQUIRE(write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct source *s = source__file(path, why, sizeof(why));

	for (uint64_t polls = 0; s; polls++) {
		REQUIRE(polls <= size);
		n = source__poll(s, see, sum, 3);
		REQUIRE(n != 0 && n <= 3);
		if (n > 0)
			continue;
		REQUIRE(n == -ENODATA || (n == -EBADMSG && s->error[0]));
		REQUIRE(s->received == sum[0]);
		source__close(s);
		s = NULL;
	}
	close(fd);
	return 0;
}
