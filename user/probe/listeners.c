// SPDX-License-Identifier: GPL-2.0-or-later
#include "inspector.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
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

/* The kernel writes listening sockets first. */
static int read_table(pid_t pid, const char *name, struct listeners *out)
{
	char path[48], line[512], hex[40];
	int err = 0;

	snprintf(path, sizeof(path), "/proc/%d/net/%s", (int)pid, name);
	FILE *f = fopen(path, "re");

	if (!f)
		return -errno;
	if (!fgets(line, sizeof(line), f)) /* the heading */
		line[0] = '\0';
	while (!err && fgets(line, sizeof(line), f)) {
		struct listener l = { 0 };
		unsigned port, state;
		unsigned long long inode;

		if (sscanf(line,
			   " %*d: %39[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %*u %*d %llu",
			   hex, &port, &state, &inode) != 4)
			continue;
		if (state != STATE_LISTEN)
			break;
		l.inode = inode;
		l.port = (uint16_t)port;
		if (!read_ip(hex, &l))
			continue;
		if (out->n == LISTENERS_MAX)
			err = -E2BIG;
		else
			out->v[out->n++] = l;
	}
	fclose(f);
	return err;
}

int listeners__read(pid_t pid, struct listeners *out)
{
	out->n = 0;
	int err = read_table(pid, "tcp", out);

	if (err)
		return err;
	err = read_table(pid, "tcp6", out);
	return err == -ENOENT ? 0 : err; /* a kernel without IPv6 */
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
