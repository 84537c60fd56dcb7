/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Values of options as people write them: numbers, durations, sizes, URLs. */
#ifndef WEFT_CLI_VALUES_H
#define WEFT_CLI_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first n bytes of s, digits only, as a number from min to max. *out is written only if true. */
bool value__number(const char *s, size_t n, uint64_t min, uint64_t max, uint64_t *out);

/* "500ms", "10s", "2m", "1h", "1.5" (seconds): from a nanosecond to ten years. *ns is written only if true. */
bool value__duration(const char *text, uint64_t *ns);

/* "512K", "8M", "1G", or bytes: from min to max. *bytes is written only if true. */
bool value__size(const char *text, uint64_t min, uint64_t max, uint64_t *bytes);

/* Neither blanks nor control characters. */
bool value__is_plain(const char *text);

/* http or https, with a host. */
bool value__is_url(const char *text);

#endif
