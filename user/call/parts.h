/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Private to call/: what its files share. */
#ifndef WEFT_CALL_PARTS_H
#define WEFT_CALL_PARTS_H

#include "../lib/list.h"
#include "../lib/table.h"
#include "call.h"

struct calls {
	struct exchange_sink sink;
	struct balance *books;
	enum call_source source;
	uint64_t wanted; /* bit i: the library of that index */
	uint64_t now;    /* the latest time heard of */
	struct table objects, callers, carriers, processes;
	struct list objects_by_use, callers_by_use, carriers_by_use;
	struct list over; /* struct over, oldest first: see calls.c */
	size_t n_over;
};

/* ---- libraries.c ---- */

struct library {
	enum weft_fn first, last; /* its functions */
	/*
	 * What describes its exchanges. A protocol that is also read off the wire has the same
	 * name there.
	 */
	const struct protocol *proto;
	/*
	 * Deals with one event and with its place in the books. Times of the event are in order.
	 */
	void (*event)(struct calls *c, const struct library *lib, const struct weft_call *ev);
	/* a server answers it: --db-source wire leaves it out, whether its bytes can be read or not */
	bool wire;
};

/* NULL: none. */
const struct library *library__of_fn(uint32_t fn);
/* Those whose protocols are chosen, by index, as bits; `protocols` as in calls__new(). */
uint64_t libraries__wanted(uint64_t protocols);
unsigned library__index(const struct library *lib);
/* The library whose protocol this is on the wire; NULL: none. */
const struct library *library__of_wire(const struct protocol *proto);

/* ---- objects.c: what libraries made, by process and address ---- */

enum object_kind {
	OBJECT_SQLITE_DB,   /* text: the file's name */
	OBJECT_SQLITE_STMT, /* text: SQL; owner: the database */
	OBJECT_PQ_CONN,     /* what was asked over it */
	OBJECT_PQ_NAME,     /* text: the name, NUL, SQL; owner: the connection */
	OBJECT_MYSQL_STMT,  /* text: SQL */
	OBJECT_REDIS_CONTEXT,
};

struct object {
	uint64_t key;
	uint64_t address; /* and, of a name, its hash */
	uint64_t owner;   /* address; 0 unknown */
	uint32_t pid;
	enum object_kind kind;
	struct list by_use, by_process; /* both: the longest unused first */
	uint64_t since;                 /* when it was made ... */
	uint32_t maker;                 /* ... by which thread; 0 unknown */
	bool cut;                       /* text is not all of it */
	bool used;                      /* a statement that was run */
	size_t n;
	char *text;        /* n bytes; NULL unknown */
	uint64_t carrier;  /* number of the connection that it goes over; 0 unknown */
	struct list asked; /* struct asked, oldest first */
	unsigned n_asked;
};

/* A query that was sent, whose result is still to be fetched (libpq.c). */
struct asked {
	struct list link;
	uint64_t begin;     /* of the call that sent it */
	uint64_t number;    /* the wire's exchange; 0 none */
	struct exchange *x; /* the library's own; NULL: the wire's will do */
	struct conn conn;   /* x's */
};

/* NULL: not known. */
struct object *object__get(struct calls *c, uint32_t pid, enum object_kind kind, uint64_t address);
/*
 * Anew, in place of what had this address: its text is a copy. The longest unused make room. NULL:
 * out of memory.
 */
struct object *object__put(struct calls *c, uint32_t pid, enum object_kind kind, uint64_t address,
			   struct slice text, uint64_t ts);
/* What was asked and not answered ends. NULL is none. */
void object__forget(struct calls *c, struct object *o, uint64_t ts);
/* All of a process of this kind whose owner is this address. */
void object__forget_owned(struct calls *c, uint32_t pid, enum object_kind kind, uint64_t owner,
			  uint64_t ts);
/*
 * Of this kind, made by this thread between these times, and not used by others since (the last few
 * are looked at).
 */
void object__forget_made(struct calls *c, uint32_t pid, enum object_kind kind, uint32_t maker,
			 uint64_t from, uint64_t to);
/* Everything of a process, callers too. */
void process__forget(struct calls *c, uint32_t pid, uint64_t ts);
static inline struct slice object__text(const struct object *o)
{
	return o && o->text ? slice__from(o->text, o->n) : (struct slice){ "", 0 };
}

/* A process, as long as something of it is known. */
struct process {
	uint32_t pid;
	struct list objects, callers;
	size_t n_objects;
};

/* NULL: out of memory. */
struct process *process__of(struct calls *c, uint32_t pid);
/* Goes if there is nothing left of it. */
void process__tidy(struct calls *c, uint32_t pid);

/* ---- callers.c: threads, and what was seen of them lately ---- */

/* An exchange that this thread asked. */
struct sighting {
	uint64_t number; /* 0: none */
	const struct library *lib;
	bool wire;
	bool taken;          /* wire: a call of the library was found to be this */
	uint64_t begin, end; /* wire: end is begin */
	uint64_t carrier;    /* wire: number of its connection */
};

#define SIGHTINGS 8

struct caller {
	uint64_t key;
	uint32_t pid;
	struct list by_use, by_process;
	struct sighting seen[SIGHTINGS]; /* a ring */
	unsigned next;
	/* key of an object: what it was asked last is told of by the library, as nothing was seen */
	uint64_t waiting;
};

/* NULL: out of memory. */
struct caller *caller__of(struct calls *c, uint32_t pid, uint32_t tid);
void caller__saw(struct caller *w, const struct sighting *s);
void caller__forget(struct calls *c, struct caller *w);

/* A connection over which a library may go. */
struct carrier {
	uint64_t id; /* conn.id */
	struct list by_use;
	struct weft_open open;
	uint64_t user; /* key of the object that goes over it; 0 unknown */
};

/* NULL: not known, or out of memory. */
struct carrier *carrier__get(struct calls *c, uint64_t id);
struct carrier *carrier__put(struct calls *c, const struct conn *conn);
/* The object goes over this connection from now on. */
void carrier__use(struct calls *c, uint64_t id, struct object *o);
void callers__free(struct calls *c);

/* ---- told.c: exchanges made of calls ---- */

/* What a library's calls say. What is not known is empty; rows: -1. */
struct told {
	struct slice query; /* with literals */
	bool cut;           /* of the query */
	/* the query stood in this very call: trace context in its comments is this call's */
	bool own_text;
	enum facts_quotes quotes;
	struct slice operation; /* where there is no query */
	struct slice ns;
	struct slice status; /* of a failure */
	bool error;
	bool silent; /* worth a span only if it fails */
	int64_t rows;
};

/* What message.data of their protocols is. */
struct told_message {
	struct facts_db db;
	bool own_text, silent;
};

/* describe() of their protocols; facts.db.system is set by these. */
bool told__describe(struct message *const *reqs, struct arena *scratch, const char *system,
		    int default_port, struct facts *out);
#define TOLD_MESSAGE_SIZE sizeof(struct told_message)
/* That describe(), of a library whose database is `system` and listens on `port`. */
#define TOLD_DESCRIBE(system, port)                                                                \
	static bool describe(const void *state, struct message *const *reqs,                       \
			     struct message *const *resps, size_t n, unsigned flags,               \
			     struct arena *scratch, struct facts *out)                             \
	{                                                                                          \
		(void)state;                                                                       \
		(void)resps;                                                                       \
		(void)n;                                                                           \
		(void)flags;                                                                       \
		return told__describe(reqs, scratch, system, port, out);                           \
	}

/*
 * An exchange that `ev` began; `conn` is filled in and must live until it ends. Its own addresses
 * are `over`'s (NULL: not known). NULL: out of memory. Not begun yet; `ev` counts for it.
 */
struct exchange *told__new(const struct library *lib, const struct weft_call *ev,
			   enum exchange_seen seen, const struct told *t,
			   const struct carrier *over, struct conn *conn);
/* What became known of an exchange under way. */
void told__failed(struct exchange *x, struct slice status);
void told__rows(struct exchange *x, int64_t more);
/* It was never run: no span. */
void told__not_run(struct exchange *x);

/* ---- calls.c ---- */

/* The event has its place in the books. */
static inline void calls__lifecycle(struct calls *c)
{
	balance__lifecycle(c->books);
}

static inline void calls__drop(struct calls *c, enum drop_reason why)
{
	balance__drop(c->books, why, 1);
}

/*
 * One call of a function that did one thing, and has returned: a span, or the wire's with these
 * times. `o`: the connection, NULL unknown. `whole`: all between begin and the event's time was
 * within this call (not: a statement's rows were fetched one by one).
 */
void calls__one(struct calls *c, const struct library *lib, const struct weft_call *ev,
		struct object *o, const struct told *t, bool whole);
/*
 * The exchange on the wire that the thread asked for within this call, which is then taken; 0: none
 * is known. With `o`, that object goes over its connection.
 */
uint64_t calls__take_wire(struct calls *c, const struct library *lib, const struct weft_call *ev,
			  struct object *o);
/*
 * An exchange of the library's own, begun; `conn` must live until it ends. What was seen on the wire
 * within this call is told of by it from now on. NULL: out of memory, the event is dropped.
 */
struct exchange *calls__tell(struct calls *c, const struct library *lib, const struct weft_call *ev,
			     struct object *o, enum exchange_seen seen, const struct told *t,
			     struct conn *conn);
/* Did this thread begin something of this library's within the call's time? */
bool calls__told_inside(struct calls *c, const struct library *lib, const struct weft_call *ev);
/*
 * What this thread was told to have done within the call, the library did for itself; `heir`: the
 * number of who tells of it, 0 none.
 */
void calls__displace_inner(struct calls *c, const struct library *lib, const struct weft_call *ev,
			   uint64_t heir);
void calls__end(struct calls *c, struct exchange *x, uint64_t ts, unsigned flags);

/* libpq.c: what was asked over o is seen on the wire after all, from the exchange `heir` on. */
void libpq__on_wire(struct calls *c, struct object *o, uint64_t heir);
/* libpq.c: the query is over, as far as anybody will know. */
void asked__drop(struct calls *c, struct object *o, struct asked *a, uint64_t ts, unsigned flags);

/* the libraries' */
void sqlite__event(struct calls *c, const struct library *lib, const struct weft_call *ev);
void libpq__event(struct calls *c, const struct library *lib, const struct weft_call *ev);
void mysql__event(struct calls *c, const struct library *lib, const struct weft_call *ev);
void hiredis__event(struct calls *c, const struct library *lib, const struct weft_call *ev);

static inline struct slice call__text(const struct weft_call *ev)
{
	return slice__from(ev->bytes, ev->text);
}

static inline struct slice call__text2(const struct weft_call *ev)
{
	return slice__from(ev->bytes + ev->text, ev->text2);
}

#endif /* WEFT_CALL_PARTS_H */
