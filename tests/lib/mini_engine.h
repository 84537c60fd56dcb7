/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The contract of user/proto/proto.h for one connection, as simply as it can be written: no
 * clocks, no bounds, everything kept until the end. It is deliberately not user/proto/engine.c,
 * so that a misreading of the contract in one of the two shows. How it reads the places that
 * leave room:
 *
 *  - parse() is never shown an empty buffer.
 *  - resync() that says -1 is asked again with the same bytes and what comes behind them. They
 *    are dropped when a fresh call begins, at a gap, and beyond buffer_cap. So `fresh` is only
 *    ever true of data[0] being the call's first byte.
 *  - resync() that found a boundary gives the message under way up, unless it sets
 *    message.resumed.
 *  - Commands lost from the call of a batch mark the batch LOST_BYTES.
 *  - After PARSE_BAD resync() is first asked at the next fresh call of that direction.
 *  - Bytes lost from the responder (so that resync is needed) end every outstanding exchange of a
 *    first-in first-out protocol, unless the message under way resumes: nobody can say whose the
 *    next response is.
 *  - Bytes lost from the requester may hide requests: what a first-in first-out protocol says in
 *    the rest of that turn is given up too, and so are the responses up to the next turn of the
 *    requester.
 *  - message.fills_turn is asked at the moment of the loss. What it marks becomes DONE at the
 *    first call of the other direction.
 *  - A batch is the run of requests whose first and last byte lie in the same call.
 *  - An exchange is complete when request and response are.
 */
#ifndef WEFT_TEST_MINI_ENGINE_H
#define WEFT_TEST_MINI_ENGINE_H

#include "../../user/proto/proto.h"
#include "mini_place.h"

enum mini_flags {
	MINI_CALL_START = 1 << 0,
	MINI_CALL_END = 1 << 1,
	MINI_GAP_FOLLOWS = 1 << 2, /* the next thing in this direction is mini__gap() */
};

struct mini;

struct mini *mini__new(const struct protocol *p, bool mid, enum mini_place place);
/* The direction was joined in the middle of something: resync() before parse(). */
void mini__unsynced(struct mini *e, enum proto_dir dir);
void mini__bytes(struct mini *e, enum proto_dir dir, const uint8_t *data, size_t n, unsigned flags);
/* n bytes that were not captured; of `flags` only MINI_CALL_START counts. */
void mini__gap(struct mini *e, enum proto_dir dir, uint64_t n, unsigned flags);
void mini__eof(struct mini *e, enum proto_dir dir);
/* No more will be seen. Every exchange is described after this. */
void mini__finish(struct mini *e);

/* Exchanges in the order in which they began: a line each, as README describes them. */
size_t mini__count(const struct mini *e);
const char *mini__line(const struct mini *e, size_t i);
/* enum exchange_flags of that line, 0 for lines that are no exchange. */
unsigned mini__line_flags(const struct mini *e, size_t i);
/* A breach of the contract that was noticed, or NULL. */
const char *mini__breach(const struct mini *e);

void mini__free(struct mini *e);

#endif
