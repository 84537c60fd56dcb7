/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run/: the rooms put together. One pipeline from events to sinks (pipeline.c), and the two
 * programs that feed it: the live one with root (live.c) and the replay without (replay.c).
 * summary.c prints what became of it all.
 *
 * In:  const struct options.
 * Out: an exit status.
 */
#ifndef WEFT_RUN_H
#define WEFT_RUN_H

#include "../cli/opts.h"

int live__run(const struct options *o);
int replay__run(const struct options *o);

#endif /* WEFT_RUN_H */
