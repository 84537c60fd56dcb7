// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Header tables (RFC 7541), on nghttp2's inflater.
 *
 * A table whose beginning was not seen (the connection was joined in its middle, or bytes were
 * lost) holds entries that nobody knows. Entries are named by how many were added after them, so
 * those added since are certain again. The inflater is therefore begun with a table full of
 * placeholders, entries with an empty name: whatever refers to an older entry comes out as one, and
 * an entry made with the name of an older one has an empty name itself. An entry costs 32 bytes at
 * least, and a placeholder costs just that, so there are never fewer of them than real entries; and
 * because they are smaller than the real ones, what was added since never leaves this table before
 * it leaves the real one. A value is right or it is not there.
 */
#include "http2.h"

#define TABLE_USUAL 4096       /* a table's size where nothing else was agreed on */
#define TABLE_WIDE (64 * 1024) /* the largest that is followed */
#define ENTRY_MIN 32           /* what an entry without name and value costs */

/* A table size update (RFC 7541, 6.3) to TABLE_WIDE. */
static const uint8_t widen[] = { 0x3f, 0xe1, 0xff, 0x03 };
/* A literal field, added to the table, with empty name and value. */
static const uint8_t placeholder[] = { 0x40, 0, 0 };

static void none(void *ctx, struct slice name, struct slice value)
{
	(void)ctx;
	(void)name;
	(void)value;
}

/* Returns 0, or nghttp2's error. */
static int inflate(nghttp2_hd_inflater *in, const uint8_t *p, size_t n, bool last,
		   hpack_field_fn fn, void *ctx)
{
	for (;;) {
		nghttp2_nv nv;
		int flags = 0;
		ssize_t took = nghttp2_hd_inflate_hd2(in, &nv, &flags, p, n, last);

		if (took < 0)
			return (int)took;
		p += took;
		n -= (size_t)took;
		if (flags & NGHTTP2_HD_INFLATE_EMIT) {
			fn(ctx, slice__from(nv.name, nv.namelen),
			   slice__from(nv.value, nv.valuelen));
			continue;
		}
		if (flags & NGHTTP2_HD_INFLATE_FINAL)
			nghttp2_hd_inflate_end_headers(in);
		if ((flags & NGHTTP2_HD_INFLATE_FINAL) || !n)
			return 0;
	}
}

static bool fill(struct hpack *h)
{
	size_t n = (h->wide ? TABLE_WIDE : TABLE_USUAL) / ENTRY_MIN;

	if (h->wide && inflate(h->inflater, widen, sizeof(widen), false, none, NULL))
		return false;
	while (n--)
		if (inflate(h->inflater, placeholder, sizeof(placeholder), n == 0, none, NULL))
			return false;
	return true;
}

static bool ready(struct hpack *h)
{
	if (h->inflater)
		return true;
	if (nghttp2_hd_inflate_new(&h->inflater))
		return false;
	/* Whatever the two ends agreed on, the encoder says what it uses of it. */
	if (!nghttp2_hd_inflate_change_table_size(h->inflater, TABLE_WIDE) &&
	    (!h->blind || fill(h)))
		return true;
	hpack__fini(h);
	return false;
}

void hpack__fini(struct hpack *h)
{
	hpack__unlearn(h);
	if (h->inflater)
		nghttp2_hd_inflate_del(h->inflater);
	h->inflater = NULL;
}

void hpack__forget(struct hpack *h)
{
	hpack__fini(h);
	h->blind = true;
}

/* ---- what a block looks like ---- */

/* An integer with a prefix of `bits` (RFC 7541, 5.1). Returns the bytes it takes, 0: it is none. */
static size_t look_integer(const uint8_t *p, size_t n, unsigned bits, uint32_t *value)
{
	uint32_t max = (1u << bits) - 1;
	unsigned shift = 0;

	if (!n)
		return 0;
	*value = p[0] & max;
	if (*value < max)
		return 1;
	for (size_t i = 1; i < n && shift <= 14; i++, shift += 7) {
		*value += (uint32_t)(p[i] & 0x7f) << shift;
		if (!(p[i] & 0x80))
			return i + 1;
	}
	return 0;
}

static size_t look_string(const uint8_t *p, size_t n)
{
	uint32_t len;
	size_t at = look_integer(p, n, 7, &len);

	return at && len <= n - at ? at + len : 0;
}

/*
 * The field at p: its index (0: a new name) and whether that alone is all of it. Returns the bytes
 * it takes, 0: it is none.
 */
static size_t look_field(const uint8_t *p, size_t n, uint32_t *index)
{
	unsigned bits = p[0] & 0x80 ? 7 : p[0] & 0x40 ? 6 : p[0] & 0x20 ? 5 : 4;
	size_t at = look_integer(p, n, bits, index), len;

	if (!at)
		return 0;
	if (bits == 7)
		return *index ? at : 0;
	if (bits == 5) { /* a table size update */
		*index = UINT32_MAX;
		return at;
	}
	for (int strings = *index ? 1 : 2; strings > 0; strings--) {
		len = look_string(p + at, n - at);
		if (!len)
			return 0;
		at += len;
	}
	return at;
}

enum hpack_look hpack__look(const uint8_t *p, size_t n)
{
	enum hpack_look look = HPACK_ANY;
	uint32_t index;

	for (size_t at = 0, len; at < n; at += len) {
		len = look_field(p + at, n - at, &index);
		if (!len)
			return HPACK_NONE;
		/*
		 * Static entries 1 to 7 are a request's pseudo fields, 8 to 14 :status (RFC 7541,
		 * appendix A).
		 */
		enum hpack_look now = index >= 1 && index <= 7    ? HPACK_REQUEST
				      : index >= 8 && index <= 14 ? HPACK_RESPONSE
								  : HPACK_ANY;

		if (now != HPACK_ANY && look != HPACK_ANY && now != look)
			return HPACK_NONE;
		if (now != HPACK_ANY)
			look = now;
	}
	return n ? look : HPACK_NONE;
}

/* ---- reading ---- */

/* A blind table's block, whose fields are looked at beside nghttp2. */
struct beside {
	struct hpack *h;
	const uint8_t *p;
	size_t n;
	hpack_field_fn fn;
	void *ctx;
};

/* The next field of the block, size updates passed over; all zero: there is none. */
static struct hpack_ref next_ref(struct beside *b)
{
	uint32_t index = UINT32_MAX;

	while (b->n) {
		uint8_t first = *b->p;
		size_t len = look_field(b->p, b->n, &index);

		if (!len)
			break;
		b->p += len;
		b->n -= len;
		if (index != UINT32_MAX)
			return (struct hpack_ref){ .index = index,
						   .alone = first & 0x80,
						   .adds = (first & 0xc0) == 0x40 };
	}
	return (struct hpack_ref){ 0 };
}

static void read_beside(void *ctx, struct slice name, struct slice value)
{
	struct beside *b = ctx;
	struct hpack_ref ref = next_ref(b);

	hpack__learn_field(b->h, &ref, &name, &value);
	b->fn(b->ctx, name, value);
}

enum hpack_result hpack__read(struct hpack *h, const uint8_t *p, size_t n, bool whole,
			      hpack_field_fn fn, void *ctx)
{
	struct beside b = { h, p, n, fn, ctx };
	bool learn = h->blind && whole;

	if (!ready(h))
		return HPACK_BAD;
	if (learn)
		hpack__learn_begin(h, p, n);
	int err = inflate(h->inflater, p, n, whole, learn ? read_beside : fn, learn ? &b : ctx);

	if (!err) {
		if (learn)
			hpack__learn_end(h);
		if (!whole)
			hpack__forget(h);
		return HPACK_OK;
	}
	bool again = !h->wide;

	hpack__forget(h);
	h->wide = true;
	return again ? HPACK_AGAIN : HPACK_BAD;
}
