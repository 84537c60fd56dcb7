// SPDX-License-Identifier: GPL-2.0-or-later
/* Libraries that come when they are needed and go again, and pages that are given back. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "user/lib/libcurl.h"
#include "user/lib/on_demand.h"
#include "user/lib/resident.h"
#include "user/probe/place_code.h"

static struct {
	double (*cos)(double);
	double (*sin)(double);
} math;

static const char *const names[] = { "cos", "sin" };

Test(on_demand, functions_are_there)
{
	struct on_demand l = ON_DEMAND("libm.so.6", math, names);
	char why[200] = "";

	cr_assert_eq(l.n, 2);
	cr_assert_eq(on_demand__load(&l, why, sizeof(why)), 0, "%s", why);
	cr_expect_eq(math.cos(0), 1);
	cr_expect_eq(math.sin(0), 0);
	cr_expect_eq(on_demand__load(&l, why, sizeof(why)), 0, "again");
	on_demand__unload(&l);
	cr_expect_null(math.cos);
	on_demand__unload(&l);
	cr_expect_eq(on_demand__load(&l, why, sizeof(why)), 0);
	cr_expect_eq(math.cos(0), 1);
	on_demand__unload(&l);
}

Test(on_demand, what_is_missing_is_named)
{
	static const char *const others[] = { "cos", "no_such_function" };
	struct on_demand none = ON_DEMAND("libnone-such.so.7", math, names);
	struct on_demand other = ON_DEMAND("libm.so.6", math, others);
	char why[200] = "";

	cr_expect_eq(on_demand__load(&none, why, sizeof(why)), -ELIBACC);
	cr_expect(strstr(why, "libnone-such.so.7"), "%s", why);
	cr_expect_null(none.handle);
	cr_expect_eq(on_demand__load(&other, why, sizeof(why)), -ELIBACC);
	cr_expect(strstr(why, "no_such_function"), "%s", why);
	cr_expect_null(other.handle);
	cr_expect_null(math.cos);
}

Test(on_demand, libcurl)
{
	char why[200] = "";

	cr_assert_eq(libcurl__load(why, sizeof(why)), 0, "%s", why);
	CURL *c = curl.easy_init();

	cr_expect_not_null(c);
	curl.easy_cleanup(c);
	cr_expect_eq(libcurl__load(why, sizeof(why)), 0);
}

static void decode(void)
{
	static const uint8_t code[] = {
		0x55, 0x48, 0x89, 0xe5, 0x5d, 0xc3
	}; /* push, mov, pop, ret */
	struct place_code c;

	cr_assert_eq(place_code__decode(&c, code, sizeof(code), 0x1000, true), 0);
	cr_expect_eq(c.n, 4);
	cr_expect_str_eq(c.insns[0].name, "push");
	cr_expect_eq(c.insns[3].kind, INSN_RET);
	place_code__free(&c);
}

Test(place_code, rests_and_decodes_again)
{
	cr_expect_not(place_code__rest(), "nothing was decoded yet");
	decode();
	cr_expect_not(place_code__rest(), "it was used since");
	decode();
	cr_expect_not(place_code__rest(), "it was used since");
	cr_expect(place_code__rest());
	cr_expect_not(place_code__rest(), "it rests already");
	decode();
	cr_expect_not(place_code__rest());
	cr_expect(place_code__rest());
}

/* KiB of mapped files that are resident. */
static long file_pages(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[200];
	long kib = -1;

	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f))
		(void)sscanf(line, "RssFile: %ld kB", &kib);
	fclose(f);
	return kib;
}

static int changed = 1;
static int *const relocated = &changed; /* written to when the program was loaded, then read-only */

Test(resident, code_goes_and_comes_back)
{
	char why[200];

	cr_assert_eq(libcurl__load(why, sizeof(why)), 0, "%s", why);
	changed = 2;
	long before = file_pages();

	resident__give_back();
	long after = file_pages();

	cr_expect_lt(after, before - 1024, "%ld KiB before, %ld after", before, after);
	cr_expect_eq(*relocated, 2);
	cr_expect_str_eq(names[1], "sin");
	CURL *c = curl.easy_init();

	cr_expect_not_null(c);
	curl.easy_cleanup(c);
	decode();
}
