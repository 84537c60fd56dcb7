/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How much of the program is in memory. */
#ifndef WEFT_RESIDENT_H
#define WEFT_RESIDENT_H

/*
 * What a piece of work has left behind that is over, like starting: pages of code and constants,
 * which the kernel brings back as they are needed, and memory that malloc holds and nobody has.
 */
void resident__give_back(void);

#endif /* WEFT_RESIDENT_H */
