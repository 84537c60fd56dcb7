// SPDX-License-Identifier: GPL-2.0-or-later
#include "pace.h"

#include <stdbool.h>

#define STARTING_MS 1
#define BUSY_MS 5
/* A ring of 8 MiB, the usual, holds what 100,000 requests a second make in that time. */
#define CALM_MS 50
#define USUAL (4 * 1024 * 1024) /* or larger */
#define SMALLER_MS 20
#define SMALL (1024 * 1024) /* less than that */
#define IDLE_POLLS 100
#define STARTING_NS (50ull * 1000 * 1000) /* a program loads its libraries about so long */
#define CALM_NS (3000ull * 1000 * 1000)
#define ANSWER_NS                                                                                  \
	(500ull * 1000 * 1000) /* what a new connection is, and carries, shows in that time */
/* Of the ring, in one poll: more than the first is too much, less than the second little. */
#define MUCH(ring) ((ring) / 32)
#define LITTLE(ring) ((ring) / 128)

void pace__init(struct pace *p, size_t ring_bytes, uint64_t now)
{
	*p = (struct pace){ .ring_bytes = ring_bytes, .processes = now, .ms = BUSY_MS };
}

void pace__event(struct pace *p, const struct weft_event *ev)
{
	switch (ev->kind) {
	/* what comes all the time while the same processes serve over the same connections */
	case WEFT_EV_DATA:
	case WEFT_EV_CALL:
	case WEFT_EV_UNIT:
	case WEFT_EV_WRITTEN:
	case WEFT_EV_CONTEXT:
	case WEFT_EV_THREAD:
	/* ends: nobody waits for an answer */
	case WEFT_EV_EOF:
	case WEFT_EV_SHUT:
	case WEFT_EV_CLOSE: return;
	case WEFT_EV_OPEN:
	case WEFT_EV_CONNECT:
	case WEFT_EV_SESSION: p->conns = ev->ts; return;
	case WEFT_EV_EXEC: p->program = ev->ts; break;
	}
	p->processes = ev->ts;
}

/* The longest pause that keeps nobody waiting, and lets no sudden load fill the ring. */
static unsigned longest(const struct pace *p, uint64_t now)
{
	bool idle = p->idle_polls > IDLE_POLLS;

	if (now < p->processes + CALM_NS || (p->conns && now < p->conns + ANSWER_NS) ||
	    (p->ring_bytes < SMALL && !idle))
		return BUSY_MS;
	return p->ring_bytes >= USUAL || idle ? CALM_MS : SMALLER_MS;
}

unsigned pace__pause(struct pace *p, size_t bytes, uint64_t now)
{
	unsigned most;

	p->idle_polls = bytes ? 0 : p->idle_polls + 1;
	most = longest(p, now);
	if (p->program && now < p->program + STARTING_NS)
		return STARTING_MS;
	if (bytes > MUCH(p->ring_bytes))
		p->ms /= 2;
	else if (bytes < LITTLE(p->ring_bytes))
		p->ms *= 2;
	if (p->ms > most)
		p->ms = most;
	if (p->ms < BUSY_MS)
		p->ms = BUSY_MS;
	return p->ms;
}
