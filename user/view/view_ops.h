/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every view begins with. A view is a struct whose first member is `struct view`; its
 * constructor sets ops, and view.c calls through them. Contracts of the functions: view.h.
 */
#ifndef WEFT_VIEW_OPS_H
#define WEFT_VIEW_OPS_H

#include "view.h"

struct view_ops {
	void (*trace)(struct view *v, struct trace *t);
	int (*tick)(struct view *v, uint64_t now_ns);
	int (*close)(struct view *v); /* frees v */
};

struct view {
	const struct view_ops *ops;
};

#endif /* WEFT_VIEW_OPS_H */
