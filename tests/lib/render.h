/* SPDX-License-Identifier: GPL-2.0-or-later */
/* An exchange as one readable line: what describe() said of it, and how it ended. */
#ifndef WEFT_TEST_RENDER_H
#define WEFT_TEST_RENDER_H

#include "../../user/proto/proto.h"

/* `span` is what describe() returned. The text is the caller's to free. */
char *render__exchange(bool span, const struct facts *f, unsigned exchange_flags);

#endif
