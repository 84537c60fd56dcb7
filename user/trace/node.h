/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private to trace/: a span on its way into a trace, and the tree it stands in.
 *
 *   tracer.c    exchanges in, nodes made, spans built
 *   node.c      the tree: linking by evidence, never in a circle
 *   remote.c, socket.c, runtime.c, content.c, callback.c, thread.c, handover.c
 *               the layers: each one kind of evidence; layers.c lists them in one table
 *   revise.c    what is learnt of an exchange after it was handed over
 *   sdk.c       processes that need no spans from us
 *   release.c   what is settled leaves: vetoes, ids, times, sinks
 */
#ifndef WEFT_NODE_H
#define WEFT_NODE_H

#include "../lib/list.h"
#include "../lib/table.h"
#include "trace.h"

/*
 * Why a node has its parent. A greater number is better evidence. The names go onto spans: they are
 * stable.
 */
enum evidence {
	EVIDENCE_NONE = 0,
	/* a thread that serves several requests: the one it read last; subject to veto */
	EVIDENCE_LAST_READ,
	/* made by a thread that was begun by the one that serves the request, and for that alone */
	EVIDENCE_HANDOVER,
	/* a thread that serves one request at a time made the call while serving it */
	EVIDENCE_THREAD,
	/* the answer to the request was written right after the answer to the call was read */
	EVIDENCE_BACKWARD,
	/* an event loop made it in a callback of its request's, or was answered in one */
	EVIDENCE_CALLBACK,
	/* a proxy's call that is like the request that it passes on */
	EVIDENCE_CONTENT,
	EVIDENCE_RUNTIME, /* the runtime's own unit of work */
	EVIDENCE_SOCKET,  /* both ends of the connection are traced: the same bytes */
	EVIDENCE_MAX,
};

/*
 * Thousands wait for their grace to be over, and each is looked at until it is: what is looked at
 * then comes first, in as few lines of memory as it can.
 */
struct node {
	struct list all;     /* in tracer.nodes, oldest first */
	uint64_t id;         /* never used again; 0 is nobody */
	uint64_t start, end; /* CLOCK_BOOTTIME ns */
	struct node *parent;
	uint32_t pid, tid; /* who moved the request's first byte */
	enum evidence evidence : 8;
	bool server : 1;
	bool third_party : 1;
	bool ended : 1;
	bool withdrawn : 1;
	bool judged : 1; /* the guess was tested against its parent's end, once */
	/* Fixed when the trace, or a part of it, is released: no new parent from then on. */
	bool pinned : 1;
	bool remote : 1; /* trace context came with the request */
	/* the same that went beside it (struct weft_context): sent by a client, received by a server */
	bool beside : 1;
	/* runtime layer, client: its runtime told the unit of work that made it */
	bool unit_told : 1;
	bool unit_ahead : 1; /* WEFT_F_AHEAD */
	/* client: made when its request was over, it begins a trace of its own, with a link */
	bool apart : 1;
	/* client: its request was released before; as left_span, left_trace */
	bool left : 1;
	/* thread layer, client: a thread that had to do with it was seen to do several things at once */
	bool shared : 1;
	/* client: made and answered within one call of the thread's (EXCHANGE_IN_CALL) */
	bool inside : 1;
	/* client: its thread slept between what made it call, or its answer, and what followed */
	bool slept : 1;
	/* client: it waited for the answer, which came in the turn in which it was made */
	bool waited : 1;
	bool backward_clash : 1; /* two requests claim it: neither gets it */
	/* client: whoever claims it answered another request without reading in between */
	bool claimer_answered_twice : 1;
	/* client: the first call on a connection, and it is not known for whom that was made */
	bool maker_unseen : 1;
	/* hand-over layer, client: the thread that made it has ended since */
	bool handed_over : 1;
	/* callback layer: of its loop all is known that follows from the order of its events */
	bool loop_whole : 1;
	bool chain_clash : 1; /* two requests claim the ring */
	bool answering : 1;   /* server: a part of its answer was written */
	struct list children, sibling;
	/* callback layer, client: key of the event loop that made it; 0: it was none */
	uint64_t loop;
	struct span *span;  /* set when it ended */
	struct exchange *x; /* while it has not ended */
	uint64_t events;    /* in the books for it */

	/* revise.c: it did not end before this; another tells of it */
	uint64_t end_least;

	uint8_t trace_id[16], span_id[8];
	uint8_t parent_span[8]; /* all zero: a root */
	unsigned below;         /* calls that were given their ids below this one */
	uint32_t flags;         /* as in struct span */
	const char *source;     /* evidence for the parent, static; NULL: a root */
	double confidence;
	struct slice trace_state; /* in `arena` */

	uint8_t remote_trace[16], remote_span[8];
	struct slice remote_state; /* in `arena` */

	uint8_t beside_trace[16], beside_span[8];
	uint64_t
		beside_cause; /* client: for the request that is there; 0 for none that was known */
	uint32_t beside_cause_pos;
	uint32_t on_pos;
	uint64_t on_conn; /* connection and position of the request's first byte */

	/* socket layer: where the request lies on the wire */
	uint64_t pair;  /* hash of the two ends; 0: cannot be paired */
	uint64_t *keys; /* n_keys; NULL: none yet */
	uint64_t first_key;
	uint32_t n_keys;

	uint8_t remote_flags, left_flags;
	uint8_t turn; /* client: its event loop's when it was made; 0 none, or not known */

	/* thread layer */
	uint64_t thread;    /* key of the thread that serves it (server) or made it (client) */
	uint64_t thread_id; /* which one of that key: thread numbers are used again */
	/* client: key of the thread that first read of its answer; 0 nobody yet */
	uint64_t answerer;
	uint64_t claimer; /* client: key of the thread whose answer claimed it; 0 nobody */
	uint64_t pool;    /* client: key of (process, peer) */
	/* client: the request that its thread seemed to work for when it made the call; 0 nobody */
	uint64_t guess;
	uint64_t
		inside_before; /* `inside`: the one that its thread made before, since it last read */

	/* callback layer */
	struct list chain; /* a ring of the calls that are for the same request */
	uint64_t cause;    /* which is this one; 0 not known */

	/* content layer, server: a hash of what a proxy passes on; 0: not looked at */
	uint64_t likeness;
	/* and the call by which it was; client: the request like it */
	uint64_t passed_on;

	/* runtime layer: the connection of the unit's request; 0 it knows none. Server: it came on this */
	uint64_t unit_conn;
	/* client: how the unit names the request. Server: unit_pos is its place among those kept */
	uint32_t unit_pos, unit_stream;
	uint8_t left_trace[16], left_span[8];

	struct arena arena;
};

/* One kind of evidence. Any member but the name may be NULL. */
struct layer {
	const char *name;
	void (*awake)(struct tracer *t, const struct weft_data *d);
	void (*connecting)(struct tracer *t, const struct weft_connect *c);
	void (*unit)(struct tracer *t, const struct weft_unit *u);
	void (*thread)(struct tracer *t, const struct weft_thread *e);
	void (*context)(struct tracer *t, const struct weft_context *c);
	void (*begin)(struct tracer *t, struct node *n, struct exchange *x, uint32_t req_pos);
	void (*moved)(struct tracer *t, struct node *n, enum proto_dir dir, uint32_t tid,
		      uint64_t ts);
	/* The thread answered a request that nobody saw. */
	void (*strange_answer)(struct tracer *t, uint32_t pid, uint32_t tid);
	void (*ended)(struct tracer *t, struct node *n, const struct facts *f);
	void (*released)(struct tracer *t, struct node *n); /* forget what you hold of it */
	void (*process_exit)(struct tracer *t, uint32_t pid);
	void (*free)(struct tracer *t);
};

extern const struct layer *const layer_table[]; /* ends with NULL */

/* Those that have a member, for what happens with every event or span; each ends with NULL. */
#define LAYERS_MAX 12
struct layers_with {
	const struct layer *awake[LAYERS_MAX], *begin[LAYERS_MAX], *moved[LAYERS_MAX],
		*ended[LAYERS_MAX], *released[LAYERS_MAX];
};

/* Fills it in, of layer_table. */
void layers__sort(struct layers_with *with);

struct tracer {
	struct tracer_config cfg;
	struct layers_with with;
	struct table by_id; /* struct node */
	struct list nodes;
	size_t n_nodes, n_loop_calls; /* all; those of them that an event loop made */
	uint64_t last_id;
	int64_t clock; /* realtime - boottime, ns */
	uint64_t now;
	struct table pairs[2]; /* socket layer: key -> node; [0] client ends, [1] server ends */
	struct table starts;   /* and struct start, by positions; bounded likewise */
	struct list starts_by_age;
	/* thread layer; each table is bounded, and what was not used for longest makes room */
	struct table threads;       /* struct thread */
	struct thread *last_thread; /* the one used last, NULL: gone */
	struct table pools;         /* struct pool */
	struct table owners;        /* struct owner, by socket */
	struct table users;         /* struct user: the threads and pools of a process, by PID */
	struct table sdks;          /* struct sdk, by PID */
	struct table proxies;       /* content layer: struct proxy, by PID */
	struct table alike;         /* struct alike, by likeness */
	struct {
		struct table threads, conns; /* struct unit_thread, unit_conn */
		struct table pids;           /* processes that tell of units */
		struct table carriers;       /* struct unit_conn by its session's carrier */
		struct list threads_by_use, conns_by_use;
	} units; /* runtime layer; bounded likewise */
	struct list threads_by_use, pools_by_use, owners_by_use;
	struct table loops; /* callback layer: struct loop; bounded likewise */
	struct list loops_by_use;
	struct table begotten; /* hand-over layer: struct begotten, by thread; bounded likewise */
	struct list begotten_by_use;
	struct {
		struct table by_place; /* remote layer: struct beside, by connection and position */
		struct list by_age;
	} beside;
};

/* A thread, as a key in tables. */
static inline uint64_t node__thread_key(uint32_t pid, uint32_t tid)
{
	return (uint64_t)pid << 32 | tid;
}

/* node.c */
struct node *node__new(struct tracer *t, struct exchange *x);
void node__free(struct tracer *t, struct node *n);
struct node *node__by_id(const struct tracer *t, uint64_t id);
/*
 * Evidence says that `parent` caused `child`. Taken if it is better than what the child has, and
 * makes no circle.
 */
bool node__propose(struct node *child, struct node *parent, enum evidence why);
void node__orphan(struct node *child);
struct node *node__root(struct node *n);
const char *evidence__name(enum evidence why);
double evidence__confidence(enum evidence why);

/*
 * thread.c: what became known since the call was made counts too. False: its parent is not to be
 * believed.
 */
bool thread__holds(struct tracer *t, struct node *call, bool outside);
/* The request that a thread has read and serves, if that is all it does; else NULL. */
struct node *thread__serves(struct tracer *t, uint32_t pid, uint32_t tid);
/* handover.c: the same as thread__holds(), for what it said. */
bool handover__holds(const struct node *call);
/* Its thread may be about to end: it is too early to judge the call, whose request has ended. */
bool handover__waits(const struct tracer *t, const struct node *call);

/* callback.c: the same, for what it said. */
bool callback__holds(const struct tracer *t, const struct node *call);

/*
 * runtime.c: a call that stands apart gets a link to its request, if that has been released. True:
 * that is still to come.
 */
bool runtime__waits(struct tracer *t, struct node *call);

/*
 * tracer.c: a call that is the first on its connection began with connect(), unless the connection
 * was made long before, to be kept. Only for a connection that was made for it.
 */
void node__start_with_connect(struct node *n, const struct exchange *x);
#define NODE_SCRATCH_MAX (64 * 1024) /* what describing an exchange may take */
/* tracer.c: what is known of an exchange that is under way. False: nothing, or it has ended. */
bool node__describe(const struct node *n, struct arena *scratch, struct facts *f);
/* tracer.c: the remote layer's facts of a node that has not ended yet */
void node__read_context(struct node *n);
void remote__take(struct node *n, const struct facts_context *c);
/* remote.c: what came beside the request counts, where nothing came in it */
void remote__take_beside(struct node *n);
/* remote.c: the trace id that calls of a trace were sent with, if it may be the trace's; or NULL */
const uint8_t *remote__sent_trace(struct node *root);

/* sdk.c: the process exports spans like this one itself. */
bool sdk__has_its_own(const struct tracer *t, const struct node *n);

/* revise.c: the last members of struct exchange_sink */
uint64_t revise__number(void *ctx, const struct exchange *x);
bool revise__stretch(void *ctx, uint64_t number, uint64_t start, uint64_t end, uint64_t events);
bool revise__withdraw(void *ctx, uint64_t number, uint64_t heir);

/* release.c */
void release__settled(struct tracer *t);
/* Everything, judged by what is known. All nodes have ended. */
void release__all(struct tracer *t);

#endif /* WEFT_NODE_H */
