/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where in a function the probes sit. The kernel emulates some instructions that a uprobe replaces
 * (push, nop, call, jumps) and single-steps all others, which costs ten times as much in a virtual
 * machine. So a function's first instructions are decoded and the cheapest place is taken that is
 * certainly right; the function's entry, when in doubt.
 *
 * Pure: bytes in, places out. Decoding is capstone's.
 */
#ifndef WEFT_PLACE_H
#define WEFT_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum place_abi { PLACE_ABI_C, PLACE_ABI_GO };

/* What the caller needs to know at the places. */
struct place_wish {
	enum place_abi abi;
	unsigned args;    /* argument registers that are read at the entry: bit n-1 is argument n */
	bool result;      /* what the function returns is needed */
	bool returns_int; /* ... and it is an int: 32 bits of ax */
	/*
	 * A single cheap place will do where any register has the result, if one has argument `kept`,
	 * too (0: none is wanted). The entry is not watched.
	 */
	bool any_reg;
	unsigned kept;
	/*
	 * Where a cheap exit gives a length in memory beside "ok" in ax, take it (SSL_read and
	 * SSL_write around their inner functions).
	 */
	bool length;
};

enum place_cost { PLACE_EMULATED, PLACE_STEPPED };

struct place {
	uint64_t offset; /* from the function's start, bytes */
	enum place_cost cost;
	const char *insn; /* the instruction's name, "push"; until place_code__rest() */
};

enum place_exit_how {
	PLACE_EXIT_NONE = 0,
	PLACE_EXIT_RETPROBE, /* a return probe at exit_offset */
	PLACE_EXIT_SITES,    /* ordinary probes at `exits` */
};

#define PLACE_EXITS_MAX 64

struct place_exit {
	struct place at;
	/* ax is what is returned; else, where ax > 0, the u64 at sp + disp is the length */
	bool in_memory;
	int32_t disp;
	/* any_reg: these have the result and the argument (enum place_reg; REG_NONE: none does) */
	bool in_regs;
	uint8_t result_reg, kept_reg;
};

struct places {
	/*
	 * Arguments are in their registers; the stack pointer may have moved by a constant since the
	 * function's start, except where there is a return probe.
	 */
	struct place entry;
	enum place_exit_how exit_how;
	/*
	 * Of a return probe: where it sits. That is where the entry probe sits, so that one
	 * breakpoint serves both, and the return address is at the top of the stack there (not
	 * always the function's first instruction: see endbr64)
	 */
	uint64_t exit_offset;
	enum place_cost exit_cost;
	/* each way out that yields a result passes exactly one of these */
	struct place_exit exits[PLACE_EXITS_MAX];
	size_t n_exits;
	char why[96]; /* for doctor -v, why not better: "the entry is a sub" */
};

/*
 * Choose for the function whose code is code[0..len), loaded at `addr`. `whole`: code is all of the
 * function (its size is known and was read). Go functions never get a return probe (Go moves its
 * stacks): every RET instead, and -ENOTSUP where these can't be known for certain. Returns 0 or a
 * negative errno (-EINVAL: not decodable at all, so not even the entry is safe).
 */
int place__choose(const uint8_t *code, size_t len, uint64_t addr, bool whole,
		  const struct place_wish *wish, struct places *out);

#endif /* WEFT_PLACE_H */
