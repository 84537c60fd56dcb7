// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Runs a command under one back end and prints every event of it and its children as one stable
 * line, so that what two back ends or two kernels saw can be compared with diff:
 *
 *   evdump [-b BACKEND] [-c CALL_CAP] [-t TURN_CAP] [-T TAIL] [-r RING_BYTES] [-o FILE] [-s] [-F]
 *          [-p] COMMAND [ARG...]
 *
 * Connections and processes are numbered in order of appearance; offsets of TCP streams are given
 * from the first one seen of the connection. The ends of Unix sockets come last, because the
 * system-call back ends learn of them late. -s adds the statistics, -l selects the command half a
 * second after it began, -F only prints what this kernel can do, -p probes the libraries that the
 * command maps. The lines go to FILE, else to stdout.
 *
 * Of a connection that begins as HTTP/2 does, the frames that can be read in what was captured come
 * last: all frame headers and payloads but DATA's must be there.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "user/kernel/kernel.h"
#include "user/probe/probe.h"
#include "user/probe/table.h"
#include "user/source/source.h"

#define MAX 65536

#define SHOWN_MAX (1 << 17)

/* One direction's bytes, and which of them were captured. */
struct shown {
	uint8_t bytes[SHOWN_MAX];
	bool here[SHOWN_MAX];
	uint32_t n;
};

struct conn {
	uint64_t id, sock;
	struct shown *shown[2];
	uint32_t first[2], next[2];
	bool known[2], any[2], unix_socket, closed;
};

static struct conn conns[MAX];
static uint32_t pids[MAX];
static size_t n_conns, n_pids;
static FILE *out;
static struct probes *probes;

static size_t pid__number(uint32_t pid)
{
	for (size_t i = 0; i < n_pids; i++)
		if (pids[i] == pid)
			return i + 1;
	if (n_pids < MAX)
		pids[n_pids++] = pid;
	return n_pids;
}

static struct conn *conn__find(uint64_t id)
{
	for (size_t i = 0; i < n_conns; i++)
		if (conns[i].id == id)
			return &conns[i];
	if (n_conns == MAX)
		abort();
	conns[n_conns].id = id;
	return &conns[n_conns++];
}

static uint32_t hash(const uint8_t *p, size_t n)
{
	uint32_t h = 2166136261u;

	while (n--)
		h = (h ^ *p++) * 16777619u;
	return h;
}

static const char *addr(const struct weft_addr *a, char *to)
{
	if (a->family == 2)
		sprintf(to, "%u.%u.%u.%u", a->ip[0], a->ip[1], a->ip[2], a->ip[3]);
	else if (a->family == 10)
		sprintf(to, "[%02x%02x..%02x%02x]", a->ip[0], a->ip[1], a->ip[14], a->ip[15]);
	else
		sprintf(to, "family%u", a->family);
	return to;
}

/* Bytes as text: what is not printable is a dot. */
static void print_text(const uint8_t *p, size_t n)
{
	fputc('\'', out);
	for (size_t i = 0; i < n; i++)
		fputc(p[i] >= ' ' && p[i] < 127 ? p[i] : '.', out);
	fputc('\'', out);
}

static void print_session(const struct weft_session *s)
{
	static const char *const what[] = { "?", "op", "out", "in" };

	fprintf(out, "SESSION c%zu p%zu %s", conn__find(s->h.conn) - conns + 1,
		pid__number(s->h.pid), what[s->what & 3]);
	if (s->what == WEFT_SESSION_OP)
		fprintf(out, "%s%s", s->begin ? " begin" : "", s->sock ? " sock" : "");
	else
		fprintf(out, " len=%u n=%u:%08x", s->len, s->n, hash(s->bytes, s->n));
	fprintf(out, "\n");
}

static void print_call(const struct weft_call *c)
{
	fprintf(out, "CALL p%zu fn=%u ret=%d count=%llu value=%d made=%d text=%u ",
		pid__number(c->h.pid), c->fn, (int)c->ret, (unsigned long long)c->count,
		(int)c->value, c->made != 0, c->text_len);
	print_text(c->bytes, c->text);
	if (c->text2)
		print_text(c->bytes + c->text, c->text2);
	fprintf(out, "\n");
}

static void print_open(const struct weft_open *o)
{
	char a[64], b[64], path[2 * WEFT_PATH_LEN] = "";
	struct conn *c = conn__find(o->h.conn);

	c->sock = o->sock;
	c->unix_socket = o->local.family == 1;
	for (int i = 0; i < o->path_len; i++)
		strcat(path, o->path[i] ? (char[]){ o->path[i], 0 } : "@");
	fprintf(out, "OPEN%s c%zu p%zu %s>%s role=%s%s%s start=%d netns=%d peer=%d path=%s\n",
		o->h.flags & WEFT_F_TLS ? " tls" : "", c - conns + 1, pid__number(o->h.pid),
		addr(&o->local, a), addr(&o->remote, b),
		o->role == 1   ? "client"
		: o->role == 2 ? "server"
			       : "unknown",
		o->h.flags & WEFT_F_PREOPEN ? " preopen" : "", o->unaligned ? " unaligned" : "",
		o->start_ts != 0, o->netns != 0, o->peer_sock != 0, path);
	if (getenv("EVDUMP_VERBOSE"))
		fprintf(out, "   fd=%d ports %u %u\n", (int)o->fd, o->local.port, o->remote.port);
}

static void keep(struct shown *s, uint32_t at, const uint8_t *p, uint32_t n)
{
	for (uint32_t i = 0; i < n && at + i < SHOWN_MAX; i++) {
		s->bytes[at + i] = p[i];
		s->here[at + i] = true;
	}
}

static void print_parts(const struct weft_data *d, struct shown *s, uint32_t at)
{
	const uint8_t *p = d->bytes + d->head;
	const uint8_t *end = (const uint8_t *)d + d->h.size;
	struct weft_part part;

	while (d->h.flags & WEFT_F_PARTS && end - p >= (long)sizeof(part)) {
		memcpy(&part, p, sizeof(part));
		p += sizeof(part);
		fprintf(out, " %u+%u:%08x", part.off, part.len, hash(p, part.len));
		if (s)
			keep(s, at + part.off, p, part.len);
		p += part.len;
	}
}

/* The bytes of a connection that begins as HTTP/2 does, from its first call on. */
static void print_shown(struct conn *c, const struct weft_data *d)
{
	uint32_t at = d->off - c->first[d->dir];
	struct shown *s = c->shown[d->dir];

	if (!s && !at && d->head >= 4 && !memcmp(d->bytes, "PRI ", 4))
		s = c->shown[d->dir] = calloc(1, sizeof(*s));
	if (s) {
		keep(s, at, d->bytes, d->head);
		s->n = at + d->len;
	}
	print_parts(d, s, at);
}

static bool all_here(const struct shown *s, uint32_t at, uint32_t n)
{
	for (uint32_t i = at; i < at + n; i++)
		if (i >= s->n || i >= SHOWN_MAX || !s->here[i])
			return false;
	return true;
}

static void print_frames(const struct shown *s, size_t number, int dir)
{
	uint32_t at = 24, frames = 0, bytes = 0;

	for (; at < s->n; frames++) {
		const uint8_t *p = s->bytes + at;
		uint32_t len = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];

		if (!all_here(s, at, 9))
			break;
		/* of types that are not known nothing is wanted either */
		if (p[3] && p[3] < 10 && !all_here(s, at + 9, len))
			break;
		at += 9 + len;
	}
	for (uint32_t i = 0; i < s->n && i < SHOWN_MAX; i++)
		bytes += s->here[i];
	fprintf(out, "FRAMES c%zu %s: %u, %u of %u bytes\n", number, dir ? "in" : "out", frames,
		bytes, s->n);
	if (at != s->n)
		fprintf(out, "FRAME NOT SEEN at %u\n", at);
	if (bytes > s->n / 2)
		fprintf(out, "FRAME PAYLOADS ALL SEEN: they were not followed\n");
}

static void print_data(const struct weft_data *d)
{
	static const char *const kinds[] = { [WEFT_EV_DATA] = "DATA",
					     [WEFT_EV_EOF] = "EOF",
					     [WEFT_EV_SHUT] = "SHUT",
					     [WEFT_EV_CLOSE] = "CLOSE" };
	struct conn *c = conn__find(d->h.conn);

	if (d->h.kind == WEFT_EV_CLOSE && c->unix_socket) {
		c->closed = true;
		return;
	}
	if (!c->known[d->dir] && !c->unix_socket) {
		c->first[d->dir] = d->off;
		c->known[d->dir] = true;
	}
	if (d->h.kind == WEFT_EV_DATA) {
		if (c->any[d->dir] && c->next[d->dir] != d->off)
			fprintf(out, "GAP of %d before this: ", (int)(d->off - c->next[d->dir]));
		c->any[d->dir] = true;
		c->next[d->dir] = d->off + d->len;
	}
	fprintf(out, "%s c%zu p%zu %s", kinds[d->h.kind], c - conns + 1,
		d->h.kind == WEFT_EV_CLOSE ? 0 : pid__number(d->h.pid), d->dir ? "in" : "out");
	if (d->h.kind == WEFT_EV_DATA)
		fprintf(out, " off=%u len=%u head=%u:%08x tail=%u:%08x%s%s%s",
			d->off - c->first[d->dir], d->len, d->head, hash(d->bytes, d->head),
			d->tail, hash(d->bytes + d->head, d->tail),
			d->h.flags & WEFT_F_UNREADABLE ? " unreadable" : "",
			d->h.flags & WEFT_F_SPLICE ? " splice" : "",
			d->h.flags & WEFT_F_POLICY ? " policy" : "");
	if (d->h.kind == WEFT_EV_DATA)
		print_shown(c, d);
	else if (d->h.kind != WEFT_EV_CLOSE)
		fprintf(out, " off=%u", d->off - c->first[d->dir]);
	fprintf(out, "\n");
	for (uint32_t i = sizeof(*d) + d->head + d->tail;
	     i < d->h.size && !(d->h.flags & WEFT_F_PARTS); i++)
		if (((const uint8_t *)d)[i])
			fprintf(out, "PADDING NOT ZERO\n");
}

/* What a process has mapped is probed, its sessions' ciphertext too. */
static void probe(const struct weft_event *ev)
{
	const struct weft_proc *p = (const void *)ev;

	if (ev->kind == WEFT_EV_EXEC || ev->kind == WEFT_EV_MAP)
		probes__mapped(probes, ev->pid, ev->ts, ev->kind == WEFT_EV_EXEC);
	else if (ev->kind == WEFT_EV_FORK)
		probes__fork(probes, p->ppid, ev->pid);
	else if (ev->kind == WEFT_EV_EXIT)
		probes__exit(probes, ev->pid);
	else if (ev->kind == WEFT_EV_OPEN && ev->flags & WEFT_F_TLS)
		probes__want_cipher(probes, ev->pid, true);
}

static void print(void *ctx, const struct weft_event *ev)
{
	static const char *const kinds[WEFT_EV_KERNEL_MAX] = {
		[WEFT_EV_FORK] = "FORK",     [WEFT_EV_EXEC] = "EXEC",       [WEFT_EV_EXIT] = "EXIT",
		[WEFT_EV_SELECT] = "SELECT", [WEFT_EV_IOURING] = "IOURING", [WEFT_EV_MAP] = "MAP",
	};
	const struct weft_proc *p = (const void *)ev;

	(void)ctx;
	/* made or not, sooner or later, as two CPUs happen to run */
	if (ev->kind == WEFT_EV_WRITTEN || ev->kind == WEFT_EV_THREAD)
		return;
	if (probes)
		probe(ev);
	if (getenv("EVDUMP_VERBOSE"))
		fprintf(out, "[%llu cpu%u %u/%u] ", (unsigned long long)ev->ts, ev->cpu, ev->pid,
			ev->tid);
	if (ev->kind == WEFT_EV_OPEN)
		print_open((const void *)ev);
	else if (ev->kind == WEFT_EV_CONNECT)
		fprintf(out, "CONNECT p%zu\n", pid__number(ev->pid));
	else if (ev->kind < WEFT_EV_FORK)
		print_data((const void *)ev);
	else if (ev->kind == WEFT_EV_SESSION)
		print_session((const void *)ev);
	else if (ev->kind == WEFT_EV_CALL)
		print_call((const void *)ev);
	else if (!kinds[ev->kind])
		fprintf(out, "KIND %u p%zu\n", ev->kind, pid__number(ev->pid));
	else
		fprintf(out, "%s p%zu parent=p%zu comm=%.16s\n", kinds[ev->kind],
			pid__number(p->h.pid),
			p->ppid == (uint32_t)getpid() ? 0 : pid__number(p->ppid), p->comm);
}

static void print_stats(const struct kernel *k, const struct source *s)
{
	struct kernel_stats st;

	if (kernel__stats(k, &st))
		return;
	fprintf(out, "# backend %s received %llu malformed %llu\n",
		kernel__backend_name(kernel__backend(k)), (unsigned long long)s->received,
		(unsigned long long)s->malformed);
	fprintf(out, "# made");
	for (int i = 1; i < WEFT_EV_KERNEL_MAX; i++)
		fprintf(out, " %llu", (unsigned long long)st.made[i]);
	fprintf(out, "\n# drops");
	for (int i = 0; i < WEFT_DROP_MAX; i++)
		fprintf(out, " %llu", (unsigned long long)st.drops[i]);
	fprintf(out, "\n# recursion misses %llu run_ns %llu\n",
		(unsigned long long)st.recursion_misses, (unsigned long long)st.run_ns);
	for (size_t i = 0; i < st.n_progs; i++)
		if (st.progs[i].run_count)
			fprintf(out, "#   %-28s %8llu runs %6llu ns each\n", st.progs[i].name,
				(unsigned long long)st.progs[i].run_count,
				(unsigned long long)(st.progs[i].run_ns / st.progs[i].run_count));
}

static int print_features(void)
{
	static struct kernel_feature rows[64];
	size_t n = kernel__features(rows, 64);

	for (size_t i = 0; i < n; i++)
		printf("%-26s %-3s %s%s%s\n", rows[i].name, rows[i].present ? "yes" : "no",
		       rows[i].detail, rows[i].instead ? "; weft: " : "",
		       rows[i].instead ? rows[i].instead : "");
	return 0;
}

static double ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

/*
 * The command waits for a byte before it runs, so that it is selected from its first system call
 * on.
 */
static pid_t start(char **argv, int *go)
{
	int fds[2];
	pid_t pid;
	char c;

	if (pipe(fds))
		abort();
	pid = fork();
	if (!pid) {
		close(fds[1]);
		if (read(fds[0], &c, 1) != 1)
			_exit(127);
		close(fds[0]);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(fds[0]);
	*go = fds[1];
	return pid;
}

int main(int argc, char **argv)
{
	struct kernel_config cfg = { .ring_bytes = 16 << 20,
				     .max_conns = 4096,
				     .initial = { .call_cap = { 4096, 4096 },
						  .turn_cap = { 1 << 20, 1 << 20 },
						  .tail = { 16, 16 },
						  .frames = WEFT_FRAMES_IF_BEGUN } };
	bool stats = false, late = false, probing = false;
	struct source *src;
	struct kernel *k;
	char why[300] = "";
	int c, status, go, err;
	double t;
	pid_t pid;

	out = stdout;
	while ((c = getopt(argc, argv, "+b:c:t:T:r:o:m:svFlp")) != -1) {
		if (c == 'b')
			cfg.backend = kernel__backend_parse(optarg);
		else if (c == 'c')
			cfg.initial.call_cap[0] = cfg.initial.call_cap[1] = atoi(optarg);
		else if (c == 't')
			cfg.initial.turn_cap[0] = cfg.initial.turn_cap[1] = atoi(optarg);
		else if (c == 'T')
			cfg.initial.tail[0] = cfg.initial.tail[1] = atoi(optarg);
		else if (c == 'r')
			cfg.ring_bytes = atol(optarg);
		else if (c == 'm')
			cfg.max_conns = atoi(optarg);
		else if (c == 'o')
			out = fopen(optarg, "w");
		else if (c == 's')
			stats = cfg.stats = true;
		else if (c == 'v')
			cfg.verbose = true;
		else if (c == 'l')
			late = true; /* let the command run before it is selected */
		else if (c == 'p')
			probing = true;
		else if (c == 'F')
			return print_features();
		else
			return 1;
	}
	if (!out || !argv[optind])
		return 1;
	pid = start(argv + optind, &go);
	if (late) {
		if (write(go, "", 1) != 1)
			return 1;
		usleep(500000);
	}
	t = ms();
	err = kernel__open(&cfg, &k, why, sizeof(why));
	if (err) {
		fprintf(stderr, "evdump: %s (%d)\n", why, err);
		kill(pid, SIGKILL);
		return 2;
	}
	if (stats)
		fprintf(out, "# open took %.0f ms\n", ms() - t);
	src = source__ring(kernel__ring_fd(k), why, sizeof(why));
	if (!src || kernel__select_pid(k, pid)) {
		fprintf(stderr, "evdump: %s %m\n", why);
		return 2;
	}
	if (probing) {
		probes = probes__new(k, probe_table__all());
		probes__look(probes, pid);
	}
	if (!late && write(go, "", 1) != 1)
		return 1;
	while (waitpid(pid, &status, WNOHANG) == 0) {
		source__poll(src, print, NULL, 1000);
		if (probes)
			probes__settle(probes);
		usleep(5000);
	}
	usleep(100000);
	kernel__tick(k);
	while (source__poll(src, print, NULL, 1000) > 0)
		;
	for (size_t i = 0; i < n_conns; i++)
		if (conns[i].closed)
			fprintf(out, "CLOSE c%zu\n", i + 1);
	for (size_t i = 0; i < n_conns; i++)
		for (int dir = 0; dir < 2; dir++)
			if (conns[i].shown[dir])
				print_frames(conns[i].shown[dir], i + 1, dir);
	if (stats)
		print_stats(k, src);
	source__close(src);
	t = ms();
	probes__free(probes);
	kernel__close(k);
	if (stats)
		fprintf(out, "# close took %.0f ms\n", ms() - t);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
