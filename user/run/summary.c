// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The balance, on stderr: what was seen, what became spans, what did not and why. Its lines are
 * stable: tests read them.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../lib/log.h"
#include "pipeline.h"

static const char *const kernel_reasons[WEFT_DROP_MAX] = {
	[WEFT_DROP_RING_FULL] = "ring buffer full (a larger --ring-size helps)",
	[WEFT_DROP_CONN_FULL] = "connection table full (a larger --max-connections helps)",
	[WEFT_DROP_NO_STATE] = "call began unseen",
	[WEFT_DROP_COMPAT] = "32-bit system call",
};

static void reason(const char *what, uint64_t n)
{
	if (n)
		log_info("  dropped %llu: %s", (unsigned long long)n, what);
}

static uint64_t kernel_lost(const struct outcome *o)
{
	uint64_t n = o->recursion_misses + o->not_read;

	for (int i = 0; i < WEFT_DROP_MAX; i++)
		n += o->kernel_drops[i];
	return n;
}

static void print_events(const struct outcome *o)
{
	const struct balance *b = &o->books;
	uint64_t lost = kernel_lost(o), dropped = lost;

	for (int i = 0; i < DROP_REASONS; i++)
		dropped += b->dropped[i];
	log_info("balance: %llu events seen = %llu in spans + %llu lifecycle + %llu dropped%s",
		 (unsigned long long)(b->received + lost), (unsigned long long)b->in_spans,
		 (unsigned long long)b->lifecycle, (unsigned long long)dropped,
		 balance__exact(b) && !b->pending ? "" : "  DOES NOT ADD UP: please report");
	for (int i = 0; i < DROP_REASONS; i++)
		reason(balance__reason(i), b->dropped[i]);
	for (int i = 0; i < WEFT_DROP_MAX; i++)
		reason(kernel_reasons[i], o->kernel_drops[i]);
	reason("the kernel refused to run a program inside itself (recursion)",
	       o->recursion_misses);
	reason("left in the ring buffer", o->not_read);
}

static bool print_export(const struct outcome *o)
{
	const struct export_stats *e = &o->exported;
	uint64_t lost = e->dropped_full + e->dropped_refused + e->dropped_timeout;

	if (!o->exporting)
		return true;
	log_info("export: %llu spans = %llu exported + %llu dropped",
		 (unsigned long long)e->accepted, (unsigned long long)e->exported,
		 (unsigned long long)lost);
	reason("export queue full", e->dropped_full);
	reason("refused by the receiver", e->dropped_refused);
	reason("receiver did not answer in time", e->dropped_timeout);
	if (lost && e->last_error[0])
		log_info("  last error: %s", e->last_error);
	return !lost;
}

int summary__print(const struct outcome *o)
{
	log_info("%llu spans in %llu traces", (unsigned long long)o->books.spans,
		 (unsigned long long)o->traces);
	print_events(o);
	bool exported = print_export(o);

	if (o->view_error)
		log_error("could not write to stdout: %s", strerror(-o->view_error));
	if (kernel_lost(o) || o->books.dropped[DROP_NO_MEMORY])
		log_warn("some events were lost: spans may be missing or incomplete");
	if (kernel_lost(o) || o->books.dropped[DROP_NO_MEMORY] || !exported)
		return EXIT_LOST;
	return o->view_error && o->view_error != -EPIPE ? EXIT_LOST : EXIT_DONE;
}
