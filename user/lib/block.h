/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory for what is made and freed with every span. Blocks that are given back are kept by size
 * and handed out again, which costs a tenth of malloc(3) where thousands live at a time. What was
 * not needed for a while goes back to malloc (blocks__trim()).
 *
 * One thread gets blocks, the first that asks; any thread may put them (exporters free spans). Under
 * a sanitizer every block is malloc's, so that it sees each use after its end.
 */
#ifndef WEFT_BLOCK_H
#define WEFT_BLOCK_H

#include <stddef.h>

/* Not cleared, aligned for anything; NULL: memory is out. */
void *block__get(size_t size);
/* `size` as it was asked for. NULL is let pass. */
void block__put(void *p, size_t size);
/* Frees what was not needed since the call before. On the thread that gets blocks. */
void blocks__trim(void);

#endif /* WEFT_BLOCK_H */
