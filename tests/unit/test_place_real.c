// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The places in real libraries, judged by somebody else: walks through the function, instruction by
 * instruction, count what they pass. Nothing of user/probe/ is used but the question itself. A walk
 * takes branches at random, and knows of the code only what it says there.
 */
#include <capstone/capstone.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../user/probe/place.h"

#define WALKS 60       /* for each function and wish */
#define STEPS_MAX 3000 /* a walk that is longer ends nowhere */

static csh handle;

/* One instruction, as a walk sees it. */
struct step {
	bool known, good; /* decoded already; could be */
	uint8_t len;
	char name[32], operands[160];
	bool is_jump, is_ret, is_call, is_stop;
	bool has_target;
	int64_t target;
	bool ax, sp, args[16]; /* written */
	bool ax_error;         /* ax = a constant <= 0 */
};

struct function {
	const char *name;
	const uint8_t *code;
	size_t len;
	uint64_t addr;
	struct step *steps; /* by offset */
	int64_t grow_at;    /* Go: where its stack is made bigger, to start again */
};

static const unsigned c_args[] = { X86_REG_RDI, X86_REG_RSI, X86_REG_RDX,
				   X86_REG_RCX, X86_REG_R8,  X86_REG_R9 };
static const unsigned go_args[] = { X86_REG_RAX, X86_REG_RBX, X86_REG_RCX, X86_REG_RDI, X86_REG_RSI,
				    X86_REG_R8,  X86_REG_R9,  X86_REG_R10, X86_REG_R11 };

/* Names of registers are compared by what all parts of one have in common: "di" of rdi, edi, dil. */
static bool same_reg(unsigned a, unsigned b)
{
	char x[2][8];

	for (int i = 0; i < 2; i++) {
		const char *s = cs_reg_name(handle, i ? b : a);
		size_t n;

		if (!s)
			return false;
		if ((s[0] == 'r' || s[0] == 'e') && s[1] && !(s[1] >= '0' && s[1] <= '9'))
			s++;
		snprintf(x[i], sizeof(x[i]), "%s", s);
		n = strlen(x[i]);
		if (x[i][0] == 'r') /* r8d, r8w, r8b */
			x[i][n] = '\0', x[i][strcspn(x[i], "dwb")] = '\0';
		else if (n == 3 && x[i][2] == 'l') /* dil */
			x[i][2] = '\0';
		else if (n == 2 && (x[i][1] == 'l' || x[i][1] == 'h')) /* al, ah */
			x[i][1] = 'x';
	}
	return !strcmp(x[0], x[1]);
}

static void note_write(struct step *s, unsigned reg, bool go)
{
	s->ax |= same_reg(reg, X86_REG_RAX);
	s->sp |= same_reg(reg, X86_REG_RSP);
	for (unsigned i = 0; i < (go ? 9 : 6); i++)
		s->args[i] |= same_reg(reg, go ? go_args[i] : c_args[i]);
}

static void look(struct step *s, const cs_insn *in, uint64_t addr, bool go)
{
	const cs_x86 *x = &in->detail->x86;
	cs_regs reads, writes;
	uint8_t n_reads, n_writes;

	s->good = true;
	s->len = (uint8_t)in->size;
	snprintf(s->name, sizeof(s->name), "%s", in->mnemonic);
	snprintf(s->operands, sizeof(s->operands), "%s", in->op_str);
	s->is_call = strstr(in->mnemonic, "call");
	s->is_ret = strstr(in->mnemonic, "ret");
	s->is_jump = in->mnemonic[0] == 'j' || strstr(in->mnemonic, " j") ||
		     !strncmp(in->mnemonic, "loop", 4);
	s->is_stop = !strncmp(in->mnemonic, "ud", 2) || !strcmp(in->mnemonic, "int3") ||
		     !strcmp(in->mnemonic, "hlt");
	s->has_target = s->is_jump && x->operands[0].type == X86_OP_IMM;
	s->target = s->has_target ? (int64_t)((uint64_t)x->operands[0].imm - addr) : 0;
	if (s->is_call) {
		s->ax = true;
		memset(s->args, true, sizeof(s->args));
		return;
	}
	cr_assert_eq(cs_regs_access(handle, in, reads, &n_reads, writes, &n_writes), 0);
	for (unsigned i = 0; i < n_writes; i++)
		note_write(s, writes[i], go);
	if (x->op_count && x->operands[0].type == X86_OP_REG &&
	    (x->operands[0].access & CS_AC_WRITE))
		note_write(s, x->operands[0].reg, go);
	s->ax_error = !strcmp(in->mnemonic, "xor") && !strcmp(in->op_str, "eax, eax");
	if (!strcmp(in->mnemonic, "mov") && same_reg(x->operands[0].reg, X86_REG_RAX) &&
	    x->operands[1].type == X86_OP_IMM)
		s->ax_error = (int32_t)x->operands[1].imm <= 0;
	if (!strcmp(in->mnemonic, "or") && same_reg(x->operands[0].reg, X86_REG_RAX) &&
	    x->operands[1].type == X86_OP_IMM && x->operands[1].imm == -1)
		s->ax_error = true;
}

static const struct step *step_at(struct function *f, size_t offset, bool go)
{
	struct step *s = &f->steps[offset];
	cs_insn *in;

	if (s->known)
		return s;
	s->known = true;
	if (cs_disasm(handle, f->code + offset, f->len - offset, f->addr + offset, 1, &in) == 1) {
		look(s, in, f->addr, go);
		cs_free(in, 1);
	}
	return s;
}

/* What a walk has passed. */
struct walk {
	unsigned entries, exits;
	bool dirty, sp; /* a wanted argument, the stack pointer was written */
	bool ax_since;  /* ax was written since the exit */
	bool ax_error;  /* last by a constant <= 0 */
	bool tests_guard;
	char wrong[96];
};

static bool is_cheap(const struct step *s)
{
	return (s->is_jump && s->has_target && strncmp(s->name, "loop", 4) &&
		!strstr(s->name, "cxz")) ||
	       (s->is_call && s->len == 5) || (!strcmp(s->name, "nop") && s->len <= 2) ||
	       (!strcmp(s->name, "push") && s->len <= 2);
}

static void wrong(struct walk *w, const char *text)
{
	if (!w->wrong[0])
		snprintf(w->wrong, sizeof(w->wrong), "%s", text);
}

static void at_places(struct walk *w, const struct step *s, size_t at, const struct places *p)
{
	if (at == p->entry.offset) {
		w->entries++;
		if (w->dirty)
			wrong(w, "an argument was written before the entry");
		if (p->exit_how == PLACE_EXIT_RETPROBE && w->sp)
			wrong(w, "the stack pointer has moved before the return probe");
		if ((p->entry.cost == PLACE_EMULATED) != is_cheap(s))
			wrong(w, "the entry's cost");
	}
	for (size_t i = 0; i < p->n_exits; i++) {
		if (at != p->exits[i].at.offset)
			continue;
		w->exits++;
		w->ax_since = false;
		if (w->entries != 1)
			wrong(w, "an exit before the entry");
		if ((p->exits[i].at.cost == PLACE_EMULATED) != is_cheap(s))
			wrong(w, "an exit's cost");
	}
}

static void at_end(struct walk *w, const struct places *p, bool returns)
{
	if (w->entries != 1)
		wrong(w, w->entries ? "more than one entry" : "no entry");
	if (p->exit_how != PLACE_EXIT_SITES)
		return;
	if (!returns)
		wrong(w, "a way out that is no ret");
	else if (w->exits > 1)
		wrong(w, "more than one exit");
	else if (!w->exits && !(p->exits[0].in_memory && w->ax_error))
		wrong(w, "no exit");
	else if (w->exits && w->ax_since && !p->exits[0].in_memory)
		wrong(w, "the result is written after the exit");
}

/* The broken stack guard's branch is not taken: it does not come back. */
static bool turns(const struct walk *w, const struct step *s, unsigned *seed)
{
	bool taken = rand_r(seed) & 1;

	if (!strcmp(s->name, "jmp"))
		return true;
	if (w->tests_guard && !strcmp(s->name, "jne"))
		return false;
	if (w->tests_guard && !strcmp(s->name, "je"))
		return true;
	return taken;
}

static void walk(struct function *f, const struct place_wish *wish, const struct places *p,
		 struct walk *w, unsigned *seed)
{
	bool go = wish->abi == PLACE_ABI_GO, loads_guard = false;
	size_t at = 0;

	memset(w, 0, sizeof(*w));
	for (unsigned n = 0; n < STEPS_MAX && !w->wrong[0]; n++) {
		const struct step *s = at < f->len ? step_at(f, at, go) : NULL;

		if (!s)
			return; /* behind a call that does not return */
		if (!s->good)
			return at_end(w, p, false);
		at_places(w, s, at, p);
		for (unsigned i = 0; i < 9; i++)
			w->dirty |= s->args[i] && (wish->args & 1u << i);
		w->sp |= s->sp || s->is_call;
		if (s->ax) {
			w->ax_since = true;
			w->ax_error = s->ax_error;
		}
		if (s->is_ret)
			return at_end(w, p, true);
		if (s->is_stop)
			return;
		if (go && !w->entries && !strcmp(s->name, "jbe"))
			f->grow_at = s->target;
		if (s->is_jump && turns(w, s, seed)) {
			if (!s->has_target && go && strstr(s->operands, "*8"))
				return; /* a switch */
			if (!s->has_target || s->target < 0 || s->target >= (int64_t)f->len)
				return at_end(w, p, false);
			if (go && !s->target && w->entries && (int64_t)at > f->grow_at)
				return; /* came there behind a call that does not return */
			at = (size_t)s->target;
			if (!at && go)
				w->dirty = false; /* the stack has grown: all is as it was */
		} else {
			at += s->len;
		}
		w->tests_guard = (strstr(s->operands, "fs:[0x28]") && strcmp(s->name, "mov")) ||
				 (loads_guard && !strcmp(s->name, "cmp"));
		loads_guard = strstr(s->operands, "fs:[0x28]") && !strcmp(s->name, "mov");
	}
}

/* How many functions got what. */
struct tally {
	unsigned functions, sites, returns, cheap, none;
};

static void judge(struct function *f, const struct place_wish *wish, struct tally *t)
{
	unsigned seed = (unsigned)f->addr;
	struct places p;
	int err = place__choose(f->code, f->len, f->addr, true, wish, &p);

	t->functions++;
	t->none += err != 0;
	if (err)
		return;
	t->sites += p.exit_how == PLACE_EXIT_SITES;
	t->returns += p.exit_how == PLACE_EXIT_RETPROBE;
	t->cheap += p.entry.cost == PLACE_EMULATED;
	if (p.exit_how == PLACE_EXIT_RETPROBE)
		cr_expect_eq(p.exit_offset, p.entry.offset);
	for (unsigned i = 0; i < WALKS; i++) {
		struct walk w;

		walk(f, wish, &p, &w, &seed);
		cr_expect_eq(w.wrong[0], '\0', "%s: %s (entry +%lu, args %x)", f->name, w.wrong,
			     (unsigned long)p.entry.offset, wish->args);
		if (w.wrong[0])
			return;
	}
}

static void judge_all(struct function *f, bool go, struct tally *t)
{
	static const unsigned args[] = { 1, 3, 7, 15 };

	f->steps = calloc(f->len, sizeof(*f->steps));
	cr_assert_not_null(f->steps);
	for (size_t i = 0; i < sizeof(args) / sizeof(*args); i++) {
		struct place_wish wish = {
			.abi = go ? PLACE_ABI_GO : PLACE_ABI_C,
			.args = args[i],
			.result = true,
			.returns_int = true,
			.length = true,
		};

		judge(f, &wish, t);
		wish.result = false;
		judge(f, &wish, t);
	}
	free(f->steps);
}

static bool is_meant(const char *name, const char *const *prefixes)
{
	for (; *prefixes; prefixes++)
		if (!strncmp(name, *prefixes, strlen(*prefixes)))
			return true;
	return false;
}

/* Where in the file an address lies; 0: nowhere. */
static off_t file_offset(Elf *elf, uint64_t addr)
{
	size_t n = 0;

	elf_getphdrnum(elf, &n);
	for (size_t i = 0; i < n; i++) {
		GElf_Phdr h;

		gelf_getphdr(elf, (int)i, &h);
		if (h.p_type == PT_LOAD && addr >= h.p_vaddr && addr < h.p_vaddr + h.p_filesz)
			return (off_t)(addr - h.p_vaddr + h.p_offset);
	}
	return 0;
}

static void judge_table(int fd, Elf *elf, Elf_Scn *section, const char *const *prefixes, bool go,
			struct tally *t)
{
	Elf_Data *data = elf_getdata(section, NULL);
	GElf_Shdr h;

	gelf_getshdr(section, &h);
	for (size_t i = 0; i < h.sh_size / h.sh_entsize; i++) {
		struct function f = { 0 };
		GElf_Sym sym;

		gelf_getsym(data, (int)i, &sym);
		f.name = elf_strptr(elf, h.sh_link, sym.st_name);
		if (GELF_ST_TYPE(sym.st_info) != STT_FUNC || !sym.st_shndx || !sym.st_size ||
		    !is_meant(f.name, prefixes))
			continue;
		uint8_t *code = malloc(sym.st_size);

		f.code = code;
		f.len = sym.st_size;
		f.addr = sym.st_value;
		if (pread(fd, code, f.len, file_offset(elf, f.addr)) == (ssize_t)f.len)
			judge_all(&f, go, t);
		free(code);
	}
}

/* Judge a file's functions with these beginnings; not there: nothing to judge. */
static struct tally judge_file(const char *path, const char *const *prefixes, bool go)
{
	struct tally t = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		cr_skip("no %s here", path);
	elf_version(EV_CURRENT);
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);

	cr_assert_not_null(elf);
	cr_assert_eq(cs_open(CS_ARCH_X86, CS_MODE_64, &handle), 0);
	cs_option(handle, CS_OPT_DETAIL, CS_OPT_ON);
	for (Elf_Scn *s = NULL; (s = elf_nextscn(elf, s));) {
		GElf_Shdr h;

		gelf_getshdr(s, &h);
		if (h.sh_type == (go ? SHT_SYMTAB : SHT_DYNSYM))
			judge_table(fd, elf, s, prefixes, go, &t);
	}
	cs_close(&handle);
	elf_end(elf);
	close(fd);
	fprintf(stderr, "%s: %u asked: %u sites, %u return probes, %u not; %u cheap entries\n",
		path, t.functions, t.sites, t.returns, t.none, t.cheap);
	return t;
}

#define LIBRARIES "/usr/lib/x86_64-linux-gnu/"
#define EVERY                                                                                      \
	(const char *const[])                                                                      \
	{                                                                                          \
		"", NULL                                                                           \
	}

Test(place_real, openssl)
{
	struct tally t = judge_file(LIBRARIES "libssl.so.3", EVERY, false);

	cr_expect_gt(t.functions, 1000u);
	cr_expect_eq(t.none, 0u);
	cr_expect_gt(t.returns, 0u);
}

Test(place_real, libcrypto)
{
	struct tally t = judge_file(LIBRARIES "libcrypto.so.3",
				    (const char *const[]){ "BIO_", "EVP_", "ERR_", NULL }, false);

	cr_expect_gt(t.functions, 1000u);
}

Test(place_real, gnutls)
{
	cr_expect_gt(judge_file(LIBRARIES "libgnutls.so.30", EVERY, false).functions, 1000u);
}

Test(place_real, libpq)
{
	cr_expect_gt(judge_file(LIBRARIES "libpq.so.5", EVERY, false).functions, 500u);
}

Test(place_real, sqlite)
{
	cr_expect_gt(judge_file(LIBRARIES "libsqlite3.so.0", EVERY, false).functions, 500u);
}

Test(place_real, node)
{
	judge_file("/usr/bin/node", (const char *const[]){ "SSL_", "BIO_", "nghttp2_", NULL },
		   false);
}

Test(place_real, go)
{
	const char *const names[] = { "crypto/tls.", "net/http.(", NULL };
	struct tally t = judge_file("/usr/local/go/bin/go", names, true);

	cr_expect_gt(t.sites, 0u);
}
