// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From a recorded file or a packet capture: no root, no eBPF, the same pipeline. Time is the
 * file's.
 */
#include <errno.h>
#include <signal.h>

#include "../lib/log.h"
#include "../source/source.h"
#include "pipeline.h"
#include "run.h"

#define TICK_NS (50ull * 1000 * 1000)
#define CHUNK 256

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	(void)sig;
	stopped = 1;
}

struct replay {
	struct pipeline *pipeline;
	uint64_t now, ticked;
	bool enough;
};

static void on_event(void *ctx, const struct weft_event *ev)
{
	struct replay *r = ctx;

	pipeline__event(r->pipeline, ev);
	if (ev->kind < WEFT_EV_USER && ev->ts > r->now)
		r->now = ev->ts;
	if (r->now < r->ticked + TICK_NS)
		return;
	r->ticked = r->now;
	if (!pipeline__tick(r->pipeline, r->now))
		r->enough = true;
}

int replay__run(const struct options *o)
{
	char why[256];
	int status;
	struct replay r = { 0 };
	struct source *s = source__file(o->replay_path, why, sizeof(why));

	if (!s) {
		log_error("%s", why);
		return EXIT_IMPOSSIBLE;
	}
	r.pipeline = pipeline__new(o, NULL, &status, why, sizeof(why));
	if (!r.pipeline) {
		log_error("%s", why);
		source__close(s);
		return status;
	}
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	signal(SIGPIPE, SIG_IGN);

	int n = 0;

	while (!stopped && !r.enough && n >= 0)
		n = source__poll(s, on_event, &r, CHUNK);

	struct outcome out;
	bool damaged = s->error[0];

	if (damaged)
		log_error("%s", s->error);
	for (int i = 0; i < CAPTURE_SKIPS; i++)
		if (s->skipped[i])
			log_info("%llu of %llu packets left out: %s",
				 (unsigned long long)s->skipped[i], (unsigned long long)s->packets,
				 capture__skip_reason(i));
	if (s->malformed)
		log_warn("%llu malformed records were left out", (unsigned long long)s->malformed);
	damaged |= s->malformed || (n < 0 && n != -ENODATA);
	source__close(s);
	pipeline__finish(r.pipeline, &out);
	status = summary__print(&out);
	return damaged && status == EXIT_DONE ? EXIT_LOST : status;
}
