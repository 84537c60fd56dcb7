// SPDX-License-Identifier: GPL-2.0-or-later
/* Where probes sit in made-up functions, each for one rule or for one way to break it. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../user/probe/place.h"
#include "../../user/probe/place_code.h"
#include "../lib/mini_place.h"
#include "place_cases.h"

#define CODE_MAX 512

static size_t from_hex(const char *hex, uint8_t *code)
{
	size_t n = 0;

	for (; *hex; hex += 2) {
		unsigned byte;

		while (*hex == ' ')
			hex++;
		cr_assert(n < CODE_MAX && sscanf(hex, "%2x", &byte) == 1, "%s", hex);
		code[n++] = (uint8_t)byte;
	}
	return n;
}

static const char *dear(enum place_cost cost)
{
	return cost == PLACE_STEPPED ? " dear" : "";
}

static const char *reg_name(unsigned reg)
{
	return reg == REG_AX ? "ax" : reg == REG_BX ? "bx" : reg == REG_BP ? "bp" : "?";
}

static void say(char *buf, size_t size, int err, const struct places *p)
{
	size_t n = 0;

	buf[0] = '\0';
	if (err) {
		snprintf(buf, size, "%s",
			 err == -EINVAL    ? "invalid"
			 : err == -ENOTSUP ? "unsupported"
					   : strerror(-err));
		return;
	}
	n += (size_t)snprintf(buf, size, "entry +%lu%s", (unsigned long)p->entry.offset,
			      dear(p->entry.cost));
	if (p->exit_how == PLACE_EXIT_RETPROBE)
		snprintf(buf + n, size - n, ", return +%lu%s", (unsigned long)p->exit_offset,
			 dear(p->exit_cost));
	for (size_t i = 0; i < p->n_exits && n < size; i++) {
		n += (size_t)snprintf(buf + n, size - n, ", exit +%lu%s",
				      (unsigned long)p->exits[i].at.offset,
				      dear(p->exits[i].at.cost));
		if (p->exits[i].in_regs && n < size)
			n += (size_t)snprintf(buf + n, size - n, " %s %s",
					      reg_name(p->exits[i].result_reg),
					      reg_name(p->exits[i].kept_reg));
		if (p->exits[i].in_memory && n < size)
			n += (size_t)snprintf(buf + n, size - n, " sp+%d", p->exits[i].disp);
	}
}

static struct place_wish wish_of(const struct place_case *c)
{
	return (struct place_wish){
		.abi = c->flags & GO ? PLACE_ABI_GO : PLACE_ABI_C,
		.args = c->args,
		.result = c->flags & RESULT,
		.returns_int = true,
		.length = (c->flags & LENGTH) == LENGTH,
		.any_reg = (c->flags & REGS) == REGS,
		.kept = (c->flags & REGS) == REGS,
	};
}

/* Bytes lie before a page that can't be read. */
static int choose(const struct place_case *c, const uint8_t *code, size_t len, struct places *p)
{
	struct mini_shelf shelf = { .place = MINI_GUARD_END };
	struct place_wish wish = wish_of(c);
	uint8_t *shown = mini_shelf__show(&shelf, code, len);
	int err = place__choose(shown, len, 0x1000, !(c->flags & PART), &wish, p);

	mini_shelf__hide(&shelf, shown, len);
	mini_shelf__free(&shelf);
	return err;
}

Test(place, cases)
{
	for (size_t i = 0; i < sizeof(place_cases) / sizeof(*place_cases); i++) {
		const struct place_case *c = &place_cases[i];
		uint8_t code[CODE_MAX];
		size_t len = from_hex(c->code, code);
		struct places p;
		char said[512];
		int err = choose(c, code, len, &p);

		say(said, sizeof(said), err, &p);
		cr_expect(eq(str, said, (char *)c->places), "%s", c->name);
	}
}

/* The dear places say why they are no better, the others have nothing to say. */
Test(place, why)
{
	for (size_t i = 0; i < sizeof(place_cases) / sizeof(*place_cases); i++) {
		const struct place_case *c = &place_cases[i];
		uint8_t code[CODE_MAX];
		struct places p;

		if (choose(c, code, from_hex(c->code, code), &p))
			continue;
		cr_expect_eq(p.why[0] != '\0', p.entry.cost == PLACE_STEPPED, "%s: '%s'", c->name,
			     p.why);
		cr_expect(p.entry.insn && *p.entry.insn);
	}
}

/* Any beginning of a function, whole or not: an answer, nothing read behind it, nothing cheap lost. */
Test(place, truncated)
{
	for (size_t i = 0; i < sizeof(place_cases) / sizeof(*place_cases); i++) {
		const struct place_case *c = &place_cases[i];
		uint8_t code[CODE_MAX];
		size_t len = from_hex(c->code, code);

		for (size_t n = 0; n < len; n++) {
			struct place_case part = *c;
			struct places p;

			part.flags |= PART;
			int err = choose(&part, code, n, &p);

			cr_assert(err == 0 || err == -EINVAL || err == -ENOTSUP, "%s", c->name);
			if (!n)
				cr_assert_eq(err, -EINVAL);
			if (err)
				continue;
			cr_expect_lt(p.entry.offset, n);
			/* what lies behind is not known: no exits but the return probe's */
			cr_expect_neq(p.exit_how, PLACE_EXIT_SITES, "%s, %zu bytes", c->name, n);
		}
	}
}

/* Damaged code: whatever it says, the places lie on it. */
Test(place, damaged)
{
	unsigned seed = 20240711;

	for (size_t i = 0; i < sizeof(place_cases) / sizeof(*place_cases); i++) {
		const struct place_case *c = &place_cases[i];
		uint8_t code[CODE_MAX];
		size_t len = from_hex(c->code, code);

		for (unsigned round = 0; round < 300; round++) {
			uint8_t broken[CODE_MAX];
			struct places p;

			memcpy(broken, code, len);
			for (unsigned k = 0; k <= round % 4; k++)
				broken[(unsigned)rand_r(&seed) % len] = (uint8_t)rand_r(&seed);
			int err = choose(c, broken, len, &p);

			cr_assert(err == 0 || err == -EINVAL || err == -ENOTSUP, "%s", c->name);
			if (err)
				continue;
			cr_expect_lt(p.entry.offset, len);
			for (size_t k = 0; k < p.n_exits; k++)
				cr_expect_lt(p.exits[k].at.offset, len);
		}
	}
}

static void fill_rets(uint8_t *code, size_t n)
{
	static const uint8_t check[] = { 0x48, 0x39, 0xd8, 0x75, 0x01, 0xc3 }; /* cmp; jne; ret */

	for (size_t i = 0; i < n; i++)
		memcpy(code + i * sizeof(check), check, sizeof(check));
	code[n * sizeof(check) - 3] = 0x90; /* the last goes on to its ret in both cases */
	code[n * sizeof(check) - 2] = 0x90;
}

/* Go: as many exits as there is room for, and one more. */
Test(place, many_rets)
{
	static const struct place_case go = { .name = "rets", .flags = GO | RESULT, .args = 1 };
	uint8_t code[(PLACE_EXITS_MAX + 1) * 6];
	struct places p;

	fill_rets(code, PLACE_EXITS_MAX);
	cr_assert_eq(choose(&go, code, PLACE_EXITS_MAX * 6, &p), 0);
	cr_expect_eq(p.n_exits, PLACE_EXITS_MAX);
	fill_rets(code, PLACE_EXITS_MAX + 1);
	cr_assert_eq(choose(&go, code, sizeof(code), &p), -ENOTSUP);
	cr_expect_neq(p.why[0], '\0');
}

Test(place, nothing)
{
	static const struct place_case c = { .name = "nothing", .flags = RESULT };
	static const uint8_t undecodable[] = { 0x06, 0x55, 0xc3 };
	struct places p;

	cr_expect_eq(choose(&c, undecodable, 0, &p), -EINVAL);
	cr_expect_eq(choose(&c, undecodable, sizeof(undecodable), &p), -EINVAL);
}
