/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A function that no table names: where others go when they end. */
#ifndef WEFT_TAIL_JUMP_H
#define WEFT_TAIL_JUMP_H

#include "elf_file.h"

/*
 * The function to which all of the n functions at `from` jump (an unconditional jump to elsewhere in
 * the file, the only one that they have). False unless that is certain of each of them, and the same
 * for all. out->size is 0: unknown.
 */
bool tail_jump__find(struct elf_file *elf, const struct elf_func *from, size_t n,
		     struct elf_func *out);

#endif /* WEFT_TAIL_JUMP_H */
