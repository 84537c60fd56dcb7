/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WEFT_CLOCK_H
#define WEFT_CLOCK_H

#include <stdint.h>

/* CLOCK_BOOTTIME now, ns: the clock of the events. */
uint64_t clock__boottime(void);
/*
 * What to add to it to get Unix time, ns. Measured so that being interrupted between the two
 * readings does no harm.
 */
int64_t clock__realtime_minus_boottime(void);
/* CPU time that this thread has had, ns. */
uint64_t clock__thread_cpu(void);
/* CLOCK_MONOTONIC now, ns: the clock of time limits. */
int64_t clock__monotonic(void);
/* Sleep; returns early on a signal. */
void clock__sleep_ms(unsigned ms);

#endif
