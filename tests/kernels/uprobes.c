// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Uprobes on functions of our own (uprobe_library.h), which do all that a library's functions might:
 * call each other, leave by longjmp(), run on two threads, on stacks that move. What the kernel side
 * makes of it must be exactly what is written down here, on every kernel and by both ways of
 * attaching.
 *
 *   uprobes [-w multi|perf] [-b BACKEND] [-v]      -v: print what was seen
 *
 * Exit status: 0 as expected, 1 not (the first difference is printed), 2 not possible here.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "uprobe_expected.h"
#include "uprobe_library.h"
#include "user/kernel/kernel.h"
#include "user/source/source.h"

/* Where in the file an address of this program lies. */
static int find_offset(struct dl_phdr_info *info, size_t size, void *ctx)
{
	uint64_t *at = ctx;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uint64_t from = info->dlpi_addr + p->p_vaddr;

		if (p->p_type != PT_LOAD || *at < from || *at >= from + p->p_filesz)
			continue;
		*at = *at - from + p->p_offset;
		return 1;
	}
	return 1; /* the program itself comes first; nothing else is looked at */
}

static uint64_t offset_of(void *address)
{
	uint64_t at = (uintptr_t)address;

	dl_iterate_phdr(find_offset, &at);
	return at;
}

static struct kernel_uprobes *attach(struct kernel *k)
{
	struct kernel_site sites[2 * N_TARGETS];
	int errs[2 * N_TARGETS], n = 0, got;
	struct kernel_uprobes *u;

	for (size_t i = 0; i < N_TARGETS; i++) {
		const struct target *t = &targets[i];
		int d = kernel__describe_probe(k, &t->desc);

		if (d < 0 || kernel__describe_probe(k, &t->desc) != d)
			return NULL;
		sites[n++] = (struct kernel_site){ .offset = offset_of(t->enter),
						   .cookie = PROBE_COOKIE(d, PROBE_AT_ENTER, 0) };
		if (t->at_once)
			continue;
		sites[n++] = (struct kernel_site){
			.offset = offset_of(t->exit ? t->exit : t->enter),
			.cookie = PROBE_COOKIE(d, t->exit ? t->how : PROBE_AT_EXIT, t->disp),
			.ret = !t->exit,
		};
	}
	got = kernel__attach_uprobes(k, "/proc/self/exe", sites, n, errs, &u);
	for (int i = 0; i < n; i++)
		if (errs[i])
			fprintf(stderr, "uprobes: site %d: %s\n", i, strerror(-errs[i]));
	return got == n ? u : NULL;
}

/* A place where there can be no probe fails alone. */
static bool one_refused(struct kernel *k)
{
	struct kernel_site sites[] = { { .offset = offset_of(unused) }, { .offset = 1ULL << 40 } };
	struct kernel_uprobes *u;
	int errs[2];
	bool right = kernel__attach_uprobes(k, "/proc/self/exe", sites, 2, errs, &u) == 1 &&
		     !errs[0] && errs[1] < 0 && u;

	kernel__detach_uprobes(k, u);
	right = right && !kernel__attach_uprobes(k, "/proc/self/exe", sites + 1, 1, errs, &u) &&
		errs[0] < 0 && !u;
	right = right && !kernel__attach_uprobes(k, "/nowhere", sites, 1, errs, &u) && errs[0] < 0;
	if (!right)
		fprintf(stderr, "uprobes: refused places are not told as such\n");
	return right;
}

/* ---- What the traced program does, a phase after the other ---- */

static int ended[2], resume[2]; /* pipes: a phase has ended; the next one may begin */
static struct session a = { .returns = 1 }, b = { .returns = 1 };
static char space[5000];

static void phase(void)
{
	char c;

	if (write(ended[1], "", 1) != 1 || read(resume[0], &c, 1) != 1)
		_exit(1);
}

static void put(struct session *s, const char *text)
{
	tls_write(s, text, strlen(text));
}

static void one_session(void)
{
	size_t n;

	a.cipher_out = "client hello";
	a.cipher_in = "server hello, and more of it than thirty-two bytes";
	tls_handshake(&a);
	a.cipher_in = NULL;
	put(&a, "hello");
	a.cipher_out = NULL;
	a.returns = 3;
	tls_read(&a, space, 10);
	a.returns = 0;
	tls_read(&a, space, 10);
	a.returns = -1;
	tls_read(&a, space, 10);
	tls_read_mem(&a, space, 10);
	a.returns = 4;
	tls_read_mem(&a, space, 10);
	tls_write_ex(&a, "world", 5, &n); /* and tls_write inside */
	cipher_write("nobody's", 8);
	cipher_read(space, "nobody's", 8);
	tls_shutdown(&a);
	tls_shutdown(&a);
	tls_free(&a);
}

static void same_address(void)
{
	put(&a, "again");
	tls_accept_state(&a);
	put(&a, "served");
	tls_control(&a, 8);
	tls_send(&a, "sent", 4);
	tls_control(&a, 9);
	tls_send(&a, "anew", 4);
	tls_free(&a);
}

static void one_in_another(void)
{
	b.below = &a;
	put(&b, "inner");
	b.below = NULL;
}

PROBED int deeper(struct session *s)
{
	char room[2000];

	memset(room, 0, sizeof(room));
	__asm__ volatile("" ::"r"(room) : "memory");
	s->returns = 2;
	tls_read(s, space, 10);
	return room[7];
}

static void jumping_out(void)
{
	static volatile int i;

	for (i = 0; i < 3; i++) {
		a.how = i == 1 ? WELL : JUMPS;
		if (!setjmp(out_of_it))
			put(&a, "kept");
	}
	a.how = WELL;
	deeper(&a);
	put(&a, "kept");
}

static void *thread(void *arg)
{
	put(arg, "waiting");
	return NULL;
}

static void two_threads(void)
{
	struct session c = { .how = WAITS, .returns = 1 };
	pthread_t t;
	char byte;

	if (pipe(waits) || pipe(goes_on) || pthread_create(&t, NULL, thread, &c) ||
	    read(waits[0], &byte, 1) != 1)
		_exit(1);
	put(&b, "passing");
	if (write(goes_on[1], "", 1) != 1)
		_exit(1);
	pthread_join(t, NULL);
	tls_free(&c);
}

/* More under way at once than are kept: the outermost are lost, and counted. */
static void too_deep(void)
{
	static struct session s[FRAMES_MAX + 2];

	for (int i = 0; i < FRAMES_MAX + 2; i++) {
		s[i].returns = 1;
		s[i].below = i < FRAMES_MAX + 1 ? &s[i + 1] : NULL;
	}
	put(&s[0], "deep");
}

/* It says that it took more than it was given. */
static void lying(void)
{
	a.how = LIES;
	put(&a, "lie");
	a.how = WELL;
}

static void by_policy(const char *text)
{
	a.cipher_out = "unseen";
	put(&a, text);
	a.cipher_out = NULL;
}

/* The same pointer in another process is another session. */
static void forking(void)
{
	pid_t pid = fork();

	if (!pid) {
		put(&a, "child");
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	put(&a, "parent");
}

static void pass_a_millisecond(void)
{
	struct timespec from, now;

	clock_gettime(CLOCK_BOOTTIME, &from);
	do
		clock_gettime(CLOCK_BOOTTIME, &now);
	while ((now.tv_sec - from.tv_sec) * 1000000000L + now.tv_nsec - from.tv_nsec < 1000000);
}

static void counting(void)
{
	struct statement s = { .rows = 3 };

	for (int i = 0; i < 4; i++) {
		db_step(&s);
		if (!i)
			pass_a_millisecond();
	}
	s.rows = 5;
	db_step(&s);
	db_step(&s);
	db_reset(&s);
	db_reset(&s);
	s.rows = 1;
	db_step(&s);
	db_finalize(&s);
	db_finalize(&s);
}

static void texts(void)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const char *argv[] = { "GET", "key" };
	size_t lens[] = { 2, 3 };
	char *end = page + 4096;
	void *made;

	db_prepare(&b, "select 1", -1, &made);
	db_prepare(&b, "select 1", 9, &made); /* its NUL counted, too */
	db_prepare(&b, "select 1; more", 8, &made);
	munmap(end, 4096);
	memcpy(end - 4, "last", 4); /* and nothing behind it */
	db_prepare(&b, end - 4, 4, &made);
	db_prepare(&b, NULL, -1, &made);
	db_prepare(&b, (char *)8, 8, &made);
	db_exec(&b, "insert");
	db_script(&b, "one two");
	db_two_texts(&b, "name", "select 2");
	memset(space, 'x', sizeof(space) - 1);
	for (int n = 254; n <= 256; n++)
		db_prepare(&b, space, n, &made);
	for (int n = 2047; n <= 2050; n++)
		db_exec(&b, space + sizeof(space) - 1 - n);
	db_two_texts(&b, space, space);
	db_argv(&b, argv, lens);
	db_argv(&b, argv, NULL);
	munmap(page, 4096);
}

/* Goroutines: which thread they run on says nothing, and their stacks move, with what is on them. */
static void goroutines(void)
{
	static char stacks[4][8192] __attribute__((aligned(16)));
	struct g one = { stacks[0], stacks[1] }, two = { stacks[1], stacks[2] };
	unsigned long sa = (unsigned long)&a, sb = (unsigned long)&b;
	char *on_stack = one.hi - 500;

	memcpy(on_stack, "gone", 4);
	go_at(go_enter, &one, 1008, sa, (unsigned long)on_stack, 4);
	go_at(go_enter, &two, 1008, sb, (unsigned long)"with", 4);
	memset(on_stack, 'x', 4);
	one = (struct g){ stacks[2], stacks[3] };
	memcpy(one.hi - 500, "gone", 4);
	go_at(go_exit, &one, 1008, 4, 0, 0);
	go_at(go_exit, &two, 1008, 4, 0, 0);
	/* a panic leaves the function by another way */
	go_at(go_enter, &one, 2000, sa, (unsigned long)"lost", 4);
	go_at(go_enter, &one, 1504, sb, (unsigned long)"wind", 4);
	go_at(go_exit, &one, 1504, 4, 0, 0);
	go_at(go_exit, &one, 2000, 4, 0, 0);
}

static void mapping(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	close(fd);
}

static void traced(void)
{
	phase();
	one_session();
	same_address();
	phase();
	one_in_another();
	jumping_out();
	two_threads();
	phase();
	too_deep();
	lying();
	phase();
	by_policy("linked");
	phase();
	by_policy("off");
	phase();
	by_policy("on");
	forking();
	phase();
	counting();
	texts();
	phase();
	goroutines();
	mapping();
	tls_free(&a);
	phase();
	put(&b, "detached");
	phase();
}

/* ---- What is seen of it ---- */

#define LINES 400

static char seen[LINES][200];
static size_t n_seen;
static uint64_t conns[100];
static struct weft_open opens[100];
static size_t n_conns;
static pid_t child;

__attribute__((format(printf, 2, 3))) static void say(const struct weft_event *ev, const char *fmt,
						      ...)
{
	char *to = seen[n_seen];
	va_list ap;
	int n = 0;

	if (n_seen == LINES)
		return;
	n_seen++;
	if (ev)
		n = snprintf(to, sizeof(seen[0]), "%s",
			     ev->pid != (uint32_t)child ? "process "
			     : ev->tid != ev->pid       ? "thread "
							: "");
	va_start(ap, fmt);
	vsnprintf(to + n, sizeof(seen[0]) - n, fmt, ap);
	va_end(ap);
}

static size_t conn_of(const struct weft_event *ev)
{
	size_t i = 0;

	while (i < n_conns && conns[i] != ev->conn)
		i++;
	if (i == n_conns && n_conns < 99)
		conns[n_conns++] = ev->conn;
	return i + 1;
}

static const char *quoted(const void *p, size_t n)
{
	static char to[2][80];
	static int i;
	char *t = to[i ^= 1];

	if (n <= 60)
		snprintf(t, sizeof(to[0]), "'%.*s'", (int)n, (const char *)p);
	else
		snprintf(t, sizeof(to[0]), "%zu bytes %.3s", n, (const char *)p);
	return t;
}

static void see_session(const struct weft_session *s)
{
	static const char *const what[] = { "?", "op", "out", "in" };

	if (s->what == WEFT_SESSION_OP)
		say(&s->h, "op %zu%s%s", conn_of(&s->h), s->sock ? " sock" : "",
		    s->begin && s->begin <= s->h.ts ? "" : " begin?");
	else
		say(&s->h, "cipher %s %zu %u %s", what[s->what], conn_of(&s->h), s->len,
		    quoted(s->bytes, s->n));
}

static void see_call(const struct weft_call *c)
{
	char made[40] = "";

	if (c->made)
		snprintf(made, sizeof(made), " made %s",
			 c->made == 0x5151             ? "5151"
			 : c->made == (uint64_t)c->ret ? "ret"
						       : "?");
	say(&c->h, "call %u %s/%u %s/%u%s ret %d count %llu value %d%s%s", c->fn,
	    quoted(c->bytes, c->text), c->text_len, quoted(c->bytes + c->text, c->text2),
	    c->text2_len, made, c->made == (uint64_t)c->ret ? 0 : (int)c->ret,
	    (unsigned long long)c->count, (int)c->value,
	    c->count == 3 && c->h.ts >= c->begin + 1000000 ? " long" : "",
	    c->begin > c->h.ts || !c->begin ? " begin?" : "");
}

static void see_data(const struct weft_data *d)
{
	static const char *const kinds[] = { [WEFT_EV_DATA] = "data",
					     [WEFT_EV_EOF] = "eof",
					     [WEFT_EV_SHUT] = "shut",
					     [WEFT_EV_CLOSE] = "close" };
	size_t conn = conn_of(&d->h);

	if (d->h.kind == WEFT_EV_DATA)
		say(&d->h, "data %s %zu %u+%u %s", d->dir ? "in" : "out", conn, d->off, d->len,
		    quoted(d->bytes, d->head));
	else
		say(&d->h, "%s %zu", kinds[d->h.kind], conn);
}

static void see(void *ctx, const struct weft_event *ev)
{
	const struct weft_open *o = (const void *)ev;
	size_t conn;

	(void)ctx;
	switch (ev->kind) {
	case WEFT_EV_OPEN:
		if (!(ev->flags & WEFT_F_TLS))
			return; /* no sockets here */
		conn = conn_of(ev);
		opens[conn] = *o;
		say(ev, "open %zu %s%s%s", conn,
		    o->role == WEFT_ROLE_CLIENT   ? "client"
		    : o->role == WEFT_ROLE_SERVER ? "server"
						  : "unknown",
		    ev->flags & WEFT_F_PREOPEN ? " preopen" : "",
		    ev->flags & WEFT_F_POS && !o->local.family && !(o->sock >> 63) ? "" : " bad");
		break;
	case WEFT_EV_SESSION: see_session((const void *)ev); break;
	case WEFT_EV_CALL: see_call((const void *)ev); break;
	case WEFT_EV_MAP: say(ev, "map"); break;
	case WEFT_EV_FORK:
	case WEFT_EV_THREAD:
	case WEFT_EV_EXIT: break;
	default:
		if (ev->kind <= WEFT_EV_CLOSE)
			see_data((const void *)ev);
		else
			say(ev, "kind %u", ev->kind);
	}
}

/* ---- The run ---- */

static int compare(void)
{
	size_t i = 0;

	while (expected[i] && i < n_seen && !strcmp(expected[i], seen[i]))
		i++;
	if (!expected[i] && i == n_seen)
		return 0;
	fprintf(stderr, "uprobes: line %zu: expected \"%s\", saw \"%s\"\n", i + 1,
		expected[i] ? expected[i] : "(end)", i < n_seen ? seen[i] : "(end)");
	return 1;
}

struct run {
	struct kernel *k;
	struct source *src;
	struct kernel_uprobes *u;
	struct weft_policy policy;
};

static void set_policy(struct run *r, const struct weft_policy *policy)
{
	for (size_t i = 1; i <= n_conns; i++) {
		struct weft_policy_entry e = { .sock = opens[i].sock,
					       .conn = conns[i - 1],
					       .policy = *policy };

		if (opens[i].sock)
			kernel__set_policies(r->k, &e, 1);
	}
}

/* Let the program go on, to the end of its next phase. */
static int next(struct run *r, const char *name)
{
	char c;

	say(NULL, "-- %s", name);
	if (write(resume[1], "", 1) != 1 || read(ended[0], &c, 1) != 1)
		return -1;
	while (source__poll(r->src, see, NULL, 1000) > 0)
		;
	return 0;
}

static int phases(struct run *r)
{
	struct weft_policy linked = r->policy, off = r->policy;

	linked.linked = off.linked = off.off = 1;
	if (next(r, "sessions") || next(r, "each other") || next(r, "limits"))
		return -1;
	set_policy(r, &linked);
	if (next(r, "linked"))
		return -1;
	set_policy(r, &off);
	if (next(r, "off"))
		return -1;
	set_policy(r, &linked);
	if (next(r, "on, fork") || next(r, "calls") || next(r, "goroutines, map"))
		return -1;
	kernel__detach_uprobes(r->k, r->u);
	kernel__detach(r->k); /* waits until they are gone */
	put(&b, "not selected");
	return next(r, "detached");
}

static int check_drops(struct kernel *k)
{
	struct kernel_stats st;

	if (kernel__stats(k, &st))
		return 1;
	for (int i = 0; i < WEFT_DROP_MAX; i++) {
		uint64_t want = i == WEFT_DROP_NO_STATE ? 3 : 0; /* two too deep, one lie */

		if (st.drops[i] == want)
			continue;
		fprintf(stderr, "uprobes: %llu drops of kind %d, expected %llu\n",
			(unsigned long long)st.drops[i], i, (unsigned long long)want);
		return 1;
	}
	return 0;
}

static int run(struct kernel_config *cfg, bool verbose)
{
	struct run r = { .policy = cfg->initial };
	char why[300] = "", c;
	int err;

	err = kernel__open(cfg, &r.k, why, sizeof(why));
	if (err || kernel__uprobes_way(r.k) == KERNEL_UPROBES_OFF) {
		fprintf(stderr, "uprobes: %s\n", err ? why : "this way is not known here");
		return 2;
	}
	r.src = source__ring(kernel__ring_fd(r.k), why, sizeof(why));
	r.u = attach(r.k);
	if (!r.src || !r.u || !one_refused(r.k) || kernel__select_pid(r.k, child)) {
		fprintf(stderr, "uprobes: can't attach, or select: %s\n", why);
		return 1;
	}
	put(&a, "not selected");
	if (read(ended[0], &c, 1) != 1 || phases(&r)) {
		fprintf(stderr, "uprobes: the traced program has died\n");
		return 1;
	}
	for (size_t i = 0; verbose && i < n_seen; i++)
		puts(seen[i]);
	err = compare() || check_drops(r.k) || r.src->malformed;
	source__close(r.src);
	kernel__close(r.k);
	return err;
}

int main(int argc, char **argv)
{
	struct kernel_config cfg = { .ring_bytes = 1 << 20,
				     .max_conns = 256,
				     .initial = { .call_cap = { 4096, 4096 },
						  .turn_cap = { 1 << 20, 1 << 20 },
						  .tail = { 16, 16 } } };
	bool verbose = false;
	int c, status;

	while ((c = getopt(argc, argv, "w:b:v")) != -1) {
		if (c == 'w')
			cfg.uprobes = strcmp(optarg, "perf") ? KERNEL_UPROBES_MULTI
							     : KERNEL_UPROBES_PERF;
		else if (c == 'b')
			cfg.backend = kernel__backend_parse(optarg);
		else if (c == 'v')
			verbose = true;
		else
			return 2;
	}
	if (pipe(ended) || pipe(resume))
		return 2;
	child = fork();
	if (!child) {
		close(resume[1]);
		close(ended[0]);
		traced();
		_exit(0);
	}
	close(resume[0]);
	close(ended[1]);
	status = run(&cfg, verbose);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return status;
}
