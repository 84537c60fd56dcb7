// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The tree as people see it: indentation, widths, what comes first under load, and names that could
 * break a terminal.
 */
#include <criterion/criterion.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../user/view/view.h"

static struct resource *service;

static struct span *make(const char *name, uint8_t id, uint8_t parent, uint64_t start_ms,
			 uint64_t end_ms, bool failed)
{
	struct span *s = span__new();

	if (!service)
		service = resource__new(1, "shop");
	s->trace_id[0] = 1;
	s->span_id[7] = id;
	s->parent_id[7] = parent;
	s->name = arena__copy(&s->arena, slice__cstr(name));
	s->kind = SPAN_SERVER;
	s->status = failed ? SPAN_ERROR : SPAN_UNSET;
	s->start_ns = start_ms * 1000000;
	s->end_ns = end_ms * 1000000;
	s->resource = resource__ref(service);
	if (failed)
		span__set_str(s, "error.type", SLICE("500"));
	return s;
}

static struct trace *one(struct span *s)
{
	struct span **spans = malloc(sizeof(*spans));

	spans[0] = s;
	return trace__new(spans, 1);
}

/* Shows the traces at once and returns what was written. */
static char *show(struct view_config cfg, struct trace **traces, unsigned n)
{
	char *text = NULL;
	size_t len = 0;

	setlocale(LC_CTYPE, "C.UTF-8");
	cfg.out = open_memstream(&text, &len);
	struct view *v = view__tree(&cfg);

	for (unsigned i = 0; i < n; i++) {
		view__trace(v, traces[i]);
		trace__unref(traces[i]);
	}
	cr_assert_eq(view__tick(v, 1000000000), 0);
	cr_assert_eq(view__close(v), 0);
	fclose(cfg.out);
	return text;
}

static unsigned columns(const char *line, size_t n)
{
	unsigned c = 0;

	for (size_t i = 0; i < n; i++)
		c += (line[i] & 0xc0) != 0x80;
	return c;
}

static unsigned lines(const char *text)
{
	unsigned n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

Test(tree, indented_by_parent_and_in_order_of_time)
{
	struct span **spans = malloc(4 * sizeof(*spans));

	spans[0] = make("GET", 1, 0, 0, 100, false);
	spans[1] = make("second", 2, 1, 50, 90, false);
	spans[2] = make("first", 3, 1, 10, 40, false);
	spans[3] = make("inner", 4, 3, 20, 30, true);
	struct trace *t = trace__new(spans, 4);
	char *text = show((struct view_config){ .columns = 80 }, &t, 1);
	char *first = strstr(text, "├ shop  first"), *inner = strstr(text, "│ └ shop  inner"),
	     *second = strstr(text, "└ shop  second");

	cr_expect(first && inner && second && first < inner && inner < second, "\n%s", text);
	cr_expect(strstr(text, "100.00 ms"), "\n%s", text);
	cr_expect(strstr(text, "! 500"), "the error's type stands out\n%s", text);
	cr_expect(!strchr(text, '\033'), "no colours unless asked for");
	free(text);
}

Test(tree, eighty_columns)
{
	char name[400];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	struct trace *t = one(make(name, 1, 0, 0, 123456789, true));
	char *text = show((struct view_config){ .columns = 80 }, &t, 1);

	for (char *line = text; *line;) {
		size_t n = strcspn(line, "\n");

		cr_expect(columns(line, n) <= 80, "%u columns: %.*s", columns(line, n), (int)n,
			  line);
		line += n + (line[n] == '\n');
	}
	cr_expect(strstr(text, "…"));
	free(text);
}

/* A name comes from the network: it must not move the cursor. */
Test(tree, control_characters)
{
	struct trace *t = one(make("GET \033[2J\r\n\x07", 1, 0, 0, 1, false));
	char *text = show((struct view_config){ .columns = 80 }, &t, 1);

	cr_expect(!strpbrk(text, "\033\r\x07"));
	cr_expect_eq(lines(text), 1);
	free(text);
}

Test(tree, under_load_the_failed_and_the_slowest)
{
	struct trace *traces[500];
	char name[16];

	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "t%d.", i);
		traces[i] = one(make(name, 1, 0, 0, i == 77 ? 1 : 10 + (uint64_t)i, i == 77));
	}
	char *text = show((struct view_config){ .columns = 80, .max_lines_per_second = 50 }, traces,
			  500);

	cr_expect(lines(text) < 80, "%u lines", lines(text));
	cr_expect(strstr(text, "t77."), "the failed one is shown");
	cr_expect(strstr(text, "t499."), "the slowest is shown");
	cr_expect(!strstr(text, "t0."), "the fastest is not");
	cr_expect(strstr(text, "more traces"), "what is not shown is counted");
	free(text);
}

Test(tree, nothing_is_hidden_without_a_limit)
{
	struct trace *traces[3000];

	for (int i = 0; i < 3000; i++)
		traces[i] = one(make("x", 1, 0, 0, 1, false));
	char *text = show((struct view_config){ .columns = 80 }, traces, 3000);

	cr_expect_eq(lines(text), 3000);
	free(text);
}

Test(tree, output_that_fails)
{
	FILE *full = fopen("/dev/full", "w");
	struct view_config cfg = { .out = full, .columns = 80 };
	struct view *v = view__tree(&cfg);
	struct trace *t = one(make("x", 1, 0, 0, 1, false));

	cr_assert(full);
	view__trace(v, t);
	trace__unref(t);
	cr_expect_lt(view__tick(v, 1), 0);
	cr_expect_lt(view__close(v), 0);
	fclose(full);
}
