/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Made-up ELF files, small and with all that elf_file.h reads: for its tests and the seeds of its
 * fuzz target. Three segments: read-only, code, data; what is in none of them lies behind.
 */
#ifndef WEFT_MINI_ELF_H
#define WEFT_MINI_ELF_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mini_part { MINI_RO, MINI_CODE, MINI_DATA, MINI_REST, MINI_PARTS };

#define MINI_SIZE 8192
#define MINI_SECTIONS 24

struct mini_elf {
	uint8_t bytes[MINI_SIZE];
	uint64_t used[MINI_PARTS]; /* offset in the file of the part's next free byte */
	Elf64_Shdr sections[MINI_SECTIONS];
	uint16_t n_sections;
	char names[512];
	size_t names_len;
	uint64_t size; /* of the file, once it is finished */
	uint16_t n_segments;
	uint64_t rela, rela_len; /* relocations: offset in the file, bytes; set before dynsym */
};

void mini_elf__start(struct mini_elf *m, uint16_t type);
/* Copy into a part, at a multiple of align; returns the offset in the file. NULL: zeros. */
uint64_t mini_elf__put(struct mini_elf *m, enum mini_part part, const void *data, size_t len,
		       size_t align);
/* The address of an offset; 0 for what is in no segment. */
uint64_t mini_elf__vaddr(uint64_t offset);
/* Returns the section's index. */
uint16_t mini_elf__section(struct mini_elf *m, const char *name, uint32_t type, uint64_t offset,
			   uint64_t size, uint32_t link);
void mini_elf__segment(struct mini_elf *m, uint32_t type, uint32_t flags, uint64_t offset,
		       uint64_t size, uint64_t vaddr);
/* Writes the headers; without sections if `sections` is false. */
void mini_elf__finish(struct mini_elf *m, bool sections);
/* The finished file, in memory; the descriptor is the caller's. */
int mini_elf__file(const struct mini_elf *m);

/* A symbol table and its strings. */
struct mini_symbol {
	const char *name; /* NULL ends the list */
	uint64_t value, size;
	uint8_t info; /* ELF64_ST_INFO() */
	uint16_t section;
	uint16_t version; /* .gnu.version */
};

/*
 * Adds .dynsym, .dynstr, .gnu.version and a dynamic section that says the same and the soname; or
 * .symtab and .strtab.
 */
void mini_elf__dynsym(struct mini_elf *m, const struct mini_symbol *s, const char *soname);
void mini_elf__symtab(struct mini_elf *m, const struct mini_symbol *s);
void mini_elf__build_id(struct mini_elf *m, const void *id, uint32_t len);

/* Go's function table. */
enum mini_go {
	MINI_GO_116,
	MINI_GO_118,
	MINI_GO_120,
	MINI_GO_126,      /* start of code in the module data alone */
	MINI_GO_126_RELA, /* ... and there in the addends of relocations */
};

struct mini_go_func {
	const char *name; /* NULL ends the list */
	uint64_t entry;   /* address */
};

/* `end`: address of the last function's end. Build information names `version`. */
void mini_elf__go(struct mini_elf *m, enum mini_go layout, const struct mini_go_func *f,
		  uint64_t end, const char *version);

#endif /* WEFT_MINI_ELF_H */
