/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What must hold whatever the input is: a fuzz target's only way to fail besides memory errors. */
#ifndef WEFT_FUZZ_REQUIRE_H
#define WEFT_FUZZ_REQUIRE_H

#include <stdio.h>
#include <stdlib.h>

#define REQUIRE(cond)                                                                              \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                 \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#endif /* WEFT_FUZZ_REQUIRE_H */
