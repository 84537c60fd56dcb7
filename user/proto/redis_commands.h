/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The words of Redis: command names, and the subcommands of container commands. Data for redis.c.
 */
#ifndef WEFT_REDIS_COMMANDS_H
#define WEFT_REDIS_COMMANDS_H

#include <stdbool.h>

#include "../lib/slice.h"

/* Longest command name and subcommand below. */
#define REDIS_NAME_MAX 40
#define REDIS_SUB_MAX 24

/* A command of Redis, Valkey or one of the well-known modules; case ignored. */
bool redis__is_command(struct slice name);
/* `name` takes a subcommand as its first argument. */
bool redis__is_container(struct slice name);
/* `sub` is a known subcommand of the container: other words there are data. */
bool redis__is_subcommand(struct slice name, struct slice sub);

/*
 * The types of reply that `name` is answered with, as the characters that begin them; errors and
 * +QUEUED come besides. NULL: any. Static text, equal pointers for equal types of one name.
 */
const char *redis__reply_types(struct slice name);

#endif
