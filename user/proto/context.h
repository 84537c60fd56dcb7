/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trace context as messages carry it: which headers, and the comment at the end of a statement. The
 * values are kept as they stood there; span/context.h says what they mean.
 */
#ifndef WEFT_PROTO_CONTEXT_H
#define WEFT_PROTO_CONTEXT_H

#include "proto.h"

/*
 * A header or metadata entry of a request. Its value is kept with m if the name (in any case) is
 * one that carries context. False: it is none.
 */
bool context__take(struct facts_context *c, struct message *m, struct slice name,
		   struct slice value);

/* Nothing of it was taken. */
bool context__none(const struct facts_context *c);

/*
 * What the comment at the end of a statement says: key='value',key='value', percent-encoded
 * (sqlcommenter). Decoded values are kept in `keep`.
 */
void context__from_sql(struct facts_context *c, struct slice sql, struct arena *keep);

#endif /* WEFT_PROTO_CONTEXT_H */
