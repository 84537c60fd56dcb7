/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The traced processes of a live run: selected at the start, followed by events, described when
 * they are first seen to use a socket (not earlier: between fork and exec a process looks like its
 * parent).
 */
#ifndef WEFT_LIVE_PROCESSES_H
#define WEFT_LIVE_PROCESSES_H

#include "../cli/opts.h"
#include "../probe/node_helper.h"
#include "../probe/probe.h"
#include "../source/source.h"

struct live_processes;

/* `pass` takes the RECORD_PROCESS records that are made here. */
struct live_processes *live_processes__new(const struct options *o, source_handler pass, void *ctx);
/*
 * Who is meant? Asked before anything is loaded, so that a wrong name costs nothing. An exit
 * status; a line in `why` unless EXIT_DONE.
 */
int live_processes__find(struct live_processes *lp, char *why, size_t why_len);
/*
 * Put them under the filter, and who has come since, and their libraries under `probes`; those that
 * run Node.js are shown to `helpers`, if not NULL. All must outlive lp's use. An exit status, a line.
 */
int live_processes__select(struct live_processes *lp, struct kernel *k, struct probes *probes,
			   struct node_helpers *helpers, char *why, size_t why_len);
/*
 * Can a selector mean processes that are neither there now nor descendants of those? Then the
 * kernel shall tell of new programs.
 */
bool live_processes__watches_exec(const struct live_processes *lp);
/* To be called around each event's way into the pipeline. */
void live_processes__before(struct live_processes *lp, const struct weft_event *ev);
void live_processes__after(struct live_processes *lp, const struct weft_event *ev);
size_t live_processes__count(const struct live_processes *lp);
/* All have ended, and no selector can bring another. */
bool live_processes__none_left(const struct live_processes *lp);
void live_processes__free(struct live_processes *lp);

#endif
