// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ELF files that are broken, cut off or made to waste time: refused or read as far as they can be,
 * within bounds of time and memory.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../user/probe/elf_file.h"
#include "../lib/mini_elf.h"

#define CODE 0x401a00 /* address of mini_elf's code, and its offset in the file */
#define AT 0xa00
#define GLOBAL ELF64_ST_INFO(STB_GLOBAL, STT_FUNC)

TestSuite(elf_hostile, .timeout = 120);

static struct elf_file *open_fd(int fd)
{
	struct elf_file *f;
	char why[160] = "";

	cr_assert_eq(elf_file__open(fd, &f, why, sizeof(why)), 0, "%s", why);
	return f;
}

static struct elf_func find(int fd, const char *name)
{
	struct elf_file *f = open_fd(fd);
	struct elf_func found;

	cr_expect_geq(elf_file__find(f, &name, 1, &found, NULL), 0);
	elf_file__close(f);
	return found;
}

static void expect_error(int fd, int err)
{
	struct elf_file *f;
	char why[160] = "";

	cr_expect_eq(elf_file__open(fd, &f, why, sizeof(why)), err);
	cr_expect_null(f);
	cr_expect(why[0]);
	close(fd);
}

static const struct mini_symbol library[] = { { "SSL_read", CODE, 16, GLOBAL, 1, 2 }, { 0 } };
static const struct mini_symbol program[] = { { "local", CODE + 0x60, 4, GLOBAL, 1, 0 }, { 0 } };

static int library_file(bool sections)
{
	struct mini_elf m;

	mini_elf__start(&m, ET_DYN);
	mini_elf__dynsym(&m, library, "libmini.so.3");
	mini_elf__finish(&m, sections);
	return mini_elf__file(&m);
}

static int go_file(enum mini_go layout, bool sections)
{
	static const struct mini_go_func funcs[] = { { "runtime.text", CODE },
						     { "main.main", CODE + 0x20 },
						     { "crypto/tls.(*Conn).Write", CODE + 0x40 },
						     { 0 } };
	struct mini_elf m;

	mini_elf__start(&m, ET_EXEC);
	mini_elf__go(&m, layout, funcs, CODE + 0x90, "go1.26.1");
	mini_elf__finish(&m, sections);
	return mini_elf__file(&m);
}

/* Changes 64 bits of Go's table, which lies where the symbol `magic` is first. */
static void change_table(int fd, size_t in, uint64_t to)
{
	uint8_t bytes[MINI_SIZE];
	ssize_t n = pread(fd, bytes, sizeof(bytes), 0);
	uint8_t *p = memmem(bytes, (size_t)n, "\xf1\xff\xff\xff\0\0", 6);

	cr_assert_not_null(p);
	cr_assert_eq(pwrite(fd, &to, 8, p - bytes + (off_t)in), 8);
}

Test(elf_hostile, go_function_tables_that_lie)
{
	static const uint64_t values[] = {
		0, 1, 4, 1u << 31, UINT64_MAX, UINT64_MAX / 8, (1ull << 60) + 1
	};

	for (size_t in = 0; in < 72 + 64 + 64; in += 8) {
		for (size_t k = 0; k < sizeof(values) / sizeof(values[0]); k++) {
			int fd = go_file(MINI_GO_120, k & 1);

			change_table(fd, in, values[k]);
			struct elf_func w = find(fd, "crypto/tls.(*Conn).Write");

			/* wherever it is then said to be: it is code of this file */
			cr_expect(!w.offset || (w.offset >= AT && w.offset + w.size <= AT + 0x100));
			close(fd);
		}
	}
}

static int bytes_file(const void *bytes, size_t n)
{
	int fd = memfd_create("bytes", MFD_CLOEXEC);

	cr_assert_eq(write(fd, bytes, n), (ssize_t)n);
	return fd;
}

Test(elf_hostile, what_is_no_program_for_this_machine)
{
	struct mini_elf m;
	int pipes[2];

	expect_error(bytes_file("", 0), -ENOEXEC);
	expect_error(bytes_file("#!/bin/sh\n", 10), -ENOEXEC);
	expect_error(bytes_file("\177ELF", 4), -ENOEXEC);
	cr_assert_eq(pipe(pipes), 0);
	close(pipes[1]);
	expect_error(pipes[0], -ENOEXEC);
	static const struct {
		size_t at;
		uint8_t value;
		int err;
	} changes[] = { { EI_CLASS, ELFCLASS32, -ENOEXEC },
			{ EI_DATA, ELFDATA2MSB, -ENOEXEC },
			{ offsetof(Elf64_Ehdr, e_machine), EM_MIPS, -ENOEXEC },
			{ offsetof(Elf64_Ehdr, e_type), ET_REL, -ENOEXEC },
			{ offsetof(Elf64_Ehdr, e_type), ET_CORE, -ENOEXEC },
			{ offsetof(Elf64_Ehdr, e_shnum), 0, -EBADMSG } };

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		mini_elf__start(&m, ET_DYN);
		mini_elf__finish(&m, true);
		m.bytes[changes[i].at] = changes[i].value;
		expect_error(mini_elf__file(&m), changes[i].err);
	}
}

Test(elf_hostile, a_file_cut_off_anywhere)
{
	struct mini_elf m;

	mini_elf__start(&m, ET_DYN);
	mini_elf__dynsym(&m, library, "libmini.so.3");
	mini_elf__symtab(&m, program);
	mini_elf__finish(&m, true);
	for (size_t n = 0; n < m.size; n += 3) {
		int fd = bytes_file(m.bytes, n);
		struct elf_file *f;
		char why[160];

		if (elf_file__open(fd, &f, why, sizeof(why)) == 0) {
			struct elf_func found;
			const char *name = "SSL_read";

			cr_expect_geq(elf_file__find(f, &name, 1, &found, NULL), 0);
			cr_expect(found.offset == 0 || found.offset < n);
			elf_file__close(f);
		}
		close(fd);
	}
}

/* The file is cut short after it was opened: nothing is mapped, so nothing faults. */
Test(elf_hostile, a_file_cut_off_meanwhile)
{
	int fd = library_file(true);
	struct elf_file *f = open_fd(fd);
	const char *name = "SSL_read";
	struct elf_func found, fn = { .offset = AT };
	uint8_t buf[16];
	uint64_t addr;

	cr_assert_eq(ftruncate(fd, 100), 0);
	cr_expect_eq(elf_file__find(f, &name, 1, &found, NULL), 0);
	cr_expect_eq(elf_file__code(f, &fn, buf, sizeof(buf), &addr), -EBADMSG);
	cr_expect_not(elf_file__has_functions(f));
	elf_file__close(f);
	close(fd);
}

/* Two million functions, all with the name that is looked for, and eight million more in a hole. */
Test(elf_hostile, ten_million_symbols)
{
	size_t n = 2000000;
	Elf64_Sym *syms = malloc(n * sizeof(*syms));
	struct mini_elf m;

	mini_elf__start(&m, ET_EXEC);
	mini_elf__symtab(&m, program);
	Elf64_Shdr *table = &m.sections[m.n_sections - 1];

	for (size_t i = 0; i < n; i++)
		memcpy(&syms[i], m.bytes + table->sh_offset + sizeof(*syms), sizeof(*syms));
	table->sh_offset = MINI_SIZE;
	table->sh_size = 5 * n * sizeof(*syms);
	mini_elf__finish(&m, true);
	int fd = mini_elf__file(&m);

	cr_assert_eq(pwrite(fd, syms, n * sizeof(*syms), MINI_SIZE), (ssize_t)(n * sizeof(*syms)));
	cr_assert_eq(ftruncate(fd, (off_t)(5 * n * sizeof(*syms) + MINI_SIZE)), 0);
	cr_expect_eq(find(fd, "local").offset, AT + 0x60);
	free(syms);
	close(fd);
}

/* A terabyte of strings: more than is read; the table is passed over. */
Test(elf_hostile, a_terabyte_of_strings)
{
	struct mini_elf m;

	mini_elf__start(&m, ET_DYN);
	mini_elf__dynsym(&m, library, "libmini.so.3");
	mini_elf__symtab(&m, program);
	m.sections[m.n_sections - 2].sh_size = 1ull << 40;
	mini_elf__finish(&m, true);
	int fd = mini_elf__file(&m);

	cr_assert_eq(ftruncate(fd, (1ll << 40) + MINI_SIZE), 0);
	cr_expect_eq(find(fd, "local").offset, 0);
	cr_expect_eq(find(fd, "SSL_read").offset, AT);
	close(fd);
}

/* Searched for Go's table, and full of what looks like its beginning. */
Test(elf_hostile, nothing_but_headers_of_go_tables)
{
	struct mini_elf m;
	int fd = go_file(MINI_GO_126, false);
	size_t n = 64 << 20;
	uint8_t *bytes = malloc(n);
	Elf64_Phdr ph;
	uint64_t words[9] = { 0, 1, 1, 0, 72, 72, 72, 72, 80 };

	memcpy(words, (uint8_t[]){ 0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8 }, 8);
	cr_assert_eq(pread(fd, m.bytes, MINI_SIZE, 0) > 0, true);
	for (size_t i = 0; i + sizeof(words) <= n; i += sizeof(words))
		memcpy(bytes + i, words, sizeof(words));
	cr_assert_eq(pwrite(fd, bytes, n, MINI_SIZE), (ssize_t)n);
	cr_assert_eq(pread(fd, &ph, sizeof(ph), 64), sizeof(ph));
	ph.p_offset = MINI_SIZE;
	ph.p_filesz = n;
	ph.p_vaddr = 0x10000000;
	cr_assert_eq(pwrite(fd, &ph, sizeof(ph), 64), sizeof(ph));
	cr_expect_eq(find(fd, "main.main").offset, 0);
	free(bytes);
	close(fd);
}
