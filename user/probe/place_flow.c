// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Both sets begin as "all of them" and lose what some way contradicts, until nothing changes any
 * more. What is never reached keeps everything, and is nobody's business.
 */
#include "place_flow.h"

#include <errno.h>
#include <stdlib.h>

#define SAVED                                                                                      \
	(REG_BIT(REG_BX) | REG_BIT(REG_BP) | REG_BIT(REG_R12) | REG_BIT(REG_R13) |                 \
	 REG_BIT(REG_R14) | REG_BIT(REG_R15))

static uint16_t lost_by(const struct insn *in)
{
	return in->kind == INSN_CALL ? (uint16_t)~SAVED : in->writes;
}

/* Does every way from the start end at a ret, as far as it ends? Needs place_code__counts(). */
static bool ways_are_known(const struct place_code *c)
{
	for (uint32_t i = 0; i < c->n; i++) {
		const struct insn *in = &c->insns[i];
		bool jumps = in->kind == INSN_JMP || in->kind == INSN_JCC;
		bool goes_on = in->kind == INSN_PLAIN || in->kind == INSN_CALL ||
			       in->kind == INSN_JCC;

		if (!c->count[i])
			continue;
		if (in->kind == INSN_TABLE || in->kind == INSN_GOTO ||
		    (jumps && !in->never_taken && in->target >= c->n) ||
		    (goes_on && !in->never_passed && i + 1 >= c->n))
			return false;
	}
	return true;
}

/* From the end to the start. A way that never ends says nothing. */
static void follow_result(const struct place_code *c, uint16_t *set)
{
	bool again = true;

	for (uint32_t i = 0; i < c->n; i++)
		set[i] = REG_ALL;
	while (again) {
		again = false;
		for (uint32_t i = c->n; i--;) {
			const struct insn *in = &c->insns[i];
			uint16_t after = in->kind == INSN_RET ? REG_BIT(REG_AX) : REG_ALL;
			uint32_t next[2];

			for (unsigned n = place_code__next(c, i, next); n--;)
				after &= set[next[n]];
			uint16_t before = after & (uint16_t)~lost_by(in);

			if (in->form == FORM_COPY && (after & REG_BIT(in->form_reg)))
				before |= REG_BIT(in->from_reg);
			again |= before != set[i];
			set[i] = before;
		}
	}
}

static void follow_arg(const struct place_code *c, unsigned arg, uint16_t *set)
{
	bool again = true;

	for (uint32_t i = 0; i < c->n; i++)
		set[i] = arg == REG_NONE ? 0 : REG_ALL;
	set[0] = arg == REG_NONE ? 0 : REG_BIT(arg);
	while (again) {
		again = false;
		for (uint32_t i = 0; i < c->n; i++) {
			const struct insn *in = &c->insns[i];
			uint16_t after = set[i] & (uint16_t)~lost_by(in);
			uint32_t next[2];

			if (!c->count[i])
				continue;
			if (in->form == FORM_COPY && (set[i] & REG_BIT(in->from_reg)))
				after |= REG_BIT(in->form_reg);
			for (unsigned n = place_code__next(c, i, next); n--;) {
				again |= (set[next[n]] & after) != set[next[n]];
				set[next[n]] &= after;
			}
		}
	}
}

int place_flow__follow(struct place_code *c, unsigned arg, struct place_flow *out)
{
	*out = (struct place_flow){ 0 };
	place_code__counts(c, NULL, 0);
	if (!ways_are_known(c))
		return 0;
	out->result = malloc(c->n * sizeof(*out->result));
	out->kept = malloc(c->n * sizeof(*out->kept));
	if (!out->result || !out->kept) {
		place_flow__free(out);
		return -ENOMEM;
	}
	follow_result(c, out->result);
	follow_arg(c, arg, out->kept);
	return 1;
}

void place_flow__free(struct place_flow *f)
{
	free(f->result);
	free(f->kept);
	*f = (struct place_flow){ 0 };
}
