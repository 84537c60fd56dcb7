/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside source/ only: TCP connections as a third party sees them.
 *
 * In:  segments in the order of the capture, each with its time.
 * Out: steps, which pcap.c turns into records: a connection opens, the current segment's bytes are
 *      its, a direction ends, it closes. Bytes are not put in order here (conn/ does that, by their
 *      positions); but the end of a direction is told only behind its last byte, however the
 *      segments were shuffled on their way into the capture.
 */
#ifndef WEFT_SOURCE_FLOWS_H
#define WEFT_SOURCE_FLOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "packet.h"

/* Connections that are followed at once; beyond, the longest idle one is given up. */
#define FLOWS_MAX 65536
/*
 * Half-open and finished ones that are remembered besides, so that late segments are known for what
 * they are.
 */
#define FLOWS_ASIDE_MAX 8192

struct flow_step {
	enum weft_kind kind; /* OPEN; DATA: the segment last given; EOF, SHUT, CLOSE */
	enum weft_dir dir;
	uint32_t off; /* EOF, SHUT: sequence number of the direction's end */
	uint64_t conn;
	const struct weft_addr *client, *server; /* until the next call */
	bool preopen;   /* OPEN: its beginning was not seen, the roles are a guess */
	uint64_t start; /* OPEN: when the client sent its first SYN, 0 unknown */
	/* OPEN: both handshakes were seen, so both directions' first sequence numbers are known */
	bool pos_known;
	uint32_t pos[2];
};

struct flows;

/* NULL when memory is out. Counts in skipped[], which must outlive it. */
struct flows *flows__new(uint64_t *skipped);
void flows__free(struct flows *fs);

/* `now`: Unix ns. Take all steps before giving the next segment. */
void flows__segment(struct flows *fs, const struct segment *seg, uint64_t now);
/*
 * An end that was held back for bytes which did not come is told now, if its time is up: true if
 * there are steps. Call until false, before each segment.
 */
bool flows__overdue(struct flows *fs, uint64_t now);
/* The capture is over: closes one connection that is still open. False when there is none. */
bool flows__finish(struct flows *fs);
/* The next step; false when there is none. */
bool flows__step(struct flows *fs, struct flow_step *out);

#endif /* WEFT_SOURCE_FLOWS_H */
