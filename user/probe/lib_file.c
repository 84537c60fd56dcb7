// SPDX-License-Identifier: GPL-2.0-or-later
#include "lib_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "../lib/log.h"
#include "first_call.h"
#include "place.h"
#include "tail_jump.h"

#define CODE_MAX (256u << 10) /* the longest function that is decoded whole */
#define CODE_UNKNOWN 4096     /* of a function whose end is not known */
#define VIA_MAX 4             /* functions that lead to another */
#define KERNEL_ENOTSUPP 524   /* include/linux/errno.h: not meant for user space, but it comes */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* "libssl" names libssl.so.3 and libssl-3e8d1a.so.1.1, but not libssl3.so nor libssl-test.so. */
static bool named(const char *const *names, const char *file)
{
	for (; names && *names; names++) {
		const char *name = *names, *rest = file;

		while (*name && *name == *rest)
			name++, rest++;
		if (*name)
			continue;
		if (*rest == '-')
			rest += 1 + strspn(rest + 1, "0123456789abcdef");
		if (*rest == '.' && strstr(rest, ".so"))
			return true;
	}
	return false;
}

static bool contains(const char *const *parts, const char *file)
{
	for (; parts && *parts; parts++)
		if (strstr(file, *parts))
			return true;
	return false;
}

/* Before 1.17 Go passed all arguments on the stack. */
static bool go_too_old(const char *version)
{
	unsigned major = 0, minor = 0;

	return sscanf(version, "go%u.%u", &major, &minor) == 2 && major == 1 && minor < 17;
}

/* Which rows it may hold: *sure by its name, the others if their marker is found. */
static uint64_t rows_of(struct elf_file *elf, const char *path, uint64_t wanted, bool program,
			uint64_t *sure)
{
	const char *base = base_name(path), *soname = elf_file__soname(elf);
	uint64_t maybe = 0;

	*sure = 0;
	for (size_t i = 0; probe_table[i]; i++) {
		const struct probe_library *lib = probe_table[i];

		if (!(wanted & 1ull << i))
			continue;
		if (lib->go ? program && elf_file__go_version(elf)[0]
			    : named(lib->sonames, base) || named(lib->sonames, soname))
			*sure |= 1ull << i;
		else if (lib->marker && (program || contains(lib->inside, base)))
			maybe |= 1ull << i;
	}
	return *sure | maybe;
}

/* The functions of all these rows, none of them found yet. */
static int list_funcs(struct lib_file *f, uint64_t rows)
{
	size_t n = 0;

	for (size_t i = 0; probe_table[i]; i++)
		if (rows & 1ull << i)
			for (const struct probe_func *p = probe_table[i]->funcs; p->symbol; p++)
				n++;
	f->funcs = calloc(n ? n : 1, sizeof(*f->funcs));
	if (!f->funcs)
		return -ENOMEM;
	for (size_t i = 0; probe_table[i]; i++)
		if (rows & 1ull << i)
			for (const struct probe_func *p = probe_table[i]->funcs; p->symbol; p++)
				f->funcs[f->n_funcs++] = (struct file_func){ .lib = probe_table[i],
									     .func = p };
	return 0;
}

/* Where they are, in the same order; the caller's. NULL with *err. */
static struct elf_func *find_funcs(struct lib_file *f, struct elf_file *elf, const char *root,
				   int *err)
{
	struct elf_func *at = calloc(f->n_funcs + 1, sizeof(*at));
	const char **names = calloc(f->n_funcs + 1, sizeof(*names));

	*err = -ENOMEM;
	if (at && names) {
		for (size_t i = 0; i < f->n_funcs; i++)
			names[i] = f->funcs[i].func->symbol;
		*err = elf_file__find(elf, names, f->n_funcs, at, root);
	}
	free(names);
	if (*err >= 0)
		return at;
	free(at);
	return NULL;
}

static const struct elf_func *found(const struct lib_file *f, const struct elf_func *at,
				    const struct probe_library *lib, const char *symbol)
{
	for (size_t i = 0; i < f->n_funcs; i++)
		if (f->funcs[i].lib == lib && at[i].offset &&
		    strcmp(f->funcs[i].func->symbol, symbol) == 0)
			return &at[i];
	return NULL;
}

/*
 * Drop the functions of rows that are not here after all, and of those that are here what is not
 * meant for this version. What is missing and should not be, stays, with the reason.
 */
static void choose_funcs(struct lib_file *f, struct elf_func *at, uint64_t sure)
{
	size_t n = 0, from = f->n_funcs;
	struct file_func *funcs = f->funcs;
	uint64_t here = 0;

	for (size_t r = 0; probe_table[r]; r++) {
		const struct probe_library *lib = probe_table[r];

		for (size_t i = 0; i < from; i++)
			if (funcs[i].lib == lib && at[i].offset &&
			    (sure & 1ull << r || strcmp(funcs[i].func->symbol, lib->marker) == 0))
				here |= 1ull << r;
	}
	bool *keep = calloc(from + 1, sizeof(*keep));

	for (size_t i = 0; keep && i < from; i++) {
		const struct probe_func *p = funcs[i].func;
		size_t r = 0;

		while (probe_table[r] != funcs[i].lib)
			r++;
		keep[i] = (here & 1ull << r) && (at[i].offset || !p->optional) &&
			  !(p->unless && found(f, at, funcs[i].lib, p->unless));
	}
	for (size_t i = 0; keep && i < from; i++) {
		if (!keep[i])
			continue;
		funcs[n] = funcs[i];
		at[n++] = at[i];
	}
	free(keep);
	f->n_funcs = n;
}

/* Functions that other functions lead to. */
static void find_by_jump(const struct lib_file *f, struct elf_file *elf, struct elf_func *at)
{
	struct elf_func from[VIA_MAX];

	for (size_t i = 0; i < f->n_funcs; i++) {
		const char *const *via = f->funcs[i].func->via;
		size_t n = 0;

		for (; via && !at[i].offset && via[n] && n < VIA_MAX; n++) {
			const struct elf_func *fn = found(f, at, f->funcs[i].lib, via[n]);

			from[n] = fn ? *fn : (struct elf_func){ 0 };
		}
		if (n && tail_jump__find(elf, from, n, &at[i]))
			log_debug("%s: %s is where %s jumps to", f->path, f->funcs[i].func->symbol,
				  via[0]);
	}
}

static void find_by_call(const struct lib_file *f, struct elf_file *elf, struct elf_func *at)
{
	for (size_t i = 0; i < f->n_funcs; i++) {
		const char *const *by = f->funcs[i].func->called_by;

		if (by && !at[i].offset && first_call__find(elf, by, &at[i]))
			log_debug("%s: %s is what %s calls", f->path, f->funcs[i].func->symbol,
				  by[0]);
	}
}

/* Only in files that hold the row's library: all programs are asked whether they do. */
static void find_by_pointer(const struct lib_file *f, struct elf_file *elf, struct elf_func *at)
{
	for (size_t i = 0; i < f->n_funcs; i++) {
		const struct probe_func *p = f->funcs[i].func;
		const struct probe_library *lib = f->funcs[i].lib;

		if (p->slot_of && !at[i].offset && found(f, at, lib, lib->marker) &&
		    elf_file__pointed(elf, p->slot_of, p->in_slot, &at[i]))
			log_debug("%s: %s is what %s points at", f->path, p->symbol, p->slot_of);
	}
}

/* Of what makes units of work, only the result is looked at. */
static bool needs_entry(const struct probe_desc *d)
{
	return d->what != PROBE_SPAWN;
}

/* The others are dealt with at the entry. */
static bool needs_exit(const struct probe_desc *d)
{
	return d->what != PROBE_TLS_END && d->what != PROBE_TLS_SHUTDOWN &&
	       d->what < PROBE_GO_SPAWN && d->what != PROBE_CIPHER_OUT &&
	       d->result != PROBE_RESULT_ENTRY;
}

static struct place_wish wish_of(const struct probe_desc *d)
{
	const uint8_t args[] = { d->object,   d->buf,   d->len,       d->out,  d->text,
				 d->text_len, d->text2, d->text2_len, d->made, d->only };
	struct place_wish w = {
		.abi = d->abi == PROBE_ABI_GO ? PLACE_ABI_GO : PLACE_ABI_C,
		.result = needs_exit(d),
		.returns_int = d->flags & PROBE_INT,
		.any_reg = d->what == PROBE_SPAWN && (d->object || d->flags & PROBE_FRESH),
		.kept = d->what == PROBE_SPAWN ? d->object : 0,
	};

	for (size_t i = 0; i < sizeof(args); i++)
		if (args[i])
			w.args |= 1u << (args[i] - 1);
	w.length = w.result && w.returns_int && d->result == PROBE_RESULT_LEN &&
		   (d->what == PROBE_TLS_READ || d->what == PROBE_TLS_WRITE ||
		    d->what == PROBE_CIPHER_IN);
	return w;
}

/* "+22 js (emulated)" */
static void say_place(char *buf, size_t size, const char *what, uint64_t offset,
		      enum place_cost cost, const char *insn)
{
	size_t used = strlen(buf);
	char at[32] = "";

	if (offset)
		snprintf(at, sizeof(at), " +%llu", (unsigned long long)offset);
	snprintf(buf + used, size - used, "%s%s%s%s%s (%s)", used ? ", " : "", what, at,
		 insn ? " " : "", insn ? insn : "",
		 cost == PLACE_EMULATED ? "emulated" : "stepped");
}

static void say_places(struct file_func *fn, const struct places *p)
{
	char *buf = fn->place;
	size_t size = sizeof(fn->place);

	if (needs_entry(&fn->func->desc))
		say_place(buf, size, "entry", p->entry.offset, p->entry.cost, p->entry.insn);
	if (p->exit_how == PLACE_EXIT_RETPROBE)
		say_place(buf, size, "return probe", 0, p->exit_cost, NULL);
	else if (p->exit_how == PLACE_EXIT_SITES && p->n_exits == 1)
		say_place(buf, size, "exit", p->exits[0].at.offset, p->exits[0].at.cost,
			  p->exits[0].at.insn);
	else if (p->exit_how == PLACE_EXIT_SITES)
		snprintf(buf + strlen(buf), size - strlen(buf), "%s%zu exits", buf[0] ? ", " : "",
			 p->n_exits);
}

static int add_site(struct file_sites *s, size_t func, uint64_t offset, uint64_t cookie, bool ret)
{
	struct kernel_site *sites = realloc(s->sites, (s->n + 1) * sizeof(*sites));

	if (sites)
		s->sites = sites;
	size_t *funcs = realloc(s->func, (s->n + 1) * sizeof(*funcs));

	if (funcs)
		s->func = funcs;
	if (!sites || !funcs)
		return -ENOMEM;
	sites[s->n] = (struct kernel_site){ .offset = offset, .cookie = cookie, .ret = ret };
	funcs[s->n++] = func;
	return 0;
}

static int add_exits(struct file_sites *s, size_t func, uint64_t start, int desc,
		     const struct probe_desc *d, const struct places *p)
{
	int32_t bits = d->what == PROBE_SPAWN && d->flags & PROBE_FRESH ? PROBE_MORE_FRESH : 0;
	int err = 0;

	if (p->exit_how == PLACE_EXIT_RETPROBE)
		return add_site(s, func, start + p->exit_offset,
				PROBE_COOKIE(desc, PROBE_AT_EXIT, bits), true);
	for (size_t i = 0; i < p->n_exits && !err && p->exit_how == PLACE_EXIT_SITES; i++) {
		const struct place_exit *e = &p->exits[i];
		enum probe_at at = e->in_memory ? PROBE_AT_EXIT_MEM
				   : e->in_regs ? PROBE_AT_EXIT_REGS
						: PROBE_AT_EXIT;
		int32_t more = e->in_regs ? e->result_reg | e->kept_reg << 8 | bits : e->disp;

		err = add_site(s, func, start + e->at.offset, PROBE_COOKIE(desc, at, more), false);
	}
	return err;
}

/* Read a function's code and choose its places. */
static int find_places(struct elf_file *elf, const struct elf_func *at, const struct probe_desc *d,
		       struct places *out)
{
	size_t want = !at->size ? CODE_UNKNOWN : at->size < CODE_MAX ? at->size : CODE_MAX;
	struct place_wish wish = wish_of(d);
	uint8_t *code = malloc(want);
	uint64_t addr = 0;

	if (!code)
		return -ENOMEM;
	int64_t len = elf_file__code(elf, at, code, want, &addr);
	int err = len < 0 ? (int)len
			  : place__choose(code, (size_t)len, addr,
					  at->size && (uint64_t)len == at->size, &wish, out);

	free(code);
	return err;
}

/* Two names of one piece of code can't be told apart: the first one has it. */
static const struct file_func *same_code(const struct lib_file *f, const struct elf_func *at,
					 size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (at[k].offset == at[i].offset && f->funcs[k].place[0])
			return &f->funcs[k];
	return NULL;
}

/* Where it calls another one. */
static int find_call(struct kernel *k, struct lib_file *f, struct elf_file *elf,
		     const struct elf_func *at, size_t i, struct places *out)
{
	uint64_t addr;
	int err = goruntime__place(elf, &at[i], f->funcs[i].func, out, &addr);

	if (!err && f->funcs[i].func->desc.what == PROBE_GO_SPAWN)
		err = goruntime__site(k, elf, addr, &f->go, &f->funcs[i].more);
	return err;
}

static struct file_sites *group_of(struct lib_file *f, const struct probe_func *func)
{
	return func->on_demand ? &f->demand
	       : func->uvloop  ? &f->uvloop
	       : func->fields  ? &f->fields
			       : &f->always;
}

static int prepare_func(struct kernel *k, struct lib_file *f, struct elf_file *elf,
			const struct elf_func *at, size_t i, struct places *places)
{
	struct file_func *fn = &f->funcs[i];
	const struct file_func *twin = at[i].offset ? same_code(f, at, i) : NULL;

	if (!at[i].offset) {
		snprintf(fn->why, sizeof(fn->why), "the file has no function of this name");
		return 0;
	}
	if (twin) {
		snprintf(fn->why, sizeof(fn->why), "the same code as %s", twin->func->symbol);
		return 0;
	}
	memset(places, 0, sizeof(*places));
	int err = fn->func->at_call ? find_call(k, f, elf, at, i, places)
				    : find_places(elf, &at[i], &fn->func->desc, places);

	if (err) {
		snprintf(fn->why, sizeof(fn->why), "%s",
			 err == -ENOTSUP  ? fn->func->at_call
						    ? "its code is not as expected"
						    : "where it returns can't be told for certain"
			 : err == -EINVAL ? "its code can't be decoded"
					  : strerror(-err));
		return err == -ENOMEM ? err : 0;
	}
	fn->desc = kernel__describe_probe(k, &fn->func->desc);
	if (fn->desc < 0) {
		snprintf(fn->why, sizeof(fn->why), "%s",
			 fn->desc == -ENOSPC ? "too many kinds of functions" : strerror(-fn->desc));
		return 0;
	}
	say_places(fn, places);
	fn->entry = at[i].offset + places->entry.offset;
	return add_exits(group_of(f, fn->func), i, at[i].offset, fn->desc, &fn->func->desc, places);
}

static int add_entries(struct lib_file *f)
{
	int err = 0;

	for (size_t i = 0; i < f->n_funcs && !err; i++) {
		const struct file_func *fn = &f->funcs[i];

		if (fn->entry && needs_entry(&fn->func->desc))
			err = add_site(group_of(f, fn->func), i, fn->entry,
				       PROBE_COOKIE(fn->desc, PROBE_AT_ENTER, fn->more), false);
	}
	return err;
}

static int prepare(struct kernel *k, struct lib_file *f, struct elf_file *elf,
		   const struct elf_func *at)
{
	struct places *places = malloc(sizeof(*places));
	int err = places ? 0 : -ENOMEM;

	for (size_t i = 0; i < f->n_funcs && !err; i++)
		err = prepare_func(k, f, elf, at, i, places);
	free(places);
	return err ? err : add_entries(f);
}

static void learn_runtime(struct lib_file *f, struct elf_file *elf, const struct elf_func *at)
{
	for (size_t i = 0; i < f->n_funcs && !f->python.state; i++)
		if (f->funcs[i].lib->area == PROBE_AREA_RUNTIME && !f->funcs[i].lib->go &&
		    at[i].offset)
			python__learn(elf, f->path, &at[i], &f->python);
	if (f->python.state && !python__knows(&f->python))
		log_info(
			"Python %u.%u (%s): where it keeps asyncio's tasks is not known for this version, so parents are found without",
			f->python.version >> 8, f->python.version & 0xff, f->path);
}

static int look_into(struct kernel *k, struct lib_file *f, struct elf_file *elf, uint64_t wanted,
		     bool program, const char *root)
{
	uint64_t sure, rows = rows_of(elf, f->path, wanted, program, &sure);
	struct elf_func *at;

	for (size_t i = 0; probe_table[i]; i++) {
		if (!(rows & 1ull << i) || !probe_table[i]->go ||
		    !go_too_old(elf_file__go_version(elf)))
			continue;
		f->lib = probe_table[i];
		snprintf(f->why, sizeof(f->why), "built by %s: 1.17 or newer is needed",
			 elf_file__go_version(elf));
		rows &= ~(1ull << i);
	}
	if (!rows)
		return 0;
	int err = list_funcs(f, rows);

	if (err)
		return err;
	/* A library's own functions are exported: no debug file knows more of them. */
	at = find_funcs(f, elf, program ? root : NULL, &err);
	if (!at)
		return err;
	find_by_jump(f, elf, at);
	find_by_call(f, elf, at);
	find_by_pointer(f, elf, at);
	choose_funcs(f, at, sure);
	learn_runtime(f, elf, at);
	snprintf(f->build_id, sizeof(f->build_id), "%s", elf_file__build_id(elf));
	err = f->n_funcs ? prepare(k, f, elf, at) : 0;
	free(at);
	return err;
}

/* A known library by its name, which can't be looked into: that is told. NULL: it is another file. */
static const struct probe_library *named_library(const char *path, uint64_t wanted)
{
	for (size_t i = 0; probe_table[i]; i++)
		if (wanted & 1ull << i && named(probe_table[i]->sonames, base_name(path)))
			return probe_table[i];
	return NULL;
}

int lib_file__load(struct kernel *k, int fd, const char *path, uint64_t wanted, bool program,
		   const char *root, struct lib_file **out)
{
	struct lib_file *f = calloc(1, sizeof(*f));
	struct elf_file *elf = NULL;
	char why[sizeof(((struct lib_file *)0)->why)] = "";
	int err = -ENOMEM;

	*out = NULL;
	if (!f) {
		close(fd);
		return err;
	}
	f->fd = fd;
	list__init(&f->all);
	f->path = strdup(path);
	if (f->path) {
		err = elf_file__open(fd, &elf, why, sizeof(why));
		if (!err)
			err = look_into(k, f, elf, wanted, program, root);
	}
	if (elf)
		elf_file__close(elf);
	if (err == 0 && (f->n_funcs || f->why[0])) {
		if (f->n_funcs)
			f->lib = f->funcs[0].lib;
		*out = f;
		return 0;
	}
	if (err && err != -ENOMEM && (f->lib = named_library(path, wanted))) {
		f->n_funcs = f->always.n = f->demand.n = f->uvloop.n = f->fields.n = 0;
		snprintf(f->why, sizeof(f->why), "%s", why[0] ? why : strerror(-err));
		*out = f;
		return 0;
	}
	if (err && err != -ENOMEM)
		log_debug("%s: %s", path, why[0] ? why : strerror(-err));
	lib_file__free(k, f);
	return err == -ENOMEM ? err : 0;
}

void lib_file__attach(struct kernel *k, struct lib_file *f, struct file_sites *group)
{
	char path[MAPS_ATTACH_PATH_MAX];
	int *errs;

	if (group->attached || !group->n)
		return;
	errs = calloc(group->n, sizeof(*errs));
	if (!errs)
		return;
	maps__attach_path(f->fd, path);
	int n = kernel__attach_uprobes(k, path, group->sites, group->n, errs, &group->attached);

	for (size_t i = 0; i < group->n; i++)
		f->funcs[group->func[i]].attached = true;
	for (size_t i = 0; i < group->n; i++) {
		struct file_func *fn = &f->funcs[group->func[i]];
		int err = n < 0 ? n : errs[i];

		if (!err)
			continue;
		fn->attached = false;
		snprintf(fn->why, sizeof(fn->why), "%s",
			 err == -KERNEL_ENOTSUPP ? "the kernel can't probe this instruction"
						 : strerror(-err));
	}
	f->attached_at = clock__boottime();
	free(errs);
}

void lib_file__detach(struct kernel *k, struct file_sites *group)
{
	if (group->attached)
		kernel__detach_uprobes(k, group->attached);
	group->attached = NULL;
}

bool lib_file__tells_goroutines(const struct lib_file *f)
{
	bool some = false;

	for (size_t i = 0; i < f->n_funcs; i++) {
		if (f->funcs[i].func->desc.what != PROBE_GO_SPAWN)
			continue;
		if (!f->funcs[i].attached)
			return false;
		some = true;
	}
	return some;
}

void lib_file__complain(const struct lib_file *f, pid_t pid)
{
	const struct file_func *first = NULL;
	unsigned more = 0;
	char others[64] = "";

	for (size_t i = 0; i < f->n_funcs; i++) {
		if (f->funcs[i].attached || !f->funcs[i].why[0])
			continue;
		more += first != NULL;
		first = first ? first : &f->funcs[i];
	}
	if (f->why[0])
		log_warn("%s: %s: %s", f->lib->title, f->path, f->why);
	if (!first)
		return;
	if (more)
		snprintf(others, sizeof(others), " (and %u more: see weft doctor -p %d)", more,
			 pid);
	log_warn("%s: %s of %s is not watched: %s%s", first->lib->title, first->func->symbol,
		 f->path, first->why, others);
}

void lib_file__free(struct kernel *k, struct lib_file *f)
{
	lib_file__detach(k, &f->always);
	lib_file__detach(k, &f->demand);
	lib_file__detach(k, &f->uvloop);
	lib_file__detach(k, &f->fields);
	free(f->always.sites);
	free(f->always.func);
	free(f->demand.sites);
	free(f->demand.func);
	free(f->uvloop.sites);
	free(f->uvloop.func);
	free(f->fields.sites);
	free(f->fields.func);
	goruntime__free(k, &f->go);
	free(f->funcs);
	free(f->path);
	if (f->fd >= 0)
		close(f->fd);
	free(f);
}
