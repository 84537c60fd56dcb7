// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TCP ports that a process listens on: the listening sockets of its network namespace
 * (/proc/PID/net/tcp and tcp6) that are among its descriptors, matched by inode.
 */
#include "parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct listeners {
	struct listener *v;
	size_t n, size;
};

static bool add(void *listeners, const struct listener *found)
{
	struct listeners *l = listeners;

	if (l->n == l->size) {
		struct listener *more = realloc(l->v, (l->size + 64) * sizeof(*more));

		if (!more)
			return false;
		l->v = more;
		l->size += 64;
	}
	l->v[l->n++] = *found;
	return true;
}

static void take_port(struct process_info *p, uint16_t port)
{
	unsigned at = 0;

	while (at < p->n_ports && p->ports[at] < port)
		at++;
	if (p->n_ports == sizeof(p->ports) / sizeof(*p->ports) ||
	    (at < p->n_ports && p->ports[at] == port))
		return;
	memmove(p->ports + at + 1, p->ports + at, (p->n_ports - at) * sizeof(*p->ports));
	p->ports[at] = port;
	p->n_ports++;
}

static void take_descriptor(struct process_info *p, const struct listeners *l, const char *link)
{
	unsigned long long inode;

	if (strcmp(link, "anon_inode:[io_uring]") == 0) {
		p->uses_io_uring = true;
		return;
	}
	if (sscanf(link, "socket:[%llu]", &inode) != 1)
		return;
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].inode == inode)
			take_port(p, l->v[i].port);
}

/*
 * The listening sockets of a network namespace. Reading them may make the kernel walk all of its
 * table of connections (milliseconds), and most processes share one namespace: the last one read is
 * kept for a moment. Not for several threads at once.
 */
static const struct listeners *read_listeners(int dir)
{
	static struct listeners kept;
	static char kept_ns[64];
	static uint64_t kept_at;
	const uint64_t keep_ns = 200000000;
	struct timespec t;
	char ns[sizeof(kept_ns)];
	ssize_t n = readlinkat(dir, "ns/net", ns, sizeof(ns) - 1);

	ns[n > 0 ? n : 0] = '\0';
	clock_gettime(CLOCK_MONOTONIC, &t);
	uint64_t now = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;

	if (ns[0] && strcmp(ns, kept_ns) == 0 && now - kept_at < keep_ns)
		return &kept;
	kept.n = 0;
	(void)listeners__each(dir, "net/tcp", add, &kept);
	(void)listeners__each(dir, "net/tcp6", add, &kept);
	memcpy(kept_ns, ns, sizeof(ns));
	kept_at = now;
	return &kept;
}

void ports__read(int dir, struct process_info *p)
{
	int fd = openat(dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	char link[64];

	if (!d) {
		p->opaque |= errno == EACCES || errno == EPERM;
		if (fd >= 0)
			close(fd);
		return;
	}
	const struct listeners *l = read_listeners(dir);

	while ((e = readdir(d))) {
		ssize_t n = e->d_name[0] == '.'
				    ? -1
				    : readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);

		if (n <= 0)
			continue;
		link[n] = '\0';
		take_descriptor(p, l, link);
	}
	closedir(d);
}
