// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Separate debug files, as gdb looks for them: by build id below /usr/lib/debug/.build-id, and by
 * the name in section .gnu_debuglink. One that is not this file's is not used: the build ids must
 * agree, or, for files without, the checksum in .gnu_debuglink.
 *
 * All names are looked up below the process's root, symbolic links included: what a container has
 * lying there can't lead us out of it.
 */
#include "elf_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CHECKED_MAX (1ull << 30) /* of a file that is checksummed */

struct link {
	char *name; /* of the debug file, without directory */
	uint32_t crc;
};

/* A regular file below root, or -1: a device would already notice that it is opened. */
static int open_below(int root, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
	int at = (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
	char self[32];
	struct stat st;
	int fd = -1;

	if (at < 0)
		return -1;
	if (fstat(at, &st) == 0 && S_ISREG(st.st_mode)) {
		snprintf(self, sizeof(self), "/proc/self/fd/%d", at);
		fd = open(self, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	}
	close(at);
	return fd;
}

static bool read_link(const struct elf_image *file, struct link *l)
{
	const struct elf_section *s = elf_image__section(file, ".gnu_debuglink", SHT_PROGBITS);

	if (!s)
		return false;
	uint8_t *p = elf_image__load(file, s->offset, s->size, NAME_MAX + 16);

	if (!p)
		return false;
	size_t len = strlen((char *)p);
	size_t at = (len + 4) & ~(size_t)3;

	/* the name, its NUL, up to a multiple of four, the checksum */
	if (len && !strchr((char *)p, '/') && at + 4 <= s->size) {
		memcpy(&l->crc, p + at, sizeof(l->crc));
		l->name = (char *)p;
		return true;
	}
	free(p);
	return false;
}

static bool crc_agrees(const struct elf_image *debug, uint32_t crc)
{
	size_t piece = 256 << 10;
	uint8_t *buf = debug->size <= CHECKED_MAX ? malloc(piece) : NULL;
	uint32_t sum = 0;
	bool ok = buf != NULL;

	for (uint64_t at = 0; ok && at < debug->size; at += piece) {
		size_t n = debug->size - at < piece ? debug->size - at : piece;

		ok = elf_image__read(debug, at, buf, n);
		if (ok)
			sum = lzma_crc32(buf, n, sum); /* the same polynomial as .gnu_debuglink's */
	}
	free(buf);
	return ok && sum == crc;
}

/* 1: the file was ours and was read, 0: not; or a negative errno. `l` NULL: by build id. */
static int try_file(const struct elf_image *file, const char *build_id, int root, const char *path,
		    const struct link *l, struct elf_wanted *w)
{
	struct elf_image debug;
	char why[80], id[130];
	int fd = open_below(root, path);
	int ret = 0;

	if (fd < 0)
		return 0;
	if (elf_image__open(&debug, fd, why, sizeof(why)) == 0) {
		elf_image__build_id(&debug, id, sizeof(id));
		bool ours = build_id[0] ? strcmp(id, build_id) == 0
					: l && crc_agrees(&debug, l->crc);

		if (ours) {
			ret = elf_symbols__read(&debug, SHT_SYMTAB, file, w, ELF_DEBUG_FILE);
			ret = ret < 0 ? ret : 1;
		}
		elf_image__close(&debug);
	}
	close(fd);
	return ret;
}

/* The directory of the file as its process knows it, with a '/' at the end. */
static bool own_directory(const struct elf_image *file, char *dir, size_t size)
{
	char self[32];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", file->fd);
	ssize_t n = readlink(self, dir, size - 1);

	if (n <= 0 || (size_t)n >= size - 1 || dir[0] != '/')
		return false;
	dir[n] = '\0';
	*(strrchr(dir, '/') + 1) = '\0';
	return true;
}

static int by_link(const struct elf_image *file, const char *build_id, int root,
		   struct elf_wanted *w)
{
	static const char *const patterns[][2] = { { "", "" },
						   { "", ".debug/" },
						   { "/usr/lib/debug", "" } };
	char dir[PATH_MAX], path[PATH_MAX + NAME_MAX + 32];
	struct link l;
	int ret = 0;

	if (!own_directory(file, dir, sizeof(dir)) || !read_link(file, &l))
		return 0;
	for (size_t i = 0; !ret && i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		int n = snprintf(path, sizeof(path), "%s%s%s%s", patterns[i][0], dir,
				 patterns[i][1], l.name);

		if (n > 0 && (size_t)n < sizeof(path))
			ret = try_file(file, build_id, root, path, &l, w);
	}
	free(l.name);
	return ret;
}

int elf_debug__find(const struct elf_image *file, const char *build_id, const char *root,
		    struct elf_wanted *w)
{
	int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char path[256];
	int ret = 0;

	if (dir < 0)
		return 0;
	if (strlen(build_id) > 2) {
		snprintf(path, sizeof(path), "/usr/lib/debug/.build-id/%.2s/%s.debug", build_id,
			 build_id + 2);
		ret = try_file(file, build_id, dir, path, NULL, w);
	}
	if (!ret)
		ret = by_link(file, build_id, dir, w);
	close(dir);
	return ret;
}
