// SPDX-License-Identifier: GPL-2.0-or-later
/* Executable mappings out of /proc/PID/maps, and the files behind them. */
#include "maps.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../lib/table.h"

/* The files that were seen so far: a hash table of (dev, ino), size a power of two; ino 0 is free. */
struct seen {
	struct seen_file {
		uint64_t dev, ino;
	} * files;
	size_t size, used;
};

static struct seen_file *slot(const struct seen *s, uint64_t dev, uint64_t ino)
{
	size_t i = table__mix(dev, ino) & (s->size - 1);

	while (s->files[i].ino && (s->files[i].ino != ino || s->files[i].dev != dev))
		i = (i + 1) & (s->size - 1);
	return &s->files[i];
}

static bool grow(struct seen *s)
{
	struct seen more = { .size = s->size ? 2 * s->size : 128, .used = s->used };

	more.files = calloc(more.size, sizeof(*more.files));
	if (!more.files)
		return false;
	for (size_t i = 0; i < s->size; i++)
		if (s->files[i].ino)
			*slot(&more, s->files[i].dev, s->files[i].ino) = s->files[i];
	free(s->files);
	*s = more;
	return true;
}

/* 1 if it is new, 0 if it was there, -ENOMEM. */
static int see(struct seen *s, uint64_t dev, uint64_t ino)
{
	if (2 * s->used >= s->size && !grow(s))
		return -ENOMEM;
	struct seen_file *f = slot(s, dev, ino);

	if (f->ino)
		return 0;
	*f = (struct seen_file){ .dev = dev, .ino = ino };
	s->used++;
	return 1;
}

/* A line break in a path stands as \012 in maps; all else stands as it is. */
static void unescape(char *path)
{
	char *to = path;

	for (const char *from = path; *from; to++) {
		if (strncmp(from, "\\012", 4) == 0) {
			*to = '\n';
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* Memory that is a file in the kernel's eyes alone. */
static bool no_file(const char *path)
{
	return strncmp(path, "/SYSV", 5) == 0 || strcmp(path, "/dev/zero") == 0 ||
	       strcmp(path, "/anon_hugepage") == 0;
}

/* One line of maps; false if it is no executable mapping of a file. `path` stays in the line. */
static bool parse(char *line, struct map_file *f)
{
	static const char deleted[] = " (deleted)";
	unsigned major, minor;
	char perms[5];
	int n = -1;

	*f = (struct map_file){ 0 };
	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n", &f->start,
		   &f->end, perms, &f->offset, &major, &minor, &f->ino, &n) != 7 ||
	    n < 0 || strlen(perms) != 4 || perms[2] != 'x' || !f->ino || line[n] != '/')
		return false;
	char *path = line + n;
	size_t len = strcspn(path, "\n");

	path[len] = '\0';
	if (len > sizeof(deleted) - 1 && strcmp(path + len - (sizeof(deleted) - 1), deleted) == 0) {
		path[len - (sizeof(deleted) - 1)] = '\0';
		f->deleted = true;
	}
	unescape(path);
	f->path = path;
	f->dev = makedev(major, minor);
	return !no_file(path);
}

int maps__each(pid_t pid, bool (*fn)(void *ctx, const struct map_file *f), void *ctx)
{
	struct seen seen = { 0 };
	char name[64], *line = NULL;
	size_t size = 0;
	int calls = 0, err = 0;

	snprintf(name, sizeof(name), "/proc/%d/maps", (int)pid);
	FILE *maps = fopen(name, "re");

	if (!maps)
		return errno == ENOENT ? -ESRCH : errno == EPERM ? -EACCES : -errno;
	while (errno = 0, getline(&line, &size, maps) > 0) {
		struct map_file f;

		if (!parse(line, &f))
			continue;
		int is_new = see(&seen, f.dev, f.ino);

		if (is_new < 0) {
			err = is_new;
			break;
		}
		if (!is_new)
			continue;
		calls++;
		if (!fn(ctx, &f))
			break;
	}
	/* It may have ended meanwhile: what was seen of it counts. */
	if (ferror(maps) && !calls)
		err = errno == EPERM ? -EACCES : errno ? -errno : -EIO;
	fclose(maps);
	free(line);
	free(seen.files);
	return err ? err : calls;
}

/*
 * Is what was opened what is mapped? Where stat and maps name files differently (overlayfs, btrfs),
 * a mapping of our own shows how maps names this one. It is never touched.
 */
static bool is_mapped_file(int fd, const struct map_file *f)
{
	struct stat st;
	bool same = false;

	if (fstat(fd, &st) != 0)
		return false;
	if (st.st_ino == f->ino && st.st_dev == f->dev)
		return true;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *at = mmap(NULL, page, PROT_READ, MAP_PRIVATE, fd, 0);

	if (at == MAP_FAILED)
		return false;
	FILE *maps = fopen("/proc/self/maps", "re");
	char *line = NULL;
	size_t size = 0;

	while (maps && getline(&line, &size, maps) > 0) {
		uint64_t start, end, ino;
		unsigned major, minor;

		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*s %*x %x:%x %" SCNu64, &start, &end,
			   &major, &minor, &ino) != 5 ||
		    (uintptr_t)at < start || (uintptr_t)at >= end)
			continue;
		same = ino == f->ino && makedev(major, minor) == f->dev;
		break;
	}
	free(line);
	if (maps)
		fclose(maps);
	munmap(at, page);
	return same;
}

/*
 * Returns a descriptor, or a negative errno. Looked at before it is opened: a device, which somebody
 * may have put there, would notice.
 */
static int open_if_mapped(const char *path, const struct map_file *f)
{
	char self[MAPS_ATTACH_PATH_MAX];
	struct stat st;
	int at = open(path, O_PATH | O_CLOEXEC);
	int fd = -ESTALE;

	if (at < 0)
		return -errno;
	if (fstat(at, &st) == 0 && S_ISREG(st.st_mode)) {
		maps__attach_path(at, self);
		fd = open(self, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
	}
	close(at);
	if (fd < 0 || is_mapped_file(fd, f))
		return fd;
	close(fd);
	return -ESTALE;
}

int maps__open(pid_t pid, const struct map_file *f)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)pid, f->start,
		 f->end);
	int first = open_if_mapped(path, f);

	if (first >= 0)
		return first;
	/* Another mapping may have come to that place; the file may still be there by its name. */
	int n = snprintf(path, sizeof(path), "/proc/%d/root%s", (int)pid, f->path);
	int second = n > 0 && (size_t)n < sizeof(path) ? open_if_mapped(path, f) : -ENAMETOOLONG;

	if (second >= 0)
		return second;
	/* In a chroot maps shows the path as we see it, from our root. */
	int third = open_if_mapped(f->path, f);

	if (third >= 0)
		return third;
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (access(path, F_OK) != 0)
		return -ESRCH;
	if (first == -EPERM || first == -EACCES || second == -EACCES)
		return -EACCES;
	return second == -ESTALE || third == -ESTALE ? -ESTALE : first;
}

int maps__identity(int fd, struct map_identity *out)
{
	struct statfs fs;
	struct stat st;

	*out = (struct map_identity){ 0 };
	if (fstat(fd, &st) != 0 || fstatfs(fd, &fs) != 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	out->ino = st.st_ino;
	/*
	 * An overlay gives a file that was not changed the inode number of the lower file, on which
	 * the uprobe is (d_real_inode() in the kernel), and a device of its own. Size and time of
	 * change stand for the device.
	 */
	if ((unsigned long)fs.f_type == OVERLAYFS_SUPER_MAGIC) {
		out->size = (uint64_t)st.st_size;
		out->mtime = (uint64_t)st.st_mtim.tv_sec * 1000000000 +
			     (uint64_t)st.st_mtim.tv_nsec;
	} else {
		out->dev = st.st_dev;
	}
	return 0;
}

void maps__attach_path(int fd, char path[MAPS_ATTACH_PATH_MAX])
{
	snprintf(path, MAPS_ATTACH_PATH_MAX, "/proc/self/fd/%d", fd);
}
