// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * SQLite. A statement runs from its first sqlite3_step to the one that returns something else than
 * SQLITE_ROW, or until it is reset or finalized: the kernel side counts the rows and tells of all
 * at the end.
 *
 * SQLite calls itself: prepare reads the schema by sqlite3_exec, a step runs statements on the
 * tables of a full-text index. These are none of the program's, so they are NOT_NESTED.
 */
#include "table.h"

#define SQLITE_ROW 100

#define CALL(function, number, ...)                                                                \
	.symbol = (function), .desc = { .what = PROBE_CALL,                                        \
					.fn = (number),                                            \
					.flags = PROBE_INT | PROBE_NOT_NESTED,                     \
					.peek = -1,                                                \
					__VA_ARGS__ }

static const struct probe_func funcs[] = {
	{ CALL("sqlite3_open", WEFT_FN_SQLITE_OPEN, .text = 1, .made = 2) },
	{ CALL("sqlite3_open_v2", WEFT_FN_SQLITE_OPEN, .text = 1, .made = 2) },
	{ CALL("sqlite3_close", WEFT_FN_SQLITE_CLOSE, .object = 1) },
	{ CALL("sqlite3_close_v2", WEFT_FN_SQLITE_CLOSE, .object = 1), .optional = true },
	/* the length is a limit; negative: up to the NUL */
	{ CALL("sqlite3_prepare", WEFT_FN_SQLITE_PREPARE, .object = 1, .text = 2, .text_len = 3,
	       .made = 4) },
	{ CALL("sqlite3_prepare_v2", WEFT_FN_SQLITE_PREPARE, .object = 1, .text = 2, .text_len = 3,
	       .made = 4) },
	{ CALL("sqlite3_prepare_v3", WEFT_FN_SQLITE_PREPARE, .object = 1, .text = 2, .text_len = 3,
	       .made = 5),
	  .optional = true },
	/* UTF-16, which is left alone: a statement of which the text is not known */
	{ CALL("sqlite3_prepare16_v2", WEFT_FN_SQLITE_PREPARE, .object = 1, .made = 4),
	  .optional = true },
	{ CALL("sqlite3_step", WEFT_FN_SQLITE_STEP, .object = 1, .more = SQLITE_ROW) },
	{ CALL("sqlite3_reset", WEFT_FN_SQLITE_RESET, .object = 1, .ends = PROBE_ENDS_ONLY) },
	{ CALL("sqlite3_finalize", WEFT_FN_SQLITE_FINALIZE, .object = 1, .ends = PROBE_ENDS) },
	/* Its statements are prepared and stepped as any others. */
	{ .symbol = "sqlite3_exec",
	  .desc = { .what = PROBE_CALL,
		    .fn = WEFT_FN_SQLITE_EXEC,
		    .flags = PROBE_INT | PROBE_NOT_NESTED | PROBE_SHOWS,
		    .object = 1,
		    .text = 2,
		    .peek = -1 } },
	{ 0 },
};

static const char *const names[] = { "libsqlite3", NULL };
static const char *const inside[] = { "sqlite", NULL };

const struct probe_library probe_sqlite = {
	.name = "sqlite",
	.title = "SQLite",
	.area = PROBE_AREA_DB,
	.sonames = names,
	.marker = "sqlite3_step",
	.inside = inside,
	.funcs = funcs,
};
