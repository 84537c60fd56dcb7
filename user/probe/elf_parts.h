/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files behind elf_file.h share. Nobody else includes it but its tests.
 *
 *   elf_file.c       the file as a whole; finding through its tables, one after the other
 *   elf_image.c      headers of one ELF image, checked; bounded reading
 *   elf_symbols.c    names that are looked for; .dynsym and .symtab
 *   elf_debug.c      separate debug files
 *   elf_minidebug.c  .gnu_debugdata
 *   elf_go.c         Go's build information and function table
 */
#ifndef WEFT_ELF_PARTS_H
#define WEFT_ELF_PARTS_H

#include <elf.h>

#include "elf_file.h"

/*
 * What is read of a file into memory at once, at most, bytes: the string table of a program with
 * two million functions and Go's table of a large one fit.
 */
#define ELF_TABLE_MAX (256ull << 20)
/* Symbols that are looked at in one table. */
#define ELF_SYMBOLS_MAX (16ull << 20)

/* elf_image.c: one ELF image: the file itself, its debug file, its mini-debuginfo. */

struct elf_section {
	const char *name; /* "" if the names can't be read */
	uint32_t type, link;
	uint64_t flags, addr, offset, size;
};

struct elf_load {
	uint64_t vaddr, offset, filesz; /* offset + filesz is within the file */
	uint32_t flags;                 /* PF_ */
};

#define ELF_NOTES_MAX 8

struct elf_note {
	uint64_t offset, size, align;
};

struct elf_image {
	int fd;
	uint64_t size; /* of the file when it was opened */
	struct elf_load *loads;
	size_t n_loads;
	uint64_t base;                         /* lowest p_vaddr of a PT_LOAD */
	bool has_base;                         /* is there any PT_LOAD? */
	uint64_t dynamic_offset, dynamic_size; /* PT_DYNAMIC in the file; size 0: none */
	struct elf_note notes[ELF_NOTES_MAX];  /* PT_NOTE */
	size_t n_notes;
	struct elf_section *sections;
	size_t n_sections;
	char *section_names;
};

/* Takes nothing over. 0, or negative errno and why; nothing is to be closed then. */
int elf_image__open(struct elf_image *img, int fd, char *why, size_t why_len);
void elf_image__close(struct elf_image *img);
/* The first section with this name (NULL: any) and type (0: any) whose content is in the file. */
const struct elf_section *elf_image__section(const struct elf_image *img, const char *name,
					     uint32_t type);
/* All of [offset, offset + len), or false. */
bool elf_image__read(const struct elf_image *img, uint64_t offset, void *buf, size_t len);
/*
 * [offset, offset + len) and a NUL behind it, malloc'ed; NULL if it is not all there, or more than
 * `max`.
 */
uint8_t *elf_image__load(const struct elf_image *img, uint64_t offset, uint64_t len, uint64_t max);
/* The segment that holds the address; NULL if none does. */
const struct elf_load *elf_image__segment(const struct elf_image *img, uint64_t vaddr);
/* Where in the file the code at an address is; 0: that is no code. */
uint64_t elf_image__code(const struct elf_image *img, uint64_t vaddr);
/* Read from an address; false if it is not all of one segment. */
bool elf_image__read_at(const struct elf_image *img, uint64_t vaddr, void *buf, size_t len);
/* Build id in hex, "" if none. */
void elf_image__build_id(const struct elf_image *img, char *hex, size_t size);

/* elf_symbols.c */

/* The names that are looked for, hashed, and what was found of them. */
struct elf_wanted {
	const char *const *names;
	struct elf_func *found;
	size_t n;
	size_t missing; /* distinct names that no table had so far */
	size_t max_len;
	uint32_t *heads; /* index + 1 into names by hash; 0: none */
	uint32_t mask;
	uint32_t *next; /* chain of one hash */
	uint32_t *hash;
	/*
	 * How good a find in the table now read is (more is better); 0: none yet;
	 * ELF_RANK_SETTLED: an earlier table had it.
	 */
	uint8_t *rank;
	uint32_t *same; /* the first of equal names, its own index if it is that */
};

#define ELF_RANK_SETTLED 255

int elf_wanted__init(struct elf_wanted *w, const char *const *names, size_t n,
		     struct elf_func *found);
/* Copies finds to equal names; returns how many were found. */
int elf_wanted__finish(struct elf_wanted *w);
void elf_wanted__free(struct elf_wanted *w);
/* A table was read: what it had is not looked for again. */
void elf_wanted__settle(struct elf_wanted *w);
/*
 * Which name this is: an index, or -1. `name` ends with a NUL or, where `versions`, with a '@'. *end
 * (may be NULL) is where it ended.
 */
int64_t elf_wanted__match(const struct elf_wanted *w, const char *name, bool versions,
			  const char **end);
/* A find at the address in `file`: kept if it is code there and ranks higher than what there is. */
void elf_wanted__offer(struct elf_wanted *w, int64_t i, const struct elf_image *file,
		       uint64_t vaddr, uint64_t size, uint8_t rank, enum elf_table table);

/*
 * Functions of the symbol table of type SHT_DYNSYM or SHT_SYMTAB in `img`, which tells of `file`
 * (the same, or the file that `img` was split off from). w may be NULL: is there any function at
 * all? Returns 1 if so, else 0; negative errno if the table can't be read.
 */
int elf_symbols__read(const struct elf_image *img, uint32_t type, const struct elf_image *file,
		      struct elf_wanted *w, enum elf_table table);
/* Address of the variable of this name in .dynsym; 0 if there is none. */
uint64_t elf_symbols__data(const struct elf_image *img, const char *name);
/* The dynamic section's word for a tag; false if there is none. */
bool elf_dynamic__get(const struct elf_image *img, int64_t tag, uint64_t *value);
/* Calls fn for each relative relocation. */
void elf_dynamic__each_relative(const struct elf_image *img, void *ctx,
				void (*fn)(void *ctx, const Elf64_Rela *r));
/* The pointer that is at an address when all is relocated, without where it is loaded to; 0: none. */
uint64_t elf_dynamic__pointer(const struct elf_image *img, uint64_t vaddr);
/* DT_SONAME, "" if none. */
void elf_dynamic__soname(const struct elf_image *img, char *buf, size_t size);

/* elf_debug.c: look for the separate debug file below root and read its .symtab. */
int elf_debug__find(const struct elf_image *file, const char *build_id, const char *root,
		    struct elf_wanted *w);

/* elf_minidebug.c: as elf_symbols__read(), of what .gnu_debugdata holds. 0 if there is none. */
int elf_minidebug__find(const struct elf_image *file, struct elf_wanted *w);

/* elf_go.c */

/* "go1.26.1", or "" if Go did not build it. */
void elf_go__version(const struct elf_image *img, char *buf, size_t size);
/* As elf_symbols__read(), of Go's function table. */
int elf_go__functions(const struct elf_image *img, struct elf_wanted *w);
/* Calls fn for each function of that table. Returns as elf_go__functions(). */
int elf_go__each(const struct elf_image *img, void *ctx, elf_go_fn fn);

#endif /* WEFT_ELF_PARTS_H */
