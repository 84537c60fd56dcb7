/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Shared libraries that not every run needs, and that cost much where they are: they are loaded
 * when they are first used, and not linked. libcurl alone brings some forty others along, each with
 * pages of its own before a function of it was called.
 *
 * What is used of a library is a list, F(easy_init) F(easy_perform) ..., of which ON_DEMAND_TYPE()
 * makes a struct of pointers, with the types that the library's header says, and ON_DEMAND() what
 * fills it. The build knows the files' names (sonames.h).
 */
#ifndef WEFT_ON_DEMAND_H
#define WEFT_ON_DEMAND_H

#include <stdbool.h>
#include <stddef.h>

struct on_demand {
	const char *file; /* "libcurl.so.4" */
	const char *const *names;
	void *functions; /* n pointers, in the order of the names */
	size_t n;
	void *handle; /* NULL: not loaded */
};

#define ON_DEMAND(soname, table, list)                                                             \
	{                                                                                          \
		.file = (soname), .names = (list), .functions = &(table),                          \
		.n = sizeof(table) / sizeof(void (*)(void))                                        \
	}

/*
 * Its functions can be called. 0 (also where they could be before), or -ELIBACC and a line in `why`
 * that says what is missing. On any thread.
 */
int on_demand__load(struct on_demand *l, char *why, size_t why_len);
/* The file could be loaded; if not, `why` says what the loader says. It is not kept. */
bool on_demand__is_there(const char *file, char *why, size_t why_len);
/* Nothing of it may be in use; what it gave that is static goes with it. */
void on_demand__unload(struct on_demand *l);

#endif /* WEFT_ON_DEMAND_H */
