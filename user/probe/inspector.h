/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside probe/ only: the inspector of a Node.js process, which SIGUSR1 opens: where it listens, and
 * a script that it runs. Blocks, ten seconds a step at most; to be called from one thread alone, which
 * enters other network namespaces meanwhile.
 */
#ifndef WEFT_INSPECTOR_H
#define WEFT_INSPECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../target/target.h"

#define INSPECTOR_PORT 9229
#define LISTENERS_MAX 4096

/* The listening TCP sockets of a network namespace. */
struct listeners {
	size_t n;
	struct listener v[LISTENERS_MAX];
};

/* Those of the namespace that the process is in. 0 or negative errno; -E2BIG: too many. */
int listeners__read(pid_t pid, struct listeners *out);
/* Is it a descriptor of this process? (A port may be another's, also in the same namespace.) */
bool listeners__holds(pid_t pid, uint64_t inode);

/* "127.0.0.1:9229", "[::1]:9229"; an address that means all of them: the loopback one. */
#define LISTENER_NAME_MAX 64
void listener__name(const struct listener *l, char name[LISTENER_NAME_MAX]);

/*
 * The libraries that it takes, before anybody's inspector is opened: 0, or a negative errno and a
 * line in `why`.
 */
int inspector__load(char *why, size_t why_len);

/*
 * Run `script` in the process whose inspector listens at `at`; what it returns, a string, goes to
 * `said`. 0, or negative errno with words in why.
 */
int inspector__run(pid_t pid, const struct listener *at, const char *script, char *said,
		   size_t said_len, char *why, size_t why_len);

#endif /* WEFT_INSPECTOR_H */
