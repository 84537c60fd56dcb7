// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The chosen places at work: real uprobes, real calls with every outcome. The kernel's own counting
 * (perf events, no BPF) says which registers it found at each hit; they must be each call's
 * arguments and results, no hit more and no hit less. Needs the right to set uprobes.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <asm/perf_regs.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../user/probe/place.h"

#define RING (64 * 4096)
#define STACK_SHOWN 64
#define REG(name) (1ull << PERF_REG_X86_##name)

/* What perf writes for a hit: registers in the order of their numbers. */
struct hit {
	struct perf_event_header header;
	uint64_t abi, ax, dx, si, di, sp;
	uint64_t stack_size, stack[STACK_SHOWN / 8];
};

/* A uprobe on one instruction. */
struct tap {
	int fd;
	struct perf_event_mmap_page *ring;
	uint64_t at;
};

static int perf_type(void)
{
	FILE *f = fopen("/sys/bus/event_source/devices/uprobe/type", "re");
	int type = -1;

	if (f) {
		if (fscanf(f, "%d", &type) != 1)
			type = -1;
		fclose(f);
	}
	return type;
}

static void tap__open(struct tap *t, const char *path, uint64_t offset, bool ret)
{
	struct perf_event_attr attr = {
		.type = (uint32_t)perf_type(),
		.size = sizeof(attr),
		.config = ret,
		.config1 = (uintptr_t)path,
		.config2 = offset,
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
		.sample_regs_user = REG(AX) | REG(DX) | REG(SI) | REG(DI) | REG(SP),
		.sample_stack_user = STACK_SHOWN,
	};

	t->fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (t->fd < 0 && (errno == EPERM || errno == EACCES || errno == ENOENT))
		cr_skip("no right to set uprobes");
	cr_assert_geq(t->fd, 0, "%s+%llx: %s", path, (unsigned long long)offset, strerror(errno));
	t->ring = mmap(NULL, RING + 4096, PROT_READ | PROT_WRITE, MAP_SHARED, t->fd, 0);
	cr_assert_neq((void *)t->ring, MAP_FAILED);
	t->at = 0;
}

/* The next hit; false: there is no other. */
static bool tap__next(struct tap *t, struct hit *out)
{
	const uint8_t *data = (const uint8_t *)t->ring + t->ring->data_offset;
	uint64_t head = __atomic_load_n(&t->ring->data_head, __ATOMIC_ACQUIRE);
	uint8_t record[256];

	if (t->at == head)
		return false;
	for (size_t i = 0; i < sizeof(record); i++)
		record[i] = data[(t->at + i) % RING];
	memcpy(out, record, sizeof(*out));
	cr_assert_eq(out->header.type, PERF_RECORD_SAMPLE, "a hit was lost");
	t->at += out->header.size;
	return true;
}

static void tap__close(struct tap *t)
{
	munmap(t->ring, RING + 4096);
	close(t->fd);
}

/* A function with probes where place.c puts them. */
struct watched {
	const char *name;
	struct place_wish wish;
	struct places places;
	struct tap entry, exits[PLACE_EXITS_MAX];
	size_t n_exits;
	struct call {
		const void *a, *b;
		uint64_t c;
		int64_t result;
	} calls[256];
	size_t n_calls;
};

/* Where in which file an address of our own lies. */
static uint64_t file_offset(const void *addr, char *path, size_t size)
{
	uintptr_t at = (uintptr_t)addr;
	uint64_t offset = 0;
	char line[1024];
	FILE *f = fopen("/proc/self/maps", "re");

	cr_assert_not_null(f);
	path[0] = '\0';
	while (!path[0] && fgets(line, sizeof(line), f)) {
		unsigned long from, to, begins;
		int name = 0;

		if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %n", &from, &to, &begins, &name) < 3 ||
		    at < from || at >= to)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(path, size, "%s", line + name);
		offset = at - from + begins;
	}
	fclose(f);
	cr_assert_neq(path[0], '\0');
	return offset;
}

/* The code is read from the file: in memory somebody else's uprobes may be on it. */
static void watch(struct watched *w, const void *code, size_t len)
{
	char path[1024];
	uint64_t start = file_offset(code, path, sizeof(path));
	struct places *p = &w->places;
	uint8_t bytes[1024];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	cr_assert_leq(len, sizeof(bytes));
	cr_assert_eq(pread(fd, bytes, len, (off_t)start), (ssize_t)len);
	close(fd);
	cr_assert_eq(place__choose(bytes, len, (uintptr_t)code, true, &w->wish, p), 0, "%s: %s",
		     w->name, p->why);
	if (p->exit_how == PLACE_EXIT_RETPROBE)
		tap__open(&w->exits[w->n_exits++], path, start + p->exit_offset, true);
	for (size_t i = 0; i < p->n_exits; i++)
		tap__open(&w->exits[w->n_exits++], path, start + p->exits[i].at.offset, false);
	tap__open(&w->entry, path, start + p->entry.offset, false);
}

/* A call of three arguments, noted with its result. */
static int64_t call(struct watched *w, int64_t result, const void *a, const void *b, uint64_t c)
{
	cr_assert_lt(w->n_calls, sizeof(w->calls) / sizeof(*w->calls));
	w->calls[w->n_calls++] = (struct call){ a, b, c, result };
	return result;
}

/* The value that an exit shows. */
static int64_t shown(const struct watched *w, const struct hit *h, size_t exit)
{
	const struct place_exit *e = &w->places.exits[exit];
	int64_t value = w->wish.returns_int ? (int32_t)h->ax : (int64_t)h->ax;

	if (w->places.exit_how == PLACE_EXIT_SITES && e->in_memory && value > 0) {
		cr_assert(e->disp >= 0 && e->disp + 8 <= STACK_SHOWN);
		memcpy(&value, (const uint8_t *)h->stack + e->disp, sizeof(value));
	}
	return value;
}

/* Every call has hit the entry once with its arguments, and one exit with its result. */
static void check(struct watched *w)
{
	bool lengths = w->places.n_exits && w->places.exits[0].in_memory;
	struct hit h;

	for (size_t i = 0; i < w->n_calls; i++) {
		const struct call *c = &w->calls[i];

		cr_assert(tap__next(&w->entry, &h), "%s: call %zu did not hit the entry", w->name,
			  i);
		cr_expect_eq(h.di, (uintptr_t)c->a, "%s: call %zu", w->name, i);
		cr_expect_eq(h.si, (uintptr_t)c->b, "%s: call %zu", w->name, i);
		cr_expect_eq(h.dx & UINT32_MAX, c->c & UINT32_MAX, "%s: call %zu", w->name, i);
	}
	cr_expect_not(tap__next(&w->entry, &h), "%s: more hits than calls", w->name);
	/* each exit's hits are in the order of the calls that passed it */
	for (size_t i = 0, next; i < w->n_calls; i++) {
		for (next = 0; next < w->n_exits; next++) {
			struct tap before = w->exits[next];

			if (!tap__next(&w->exits[next], &h))
				continue;
			if (shown(w, &h, next) == w->calls[i].result)
				break;
			w->exits[next] = before;
		}
		/* where exits tell of lengths alone, errors pass none */
		cr_expect(next < w->n_exits || (lengths && w->calls[i].result <= 0),
			  "%s: call %zu has no exit with its result %lld", w->name, i,
			  (long long)w->calls[i].result);
	}
	for (size_t i = 0; i < w->n_exits; i++) {
		cr_expect_not(tap__next(&w->exits[i], &h), "%s: an exit without a call", w->name);
		tap__close(&w->exits[i]);
	}
	tap__close(&w->entry);
	fprintf(stderr, "%s: %zu calls, entry +%lu %s, %s\n", w->name, w->n_calls,
		(unsigned long)w->places.entry.offset, w->places.entry.insn,
		w->places.exit_how == PLACE_EXIT_RETPROBE ? "return probe" : "exit sites");
}

/* A function with the length in memory and no stack guard, as compilers make SSL_read without one. */
int mini_read(void *session, void *buf, int len);
extern const uint8_t mini_read_end[];
int mini_inner(void *session, void *buf, size_t len, size_t *done);

__asm__(".text\n"
	".globl mini_read\n"
	".type mini_read, @function\n"
	"mini_read:\n"
	"	sub $0x18,%rsp\n"
	"	test %edx,%edx\n"
	"	js 2f\n"
	"	lea 8(%rsp),%rcx\n"
	"	movslq %edx,%rdx\n"
	"	call mini_inner\n"
	"	test %eax,%eax\n"
	"	jle 1f\n"
	"	mov 8(%rsp),%eax\n"
	"1:	add $0x18,%rsp\n"
	"	ret\n"
	"2:	mov $-1,%eax\n"
	"	add $0x18,%rsp\n"
	"	ret\n"
	".globl mini_read_end\n"
	"mini_read_end:\n"
	".size mini_read, .-mini_read\n");

/* Session 1 fails, any other moves half of what it is given. */
__attribute__((used, noinline)) int mini_inner(void *session, void *buf, size_t len, size_t *done)
{
	(void)buf;
	*done = len / 2;
	return session == (void *)1 ? -1 : session == (void *)2 ? 0 : 1;
}

Test(place_run, length_in_memory)
{
	struct watched w = {
		.name = "mini_read",
		.wish = { .args = 7, .result = true, .returns_int = true, .length = true },
	};
	int (*volatile fn)(void *, void *, int) = mini_read; /* not to be looked through */
	char buf[8];

	watch(&w, (const void *)mini_read, (size_t)(mini_read_end - (const uint8_t *)mini_read));
	cr_assert_eq(w.places.n_exits, 1u);
	cr_assert(w.places.exits[0].in_memory);
	for (uintptr_t i = 0; i < 60; i++) {
		void *session = (void *)(i % 5);
		int len = i % 7 ? (int)i * 100 : -1;

		call(&w, fn(session, buf, len), session, buf, (uint64_t)len);
	}
	check(&w);
}

/* libssl, without its headers. */
static struct {
	void *crypto, *ssl;
} lib;

static void *sym(const char *name)
{
	void *p = dlsym(lib.ssl, name);

	if (!p)
		p = dlsym(lib.crypto, name);
	cr_assert_not_null(p, "%s", name);
	return p;
}

#define SYM(name, ret, ...) ret (*name)(__VA_ARGS__) = (ret(*)(__VA_ARGS__))(uintptr_t)sym(#name)

/* Two sessions, each with a buffer of 4 KiB to the other. */
static void connect_pair(void *ssl[2])
{
	SYM(TLS_method, const void *, void);
	SYM(SSL_CTX_new, void *, const void *);
	SYM(SSL_CTX_ctrl, long, void *, int, long, void *);
	SYM(SSL_CTX_set_cipher_list, int, void *, const char *);
	SYM(SSL_new, void *, void *);
	SYM(BIO_new_bio_pair, int, void **, size_t, void **, size_t);
	SYM(SSL_set_bio, void, void *, void *, void *);
	SYM(SSL_set_connect_state, void, void *);
	SYM(SSL_set_accept_state, void, void *);
	SYM(SSL_do_handshake, int, void *);
	SYM(SSL_CTX_free, void, void *);
	void *ctx = SSL_CTX_new(TLS_method()), *bio[2];
	int done = 0;

	/* no certificates: ciphers without them, which are of TLS 1.2 */
	cr_assert_not_null(ctx);
	SSL_CTX_ctrl(ctx, 124, 0x0303, NULL);
	cr_assert_eq(SSL_CTX_set_cipher_list(ctx, "AECDH-AES128-SHA:@SECLEVEL=0"), 1);
	cr_assert_eq(BIO_new_bio_pair(&bio[0], 4096, &bio[1], 4096), 1);
	for (int i = 0; i < 2; i++) {
		ssl[i] = SSL_new(ctx);
		SSL_set_bio(ssl[i], bio[i], bio[i]);
	}
	SSL_CTX_free(ctx); /* the sessions' */
	SSL_set_connect_state(ssl[0]);
	SSL_set_accept_state(ssl[1]);
	for (int i = 0; i < 20 && done < 2; i++)
		done = (SSL_do_handshake(ssl[0]) == 1) + (SSL_do_handshake(ssl[1]) == 1);
	cr_assert_eq(done, 2, "no handshake");
}

static void open_library(void)
{
	lib.crypto = dlopen("libcrypto.so.3", RTLD_NOW);
	lib.ssl = dlopen("libssl.so.3", RTLD_NOW);
	if (!lib.ssl || !lib.crypto)
		cr_skip("no libssl.so.3 here");
}

static void watch_symbol(struct watched *w)
{
	Dl_info info;
	ElfW(Sym) *s = NULL;
	void *code = sym(w->name);

	cr_assert_neq(dladdr1(code, &info, (void **)&s, RTLD_DL_SYMENT), 0);
	cr_assert_not_null(s);
	watch(w, code, s->st_size);
}

enum { READ, WRITE, PEEK, READ_EX, WRITE_EX, PEEK_EX, N_FUNCS };

static struct watched tls[N_FUNCS] = {
	[READ] = { .name = "SSL_read", .wish = { .length = true } },
	[WRITE] = { .name = "SSL_write", .wish = { .length = true } },
	[PEEK] = { .name = "SSL_peek", .wish = { .length = true } },
	[READ_EX] = { .name = "SSL_read_ex" },
	[WRITE_EX] = { .name = "SSL_write_ex" },
	[PEEK_EX] = { .name = "SSL_peek_ex" },
};

static void free_pair(void *ssl[2])
{
	SYM(SSL_free, void, void *);
	SYM(ERR_clear_error, void, void);

	SSL_free(ssl[0]);
	SSL_free(ssl[1]);
	ERR_clear_error();
}

/* Call one of them. The _ex forms' result is their ok; what was moved goes elsewhere. */
static int64_t run(int which, void *ssl, void *buf, int len)
{
	void *fn = sym(tls[which].name);
	size_t moved = 0;
	int result = which < READ_EX ? ((int (*)(void *, void *, int))(uintptr_t)fn)(ssl, buf, len)
				     : ((int (*)(void *, void *, size_t, size_t *))(
					       uintptr_t)fn)(ssl, buf, (size_t)len, &moved);

	return call(&tls[which], result, ssl, buf, (uint64_t)len);
}

/* Each function with every outcome that the other forms of it have: read is 0 for _ex. */
static void take_all_ways(bool ex)
{
	SYM(SSL_shutdown, int, void *);
	SYM(SSL_new, void *, void *);
	SYM(SSL_get_SSL_CTX, void *, void *);
	SYM(SSL_free, void, void *);
	int read = ex ? READ_EX : READ, write = ex ? WRITE_EX : WRITE, peek = ex ? PEEK_EX : PEEK;
	static char data[32768], back[32768];
	int64_t no = ex ? 0 : -1;
	void *ssl[2];

	connect_pair(ssl);
	void *fresh = SSL_new(SSL_get_SSL_CTX(ssl[0]));

	/* nothing there yet: WANT_READ */
	cr_expect_eq(run(read, ssl[1], back, 100), no);
	cr_expect_eq(run(peek, ssl[1], back, 100), no);
	/* success, in one piece and in two; a peek before */
	cr_expect_gt(run(write, ssl[0], data, 200), 0);
	cr_expect_gt(run(peek, ssl[1], back, 50), 0);
	cr_expect_gt(run(read, ssl[1], back, 150), 0);
	cr_expect_gt(run(read, ssl[1], back, 150), 0);
	for (int i = 1; i < 20; i++) {
		cr_expect_gt(run(write, ssl[i & 1], data, i * 37), 0);
		cr_expect_gt(run(read, ssl[!(i & 1)], back, i * 37), 0);
	}
	/* no bytes at all */
	run(write, ssl[0], data, 0);
	run(read, ssl[1], back, 0);
	run(peek, ssl[1], back, 0);
	/* a negative length, of which the others make a very large one */
	if (!ex) {
		cr_expect_eq(run(read, ssl[1], back, -1), -1);
		cr_expect_eq(run(write, ssl[0], data, -5), -1);
		cr_expect_eq(run(peek, ssl[1], back, INT32_MIN), -1);
	}
	/* more than fits: WANT_WRITE; and the same again */
	cr_expect_eq(run(write, ssl[0], data, 16000), no);
	for (int i = 0; i < 100 && run(write, ssl[0], data, 16000) <= 0; i++)
		run(read, ssl[1], back, 16000);
	while (run(read, ssl[1], back, 16000) > 0)
		;
	/* no session was begun */
	run(read, fresh, back, 10);
	run(write, fresh, data, 10);
	run(peek, fresh, back, 10);
	/* the other end says goodbye: end of file; writing after one's own */
	SSL_shutdown(ssl[0]);
	cr_expect_eq(run(write, ssl[0], data, 10), no);
	cr_expect_eq(run(peek, ssl[1], back, 10), 0);
	cr_expect_eq(run(read, ssl[1], back, 10), 0);
	SSL_shutdown(ssl[1]);
	run(read, ssl[1], back, 10);
	SSL_free(fresh);
	free_pair(ssl);
	/* a retry that is none: an error, and the session is broken */
	connect_pair(ssl);
	cr_expect_eq(run(write, ssl[0], data, 16000), no);
	cr_expect_eq(run(write, ssl[0], data + 1, 10), no);
	cr_expect_eq(run(write, ssl[0], data, 16000), no);
	free_pair(ssl);
}

Test(place_run, openssl)
{
	open_library();
	for (int i = 0; i < N_FUNCS; i++) {
		tls[i].wish.args = 7;
		tls[i].wish.result = tls[i].wish.returns_int = true;
		watch_symbol(&tls[i]);
	}
	take_all_ways(false);
	take_all_ways(true);
	for (int i = 0; i < N_FUNCS; i++)
		check(&tls[i]);
}
