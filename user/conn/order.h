/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conn/: a process's events in the order in which things happened, before anything is made of them.
 *
 * In:  every event of the kernel side, in the order of the source.
 * Out: the same, to `pass`, but for WRITTEN.
 * Owner: events are copied where they wait.
 */
#ifndef WEFT_ORDER_H
#define WEFT_ORDER_H

#include "conn.h"

struct order;

/* NULL: out of memory. `conns` says what was told of; `pass` may use it. */
struct order *order__new(struct conns *conns, void (*pass)(void *ctx, const struct weft_event *ev),
			 void *ctx);
void order__event(struct order *o, const struct weft_event *ev);
/* `now`: CLOCK_BOOTTIME ns, or the file's time. */
void order__tick(struct order *o, uint64_t now);
/* Everything that waits is passed on. */
void order__flush(struct order *o);
void order__free(struct order *o);

#endif /* WEFT_ORDER_H */
