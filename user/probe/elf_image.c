// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One ELF image: libelf reads its headers, once, and what they say is checked and kept; contents
 * are read by offset, and nothing longer than what the caller allows.
 */
#include "elf_parts.h"

#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#error "weft knows x86-64 and arm64"
#endif

#define LOADS_MAX 128
#define SECTION_NAMES_MAX (4u << 20)

static int fail(char *why, size_t why_len, int err, const char *text)
{
	snprintf(why, why_len, "%s", text);
	return err;
}

bool elf_image__read(const struct elf_image *img, uint64_t offset, void *buf, size_t len)
{
	uint8_t *p = buf;

	if (offset > img->size || len > img->size - offset)
		return false;
	while (len) {
		ssize_t n = pread(img->fd, p, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) /* an error, or the file was cut short */
			return false;
		p += n;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

uint8_t *elf_image__load(const struct elf_image *img, uint64_t offset, uint64_t len, uint64_t max)
{
	if (len > max || offset > img->size || len > img->size - offset)
		return NULL;
	uint8_t *buf = malloc(len + 1);

	if (!buf)
		return NULL;
	if (!elf_image__read(img, offset, buf, len)) {
		free(buf);
		return NULL;
	}
	buf[len] = '\0';
	return buf;
}

const struct elf_load *elf_image__segment(const struct elf_image *img, uint64_t vaddr)
{
	for (size_t i = 0; i < img->n_loads; i++)
		if (vaddr >= img->loads[i].vaddr &&
		    vaddr - img->loads[i].vaddr < img->loads[i].filesz)
			return &img->loads[i];
	return NULL;
}

uint64_t elf_image__code(const struct elf_image *img, uint64_t vaddr)
{
	const struct elf_load *l = elf_image__segment(img, vaddr);

	/* The ELF header, at 0, is none. */
	return l && l->flags & PF_X ? l->offset + (vaddr - l->vaddr) : 0;
}

bool elf_image__read_at(const struct elf_image *img, uint64_t vaddr, void *buf, size_t len)
{
	const struct elf_load *l = elf_image__segment(img, vaddr);

	return l && len <= l->filesz - (vaddr - l->vaddr) &&
	       elf_image__read(img, l->offset + (vaddr - l->vaddr), buf, len);
}

const struct elf_section *elf_image__section(const struct elf_image *img, const char *name,
					     uint32_t type)
{
	for (size_t i = 0; i < img->n_sections; i++) {
		const struct elf_section *s = &img->sections[i];

		if (s->type != SHT_NOBITS && s->type != SHT_NULL && (!type || s->type == type) &&
		    (!name || strcmp(s->name, name) == 0))
			return s;
	}
	return NULL;
}

/*
 * Is this a program or library for this machine? Asked before libelf sees the file, because that
 * takes room for as many sections as the file claims to have: more than fit into the header's own
 * field only an object file has.
 */
static int check_header(const struct elf_image *img, char *why, size_t why_len)
{
	Elf64_Ehdr h;

	if (!elf_image__read(img, 0, &h, sizeof(h)) || memcmp(h.e_ident, ELFMAG, SELFMAG) != 0)
		return fail(why, why_len, -ENOEXEC, "not an ELF file");
	if (h.e_ident[EI_CLASS] != ELFCLASS64)
		return fail(why, why_len, -ENOEXEC, "a 32-bit ELF file");
	if (h.e_ident[EI_DATA] != ELFDATA2LSB || h.e_machine != MACHINE)
		return fail(why, why_len, -ENOEXEC, "an ELF file for another machine");
	if (h.e_type != ET_EXEC && h.e_type != ET_DYN)
		return fail(why, why_len, -ENOEXEC, "neither a program nor a shared library");
	if ((h.e_shoff && !h.e_shnum) || h.e_phnum == PN_XNUM)
		return fail(why, why_len, -EBADMSG, "more sections or segments than a program has");
	return 0;
}

static int read_segments(struct elf_image *img, Elf *elf)
{
	size_t n;

	if (elf_getphdrnum(elf, &n) != 0)
		return -EBADMSG;
	img->loads = calloc(LOADS_MAX, sizeof(*img->loads));
	if (!img->loads)
		return -ENOMEM;
	for (size_t i = 0; i < n && img->n_loads < LOADS_MAX; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(elf, (int)i, &ph))
			return -EBADMSG;
		if (ph.p_type == PT_LOAD && (!img->has_base || ph.p_vaddr < img->base)) {
			img->base = ph.p_vaddr;
			img->has_base = true;
		}
		if (ph.p_offset > img->size)
			continue;
		if (ph.p_filesz > img->size - ph.p_offset)
			ph.p_filesz = img->size - ph.p_offset;
		if (ph.p_type == PT_LOAD) {
			img->loads[img->n_loads++] = (struct elf_load){ .vaddr = ph.p_vaddr,
									.offset = ph.p_offset,
									.filesz = ph.p_filesz,
									.flags = ph.p_flags };
		} else if (ph.p_type == PT_DYNAMIC) {
			img->dynamic_offset = ph.p_offset;
			img->dynamic_size = ph.p_filesz;
		} else if (ph.p_type == PT_NOTE && img->n_notes < ELF_NOTES_MAX) {
			img->notes[img->n_notes++] = (struct elf_note){ .offset = ph.p_offset,
									.size = ph.p_filesz,
									.align = ph.p_align };
		}
	}
	return 0;
}

/* Broken sections are as good as none: a program runs without them. */
static int read_sections(struct elf_image *img, Elf *elf)
{
	Elf_Scn *scn = NULL;
	size_t n, names = 0, names_len = 0;

	if (elf_getshdrnum(elf, &n) != 0 || n == 0 || n > 65535)
		return 0;
	img->sections = calloc(n, sizeof(*img->sections));
	if (!img->sections)
		return -ENOMEM;
	GElf_Shdr sh;

	if (elf_getshdrstrndx(elf, &names) == 0 && (scn = elf_getscn(elf, names)) &&
	    gelf_getshdr(scn, &sh) && sh.sh_type == SHT_STRTAB) {
		img->section_names = (char *)elf_image__load(img, sh.sh_offset, sh.sh_size,
							     SECTION_NAMES_MAX);
		names_len = img->section_names ? sh.sh_size : 0;
	}
	for (size_t i = 0; i < n; i++) {
		scn = elf_getscn(elf, i);
		if (!scn || !gelf_getshdr(scn, &sh))
			break;
		struct elf_section *s = &img->sections[img->n_sections++];

		*s = (struct elf_section){ .name = sh.sh_name < names_len
							   ? img->section_names + sh.sh_name
							   : "",
					   .type = sh.sh_type,
					   .link = sh.sh_link,
					   .flags = sh.sh_flags,
					   .addr = sh.sh_addr,
					   .offset = sh.sh_offset,
					   .size = sh.sh_size };
	}
	return 0;
}

int elf_image__open(struct elf_image *img, int fd, char *why, size_t why_len)
{
	struct stat st;

	*img = (struct elf_image){ .fd = fd };
	if (fstat(fd, &st) != 0)
		return fail(why, why_len, -errno, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(why, why_len, -ENOEXEC, "not a regular file");
	img->size = (uint64_t)st.st_size;
	int err = check_header(img, why, why_len);

	if (err)
		return err;
	elf_version(EV_CURRENT);
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);

	if (!elf || elf_kind(elf) != ELF_K_ELF || gelf_getclass(elf) != ELFCLASS64)
		err = fail(why, why_len, -EBADMSG, "broken ELF header");
	if (!err && (err = read_segments(img, elf)))
		fail(why, why_len, err,
		     err == -ENOMEM ? "out of memory" : "broken program headers");
	if (!err && (err = read_sections(img, elf)))
		fail(why, why_len, err, "out of memory");
	elf_end(elf);
	if (err)
		elf_image__close(img);
	return err;
}

void elf_image__close(struct elf_image *img)
{
	free(img->loads);
	free(img->sections);
	free(img->section_names);
	*img = (struct elf_image){ .fd = -1 };
}

/* The GNU build id among notes p[0..n); `align` is what each part is padded to. */
static bool note_build_id(const uint8_t *p, uint64_t n, uint64_t align, char *hex, size_t size)
{
	align = align == 8 ? 8 : 4;
	while (n >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr h;

		memcpy(&h, p, sizeof(h));
		uint64_t desc = (sizeof(h) + h.n_namesz + align - 1) & ~(align - 1);
		uint64_t end = (desc + h.n_descsz + align - 1) & ~(align - 1);

		if (desc > n || h.n_descsz > n - desc)
			return false;
		if (h.n_type == NT_GNU_BUILD_ID && h.n_namesz == 4 &&
		    memcmp(p + sizeof(h), "GNU", 4) == 0 && h.n_descsz && h.n_descsz < size / 2) {
			for (uint32_t i = 0; i < h.n_descsz; i++)
				snprintf(hex + (size_t)2 * i, 3, "%02x", p[desc + i]);
			return true;
		}
		if (end > n)
			return false;
		p += end;
		n -= end;
	}
	return false;
}

static bool read_build_id(const struct elf_image *img, uint64_t offset, uint64_t len,
			  uint64_t align, char *hex, size_t size)
{
	uint8_t *notes = elf_image__load(img, offset, len, 64 << 10);
	bool found = notes && note_build_id(notes, len, align, hex, size);

	free(notes);
	return found;
}

/*
 * Sections first: a debug file's segments are its program's, and may speak of bytes that it has
 * not.
 */
void elf_image__build_id(const struct elf_image *img, char *hex, size_t size)
{
	for (size_t i = 0, tried = 0; i < img->n_sections && tried < 64; i++) {
		const struct elf_section *s = &img->sections[i];

		if (s->type != SHT_NOTE)
			continue;
		tried++;
		if (read_build_id(img, s->offset, s->size, 4, hex, size))
			return;
	}
	for (size_t i = 0; i < img->n_notes; i++)
		if (read_build_id(img, img->notes[i].offset, img->notes[i].size,
				  img->notes[i].align, hex, size))
			return;
	hex[0] = '\0';
}
