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
 *   calls.c      the whole: books, what the wire tells, what a library tells, one of them
 *   libraries.c  one row a library; sqlite.c, libpq.c ... what its calls mean
 *   objects.c    what libraries made: databases, statements, connections
 *   callers.c    threads and what was seen of them lately; connections by number
 *   told.c       exchanges made of calls
 */
#ifndef WEFT_CALL_H
#define WEFT_CALL_H

#include "../lib/balance.h"
#include "../proto/engine.h"

/* --db-source: where spans of database calls come from. */
enum call_source {
	CALL_BOTH, /* merged, never doubled */
	/* the wire alone; in-process databases, which have none, are still seen */
	CALL_WIRE,
	/* libraries alone for connections of which one is watched */
	CALL_LIBRARY,
};

struct calls;

/*
 * `wanted`: bit i is protocol__at(i). `sink` is trace/'s, all members set. NULL: out of memory.
 */
struct calls *calls__new(enum call_source source, uint64_t wanted, const struct exchange_sink *sink,
			 struct balance *books);
/* The sink to give to the engine: what comes passes through to `sink`, merged. */
struct exchange_sink calls__sink(struct calls *c);
/* A WEFT_EV_CALL, which the books have received as pending. */
void calls__event(struct calls *c, const struct weft_call *ev);
/* The process ended, or runs another program now. */
void calls__process_exit(struct calls *c, uint32_t pid, uint64_t ts);
/* Time passes (CLOCK_BOOTTIME ns). */
void calls__tick(struct calls *c, uint64_t now);
/* What is open ends, since weft does. */
void calls__free(struct calls *c, uint64_t ts);

#endif /* WEFT_CALL_H */
