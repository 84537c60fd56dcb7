// SPDX-License-Identifier: GPL-2.0-or-later
#include "place_code.h"

#include <capstone/capstone.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/log.h"
#include "../lib/on_demand.h"
#include "sonames.h"

/* Longer functions are known by their beginning alone. */
#define CODE_MAX (256u << 10)

#define CS_FUNCTIONS(F)                                                                            \
	F(open)                                                                                    \
	F(option)                                                                                  \
	F(close)                                                                                   \
	F(malloc)                                                                                  \
	F(free)                                                                                    \
	F(disasm_iter)                                                                             \
	F(regs_access)                                                                             \
	F(insn_name)                                                                               \
	F(insn_group)

/* capstone: cs.open() is cs_open(). Some 5 MB as soon as it decodes. */
static struct {
#define CS_MEMBER(f) typeof(cs_##f) *(f);
	CS_FUNCTIONS(CS_MEMBER)
} cs;

static const char *const cs_names[] = {
#define CS_NAME(f) "cs_" #f,
	CS_FUNCTIONS(CS_NAME)
};

static struct on_demand capstone = ON_DEMAND(SONAME_capstone, cs, cs_names);
static csh shared; /* one for the program: decoding is one thread's; 0: not made */
static bool used;  /* since place_code__rest() */

static csh decoder(void)
{
	static bool said;
	char why[300];

	used = true;
	if (shared)
		return shared;
	if (on_demand__load(&capstone, why, sizeof(why)) < 0) {
		if (!said)
			log_warn("code can't be decoded, so libraries are not watched: %s", why);
		said = true;
		return 0;
	}
	if (cs.open(CS_ARCH_X86, CS_MODE_64, &shared) != CS_ERR_OK)
		shared = 0;
	else if (cs.option(shared, CS_OPT_DETAIL, CS_OPT_ON) != CS_ERR_OK)
		cs.close(&shared);
	return shared;
}

bool place_code__rest(void)
{
	bool rests = !used && capstone.handle;

	used = false;
	if (!rests)
		return false;
	if (shared)
		cs.close(&shared);
	on_demand__unload(&capstone);
	return true;
}

static unsigned reg_number(unsigned reg)
{
	static const uint8_t parts[16][5] = {
		[REG_AX] = { X86_REG_RAX, X86_REG_EAX, X86_REG_AX, X86_REG_AL, X86_REG_AH },
		[REG_CX] = { X86_REG_RCX, X86_REG_ECX, X86_REG_CX, X86_REG_CL, X86_REG_CH },
		[REG_DX] = { X86_REG_RDX, X86_REG_EDX, X86_REG_DX, X86_REG_DL, X86_REG_DH },
		[REG_BX] = { X86_REG_RBX, X86_REG_EBX, X86_REG_BX, X86_REG_BL, X86_REG_BH },
		[REG_SP] = { X86_REG_RSP, X86_REG_ESP, X86_REG_SP, X86_REG_SPL },
		[REG_BP] = { X86_REG_RBP, X86_REG_EBP, X86_REG_BP, X86_REG_BPL },
		[REG_SI] = { X86_REG_RSI, X86_REG_ESI, X86_REG_SI, X86_REG_SIL },
		[REG_DI] = { X86_REG_RDI, X86_REG_EDI, X86_REG_DI, X86_REG_DIL },
		[REG_R8] = { X86_REG_R8, X86_REG_R8D, X86_REG_R8W, X86_REG_R8B },
		[REG_R9] = { X86_REG_R9, X86_REG_R9D, X86_REG_R9W, X86_REG_R9B },
		[REG_R10] = { X86_REG_R10, X86_REG_R10D, X86_REG_R10W, X86_REG_R10B },
		[REG_R11] = { X86_REG_R11, X86_REG_R11D, X86_REG_R11W, X86_REG_R11B },
		[REG_R12] = { X86_REG_R12, X86_REG_R12D, X86_REG_R12W, X86_REG_R12B },
		[REG_R13] = { X86_REG_R13, X86_REG_R13D, X86_REG_R13W, X86_REG_R13B },
		[REG_R14] = { X86_REG_R14, X86_REG_R14D, X86_REG_R14W, X86_REG_R14B },
		[REG_R15] = { X86_REG_R15, X86_REG_R15D, X86_REG_R15W, X86_REG_R15B },
	};

	for (unsigned i = 0; reg && i < 16; i++)
		for (unsigned j = 0; j < 5; j++)
			if (parts[i][j] == reg)
				return i;
	return REG_NONE;
}

/*
 * Instructions whose effect on general registers is what it looks like: the first operand is
 * written, or nothing is; and the stack pointer where they push or pop. All others (there are
 * hundreds, some with results in registers that they don't name) are taken to write everything.
 */
enum effect { EFFECT_ANY, EFFECT_FIRST, EFFECT_NONE };

static const uint8_t effects[X86_INS_ENDING] = {
	[X86_INS_MOV] = EFFECT_FIRST,    [X86_INS_MOVABS] = EFFECT_FIRST,
	[X86_INS_MOVZX] = EFFECT_FIRST,  [X86_INS_MOVSX] = EFFECT_FIRST,
	[X86_INS_MOVSXD] = EFFECT_FIRST, [X86_INS_LEA] = EFFECT_FIRST,
	[X86_INS_ADD] = EFFECT_FIRST,    [X86_INS_SUB] = EFFECT_FIRST,
	[X86_INS_XOR] = EFFECT_FIRST,    [X86_INS_OR] = EFFECT_FIRST,
	[X86_INS_AND] = EFFECT_FIRST,    [X86_INS_INC] = EFFECT_FIRST,
	[X86_INS_DEC] = EFFECT_FIRST,    [X86_INS_NEG] = EFFECT_FIRST,
	[X86_INS_NOT] = EFFECT_FIRST,    [X86_INS_SHL] = EFFECT_FIRST,
	[X86_INS_SAL] = EFFECT_FIRST,    [X86_INS_SHR] = EFFECT_FIRST,
	[X86_INS_SAR] = EFFECT_FIRST,    [X86_INS_POP] = EFFECT_FIRST,
	[X86_INS_MOVUPS] = EFFECT_FIRST, [X86_INS_MOVAPS] = EFFECT_FIRST,
	[X86_INS_MOVUPD] = EFFECT_FIRST, [X86_INS_MOVAPD] = EFFECT_FIRST,
	[X86_INS_MOVDQU] = EFFECT_FIRST, [X86_INS_MOVDQA] = EFFECT_FIRST,
	[X86_INS_MOVQ] = EFFECT_FIRST,   [X86_INS_MOVD] = EFFECT_FIRST,
	[X86_INS_MOVHPS] = EFFECT_FIRST, [X86_INS_PXOR] = EFFECT_FIRST,
	[X86_INS_XORPS] = EFFECT_FIRST,  [X86_INS_PUNPCKLQDQ] = EFFECT_FIRST,
	[X86_INS_SETA] = EFFECT_FIRST,   [X86_INS_SETAE] = EFFECT_FIRST,
	[X86_INS_SETB] = EFFECT_FIRST,   [X86_INS_SETBE] = EFFECT_FIRST,
	[X86_INS_SETE] = EFFECT_FIRST,   [X86_INS_SETNE] = EFFECT_FIRST,
	[X86_INS_SETG] = EFFECT_FIRST,   [X86_INS_SETGE] = EFFECT_FIRST,
	[X86_INS_SETL] = EFFECT_FIRST,   [X86_INS_SETLE] = EFFECT_FIRST,
	[X86_INS_SETS] = EFFECT_FIRST,   [X86_INS_SETNS] = EFFECT_FIRST,
	[X86_INS_CMOVA] = EFFECT_FIRST,  [X86_INS_CMOVAE] = EFFECT_FIRST,
	[X86_INS_CMOVB] = EFFECT_FIRST,  [X86_INS_CMOVBE] = EFFECT_FIRST,
	[X86_INS_CMOVE] = EFFECT_FIRST,  [X86_INS_CMOVNE] = EFFECT_FIRST,
	[X86_INS_CMOVG] = EFFECT_FIRST,  [X86_INS_CMOVGE] = EFFECT_FIRST,
	[X86_INS_CMOVL] = EFFECT_FIRST,  [X86_INS_CMOVLE] = EFFECT_FIRST,
	[X86_INS_CMOVS] = EFFECT_FIRST,  [X86_INS_CMOVNS] = EFFECT_FIRST,
	[X86_INS_TEST] = EFFECT_NONE,    [X86_INS_CMP] = EFFECT_NONE,
	[X86_INS_BT] = EFFECT_NONE,      [X86_INS_PUSH] = EFFECT_NONE,
	[X86_INS_NOP] = EFFECT_NONE,     [X86_INS_ENDBR64] = EFFECT_NONE,
	[X86_INS_COMISD] = EFFECT_NONE,  [X86_INS_UCOMISD] = EFFECT_NONE,
	[X86_INS_LEAVE] = EFFECT_NONE,   [X86_INS_VZEROUPPER] = EFFECT_NONE,
};

static uint16_t writes_of(csh handle, const cs_insn *in)
{
	const cs_x86 *x = &in->detail->x86;
	cs_regs reads, writes;
	uint8_t n_reads, n_writes;
	uint16_t mask = 0;

	if (effects[in->id] == EFFECT_ANY ||
	    cs.regs_access(handle, in, reads, &n_reads, writes, &n_writes) != CS_ERR_OK)
		return REG_ALL;
	for (unsigned i = 0; i < n_writes; i++) {
		unsigned r = reg_number(writes[i]);

		if (r != REG_NONE)
			mask |= REG_BIT(r);
	}
	if (effects[in->id] == EFFECT_FIRST && x->op_count && x->operands[0].type == X86_OP_REG) {
		unsigned r = reg_number(x->operands[0].reg);

		if (r != REG_NONE)
			mask |= REG_BIT(r);
	}
	if (in->id == X86_INS_PUSH || in->id == X86_INS_POP)
		mask |= REG_BIT(REG_SP);
	if (in->id == X86_INS_LEAVE)
		mask |= REG_BIT(REG_SP) | REG_BIT(REG_BP);
	return mask;
}

/*
 * What arch/x86/kernel/uprobes.c emulates: branch_setup_xol_ops() and push_setup_xol_ops(). Newer
 * kernels do a few more (long nops); prefixes are not worth their exceptions.
 */
static bool is_emulated(const uint8_t *b, size_t len)
{
	if (b[0] >= 0x50 && b[0] <= 0x57)
		return true;
	if (b[0] == 0x41 && len == 2)
		return b[1] >= 0x50 && b[1] <= 0x57;
	if (b[0] == 0x0f)
		return (b[1] & 0xf0) == 0x80;
	return (b[0] & 0xf0) == 0x70 || b[0] == 0xe8 || b[0] == 0xe9 || b[0] == 0xeb ||
	       b[0] == 0x90;
}

/* The kernel puts no uprobe here, or would put it on somebody else's breakpoint. */
static bool is_refused(const cs_insn *in)
{
	for (size_t i = 0; i < in->size; i++) {
		uint8_t b = in->bytes[i];

		if (b == 0xf0 || b == 0x26 || b == 0x2e || b == 0x36 || b == 0x3e)
			return true;
		if (b != 0x66 && b != 0x67 && b != 0x64 && b != 0x65 && b != 0xf2 && b != 0xf3)
			break;
	}
	return in->id == X86_INS_INT3 || in->id == X86_INS_INT1 || in->id == X86_INS_HLT ||
	       in->id == X86_INS_INT;
}

static enum insn_kind jump_kind(const cs_x86 *x, bool conditional)
{
	const cs_x86_op *op = &x->operands[0];

	if (x->op_count == 1 && op->type == X86_OP_IMM)
		return conditional ? INSN_JCC : INSN_JMP;
	if (x->op_count == 1 && op->type == X86_OP_MEM && op->mem.index && op->mem.scale == 8)
		return INSN_TABLE;
	return INSN_GOTO;
}

static enum insn_kind kind_of(csh handle, const cs_insn *in)
{
	const cs_x86 *x = &in->detail->x86;

	switch (in->id) {
	case X86_INS_CALL: return INSN_CALL;
	case X86_INS_RET: return INSN_RET;
	case X86_INS_JMP: return jump_kind(x, false);
	case X86_INS_UD0:
	case X86_INS_UD2:
	case X86_INS_UD2B:
	case X86_INS_INT3:
	case X86_INS_HLT: return INSN_STOP;
	case X86_INS_LOOP:
	case X86_INS_LOOPE:
	case X86_INS_LOOPNE: return jump_kind(x, true);
	case X86_INS_LCALL:
	case X86_INS_LJMP:
	case X86_INS_RETF:
	case X86_INS_RETFQ:
	case X86_INS_IRET:
	case X86_INS_IRETD:
	case X86_INS_IRETQ:
	case X86_INS_SYSRET:
	case X86_INS_XBEGIN:
	case X86_INS_XABORT: return INSN_GOTO;
	default: return cs.insn_group(handle, in, CS_GRP_JUMP) ? jump_kind(x, true) : INSN_PLAIN;
	}
}

static bool is_reg(const cs_x86_op *op, unsigned reg)
{
	return op->type == X86_OP_REG && reg_number(op->reg) == reg;
}

/* disp(base), no index */
static bool is_mem(const cs_x86_op *op, unsigned segment, unsigned base)
{
	return op->type == X86_OP_MEM && op->mem.segment == segment && op->mem.base == base &&
	       !op->mem.index;
}

static bool is_guard(const cs_x86_op *op)
{
	return is_mem(op, X86_REG_FS, X86_REG_INVALID) && op->mem.disp == 0x28;
}

static enum insn_form form_of_move(const cs_x86_op *to, const cs_x86_op *from, struct insn *out)
{
	if (to->type != X86_OP_REG)
		return FORM_OTHER;
	out->form_reg = (uint8_t)reg_number(to->reg);
	if (is_guard(from))
		return FORM_LOAD_GUARD;
	if (is_mem(from, X86_REG_FS, X86_REG_INVALID) && from->mem.disp == -8)
		return FORM_GO_OLD;
	if (from->type == X86_OP_REG && to->size == 8 && from->size == 8 &&
	    reg_number(from->reg) < REG_NONE && out->form_reg < REG_NONE &&
	    from->reg != X86_REG_RSP && to->reg != X86_REG_RSP) {
		out->from_reg = (uint8_t)reg_number(from->reg);
		return FORM_COPY;
	}
	if (to->reg != X86_REG_EAX && to->reg != X86_REG_RAX)
		return FORM_OTHER;
	if (from->type == X86_OP_IMM && (int32_t)from->imm <= 0 && from->imm <= UINT32_MAX)
		return FORM_AX_NOT_ABOVE0;
	if (!is_mem(from, X86_REG_INVALID, X86_REG_RSP) ||
	    from->mem.disp != (int32_t)from->mem.disp)
		return FORM_OTHER;
	out->disp = (int32_t)from->mem.disp;
	return FORM_LOAD_AX;
}

static enum insn_form form_of(const cs_insn *in, struct insn *out)
{
	const cs_x86_op *a = &in->detail->x86.operands[0], *b = &in->detail->x86.operands[1];
	const uint16_t saved = REG_BIT(REG_BX) | REG_BIT(REG_BP) | REG_BIT(REG_R12) |
			       REG_BIT(REG_R13) | REG_BIT(REG_R14) | REG_BIT(REG_R15);
	unsigned n = in->detail->x86.op_count;

	if (in->id == X86_INS_PUSH && n == 1 && a->type == X86_OP_REG) {
		unsigned r = reg_number(a->reg);

		return r != REG_NONE && (saved & REG_BIT(r)) ? FORM_PUSH_SAVED : FORM_OTHER;
	}
	if (n != 2)
		return FORM_OTHER;
	switch (in->id) {
	case X86_INS_MOV: return form_of_move(a, b, out);
	case X86_INS_SUB:
	case X86_INS_CMP:
		if ((is_reg(a, REG_SP) || is_reg(a, REG_R12)) &&
		    is_mem(b, X86_REG_INVALID, X86_REG_R14) && b->mem.disp == 0x10)
			return FORM_GO_CHECK;
		if (in->id == X86_INS_CMP && a->type == X86_OP_REG)
			out->form_reg = (uint8_t)reg_number(a->reg);
		return is_guard(a) || is_guard(b) ? FORM_GUARD : FORM_OTHER;
	case X86_INS_XOR:
		if (is_reg(a, REG_AX) && is_reg(b, REG_AX) && a->reg == b->reg && a->size >= 4)
			return FORM_AX_NOT_ABOVE0;
		return is_guard(b) ? FORM_GUARD : FORM_OTHER;
	case X86_INS_OR:
		return is_reg(a, REG_AX) && a->size >= 4 && b->type == X86_OP_IMM && b->imm == -1
			       ? FORM_AX_NOT_ABOVE0
			       : FORM_OTHER;
	case X86_INS_TEST:
		return a->type == X86_OP_REG && b->type == X86_OP_REG && a->reg == b->reg &&
				       is_reg(a, REG_AX) && a->size >= 4
			       ? FORM_TEST_AX
			       : FORM_OTHER;
	default: return FORM_OTHER;
	}
}

static unsigned condition_of(const uint8_t *b)
{
	if ((b[0] & 0xf0) == 0x70)
		return b[0] & 0xf;
	return b[0] == 0x0f && (b[1] & 0xf0) == 0x80 ? b[1] & 0xf : REG_NONE;
}

static void describe(csh handle, const cs_insn *in, uint64_t addr, struct insn *out)
{
	const cs_x86_op *op = &in->detail->x86.operands[0];

	*out = (struct insn){
		.offset = (uint32_t)(in->address - addr),
		.len = (uint8_t)in->size,
		.kind = (uint8_t)kind_of(handle, in),
		.target = INSN_NOWHERE,
		.form_reg = REG_NONE,
		.from_reg = REG_NONE,
		.condition = REG_NONE,
		.refused = is_refused(in),
		.name = cs.insn_name(handle, in->id),
	};
	out->emulated = !out->refused && is_emulated(in->bytes, in->size);
	if (out->kind == INSN_JCC)
		out->condition = (uint8_t)condition_of(in->bytes);
	if (out->kind == INSN_PLAIN)
		out->writes = writes_of(handle, in);
	else if (out->kind == INSN_CALL || out->condition == REG_NONE)
		out->writes = out->kind == INSN_JMP || out->kind == INSN_RET ? 0 : REG_ALL;
	out->form = (uint8_t)form_of(in, out);
	if (out->kind == INSN_JMP || out->kind == INSN_JCC) {
		uint64_t to = (uint64_t)op->imm - addr;

		out->target = to < INSN_OUTSIDE ? (uint32_t)to : INSN_OUTSIDE;
	}
}

static int decode_all(struct place_code *c, csh handle, const uint8_t *code, size_t len,
		      uint64_t addr)
{
	cs_insn *in = cs.malloc(handle);
	uint64_t at = addr;
	uint32_t room = 0;

	if (!in)
		return -ENOMEM;
	while (len && cs.disasm_iter(handle, &code, &len, &at, in)) {
		if (c->n == room) {
			uint32_t more = room ? room * 2 : 256;
			struct insn *grown = realloc(c->insns, more * sizeof(*grown));

			if (!grown) {
				cs.free(in, 1);
				return -ENOMEM;
			}
			c->insns = grown;
			room = more;
		}
		describe(handle, in, addr, &c->insns[c->n++]);
	}
	cs.free(in, 1);
	if (len)
		c->whole = false;
	return c->n ? 0 : -EINVAL;
}

/* The instruction that begins at this offset, or INSN_NOWHERE. */
static uint32_t index_at(const struct place_code *c, uint32_t offset)
{
	uint32_t lo = 0, hi = c->n;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (c->insns[mid].offset < offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < c->n && c->insns[lo].offset == offset ? lo : INSN_NOWHERE;
}

/* Targets were offsets until here. */
static void link_targets(struct place_code *c)
{
	const struct insn *last = &c->insns[c->n - 1];
	uint32_t end = last->offset + last->len;

	for (uint32_t i = 0; i < c->n; i++) {
		struct insn *in = &c->insns[i];

		c->table |= in->kind == INSN_TABLE;
		c->far |= in->kind == INSN_GOTO;
		if (in->target == INSN_NOWHERE)
			continue;
		if (in->target >= end) {
			in->target = INSN_OUTSIDE;
			c->leaves = true;
			continue;
		}
		in->target = index_at(c, in->target);
		if (in->target == INSN_NOWHERE)
			c->ragged = true;
	}
	while (last > c->insns && (!strcmp(last->name, "nop") || last->kind == INSN_STOP))
		last--;
	/* a call at the very end is of something that does not return */
	c->falls_off = last->kind == INSN_PLAIN || last->kind == INSN_JCC;
}

/*
 * A stack guard that was overwritten ends the program: nothing returns by that branch. (What
 * is behind its call is some other part of the function, to which it does not go on.)
 */
static void cut_guards(struct place_code *c)
{
	for (uint32_t i = 1; i < c->n; i++) {
		struct insn *in = &c->insns[i];
		const struct insn *a = in - 1;
		bool guard = a->form == FORM_GUARD ||
			     (i > 1 && in[-2].form == FORM_LOAD_GUARD &&
			      in[-2].form_reg == a->form_reg && !strcmp(a->name, "cmp"));

		if (in->kind != INSN_JCC || !guard)
			continue;
		in->never_taken = in->condition == 5;  /* jne */
		in->never_passed = in->condition == 4; /* je */
	}
}

int place_code__decode(struct place_code *c, const uint8_t *code, size_t len, uint64_t addr,
		       bool whole)
{
	csh handle = decoder();
	int err;

	memset(c, 0, sizeof(*c));
	c->whole = whole && len <= CODE_MAX;
	if (!handle)
		return -ENOMEM;
	err = decode_all(c, handle, code, len < CODE_MAX ? len : CODE_MAX, addr);
	if (!err) {
		c->count = malloc(c->n);
		c->work = malloc(3 * c->n * sizeof(*c->work));
		err = c->count && c->work ? 0 : -ENOMEM;
	}
	if (err) {
		place_code__free(c);
		return err;
	}
	link_targets(c);
	cut_guards(c);
	return 0;
}

void place_code__free(struct place_code *c)
{
	free(c->insns);
	free(c->count);
	free(c->work);
	memset(c, 0, sizeof(*c));
}

bool place_code__closed(const struct place_code *c)
{
	return c->whole && !c->ragged && !c->leaves && !c->table && !c->far && !c->falls_off;
}

unsigned place_code__next(const struct place_code *c, uint32_t i, uint32_t next[2])
{
	const struct insn *in = &c->insns[i];
	unsigned n = 0;

	if ((in->kind == INSN_JMP || in->kind == INSN_JCC) && in->target < c->n && !in->never_taken)
		next[n++] = in->target;
	if ((in->kind == INSN_PLAIN || in->kind == INSN_CALL || in->kind == INSN_JCC) &&
	    i + 1 < c->n && !in->never_passed)
		next[n++] = i + 1;
	return n;
}

#define COUNT_MARKED 0x80

void place_code__counts(struct place_code *c, const uint32_t *marks, size_t n_marks)
{
	uint32_t n_work = 0;

	memset(c->count, 0, c->n);
	for (size_t i = 0; i < n_marks; i++)
		c->count[marks[i]] = COUNT_MARKED;
	c->count[0] |= COUNT_0;
	c->work[n_work++] = 0;
	/* each entry has gained one of three bits: no instruction is on the list more than thrice */
	while (n_work) {
		uint32_t i = c->work[--n_work], next[2];
		uint8_t counts = c->count[i] & ~COUNT_MARKED;

		if (c->count[i] & COUNT_MARKED)
			counts = (uint8_t)((counts & COUNT_0 ? COUNT_1 : 0) |
					   (counts & (COUNT_1 | COUNT_MORE) ? COUNT_MORE : 0));
		for (unsigned n = place_code__next(c, i, next); n--;) {
			uint8_t *to = &c->count[next[n]];

			if ((*to | counts) == *to)
				continue;
			*to |= counts;
			c->work[n_work++] = next[n];
		}
	}
	for (uint32_t i = 0; i < c->n; i++)
		c->count[i] &= (uint8_t)~COUNT_MARKED;
}
