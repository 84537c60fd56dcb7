// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A classic tracepoint is attached by its number, and only tracefs tells the number. Where tracefs
 * is not mounted, fsmount() gives an instance of it that is attached nowhere: nobody else sees it,
 * and it is gone with its descriptor.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

static const char *const places[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };

static int tracefs__open_detached(void)
{
	int fs = syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC), mnt;

	if (fs < 0)
		return -errno;
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
		mnt = -errno;
	} else {
		mnt = syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
		if (mnt < 0)
			mnt = -errno;
	}
	close(fs);
	return mnt;
}

static int tracefs__open_mounted(void)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int fd = open(places[i], O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (fd < 0)
			continue;
		if (!faccessat(fd, "events", F_OK, 0))
			return fd;
		close(fd);
	}
	return -ENOENT;
}

bool tracefs__mounted(void)
{
	int fd = tracefs__open_mounted();

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int tracefs__read_id(int root, const char *event)
{
	char path[160], text[32] = "";
	int fd, id = -ENOENT;

	snprintf(path, sizeof(path), "events/%s/id", event);
	fd = openat(root, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (read(fd, text, sizeof(text) - 1) > 0)
		id = atoi(text);
	close(fd);
	return id;
}

int tracefs__event_id(const char *event)
{
	int root = tracefs__open_mounted(), id;

	if (root < 0)
		root = tracefs__open_detached();
	if (root < 0)
		return root;
	id = tracefs__read_id(root, event);
	close(root);
	return id;
}

struct bpf_link *tracefs__attach(struct bpf_program *prog, const char *event)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr) };
	int id = tracefs__event_id(event), pfd;
	struct bpf_link *link;

	if (id < 0) {
		errno = -id;
		return NULL;
	}
	attr.config = id;
	pfd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (pfd < 0)
		return NULL;
	link = bpf_program__attach_perf_event(prog, pfd);
	if (!link) {
		int err = errno;

		close(pfd);
		errno = err;
	}
	return link; /* owns pfd */
}
