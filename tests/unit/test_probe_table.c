// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table of probed libraries is data that nothing checks when it is compiled: an argument's
 * number that can't be, a marker that is no function of its row, a name in two places.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "../../user/probe/table.h"

#define ARGS_C 6
#define ARGS_GO 9

static void check_args(const struct probe_func *f)
{
	const struct probe_desc *d = &f->desc;
	const uint8_t args[] = { d->object, d->buf,      d->len,   d->out,       d->text,
				 d->made,   d->text_len, d->text2, d->text2_len, d->only };

	for (size_t i = 0; i < sizeof(args); i++)
		cr_assert(args[i] <= (d->abi == PROBE_ABI_GO ? ARGS_GO : ARGS_C), "%s: argument %u",
			  f->symbol, args[i]);
	cr_assert(d->text || !d->text_len, "%s: the length of no text", f->symbol);
	cr_assert(d->text2 || !d->text2_len, "%s: the length of no text", f->symbol);
	/* one register of a call's frame serves both */
	cr_assert(!(d->buf && d->text) && !(d->len && d->text_len) && !(d->out && d->made),
		  "%s: bytes and text", f->symbol);
}

static bool has(const struct probe_library *lib, const char *symbol)
{
	for (const struct probe_func *f = lib->funcs; f->symbol; f++)
		if (strcmp(f->symbol, symbol) == 0)
			return true;
	return false;
}

static void check_func(const struct probe_library *lib, const struct probe_func *f)
{
	const struct probe_desc *d = &f->desc;
	bool cipher = d->what == PROBE_CIPHER_OUT || d->what == PROBE_CIPHER_IN;
	bool call = d->what == PROBE_CALL;
	bool table = d->what >= PROBE_NGHTTP2_IN;
	bool unit = d->what == PROBE_SPAWN || (d->what >= PROBE_GO_SPAWN && (lib->go || !table));
	/* what runs is asked, not an argument */
	bool current = d->what == PROBE_SPAWN || d->what == PROBE_LOOP_SERVED ||
		       d->what == PROBE_UV_ENTERS;

	check_args(f);
	cr_assert_neq(d->what, PROBE_NONE, "%s", f->symbol);
	cr_assert_eq(call, lib->area == PROBE_AREA_DB, "%s: of the other area", f->symbol);
	cr_assert_eq(call, d->fn != WEFT_FN_NONE, "%s: a number is for calls", f->symbol);
	cr_assert_eq(table, f->fields, "%s: header tables are looked at for a while", f->symbol);
	cr_assert_eq(table && !lib->go, lib->area == PROBE_AREA_HTTP, "%s: of the other area",
		     f->symbol);
	cr_assert_eq(cipher, f->on_demand, "%s: on demand is what shows ciphertext", f->symbol);
	cr_assert_eq(lib->go, d->abi == PROBE_ABI_GO, "%s: Go's registers", f->symbol);
	cr_assert_eq(unit, lib->area == PROBE_AREA_RUNTIME, "%s: of the other area", f->symbol);
	/* of what is watched in its middle, no exit is known, and nothing but registers at a call */
	cr_assert_eq(!!f->at_call, d->what == PROBE_GO_SPAWN, "%s: where", f->symbol);
	for (const char *const *s = f->via; s && *s; s++)
		cr_assert(has(lib, *s), "%s: via %s", f->symbol, *s);
	if (!call && !cipher && !current)
		cr_assert(d->object, "%s: of no session", f->symbol);
	if (cipher)
		cr_assert(d->buf && d->len, "%s: no bytes", f->symbol);
	if (call)
		cr_assert(d->peek == -1 || !(d->flags & PROBE_INT),
			  "%s: looks behind an int that is no pointer", f->symbol);
}

Test(probe_table, rows)
{
	size_t n = 0;

	for (; probe_table[n]; n++) {
		const struct probe_library *lib = probe_table[n];

		cr_assert(lib->name && lib->title && lib->funcs && lib->funcs->symbol);
		cr_assert(lib->sonames || lib->marker || lib->go, "%s is never found", lib->name);
		if (lib->marker && !lib->go)
			cr_assert(has(lib, lib->marker), "%s: marker", lib->name);
		for (const struct probe_func *f = lib->funcs; f->symbol; f++) {
			check_func(lib, f);
			if (f->unless)
				cr_assert(has(lib, f->unless), "%s: unless", f->symbol);
			for (const struct probe_func *g = lib->funcs; g < f; g++)
				cr_assert_str_neq(f->symbol, g->symbol);
		}
	}
	cr_assert(n <= 64, "rows are bits of 64");
}

Test(probe_table, names_of_several_rows_are_together)
{
	for (size_t i = 0; probe_table[i]; i++)
		for (size_t k = i + 1; probe_table[k]; k++)
			cr_assert(strcmp(probe_table[i]->name, probe_table[k]->name) != 0 ||
				  strcmp(probe_table[i]->name, probe_table[k - 1]->name) == 0);
}

Test(probe_table, find)
{
	uint64_t all = 0;

	for (size_t i = 0; probe_table__name(i); i++) {
		const char *name = probe_table__name(i);
		uint64_t bits = probe_table__find(name, strlen(name));

		cr_assert(bits);
		cr_assert_eq(all & bits, 0, "%s is there twice", name);
		all |= bits;
	}
	cr_assert_eq(all, probe_table__all());
	/* OpenSSL's two files */
	cr_assert_eq(__builtin_popcountll(probe_table__find("OpenSSL", 7)), 2);
	cr_assert_eq(probe_table__find("openss", 6), 0);
	cr_assert_eq(probe_table__find("openssl,", 8), 0);
	cr_assert_eq(probe_table__find("", 0), 0);
}

Test(probe_table, sonames)
{
	const char *const *names = probe_table__sonames();
	bool ssl = false, crypto = false;

	for (; *names; names++) {
		ssl |= strcmp(*names, "libssl") == 0;
		crypto |= strcmp(*names, "libcrypto") == 0;
	}
	cr_assert(ssl);
	cr_assert_not(crypto, "libcrypto alone says nothing of what a process does");
}
