// SPDX-License-Identifier: GPL-2.0-or-later
#include "key_list.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_token(const char *s)
{
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("!#$%&'*+-.^_`|~", *s))
			return false;
	return true;
}

static char *trim(char *s)
{
	s += strspn(s, " \t");
	for (size_t n = strlen(s); n && (s[n - 1] == ' ' || s[n - 1] == '\t'); n--)
		s[n - 1] = '\0';
	return s;
}

static int add(struct key_list *l, const char *option, const char *key, char *why, size_t why_len)
{
	if (!*key || strlen(key) > KEY_MAX || !is_token(key)) {
		snprintf(why, why_len, "%s: '%s' is no key; write %s user.id,tenant", option, key,
			 option);
		return -EINVAL;
	}
	if (l->n == KEY_LIST_MAX) {
		snprintf(why, why_len, "%s: more than %d keys", option, KEY_LIST_MAX);
		return -EINVAL;
	}
	l->keys[l->n++] = key;
	return 0;
}

int key_list__read(struct key_list *l, const char *option, const char *text, char *why,
		   size_t why_len)
{
	int err = 0;

	key_list__free(l);
	l->text = strdup(text);
	if (!l->text) {
		snprintf(why, why_len, "out of memory");
		return -ENOMEM;
	}
	for (char *s = l->text, *next; s && !err; s = next) {
		next = strchr(s, ',');
		if (next)
			*next++ = '\0';
		err = add(l, option, trim(s), why, why_len);
	}
	return err;
}

void key_list__free(struct key_list *l)
{
	free(l->text);
	*l = (struct key_list){ 0 };
}
