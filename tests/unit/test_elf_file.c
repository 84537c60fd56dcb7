// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Functions of ELF files: made-up ones, one feature each, and the real ones that this program
 * consists of, where the dynamic linker knows the truth. Broken ones: test_elf_hostile.c.
 */
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../user/probe/elf_file.h"
#include "../lib/mini_elf.h"

#define CODE 0x401a00 /* address of mini_elf's code, and its offset in the file */
#define AT 0xa00
#define GLOBAL ELF64_ST_INFO(STB_GLOBAL, STT_FUNC)
#define LOCAL ELF64_ST_INFO(STB_LOCAL, STT_FUNC)
#define HIDDEN 0x8000 /* in .gnu.version: not the default */

TestSuite(elf_file, .timeout = 120);

static struct elf_file *open_fd(int fd)
{
	struct elf_file *f;
	char why[160] = "";

	cr_assert_eq(elf_file__open(fd, &f, why, sizeof(why)), 0, "%s", why);
	return f;
}

static struct elf_func find_below(int fd, const char *name, const char *root)
{
	struct elf_file *f = open_fd(fd);
	struct elf_func found;
	int n = elf_file__find(f, &name, 1, &found, root);

	cr_assert_eq(n, found.offset != 0);
	elf_file__close(f);
	return found;
}

static struct elf_func find(int fd, const char *name)
{
	return find_below(fd, name, NULL);
}

static const struct mini_symbol library[] = {
	{ "SSL_read", CODE, 16, GLOBAL, 1, 2 },
	{ "SSL_write", CODE + 0x10, 16, GLOBAL, 1, HIDDEN | 2 },
	{ "SSL_write", CODE + 0x20, 8, GLOBAL, 1, 3 },
	{ "SSL_peek", CODE + 0x30, 8, GLOBAL, 1, HIDDEN | 2 },
	{ "weak", CODE + 0x38, 8, ELF64_ST_INFO(STB_WEAK, STT_FUNC), 1, 1 },
	{ "undefined", CODE, 8, GLOBAL, SHN_UNDEF, 1 },
	{ "ifunc", CODE, 8, ELF64_ST_INFO(STB_GLOBAL, STT_GNU_IFUNC), 1, 1 },
	{ "object", CODE, 8, ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT), 1, 1 },
	{ "data", 0x403b10, 8, GLOBAL, 1, 1 },
	{ "nowhere", 0x9000000, 8, GLOBAL, 1, 1 },
	{ "far", UINT64_MAX - 2, UINT64_MAX, GLOBAL, 1, 1 },
	{ "endless", CODE + 0x40, UINT64_MAX - 8, GLOBAL, 1, 1 },
	{ 0 },
};

static int library_file(bool sections)
{
	struct mini_elf m;

	mini_elf__start(&m, ET_DYN);
	mini_elf__dynsym(&m, library, "libmini.so.3");
	mini_elf__build_id(&m, "\x01\x23\x45\x67\x89\xab\xcd\xef", 8);
	mini_elf__finish(&m, sections);
	return mini_elf__file(&m);
}

/* A variable of three words: what the file has there, and what relocations say. */
static struct elf_file *variable_file(const uint64_t words[3], const Elf64_Rela *r, size_t n)
{
	struct mini_elf m;

	mini_elf__start(&m, ET_DYN);
	uint64_t at = mini_elf__vaddr(mini_elf__put(&m, MINI_DATA, words, 24, 8));
	Elf64_Rela moved[4];

	for (size_t i = 0; i < n; i++) {
		moved[i] = r[i];
		moved[i].r_offset += at;
	}
	if (n)
		m.rela = mini_elf__put(&m, MINI_RO, moved, m.rela_len = n * sizeof(*r), 8);
	const struct mini_symbol symbols[] = {
		{ "code", CODE, 16, GLOBAL, 1, 1 },
		{ "type", at, 24, ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT), 3, 1 },
		{ 0 },
	};

	mini_elf__dynsym(&m, symbols, "libmini.so.3");
	mini_elf__finish(&m, true);
	return open_fd(mini_elf__file(&m));
}

#if defined(__x86_64__)
#define RELATIVE R_X86_64_RELATIVE
#else
#define RELATIVE R_AARCH64_RELATIVE
#endif

Test(elf_file, what_a_variable_points_at)
{
	const uint64_t words[3] = { CODE + 0x10, 0x403b10, UINT64_MAX - 2 };
	const uint64_t zeros[3] = { 0 };
	const Elf64_Rela r[] = {
		{ .r_offset = 8, .r_info = ELF64_R_INFO(0, RELATIVE), .r_addend = CODE + 0x20 },
		{ .r_offset = 16, .r_info = ELF64_R_INFO(1, RELATIVE + 1), .r_addend = CODE },
	};
	struct elf_func fn = { 0 };
	struct elf_file *f = variable_file(words, NULL, 0);

	cr_expect(elf_file__pointed(f, "type", 0, &fn));
	cr_expect_eq(fn.offset, AT + 0x10);
	cr_expect_eq(fn.size, 0);
	cr_expect_not(elf_file__pointed(f, "type", 8, &fn), "that is no code");
	cr_expect_not(elf_file__pointed(f, "type", 16, &fn), "that is nowhere");
	cr_expect_not(elf_file__pointed(f, "type", 1 << 20, &fn), "there is no such word");
	cr_expect_not(elf_file__pointed(f, "code", 0, &fn), "that is no variable");
	elf_file__close(f);
	f = variable_file(zeros, r, 2);
	cr_expect(elf_file__pointed(f, "type", 8, &fn));
	cr_expect_eq(fn.offset, AT + 0x20);
	cr_expect_not(elf_file__pointed(f, "type", 0, &fn), "it points at nothing");
	cr_expect_not(elf_file__pointed(f, "type", 16, &fn), "another kind of relocation");
	elf_file__close(f);
}

static void check_library(bool sections)
{
	int fd = library_file(sections);
	struct elf_file *f = open_fd(fd);
	const char *const names[] = {
		"SSL_write", "SSL_read", "SSL_peek",    "SSL_read", "weak",
		"undefined", "ifunc",    "object",      "data",     "nowhere",
		"far",       "SSL_writ", "SSL_read_ex", "",         "endless"
	};
	const uint64_t offsets[] = { AT + 0x20, AT, AT + 0x30, AT, AT + 0x38 };
	const uint64_t sizes[] = { 8, 16, 8, 16, 8 };
	struct elf_func found[15];

	cr_expect_str_eq(elf_file__soname(f), "libmini.so.3");
	cr_expect_str_eq(elf_file__build_id(f), "0123456789abcdef");
	cr_expect_str_eq(elf_file__go_version(f), "");
	cr_expect(elf_file__has_functions(f));
	cr_expect_eq(elf_file__find(f, names, 15, found, NULL), 6);
	for (int i = 0; i < 5; i++) {
		cr_expect_eq(found[i].offset, offsets[i], "%s", names[i]);
		cr_expect_eq(found[i].size, sizes[i], "%s", names[i]);
		cr_expect_eq(found[i].table, ELF_DYNSYM);
	}
	for (int i = 5; i < 14; i++)
		cr_expect_eq(found[i].offset, 0, "%s", names[i]);
	cr_expect_eq(found[14].offset, AT + 0x40);
	cr_expect_eq(found[14].size, 0, "a size beyond the segment is none");
	elf_file__close(f);
	close(fd);
}

Test(elf_file, a_library)
{
	check_library(true);
}

Test(elf_file, a_library_without_section_headers)
{
	check_library(false);
}

Test(elf_file, section_headers_beyond_the_end_are_none)
{
	int fd = library_file(true);
	Elf64_Ehdr h;

	cr_assert_eq(pread(fd, &h, sizeof(h), 0), sizeof(h));
	h.e_shoff = 1 << 20;
	cr_assert_eq(pwrite(fd, &h, sizeof(h), 0), sizeof(h));
	cr_expect_eq(find(fd, "SSL_read").offset, AT);
	close(fd);
}

Test(elf_file, nothing_is_looked_for)
{
	int fd = library_file(true);
	struct elf_file *f = open_fd(fd);

	cr_expect_eq(elf_file__find(f, NULL, 0, NULL, NULL), 0);
	elf_file__close(f);
	close(fd);
}

static const struct mini_symbol program[] = {
	{ "twice", CODE + 0x10, 4, LOCAL, 1, 0 },
	{ "twice", CODE + 0x20, 4, GLOBAL, 1, 0 },
	{ "versions@V1", CODE + 0x30, 4, GLOBAL, 1, 0 },
	{ "versions@@V2", CODE + 0x40, 4, GLOBAL, 1, 0 },
	{ "versions@V0", CODE + 0x50, 4, GLOBAL, 1, 0 },
	{ "local", CODE + 0x60, 4, LOCAL, 1, 0 },
	{ "SSL_read", CODE + 0x70, 4, GLOBAL, 1, 0 },
	{ 0 },
};

Test(elf_file, symtab_global_before_local_default_version_before_others)
{
	struct mini_elf m;

	mini_elf__start(&m, ET_EXEC);
	mini_elf__symtab(&m, program);
	mini_elf__finish(&m, true);
	int fd = mini_elf__file(&m);

	cr_expect_eq(find(fd, "twice").offset, AT + 0x20);
	cr_expect_eq(find(fd, "versions").offset, AT + 0x40);
	cr_expect_eq(find(fd, "local").offset, AT + 0x60);
	cr_expect_eq(find(fd, "local").table, ELF_SYMTAB);
	cr_expect_eq(find(fd, "versions@V1").offset, 0);
	close(fd);
}

Test(elf_file, an_earlier_table_goes_before_a_later_one)
{
	struct mini_elf m;

	mini_elf__start(&m, ET_DYN);
	mini_elf__dynsym(&m, library, "libmini.so.3");
	mini_elf__symtab(&m, program);
	mini_elf__finish(&m, true);
	int fd = mini_elf__file(&m);
	struct elf_func read = find(fd, "SSL_read"), local = find(fd, "local");

	cr_expect_eq(read.offset, AT);
	cr_expect_eq(read.table, ELF_DYNSYM);
	cr_expect_eq(local.offset, AT + 0x60);
	cr_expect_eq(local.table, ELF_SYMTAB);
	close(fd);
}

Test(elf_file, strings_without_an_end)
{
	struct mini_elf m;
	static const struct mini_symbol one[] = { { "local", CODE, 4, GLOBAL, 1, 0 }, { 0 } };

	mini_elf__start(&m, ET_EXEC);
	mini_elf__symtab(&m, one);
	/* the table ends with the name's last letter */
	m.sections[m.n_sections - 2].sh_size--;
	mini_elf__finish(&m, true);
	int fd = mini_elf__file(&m);

	cr_expect_eq(find(fd, "local").offset, AT);
	close(fd);
}

Test(elf_file, a_compressed_table_is_none)
{
	struct mini_elf m;

	mini_elf__start(&m, ET_EXEC);
	mini_elf__symtab(&m, program);
	m.sections[m.n_sections - 1].sh_flags = SHF_COMPRESSED;
	mini_elf__finish(&m, true);
	int fd = mini_elf__file(&m);

	cr_expect_eq(find(fd, "local").offset, 0);
	close(fd);
}

/* Go. */

static const struct mini_go_func go_funcs[] = { { "runtime.text", CODE },
						{ "main.main", CODE + 0x20 },
						{ "crypto/tls.(*Conn).Write", CODE + 0x40 },
						{ 0 } };

static int go_file(enum mini_go layout, bool sections)
{
	struct mini_elf m;

	mini_elf__start(&m, ET_EXEC);
	mini_elf__go(&m, layout, go_funcs, CODE + 0x90, "go1.26.1");
	mini_elf__finish(&m, sections);
	return mini_elf__file(&m);
}

Test(elf_file, go_function_tables_of_all_layouts_with_and_without_sections)
{
	for (int i = 0; i <= 2 * MINI_GO_126_RELA + 1; i++) {
		int fd = go_file(i / 2, i % 2 == 0);
		struct elf_file *f = open_fd(fd);
		struct elf_func w = find(fd, "crypto/tls.(*Conn).Write"), m = find(fd, "main.main");

		cr_expect_str_eq(elf_file__go_version(f), "go1.26.1");
		cr_expect(elf_file__has_functions(f));
		elf_file__close(f);
		cr_expect_eq(m.offset, AT + 0x20, "layout %d", i);
		cr_expect_eq(m.size, 0x20);
		cr_expect_eq(m.table, ELF_GOPCLNTAB);
		cr_expect_eq(w.offset, AT + 0x40, "layout %d", i);
		cr_expect_eq(w.size, 0x50, "the last one ends where code does");
		cr_expect_eq(find(fd, "main.mai").offset, 0);
		close(fd);
	}
}

Test(elf_file, start_of_go_code_is_not_guessed)
{
	int fd = go_file(MINI_GO_126, true);
	uint8_t bytes[MINI_SIZE];
	ssize_t n = pread(fd, bytes, sizeof(bytes), 0);
	uint64_t text = CODE;
	/* module data: the three words minpc, maxpc, text stand together */
	uint64_t words[] = { CODE, CODE + 0x90, CODE };
	uint8_t *p = memmem(bytes, (size_t)n, words, sizeof(words));

	cr_assert_not_null(p);
	text += 16; /* then minpc is not what the table says */
	cr_assert_eq(pwrite(fd, &text, 8, p + 16 - bytes), 8);
	cr_expect_eq(find(fd, "main.main").offset, 0);
	close(fd);
}

/* Debug information elsewhere. */

static size_t compress(const struct mini_elf *m, uint8_t *to, size_t size)
{
	size_t n = 0;

	cr_assert_eq(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, NULL, m->bytes, m->size, to, &n,
					     size),
		     LZMA_OK);
	return n;
}

static int minidebug_file(int spoil)
{
	struct mini_elf inner, m;
	uint8_t packed[MINI_SIZE];

	mini_elf__start(&inner, ET_DYN);
	mini_elf__symtab(&inner, program);
	mini_elf__finish(&inner, true);
	size_t n = compress(&inner, packed, sizeof(packed));

	if (spoil >= 0)
		packed[(size_t)spoil % n] ^= 0x55;
	mini_elf__start(&m, ET_DYN);
	mini_elf__dynsym(&m, library, "libmini.so.3");
	uint64_t at = mini_elf__put(&m, MINI_REST, packed, n, 4);

	mini_elf__section(&m, ".gnu_debugdata", SHT_PROGBITS, at, n, 0);
	mini_elf__finish(&m, true);
	return mini_elf__file(&m);
}

Test(elf_file, mini_debuginfo)
{
	int fd = minidebug_file(-1);
	struct elf_func local = find(fd, "local"), read = find(fd, "SSL_read");

	cr_expect_eq(local.offset, AT + 0x60);
	cr_expect_eq(local.size, 4);
	cr_expect_eq(local.table, ELF_MINIDEBUG);
	cr_expect_eq(read.offset, AT);
	cr_expect_eq(read.table, ELF_DYNSYM);
	close(fd);
}

Test(elf_file, mini_debuginfo_that_is_broken)
{
	for (int i = 0; i < 600; i += 13) {
		int fd = minidebug_file(i);

		cr_expect_eq(find(fd, "local").offset, 0, "byte %d", i);
		cr_expect_eq(find(fd, "SSL_read").offset, AT);
		close(fd);
	}
}

/* 128 megabytes of zeros behind good symbols are 20 KB of xz: not unpacked to their end. */
Test(elf_file, mini_debuginfo_that_is_a_bomb)
{
	lzma_stream xz = LZMA_STREAM_INIT;
	size_t room = 1 << 20;
	uint8_t *packed = malloc(room), *zeros = calloc(1, 1 << 20);
	struct mini_elf m, inner;

	mini_elf__start(&inner, ET_DYN);
	mini_elf__symtab(&inner, program);
	mini_elf__finish(&inner, true);

	cr_assert_eq(lzma_easy_encoder(&xz, 0, LZMA_CHECK_CRC32), LZMA_OK);
	xz.next_out = packed;
	xz.avail_out = room;
	for (int i = 0; i < 129; i++) {
		xz.next_in = i ? zeros : inner.bytes;
		xz.avail_in = i ? 1 << 20 : inner.size;
		while (xz.avail_in)
			cr_assert_eq(lzma_code(&xz, LZMA_RUN), LZMA_OK);
	}
	cr_assert_eq(lzma_code(&xz, LZMA_FINISH), LZMA_STREAM_END);
	size_t n = room - xz.avail_out;

	lzma_end(&xz);
	mini_elf__start(&m, ET_DYN);
	mini_elf__section(&m, ".gnu_debugdata", SHT_PROGBITS, MINI_SIZE, n, 0);
	mini_elf__finish(&m, true);
	int fd = mini_elf__file(&m);

	cr_assert_eq(pwrite(fd, packed, n, MINI_SIZE), (ssize_t)n);
	cr_expect_eq(find(fd, "local").offset, 0);
	close(fd);
	free(packed);
	free(zeros);
}

static char dir[] = "/tmp/weft-elf-XXXXXX";

static void make_dir(void)
{
	cr_assert_not_null(mkdtemp(dir));
}

static void remove_dir(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	cr_expect_eq(system(command), 0);
}

/* A file below dir; directories on the way are made. Returns a descriptor. */
static int save(const char *name, const struct mini_elf *m)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	for (char *p = path + strlen(dir) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	cr_assert(fd >= 0, "%s", path);
	cr_assert_eq(write(fd, m->bytes, m->size), (ssize_t)m->size);
	return fd;
}

/* A debug file with this build id (NULL: none). */
static void debug_file(const char *name, const char *id, struct mini_elf *m)
{
	mini_elf__start(m, ET_DYN);
	mini_elf__symtab(m, program);
	if (id)
		mini_elf__build_id(m, id, 8);
	mini_elf__finish(m, true);
	close(save(name, m));
}

static int stripped_file(const char *id, const char *link, uint32_t crc)
{
	struct mini_elf m;

	mini_elf__start(&m, ET_DYN);
	if (id)
		mini_elf__build_id(&m, id, 8);
	if (link) {
		size_t len = strlen(link) + 1;
		uint64_t at = mini_elf__put(&m, MINI_REST, link, len, 4);

		mini_elf__put(&m, MINI_REST, &crc, 4, 4);
		mini_elf__section(&m, ".gnu_debuglink", SHT_PROGBITS, at, (len + 3) / 4 * 4 + 4, 0);
	}
	mini_elf__finish(&m, true);
	return save("bin/prog", &m);
}

#define ID "\x01\x23\x45\x67\x89\xab\xcd\xef"
#define OTHER_ID "\x01\x23\x45\x67\x89\xab\xcd\xee"
#define BY_ID "usr/lib/debug/.build-id/01/23456789abcdef.debug"

Test(elf_file, a_debug_file_by_build_id, .init = make_dir, .fini = remove_dir)
{
	struct mini_elf debug;
	int fd = stripped_file(ID, NULL, 0);

	cr_expect_eq(find_below(fd, "local", dir).offset, 0, "none is there");
	debug_file(BY_ID, ID, &debug);
	struct elf_func local = find_below(fd, "local", dir);

	cr_expect_eq(local.offset, AT + 0x60);
	cr_expect_eq(local.table, ELF_DEBUG_FILE);
	cr_expect_eq(find(fd, "local").offset, 0, "not without a root");
	debug_file(BY_ID, OTHER_ID, &debug);
	cr_expect_eq(find_below(fd, "local", dir).offset, 0, "another program's");
	close(fd);
}

/*
 * A library that was prelinked after its debug file was made has other addresses; a debug file
 * may come without segments.
 */
Test(elf_file, a_debug_file_with_other_addresses, .init = make_dir, .fini = remove_dir)
{
	int fd = stripped_file(ID, NULL, 0);

	for (int i = 0; i < 2; i++) {
		struct mini_symbol moved[] = { { "local", CODE + 0x60, 4, LOCAL, 1, 0 }, { 0 } };
		struct mini_elf debug;

		mini_elf__start(&debug, ET_DYN);
		moved[0].value += i ? 0 : 0x7000;
		mini_elf__symtab(&debug, moved);
		mini_elf__build_id(&debug, ID, 8);
		mini_elf__finish(&debug, true);
		for (int k = 0; k < 3; k++) {
			Elf64_Phdr ph;
			uint8_t *at = debug.bytes + sizeof(Elf64_Ehdr) + k * sizeof(ph);

			memcpy(&ph, at, sizeof(ph));
			cr_assert_eq(ph.p_type, PT_LOAD);
			ph.p_vaddr += 0x7000;
			ph.p_type = i ? PT_NULL : PT_LOAD;
			memcpy(at, &ph, sizeof(ph));
		}
		close(save(BY_ID, &debug));
		cr_expect_eq(find_below(fd, "local", dir).offset, AT + 0x60, "%d", i);
	}
	close(fd);
}

/* An absolute link in a container means the container's file. */
Test(elf_file, a_debug_file_behind_a_link_stays_below_the_root, .init = make_dir,
     .fini = remove_dir)
{
	struct mini_elf debug;
	char path[128], outside[128];
	int fd = stripped_file(ID, NULL, 0);

	debug_file(BY_ID, ID, &debug);
	snprintf(path, sizeof(path), "%s/" BY_ID, dir);
	snprintf(outside, sizeof(outside), "%s/away", dir);
	cr_assert_eq(rename(path, outside), 0);
	cr_assert_eq(symlink(outside, path), 0);
	cr_expect_eq(find_below(fd, "local", dir).offset, 0);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(symlink("/away", path), 0);
	cr_expect_eq(find_below(fd, "local", dir).offset, AT + 0x60);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(mkfifo(path, 0600), 0); /* would never be opened to its end */
	cr_expect_eq(find_below(fd, "local", dir).offset, 0);
	close(fd);
}

/* .gnu_debuglink names it beside the program, by the path that the kernel says: root is "/". */
Test(elf_file, a_debug_file_by_link, .init = make_dir, .fini = remove_dir)
{
	struct mini_elf debug;

	debug_file("bin/.debug/prog.debug", NULL, &debug);
	uint32_t crc = lzma_crc32(debug.bytes, debug.size, 0);
	int fd = stripped_file(NULL, "prog.debug", crc);

	cr_expect_eq(find_below(fd, "local", "/").offset, AT + 0x60);
	close(fd);
	fd = stripped_file(NULL, "prog.debug", crc + 1);
	cr_expect_eq(find_below(fd, "local", "/").offset, 0, "the checksum is another");
	close(fd);
	fd = stripped_file(ID, "prog.debug", crc);
	cr_expect_eq(find_below(fd, "local", "/").offset, 0, "no build id where one is due");
	close(fd);
	fd = stripped_file(NULL, ".debug/prog.debug", crc);
	cr_expect_eq(find_below(fd, "local", "/").offset, 0, "a link is no path");
	close(fd);
	debug_file("bin/prog.debug", ID, &debug);
	fd = stripped_file(ID, "prog.debug", 0);
	cr_expect_eq(find_below(fd, "local", "/").offset, AT + 0x60);
	close(fd);
}

/* Code. */

Test(elf_file, code_ends_with_the_function_the_segment_and_the_buffer)
{
	int fd = library_file(true);
	struct elf_file *f = open_fd(fd);
	uint8_t buf[512];
	uint64_t addr = 0;
	struct elf_func fn = { .offset = AT + 0x10, .size = 16 };

	cr_expect_eq(elf_file__code(f, &fn, buf, sizeof(buf), &addr), 16);
	cr_expect_eq(addr, CODE + 0x10);
	cr_expect_eq(buf[15], 0x90);
	cr_expect_eq(elf_file__code(f, &fn, buf, 5, &addr), 5);
	fn.size = 0;
	cr_expect_eq(elf_file__code(f, &fn, buf, sizeof(buf), &addr), 0x100 - 0x10);
	fn.size = 1 << 20;
	cr_expect_eq(elf_file__code(f, &fn, buf, sizeof(buf), &addr), 0x100 - 0x10);
	fn.offset = AT - 1; /* data */
	cr_expect_lt(elf_file__code(f, &fn, buf, sizeof(buf), &addr), 0);
	fn.offset = UINT64_MAX;
	cr_expect_lt(elf_file__code(f, &fn, buf, sizeof(buf), &addr), 0);
	elf_file__close(f);
	close(fd);
}

/* Real files: this program and its libraries, by what the dynamic linker says. */

/* Offset in its file of an address in this process, and that file, opened. */
static int file_of(const void *at, uint64_t *offset)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[PATH_MAX + 128], path[PATH_MAX];
	unsigned long start, end, base;
	int fd = -1;

	while (fd < 0 && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %4095s", &start, &end, &base, path) !=
			    4 ||
		    (uintptr_t)at < start || (uintptr_t)at >= end)
			continue;
		*offset = (uintptr_t)at - start + base;
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	fclose(maps);
	return fd;
}

Test(elf_file, libraries_of_this_process)
{
	static const char *const names[] = {
		"getenv",        "malloc",      "pthread_create",         "elf_begin",
		"lzma_code",     "pcap_geterr", "nghttp2_hd_inflate_new", "cs_open",
		"curl_easy_init"
	};
	int checked = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint8_t *real = dlsym(RTLD_DEFAULT, names[i]), code[64];
		uint64_t offset, addr;
		int fd = real ? file_of(real, &offset) : -1;

		if (fd < 0)
			continue;
		struct elf_file *f = open_fd(fd);
		struct elf_func found;

		cr_expect_eq(elf_file__find(f, &names[i], 1, &found, NULL), 1, "%s", names[i]);
		cr_expect_eq(found.offset, offset, "%s", names[i]);
		int64_t n = elf_file__code(f, &found, code, sizeof(code), &addr);

		cr_expect_gt(n, 0);
		cr_expect_eq(memcmp(code, real, (size_t)n), 0, "%s", names[i]);
		cr_expect_gt(strlen(elf_file__soname(f)), 3);
		elf_file__close(f);
		close(fd);
		checked++;
	}
	cr_expect_geq(checked, 3);
}

/* Local to this file, and in no dynamic table: .symtab has it. */
Test(elf_file, this_program)
{
	uint64_t offset;
	int fd = file_of((const void *)file_of, &offset);

	cr_assert(fd >= 0);
	struct elf_func found = find(fd, "file_of");

	cr_expect_eq(found.offset, offset);
	cr_expect_eq(found.table, ELF_SYMTAB);
	close(fd);
}
