// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The live run: select, attach, read the ring, describe processes as they are first seen, write
 * policies back, record, end.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/clock.h"
#include "../lib/log.h"
#include "../lib/resident.h"
#include "../source/source.h"
#include "live_processes.h"
#include "pace.h"
#include "pipeline.h"
#include "run.h"

#define READ_MAX 8192 /* records a poll */
#define SLEEP_MS 5    /* more is waited for in poll() */
#define TICK_NS (20ull * 1000 * 1000)
#define SECOND_NS 1000000000ull
#define STARTED_S 1
#define EXPORTED_S 10
#define DRAIN_MS 2000 /* for what is left in the ring at the end */
#define CLOSING_NS (50ull * 1000 * 1000)
#define CLOCK_STEP_NS 1000000 /* a smaller change of the real time is not worth a record */

/*
 * A second signal ends weft at once: there may be a reader of stdout that never reads again. But
 * timeout(1) and the like send it to the process and to its group, which is twice.
 */
#define SAME_SIGNAL_NS (500ull * 1000 * 1000)

/* What was answered before weft was told to end may still be on its way back from the kernel. */
#define LAST_NS (20ull * 1000 * 1000)

static volatile sig_atomic_t stopped;
static uint64_t stopped_at; /* CLOCK_BOOTTIME ns */

static void on_signal(int sig)
{
	if (!stopped) {
		stopped_at = clock__boottime();
		stopped = 1;
	} else if (clock__boottime() - stopped_at > SAME_SIGNAL_NS) {
		signal(sig, SIG_DFL);
		raise(sig);
	}
}

struct live {
	const struct options *o;
	struct kernel *kernel;
	struct probes *probes;
	struct node_helpers *helpers; /* NULL: not asked for */
	bool said;                    /* that it traces */
	unsigned seconds;             /* since start; not counted further than is of interest */
	struct pace pace;
	struct source *ring;
	struct pipeline *pipeline;
	struct recorder *recorder;
	bool record_failed;
	struct live_processes *processes;
	const struct weft_event *event; /* the pipeline is at it */
	uint32_t read_tid, read_len;    /* the last read from a socket */
	struct weft_policy_entry policies[WEFT_POLICY_BATCH];
	size_t n_policies;
	int64_t clock;
	uint64_t ticked, second;
	uint64_t gone_since; /* when the last traced process had ended; 0 there are some */
	uint64_t ended;      /* when the run was over */
};

static void flush_policies(struct live *l)
{
	if (l->n_policies)
		(void)kernel__set_policies(l->kernel, l->policies, l->n_policies);
	l->n_policies = 0;
}

static void want_cipher(void *ctx, uint32_t pid, bool want)
{
	struct live *l = ctx;

	/* That none looks for its carrier now says nothing about the next one. */
	if (want)
		probes__want_cipher(l->probes, (pid_t)pid, true);
}

static void want_fields(void *ctx, uint32_t pid, bool want)
{
	probes__want_fields(((struct live *)ctx)->probes, (pid_t)pid, want);
}

/* Linked by a socket call inside the library, or by the socket that it names itself? */
static bool linked_by_op(const struct live *l, const struct conn *c, const struct weft_policy *p)
{
	const struct weft_session *s = (const struct weft_session *)l->event;

	return p->linked && c->open.h.flags & WEFT_F_TLS && s && s->h.kind == WEFT_EV_SESSION &&
	       s->what == WEFT_SESSION_OP;
}

static void policy(void *ctx, const struct conn *c, const struct weft_policy *policy)
{
	struct live *l = ctx;

	if (linked_by_op(l, c, policy))
		probes__want_cipher(l->probes, (pid_t)c->open.h.pid, false);
	if (l->n_policies == WEFT_POLICY_BATCH)
		flush_policies(l);
	l->policies[l->n_policies++] = (struct weft_policy_entry){ .sock = c->open.sock,
								   .conn = c->id,
								   .policy = *policy };
}

static void forget(void *ctx, uint64_t sock, uint64_t conn)
{
	struct live *l = ctx;

	(void)kernel__forget_conn(l->kernel, sock, conn);
}

/*
 * What a session takes in is what the thread has just read from a socket, as much and no more: its
 * library reads the socket by itself, and the ciphertext inside says nothing that the socket does
 * not.
 */
static void learn_cipher(struct live *l, const struct weft_event *ev)
{
	const struct weft_session *s = (const struct weft_session *)ev;
	const struct weft_data *d = (const struct weft_data *)ev;

	if (ev->kind == WEFT_EV_DATA && d->dir == WEFT_IN) {
		l->read_tid = ev->tid;
		l->read_len = d->len;
	} else if (ev->kind == WEFT_EV_SESSION && s->what == WEFT_SESSION_IN &&
		   ev->tid == l->read_tid && s->len == l->read_len) {
		probes__want_cipher(l->probes, (pid_t)ev->pid, false);
	}
}

/* Into the recording and the pipeline. */
static void pass(void *ctx, const struct weft_event *ev)
{
	struct live *l = ctx;

	if (l->recorder && !l->record_failed && recorder__write(l->recorder, ev) < 0)
		l->record_failed = true;
	pipeline__event(l->pipeline, ev);
}

static void on_event(void *ctx, const struct weft_event *ev)
{
	struct live *l = ctx;

	pace__event(&l->pace, ev);
	live_processes__before(l->processes, ev);
	learn_cipher(l, ev);
	l->event = ev;
	pass(l, ev);
	l->event = NULL;
	live_processes__after(l->processes, ev);
}

static void refresh_clock(struct live *l)
{
	int64_t clock = clock__realtime_minus_boottime();
	int64_t step = clock - l->clock;

	if (l->clock && step < CLOCK_STEP_NS && step > -CLOCK_STEP_NS)
		return;
	l->clock = clock;
	struct record_clock r = {
		.h = { .size = sizeof(r), .kind = RECORD_CLOCK, .ts = clock__boottime() },
		.realtime_minus_boottime = clock,
	};

	pass(l, &r.h);
}

static void record_stats(struct live *l)
{
	struct kernel_stats *s = l->recorder ? calloc(1, sizeof(*s)) : NULL;
	struct record_stats r = {
		.h = { .size = sizeof(r), .kind = RECORD_STATS, .ts = clock__boottime() }
	};

	if (s && kernel__stats(l->kernel, s) == 0) {
		memcpy(r.drops, s->drops, sizeof(r.drops));
		r.recursion_misses = s->recursion_misses;
		pass(l, &r.h);
	}
	free(s);
}

/*
 * Once a second; `rests`: work on libraries is over. Starting has used much that is not needed any
 * more, and so have the first exports, when libcurl's calls found their functions.
 */
static void give_back(struct live *l, bool rests)
{
	bool started = l->seconds == STARTED_S || l->seconds == EXPORTED_S;

	if (l->seconds <= EXPORTED_S)
		l->seconds++;
	if (rests || started)
		resident__give_back();
}

/* False: the run shall end. */
static bool tick(struct live *l, uint64_t now)
{
	if (now < l->ticked + TICK_NS)
		return true;
	l->ticked = now;
	if (now >= l->second + SECOND_NS) {
		l->second = now;
		refresh_clock(l);
		record_stats(l);
		(void)kernel__tick(l->kernel);
		give_back(l, probes__tick(l->probes, now));
	}
	return pipeline__tick(l->pipeline, now);
}

/* How long to sleep after a poll that gave n records. */
static unsigned pause_ms(struct live *l, int n, uint64_t now)
{
	if (n >= READ_MAX)
		return 0;
	return stopped ? 1 : pace__pause(&l->pace, l->ring->bytes, now);
}

/*
 * The kernel side wakes nobody for data, so that a poll is a sleep. It does so for a program that
 * begins to run: its libraries shall be watched before it uses them.
 */
static void pause_for(const struct live *l, unsigned ms)
{
	struct pollfd ring = { .fd = kernel__ring_fd(l->kernel), .events = POLLIN };

	if (ms > SLEEP_MS)
		(void)poll(&ring, 1, (int)ms);
	else if (ms)
		clock__sleep_ms(ms);
}

/* The kernel closes a process's sockets after it has said that the process ended. */
static bool all_gone(struct live *l, uint64_t now)
{
	if (!live_processes__none_left(l->processes))
		l->gone_since = 0;
	else if (!l->gone_since)
		l->gone_since = now;
	return l->gone_since && now - l->gone_since >= CLOSING_NS;
}

/* Helpers first, where they were asked for: from this line on all is as it will be. */
static void say_tracing(struct live *l, uint64_t now)
{
	if (l->helpers)
		node_helpers__tick(l->helpers, now);
	if (l->said || (l->helpers && node_helpers__busy(l->helpers)))
		return;
	l->said = true;
	log_info("tracing %zu process%s (%s back end); Ctrl-C ends",
		 live_processes__count(l->processes),
		 live_processes__count(l->processes) == 1 ? "" : "es",
		 kernel__backend_name(kernel__backend(l->kernel)));
}

static bool told_to_end(void)
{
	return stopped && clock__boottime() - stopped_at >= LAST_NS;
}

static void loop(struct live *l)
{
	uint64_t began = clock__boottime();

	pace__init(&l->pace, l->o->ring_bytes, began);
	while (!told_to_end()) {
		int n = source__poll(l->ring, on_event, l, READ_MAX);
		uint64_t now = clock__boottime();

		probes__settle(l->probes);
		flush_policies(l);
		say_tracing(l, now);
		if (n < 0) {
			log_error("%s", l->ring->error);
			return;
		}
		if (!tick(l, now))
			return;
		if (l->o->duration_ns && now - began >= l->o->duration_ns)
			return;
		if (all_gone(l, now)) {
			log_info("the last traced process ended");
			return;
		}
		pause_for(l, pause_ms(l, n, now));
	}
}

/*
 * Probes are taken away one after the other, which takes a while: what some still see, and others
 * do no more, would make calls without their requests.
 */
static void on_last_event(void *ctx, const struct weft_event *ev)
{
	struct live *l = ctx;

	if (ev->ts <= l->ended)
		on_event(l, ev);
	else
		pipeline__after_end(l->pipeline);
}

/* Nothing new is made from here on; what is in the ring is read. */
static void drain(struct live *l)
{
	uint64_t until = clock__boottime() + (uint64_t)DRAIN_MS * 1000000;

	kernel__detach(l->kernel);
	while (source__poll(l->ring, on_last_event, l, READ_MAX) > 0 && clock__boottime() < until)
		;
}

/* For -v: on which CPUs events were lost. */
static void print_drops_per_cpu(const struct live *l, const struct kernel_stats *s)
{
	uint64_t each[1024];

	for (int why = 0; why < WEFT_DROP_MAX; why++) {
		int n = s->drops[why] ? kernel__drops_per_cpu(l->kernel, why, each, 1024) : 0;

		for (int cpu = 0; cpu < n && cpu < 1024; cpu++)
			if (each[cpu])
				log_debug("  CPU %d dropped %llu (reason %d)", cpu,
					  (unsigned long long)each[cpu], why);
	}
}

static void print_kernel_time(const struct kernel_stats *s)
{
	if (!s->run_ns_known)
		return;
	uint64_t runs = 0;

	for (size_t i = 0; i < s->n_progs; i++)
		runs += s->progs[i].run_count;
	log_info("kernel time in our programs: %.1f ms in %llu runs", (double)s->run_ns / 1e6,
		 (unsigned long long)runs);
	for (size_t i = 0; i < s->n_progs; i++)
		if (s->progs[i].run_count)
			log_debug("  %-24s %10llu runs %8.0f ns each", s->progs[i].name,
				  (unsigned long long)s->progs[i].run_count,
				  (double)s->progs[i].run_ns / (double)s->progs[i].run_count);
}

static void print_refused(const struct kernel_stats *s)
{
	for (size_t i = 0; i < s->n_progs; i++)
		if (s->progs[i].recursion_misses)
			log_info("  refused by the kernel: %llu runs of %s",
				 (unsigned long long)s->progs[i].recursion_misses,
				 s->progs[i].name);
}

static int finish(struct live *l)
{
	struct outcome out;
	struct kernel_stats *s = calloc(1, sizeof(*s));
	uint64_t made = 0;

	l->ended = clock__boottime();
	node_helpers__free(l->helpers);
	l->helpers = NULL;
	drain(l);
	record_stats(l);
	uint64_t received = l->ring->received;

	pipeline__finish(l->pipeline, &out);
	l->pipeline = NULL;
	if (s && kernel__stats(l->kernel, s) == 0) {
		for (int i = 0; i < WEFT_EV_KERNEL_MAX; i++)
			made += s->made[i];
		memcpy(out.kernel_drops, s->drops, sizeof(out.kernel_drops));
		out.recursion_misses = s->recursion_misses;
		out.not_read = made > received ? made - received : 0;
	}
	int status = summary__print(&out);

	if (s) {
		print_drops_per_cpu(l, s);
		print_refused(s);
		print_kernel_time(s);
	}
	free(s);
	int err = l->recorder ? recorder__close(l->recorder) : 0;

	l->recorder = NULL;
	if (err < 0 || l->record_failed) {
		log_error("the recording %s is not whole: %s", l->o->record_path,
			  strerror(err < 0 ? -err : EIO));
		status = EXIT_LOST;
	}
	return status;
}

static bool open_probes(struct live *l, char *why, size_t why_len)
{
	bool possible = kernel__uprobes_way(l->kernel) != KERNEL_UPROBES_OFF;

	if (l->o->libraries && !possible)
		log_warn(
			"this kernel allows no uprobes: TLS and calls of client libraries are not seen (weft doctor says why)");
	l->probes = probes__new(l->kernel, possible ? l->o->libraries : 0);
	if (!l->probes)
		snprintf(why, why_len, "out of memory");
	return l->probes != NULL;
}

static int start(struct live *l, char *why, size_t why_len)
{
	const struct options *o = l->o;
	struct kernel_config cfg = {
		.backend = o->backend,
		.ring_bytes = o->ring_bytes,
		.max_conns = o->max_conns,
		.initial = conns__initial_policy,
		.verbose = o->verbose > 1,
		/* the kernel takes the time of each run then, which costs a tenth of it and more */
		.stats = o->verbose > 1,
		.uprobes = o->libraries ? KERNEL_UPROBES_AUTO : KERNEL_UPROBES_OFF,
		.propagate_tcp = o->propagate_tcp,
		.node_helper = o->node_helper,
	};
	struct pipeline_hooks hooks = { .ctx = l,
					.policy = policy,
					.forget = forget,
					.want_cipher = want_cipher,
					.want_fields = want_fields };
	int status;

	l->processes = live_processes__new(o, pass, l);
	if (!l->processes) {
		snprintf(why, why_len, "out of memory");
		return EXIT_IMPOSSIBLE;
	}
	status = live_processes__find(l->processes, why, why_len);
	if (status != EXIT_DONE)
		return status;
	cfg.watch_exec = live_processes__watches_exec(l->processes);
	l->pipeline = pipeline__new(o, &hooks, &status, why, why_len);
	if (!l->pipeline)
		return status;
	if (kernel__open(&cfg, &l->kernel, why, why_len) < 0)
		return EXIT_IMPOSSIBLE;
	if (!open_probes(l, why, why_len))
		return EXIT_IMPOSSIBLE;
	snprintf(why, why_len, "out of memory");
	if (o->node_helper && !(l->helpers = node_helpers__new(l->kernel, why, why_len)))
		return EXIT_IMPOSSIBLE;
	l->ring = source__ring(kernel__ring_fd(l->kernel), why, why_len);
	if (!l->ring)
		return EXIT_IMPOSSIBLE;
	if (o->record_path && !(l->recorder = recorder__open(o->record_path, why, why_len)))
		return EXIT_IMPOSSIBLE;
	refresh_clock(l);
	return live_processes__select(l->processes, l->kernel, l->probes, l->helpers, why, why_len);
}

/* SA_RESTART: a view that waits for a slow reader of stdout finishes its line. */
static void catch_signals(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	/* one handler at a time */
	sigaddset(&sa.sa_mask, SIGINT);
	sigaddset(&sa.sa_mask, SIGTERM);
	sigaddset(&sa.sa_mask, SIGHUP);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int live__run(const struct options *o)
{
	struct live l = { .o = o };
	char why[512] = "";

	catch_signals();
	int status = start(&l, why, sizeof(why));

	if (status != EXIT_DONE) {
		struct outcome out;

		log_error("%s", why);
		if (l.pipeline)
			pipeline__finish(l.pipeline, &out);
		if (l.recorder)
			(void)recorder__close(l.recorder);
	} else {
		say_tracing(&l, clock__boottime());
		if (o->propagate_tcp)
			log_info(
				"propagating: new connections of traced processes carry trace context in a TCP option until weft ends (--propagate=tcp)");
		loop(&l);
		status = finish(&l);
	}
	node_helpers__free(l.helpers);
	live_processes__free(l.processes);
	source__close(l.ring);
	probes__free(l.probes);
	kernel__close(l.kernel);
	return status;
}
