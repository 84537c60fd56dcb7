/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the two encodings of OTLP share. No I/O. */
#ifndef WEFT_OTLP_H
#define WEFT_OTLP_H

#include <stddef.h>
#include <stdint.h>

#include "../user/span/span.h"

#define OTLP_SCOPE_NAME "weft"
/* Of the semantic conventions that user/span/ follows. */
#define OTLP_SCHEMA_URL "https://opentelemetry.io/schemas/1.44.0"

/* Spans of one resource, which stand together in otlp_groups.spans. */
struct otlp_group {
	const struct resource *resource; /* NULL: unknown */
	size_t first, n;
};

struct otlp_groups {
	struct otlp_group *v; /* in order of first appearance */
	size_t n;
	struct span **spans; /* all, by group; within one in the order given */
};

/* 0 or -ENOMEM. Freed with otlp_groups__free(), also after an error. */
int otlp_groups__make(struct span *const *spans, size_t n, struct otlp_groups *g);
void otlp_groups__free(struct otlp_groups *g);

/* What a receiver answered. */
struct otlp_answer {
	int64_t rejected;  /* partial success: spans not taken; 0 none */
	char message[160]; /* what it said, made fit for a terminal; "" nothing */
};

/* ExportTraceServiceResponse. 0, or -EBADMSG if it is none. */
int otlp__decode_answer_protobuf(const uint8_t *p, size_t n, struct otlp_answer *out);
int otlp__decode_answer_json(const uint8_t *p, size_t n, struct otlp_answer *out);
/* google.rpc.Status: only the message. 0 or -EBADMSG. */
int otlp__decode_status_protobuf(const uint8_t *p, size_t n, struct otlp_answer *out);
int otlp__decode_status_json(const uint8_t *p, size_t n, struct otlp_answer *out);
/* Foreign text into out->message: cut, and without anything that a terminal would obey. */
void otlp_answer__set_message(struct otlp_answer *out, const void *p, size_t n);

#endif /* WEFT_OTLP_H */
