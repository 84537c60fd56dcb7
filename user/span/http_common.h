/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a server's spans have in common: all but path, query, status and the client's port is mostly
 * the same as in an earlier one, and is copied as a whole instead of being read out of the headers and
 * written down again.
 */
#ifndef WEFT_HTTP_COMMON_H
#define WEFT_HTTP_COMMON_H

#include "conventions.h"

/*
 * Attributes and name from an earlier span that was asked by the same words, into a span that has no
 * attributes yet. False: there was none, the span is as it was. `c` may be NULL.
 */
bool http_common__give(const struct http_common *c, struct span *s, const struct facts_http *h,
		       const struct span_ends *ends);
/* The span has what it has in common with others, and nothing else: keep that. `c` may be NULL. */
void http_common__take(struct http_common *c, const struct span *s, const struct facts_http *h,
		       const struct span_ends *ends);

#endif /* WEFT_HTTP_COMMON_H */
