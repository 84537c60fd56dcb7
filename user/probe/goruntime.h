/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Go's runtime: where it makes goroutines, and which of them inherit nothing from who begot them.
 * Inside probe/ only.
 */
#ifndef WEFT_GORUNTIME_H
#define WEFT_GORUNTIME_H

#include "../kernel/kernel.h"
#include "elf_file.h"
#include "go_starts.h"
#include "place.h"
#include "table.h"

#define GORUNTIME_SITES_MAX 4

/* What the kernel side was told of one file. All zero: nothing. */
struct goruntime {
	struct go_starts starts;
	struct {
		uint32_t number;
		uint64_t at; /* address before relocation */
	} sites[GORUNTIME_SITES_MAX];
	size_t n_sites;
};

/*
 * The place of a function of the table that is watched at a call which it makes (probe_func.at_call):
 * out->entry. *at is its address before relocation. -ENOTSUP: there is not just one such call.
 */
int goruntime__place(struct elf_file *elf, const struct elf_func *fn, const struct probe_func *func,
		     struct places *out, uint64_t *at);
/*
 * A place where goroutines are made: tell the kernel side what begins how. *number is for its
 * cookie. Negative errno: then it can't be watched.
 */
int goruntime__site(struct kernel *k, struct elf_file *elf, uint64_t at, struct goruntime *rt,
		    uint32_t *number);
/* The kernel side forgets it. */
void goruntime__free(struct kernel *k, struct goruntime *rt);

#endif /* WEFT_GORUNTIME_H */
