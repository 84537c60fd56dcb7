/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The resources of the traced processes, learnt from RECORD_PROCESS records (live and replayed
 * alike).
 */
#ifndef WEFT_PROCESSES_H
#define WEFT_PROCESSES_H

#include "../../bpf/event.h"
#include "../source/record.h"
#include "span.h"

struct processes;

struct processes *processes__new(void);
void processes__free(struct processes *p);
/* A process described itself, for the first time or anew (after an exec). */
void processes__described(struct processes *p, const struct record_process *r);
/*
 * It ended. What its connections still have to say may come a little later, so it is forgotten only
 * after a while.
 */
void processes__exit(struct processes *p, uint32_t pid, uint64_t ts);
void processes__tick(struct processes *p, uint64_t now);
/*
 * The resource of a process; one that was never described gets "unknown_service". A new reference.
 */
struct resource *processes__get(struct processes *p, uint32_t pid);
/*
 * What it is written in (telemetry.sdk.language), NULL if unknown. Good until the next call that
 * changes `p`.
 */
const char *processes__language(const struct processes *p, uint32_t pid);
/* A resource for a server that is only known by its address (packet captures). A new reference. */
struct resource *processes__by_address(struct processes *p, const char *addr, int port);

#endif
