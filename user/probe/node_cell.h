/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Inside probe/ only: the helper in one Node.js process. */
#ifndef WEFT_NODE_CELL_H
#define WEFT_NODE_CELL_H

#include "../../bpf/types.bpf.h"
#include "node_helper.h"

struct node_cell_at {
	pid_t pid;
	uint64_t at; /* 0: there is none */
	uint8_t key[NODE_KEY_LEN];
	int32_t beat;
};

/*
 * Puts it in: asks whether that is possible, opens the inspector, runs the script, which closes it,
 * and learns where its cell is. Mostly a tenth of a second. `name`: where the inspector listened. As
 * node_helper__possible().
 */
int node_helper__put_in(struct kernel *k, pid_t pid, struct node_cell_at *out, char *name,
			size_t name_len, char *why, size_t why_len);
/* 0: it is at work; -EIDRM: it has gone; -ESRCH: that process, or its program, is no more. */
int node_helper__look(const struct node_cell_at *c);
/* Moves its beat. As node_helper__look(). */
int node_helper__beat(struct node_cell_at *c);
/* Tells it to go: node_helper__look() says when it has. */
void node_helper__dismiss(const struct node_cell_at *c);

#endif /* WEFT_NODE_CELL_H */
