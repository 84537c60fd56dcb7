// SPDX-License-Identifier: GPL-2.0-or-later
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define STATE_LISTEN 0x0a

/* Addresses are written as 32-bit words in host order, whose bytes are in network order. */
static bool read_ip(const char *hex, struct listener *l)
{
	size_t words = strlen(hex) / 8;
	uint32_t word;

	if (words != 1 && words != 4)
		return false;
	l->v6 = words == 4;
	for (size_t i = 0; i < words; i++) {
		if (sscanf(hex + 8 * i, "%8x", &word) != 1)
			return false;
		memcpy(l->ip + 4 * i, &word, 4);
	}
	return true;
}

int listeners__each(int dir, const char *table, bool (*take)(void *ctx, const struct listener *l),
		    void *ctx)
{
	int fd = openat(dir, table, O_RDONLY | O_CLOEXEC), err;
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char line[512], hex[40];

	if (!f) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return err;
	}
	if (!fgets(line, sizeof(line), f)) /* the heading */
		line[0] = '\0';
	while (fgets(line, sizeof(line), f)) {
		struct listener l = { 0 };
		unsigned port, state;
		unsigned long long inode;

		/* sl local:port remote:port st queues timer retransmits uid timeout inode */
		if (sscanf(line,
			   " %*d: %39[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %*u %*d %llu",
			   hex, &port, &state, &inode) != 4)
			continue;
		if (state != STATE_LISTEN)
			break;
		l.inode = inode;
		l.port = (uint16_t)port;
		if (read_ip(hex, &l) && !take(ctx, &l))
			break;
	}
	fclose(f);
	return 0;
}
