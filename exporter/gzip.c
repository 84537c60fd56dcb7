// SPDX-License-Identifier: GPL-2.0-or-later
#include "gzip.h"

#include <errno.h>
#include <isa-l/igzip_lib.h>
#include <stdio.h>
#include <stdlib.h>

#include "../user/lib/on_demand.h"
#include "sonames.h"

#define ISAL_FUNCTIONS(F)                                                                          \
	F(deflate_stateless_init)                                                                  \
	F(deflate_stateless)

/* ISA-L: isal.deflate_stateless() is isal_deflate_stateless(). */
static struct {
#define ISAL_MEMBER(f) typeof(isal_##f) *(f);
	ISAL_FUNCTIONS(ISAL_MEMBER)
} isal;

static const char *const isal_names[] = {
#define ISAL_NAME(f) "isal_" #f,
	ISAL_FUNCTIONS(ISAL_NAME)
};

/*
 * Level 1 finds most of what there is to find (keys repeat in each span), and is as fast as level
 * 0, which leaves a quarter more. Less room for its work costs time, more gains nothing.
 */
#define LEVEL 1
#define WORK_BYTES ISAL_DEF_LVL1_MEDIUM

static struct on_demand library = ON_DEMAND(SONAME_isal, isal, isal_names);

struct gzip {
	struct isal_zstream stream;
	uint8_t work[WORK_BYTES];
};

struct gzip *gzip__new(char *why, size_t why_len)
{
	if (on_demand__load(&library, why, why_len) < 0)
		return NULL;
	struct gzip *g = malloc(sizeof(*g));

	if (!g)
		snprintf(why, why_len, "out of memory");
	return g;
}

void gzip__free(struct gzip *g)
{
	free(g);
}

/*
 * What can't be made smaller is stored, with 5 bytes before each 65,535 (RFC 1951, 3.2.4). The rest
 * is for gzip's own head and end (18 bytes), and more than that.
 */
size_t gzip__bound(size_t n)
{
	return n + n / 4096 + 256;
}

int gzip__pack(struct gzip *g, const uint8_t *p, size_t n, uint8_t *packed, size_t room,
	       size_t *packed_n)
{
	struct isal_zstream *s = &g->stream;

	if (n > UINT32_MAX)
		return -EMSGSIZE;
	isal.deflate_stateless_init(s);
	s->level = LEVEL;
	s->level_buf = g->work;
	s->level_buf_size = sizeof(g->work);
	s->gzip_flag = IGZIP_GZIP;
	s->end_of_stream = 1;
	s->flush = NO_FLUSH;
	s->next_in = (uint8_t *)(uintptr_t)p; /* which it only reads */
	s->avail_in = (uint32_t)n;
	s->next_out = packed;
	s->avail_out = room < UINT32_MAX ? (uint32_t)room : UINT32_MAX;
	switch (isal.deflate_stateless(s)) {
	case COMP_OK: *packed_n = s->total_out; return 0;
	case STATELESS_OVERFLOW: return -EMSGSIZE;
	default: return -EIO;
	}
}
