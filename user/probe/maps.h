/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files of which a process has mapped code, and how to open exactly these.
 *
 * A uprobe sits on a file (an inode), and the kernel takes a path for it. The path that maps shows
 * is no good for that: it may be another mount namespace's, the file may have been deleted, or
 * replaced by an update. So a file is opened (maps__open), seen to be the mapped one, and named to
 * the kernel as /proc/self/fd/N (maps__attach_path): perf uprobes and uprobe_multi both follow that
 * link, for deleted files and memfds too, and nobody can exchange the file between look and attach.
 * (/proc/PID/map_files/A-B works as well, as long as the mapping stays; /proc/PID/root/... does
 * until the file is deleted.) The descriptor may be closed once it is attached.
 */
#ifndef WEFT_MAPS_H
#define WEFT_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct map_file {
	uint64_t dev; /* as maps shows it, makedev(); may not be stat's (overlayfs, btrfs) */
	uint64_t ino;
	const char *path; /* as the process sees it, without " (deleted)"; valid during the call */
	bool deleted;
	uint64_t start, end; /* first executable mapping, addresses in the process */
	uint64_t offset;     /* where in the file that begins */
};

/*
 * Calls fn once for every distinct file (dev, ino) of which the process has an executable mapping,
 * in order of address, until fn returns false. Files only: no anonymous memory, no vdso; memfds
 * are ("/memfd:name", deleted). Returns how many calls were made, or negative errno: -ESRCH no such
 * process, -EACCES not allowed to look.
 */
int maps__each(pid_t pid, bool (*fn)(void *ctx, const struct map_file *f), void *ctx);

/*
 * Open the mapped file for reading: /proc/PID/map_files first, which needs CAP_SYS_ADMIN or
 * CAP_CHECKPOINT_RESTORE, then its path below /proc/PID/root, then its path here. What opens is
 * compared with what is mapped. Returns a descriptor, the caller's, or negative errno: -ESTALE
 * where only another file could be opened, -ESRCH the process or the mapping is gone.
 */
int maps__open(pid_t pid, const struct map_file *f);

/*
 * Which file the kernel would put a uprobe on: equal (memcmp) for two descriptors of one file. On
 * overlayfs the same lower file has another (dev, ino) in maps for each container that shares it,
 * and yet a uprobe on one is a uprobe on all: those are equal here.
 */
struct map_identity {
	uint64_t dev, ino, size, mtime;
};

/* 0 or negative errno; -EINVAL: not a regular file, which can't be attached to. */
int maps__identity(int fd, struct map_identity *out);

/* The path by which to attach to an open file: "/proc/self/fd/N". */
#define MAPS_ATTACH_PATH_MAX 32
void maps__attach_path(int fd, char path[MAPS_ATTACH_PATH_MAX]);

#endif /* WEFT_MAPS_H */
