// SPDX-License-Identifier: GPL-2.0-or-later
/* W3C Baggage: the keys that the user named become attributes, whatever stands in the header. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "../../user/cli/key_list.h"
#include "../../user/lib/percent.h"
#include "../../user/span/conventions.h"

static struct span *made;
static struct arena scratch;

static void begin(void)
{
	made = span__new();
	arena__init(&scratch, 4096);
}

static void end(void)
{
	span__free(made);
	arena__reset(&scratch);
}

TestSuite(baggage, .init = begin, .fini = end);
TestSuite(key_list);

static void expect(const char *key, const char *value)
{
	const struct attr *a = span__attr(made, key);

	if (!value)
		cr_expect_null(a, "%s", key);
	else
		cr_expect(a && slice__eq(attr__text(a), slice__cstr(value)), "%s: %.*s, not %s",
			  key, a ? (int)a->text_n : 1, a ? a->text : "-", value);
}

static void set(const char *header, const char *const *keys)
{
	span__set_baggage(made, slice__cstr(header), &(struct span_options){ .baggage = keys },
			  &scratch);
}

Test(baggage, only_the_keys_that_were_asked_for)
{
	static const char *const keys[] = { "user.id", "tenant", "plan", "absent", NULL };

	set("tenant=acme;secret=x, user.id = 7%2C8%20%e2%82%ac ,password=p,plan=,plan=later,user.id=9",
	    keys);
	expect("user.id", "7,8 \xe2\x82\xac");
	expect("tenant", "acme");
	expect("plan", NULL);
	expect("absent", NULL);
	cr_expect_eq(made->n_attrs, 2);
}

Test(baggage, nothing_unless_asked_for)
{
	static const char *const none[] = { NULL };

	set("user.id=7", NULL);
	set("user.id=7", none);
	cr_expect_eq(made->n_attrs, 0);
}

Test(baggage, what_weft_knows_itself_stays)
{
	static const char *const keys[] = { "http.request.method", NULL };

	span__set_str(made, "http.request.method", SLICE("GET"));
	set("http.request.method=DELETE", keys);
	expect("http.request.method", "GET");
}

Test(baggage, damaged_lists)
{
	static const char *const keys[] = { "k", NULL };
	static const char *const lists[] = {
		"", ",", "k", "k;=", "=k", ",,=,;k=", "K=v", " k x=v"
	};

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		set(lists[i], keys);
		cr_expect_null(span__attr(made, "k"), "'%s'", lists[i]);
	}
	set("k=100%,k=%zz", keys);
	expect("k", "100%");
}

Test(key_list, keys_and_what_is_none)
{
	static const char *const wrong[] = { "", ",", "a,", "a b", "a=b", "\xc3\xa4" };
	struct key_list l = { 0 };
	char why[200];

	cr_assert_eq(key_list__read(&l, "--baggage", " a ,user.id", why, sizeof(why)), 0);
	cr_expect_eq(l.n, 2);
	cr_expect_str_eq(l.keys[0], "a");
	cr_expect_str_eq(l.keys[1], "user.id");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		cr_expect_lt(key_list__read(&l, "--baggage", wrong[i], why, sizeof(why)), 0, "'%s'",
			     wrong[i]);
		cr_expect(strstr(why, "--baggage"));
	}
	char many[3 * KEY_LIST_MAX + 8] = "";

	for (int i = 0; i <= KEY_LIST_MAX; i++)
		strcat(many, i ? ",k" : "k");
	cr_expect_lt(key_list__read(&l, "--baggage", many, why, sizeof(why)), 0);
	key_list__free(&l);
}
