/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys separated by commas, as --baggage takes them: of anybody's choice, not of known ones. */
#ifndef WEFT_KEY_LIST_H
#define WEFT_KEY_LIST_H

#include <stddef.h>

#define KEY_LIST_MAX 32
#define KEY_MAX 128 /* bytes of a key */

struct key_list {
	const char *keys[KEY_LIST_MAX + 1]; /* ended by NULL; they point into `text` */
	size_t n;
	char *text;
};

/*
 * Takes the place of what was there. A key is a token of HTTP (RFC 9110, 5.6.2). Returns 0, or
 * -EINVAL or -ENOMEM with the reason in `why`.
 */
int key_list__read(struct key_list *l, const char *option, const char *text, char *why,
		   size_t why_len);
void key_list__free(struct key_list *l);

#endif /* WEFT_KEY_LIST_H */
