/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For uprobes.c: a library whose functions do all that probed functions might do, and where they are
 * probed.
 */
#ifndef WEFT_UPROBE_LIBRARY_H
#define WEFT_UPROBE_LIBRARY_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpf/types.bpf.h"

#define PROBED static __attribute__((noipa))

enum how { WELL, JUMPS, WAITS, LIES };

struct session {
	enum how how;
	const char *cipher_out, *cipher_in; /* passed to the buffers meanwhile */
	struct session *below;              /* TLS in TLS */
	int returns;                        /* < 1: instead of what was asked for */
};

static jmp_buf out_of_it;
static int waits[2], goes_on[2]; /* pipes: a thread is inside, and may go on */

PROBED int cipher_write(const char *buf, int n)
{
	__asm__ volatile("" ::"r"(buf), "r"(n) : "memory");
	return n;
}

PROBED int cipher_read(char *buf, const char *from, int max)
{
	int n = strlen(from);

	memcpy(buf, from, n < max ? n : max);
	return n < max ? n : max;
}

PROBED int tls_write(struct session *s, const char *buf, int n);

static int tls__work(struct session *s, const char *buf, int n)
{
	char space[100], c;

	if (s->cipher_out)
		cipher_write(s->cipher_out, strlen(s->cipher_out));
	if (s->cipher_in)
		cipher_read(space, s->cipher_in, sizeof(space));
	if (s->below && n > 0)
		tls_write(s->below, buf, n);
	if (s->how == JUMPS)
		longjmp(out_of_it, 1);
	if (s->how == WAITS && (write(waits[1], "", 1) != 1 || read(goes_on[0], &c, 1) != 1))
		abort();
	return s->returns < 1 ? s->returns : s->how == LIES ? n + 1 : n;
}

PROBED int tls_write(struct session *s, const char *buf, int n)
{
	int done = tls__work(s, buf, n);

	__asm__ volatile("" : "+r"(done)::"memory");
	return done;
}

PROBED int tls_write_ex(struct session *s, const char *buf, size_t n, size_t *written)
{
	int done = tls_write(s, buf, n);

	*written = done > 0 ? done : 0;
	return done > 0;
}

PROBED long tls_read(struct session *s, char *buf, long n)
{
	long done = tls__work(s, NULL, 0);

	if (s->returns < 1)
		return s->returns;
	memset(buf, 'r', s->returns);
	__asm__ volatile("" : "+r"(done)::"memory");
	return s->returns < n ? s->returns : n;
}

PROBED int tls_handshake(struct session *s)
{
	int done = tls__work(s, NULL, 0);

	__asm__ volatile("" : "+r"(done)::"memory");
	return done;
}

/* Told when it begins, whatever it returns. */
PROBED int tls_send(struct session *s, const char *buf, int n)
{
	__asm__ volatile("" ::"r"(s), "r"(buf), "r"(n) : "memory");
	return -1;
}

/* One of many things, by number: 9 begins a session anew. */
PROBED int tls_control(struct session *s, int what)
{
	__asm__ volatile("" ::"r"(s), "r"(what) : "memory");
	return 0;
}

#define AT_ONCE(name)                                                                              \
	PROBED void name(void *s)                                                                  \
	{                                                                                          \
		__asm__ volatile("" ::"r"(s) : "memory");                                          \
	}
AT_ONCE(tls_shutdown)
AT_ONCE(tls_free)
AT_ONCE(tls_accept_state)
AT_ONCE(unused)

/*
 * Probed in its middle, as place.c would: entry at the call, exit at the jump behind it, where ax
 * says whether it went well and the length lies on the stack.
 */
int tls_read_mem(struct session *s, char *buf, long n);
extern char mem_enter[], mem_exit[];
__asm__(".text\n.globl tls_read_mem\n.type tls_read_mem, @function\ntls_read_mem:\n"
	"	sub $0x18, %rsp\n"
	"	lea 8(%rsp), %rcx\n"
	"mem_enter:\n"
	"	call tls_read_inner\n"
	"	test %eax, %eax\n"
	"mem_exit:\n"
	"	jle 1f\n"
	"	mov 8(%rsp), %eax\n"
	"1:	add $0x18, %rsp\n"
	"	ret\n"
	".size tls_read_mem, . - tls_read_mem\n");

int tls_read_inner(struct session *s, char *buf, long n, size_t *done);
__attribute__((used)) int tls_read_inner(struct session *s, char *buf, long n, size_t *done)
{
	if (s->returns < 1)
		return s->returns;
	*done = s->returns < n ? s->returns : n;
	memset(buf, 'm', *done);
	return 1;
}

/*
 * What Go's functions look like at their entry and at a RET, on a stack and of a goroutine as the
 * caller likes: go_at() runs one of the two places with the registers given.
 */
struct g {
	char *lo, *hi;
};
extern char go_enter[], go_exit[];
void go_at(void *place, const struct g *g, unsigned long depth, unsigned long ax, unsigned long bx,
	   unsigned long cx);
__asm__(".text\ngo_enter:\n	nop\n	ret\ngo_exit:\n	nop\n	ret\n"
	".globl go_at\n.type go_at, @function\ngo_at:\n"
	"	push %rbp\n	push %rbx\n	push %r14\n	push %r15\n"
	"	mov %rsp, %r15\n"
	"	mov %rsi, %r14\n"
	"	mov 8(%r14), %rsp\n"
	"	sub %rdx, %rsp\n"
	"	mov %rdi, %rbp\n"
	"	mov %rcx, %rax\n	mov %r8, %rbx\n	mov %r9, %rcx\n"
	"	call *%rbp\n"
	"	mov %r15, %rsp\n"
	"	pop %r15\n	pop %r14\n	pop %rbx\n	pop %rbp\n	ret\n"
	".size go_at, . - go_at\n");

/* A database that gives rows. */
struct statement {
	int rows, status;
};

PROBED int db_step(struct statement *s)
{
	__asm__ volatile("" ::: "memory");
	return s->rows-- > 0 ? 100 : 101;
}

#define CALL_OF(name)                                                                              \
	PROBED int name(void *s)                                                                   \
	{                                                                                          \
		__asm__ volatile("" ::"r"(s) : "memory");                                          \
		return 0;                                                                          \
	}
CALL_OF(db_reset)
CALL_OF(db_finalize)

PROBED int db_prepare(void *db, const char *sql, int n, void **made)
{
	__asm__ volatile("" ::"r"(db), "r"(sql), "r"(n) : "memory");
	*made = (void *)0x5151;
	return 0;
}

PROBED int db_exec(void *db, const char *sql)
{
	void *made;

	return db_prepare(db, sql, -1, &made);
}

/* Tells of what it calls, unlike db_exec. */
PROBED int db_script(void *db, const char *sql)
{
	void *made;

	db_prepare(db, sql, 3, &made);
	return db_prepare(db, sql + 4, 3, &made);
}

static struct statement result = { .status = 7 };

PROBED struct statement *db_two_texts(void *db, const char *name, const char *sql)
{
	__asm__ volatile("" ::"r"(db), "r"(name), "r"(sql) : "memory");
	return &result;
}

PROBED int db_argv(void *db, const char **argv, const size_t *len)
{
	__asm__ volatile("" ::"r"(db), "r"(argv), "r"(len) : "memory");
	return -2;
}

struct target {
	void *enter, *exit; /* exit NULL: a return probe at `enter`, if `ends` */
	uint64_t how;       /* enum probe_at of the exit */
	int disp;
	bool at_once; /* no exit */
	struct probe_desc desc;
};

#define NO_PEEK .peek = -1
static const struct target targets[] = {
	{ tls_write, .desc = { .what = PROBE_TLS_WRITE,
			       .flags = PROBE_INT,
			       .object = 1,
			       .buf = 2,
			       .len = 3 } },
	{ tls_write_ex, .desc = { .what = PROBE_TLS_WRITE,
				  .result = PROBE_RESULT_OUT,
				  .object = 1,
				  .buf = 2,
				  .len = 3,
				  .out = 4 } },
	{ tls_read, .desc = { .what = PROBE_TLS_READ, .object = 1, .buf = 2, .len = 3 } },
	{ tls_handshake, .desc = { .what = PROBE_TLS_OTHER,
				   .flags = PROBE_INT | PROBE_BEGINS | PROBE_CLIENT,
				   .object = 1 } },
	{ tls_shutdown, .at_once = true, .desc = { .what = PROBE_TLS_SHUTDOWN, .object = 1 } },
	{ tls_free, .at_once = true, .desc = { .what = PROBE_TLS_END, .object = 1 } },
	{ tls_accept_state, .at_once = true,
	  .desc = { .what = PROBE_TLS_END, .flags = PROBE_BEGINS | PROBE_SERVER, .object = 1 } },
	{ tls_send, .at_once = true,
	  .desc = { .what = PROBE_TLS_WRITE,
		    .result = PROBE_RESULT_ENTRY,
		    .flags = PROBE_INT,
		    .object = 1,
		    .buf = 2,
		    .len = 3 } },
	{ tls_control, .at_once = true,
	  .desc = { .what = PROBE_TLS_END,
		    .flags = PROBE_BEGINS,
		    .object = 1,
		    .only = 2,
		    .only_is = 9 } },
	{ cipher_write, .at_once = true,
	  .desc = { .what = PROBE_CIPHER_OUT, .flags = PROBE_INT, .buf = 1, .len = 2 } },
	{ cipher_read,
	  .desc = { .what = PROBE_CIPHER_IN, .flags = PROBE_INT, .buf = 1, .len = 3 } },
	{ mem_enter, mem_exit, .how = PROBE_AT_EXIT_MEM, .disp = 8,
	  .desc = { .what = PROBE_TLS_READ,
		    .flags = PROBE_INT,
		    .object = 1,
		    .buf = 2,
		    .len = 3,
		    .text2 = 6 } }, /* text2: another description than tls_read's */
	{ go_enter, go_exit, .how = PROBE_AT_EXIT,
	  .desc = { .what = PROBE_TLS_WRITE,
		    .abi = PROBE_ABI_GO,
		    .object = 1,
		    .buf = 2,
		    .len = 3 } },
	{ db_step, .desc = { .what = PROBE_CALL,
			     .fn = WEFT_FN_SQLITE_STEP,
			     .flags = PROBE_INT,
			     .object = 1,
			     .more = 100,
			     NO_PEEK } },
	{ db_reset, .desc = { .what = PROBE_CALL,
			      .fn = WEFT_FN_SQLITE_RESET,
			      .flags = PROBE_INT,
			      .object = 1,
			      .ends = PROBE_ENDS_ONLY,
			      NO_PEEK } },
	{ db_finalize, .desc = { .what = PROBE_CALL,
				 .fn = WEFT_FN_SQLITE_FINALIZE,
				 .flags = PROBE_INT,
				 .object = 1,
				 .ends = PROBE_ENDS,
				 NO_PEEK } },
	{ db_prepare, .desc = { .what = PROBE_CALL,
				.fn = WEFT_FN_SQLITE_PREPARE,
				.flags = PROBE_INT | PROBE_NOT_NESTED,
				.object = 1,
				.text = 2,
				.text_len = 3,
				.made = 4,
				NO_PEEK } },
	{ db_exec, .desc = { .what = PROBE_CALL,
			     .fn = WEFT_FN_SQLITE_EXEC,
			     .flags = PROBE_INT,
			     .object = 1,
			     .text = 2,
			     NO_PEEK } },
	{ db_script, .desc = { .what = PROBE_CALL,
			       .fn = WEFT_FN_MYSQL_QUERY,
			       .flags = PROBE_INT | PROBE_SHOWS,
			       .object = 1,
			       .text = 2,
			       NO_PEEK } },
	{ db_two_texts, .desc = { .what = PROBE_CALL,
				  .fn = WEFT_FN_PQ_PREPARE,
				  .flags = PROBE_MADE_RET,
				  .object = 1,
				  .text = 2,
				  .text2 = 3,
				  .peek = __builtin_offsetof(struct statement, status) } },
	{ db_argv, .desc = { .what = PROBE_CALL,
			     .fn = WEFT_FN_HIREDIS_COMMAND,
			     .flags = PROBE_INT | PROBE_TEXT_BEHIND,
			     .object = 1,
			     .text = 2,
			     .text_len = 3,
			     NO_PEEK } },
};
#define N_TARGETS (sizeof(targets) / sizeof(targets[0]))

#endif /* WEFT_UPROBE_LIBRARY_H */
