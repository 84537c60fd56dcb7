/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists of names on the command line: "http,postgres" takes these, "!redis" leaves one out of all.
 * Options given several times add up.
 */
#ifndef WEFT_CLI_NAME_LIST_H
#define WEFT_CLI_NAME_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is listed. */
struct name_kind {
	const char *option;                             /* "--protocol" */
	const char *word;                               /* "protocol" */
	const char *example;                            /* "http,postgres or '!redis'" */
	uint64_t (*find)(const char *name, size_t len); /* its bits; 0: unknown */
	uint64_t (*all)(void);
	/* Each name once, in order; NULL behind the last. */
	const char *(*name)(size_t i);
	bool none_allowed; /* "none" is an answer, and so is leaving all out */
};

/* --protocol: bit i is protocol__at(i). --libraries: probe_table[i]. */
extern const struct name_kind name_list__protocols, name_list__libraries;

struct name_list {
	uint64_t include, exclude;
	bool given, none;
};

/* Add what one option says. 0, or -EINVAL with a line in why. */
int name_list__add(struct name_list *l, const struct name_kind *kind, const char *text, char *why,
		   size_t why_len);
/* What is wanted in the end; 0 with a line in why where that makes no sense. */
uint64_t name_list__wanted(const struct name_list *l, const struct name_kind *kind, char *why,
			   size_t why_len);

#endif /* WEFT_CLI_NAME_LIST_H */
