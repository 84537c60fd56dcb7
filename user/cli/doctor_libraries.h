/* SPDX-License-Identifier: GPL-2.0-or-later */
/* weft doctor -p: the libraries of a process whose functions can be watched. */
#ifndef WEFT_CLI_DOCTOR_LIBRARIES_H
#define WEFT_CLI_DOCTOR_LIBRARIES_H

#include "opts.h"

/*
 * Attach to them, print where, and let go again. `possible`: something can be traced here at all.
 * Returns whether a library that encrypts was attached to.
 */
bool doctor__libraries(const struct options *o, pid_t pid, bool possible);

#endif /* WEFT_CLI_DOCTOR_LIBRARIES_H */
