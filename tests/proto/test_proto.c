// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every case of every protocol: tests/proto/NAME holds those of the protocol of that name.
 * WEFT_PROTO_CASE=FILE in the environment: run that file's only. WEFT_PROTO_PRINT=FILE: show what
 * the parser makes of it.
 */
#include <criterion/criterion.h>

#include <stdlib.h>

#include "../lib/harness.h"

static void run(const char *name)
{
	const struct protocol *p = protocol__find(slice__cstr(name));
	const char *only = getenv("WEFT_PROTO_CASE"), *print = getenv("WEFT_PROTO_PRINT");
	struct harness_tally tally = { 0 };
	char dir[256];

	cr_assert_not_null(p, "no protocol '%s' in the table", name);
	snprintf(dir, sizeof(dir), "tests/proto/%s", name);
	if (print && strstr(print, dir))
		harness__print_file(print, p, stderr);
	else if (print || (only && !strstr(only, dir)))
		cr_skip_test("not asked for");
	else if (only)
		harness__run_file(only, p, protocol_table, stderr, &tally);
	else
		harness__run_dir(dir, p, protocol_table, stderr, &tally);
	cr_assert_eq(tally.failures, 0, "%s: %u failures in %u runs of %u cases", name,
		     tally.failures, tally.runs, tally.cases);
}

Test(proto, http)
{
	run("http");
}

Test(proto, http2)
{
	run("http2");
}

Test(proto, postgres)
{
	run("postgres");
}

Test(proto, redis)
{
	run("redis");
}
