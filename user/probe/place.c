// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The idea. From its start a function runs straight until its first branch or call: whatever lies on
 * that line is passed by every call of the function, and exactly once if nothing jumps back to it. So
 * the entry probe may sit on any instruction of the line up to the first that changes an argument
 * that is wanted, and the first cheap one is taken.
 *
 * A return probe replaces the return address, so it can sit only where that is at the top of the
 * stack. If that is a cheap place, it is the best there is. If not (`sub $24,%rsp` comes first), the
 * end of the function is searched for cheap instructions behind which nothing changes ax any more:
 * with a stack protector there nearly always is one, the jump over the guard that was found intact.
 * A set of them is taken if every way through the function passes exactly one; that is counted, not
 * guessed, over the whole of the function's control flow, and where that is not known for certain
 * (jump tables, parts elsewhere, bytes that can't be decoded) it is the return probe.
 */
#include "place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "place_code.h"
#include "place_flow.h"

/* How many single instructions are tried as the one that all ways out pass. */
#define SINGLES_MAX 64

static const uint8_t arg_regs[][16] = {
	[PLACE_ABI_C] = { REG_DI, REG_SI, REG_DX, REG_CX, REG_R8, REG_R9 },
	[PLACE_ABI_GO] = { REG_AX, REG_BX, REG_CX, REG_DI, REG_SI, REG_R8, REG_R9, REG_R10,
			   REG_R11 },
};

static const unsigned n_arg_regs[] = { [PLACE_ABI_C] = 6, [PLACE_ABI_GO] = 9 };

/* Registers that must be as they were; arguments beyond them lie at the stack pointer. */
static uint16_t wanted_regs(const struct place_wish *wish)
{
	unsigned n = n_arg_regs[wish->abi];
	uint16_t mask = wish->args >> n ? REG_BIT(REG_SP) : 0;

	for (unsigned i = 0; i < n; i++)
		if (wish->args & 1u << i)
			mask |= REG_BIT(arg_regs[wish->abi][i]);
	return mask;
}

static struct place place_at(const struct place_code *c, uint32_t i)
{
	const struct insn *in = &c->insns[i];

	return (struct place){
		.offset = in->offset,
		.cost = in->emulated ? PLACE_EMULATED : PLACE_STEPPED,
		.insn = in->name,
	};
}

/* Does a jump that we know of lead to one of these instructions? */
static bool jumped_to(const struct place_code *c, uint32_t first, uint32_t last)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->insns[i].target >= first && c->insns[i].target <= last)
			return true;
	return false;
}

/*
 * Is instruction i, on the straight line from `first`, passed only once a call? Where not all jumps
 * are known, this is still certain of the first pushes of registers that are the caller's: a
 * second pass would save something else, and nothing would take it from the stack.
 */
static bool passed_once(struct place_code *c, uint32_t first, uint32_t i)
{
	const struct insn *in = &c->insns[i];

	if (place_code__closed(c)) {
		place_code__counts(c, &i, 1);
		return c->count[i] == COUNT_0;
	}
	if (jumped_to(c, first, i))
		return false;
	return i == first || in->form == FORM_PUSH_SAVED ||
	       (c->whole && in->kind == INSN_JMP && in->target == INSN_OUTSIDE);
}

/*
 * The first cheap instruction on the straight line from `first` that is passed once, before which
 * none of these registers is written; `first` where there is none.
 */
static uint32_t pick(struct place_code *c, uint32_t first, uint16_t regs)
{
	for (uint32_t i = first; i < c->n; i++) {
		const struct insn *in = &c->insns[i];

		if (in->emulated && passed_once(c, first, i))
			return i;
		if (in->kind != INSN_PLAIN || (in->writes & regs))
			break;
	}
	return first;
}

/* Exits: what is known of an instruction. */
#define ENDS 1    /* a way leads from here to a ret */
#define CHANGES 2 /* on such a way ax is still written, here or later */

static void mark_ends(const struct place_code *c, uint8_t *facts)
{
	bool again = true;

	while (again) {
		again = false;
		for (uint32_t i = c->n; i--;) {
			uint8_t f = c->insns[i].kind == INSN_RET ? ENDS : 0;
			uint32_t next[2];

			for (unsigned n = place_code__next(c, i, next); n--;)
				if (facts[next[n]] & ENDS)
					f |= facts[next[n]];
			if ((f & ENDS) && (c->insns[i].writes & REG_BIT(REG_AX)))
				f |= CHANGES;
			again |= f != facts[i];
			facts[i] = f;
		}
	}
}

/* Is ax, when instruction i is reached, what the function will return? */
static bool is_final(const uint8_t *facts, uint32_t i)
{
	return facts[i] == ENDS;
}

/* Does each way to a ret pass as many of these as `counts` allows? */
static bool all_ways_pass(struct place_code *c, const uint32_t *sites, size_t n, uint8_t counts)
{
	bool any = false;

	place_code__counts(c, sites, n);
	for (uint32_t i = 0; i < c->n; i++) {
		if (c->insns[i].kind != INSN_RET || !c->count[i])
			continue;
		if (c->count[i] & ~counts)
			return false;
		any = true;
	}
	return any;
}

/* One cheap instruction for all ways out; the last such. */
static size_t single_site(struct place_code *c, const uint8_t *facts, uint32_t entry,
			  uint32_t *site)
{
	unsigned tried = 0;

	for (uint32_t i = c->n; i-- > entry + 1 && tried < SINGLES_MAX;) {
		if (!c->insns[i].emulated || !is_final(facts, i))
			continue;
		tried++;
		*site = i;
		if (all_ways_pass(c, site, 1, COUNT_1))
			return 1;
	}
	return 0;
}

/* For each ret the nearest cheap instruction on the straight line that leads to it. */
static size_t site_for_each_ret(struct place_code *c, const uint8_t *facts, uint32_t entry,
				uint32_t *sites)
{
	size_t n = 0;

	for (uint32_t i = 0; i < c->n; i++) {
		uint32_t at = i;

		if (c->insns[i].kind != INSN_RET)
			continue;
		while (at > entry + 1 && is_final(facts, at) && !c->insns[at].emulated &&
		       c->insns[at - 1].kind != INSN_RET && c->insns[at - 1].kind != INSN_STOP)
			at--;
		if (at <= entry || !is_final(facts, at) || !c->insns[at].emulated)
			continue; /* then the count will not be right, if the ret matters */
		if (n == PLACE_EXITS_MAX)
			return 0;
		sites[n++] = at;
	}
	return n && all_ways_pass(c, sites, n, COUNT_1) ? n : 0;
}

static bool find_sites(struct place_code *c, const uint8_t *facts, uint32_t entry,
		       struct places *out)
{
	uint32_t sites[PLACE_EXITS_MAX];
	size_t n = single_site(c, facts, entry, sites);

	if (!n)
		n = site_for_each_ret(c, facts, entry, sites);
	for (size_t i = 0; i < n; i++)
		out->exits[i] = (struct place_exit){ .at = place_at(c, sites[i]) };
	out->n_exits = n;
	return n > 0;
}

/*
 * call inner; test %eax,%eax; jle L; mov disp(%rsp),%eax; L: ... ret, or the same with jg to
 * somewhere else and back. `jump` is the jump; its index and that of the mov, if they are that.
 */
static bool is_length_jump(const struct place_code *c, uint32_t jump, uint32_t *load,
			   uint32_t *other)
{
	const struct insn *in = &c->insns[jump];

	if (jump < 2 || in->kind != INSN_JCC || !in->emulated || in->target >= c->n ||
	    jump + 1 >= c->n || in[-1].form != FORM_TEST_AX || in[-2].kind != INSN_CALL)
		return false;
	if (in->condition == 0xe) { /* jle */
		*load = jump + 1;
		*other = in->target;
	} else if (in->condition == 0xf) { /* jg */
		*load = in->target;
		*other = jump + 1;
	} else {
		return false;
	}
	return c->insns[*load].form == FORM_LOAD_AX && !jumped_to(c, jump - 1, jump) &&
	       *load + 1 < c->n;
}

/* Is `to` reached from `from` alone? */
static bool only_from(const struct place_code *c, uint32_t to, uint32_t from)
{
	for (uint32_t i = 0; i < c->n; i++) {
		uint32_t next[2];

		for (unsigned n = place_code__next(c, i, next); n--;)
			if (next[n] == to && i != from)
				return false;
	}
	return true;
}

/*
 * Is it certain what ax holds at every ret? `facts` say so: an instruction that writes ax, and
 * after which it is final, is the inner call, the load, or a constant that is no length.
 */
static bool others_are_errors(const struct place_code *c, const uint8_t *facts, uint32_t call,
			      uint32_t load)
{
	if (!(facts[0] & CHANGES))
		return false;
	for (uint32_t i = 0; i < c->n; i++) {
		const struct insn *in = &c->insns[i];
		bool last = false;
		uint32_t next[2];

		if (!c->count[i])
			continue; /* never reached */
		for (unsigned n = place_code__next(c, i, next); n--;)
			last |= (facts[next[n]] & ENDS) && is_final(facts, next[n]);
		/* on one way final and on the other not: what it is there is not known */
		if (last && !is_final(facts, i) && i != load &&
		    !((in->writes & REG_BIT(REG_AX)) && in->form == FORM_AX_NOT_ABOVE0) &&
		    (i < call || i > call + 2))
			return false;
	}
	return true;
}

static bool find_length(struct place_code *c, const uint8_t *facts, uint32_t entry,
			struct places *out)
{
	for (uint32_t jump = entry + 1; jump < c->n; jump++) {
		uint32_t load, other;

		if (!is_length_jump(c, jump, &load, &other) || !only_from(c, load, jump) ||
		    !is_final(facts, other) || !is_final(facts, load + 1) ||
		    c->insns[load].kind != INSN_PLAIN)
			continue;
		if (!all_ways_pass(c, &jump, 1, COUNT_0 | COUNT_1) ||
		    !others_are_errors(c, facts, jump - 2, load))
			continue;
		out->exits[0] = (struct place_exit){
			.at = place_at(c, jump),
			.in_memory = true,
			.disp = c->insns[load].disp,
		};
		out->n_exits = 1;
		return true;
	}
	return false;
}

/* Cheap exits: 1 found, 0 not, -ENOMEM. */
static int find_exits(struct place_code *c, const struct place_wish *wish, uint32_t entry,
		      struct places *out)
{
	uint8_t *facts;
	bool found;

	if (!place_code__closed(c))
		return 0;
	facts = calloc(c->n, 1);
	if (!facts)
		return -ENOMEM;
	mark_ends(c, facts);
	found = find_sites(c, facts, entry, out) ||
		(wish->length && wish->returns_int && find_length(c, facts, entry, out));
	free(facts);
	return found;
}

/* Registers that the kernel side can be told of (PROBE_AT_EXIT_REGS). */
#define TOLD                                                                                       \
	(REG_BIT(REG_AX) | REG_BIT(REG_BX) | REG_BIT(REG_BP) | REG_BIT(REG_R12) |                  \
	 REG_BIT(REG_R13) | REG_BIT(REG_R14) | REG_BIT(REG_R15))

static uint8_t lowest(uint16_t regs)
{
	return regs ? (uint8_t)__builtin_ctz(regs) : REG_NONE;
}

/*
 * The last cheap instruction that every way passes once, where registers have what is wanted. 1
 * found, 0 not, -ENOMEM.
 */
static int find_in_regs(struct place_code *c, const struct place_wish *wish, struct places *out)
{
	unsigned arg = wish->kept ? arg_regs[PLACE_ABI_C][wish->kept - 1] : REG_NONE, tried = 0;
	struct place_flow flow;
	int found = place_flow__follow(c, arg, &flow);

	if (found <= 0)
		return found;
	found = 0;
	for (uint32_t i = c->n; i-- && !found && tried < SINGLES_MAX;) {
		uint16_t result = flow.result[i] & TOLD, kept = flow.kept[i] & TOLD;

		/* all counts are of the last call: what is not reached has none in any */
		if (!c->insns[i].emulated || !c->count[i] || !result || (wish->kept && !kept))
			continue;
		tried++;
		if (!all_ways_pass(c, &i, 1, COUNT_1))
			continue;
		out->exits[0] = (struct place_exit){ .at = place_at(c, i),
						     .in_regs = true,
						     .result_reg = lowest(result),
						     .kept_reg = lowest(kept) };
		out->n_exits = 1;
		found = 1;
	}
	place_flow__free(&flow);
	return found;
}

static int choose_c(struct place_code *c, const struct place_wish *wish, struct places *out)
{
	uint16_t regs = wanted_regs(wish);
	uint32_t entry = pick(c, 0, regs), top = pick(c, 0, regs | REG_BIT(REG_SP));
	int err = wish->any_reg ? find_in_regs(c, wish, out) : 0;

	if (err < 0)
		return err;
	if (err) {
		out->exit_how = PLACE_EXIT_SITES;
	} else if (wish->result && !c->insns[top].emulated) {
		/* the stepped one is paid once: both probes there, or neither */
		err = c->insns[entry].emulated ? find_exits(c, wish, entry, out) : 0;
		if (err < 0)
			return err;
		if (err)
			out->exit_how = PLACE_EXIT_SITES;
		else if (c->insns[entry].emulated)
			snprintf(out->why, sizeof(out->why), "begins with %s; %s", c->insns[0].name,
				 place_code__closed(c) ? "no cheap place has the result"
						       : "its ways out are not all known");
	}
	if (wish->result && out->exit_how == PLACE_EXIT_NONE) {
		entry = top;
		out->exit_how = PLACE_EXIT_RETPROBE;
		out->exit_offset = c->insns[top].offset;
		out->exit_cost = place_at(c, top).cost;
	}
	if (c->insns[entry].refused)
		return -EINVAL;
	if (!entry && jumped_to(c, 0, 0)) {
		snprintf(out->why, sizeof(out->why), "it jumps back to its start");
		return -ENOTSUP;
	}
	out->entry = place_at(c, entry);
	if (out->entry.cost == PLACE_STEPPED && !out->why[0])
		snprintf(out->why, sizeof(out->why),
			 "begins with %s; no cheap place has the arguments", c->insns[0].name);
	return 0;
}

/*
 * Go's functions begin by comparing the stack pointer with the goroutine's limit, and go to a
 * block that makes a bigger stack and starts the function again. Returns the index of what
 * is behind that check (0: there is none), or -ENOTSUP where it is not what it should be.
 */
static int64_t go_check_end(const struct place_code *c)
{
	for (uint32_t i = 0; i < 6 && i + 1 < c->n; i++) {
		const struct insn *in = &c->insns[i], *jump = in + 1;

		if (in->form == FORM_GO_OLD)
			return -ENOTSUP;
		if (in->form != FORM_GO_CHECK) {
			if (in->kind != INSN_PLAIN && in->kind != INSN_JCC)
				break;
			continue;
		}
		if (jump->kind != INSN_JCC || jump->condition != 6 || jump->target >= c->n ||
		    jump->target <= i + 1)
			return -ENOTSUP;
		for (uint32_t j = jump->target; j < c->n; j++) {
			if (c->insns[j].kind == INSN_JMP)
				return c->insns[j].target == 0 ? (int64_t)i + 2 : -ENOTSUP;
			if (c->insns[j].kind != INSN_PLAIN && c->insns[j].kind != INSN_CALL)
				break;
		}
		return -ENOTSUP;
	}
	return jumped_to(c, 0, 0) ? -ENOTSUP : 0;
}

/* Go's stacks move, so its functions get no return probe: each ret instead. */
static int go_exits(const struct place_code *c, struct places *out)
{
	if (!c->whole || c->ragged || c->leaves || c->far || c->falls_off) {
		snprintf(out->why, sizeof(out->why), "its ways out are not all known");
		return -ENOTSUP;
	}
	for (uint32_t i = 0; i < c->n; i++) {
		if (c->insns[i].kind != INSN_RET)
			continue;
		if (out->n_exits == PLACE_EXITS_MAX) {
			snprintf(out->why, sizeof(out->why), "more than %d ways out",
				 PLACE_EXITS_MAX);
			return -ENOTSUP;
		}
		out->exits[out->n_exits++].at = place_at(c, i);
	}
	if (!out->n_exits) {
		snprintf(out->why, sizeof(out->why), "it never returns");
		return -ENOTSUP;
	}
	out->exit_how = PLACE_EXIT_SITES;
	return 0;
}

static int choose_go(struct place_code *c, const struct place_wish *wish, struct places *out)
{
	int64_t first = go_check_end(c);
	uint32_t entry;

	if (first < 0 || (first && jumped_to(c, (uint32_t)first, (uint32_t)first))) {
		snprintf(out->why, sizeof(out->why), "its stack check is not known");
		return -ENOTSUP;
	}
	entry = pick(c, (uint32_t)first, wanted_regs(wish));
	if (c->insns[entry].refused)
		return -EINVAL;
	out->entry = place_at(c, entry);
	if (out->entry.cost == PLACE_STEPPED)
		snprintf(out->why, sizeof(out->why), "no cheap place has the arguments");
	return wish->result ? go_exits(c, out) : 0;
}

int place__choose(const uint8_t *code, size_t len, uint64_t addr, bool whole,
		  const struct place_wish *wish, struct places *out)
{
	struct place_code c;
	int err;

	*out = (struct places){ .exit_how = PLACE_EXIT_NONE };
	err = place_code__decode(&c, code, len, addr, whole);
	if (err)
		return err;
	err = wish->abi == PLACE_ABI_GO ? choose_go(&c, wish, out) : choose_c(&c, wish, out);
	place_code__free(&c);
	return err;
}
