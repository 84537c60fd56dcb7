/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Go: with which functions do goroutines begin that serve others than who begot them? A worker that
 * the first request starts, and that takes jobs from a channel ever after, is no part of that
 * request; nor are the two goroutines of an HTTP client's pooled connection.
 *
 * They are known by their code, so also those that nobody has heard of: in a loop they wait for what
 * others hand them (a channel, select, sync.Cond), themselves or in a function of the same package
 * that they call; or they sleep in a loop that never ends. Wrappers that the compiler makes of
 * `go f(x)`, and closures that call such a function, are such as well. Who waits in a loop for what
 * it began itself looks the same: its calls then have no parent, rather than a wrong one.
 */
#ifndef WEFT_GO_STARTS_H
#define WEFT_GO_STARTS_H

#include "elf_file.h"

struct go_starts {
	uint64_t *at; /* addresses before relocation, ascending */
	size_t n;
};

/* 0, or negative errno: -ENOENT: it names no functions. *out is the caller's, to be freed. */
int go_starts__find(struct elf_file *elf, struct go_starts *out);
void go_starts__free(struct go_starts *s);

#endif /* WEFT_GO_STARTS_H */
