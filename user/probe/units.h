/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside probe/ only: a process's runtime, found out and told to the kernel side. */
#ifndef WEFT_UNITS_H
#define WEFT_UNITS_H

#include <stdbool.h>
#include <stdint.h>

#include "../kernel/kernel.h"
#include "python.h"

enum units_state { UNITS_NONE = 0, UNITS_WAITING, UNITS_KNOWN, UNITS_GIVEN_UP };

/* All zero: none that is known. */
struct units {
	enum units_state state;
	bool go;     /* a program built by Go, and its goroutines are watched; else Python */
	bool uvloop; /* Python: it has uvloop */
	struct python_facts python;
	uint64_t bias;  /* by which its file is moved in this process */
	unsigned tries; /* so far */
	uint64_t next;  /* not before, CLOCK_BOOTTIME ns */
};

/* It has this file mapped: its first byte would be at `start`. */
void units__python(struct units *u, const struct python_facts *facts, uint64_t start);
/* It runs a program built by Go in which the making of goroutines is watched. */
void units__go(struct units *u);
/* What was found in its maps: if it is what was known already, that stays. */
void units__has(struct units *u, const struct units *found);
/* Try, if it is time. */
void units__try(struct units *u, struct kernel *k, pid_t pid, uint64_t now);

/* Of an address space: another one after each exec (struct runtime). 0 or negative errno. */
int units__space(pid_t pid, __u64 *space);

#endif /* WEFT_UNITS_H */
