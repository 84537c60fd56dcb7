/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random trace and span ids. Any thread; each has a generator of its own, seeded by the kernel's.
 * Unique, not secret.
 */
#ifndef WEFT_IDS_H
#define WEFT_IDS_H

#include <stdint.h>

/*
 * The W3C trace flag that goes with ids__trace(): its last seven bytes are uniformly random (Trace
 * Context Level 2).
 */
#define IDS_FLAG_RANDOM 0x02

uint64_t ids__random(void);
/* Never all zero. */
void ids__trace(uint8_t id[16]);
void ids__span(uint8_t id[8]);

/* From here on this thread's ids follow from `seed`: for tests whose output must repeat. */
void ids__seed(uint64_t seed);

#endif /* WEFT_IDS_H */
