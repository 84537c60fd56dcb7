// SPDX-License-Identifier: GPL-2.0-or-later
#include "first_call.h"

#include <string.h>

#include "place_code.h"

#define CODE_MAX 1024 /* of a function that does little more than call */
#define CALLS_MAX 16
#define BY_MAX 4
#define CALL_REL32 0xe8
#define CALL_REL32_LEN 5

/* What a function calls, as offsets in the file, in the order of its code. */
struct calls {
	uint64_t to[CALLS_MAX];
	size_t n;
};

static bool calls_of(struct elf_file *elf, const struct elf_func *fn, struct calls *out)
{
	uint8_t code[CODE_MAX];
	struct place_code c;
	uint64_t addr;
	int64_t len = fn->size && fn->size <= sizeof(code)
			      ? elf_file__code(elf, fn, code, sizeof(code), &addr)
			      : -1;

	if (len < 0 || (uint64_t)len != fn->size ||
	    place_code__decode(&c, code, (size_t)len, addr, true))
		return false;
	bool certain = c.whole && !c.ragged;

	out->n = 0;
	for (uint32_t i = 0; certain && i < c.n && out->n < CALLS_MAX; i++) {
		const struct insn *in = &c.insns[i];
		int32_t by;

		if (in->kind != INSN_CALL || in->len != CALL_REL32_LEN ||
		    code[in->offset] != CALL_REL32)
			continue;
		memcpy(&by, code + in->offset + 1, sizeof(by));
		out->to[out->n++] = fn->offset + in->offset + CALL_REL32_LEN +
				    (uint64_t)(int64_t)by;
	}
	place_code__free(&c);
	return certain;
}

static bool has(const struct calls *c, uint64_t to)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->to[i] == to)
			return true;
	return false;
}

bool first_call__find(struct elf_file *elf, const char *const *by, struct elf_func *out)
{
	struct elf_func at[BY_MAX] = { 0 };
	struct calls calls[BY_MAX];
	uint64_t addr;
	uint8_t byte;
	size_t n = 0;

	while (n < BY_MAX && by[n])
		n++;
	if (elf_file__find(elf, by, n, at, NULL) != (int)n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!at[i].offset || !calls_of(elf, &at[i], &calls[i]))
			return false;
	for (size_t i = 0; n && i < calls[0].n; i++) {
		struct elf_func f = { .offset = calls[0].to[i], .table = at[0].table };
		bool all = true;

		for (size_t k = 1; k < n; k++)
			all &= has(&calls[k], f.offset);
		if (!all)
			continue;
		if (elf_file__code(elf, &f, &byte, 1, &addr) != 1)
			return false;
		*out = f;
		return true;
	}
	return false;
}
