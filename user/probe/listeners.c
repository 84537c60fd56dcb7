// SPDX-License-Identifier: GPL-2.0-or-later
#include "inspector.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Counts one that has no room, and ends there. */
static bool add(void *listeners, const struct listener *l)
{
	struct listeners *out = listeners;

	if (out->n < LISTENERS_MAX)
		out->v[out->n] = *l;
	return out->n++ < LISTENERS_MAX;
}

int listeners__read(pid_t pid, struct listeners *out)
{
	char path[32];

	out->n = 0;
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return -errno;
	int err = listeners__each(dir, "net/tcp", add, out);

	if (!err) {
		err = listeners__each(dir, "net/tcp6", add, out);
		if (err == -ENOENT) /* a kernel without IPv6 */
			err = 0;
	}
	close(dir);
	if (out->n <= LISTENERS_MAX)
		return err;
	out->n = LISTENERS_MAX;
	return err ? err : -E2BIG;
}

bool listeners__holds(pid_t pid, uint64_t inode)
{
	char path[32], name[32], link[64];
	bool found = false;
	struct dirent *e;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	int len = snprintf(name, sizeof(name), "socket:[%llu]", (unsigned long long)inode);
	DIR *d = opendir(path);

	while (d && !found && (e = readdir(d))) {
		ssize_t n = e->d_name[0] == '.'
				    ? -1
				    : readlinkat(dirfd(d), e->d_name, link, sizeof(link));

		found = n == len && memcmp(link, name, (size_t)len) == 0;
	}
	if (d)
		closedir(d);
	return found;
}

void listener__name(const struct listener *l, char name[LISTENER_NAME_MAX])
{
	static const uint8_t any[16];
	char ip[INET6_ADDRSTRLEN] = "";

	if (memcmp(l->ip, any, l->v6 ? 16 : 4) == 0)
		snprintf(ip, sizeof(ip), "%s", l->v6 ? "::1" : "127.0.0.1");
	else
		inet_ntop(l->v6 ? AF_INET6 : AF_INET, l->ip, ip, sizeof(ip));
	snprintf(name, LISTENER_NAME_MAX, l->v6 ? "[%s]:%u" : "%s:%u", ip, l->port);
}
