// SPDX-License-Identifier: GPL-2.0-or-later
/* Spans, resources and traces as data. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>

#include "../../user/span/span.h"

static void expect_str(const struct span *s, const char *key, const char *want)
{
	const struct attr *a = span__attr(s, key);

	cr_assert_not_null(a, "%s is missing", key);
	cr_assert_eq(a->type, ATTR_STR, "%s is no string", key);
	cr_assert(a->text_n == strlen(want) && !memcmp(a->text, want, a->text_n),
		  "%s is \"%.*s\", not \"%s\"", key, (int)a->text_n, a->text, want);
}

static const char *cleaned(const char *bytes, size_t n)
{
	static char out[64];
	struct span *s = span__new();

	span__set_str(s, "k", slice__from(bytes, n));
	const struct attr *a = span__attr(s, "k");

	snprintf(out, sizeof(out), "%.*s", (int)a->text_n, a->text);
	span__free(s);
	return out;
}

#define FFFD "\xef\xbf\xbd"
#define CLEANED(lit) cleaned(lit, sizeof(lit) - 1)

Test(span, new_is_empty)
{
	struct span *s = span__new();
	const struct span zero = { 0 };

	cr_assert_eq(memcmp(s, &zero, offsetof(struct span, attrs)), 0);
	cr_assert_eq(s->n_links, 0);
	cr_assert_null(s->resource);
	cr_assert_null(s->protocol);
	cr_assert_null(span__attr(s, "a"));
	span__free(s);
	span__free(NULL);
}

Test(span, attributes_of_every_type)
{
	struct span *s = span__new();
	char text[] = "text";

	span__set_str(s, "s", slice__cstr(text));
	text[0] = 'x'; /* it was copied */
	span__set_int(s, "i", -5);
	span__set_bool(s, "b", true);
	span__set_double(s, "d", 0.5);
	expect_str(s, "s", "text");
	cr_assert_eq(span__attr(s, "i")->i, -5);
	cr_assert_eq(span__attr(s, "i")->type, ATTR_INT);
	cr_assert(span__attr(s, "b")->b);
	cr_assert_eq(span__attr(s, "b")->type, ATTR_BOOL);
	cr_assert_eq(span__attr(s, "d")->d, 0.5);
	cr_assert_eq(span__attr(s, "d")->type, ATTR_DOUBLE);
	cr_assert_eq(s->n_attrs, 4);
	span__free(s);
}

Test(span, same_key_overwrites_whatever_its_address)
{
	struct span *s = span__new();
	char one[] = "http.route", two[] = "http.route";

	span__set_str(s, one, SLICE("a"));
	span__set_int(s, "other", 1);
	span__set_int(s, two, 7);
	cr_assert_eq(s->n_attrs, 2);
	cr_assert_eq(span__attr(s, "http.route")->i, 7);
	cr_assert_eq(span__attr(s, "http.route")->type, ATTR_INT);
	cr_assert_eq(s->dropped_attrs, 0);
	span__free(s);
}

Test(span, empty_strings_are_not_added)
{
	struct span *s = span__new();

	span__set_str(s, "a", SLICE(""));
	span__set_str(s, "b", (struct slice){ NULL, 0 });
	cr_assert_eq(s->n_attrs, 0);
	cr_assert_eq(s->dropped_attrs, 0);
	span__free(s);
}

Test(span, too_many_attributes_are_counted)
{
	struct span *s = span__new();
	static char keys[SPAN_ATTRS_MAX + 3][16];

	for (int i = 0; i < SPAN_ATTRS_MAX + 3; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%d", i);
		span__set_int(s, keys[i], i);
	}
	cr_assert_eq(s->n_attrs, SPAN_ATTRS_MAX);
	cr_assert_eq(s->dropped_attrs, 3);
	for (int i = 0; i < SPAN_ATTRS_MAX; i++)
		cr_assert_eq(span__attr(s, keys[i])->i, i);
	span__set_int(s, "k3", 300); /* what is there can still change */
	cr_assert_eq(span__attr(s, "k3")->i, 300);
	cr_assert_eq(s->dropped_attrs, 3);
	span__free(s);
}

Test(span, valid_utf8_stays)
{
	const char *const texts[] = { "ascii",
				      "caf\xc3\xa9",
				      "\xe2\x82\xac 5",
				      "\xf0\x9f\x8e\x89",
				      "\xed\x9f\xbf\xee\x80\x80",
				      "\xf4\x8f\xbf\xbf",
				      "\xc2\x80",
				      "\xe0\xa0\x80",
				      "\xf0\x90\x80\x80",
				      FFFD };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		cr_assert_str_eq(cleaned(texts[i], strlen(texts[i])), texts[i]);
}

Test(span, bytes_in_no_character_are_replaced)
{
	cr_assert_str_eq(CLEANED("a\xff"
				 "b"),
			 "a" FFFD "b");
	cr_assert_str_eq(CLEANED("\x80"), FFFD);
	cr_assert_str_eq(CLEANED("caf\xc3"), "caf" FFFD);                   /* cut */
	cr_assert_str_eq(CLEANED("\xe2\x82"), FFFD FFFD);                   /* cut */
	cr_assert_str_eq(CLEANED("\xf0\x9f\x8e"), FFFD FFFD FFFD);          /* cut */
	cr_assert_str_eq(CLEANED("\xc0\xaf"), FFFD FFFD);                   /* overlong */
	cr_assert_str_eq(CLEANED("\xe0\x80\xaf"), FFFD FFFD FFFD);          /* overlong */
	cr_assert_str_eq(CLEANED("\xed\xa0\x80"), FFFD FFFD FFFD);          /* surrogate */
	cr_assert_str_eq(CLEANED("\xf4\x90\x80\x80"), FFFD FFFD FFFD FFFD); /* beyond U+10FFFF */
	cr_assert_str_eq(CLEANED("\xf8\x88\x80\x80\x80"), FFFD FFFD FFFD FFFD FFFD);
	cr_assert_str_eq(CLEANED("\xc3\xc3\xa9"), FFFD "\xc3\xa9");
	cr_assert_str_eq(CLEANED("0123456789abcdef\xe9"),
			 "0123456789abcdef" FFFD); /* behind whole words of ASCII */
}

/* A text of `n` bytes 'a' and a character of three bytes behind. */
static size_t kept_of(size_t n)
{
	struct span *s = span__new();
	char *text = malloc(n + 3);

	memset(text, 'a', n);
	memcpy(text + n, "\xe2\x82\xac", 3);
	span__set_str(s, "k", slice__from(text, n + 3));
	size_t kept = span__attr(s, "k")->text_n;

	free(text);
	span__free(s);
	return kept;
}

Test(span, long_values_are_cut_between_characters)
{
	cr_assert_eq(kept_of(SPAN_VALUE_MAX - 3), SPAN_VALUE_MAX);
	cr_assert_eq(kept_of(SPAN_VALUE_MAX - 2), SPAN_VALUE_MAX - 2);
	cr_assert_eq(kept_of(SPAN_VALUE_MAX - 1), SPAN_VALUE_MAX - 1);
	cr_assert_eq(kept_of(SPAN_VALUE_MAX), SPAN_VALUE_MAX);
	cr_assert_eq(kept_of(SPAN_VALUE_MAX * 3), SPAN_VALUE_MAX);
}

Test(span, replacements_do_not_grow_beyond_the_limit)
{
	struct span *s = span__new();
	static char text[SPAN_VALUE_MAX * 2];

	memset(text, 0xff, sizeof(text));
	span__set_str(s, "k", slice__from(text, sizeof(text)));
	cr_assert_eq(span__attr(s, "k")->text_n, SPAN_VALUE_MAX / 3 * 3);
	span__free(s);
}

Test(span, a_full_arena_drops_values_and_counts_them)
{
	struct span *s = span__new();
	static char text[SPAN_VALUE_MAX], keys[SPAN_ATTRS_MAX][16];

	memset(text, 'a', sizeof(text));
	for (int i = 0; i < SPAN_ATTRS_MAX; i++) {
		snprintf(keys[i], sizeof(keys[i]), "k%d", i);
		span__set_str(s, keys[i], slice__from(text, sizeof(text)));
	}
	cr_assert_eq(s->n_attrs + s->dropped_attrs, SPAN_ATTRS_MAX);
	cr_assert_geq(s->n_attrs, 15);
	cr_assert_lt(s->n_attrs, 17);
	for (unsigned i = 0; i < s->n_attrs; i++)
		cr_assert_eq(s->attrs[i].text_n, SPAN_VALUE_MAX, "no value is cut by that");
	span__free(s);
}

Test(resource, service_name_comes_first)
{
	struct resource *r = resource__new(42, "shop");

	resource__add_int(r, "process.pid", 42);
	resource__add_str(r, "host.name", "h\xff");
	cr_assert_eq(r->pid, 42);
	cr_assert_eq(r->n, 3);
	cr_assert_str_eq(r->attrs[0].key, "service.name");
	cr_assert_str_eq(resource__service(r), "shop");
	cr_assert_eq(r->attrs[1].type, ATTR_INT);
	cr_assert_eq(r->attrs[1].i, 42);
	cr_assert_str_eq(r->attrs[2].s, "h" FFFD);
	resource__unref(r);
}

Test(resource, a_key_is_replaced)
{
	struct resource *r = resource__new(1, "shop");

	resource__add_str(r, "service.name", "other");
	resource__add_str(r, "a", "1");
	resource__add_int(r, "a", 2);
	cr_assert_eq(r->n, 2);
	cr_assert_str_eq(resource__service(r), "other");
	cr_assert_eq(r->attrs[1].type, ATTR_INT);
	cr_assert_null(r->attrs[1].s);
	resource__unref(r);
}

Test(resource, lives_as_long_as_somebody_holds_it)
{
	struct resource *r = resource__new(1, "shop");
	struct span *s = span__new();

	s->resource = resource__ref(r);
	cr_assert_eq(r->refs, 2);
	resource__unref(r);
	cr_assert_str_eq(resource__service(s->resource), "shop");
	span__free(s); /* the last one: a leak or a second free shows under the sanitizers */
	resource__unref(NULL);
}

Test(trace, the_last_reference_frees_its_spans)
{
	struct resource *r = resource__new(1, "shop");
	struct span **spans = malloc(2 * sizeof(*spans));

	for (int i = 0; i < 2; i++) {
		spans[i] = span__new();
		spans[i]->resource = resource__ref(r);
	}
	struct trace *t = trace__new(spans, 2);

	cr_assert_eq(trace__ref(t), t);
	trace__unref(t);
	cr_assert_eq(r->refs, 3);
	trace__unref(t);
	cr_assert_eq(r->refs, 1);
	resource__unref(r);
	trace__unref(NULL);
}
