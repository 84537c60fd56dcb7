// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Frame headers (RFC 9113, 4.1 and 6): what they may look like, recognising HTTP/2 by them, and
 * finding them again behind a gap.
 *
 * Nine bytes alone say little. What is looked for is a chain: each frame's length leads to the next
 * frame header. Every header of a chain is worth some bits, by how unlikely its bytes are in other
 * data: a WINDOW_UPDATE has five bytes of which only one value is possible, DATA of a stream that
 * is known to be open nearly as many, a header block must read as fields to its last byte.
 */
#include "http2.h"

#define LEN_USUAL 16384 /* payload that every end must allow */
#define IDS_AHEAD 8192  /* a new stream's number is not far beyond the last one's */
#define BITS_SURE 60    /* anywhere */
#define BITS_AT_EDGE 40 /* where a turn begins, or where a chain ends with its call */
#define SETTINGS_CHECKED 32

/* Flags that are defined, by type. */
static const uint8_t flags_defined[] = {
	[FRAME_DATA] = FLAG_END_STREAM | FLAG_PADDED,
	[FRAME_HEADERS] = FLAG_END_STREAM | FLAG_END_HEADERS | FLAG_PADDED | FLAG_PRIORITY,
	[FRAME_SETTINGS] = FLAG_ACK,
	[FRAME_PUSH_PROMISE] = FLAG_END_HEADERS | FLAG_PADDED,
	[FRAME_PING] = FLAG_ACK,
	[FRAME_CONTINUATION] = FLAG_END_HEADERS,
};

struct frame frame__read(const uint8_t *p)
{
	return (struct frame){
		.len = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2],
		.type = p[3],
		.flags = p[4],
		.stream = frame__number(p + 5) & 0x7fffffff,
	};
}

bool frame__valid(const struct frame *f)
{
	switch (f->type) {
	case FRAME_DATA: return f->stream && f->len >= (f->flags & FLAG_PADDED ? 1U : 0U);
	case FRAME_HEADERS:
		return f->stream && f->len >= (f->flags & FLAG_PADDED ? 1U : 0U) +
						      (f->flags & FLAG_PRIORITY ? 5U : 0U);
	case FRAME_PRIORITY: return f->stream && f->len == 5;
	case FRAME_RST_STREAM: return f->stream && f->len == 4;
	case FRAME_SETTINGS:
		return !f->stream && f->len % 6 == 0 && (!(f->flags & FLAG_ACK) || !f->len);
	case FRAME_PUSH_PROMISE: return f->stream && f->len >= (f->flags & FLAG_PADDED ? 5U : 4U);
	case FRAME_PING: return !f->stream && f->len == 8;
	case FRAME_GOAWAY: return !f->stream && f->len >= 8;
	case FRAME_WINDOW_UPDATE: return f->len == 4;
	case FRAME_CONTINUATION: return f->stream != 0;
	default: return true;
	}
}

/*
 * Would a program of today send such a frame? Stricter than the RFC, for bytes that may be no frame
 * at all.
 */
static bool likely(const uint8_t *p, const struct frame *f)
{
	return f->type <= FRAME_CONTINUATION && frame__valid(f) &&
	       !(f->flags & ~flags_defined[f->type]) && !(p[5] & 0x80) &&
	       (f->len <= LEN_USUAL || f->type == FRAME_DATA);
}

/* ---- chains ---- */

/* The header block in a frame that is here as a whole; NULL: there is none in it. */
static const uint8_t *block_of(const uint8_t *p, const struct frame *f, size_t *n)
{
	size_t at = 0, pad = 0;

	if (f->flags & FLAG_PADDED)
		pad = p[FRAME_HEADER + at++];
	if (f->flags & FLAG_PRIORITY)
		at += 5;
	if (at + pad > f->len)
		return NULL;
	*n = f->len - at - pad;
	return p + FRAME_HEADER + at;
}

/* What the block of a HEADERS frame that is here as a whole looks like. */
static enum hpack_look look_at(const uint8_t *p, const struct frame *f)
{
	size_t n;
	const uint8_t *block = block_of(p, f, &n);

	if (!block)
		return HPACK_NONE;
	/* One that goes on in another frame may end inside a field. */
	return f->flags & FLAG_END_HEADERS ? hpack__look(block, n) : HPACK_ANY;
}

static int stream_bits(const struct http2 *st, enum proto_dir dir, uint32_t id)
{
	if (stream__get(st, id))
		return 28;
	if (dir == PROTO_REQ && (id & 1) && id > st->last_id &&
	    (id - st->last_id < IDS_AHEAD || st->mid))
		return 20;
	return st->mid || id <= st->last_id ? 12 : -1;
}

/*
 * What this frame adds to the belief in its chain; -1: it is none. A HEADERS frame is here as a
 * whole.
 */
static int frame_bits(const struct http2 *st, enum proto_dir dir, const uint8_t *p,
		      const struct frame *f)
{
	int bits = f->stream ? stream_bits(st, dir, f->stream) : 0;

	if (!likely(p, f) || bits < 0)
		return -1;
	switch (f->type) {
	case FRAME_DATA: return bits + 8;
	case FRAME_HEADERS: {
		enum hpack_look look = look_at(p, f);

		if (look == HPACK_NONE ||
		    look == (dir == PROTO_REQ ? HPACK_RESPONSE : HPACK_REQUEST))
			return -1;
		return bits + (look == HPACK_ANY ? 16 : 28);
	}
	case FRAME_CONTINUATION:
	case FRAME_PUSH_PROMISE: return 8;
	case FRAME_SETTINGS: return f->len ? 24 : 40;
	case FRAME_GOAWAY: return 24;
	default: return f->stream ? 16 + bits : 40;
	}
}

/*
 * How many of the bytes it takes to be sure of a chain that begins at `at`; 0: they are not enough,
 * or it is none. What comes behind those has no say, so that the answer does not depend on how much
 * is shown at a time.
 */
static size_t chain_sure(const struct http2 *st, enum proto_dir dir, const struct proto_in *in,
			 size_t at)
{
	int sure = in->fresh && !at ? BITS_AT_EDGE : BITS_SURE, sum = 0;

	while (in->len - at >= FRAME_HEADER) {
		struct frame f = frame__read(in->data + at);
		bool all = f.len <= in->len - at - FRAME_HEADER, block = f.type == FRAME_HEADERS;

		if (block && !all)
			return 0;
		int bits = frame_bits(st, dir, in->data + at, &f);

		if (bits < 0)
			return 0;
		sum += bits;
		if (sum >= sure)
			return at + FRAME_HEADER + (block ? f.len : 0);
		if (!all)
			return 0;
		at += FRAME_HEADER + f.len;
	}
	return at == in->len && in->call_end && sum >= BITS_AT_EDGE ? at : 0;
}

ssize_t http2__find_frames(const struct http2 *st, enum proto_dir dir, const struct proto_in *in)
{
	ssize_t found = -1;
	size_t least = SIZE_MAX;

	if (in->framed && in->len >= FRAME_HEADER) {
		struct frame f = frame__read(in->data);

		if (likely(in->data, &f))
			return 0;
	}
	for (size_t at = 0; at < in->len && at < least; at++) {
		bool preface = dir == PROTO_REQ && in->len - at >= PREFACE_SIZE &&
			       !memcmp(in->data + at, PREFACE, PREFACE_SIZE);
		size_t sure = preface ? at + PREFACE_SIZE : chain_sure(st, dir, in, at);

		if (!sure || sure >= least)
			continue;
		found = (ssize_t)at;
		least = sure;
	}
	return found;
}

bool http2__is_begun(const struct proto_in *in)
{
	if (in->len < FRAME_HEADER || in->gap_follows)
		return false;
	struct frame f = frame__read(in->data);

	return f.type == FRAME_HEADERS && likely(in->data, &f) && f.len <= LEN_USUAL &&
	       f.len > in->len - FRAME_HEADER;
}

/* ---- recognition ---- */

/*
 * Settings that mean something, or that are made up so that nobody relies on the list (RFC 8701's
 * pattern).
 */
static bool known_settings(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i + 6 <= len && i < (size_t)SETTINGS_CHECKED * 6; i += 6) {
		unsigned id = (unsigned)p[i] << 8 | p[i + 1];

		if (!(id >= 1 && id <= 9) && id < 0xf000 && (id & 0x0f0f) != 0x0a0a)
			return false;
	}
	return len > 0;
}

/* Fewer bytes than a frame header: could they begin one? */
static bool may_begin(const uint8_t *p, size_t len)
{
	uint8_t head[FRAME_HEADER] = { 0 };

	memcpy(head, p, len);
	struct frame f = frame__read(head);

	if (p[0] != 0 || (len > 1 && f.len > LEN_USUAL))
		return false;
	if (len <= 3)
		return true;
	/* The stream's number may be all that is still missing. */
	if (len < FRAME_HEADER && f.type != FRAME_SETTINGS && f.type != FRAME_PING &&
	    f.type != FRAME_GOAWAY && f.type != FRAME_WINDOW_UPDATE)
		f.stream = 1;
	if (len == 4) {
		f.flags = 0;
		head[4] = 0;
	}
	return likely(head, &f);
}

/*
 * A chain of frames from the first byte on, in which a header block says who speaks. A SETTINGS
 * frame begins what a server says, but a client may send one in the middle too.
 */
static enum detect_result detect_frames(const uint8_t *p, size_t len)
{
	enum detect_result said = DETECT_MORE;

	for (size_t at = 0; at < len;) {
		if (len - at < FRAME_HEADER)
			return may_begin(p + at, len - at) ? said : DETECT_NO;
		struct frame f = frame__read(p + at);

		if (!likely(p + at, &f) || f.len > LEN_USUAL)
			return DETECT_NO;
		if (f.len > len - at - FRAME_HEADER)
			return said;
		if (f.type == FRAME_SETTINGS && !(f.flags & FLAG_ACK)) {
			if (f.len && !known_settings(p + at + FRAME_HEADER, f.len))
				return DETECT_NO;
			if (f.len && !at)
				said = DETECT_MAYBE_RESP;
		}
		if (f.type == FRAME_HEADERS) {
			enum hpack_look look = look_at(p + at, &f);

			if (look == HPACK_NONE)
				return DETECT_NO;
			if (look == HPACK_REQUEST && (f.stream & 1))
				return DETECT_REQ;
			if (look == HPACK_RESPONSE)
				return DETECT_RESP;
		}
		at += FRAME_HEADER + f.len;
	}
	return said;
}

enum detect_result http2__detect(const uint8_t *data, size_t len)
{
	size_t n = len < PREFACE_SIZE ? len : PREFACE_SIZE;

	if (!memcmp(data, PREFACE, n))
		return n == PREFACE_SIZE ? DETECT_REQ : DETECT_MORE;
	return detect_frames(data, len);
}
