// SPDX-License-Identifier: GPL-2.0-or-later
#include "mini_elf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Where the parts begin in the file, and in memory: each has another distance. */
static const struct {
	uint64_t offset, end, vaddr;
	uint32_t flags;
} parts[] = {
	[MINI_RO] = { 0, 0xa00, 0x400000, PF_R },
	[MINI_CODE] = { 0xa00, 0xb00, 0x401a00, PF_R | PF_X },
	[MINI_DATA] = { 0xb00, 0xe00, 0x403b00, PF_R | PF_W },
	[MINI_REST] = { 0xe00, MINI_SIZE, 0, 0 },
};

#define HEADERS_AT 64
#define SEGMENTS_MAX 8

static void check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "mini_elf: %s\n", what);
	abort();
}

uint64_t mini_elf__put(struct mini_elf *m, enum mini_part part, const void *data, size_t len,
		       size_t align)
{
	uint64_t at = (m->used[part] + align - 1) / align * align;

	check(at + len <= parts[part].end, "no room");
	if (data)
		memcpy(m->bytes + at, data, len);
	m->used[part] = at + len;
	return at;
}

uint64_t mini_elf__vaddr(uint64_t offset)
{
	for (int i = 0; i < MINI_REST; i++)
		if (offset >= parts[i].offset && offset < parts[i].end)
			return parts[i].vaddr + (offset - parts[i].offset);
	return 0;
}

void mini_elf__segment(struct mini_elf *m, uint32_t type, uint32_t flags, uint64_t offset,
		       uint64_t size, uint64_t vaddr)
{
	Elf64_Phdr ph = { .p_type = type,
			  .p_flags = flags,
			  .p_offset = offset,
			  .p_vaddr = vaddr,
			  .p_filesz = size,
			  .p_memsz = size,
			  .p_align = 4 };

	check(m->n_segments < SEGMENTS_MAX, "too many segments");
	memcpy(m->bytes + HEADERS_AT + m->n_segments++ * sizeof(ph), &ph, sizeof(ph));
}

void mini_elf__start(struct mini_elf *m, uint16_t type)
{
	memset(m, 0, sizeof(*m));
	Elf64_Ehdr h = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = type,
#if defined(__aarch64__)
		.e_machine = EM_AARCH64,
#else
		.e_machine = EM_X86_64,
#endif
		.e_version = EV_CURRENT,
		.e_ehsize = sizeof(h),
		.e_phoff = HEADERS_AT,
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_shentsize = sizeof(Elf64_Shdr)
	};

	memcpy(m->bytes, &h, sizeof(h));
	for (int i = 0; i < MINI_PARTS; i++)
		m->used[i] = parts[i].offset;
	m->used[MINI_RO] = HEADERS_AT + SEGMENTS_MAX * sizeof(Elf64_Phdr);
	for (int i = 0; i < MINI_REST; i++)
		mini_elf__segment(m, PT_LOAD, parts[i].flags, parts[i].offset,
				  parts[i].end - parts[i].offset, parts[i].vaddr);
	memset(m->bytes + parts[MINI_CODE].offset, 0x90,
	       parts[MINI_CODE].end - parts[MINI_CODE].offset);
	m->names_len = 1;
	m->n_sections = 1;
}

uint16_t mini_elf__section(struct mini_elf *m, const char *name, uint32_t type, uint64_t offset,
			   uint64_t size, uint32_t link)
{
	size_t len = strlen(name) + 1;

	check(m->n_sections < MINI_SECTIONS && m->names_len + len <= sizeof(m->names),
	      "too many sections");
	m->sections[m->n_sections] = (Elf64_Shdr){
		.sh_name = (uint32_t)m->names_len,
		.sh_type = type,
		.sh_addr = mini_elf__vaddr(offset),
		.sh_offset = offset,
		.sh_size = size,
		.sh_link = link,
		.sh_addralign = 1,
		.sh_entsize = type == SHT_DYNSYM || type == SHT_SYMTAB ? sizeof(Elf64_Sym) : 0
	};
	memcpy(m->names + m->names_len, name, len);
	m->names_len += len;
	return m->n_sections++;
}

void mini_elf__finish(struct mini_elf *m, bool sections)
{
	Elf64_Ehdr h;

	memcpy(&h, m->bytes, sizeof(h));
	h.e_phnum = m->n_segments;
	if (sections) {
		h.e_shstrndx = mini_elf__section(m, ".shstrtab", SHT_STRTAB, 0, 0, 0);
		Elf64_Shdr *names = &m->sections[h.e_shstrndx];

		names->sh_size = m->names_len;
		names->sh_offset = mini_elf__put(m, MINI_REST, m->names, m->names_len, 1);
		h.e_shoff = mini_elf__put(m, MINI_REST, m->sections,
					  m->n_sections * sizeof(m->sections[0]), 8);
		h.e_shnum = m->n_sections;
	}
	memcpy(m->bytes, &h, sizeof(h));
	m->size = m->used[MINI_REST];
}

int mini_elf__file(const struct mini_elf *m)
{
	int fd = memfd_create("mini", MFD_CLOEXEC);

	check(fd >= 0 && write(fd, m->bytes, m->size) == (ssize_t)m->size, "no memory file");
	return fd;
}

struct symbol_bytes {
	Elf64_Sym syms[24];
	Elf64_Versym versions[24];
	char names[512];
	size_t n, len;
};

static void lay_out(struct symbol_bytes *b, const struct mini_symbol *s)
{
	memset(b, 0, sizeof(*b));
	b->n = b->len = 1;
	for (; s->name; s++, b->n++) {
		size_t len = strlen(s->name) + 1;

		check(b->n < 24 && b->len + len <= sizeof(b->names), "too many symbols");
		b->syms[b->n] = (Elf64_Sym){ .st_name = (uint32_t)b->len,
					     .st_info = s->info,
					     .st_shndx = s->section,
					     .st_value = s->value,
					     .st_size = s->size };
		b->versions[b->n] = s->version;
		memcpy(b->names + b->len, s->name, len);
		b->len += len;
	}
}

void mini_elf__symtab(struct mini_elf *m, const struct mini_symbol *s)
{
	struct symbol_bytes b;

	lay_out(&b, s);
	uint64_t strings = mini_elf__put(m, MINI_REST, b.names, b.len, 1);
	uint64_t syms = mini_elf__put(m, MINI_REST, b.syms, b.n * sizeof(b.syms[0]), 8);
	uint16_t link = mini_elf__section(m, ".strtab", SHT_STRTAB, strings, b.len, 0);

	mini_elf__section(m, ".symtab", SHT_SYMTAB, syms, b.n * sizeof(b.syms[0]), link);
}

void mini_elf__dynsym(struct mini_elf *m, const struct mini_symbol *s, const char *soname)
{
	struct symbol_bytes b;
	size_t name_len = strlen(soname) + 1;

	lay_out(&b, s);
	check(b.len + name_len <= sizeof(b.names), "no room for the soname");
	size_t soname_at = b.len;

	memcpy(b.names + b.len, soname, name_len);
	b.len += name_len;
	uint64_t syms = mini_elf__put(m, MINI_RO, b.syms, b.n * sizeof(b.syms[0]), 8);
	uint64_t strings = mini_elf__put(m, MINI_RO, b.names, b.len, 1);
	uint64_t versions = mini_elf__put(m, MINI_RO, b.versions, b.n * sizeof(b.versions[0]), 2);
	Elf64_Dyn dyn[] = {
		{ .d_tag = DT_SONAME, .d_un.d_val = soname_at },
		{ .d_tag = DT_SYMTAB, .d_un.d_ptr = mini_elf__vaddr(syms) },
		{ .d_tag = DT_STRTAB, .d_un.d_ptr = mini_elf__vaddr(strings) },
		{ .d_tag = DT_STRSZ, .d_un.d_val = b.len },
		{ .d_tag = DT_VERSYM, .d_un.d_ptr = mini_elf__vaddr(versions) },
		{ .d_tag = m->rela_len ? DT_RELA : DT_NULL,
		  .d_un.d_ptr = mini_elf__vaddr(m->rela) },
		{ .d_tag = m->rela_len ? DT_RELASZ : DT_NULL, .d_un.d_val = m->rela_len },
		{ .d_tag = DT_NULL },
	};
	uint64_t dynamic = mini_elf__put(m, MINI_DATA, dyn, sizeof(dyn), 8);
	uint16_t link = mini_elf__section(m, ".dynstr", SHT_STRTAB, strings, b.len, 0);
	uint16_t symbols = mini_elf__section(m, ".dynsym", SHT_DYNSYM, syms,
					     b.n * sizeof(b.syms[0]), link);

	mini_elf__section(m, ".gnu.version", SHT_GNU_versym, versions, b.n * sizeof(b.versions[0]),
			  symbols);
	mini_elf__section(m, ".dynamic", SHT_DYNAMIC, dynamic, sizeof(dyn), link);
	mini_elf__segment(m, PT_DYNAMIC, PF_R | PF_W, dynamic, sizeof(dyn),
			  mini_elf__vaddr(dynamic));
}

void mini_elf__build_id(struct mini_elf *m, const void *id, uint32_t len)
{
	Elf64_Nhdr h = { .n_namesz = 4, .n_descsz = len, .n_type = NT_GNU_BUILD_ID };
	uint64_t at = mini_elf__put(m, MINI_RO, &h, sizeof(h), 4);

	mini_elf__put(m, MINI_RO, "GNU", 4, 1);
	mini_elf__put(m, MINI_RO, id, len, 1);
	mini_elf__section(m, ".note.gnu.build-id", SHT_NOTE, at, sizeof(h) + 4 + len, 0);
	mini_elf__segment(m, PT_NOTE, PF_R, at, sizeof(h) + 4 + len, mini_elf__vaddr(at));
}

static void put_number(uint8_t *p, size_t *at, uint64_t v, unsigned size)
{
	memcpy(p + *at, &v, size);
	*at += size;
}

static void build_info(struct mini_elf *m, const char *version)
{
	uint8_t info[64] = "\xff Go buildinf:\x08\x02";

	check(strlen(version) < sizeof(info) - 33, "long version");
	info[32] = (uint8_t)strlen(version);
	memcpy(info + 33, version, strlen(version));
	uint64_t at = mini_elf__put(m, MINI_DATA, info, sizeof(info), 16);

	mini_elf__section(m, ".go.buildinfo", SHT_PROGBITS, at, sizeof(info), 0);
}

/* The module data's first words, in place or as relocations of zeros. */
static void module_data(struct mini_elf *m, bool rela, uint64_t table, uint64_t first, uint64_t end)
{
	static const unsigned place[] = { 0, 20, 21, 22 };
	const uint64_t value[] = { table, first, end, first };
	uint64_t words[24] = { 0 };
	Elf64_Rela r[4];

	for (int i = 0; !rela && i < 4; i++)
		words[place[i]] = value[i];
	uint64_t at = mini_elf__put(m, MINI_DATA, words, sizeof(words), 8);

	if (!rela)
		return;
	for (int i = 0; i < 4; i++)
		r[i] = (Elf64_Rela)
		{
			.r_offset = mini_elf__vaddr(at) + 8 * place[i],
#if defined(__aarch64__)
			.r_info = ELF64_R_INFO(0, R_AARCH64_RELATIVE),
#else
			.r_info = ELF64_R_INFO(0, R_X86_64_RELATIVE),
#endif
			.r_addend = (int64_t)value[i]
		};
	uint64_t rela_at = mini_elf__put(m, MINI_RO, r, sizeof(r), 8);
	Elf64_Dyn dyn[] = { { .d_tag = DT_RELA, .d_un.d_ptr = mini_elf__vaddr(rela_at) },
			    { .d_tag = DT_RELASZ, .d_un.d_val = sizeof(r) },
			    { .d_tag = DT_NULL } };
	uint64_t dyn_at = mini_elf__put(m, MINI_DATA, dyn, sizeof(dyn), 8);

	mini_elf__segment(m, PT_DYNAMIC, PF_R | PF_W, dyn_at, sizeof(dyn), mini_elf__vaddr(dyn_at));
}

void mini_elf__go(struct mini_elf *m, enum mini_go layout, const struct mini_go_func *f,
		  uint64_t end, const char *version)
{
	static const uint32_t magic[] = { 0xfffffffa, 0xfffffff0, 0xfffffff1, 0xfffffff1,
					  0xfffffff1 };
	bool old = layout == MINI_GO_116;
	unsigned word = old ? 8 : 4;
	uint64_t base = old ? 0 : f[0].entry; /* the first function is where code starts */
	uint8_t b[1024] = { 0 };
	uint64_t n = 0, name_at[16], names = 72, at = 0;
	size_t len = names;

	for (; f[n].name; n++) {
		check(n < 16 && len + strlen(f[n].name) + 400 < sizeof(b), "too many functions");
		name_at[n] = len - names;
		memcpy(b + len, f[n].name, strlen(f[n].name) + 1);
		len += strlen(f[n].name) + 1;
	}
	uint64_t funcs = (len + 7) / 8 * 8, first_func = (2 * n + 1) * word;

	len = funcs;
	for (uint64_t i = 0; i < n; i++) {
		put_number(b, &len, f[i].entry - base, word);
		put_number(b, &len, first_func + 24 * i, word);
	}
	put_number(b, &len, end - base, word);
	for (uint64_t i = 0; i < n; i++) {
		len = funcs + first_func + 24 * i;
		put_number(b, &len, f[i].entry - base, word);
		put_number(b, &len, name_at[i], 4);
	}
	size_t total = funcs + first_func + 24 * n;

	len = 0;
	put_number(b, &len, magic[layout], 4);
#if defined(__aarch64__)
	put_number(b, &len, 4 << 16 | 8 << 24, 4);
#else
	put_number(b, &len, 1 << 16 | 8 << 24, 4);
#endif
	put_number(b, &len, n, 8);
	put_number(b, &len, 1, 8);
	if (!old)
		put_number(b, &len, layout < MINI_GO_126 ? base : 0, 8);
	put_number(b, &len, names, 8);
	for (int i = 0; i < 3; i++)
		put_number(b, &len, funcs, 8); /* tables that nobody here reads */
	put_number(b, &len, funcs, 8);
	at = mini_elf__put(m, MINI_RO, b, total, 32);
	mini_elf__section(m, ".gopclntab", SHT_PROGBITS, at, total, 0);
	build_info(m, version);
	if (layout >= MINI_GO_126)
		module_data(m, layout == MINI_GO_126_RELA, mini_elf__vaddr(at), f[0].entry, end);
}
