// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The live tree: one trace a block, one span a line, indented by parent.
 *
 *   web  GET /order/7                 ████████████████████   18.42 ms  200
 *   └ web → GET /order/7               ██████████████████    17.90 ms  200
 *     └ shop  GET /order/7               ████████████████    17.10 ms  200
 *       ├ shop → SELECT orders              ████              3.10 ms
 *
 * Traces wait for the next tick. When more lines wait than the second allows, the failed and the
 * slowest are shown, and a line says how many were not.
 */
#include <errno.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "view_ops.h"

#define WAITING_MAX 2048   /* traces kept for the next tick */
#define TRACE_LINES_MAX 60 /* of one trace; the rest is one line */
#define DEPTH_MAX 24
#define SECOND_NS 1000000000ull

struct tree {
	struct view v;
	struct view_config cfg;
	bool utf8;
	struct trace *waiting[WAITING_MAX];
	unsigned n_waiting;
	uint64_t hidden_traces, hidden_spans; /* since the last line that said so */
	double budget;                        /* lines that may be printed now */
	uint64_t last_tick, last_notice;
	bool printed, last_single;
	int error;
};

/* One trace while it is printed. */
struct block {
	struct tree *t;
	const struct trace *trace;
	int *parent;         /* index of each span's parent in the trace, -1 none */
	uint64_t start, end; /* of the whole */
	unsigned printed;
	int name_width, bar_width;
};

static const char *color(const struct tree *t, const char *code)
{
	return t->cfg.color ? code : "";
}

#define RED "\033[31;1m"
#define DIM "\033[2m"
#define BOLD "\033[1m"
#define CYAN "\033[36m"
#define RESET "\033[0m"

/* Columns that UTF-8 text takes, one a character: wide characters are rare in span names. */
static int columns_of(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

/*
 * Cut to `max` columns, with an ellipsis; control characters become '.', so that no name can move
 * the cursor.
 */
static void fit_text(const struct tree *t, char *s, int max)
{
	const char *dots = t->utf8 ? "…" : "~";
	int n = 0;
	char *p = s;

	for (char *c = s; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '.';
	if (columns_of(s) <= max)
		return;
	while (*p && n < max - 1) {
		p++;
		while ((*p & 0xc0) == 0x80)
			p++;
		n++;
	}
	memcpy(p, dots, strlen(dots) + 1); /* callers leave room for it */
}

static struct slice str_attr(const struct span *s, const char *key)
{
	const struct attr *a = span__attr(s, key);

	return a && a->type == ATTR_STR ? attr__text(a) : (struct slice){ "", 0 };
}

/* The path of an absolute URL, for a client span, which has no url.path. */
static struct slice path_of_url(struct slice url)
{
	const char *p = url.n > 3 ? memmem(url.p, url.n, "://", 3) : NULL;

	if (!p)
		return (struct slice){ "", 0 };
	const char *end = url.p + url.n;
	const char *slash = memchr(p + 3, '/', (size_t)(end - p - 3));

	if (!slash)
		return (struct slice){ "", 0 };
	const char *query = memchr(slash, '?', (size_t)(end - slash));

	return slice__from(slash, (size_t)((query ? query : end) - slash));
}

/* "service  name path", with an arrow where the service calls another: the path is not part of a span's name, but what people look for. */
static void label(const struct tree *t, const struct span *s, char *out, size_t len)
{
	const char *arrow = t->utf8 ? " → " : " -> ";
	struct slice path = str_attr(s, "url.path");

	if (!path.n)
		path = path_of_url(str_attr(s, "url.full"));
	bool in_name = !path.n || memmem(s->name.p, s->name.n, path.p, path.n);

	snprintf(out, len, "%s%s" SLICE_FMT "%s" SLICE_FMT, resource__service(s->resource),
		 s->kind == SPAN_CLIENT ? arrow : "  ", SLICE_ARG(s->name), in_name ? "" : " ",
		 in_name ? 0 : SLICE_ARG(path));
}

static void status_text(const struct span *s, char *out, size_t len)
{
	const struct attr *code = span__attr(s, "http.response.status_code");
	struct slice error = str_attr(s, "error.type");
	const char *mark = s->status == SPAN_ERROR ? "! " : ""; /* stands out without colours too */

	if (code && code->type == ATTR_INT)
		snprintf(out, len, "%s%ld", mark, (long)code->i);
	else if (error.n)
		snprintf(out, len, "%s" SLICE_FMT, mark, SLICE_ARG(error));
	else
		snprintf(out, len, "%s%s", mark, *mark ? "error" : "");
}

static void duration_text(uint64_t ns, char *out, size_t len)
{
	double ms = (double)ns / 1e6;

	if (ms >= 100000)
		snprintf(out, len, "%.1f s", ms / 1000);
	else
		snprintf(out, len, ms >= 1000 ? "%.0f ms" : "%.2f ms", ms);
}

static void bar_text(const struct block *b, const struct span *s, char *out)
{
	const char *full = b->t->utf8 ? "█" : "#";
	double scale = b->end > b->start ? (double)b->bar_width / (double)(b->end - b->start) : 0;
	int from = s->start_ns > b->start ? (int)((double)(s->start_ns - b->start) * scale) : 0;
	int to = s->end_ns > b->start ? (int)((double)(s->end_ns - b->start) * scale + 0.5) : 0;

	if (from >= b->bar_width)
		from = b->bar_width - 1;
	if (to <= from)
		to = from + 1;
	if (to > b->bar_width)
		to = b->bar_width;
	for (int i = 0; i < b->bar_width; i++)
		out = stpcpy(out, i >= from && i < to ? full : " ");
	*out = '\0';
}

static void print_line(struct block *b, const struct span *s, const char *indent)
{
	struct tree *t = b->t;
	char name[512], bar[4 * 64 + 1], ms[32], status[64];
	int width = b->name_width - columns_of(indent);
	bool failed = s->status == SPAN_ERROR;
	const char *weight = indent[0] ? "" : BOLD;

	if (width < 8)
		width = 8;
	label(t, s, name, sizeof(name) - 8);
	fit_text(t, name, width);
	bar_text(b, s, bar);
	duration_text(s->end_ns - s->start_ns, ms, sizeof(ms));
	status_text(s, status, sizeof(status) - 8);
	fit_text(t, status, 9);
	fprintf(t->cfg.out, "%s%s%s%s%s%*s %s%s%s %10s  %s%s%s\n", color(t, DIM), indent,
		color(t, RESET), color(t, failed ? RED : weight), name, width - columns_of(name),
		"", color(t, RESET), color(t, failed ? RED : CYAN), bar, ms,
		color(t, failed ? RED : ""), status, color(t, RESET));
	b->printed++;
}

static int by_start(const void *a, const void *b, void *ctx)
{
	const struct trace *t = ctx;
	uint64_t x = t->spans[*(const int *)a]->start_ns, y = t->spans[*(const int *)b]->start_ns;

	return x < y ? -1 : x > y;
}

/* What stands before a child's name, and what before the lines of its own children. */
static const char *branch_of(const struct tree *t, bool last)
{
	if (t->utf8)
		return last ? "└ " : "├ ";
	return last ? "`-" : "|-";
}

static const char *stem_of(const struct tree *t, bool last)
{
	if (last)
		return "  ";
	return t->utf8 ? "│ " : "| ";
}

static void print_span(struct block *b, int at, const char *indent, const char *below, int depth)
{
	int *children = calloc(b->trace->n, sizeof(*children)), n = 0;
	char next_indent[DEPTH_MAX * 8 + 16], next_below[DEPTH_MAX * 8 + 16];

	if (b->printed < TRACE_LINES_MAX)
		print_line(b, b->trace->spans[at], indent);
	for (unsigned i = (unsigned)at + 1; children && i < b->trace->n; i++)
		if (b->parent[i] == at)
			children[n++] = (int)i;
	if (n)
		qsort_r(children, (size_t)n, sizeof(*children), by_start, (void *)b->trace);
	for (int i = 0; i < n && b->printed < TRACE_LINES_MAX; i++) {
		bool last = i == n - 1;
		bool deep = depth >= DEPTH_MAX;

		snprintf(next_indent, sizeof(next_indent), "%s%s", below,
			 deep ? "" : branch_of(b->t, last));
		snprintf(next_below, sizeof(next_below), "%s%s", below,
			 deep ? "" : stem_of(b->t, last));
		print_span(b, children[i], next_indent, next_below, depth + 1);
	}
	free(children);
}

static bool find_parents(struct block *b)
{
	b->parent = calloc(b->trace->n, sizeof(*b->parent));
	if (!b->parent)
		return false;
	for (unsigned i = 0; i < b->trace->n; i++) {
		b->parent[i] = -1;
		/* Parents come before children, and near. */
		for (int j = (int)i - 1; j >= 0 && b->parent[i] < 0; j--)
			if (!memcmp(b->trace->spans[i]->parent_id, b->trace->spans[j]->span_id, 8))
				b->parent[i] = j;
		const struct span *s = b->trace->spans[i];

		if (!i || s->start_ns < b->start)
			b->start = s->start_ns;
		if (s->end_ns > b->end)
			b->end = s->end_ns;
	}
	return true;
}

static void print_trace(struct tree *t, const struct trace *trace)
{
	struct block b = { .t = t, .trace = trace };
	/* name, space, bar, space, 10 for the duration, two spaces, 9 for the status */
	int room = t->cfg.columns - 23;

	b.bar_width = room / 4 > 30 ? 30 : room / 4 < 8 ? 8 : room / 4;
	b.name_width = room - b.bar_width;
	if (!find_parents(&b))
		return;
	/* Blocks stand apart; traces of one span follow each other line by line. */
	if (t->printed && (trace->n > 1 || !t->last_single))
		fputc('\n', t->cfg.out);
	t->printed = true;
	t->last_single = trace->n == 1;
	for (unsigned i = 0; i < trace->n; i++)
		if (b.parent[i] < 0)
			print_span(&b, (int)i, "", "", 0);
	if (b.printed < trace->n)
		fprintf(t->cfg.out, "%s  ... %u more spans of this trace%s\n", color(t, DIM),
			trace->n - b.printed, color(t, RESET));
	t->budget -= (trace->n < TRACE_LINES_MAX ? trace->n : TRACE_LINES_MAX) + 1;
	free(b.parent);
}

static bool has_error(const struct trace *t)
{
	for (unsigned i = 0; i < t->n; i++)
		if (t->spans[i]->status == SPAN_ERROR)
			return true;
	return false;
}

static uint64_t duration(const struct trace *t)
{
	return t->spans[0]->end_ns - t->spans[0]->start_ns;
}

/* Failed first, then the slowest. */
static int by_interest(const void *a, const void *b)
{
	const struct trace *x = *(struct trace *const *)a, *y = *(struct trace *const *)b;
	bool ex = has_error(x), ey = has_error(y);

	if (ex != ey)
		return ex ? -1 : 1;
	return duration(x) > duration(y) ? -1 : duration(x) < duration(y);
}

static void hide(struct tree *t, struct trace *trace)
{
	t->hidden_traces++;
	t->hidden_spans += trace->n;
}

static void notice(struct tree *t, uint64_t now, bool last)
{
	if (!t->hidden_traces || (!last && now - t->last_notice < SECOND_NS))
		return;
	fprintf(t->cfg.out,
		"\n%s... %llu more traces (%llu spans) not shown: the failed and the slowest come first%s\n",
		color(t, DIM), (unsigned long long)t->hidden_traces,
		(unsigned long long)t->hidden_spans, color(t, RESET));
	t->last_single = false;
	t->hidden_traces = t->hidden_spans = 0;
	t->last_notice = now;
}

static void print_waiting(struct tree *t)
{
	bool limited = t->cfg.max_lines_per_second > 0;
	double lines = 0;

	for (unsigned i = 0; i < t->n_waiting; i++)
		lines += t->waiting[i]->n + 1;
	if (limited && lines > t->budget)
		qsort(t->waiting, t->n_waiting, sizeof(*t->waiting), by_interest);
	for (unsigned i = 0; i < t->n_waiting; i++) {
		if (limited && t->budget <= 0)
			hide(t, t->waiting[i]);
		else
			print_trace(t, t->waiting[i]);
		trace__unref(t->waiting[i]);
	}
	t->n_waiting = 0;
}

static void tree_trace(struct view *v, struct trace *trace)
{
	struct tree *t = (struct tree *)v;

	if (t->n_waiting == WAITING_MAX) {
		if (!t->cfg.max_lines_per_second) {
			print_waiting(t);
		} else {
			/* Keep the interesting half. */
			qsort(t->waiting, t->n_waiting, sizeof(*t->waiting), by_interest);
			while (t->n_waiting > WAITING_MAX / 2) {
				hide(t, t->waiting[--t->n_waiting]);
				trace__unref(t->waiting[t->n_waiting]);
			}
		}
	}
	t->waiting[t->n_waiting++] = trace__ref(trace);
}

static int flush(struct tree *t)
{
	if (fflush(t->cfg.out) == EOF && !t->error)
		t->error = errno ? -errno : -EIO;
	return t->error;
}

static int tree_tick(struct view *v, uint64_t now)
{
	struct tree *t = (struct tree *)v;
	double rate = t->cfg.max_lines_per_second;
	double passed = t->last_tick ? (double)(now - t->last_tick) / SECOND_NS : 1;

	t->last_tick = now;
	t->budget += passed * rate;
	if (t->budget > rate)
		t->budget = rate;
	print_waiting(t);
	notice(t, now, false);
	return flush(t);
}

static int tree_close(struct view *v)
{
	struct tree *t = (struct tree *)v;

	if (t->cfg.max_lines_per_second && t->budget < 100)
		t->budget = 100; /* the last word may be a little longer */
	print_waiting(t);
	notice(t, 0, true);
	int err = flush(t);

	free(t);
	return err;
}

static const struct view_ops tree_ops = {
	.trace = tree_trace,
	.tick = tree_tick,
	.close = tree_close,
};

struct view *view__tree(const struct view_config *cfg)
{
	struct tree *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->v.ops = &tree_ops;
	t->cfg = *cfg;
	if (t->cfg.columns < 60)
		t->cfg.columns = 60;
	if (t->cfg.columns > 200)
		t->cfg.columns = 200;
	t->utf8 = !strcmp(nl_langinfo(CODESET), "UTF-8");
	return &t->v;
}
