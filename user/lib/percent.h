/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WEFT_PERCENT_H
#define WEFT_PERCENT_H

#include "arena.h"

/*
 * With "%2C" as the byte it stands for (RFC 3986, 2.1); what is no such code stays as it is. The
 * result is in `a`; empty if it does not fit.
 */
struct slice percent__decode(struct slice s, struct arena *a);

#endif /* WEFT_PERCENT_H */
