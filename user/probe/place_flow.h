/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What registers hold at a function's instructions: what it will return, or what it was given. The
 * end of the function need not be known, if all ways through it can be followed to a ret.
 */
#ifndef WEFT_PLACE_FLOW_H
#define WEFT_PLACE_FLOW_H

#include "place_code.h"

/* Sets of registers before each instruction; the owner calls place_flow__free(). */
struct place_flow {
	uint16_t *
		result; /* those that hold what will be returned, whatever way is taken from here */
	uint16_t *kept; /* those that hold what was in `arg` when the function began */
};

/*
 * System V functions only: what a call gives back as it found it. 1, 0 (not all ways through the
 * function are known), -ENOMEM. `arg` may be REG_NONE.
 */
int place_flow__follow(struct place_code *c, unsigned arg, struct place_flow *out);
void place_flow__free(struct place_flow *f);

#endif /* WEFT_PLACE_FLOW_H */
