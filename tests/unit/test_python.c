// SPDX-License-Identifier: GPL-2.0-or-later
/* A function that only jumps lead to, in made-up files; and a live Python, asked where its things are. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../bpf/types.bpf.h"
#include "../../user/probe/maps.h"
#include "../../user/probe/python.h"
#include "../../user/probe/tail_jump.h"
#include "../lib/mini_elf.h"

/* ---- tail jumps ---- */

#define TARGET 64 /* from the code's start */

/* nop, jmp to `to` */
static size_t jumper(uint8_t *code, size_t at, int32_t to)
{
	int32_t by = to - (int32_t)(at + 6);

	code[at] = 0x90;
	code[at + 1] = 0xe9;
	memcpy(code + at + 2, &by, 4);
	return 6;
}

/* test %eax,%eax; je to the second jump; two jumps */
static size_t two_jumps(uint8_t *code, size_t at, int32_t first, int32_t second)
{
	static const uint8_t head[] = { 0x85, 0xc0, 0x74, 0x06 };

	memcpy(code + at, head, sizeof(head));
	jumper(code, at + 4, first);
	jumper(code, at + 10, second);
	return 16;
}

struct jump_case {
	int32_t a, b;  /* where the two functions jump to */
	int32_t again; /* the second one, too; 0: no */
	size_t size_b; /* 0: as it is */
	bool found;
};

static void check_jumps(const struct jump_case *c)
{
	uint8_t code[128];
	struct mini_elf m;
	struct elf_file *elf;
	struct elf_func at[2] = { 0 }, to = { .offset = 1 };
	char why[128];
	size_t a, b;

	memset(code, 0xc3, sizeof(code));
	a = jumper(code, 0, c->a);
	b = c->again ? two_jumps(code, 16, c->b, c->again) : jumper(code, 16, c->b);
	mini_elf__start(&m, ET_DYN);
	uint64_t start = mini_elf__put(&m, MINI_CODE, code, sizeof(code), 16);

	mini_elf__finish(&m, true);
	int fd = mini_elf__file(&m);

	cr_assert_eq(elf_file__open(fd, &elf, why, sizeof(why)), 0, "%s", why);
	at[0] = (struct elf_func){ .offset = start, .size = a };
	at[1] = (struct elf_func){ .offset = start + 16, .size = c->size_b ? c->size_b : b };
	bool found = tail_jump__find(elf, at, 2, &to);

	cr_expect_eq(found, c->found, "%d %d %d", c->a, c->b, c->again);
	if (found)
		cr_expect_eq(to.offset, start + (uint64_t)c->a);
	cr_expect_not(tail_jump__find(elf, at, 0, &to), "nobody jumps");
	at[1].size = 0;
	cr_expect_not(tail_jump__find(elf, at, 2, &to), "its end is not known");
	at[1].offset = 0;
	cr_expect_not(tail_jump__find(elf, at, 2, &to), "one of them is not there");
	elf_file__close(elf);
	close(fd);
}

Test(tail_jump, certain_or_not_at_all)
{
	static const struct jump_case cases[] = {
		{ TARGET, TARGET, 0, 0, true },
		{ TARGET, TARGET + 16, 0, 0, false },      /* to different functions */
		{ TARGET, TARGET, TARGET + 16, 0, false }, /* which of the two? */
		{ TARGET, TARGET, 0, 4, false },           /* cut in the middle */
		{ 1 << 20, 1 << 20, 0, 0, false },         /* nowhere in the file */
		{ -(1 << 30), -(1 << 30), 0, 0, false },
		{ TARGET, 17, 0, 0, false }, /* within itself */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_jumps(&cases[i]);
}

/* ---- Python ---- */

#define PYTHON "/usr/bin/python3"

/* Says where PyContext_Type and the thread's own block are, then waits in an event loop. */
static const char
	script[] = "import asyncio, contextvars, threading\n"
		   "async def main():\n"
		   "    print(id(contextvars.Context), threading.get_ident(), flush=True)\n"
		   "    await asyncio.get_running_loop().create_future()\n"
		   "asyncio.run(main())\n";

static pid_t start_python(unsigned long *type, unsigned long *fs)
{
	int out[2];

	if (access(PYTHON, X_OK) != 0)
		cr_skip_test("no " PYTHON);
	cr_assert_eq(pipe(out), 0);
	pid_t pid = fork();

	if (pid == 0) {
		dup2(out[1], 1);
		execl(PYTHON, PYTHON, "-c", script, (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	FILE *f = fdopen(out[0], "r");

	cr_assert_eq(fscanf(f, "%lu %lu", type, fs), 2);
	fclose(f);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

struct found {
	pid_t pid;
	struct python_facts facts;
	uint64_t bias;
};

/* The mapped file that has the interpreter in it. */
static bool look(void *ctx, const struct map_file *mf)
{
	static const char *const names[] = { "PyContext_CopyCurrent" };
	struct found *found = ctx;
	struct elf_func fn;
	struct elf_file *elf;
	char why[128];
	int fd = maps__open(found->pid, mf);

	if (fd < 0)
		return true;
	if (elf_file__open(fd, &elf, why, sizeof(why)) == 0) {
		if (elf_file__find(elf, names, 1, &fn, NULL) == 1) {
			python__learn(elf, mf->path, &fn, &found->facts);
			found->bias = mf->start - mf->offset - found->facts.delta;
		}
		elf_file__close(elf);
	}
	close(fd);
	return !found->facts.version;
}

Test(python, where_its_contexts_are)
{
	struct runtime r;
	unsigned long type, fs;
	uint64_t thread, words[64];
	char why[96], path[32];
	bool its_own = false;
	struct found f = { .pid = start_python(&type, &fs) };

	cr_assert_gt(maps__each(f.pid, look, &f), 0);
	cr_assert_eq(f.facts.version >> 8, 3);
	if (!python__knows(&f.facts)) {
		end(f.pid);
		cr_skip_test("Python 3.%u", f.facts.version & 0xff);
	}
	cr_assert_eq(python__find(f.pid, &f.facts, f.bias, &r, why, sizeof(why)), 0, "%s", why);
	cr_expect_eq(r.type, type);
	cr_expect_eq(r.kind, RUNTIME_PYTHON);
	cr_expect_neq(r.space, 0);
	snprintf(path, sizeof(path), "/proc/%d/mem", f.pid);
	int mem = open(path, O_RDONLY);

	cr_assert_eq(pread(mem, &thread, sizeof(thread), (off_t)(fs + r.key)),
		     (ssize_t)sizeof(thread));
	cr_assert_eq(pread(mem, words, sizeof(words), (off_t)thread), (ssize_t)sizeof(words));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		its_own |= words[i] == fs;
	cr_expect(its_own, "the thread's state knows its thread");
	close(mem);
	end(f.pid);
}

/* Another type than its context's, a place that is no interpreter's, a process that is none. */
Test(python, refused_where_memory_does_not_bear_it_out)
{
	struct runtime r;
	unsigned long type, fs;
	char why[96];
	struct found f = { .pid = start_python(&type, &fs) };

	cr_assert_gt(maps__each(f.pid, look, &f), 0);
	if (!python__knows(&f.facts)) {
		end(f.pid);
		cr_skip_test("Python 3.%u", f.facts.version & 0xff);
	}
	struct python_facts wrong = f.facts;

	wrong.type += 8;
	cr_expect_eq(python__find(f.pid, &wrong, f.bias, &r, why, sizeof(why)), -ENOTSUP);
	cr_expect(why[0]);
	wrong = f.facts;
	wrong.state = 4096;
	cr_expect_lt(python__find(f.pid, &wrong, f.bias, &r, why, sizeof(why)), 0);
	wrong = f.facts;
	wrong.version = 0x0308;
	cr_expect_not(python__knows(&wrong));
	cr_expect_eq(python__find(f.pid, &wrong, f.bias, &r, why, sizeof(why)), -ENOTSUP);
	cr_expect_lt(python__find(getpid(), &f.facts, f.bias, &r, why, sizeof(why)), 0);
	end(f.pid);
	cr_expect_lt(python__find(f.pid, &f.facts, f.bias, &r, why, sizeof(why)), 0);
}
