// SPDX-License-Identifier: GPL-2.0-or-later
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "case_file.h"
#include "mini_engine.h"

/*
 * Work that the split and truncation runs of one case may cost, in bytes fed; beyond it offsets
 * are sampled.
 */
#define WORK_MAX (4ULL * 1024 * 1024)
/* Prefixes for which detect() is asked. */
#define DETECT_PREFIX_MAX 512

enum cut_kind { CUT_NONE, CUT_EVERY, CUT_AT };
enum end_kind { END_AS_GIVEN, END_GAP, END_EOF };

struct way {
	enum mini_place place;
	enum cut_kind cut;
	size_t at; /* CUT_AT: a cut before this byte of the case */
	enum end_kind end;
	size_t upto; /* END_GAP, END_EOF: bytes of the case that are fed */
	char name[80];
};

struct run {
	const char *path;
	const struct protocol *p;
	const struct test_case *c;
	size_t begin; /* piece at which the protocol is recognised */
	FILE *out;
	struct harness_tally *tally;
	unsigned complaints; /* in this case: the first few are written */
};

__attribute__((format(printf, 3, 4))) static void complain(struct run *r, const char *way,
							   const char *fmt, ...)
{
	va_list ap;

	r->tally->failures++;
	if (++r->complaints > 3)
		return;
	fprintf(r->out, "%s:%u: %s (%s): ", r->path, r->c->line, r->c->title, way);
	va_start(ap, fmt);
	vfprintf(r->out, fmt, ap);
	va_end(ap);
	putc('\n', r->out);
}

/* ---- detection ---- */

static bool says(enum detect_result d, enum proto_dir dir)
{
	return dir == PROTO_REQ ? d == DETECT_REQ || d == DETECT_MAYBE_REQ
				: d == DETECT_RESP || d == DETECT_MAYBE_RESP;
}

static enum detect_result ask(const struct protocol *p, const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n);

	if (!copy)
		abort();
	memcpy(copy, data, n);
	enum detect_result d = p->detect(copy, n);

	free(copy);
	return d;
}

/*
 * What the first call of a direction is taken for; complains where an answer is wrong or taken
 * back.
 */
static bool detect_piece(struct run *r, const struct piece *p, bool strict)
{
	enum detect_result d = DETECT_MORE;
	bool sure = false;

	for (size_t n = 1; n <= p->len && n <= DETECT_PREFIX_MAX; n++) {
		d = ask(r->p, p->data, n);
		if (strict && d != DETECT_MORE && !says(d, p->dir)) {
			complain(r, "detection", "says %d of %s after %zu bytes", d,
				 p->dir == PROTO_REQ ? "the requester" : "the responder", n);
			return false;
		}
		if (sure && d == DETECT_MORE)
			complain(r, "detection", "takes its answer back after %zu bytes", n);
		sure |= d != DETECT_MORE;
	}
	if (p->len > DETECT_PREFIX_MAX)
		d = ask(r->p, p->data, p->len);
	return says(d, p->dir);
}

static void check_rivals(struct run *r, const struct piece *p, const struct protocol *const *all)
{
	for (; all && *all; all++) {
		enum detect_result d;

		if (*all == r->p)
			continue;
		d = ask(*all, p->data, p->len);
		if (d == DETECT_REQ || d == DETECT_RESP)
			complain(r, "detection", "%s claims these bytes too", (*all)->name);
	}
}

static void detect(struct run *r, const struct protocol *const *all)
{
	const struct test_case *c = r->c;
	bool seen[2] = { false, false }, found = c->no_detect;

	for (size_t i = 0; i < c->n && !found; i++) {
		const struct piece *p = &c->pieces[i];

		if (p->kind != PIECE_BYTES || !p->call_start || (seen[p->dir] && !c->mid))
			continue;
		if (detect_piece(r, p, !c->mid)) {
			check_rivals(r, p, all);
			r->begin = c->mid ? i : 0;
			found = true;
		}
		seen[p->dir] = true;
	}
	if (!found)
		complain(r, "detection", "the protocol is not recognised");
}

static void check_unknown(struct run *r)
{
	for (size_t i = 0; i < r->c->n; i++) {
		const struct piece *p = &r->c->pieces[i];

		for (size_t n = 1; p->kind == PIECE_BYTES && n <= p->len && n <= DETECT_PREFIX_MAX;
		     n++) {
			enum detect_result d = ask(r->p, p->data, n);

			r->tally->runs++;
			if (d == DETECT_NO || (d == DETECT_MORE && n < p->len))
				continue;
			complain(r, "detection", "says %d after %zu bytes of piece %zu", d, n,
				 i + 1);
			return;
		}
	}
}

/* ---- one run ---- */

static unsigned flags_of(const struct test_case *c, size_t i, size_t from, size_t to)
{
	const struct piece *p = &c->pieces[i];
	unsigned flags = 0;

	if (p->call_start && from == 0)
		flags |= MINI_CALL_START;
	if (to == p->len && p->call_end)
		flags |= MINI_CALL_END;
	if (to == p->len && !p->call_end && i + 1 < c->n && c->pieces[i + 1].kind == PIECE_GAP)
		flags |= MINI_GAP_FOLLOWS;
	return flags;
}

/*
 * Feed data[from..to) of piece i; returns false when the truncation point was reached. `pos`:
 * bytes of the case so far.
 */
static bool feed_bytes(struct mini *e, const struct test_case *c, size_t i, const struct way *w,
		       size_t *pos)
{
	const struct piece *p = &c->pieces[i];
	size_t from = 0;

	while (from < p->len) {
		size_t to = p->len;

		if (w->cut == CUT_EVERY)
			to = from + 1;
		else if (w->cut == CUT_AT && w->at > *pos && w->at < *pos + (p->len - from))
			to = from + (w->at - *pos);
		if (w->end != END_AS_GIVEN && *pos + (to - from) > w->upto)
			to = from + (w->upto - *pos);
		if (to == from)
			return false;
		unsigned flags = flags_of(c, i, from, to);

		if (w->end == END_GAP && *pos + (to - from) == w->upto)
			flags |= MINI_GAP_FOLLOWS;
		mini__bytes(e, p->dir, p->data + from, to - from, flags);
		*pos += to - from;
		from = to;
	}
	return w->end == END_AS_GIVEN || *pos < w->upto;
}

static struct mini *feed(const struct run *r, const struct way *w)
{
	const struct test_case *c = r->c;
	struct mini *e = mini__new(r->p, c->mid, w->place);
	size_t pos = 0;

	if (c->mid && r->begin < c->n)
		mini__unsynced(e, !c->pieces[r->begin].dir);
	for (size_t i = r->begin; i < c->n; i++) {
		const struct piece *p = &c->pieces[i];

		if (p->kind == PIECE_EOF)
			mini__eof(e, p->dir);
		else if (p->kind == PIECE_GAP)
			mini__gap(e, p->dir, p->len, p->call_start ? MINI_CALL_START : 0);
		else if (!feed_bytes(e, c, i, w, &pos))
			break;
	}
	if (w->end == END_GAP) {
		mini__gap(e, PROTO_REQ, 1 << 20, 0);
		mini__gap(e, PROTO_RESP, 1 << 20, 0);
	}
	if (w->end != END_AS_GIVEN) {
		mini__eof(e, PROTO_REQ);
		mini__eof(e, PROTO_RESP);
	}
	mini__finish(e);
	return e;
}

static void compare(struct run *r, const struct way *w)
{
	struct mini *e = feed(r, w);
	size_t n = mini__count(e);

	r->tally->runs++;
	if (mini__breach(e))
		complain(r, w->name, "%s", mini__breach(e));
	for (size_t i = 0; i < n || i < r->c->n_expect; i++) {
		const char *got = mini__line(e, i),
			   *want = i < r->c->n_expect ? r->c->expect[i] : NULL;

		if (got && want && !strcmp(got, want))
			continue;
		complain(r, w->name, "exchange %zu\n\twanted %s\n\tgot    %s", i + 1,
			 want ? want : "none", got ? got : "none");
		break;
	}
	mini__free(e);
}

/* ---- truncated runs ---- */

/*
 * The words of `line` without what the end of the capture may change: flags, sizes, and what
 * failed.
 */
static char *essence(const char *line)
{
	static const char *const vary[] = { " req_body=", " resp_body=", " failure=", " [" };
	char *copy = strdup(line);

	if (!copy)
		abort();
	for (size_t i = 0; i < sizeof(vary) / sizeof(vary[0]); i++) {
		char *at = strstr(copy, vary[i]), *end;

		if (!at)
			continue;
		end = vary[i][1] == '[' ? at + strlen(at) : at + 1 + strcspn(at + 1, " ");
		memmove(at, end, strlen(end) + 1);
	}
	return copy;
}

/* Up to the second space: "http GET", "db redis", "control". */
static bool same_kind(const char *a, const char *b)
{
	size_t n = strcspn(a, " ");

	if (a[n])
		n += 1 + strcspn(a + n + 1, " ");
	return !strncmp(a, b, n) || !strncmp(b, "control", 7) || !strncmp(a, "control", 7);
}

static bool acceptable(const char *got, unsigned flags, const char *want)
{
	char *a, *b;
	bool same;

	if (!want)
		return !strncmp(got, "bad", 3);
	if (flags)
		return !strncmp(want, "bad", 3) || same_kind(got, want);
	a = essence(got);
	b = essence(want);
	same = !strcmp(a, b);
	free(a);
	free(b);
	return same;
}

static void compare_truncated(struct run *r, const struct way *w)
{
	struct mini *e = feed(r, w);
	size_t n = mini__count(e);

	r->tally->runs++;
	if (mini__breach(e))
		complain(r, w->name, "%s", mini__breach(e));
	for (size_t i = 0; i < n && !r->c->any_truncation; i++) {
		const char *want = i < r->c->n_expect ? r->c->expect[i] : NULL;

		if (acceptable(mini__line(e, i), mini__line_flags(e, i), want))
			continue;
		complain(r, w->name, "exchange %zu\n\twhole    %s\n\ttruncated %s", i + 1,
			 want ? want : "none", mini__line(e, i));
		break;
	}
	mini__free(e);
}

/* The next offset to try: all of them, or a sample of a long case. */
static size_t next_offset(size_t at, size_t total)
{
	size_t affordable = WORK_MAX / (total + 1), stride = total / (affordable + 1);

	if (at < 256 || total - at < 256)
		return at + 1;
	/* An even stride would meet the same phase of a repeated pattern again and again. */
	return at + 1 + stride + (stride ? at % 7 : 0);
}

static void run_all_ways(struct run *r)
{
	static const char *const places[] = { "page behind", "page before", "heap" };
	size_t total = test_case__bytes(r->c);
	bool gap = test_case__has_gap(r->c);
	struct way w;

	for (int place = 0; place < MINI_PLACES; place++) {
		for (int cut = CUT_NONE; cut <= CUT_EVERY; cut++) {
			if (cut == CUT_EVERY && total > 4 * 1024 * 1024)
				continue;
			w = (struct way){ .place = place, .cut = cut };
			snprintf(w.name, sizeof(w.name), "%s, %s",
				 cut ? "byte by byte" : "as given", places[place]);
			compare(r, &w);
		}
	}
	for (size_t at = 1; at < total; at = next_offset(at, total)) {
		w = (struct way){ .cut = CUT_AT, .at = at };
		snprintf(w.name, sizeof(w.name), "cut at %zu", at);
		compare(r, &w);
	}
	for (size_t upto = 1; upto < total && !gap && !r->c->mid; upto = next_offset(upto, total)) {
		for (int end = END_GAP; end <= END_EOF; end++) {
			w = (struct way){ .place = upto % MINI_PLACES, .end = end, .upto = upto };
			snprintf(w.name, sizeof(w.name), "%zu bytes, then %s", upto,
				 end == END_GAP ? "a gap" : "the end");
			compare_truncated(r, &w);
		}
	}
}

/* ---- files ---- */

void harness__run_file(const char *path, const struct protocol *p,
		       const struct protocol *const *all, FILE *out, struct harness_tally *tally)
{
	struct case_file *f = case_file__read(path);

	if (f->error) {
		fprintf(out, "%s\n", f->error);
		tally->failures++;
	}
	for (size_t i = 0; i < f->n && !f->error; i++) {
		struct run r = {
			.path = path, .p = p, .c = &f->cases[i], .out = out, .tally = tally
		};

		tally->cases++;
		if (r.c->unknown) {
			check_unknown(&r);
			continue;
		}
		detect(&r, all);
		run_all_ways(&r);
	}
	case_file__free(f);
}

static int is_case(const struct dirent *d)
{
	const char *dot = strrchr(d->d_name, '.');

	return dot && !strcmp(dot, ".case");
}

void harness__run_dir(const char *dir, const struct protocol *p, const struct protocol *const *all,
		      FILE *out, struct harness_tally *tally)
{
	struct dirent **names = NULL;
	int n = scandir(dir, &names, is_case, alphasort);
	char path[1024];

	if (n <= 0) {
		fprintf(out, "%s: %s\n", dir, n < 0 ? strerror(errno) : "no cases there");
		tally->failures++;
	}
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		harness__run_file(path, p, all, out, tally);
		free(names[i]);
	}
	free(names);
}

void harness__print_file(const char *path, const struct protocol *p, FILE *out)
{
	struct case_file *f = case_file__read(path);
	struct harness_tally tally = { 0 };
	struct way w = { .name = "as given" };

	if (f->error)
		fprintf(out, "%s\n", f->error);
	for (size_t i = 0; i < f->n && !f->error; i++) {
		struct run r = {
			.path = path, .p = p, .c = &f->cases[i], .out = out, .tally = &tally
		};

		detect(&r, NULL);
		struct mini *e = feed(&r, &w);

		fprintf(out, "== %s\n", f->cases[i].title);
		for (size_t k = 0; k < mini__count(e); k++)
			fprintf(out, "= %s\n", mini__line(e, k));
		if (mini__breach(e))
			fprintf(out, "breach: %s\n", mini__breach(e));
		mini__free(e);
	}
	case_file__free(f);
}
