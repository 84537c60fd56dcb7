// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An interpreter that has just been started is not initialised, so its memory says nothing yet. It
 * maps files then, and later reads and writes: each is an occasion to look again, up to a limit.
 */
#include "units.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../bpf/types.bpf.h"
#include "../lib/log.h"

#define TRIES_MAX 200
#define WAIT_NS (5ull * 1000000) /* between two tries, longer each time */

void units__python(struct units *u, const struct python_facts *facts, uint64_t start)
{
	/* A program that has the interpreter both linked in and as a library: one of them is idle. */
	if (u->state != UNITS_NONE) {
		u->state = UNITS_GIVEN_UP;
		return;
	}
	*u = (struct units){ .state = UNITS_WAITING,
			     .python = *facts,
			     .bias = start - facts->delta };
	if (!python__knows(facts))
		u->state = UNITS_GIVEN_UP;
}

void units__go(struct units *u)
{
	if (u->state == UNITS_NONE)
		*u = (struct units){ .state = UNITS_WAITING, .go = true };
	else if (!u->go)
		u->state = UNITS_GIVEN_UP;
}

void units__has(struct units *u, const struct units *found)
{
	if (u->state != UNITS_NONE && u->go == found->go && u->uvloop == found->uvloop &&
	    u->bias == found->bias && u->python.version == found->python.version &&
	    u->python.state == found->python.state)
		return;
	*u = *found;
	if (u->state == UNITS_KNOWN)
		u->state = UNITS_WAITING;
	u->tries = 0;
	u->next = 0;
}

/* The 28th field of stat, "startstack". */
int units__space(pid_t pid, __u64 *space)
{
	char path[32], line[1024];

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	int err = errno;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return n < 0 ? -err : -ESRCH;
	line[n] = '\0';
	char *p = strrchr(line, ')');

	for (int field = 2; p && field < 28; field++)
		p = strchr(p + 1, ' ');
	*space = p ? strtoull(p, NULL, 10) : 0;
	return *space ? 0 : -EACCES;
}

/* Nothing is to be looked for: thread-local storage has the goroutine at the same place in all. */
static int find_go(pid_t pid, struct runtime *out)
{
	*out = (struct runtime){ .kind = RUNTIME_GO };
	return units__space(pid, &out->space);
}

/* What became of it; `why` NULL: it is followed. */
static void say(const struct units *u, pid_t pid, const char *why)
{
	char name[32] = "Go";

	if (!u->go)
		snprintf(name, sizeof(name), "Python %u.%u%s", u->python.version >> 8 & 0xff,
			 u->python.version & 0xff, u->uvloop ? ", uvloop" : "");
	log_debug("%s of pid %d: its units of work are %sfollowed%s%s", name, pid,
		  why ? "not " : "", why ? ": " : "", why ? why : "");
}

static void give_up(struct units *u, pid_t pid, const char *why)
{
	u->state = UNITS_GIVEN_UP;
	say(u, pid, why);
}

void units__try(struct units *u, struct kernel *k, pid_t pid, uint64_t now)
{
	struct runtime runtime;
	char why[96] = "";

	if (u->state != UNITS_WAITING || now < u->next)
		return;
	int err = u->go ? find_go(pid, &runtime)
			: python__find(pid, &u->python, u->bias, &runtime, why, sizeof(why));

	runtime.uvloop = u->uvloop;
	if (!err)
		err = kernel__set_runtime(k, pid, &runtime);
	if (err == -ENOENT) /* not selected so far */
		return;
	u->next = now + WAIT_NS * ++u->tries;
	if (!err) {
		u->state = UNITS_KNOWN;
		say(u, pid, NULL);
	} else if (err != -EAGAIN) {
		give_up(u, pid, why[0] ? why : strerror(-err));
	} else if (u->tries >= TRIES_MAX) {
		give_up(u, pid, "its interpreter is not initialised, or not as expected");
	}
}
