// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ELF files: any bytes as one. What is found lies in the file, where code is, and looking again
 * gives the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "user/probe/elf_file.h"

#include "require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {
	"SSL_read", "SSL_write", "local", "main.main", "crypto/tls.(*Conn).Write", "SSL_read", ""
};

#define N (sizeof(names) / sizeof(names[0]))

static void check(struct elf_file *f, size_t size)
{
	struct elf_func found[N], again[N];
	uint8_t code[64];
	uint64_t addr;
	int known = 0;

	int n = elf_file__find(f, names, N, found, NULL);

	REQUIRE(n >= 0 && elf_file__find(f, names, N, again, "/") == n);
	for (size_t i = 0; i < N; i++) {
		REQUIRE(memcmp(&found[i].offset, &again[i].offset, 8) == 0);
		if (!found[i].offset)
			continue;
		known++;
		REQUIRE(found[i].offset < size && found[i].size <= size - found[i].offset);
		REQUIRE(found[i].table <= ELF_GOPCLNTAB);
		int64_t len = elf_file__code(f, &found[i], code, sizeof(code), &addr);

		REQUIRE(len > 0 && (size_t)len <= sizeof(code));
		REQUIRE((uint64_t)len <= size - found[i].offset);
	}
	REQUIRE(known == n);
	REQUIRE(n == 0 || elf_file__has_functions(f));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct elf_file *f;
	char why[160] = "";
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	REQUIRE(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	int err = elf_file__open(fd, &f, why, sizeof(why));

	REQUIRE(err ? !f && why[0] : f != NULL);
	if (!err) {
		REQUIRE(strlen(elf_file__soname(f)) < 256);
		REQUIRE(strlen(elf_file__build_id(f)) < 130 &&
			strlen(elf_file__go_version(f)) < 64);
		check(f, size);
		elf_file__close(f);
	}
	close(fd);
	return 0;
}
