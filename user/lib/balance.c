// SPDX-License-Identifier: GPL-2.0-or-later
#include "balance.h"

static const char *const reasons[DROP_REASONS] = {
	[DROP_UNKNOWN_PROTOCOL] = "unknown protocol",
	[DROP_FILTERED] = "not selected (--protocol, --db-source)",
	[DROP_MID_STREAM] = "joined in the middle",
	[DROP_CONTROL] = "protocol housekeeping, no part of an exchange",
	[DROP_BROKEN] = "malformed",
	[DROP_LOST_BYTES] = "other bytes were lost",
	[DROP_DUPLICATE] = "duplicate",
	[DROP_TLS] = "ciphertext of TLS",
	[DROP_TOLD_TWICE] = "seen by wire and library: told by the other",
	[DROP_INSTRUMENTED] = "left to the process's own OpenTelemetry SDK",
	[DROP_AFTER_END] = "came after weft was told to end",
	[DROP_NO_MEMORY] = "limit reached",
};

const char *balance__reason(enum drop_reason why)
{
	return why < DROP_REASONS ? reasons[why] : "?";
}

bool balance__exact(const struct balance *b)
{
	uint64_t sum = b->lifecycle + b->in_spans + b->pending;

	for (int i = 0; i < DROP_REASONS; i++)
		sum += b->dropped[i];
	return sum == b->received;
}
