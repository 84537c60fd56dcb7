// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * probecost [LIBSSL [ROUNDS]]: what probes on SSL_write and SSL_read cost a pair of calls, with an empty
 * program at each place. Three states take turns: no probes; entry and return probe at the functions'
 * first instruction; the places that probe/place.c chooses. Prints medians, ns a pair:
 *     off 3120
 *     start 28470
 *     chosen 6510
 */
#include <bpf/bpf.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../../user/probe/elf_file.h"
#include "../../user/probe/place.h"

#define PAIRS 500
#define BYTES 256
#define ROUNDS_MAX 101

static void fail(const char *what)
{
	fprintf(stderr, "probecost: %s: %s\n", what, errno ? strerror(errno) : "failed");
	exit(1);
}

static struct {
	void *crypto, *ssl;
	char path[512];
	int (*read)(void *, void *, int);
	int (*write)(void *, const void *, int);
} lib;

static void *sym(const char *name)
{
	void *p = dlsym(lib.ssl, name);

	if (!p)
		p = dlsym(lib.crypto, name);
	if (!p)
		fail(name);
	return p;
}

#define SYM(name, ret, ...) ret (*name)(__VA_ARGS__) = (ret(*)(__VA_ARGS__))(uintptr_t)sym(#name)

static void open_library(const char *name)
{
	struct link_map *map;

	lib.crypto = dlopen("libcrypto.so.3", RTLD_NOW);
	lib.ssl = dlopen(name, RTLD_NOW);
	if (!lib.crypto || !lib.ssl || dlinfo(lib.ssl, RTLD_DI_LINKMAP, &map))
		fail(name);
	snprintf(lib.path, sizeof(lib.path), "%s", map->l_name);
	lib.read = (int (*)(void *, void *, int))(uintptr_t)sym("SSL_read");
	lib.write = (int (*)(void *, const void *, int))(uintptr_t)sym("SSL_write");
}

/* Two sessions over a pair of buffers, with a cipher that needs no certificates. */
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
	void *ctx = SSL_CTX_new(TLS_method()), *bio[2];
	int done = 0;

	SSL_CTX_ctrl(ctx, 124, 0x0303, NULL); /* TLS 1.2 at most */
	if (SSL_CTX_set_cipher_list(ctx, "AECDH-AES128-SHA:@SECLEVEL=0") != 1 ||
	    BIO_new_bio_pair(&bio[0], 65536, &bio[1], 65536) != 1)
		fail("TLS set-up");
	for (int i = 0; i < 2; i++) {
		ssl[i] = SSL_new(ctx);
		SSL_set_bio(ssl[i], bio[i], bio[i]);
	}
	SSL_set_connect_state(ssl[0]);
	SSL_set_accept_state(ssl[1]);
	for (int i = 0; i < 20 && done < 2; i++)
		done = (SSL_do_handshake(ssl[0]) == 1) + (SSL_do_handshake(ssl[1]) == 1);
	if (done < 2)
		fail("TLS handshake");
}

static int empty_program(void)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, "probecost", "GPL", insns, 2, NULL);

	if (fd < 0)
		fail("loading an empty program");
	return fd;
}

static int perf_type(void)
{
	FILE *f = fopen("/sys/bus/event_source/devices/uprobe/type", "re");
	int type;

	if (!f || fscanf(f, "%d", &type) != 1)
		fail("uprobes");
	fclose(f);
	return type;
}

struct probes_on {
	int fds[2 * (PLACE_EXITS_MAX + 1)];
	size_t n;
};

static void put(struct probes_on *on, int prog, uint64_t offset, bool ret)
{
	struct perf_event_attr attr = {
		.type = (uint32_t)perf_type(),
		.size = sizeof(attr),
		.config = ret,
		.config1 = (uintptr_t)lib.path,
		.config2 = offset,
		.sample_period = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0 || ioctl(fd, PERF_EVENT_IOC_SET_BPF, prog) ||
	    ioctl(fd, PERF_EVENT_IOC_ENABLE, 0))
		fail("a uprobe");
	on->fds[on->n++] = fd;
}

struct target {
	uint64_t offset;
	struct places places;
};

static void find_targets(struct target t[2])
{
	static const char *const names[] = { "SSL_write", "SSL_read" };
	static const struct place_wish wish = {
		.args = 7, .result = true, .returns_int = true, .length = true
	};
	int fd = open(lib.path, O_RDONLY | O_CLOEXEC);
	struct elf_func found[2];
	uint8_t code[4096];
	struct elf_file *elf;
	uint64_t addr;
	char why[128];

	if (fd < 0 || elf_file__open(fd, &elf, why, sizeof(why)) ||
	    elf_file__find(elf, names, 2, found, NULL) != 2)
		fail(lib.path);
	for (int i = 0; i < 2; i++) {
		int64_t len = elf_file__code(elf, &found[i], code, sizeof(code), &addr);

		t[i].offset = found[i].offset;
		if (len < 0 || place__choose(code, (size_t)len, addr,
					     (uint64_t)len == found[i].size, &wish, &t[i].places))
			fail(names[i]);
	}
	elf_file__close(elf);
	close(fd);
}

static void put_at_start(struct probes_on *on, int prog, const struct target *t)
{
	put(on, prog, t->offset, true);
	put(on, prog, t->offset, false);
}

static void put_at_places(struct probes_on *on, int prog, const struct target *t)
{
	const struct places *p = &t->places;

	if (p->exit_how == PLACE_EXIT_RETPROBE)
		put(on, prog, t->offset + p->exit_offset, true);
	for (size_t i = 0; i < p->n_exits; i++)
		put(on, prog, t->offset + p->exits[i].at.offset, false);
	put(on, prog, t->offset + p->entry.offset, false);
}

static double pair_ns(void *ssl[2])
{
	static char data[BYTES];
	struct timespec a, b;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	for (int i = 0; i < PAIRS; i++)
		if (lib.write(ssl[0], data, BYTES) != BYTES ||
		    lib.read(ssl[1], data, BYTES) != BYTES)
			fail("TLS traffic");
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	return ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / PAIRS;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

enum state { OFF, START, CHOSEN, N_STATES };

int main(int argc, char **argv)
{
	static const char *const names[] = { "off", "start", "chosen" };
	static double ns[N_STATES][ROUNDS_MAX];
	int rounds = argc > 2 ? atoi(argv[2]) : 9, prog;
	struct target targets[2];
	void *ssl[2];

	if (rounds < 1 || rounds > ROUNDS_MAX)
		fail("rounds: 1 to 101");
	open_library(argc > 1 ? argv[1] : "libssl.so.3");
	find_targets(targets);
	connect_pair(ssl);
	prog = empty_program();
	pair_ns(ssl);
	for (int r = 0; r < rounds; r++) {
		for (enum state s = OFF; s < N_STATES; s++) {
			struct probes_on on = { .n = 0 };

			for (int i = 0; i < 2 && s == START; i++)
				put_at_start(&on, prog, &targets[i]);
			for (int i = 0; i < 2 && s == CHOSEN; i++)
				put_at_places(&on, prog, &targets[i]);
			ns[s][r] = pair_ns(ssl);
			while (on.n)
				close(on.fds[--on.n]);
		}
	}
	for (enum state s = OFF; s < N_STATES; s++) {
		qsort(ns[s], (size_t)rounds, sizeof(double), by_value);
		printf("%s %.0f\n", names[s], ns[s][rounds / 2]);
	}
	return 0;
}
