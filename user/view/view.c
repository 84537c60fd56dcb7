// SPDX-License-Identifier: GPL-2.0-or-later
#include "view_ops.h"

void view__trace(void *view, struct trace *t)
{
	struct view *v = view;

	v->ops->trace(v, t);
}

int view__tick(struct view *v, uint64_t now_ns)
{
	return v->ops->tick(v, now_ns);
}

int view__close(struct view *v)
{
	return v->ops->close(v);
}
