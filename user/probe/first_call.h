/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside probe/ only: functions that no table names, found by who calls them. */
#ifndef WEFT_FIRST_CALL_H
#define WEFT_FIRST_CALL_H

#include "elf_file.h"

/*
 * The first function inside the file that all of `by` (NULL-terminated names) call, in the order of
 * their code. False: it can't be told, or one of them is not there.
 */
bool first_call__find(struct elf_file *elf, const char *const *by, struct elf_func *out);

#endif /* WEFT_FIRST_CALL_H */
