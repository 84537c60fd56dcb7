/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * call/: from calls of client libraries to exchanges.
 *
 * In:  CALL events (a function returned), and the exchanges that the engine reads off the wire.
 * Out: exchanges like the engine's: those of in-process databases (SQLite) and of libraries whose
 *      wire could not be read; and, where library and wire both saw the same, the wire's exchange
 *      with the library's times (what the caller waited). Never both.
 * Owner: the calls module owns the exchanges that it makes until the sink takes them, and stands
 *        between the engine and trace/ for those that pass through it.
 *
 * One file a library: sqlite.c, libpq.c ...; a row in libraries.c.
 */
#ifndef WEFT_CALL_H
#define WEFT_CALL_H

#include "../lib/balance.h"
#include "../proto/engine.h"

/* --db-source: where spans of database calls come from. */
enum call_source {
	CALL_BOTH,    /* merged, never doubled */
	CALL_WIRE,    /* the wire alone (in-process databases, which have none, are still seen) */
	CALL_LIBRARY, /* libraries alone where a library is watched */
};

struct calls;

/* `sink` is trace/'s. NULL: out of memory. */
struct calls *calls__new(enum call_source source, const struct exchange_sink *sink,
			 struct balance *books);
/* The sink to give to the engine: what comes passes through to `sink`, merged. */
struct exchange_sink calls__sink(struct calls *c);
/* A WEFT_EV_CALL. */
void calls__event(struct calls *c, const struct weft_call *ev);
void calls__process_exit(struct calls *c, uint32_t pid, uint64_t ts);
/* Time passes (CLOCK_BOOTTIME ns). */
void calls__tick(struct calls *c, uint64_t now);
/* What is open ends. */
void calls__free(struct calls *c, uint64_t ts);

#endif /* WEFT_CALL_H */
