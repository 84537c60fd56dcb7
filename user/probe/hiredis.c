// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hiredis. redisCommand is a call of redisvCommand. Pipelines (redisAppendCommand) and the
 * asynchronous functions return before anything was sent: there the wire says all there is.
 */
#include "table.h"

#define REPLY_TYPE 0 /* struct redisReply { int type; ... in every version */

static const struct probe_func funcs[] = {
	{
		.symbol = "redisvCommand",
		.desc = { .what = PROBE_CALL,
			  .fn = WEFT_FN_HIREDIS_COMMAND,
			  .flags = PROBE_NOT_NESTED,
			  .object = 1,
			  .text = 2,
			  .peek = REPLY_TYPE },
	},
	/* arrays of the words and of their lengths */
	{
		.symbol = "redisCommandArgv",
		.desc = { .what = PROBE_CALL,
			  .fn = WEFT_FN_HIREDIS_COMMAND,
			  .flags = PROBE_NOT_NESTED | PROBE_TEXT_BEHIND,
			  .object = 1,
			  .text = 3,
			  .text_len = 4,
			  .peek = REPLY_TYPE },
	},
	{ 0 },
};

static const char *const names[] = { "libhiredis", NULL };
static const char *const inside[] = { "hiredis", NULL };

const struct probe_library probe_hiredis = {
	.name = "hiredis",
	.title = "hiredis",
	.area = PROBE_AREA_DB,
	.sonames = names,
	.marker = "redisvCommand",
	.inside = inside,
	.funcs = funcs,
};
