// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libuv, as in Node: uv_run() has served all that was ready and goes on to what was put off: first
 * what setImmediate() left (uv__run_check), then closed handles, then timers. The function is no
 * part of the interface: there where the symbols were not stripped (Node's own builds; not
 * Debian's libuv.so), once a turn.
 */
#include "table.h"

static const struct probe_func funcs[] = {
	{
		.symbol = "uv__run_check",
		.optional = true,
		.desc = { .what = PROBE_LOOP_SERVED },
	},
	{ 0 },
};

static const char *const names[] = { "libuv", NULL };

const struct probe_library probe_libuv = {
	.name = "libuv",
	.title = "libuv (Node)",
	.area = PROBE_AREA_RUNTIME,
	.sonames = names,
	.marker = "uv__run_check",
	.funcs = funcs,
};
