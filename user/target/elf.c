// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a program file says of the language that it was written in. The file is somebody else's:
 * libelf reads it (not mapped, so that a file cut short meanwhile can't hurt), and every offset
 * taken from it is checked.
 */
#include "parts.h"

#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Go before 1.18: bytes at an address of the running program. */
static bool read_address(Elf *elf, int fd, uint64_t addr, void *buf, size_t len)
{
	size_t n = 0;

	if (elf_getphdrnum(elf, &n) != 0)
		return false;
	for (size_t i = 0; i < n && i < 64; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(elf, (int)i, &ph) || ph.p_type != PT_LOAD || addr < ph.p_vaddr ||
		    addr - ph.p_vaddr > ph.p_filesz || len > ph.p_filesz - (addr - ph.p_vaddr))
			continue;
		return pread(fd, buf, len, (off_t)(ph.p_offset + (addr - ph.p_vaddr))) ==
		       (ssize_t)len;
	}
	return false;
}

static uint64_t number(const uint8_t *p, unsigned size, bool big)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)p[i] << 8 * (big ? size - 1 - i : i);
	return v;
}

/*
 * Section .go.buildinfo: "\xff Go buildinf:", pointer size, flags. Flag 2 (Go 1.18 on): at offset
 * 32 the version's length and text. Else (flag 1: big endian): a pointer to a string header.
 */
static void read_go(Elf *elf, int fd, const uint8_t *p, size_t n, struct elf_facts *out)
{
	char text[sizeof(out->go_version)];
	size_t len;

	if (n < 33 || memcmp(p, "\xff Go buildinf:", 14) != 0)
		return;
	if (p[15] & 2) {
		len = p[32]; /* a varint; a version is shorter than 128 */
		if (len >= sizeof(text) || len > n - 33)
			return;
		memcpy(text, p + 33, len);
	} else {
		bool big = p[15] & 1;
		unsigned size = p[14];
		uint8_t header[16];

		if ((size != 4 && size != 8) || 16 + size > n ||
		    !read_address(elf, fd, number(p + 16, size, big), header, 2 * size))
			return;
		len = number(header + size, size, big);
		if (len >= sizeof(text) ||
		    !read_address(elf, fd, number(header, size, big), text, len))
			return;
	}
	text[len] = '\0';
	if (strncmp(text, "go", 2) == 0 || strncmp(text, "devel", 5) == 0)
		memcpy(out->go_version, text, len + 1);
}

static void read_dynamic(Elf *elf, Elf_Scn *scn, const GElf_Shdr *sh, struct elf_facts *out)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t n = data && sh->sh_entsize ? data->d_size / sh->sh_entsize : 0;

	for (size_t i = 0; i < n && i < 4096; i++) {
		GElf_Dyn dyn;

		if (!gelf_getdyn(data, (int)i, &dyn) || dyn.d_tag == DT_NULL)
			return;
		if (dyn.d_tag != DT_NEEDED)
			continue;
		const char *name = elf_strptr(elf, sh->sh_link, dyn.d_un.d_val);

		if (name &&
		    (strncmp(name, "libstdc++.so", 12) == 0 || strncmp(name, "libc++.so", 9) == 0))
			out->cxx = true;
	}
}

static void read_sections(Elf *elf, int fd, struct elf_facts *out)
{
	Elf_Scn *scn = NULL;
	size_t names;

	if (elf_getshdrstrndx(elf, &names) != 0)
		return;
	while ((scn = elf_nextscn(elf, scn))) {
		GElf_Shdr sh;
		const char *name = gelf_getshdr(scn, &sh) ? elf_strptr(elf, names, sh.sh_name)
							  : NULL;

		if (!name || sh.sh_type == SHT_NOBITS || sh.sh_size > 1 << 20)
			continue;
		if (sh.sh_type == SHT_DYNAMIC) {
			read_dynamic(elf, scn, &sh, out);
			continue;
		}
		bool go = strcmp(name, ".go.buildinfo") == 0;

		if (!go && strcmp(name, ".comment") != 0)
			continue;
		Elf_Data *data = elf_rawdata(scn, NULL);

		if (!data || !data->d_buf)
			continue;
		if (go)
			read_go(elf, fd, data->d_buf, data->d_size, out);
		else if (memmem(data->d_buf, data->d_size, "rustc version", 13))
			out->rust = true;
	}
}

int elf__read(int fd, struct elf_facts *out)
{
	*out = (struct elf_facts){ 0 };
	if (elf_version(EV_CURRENT) == EV_NONE)
		return -ENOEXEC;
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);

	if (!elf)
		return -ENOEXEC;
	int err = elf_kind(elf) == ELF_K_ELF ? 0 : -ENOEXEC;

	if (!err) {
		out->is_32bit = gelf_getclass(elf) == ELFCLASS32;
		read_sections(elf, fd, out);
	}
	elf_end(elf);
	return err;
}
