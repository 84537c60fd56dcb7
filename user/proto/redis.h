/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private to redis.c (the protocol), redis_request.c (commands) and redis_reply.c (replies).
 *
 * Responses carry no key: the n-th reply answers the n-th command. What breaks that rule is known
 * from the command only (SUBSCRIBE is answered once a channel, CLIENT REPLY OFF silences what
 * follows, pushed messages are no reply at all), so the state keeps a short record of what is
 * outstanding: runs of equal expectations, oldest first. It also knows of common commands what
 * they are answered with. A reply that can't be the answer shows that the two have lost step
 * (joined in the middle of a pipeline, a loss nobody saw): that is taken as broken rather than
 * given to the wrong command.
 */
#ifndef WEFT_REDIS_H
#define WEFT_REDIS_H

#include "proto.h"
#include "redis_commands.h"

/* Depth of nested replies; clients stop at 7 to 9. */
#define REDIS_DEPTH_MAX 32
/* Runs of outstanding commands that are told apart. Beyond them new ones count as ordinary. */
#define REDIS_RUNS_MAX 1024

enum redis_expect {
	EXPECT_REPLY = 0,   /* one reply, of no interest */
	EXPECT_SELECT,      /* arg: the database it asks for */
	EXPECT_SUBSCRIBE,   /* arg: confirmations to come */
	EXPECT_UNSUBSCRIBE, /* arg: confirmations to come */
	EXPECT_EXEC,
	EXPECT_DISCARD,
	EXPECT_HELLO,
	EXPECT_RESET,
	EXPECT_MONITOR, /* after its +OK the server sends what others do */
	EXPECT_SYNC,    /* after it the connection is a replication stream */
};

struct redis_run {
	enum redis_expect kind;
	uint32_t n; /* commands; 1 for kinds that have an arg */
	int64_t arg;
	/* Of the reply that may come, NULL any: one that does not fit is somebody else's. */
	const char *types;
};

/* A command that is being read. */
struct redis_command_walk {
	bool active;
	int64_t left;   /* arguments to come, the name counted */
	uint32_t index; /* of the next one */
};

struct redis_frame {
	int64_t left; /* elements to come; -1: streamed, ends with '.' */
	bool attribute;
};

/* A reply that is being read. */
struct redis_reply_walk {
	bool active;
	uint8_t depth;
	bool streaming; /* within a string of ';' chunks */
	char top;       /* type of the reply itself */
	int64_t top_n;  /* its elements, where it is an aggregate; -1 null */
	bool top_seen;
	bool word_seen;      /* the first element passed: `word` is empty if it was none */
	char word[16];       /* of an aggregate that may be a push */
	bool ok, queued;     /* the reply is +OK, +QUEUED */
	int64_t last_number; /* among its elements: how many subscriptions remain */
	struct redis_frame frame[REDIS_DEPTH_MAX];
};

struct redis_state {
	struct redis_command_walk command;
	struct redis_reply_walk reply;
	struct redis_run *runs; /* runs[first_run] is the oldest of n_runs */
	size_t first_run, n_runs, room_runs;
	size_t turn_run; /* of those, the first of the requester's latest turn */
	int db;          /* -1 unknown */
	int queued_db;   /* SELECT within MULTI, takes effect with EXEC; -1 none */
	bool resp3;
	bool subscribed; /* RESP2: arrays may be pushed messages */
	bool leaving;
	bool silent;  /* CLIENT REPLY OFF */
	uint8_t skip; /* CLIENT REPLY SKIP: commands without a reply to come */
};

struct redis_command {
	bool begun;
	bool is_inline;
	bool control; /* replication: no span */
	uint8_t name_n, sub_n, arg_n;
	uint32_t argc; /* arguments, the name not counted */
	char name[REDIS_NAME_MAX];
	char sub[REDIS_SUB_MAX];
	char arg[12]; /* an argument that the parser itself has to understand; never shown */
};

struct redis_reply {
	bool begun;
	bool error;
	int db;             /* the database when it came; -1 unknown */
	struct slice text;  /* of the error */
	struct slice inner; /* the first error among the elements: of a transaction */
};

union redis_message {
	struct redis_command command;
	struct redis_reply reply;
};

/*
 * A line that ends with CR LF within `max` bytes. Returns its length with the line end, 0: more
 * bytes are needed, -1: it is longer.
 */
ssize_t redis__line(const uint8_t *data, size_t len, size_t max);
/* The decimal number in data[0..n): at most 18 digits, a sign. False: it is none. */
bool redis__number(const uint8_t *data, size_t n, int64_t *out);

/* redis_request.c */
ssize_t redis__parse_request(struct redis_state *st, const struct proto_in *in, struct message *m,
			     enum message_state *what);
struct slice redis__name(const struct redis_command *c);
struct slice redis__sub(const struct redis_command *c);
/* A command was read in full or given up half-way: a reply is to be expected. */
void redis__expect(struct redis_state *st, enum redis_expect kind, int64_t arg, const char *types);

/* redis_reply.c */
ssize_t redis__parse_reply(struct redis_state *st, const struct proto_in *in, struct message *m,
			   enum message_state *what);
/* What the oldest outstanding command expects, NULL: nothing is outstanding. */
struct redis_run *redis__oldest(struct redis_state *st);
/* The oldest outstanding command was answered. */
void redis__answered(struct redis_state *st);

#endif /* WEFT_REDIS_H */
