/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A function's code as place.c needs it: what each instruction writes, where it can go on, whether
 * the kernel emulates it under a uprobe. And one question about its paths: how often does a way from
 * the start to here pass certain instructions?
 */
#ifndef WEFT_PLACE_CODE_H
#define WEFT_PLACE_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* General registers by their number in the instruction set; a set of them is a mask of 1 << n. */
enum place_reg {
	REG_AX,
	REG_CX,
	REG_DX,
	REG_BX,
	REG_SP,
	REG_BP,
	REG_SI,
	REG_DI,
	REG_R8,
	REG_R9,
	REG_R10,
	REG_R11,
	REG_R12,
	REG_R13,
	REG_R14,
	REG_R15,
	REG_NONE = 0xff,
};

#define REG_BIT(r) ((uint16_t)(1u << (r)))
#define REG_ALL 0xffff

enum insn_kind {
	INSN_PLAIN, /* goes on behind itself */
	INSN_CALL,
	INSN_RET,
	INSN_JMP,   /* to `target`, or out of the function */
	INSN_TABLE, /* jmp through a table: base + index * 8 */
	INSN_GOTO,  /* jmp to an address in a register or in memory: anywhere */
	INSN_JCC,   /* to `target` (or out of the function), or behind itself */
	INSN_STOP,  /* ud2, int3, hlt */
};

/* What some instructions are that patterns are made of. */
enum insn_form {
	FORM_OTHER,
	FORM_PUSH_SAVED,    /* push of a register that the caller wants back (System V) */
	FORM_GUARD,         /* compares a stack guard with %fs:0x28: not equal is the end */
	FORM_LOAD_GUARD,    /* mov %fs:0x28,reg */
	FORM_TEST_AX,       /* test %eax,%eax */
	FORM_LOAD_AX,       /* mov disp(%rsp),%eax or %rax */
	FORM_AX_NOT_ABOVE0, /* ax = a constant <= 0 */
	FORM_COPY,          /* mov reg,reg: 64 bits, neither of them sp */
	FORM_GO_CHECK,      /* cmp 0x10(%r14),%rsp or %r12 */
	FORM_GO_OLD,        /* mov %fs:-8,reg: Go before it had registers for arguments */
};

#define INSN_NOWHERE UINT32_MAX       /* no target */
#define INSN_OUTSIDE (UINT32_MAX - 1) /* another function, or a part of this one elsewhere */

struct insn {
	uint32_t offset;
	uint32_t target; /* index of an instruction, or one of the two above */
	int32_t disp;    /* FORM_LOAD_AX */
	uint16_t writes; /* registers; all of them where it isn't known for certain */
	uint8_t len;
	uint8_t kind;      /* enum insn_kind */
	uint8_t form;      /* enum insn_form */
	uint8_t form_reg;  /* FORM_LOAD_GUARD; FORM_COPY: what is written */
	uint8_t from_reg;  /* FORM_COPY */
	uint8_t condition; /* JCC: low four bits of its opcode; REG_NONE: another (jrcxz, loop) */
	bool emulated;     /* by the kernel, under a uprobe */
	bool refused;      /* by the kernel: no uprobe can sit here */
	bool never_taken;  /* JCC: `target` is where the program ends itself (a broken guard) */
	bool never_passed; /* JCC: what follows it is */
	const char *name;  /* until place_code__rest() */
};

struct place_code {
	struct insn *insns;
	uint32_t n;
	uint8_t *count; /* scratch of place_code__counts(), a byte an instruction */
	uint32_t *work;
	bool whole;      /* all of the function was there and could be decoded */
	bool ragged;     /* something jumps into the middle of an instruction */
	bool leaves;     /* jumps out of the function */
	bool table, far; /* has INSN_TABLE; INSN_GOTO */
	bool falls_off;  /* can run past its end */
};

/* 0, -EINVAL (not even the first instruction can be decoded), -ENOMEM. */
int place_code__decode(struct place_code *c, const uint8_t *code, size_t len, uint64_t addr,
		       bool whole);
void place_code__free(struct place_code *c);
/*
 * To be called now and then: gives back what decoding takes, if nothing was decoded since the call
 * before, and says so. Names of instructions that were given go with it.
 */
bool place_code__rest(void);

/* Are all paths through the function known? */
bool place_code__closed(const struct place_code *c);

/* The indexes of what can follow instruction i: returns how many, at most 2. */
unsigned place_code__next(const struct place_code *c, uint32_t i, uint32_t next[2]);

/*
 * For each instruction i, how many marked ones a way from the start to it can have passed, itself
 * not counted, as c->count[i]: a set of COUNT_*; 0: no way leads to it.
 */
#define COUNT_0 1
#define COUNT_1 2
#define COUNT_MORE 4
void place_code__counts(struct place_code *c, const uint32_t *marks, size_t n_marks);

#endif /* WEFT_PLACE_CODE_H */
