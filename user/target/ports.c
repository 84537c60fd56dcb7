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
#include <unistd.h>

#define STATE_LISTEN 0x0a

struct listener {
	uint64_t inode;
	uint16_t port;
};

struct listeners {
	struct listener *v;
	size_t n, size;
};

static bool add(struct listeners *l, uint64_t inode, uint16_t port)
{
	if (l->n == l->size) {
		struct listener *more = realloc(l->v, (l->size + 64) * sizeof(*more));

		if (!more)
			return false;
		l->v = more;
		l->size += 64;
	}
	l->v[l->n++] = (struct listener){ inode, port };
	return true;
}

/*
 * The kernel writes listening sockets first; reading ends at the first other one, however many
 * connections there are.
 */
static void read_table(int dir, const char *name, struct listeners *l)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char line[512];

	if (!f) {
		if (fd >= 0)
			close(fd);
		return;
	}
	bool first = true;

	while (fgets(line, sizeof(line), f)) {
		unsigned port, state;
		unsigned long long inode;

		if (first) { /* the heading */
			first = false;
			continue;
		}
		/* sl local:port remote:port st queues timer retransmits uid timeout inode */
		if (sscanf(line,
			   " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x %*u %*d %llu",
			   &port, &state, &inode) != 3)
			continue;
		if (state != STATE_LISTEN || !add(l, inode, (uint16_t)port))
			break;
	}
	fclose(f);
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

void ports__read(int dir, struct process_info *p)
{
	struct listeners l = { 0 };
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
	read_table(dir, "net/tcp", &l);
	read_table(dir, "net/tcp6", &l);
	while ((e = readdir(d))) {
		ssize_t n = e->d_name[0] == '.'
				    ? -1
				    : readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);

		if (n <= 0)
			continue;
		link[n] = '\0';
		take_descriptor(p, &l, link);
	}
	closedir(d);
	free(l.v);
}
