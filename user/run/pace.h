/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How long the ring's reader sleeps between two polls. What is new is answered soon (policies,
 * probes); where nothing is, a few records at a time would cost more for waking up, with cold
 * caches, than for themselves, so they wait for company, as long as the ring stays nearly empty.
 */
#ifndef WEFT_PACE_H
#define WEFT_PACE_H

#include <stddef.h>
#include <stdint.h>

#include "../../bpf/event.h"

struct pace {
	size_t ring_bytes;
	uint64_t program;        /* when a traced process last began to run one */
	uint64_t processes;      /* when one last came, changed or went */
	uint64_t conns;          /* when a connection, or what it carries, last came */
	unsigned ms, idle_polls; /* the last pause; how many polls gave nothing */
};

/* All times: CLOCK_BOOTTIME, ns. */
void pace__init(struct pace *p, size_t ring_bytes, uint64_t now);
void pace__event(struct pace *p, const struct weft_event *ev);
/* How many ms to sleep after a poll that gave so many bytes of the ring; never 0. */
unsigned pace__pause(struct pace *p, size_t bytes, uint64_t now);

#endif
