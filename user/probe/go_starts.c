// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * All functions are listed, and their code is searched for calls (an opcode of one byte and a
 * distance: what looks like one and leads to where a function begins, is one). Only functions that
 * call what is of interest are decoded.
 */
#include "go_starts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "place_code.h"

#define FUNCS_MAX (4u << 20)
#define PIECE (1u << 20)      /* of code, read at once */
#define CODE_MAX (256u << 10) /* longer functions are not looked into */
#define CALL_LEN 5

enum {
	WAITS = 1 << 0,     /* channels, select, sync.Cond: waits for what others hand over */
	SLEEPS = 1 << 1,    /* time.Sleep */
	NO_RETURN = 1 << 2, /* panics */
	WRAPPER = 1 << 3,   /* a closure, or what the compiler makes of `go f(x)` */
	RECEIVES = 1 << 4,  /* calls something that WAITS */
	SERVES = 1 << 5,    /* is such a function */
};

struct go_func {
	uint64_t at;
	uint32_t size;
	uint32_t package; /* hash of its package's path */
	uint8_t flags;
};

struct program {
	struct elf_file *elf;
	struct go_func *funcs;
	size_t n, size;
	bool sorted, no_memory;
	uint8_t *code; /* PIECE */
	uint64_t code_at, code_len;
};

static const struct {
	const char *name;
	uint8_t flags;
} known[] = {
	{ "runtime.chanrecv1", WAITS },
	{ "runtime.chanrecv2", WAITS },
	{ "runtime.selectgo", WAITS },
	{ "sync.(*Cond).Wait", WAITS },
	{ "sync.runtime_notifyListWait", WAITS },
	{ "time.Sleep", SLEEPS },
};

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* "net/http" of "net/http.(*Transport).dialConn.gowrap1": up to the first dot in the last part. */
static uint32_t package_of(const char *name)
{
	size_t end = strcspn(name, "["), slash = 0;
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < end; i++)
		if (name[i] == '/')
			slash = i;
	while (slash < end && name[slash] != '.')
		slash++;
	for (size_t i = 0; i < slash; i++)
		h = (h ^ (uint8_t)name[i]) * 16777619u;
	return h;
}

/* "x.f.func1", "x.f.func1.2", "x.f.gowrap1", "x.(*T).f-fm" */
static bool is_wrapper(const char *name)
{
	size_t len = strlen(name);

	if (len > 3 && strcmp(name + len - 3, "-fm") == 0)
		return true;
	while (len && ((name[len - 1] >= '0' && name[len - 1] <= '9') || name[len - 1] == '.'))
		len--;
	return name[len] && ((len > 5 && memcmp(name + len - 5, ".func", 5) == 0) ||
			     (len > 7 && memcmp(name + len - 7, ".gowrap", 7) == 0));
}

static uint8_t flags_of(const char *name)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].name, name) == 0)
			return known[i].flags;
	if (begins(name, "runtime.panic") || begins(name, "runtime.goPanic") ||
	    begins(name, "runtime.gopanic") || strcmp(name, "runtime.throw") == 0 ||
	    strcmp(name, "runtime.fatal") == 0)
		return NO_RETURN;
	return is_wrapper(name) ? WRAPPER : 0;
}

static void add(void *ctx, const char *name, uint64_t at, uint64_t size)
{
	struct program *p = ctx;

	if (p->no_memory || p->n == FUNCS_MAX)
		return;
	if (p->n == p->size) {
		size_t more = p->size ? 2 * p->size : 8192;
		struct go_func *funcs = realloc(p->funcs, more * sizeof(*funcs));

		if (!funcs) {
			p->no_memory = true;
			return;
		}
		p->funcs = funcs;
		p->size = more;
	}
	if (p->n && at < p->funcs[p->n - 1].at)
		p->sorted = false;
	p->funcs[p->n++] = (struct go_func){ .at = at,
					     .size = size < CODE_MAX ? (uint32_t)size : 0,
					     .package = package_of(name),
					     .flags = flags_of(name) };
}

static int by_address(const void *a, const void *b)
{
	const struct go_func *x = a, *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

static struct go_func *func_at(const struct program *p, uint64_t at)
{
	struct go_func key = { .at = at };

	return bsearch(&key, p->funcs, p->n, sizeof(key), by_address);
}

/* The function's code; NULL if it can't be read. Valid until the next call. */
static const uint8_t *code_of(struct program *p, const struct go_func *f)
{
	if (f->at >= p->code_at && f->at - p->code_at + f->size <= p->code_len)
		return p->code + (f->at - p->code_at);
	p->code_at = f->at;
	for (p->code_len = PIECE; p->code_len >= f->size && p->code_len; p->code_len /= 2)
		if (elf_file__read(p->elf, p->code_at, p->code, p->code_len))
			return p->code;
	p->code_len = f->size;
	if (p->code_len && elf_file__read(p->elf, p->code_at, p->code, p->code_len))
		return p->code;
	p->code_len = 0;
	return NULL;
}

/* The function that a call (or jump, 0xe9) at code[i] leads to. */
static const struct go_func *called(const struct program *p, const struct go_func *f,
				    const uint8_t *code, size_t i)
{
	int32_t distance;

	if (i + CALL_LEN > f->size)
		return NULL;
	memcpy(&distance, code + i + 1, sizeof(distance));
	uint64_t to = f->at + i + CALL_LEN + (uint64_t)(int64_t)distance;

	/* most are something else, or lead out of what could be read */
	if (to < p->funcs[0].at || to > p->funcs[p->n - 1].at)
		return NULL;
	return func_at(p, to);
}

static void find_receivers(struct program *p)
{
	for (size_t k = 0; k < p->n; k++) {
		struct go_func *f = &p->funcs[k];
		const uint8_t *code = code_of(p, f);

		for (size_t i = 0; code && i + CALL_LEN <= f->size; i++) {
			const struct go_func *to = code[i] == 0xe8 ? called(p, f, code, i) : NULL;

			if (to && to->flags & WAITS)
				f->flags |= RECEIVES;
		}
	}
}

/*
 * A loop around instruction i: it can come again. What a way ends with: a panic, and the jump to the
 * function's start, which is behind the growing of the stack. *ends: one leads out of the function.
 */
struct walk {
	const struct program *p;
	const struct go_func *f;
	const uint8_t *code;
	struct place_code c;
	uint8_t *seen;
	uint32_t *work;
};

static bool is_end(const struct walk *w, uint32_t i)
{
	const struct insn *in = &w->c.insns[i];
	const struct go_func *to;

	if (in->kind != INSN_CALL || w->code[in->offset] != 0xe8)
		return false;
	to = called(w->p, w->f, w->code, in->offset);
	return to && to->flags & NO_RETURN;
}

static bool comes_again(struct walk *w, uint32_t i, bool *ends)
{
	uint32_t n = 0, next[2];

	memset(w->seen, 0, w->c.n);
	*ends = false;
	w->work[n++] = i;
	while (n) {
		uint32_t at = w->work[--n];
		unsigned ways = is_end(w, at) ? 0 : place_code__next(&w->c, at, next);

		if (w->c.insns[at].kind == INSN_RET)
			*ends = true;
		for (unsigned k = 0; k < ways; k++) {
			if (!next[k] || next[k] >= w->c.n || w->seen[next[k]])
				continue;
			w->seen[next[k]] = 1;
			w->work[n++] = next[k];
		}
	}
	return w->seen[i];
}

/* Is what is called here what a serving function does again and again? */
static bool of_interest(const struct go_func *f, const struct go_func *to)
{
	return to && (to->flags & (WAITS | SLEEPS) ||
		      (to->flags & RECEIVES && to->package == f->package));
}

static bool serves(const struct program *p, const struct go_func *f, const uint8_t *code)
{
	struct walk w = { .p = p, .f = f, .code = code };
	bool found = false, ends;

	if (place_code__decode(&w.c, code, f->size, f->at, true))
		return false;
	w.seen = malloc(w.c.n + 1);
	w.work = malloc((w.c.n + 1) * sizeof(*w.work));
	for (uint32_t i = 0; w.seen && w.work && !found && i < w.c.n; i++) {
		const struct insn *in = &w.c.insns[i];
		const struct go_func *to;

		if (in->kind != INSN_CALL || code[in->offset] != 0xe8)
			continue;
		to = called(p, f, code, in->offset);
		if (of_interest(f, to) && comes_again(&w, i, &ends))
			found = !(to->flags & SLEEPS) || !ends;
	}
	free(w.seen);
	free(w.work);
	place_code__free(&w.c);
	return found;
}

static void find_servers(struct program *p)
{
	for (size_t k = 0; k < p->n; k++) {
		struct go_func *f = &p->funcs[k];
		const uint8_t *code = code_of(p, f);
		bool some = false;

		for (size_t i = 0; code && !some && i + CALL_LEN <= f->size; i++)
			some = code[i] == 0xe8 && of_interest(f, called(p, f, code, i));
		if (some && serves(p, f, code))
			f->flags |= SERVES;
	}
}

/* A wrapper of a wrapper has no end in sight; two are enough for `go func() { s.loop() }()`. */
static void find_wrappers(struct program *p)
{
	for (size_t k = 0; k < p->n; k++) {
		struct go_func *f = &p->funcs[k];
		const uint8_t *code = f->flags & WRAPPER && !(f->flags & SERVES) ? code_of(p, f)
										 : NULL;

		for (size_t i = 0; code && i + CALL_LEN <= f->size; i++) {
			const struct go_func *to = code[i] == 0xe8 || code[i] == 0xe9
							   ? called(p, f, code, i)
							   : NULL;

			if (to && to != f && to->flags & SERVES) {
				f->flags |= SERVES;
				break;
			}
		}
	}
}

static int take(const struct program *p, struct go_starts *out)
{
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++)
		n += !!(p->funcs[i].flags & SERVES);
	out->at = malloc((n + 1) * sizeof(*out->at));
	if (!out->at)
		return -ENOMEM;
	for (size_t i = 0; i < p->n; i++)
		if (p->funcs[i].flags & SERVES)
			out->at[out->n++] = p->funcs[i].at;
	return 0;
}

int go_starts__find(struct elf_file *elf, struct go_starts *out)
{
	struct program p = { .elf = elf, .sorted = true, .code = malloc(PIECE) };
	int err;

	*out = (struct go_starts){ 0 };
	err = p.code ? elf_file__each_go(elf, &p, add) : -ENOMEM;
	if (!err && p.no_memory)
		err = -ENOMEM;
	if (!err && !p.n)
		err = -ENOENT;
	if (!err) {
		if (!p.sorted)
			qsort(p.funcs, p.n, sizeof(*p.funcs), by_address);
		find_receivers(&p);
		find_servers(&p);
		find_wrappers(&p);
		err = take(&p, out);
	}
	free(p.funcs);
	free(p.code);
	return err;
}

void go_starts__free(struct go_starts *s)
{
	free(s->at);
	*s = (struct go_starts){ 0 };
}
