/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One ELF file that a process has mapped: its names, its functions, their code. The file is
 * somebody else's and may be anything: every offset and size in it is checked, everything that is
 * read of it is bounded, nothing is mapped.
 */
#ifndef WEFT_ELF_FILE_H
#define WEFT_ELF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_file;

/* Where a function was found. */
enum elf_table {
	ELF_DYNSYM,
	ELF_SYMTAB,
	ELF_DEBUG_FILE, /* separate debug file, by build id or .gnu_debuglink */
	ELF_MINIDEBUG,  /* .gnu_debugdata: xz-compressed symbols inside the file */
	ELF_GOPCLNTAB,  /* Go's own function table: there in stripped programs too */
};

struct elf_func {
	uint64_t offset; /* of its first instruction in the file */
	uint64_t size;   /* bytes; 0 unknown */
	enum elf_table table;
};

/*
 * Open by descriptor (stays the caller's; read with pread only). Returns 0, or negative errno with
 * one line in why: -ENOEXEC no ELF for this machine, -EBADMSG broken.
 */
int elf_file__open(int fd, struct elf_file **out, char *why, size_t why_len);
void elf_file__close(struct elf_file *f);

/* DT_SONAME, or "" (programs, and libraries without). Valid until close. */
const char *elf_file__soname(const struct elf_file *f);
/* Build id as lower-case hex, or "". */
const char *elf_file__build_id(const struct elf_file *f);
/* "go1.26.1" for a program built by Go, else "". */
const char *elf_file__go_version(const struct elf_file *f);
/* Is there any function in one of its tables at all (is it not completely stripped)? */
bool elf_file__has_functions(const struct elf_file *f);

/*
 * Find functions by name, all in one pass over each table, the cheap tables first; a name that an
 * earlier table has is not looked for in a later one. Versions (@@OPENSSL_3.0.0) are ignored, the
 * default version wins; Go names are as in gopclntab ("crypto/tls.(*Conn).Write"). found[i].offset
 * is 0 where there is none. `root` is the directory under which separate debug files are looked for
 * ("/proc/123/root"; NULL: not looked for). Returns how many were found, or negative errno.
 */
int elf_file__find(struct elf_file *f, const char *const *names, size_t n, struct elf_func *found,
		   const char *root);

/*
 * The code of a function: up to `max` bytes from its start in the file, no further than its size or
 * the end of its segment. *addr is the virtual address of the first byte, for what is relative to
 * it. Returns bytes read, or negative errno.
 */
int64_t elf_file__code(struct elf_file *f, const struct elf_func *fn, uint8_t *buf, size_t max,
		       uint64_t *addr);

/*
 * The function that a variable points at, `offset` bytes into it. False if the file exports no such
 * variable, or that is no pointer to code of the file.
 */
bool elf_file__pointed(struct elf_file *f, const char *variable, uint64_t offset,
		       struct elf_func *out);

/* Where a variable is that the file exports: its address before relocation; 0: there is none. */
uint64_t elf_file__data(struct elf_file *f, const char *name);
/* `len` bytes of what the file has at that address; false if they are not all in the file. */
bool elf_file__read(struct elf_file *f, uint64_t vaddr, void *buf, size_t len);

/* A function's name, address before relocation and size in bytes (0 unknown); valid in the call. */
typedef void (*elf_go_fn)(void *ctx, const char *name, uint64_t vaddr, uint64_t size);
/* Calls fn for each function of a program built by Go. 0, also if there is none; or negative errno. */
int elf_file__each_go(struct elf_file *f, void *ctx, elf_go_fn fn);

#endif /* WEFT_ELF_FILE_H */
