/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The queue's inside, for queue.c and its tests. */
#ifndef WEFT_EXPORT_QUEUE_H
#define WEFT_EXPORT_QUEUE_H

#include "exporter.h"

struct queue_limits {
	size_t max_spans;   /* that may wait; those being sent are not among them */
	size_t batch_spans; /* most in one send; <= max_spans */
	int64_t delay_ms;   /* a span waits at most so long for its batch to become full */
	int64_t give_up_ms; /* a batch that could not be sent for so long is dropped */
	int64_t backoff_ms; /* before the first repetition; doubles up to backoff_max_ms */
	int64_t backoff_max_ms;
	int64_t retry_after_max_ms; /* longest wait that a receiver may ask for */
};

/* From OTEL_BSP_* and weft's defaults. */
void queue_limits__read(const struct exporter_config *cfg, struct queue_limits *l);

/*
 * A queue before an exporter that is open already; takes `state` over, also when it fails (NULL:
 * out of memory or threads).
 */
struct export_queue *export_queue__new(const struct exporter *exporter, void *state,
				       const struct queue_limits *l);

#endif /* WEFT_EXPORT_QUEUE_H */
