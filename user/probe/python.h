/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CPython: how the kernel side finds the current context (contextvars) of a thread, which asyncio and
 * its like carry from callback to callback. Offsets inside the interpreter are by version, and are
 * believed of a process only when its memory bears them out. Nothing is written, nobody is stopped.
 */
#ifndef WEFT_PYTHON_H
#define WEFT_PYTHON_H

#include <stddef.h>
#include <sys/types.h>

#include "elf_file.h"

struct runtime;

/* What the interpreter's file says: addresses before relocation. */
struct python_facts {
	unsigned version; /* 0x030b: 3.11; 0: no Python in it */
	uint64_t state;   /* _PyRuntime */
	uint64_t type;    /* PyContext_Type */
	uint64_t delta;   /* address of its code, less where that is in the file */
};

/* `code`: any function of the file. `path` gives the version where the file doesn't say. */
void python__learn(struct elf_file *elf, const char *path, const struct elf_func *code,
		   struct python_facts *out);
/* Is this file uvloop's extension module? */
bool python__is_uvloop(const char *path);
/* Are offsets known for this version? */
bool python__knows(const struct python_facts *facts);

/*
 * Look into a process that has the file mapped so that its addresses are moved by `bias`. Returns 0;
 * -EAGAIN: the interpreter is not initialised (yet); -ENOTSUP and why: it is not as it should be;
 * other negative errno: it can't be read.
 */
int python__find(pid_t pid, const struct python_facts *facts, uint64_t bias, struct runtime *out,
		 char *why, size_t why_len);

#endif /* WEFT_PYTHON_H */
