// SPDX-License-Identifier: GPL-2.0-or-later
#include "proto.h"

struct slice message__keep(struct message *m, struct slice s)
{
	struct slice kept = arena__copy(&m->keep, s);

	if (kept.n < s.n)
		m->truncated = true;
	return kept;
}
