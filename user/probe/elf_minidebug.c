// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Mini-debuginfo (Fedora's and its relatives' files have it): section .gnu_debugdata is a whole ELF
 * file, xz-compressed, with a .symtab of the functions that .dynsym does not name. It is unpacked
 * into a file in memory, no further than a limit, and read as any other.
 */
#include "elf_parts.h"

#include <errno.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PACKED_MAX (64ull << 20)
#define UNPACKED_MAX (64ull << 20)
#define DECODER_MEMORY (96ull << 20) /* xz -9 needs 65 MB, what distributions use 9 MB */
#define PIECE (64u << 10)

static bool write_all(int fd, const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t done = write(fd, p, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

/* 0 when the stream came to its end. */
static int unpack(const struct elf_image *img, const struct elf_section *s, lzma_stream *xz, int to)
{
	uint8_t *in = malloc(PIECE), *out = malloc(PIECE);
	uint64_t at = 0, total = 0;
	int err = in && out ? 1 : -ENOMEM;

	while (err > 0) {
		if (!xz->avail_in && at < s->size) {
			size_t n = s->size - at < PIECE ? s->size - at : PIECE;

			if (!elf_image__read(img, s->offset + at, in, n)) {
				err = -EBADMSG;
				break;
			}
			xz->next_in = in;
			xz->avail_in = n;
			at += n;
		}
		xz->next_out = out;
		xz->avail_out = PIECE;
		lzma_ret ret = lzma_code(xz, at == s->size ? LZMA_FINISH : LZMA_RUN);
		size_t got = PIECE - xz->avail_out;

		total += got;
		if (ret == LZMA_MEM_ERROR)
			err = -ENOMEM;
		else if ((ret != LZMA_OK && ret != LZMA_STREAM_END) || total > UNPACKED_MAX)
			err = -EBADMSG;
		else if (!write_all(to, out, got))
			err = -EIO;
		else if (ret == LZMA_STREAM_END)
			err = 0;
	}
	free(in);
	free(out);
	return err;
}

static int unpack_to_memfd(const struct elf_image *img, const struct elf_section *s)
{
	lzma_stream xz = LZMA_STREAM_INIT;

	if (lzma_stream_decoder(&xz, DECODER_MEMORY, 0) != LZMA_OK)
		return -ENOMEM;
	int fd = memfd_create("minidebug", MFD_CLOEXEC);
	int err = fd < 0 ? -errno : unpack(img, s, &xz, fd);

	lzma_end(&xz);
	if (!err)
		return fd;
	if (fd >= 0)
		close(fd);
	return err;
}

int elf_minidebug__find(const struct elf_image *file, struct elf_wanted *w)
{
	const struct elf_section *s = elf_image__section(file, ".gnu_debugdata", SHT_PROGBITS);
	struct elf_image mini;
	char why[80];

	if (!s || !s->size || s->size > PACKED_MAX)
		return 0;
	int fd = unpack_to_memfd(file, s);

	if (fd < 0)
		return fd;
	int ret = elf_image__open(&mini, fd, why, sizeof(why));

	if (!ret) {
		ret = elf_symbols__read(&mini, SHT_SYMTAB, file, w, ELF_MINIDEBUG);
		elf_image__close(&mini);
	}
	close(fd);
	return ret;
}
