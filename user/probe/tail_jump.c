// SPDX-License-Identifier: GPL-2.0-or-later
#include "tail_jump.h"

#include <string.h>

#include "place_code.h"

#define CODE_MAX 1024 /* of a function that does little more than jump */
#define JMP_REL32 0xe9
#define JMP_REL32_LEN 5

/* The address it jumps to; 0: not certain. */
static uint64_t target_of(const struct place_code *c, const uint8_t *code, uint64_t addr)
{
	uint64_t target = 0;

	if (!c->whole || c->ragged || c->table || c->far || c->falls_off)
		return 0;
	for (uint32_t i = 0; i < c->n; i++) {
		const struct insn *in = &c->insns[i];
		int32_t by;

		if (in->kind != INSN_JMP || in->target != INSN_OUTSIDE)
			continue;
		if (target || in->len != JMP_REL32_LEN || code[in->offset] != JMP_REL32)
			return 0;
		memcpy(&by, code + in->offset + 1, sizeof(by));
		target = addr + in->offset + JMP_REL32_LEN + (uint64_t)(int64_t)by;
	}
	return target;
}

/* Where in the file that address is; 0: nowhere. */
static uint64_t jumps_to(struct elf_file *elf, const struct elf_func *from)
{
	uint8_t code[CODE_MAX];
	struct place_code c;
	uint64_t addr, target;
	int64_t len = from->size && from->size <= sizeof(code)
			      ? elf_file__code(elf, from, code, sizeof(code), &addr)
			      : -1;

	if (len < 0 || (uint64_t)len != from->size ||
	    place_code__decode(&c, code, (size_t)len, addr, true))
		return 0;
	target = target_of(&c, code, addr);
	place_code__free(&c);
	return target ? target - addr + from->offset : 0;
}

bool tail_jump__find(struct elf_file *elf, const struct elf_func *from, size_t n,
		     struct elf_func *out)
{
	struct elf_func f = { .table = n ? from[0].table : ELF_DYNSYM };
	uint64_t addr;
	uint8_t byte;

	for (size_t i = 0; i < n; i++) {
		uint64_t to = from[i].offset ? jumps_to(elf, &from[i]) : 0;

		if (!to || (i && to != f.offset))
			return false;
		f.offset = to;
	}
	if (!n || elf_file__code(elf, &f, &byte, 1, &addr) != 1)
		return false;
	*out = f;
	return true;
}
