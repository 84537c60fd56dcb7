// SPDX-License-Identifier: GPL-2.0-or-later
#include "name_list.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "../probe/table.h"
#include "../proto/proto.h"

static int unknown(const struct name_kind *kind, const char *s, size_t n, char *why, size_t why_len)
{
	char names[256] = "";

	for (size_t i = 0; kind->name(i); i++) {
		size_t used = strlen(names);

		snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "", kind->name(i));
	}
	snprintf(why, why_len, "%s: unknown %s '%.*s'; known: %s", kind->option, kind->word, (int)n,
		 s, names);
	return -EINVAL;
}

static bool is(const char *word, size_t len, const char *name)
{
	return strlen(name) == len && strncasecmp(word, name, len) == 0;
}

static int add_word(struct name_list *l, const struct name_kind *kind, const char *word, size_t len,
		    bool out, char *why, size_t why_len)
{
	if (kind->none_allowed && !out && is(word, len, "none")) {
		l->none = true;
		return 0;
	}
	uint64_t bits = kind->none_allowed && is(word, len, "all") ? kind->all()
								   : kind->find(word, len);

	if (!bits)
		return unknown(kind, word, len, why, why_len);
	*(out ? &l->exclude : &l->include) |= bits;
	return 0;
}

int name_list__add(struct name_list *l, const struct name_kind *kind, const char *text, char *why,
		   size_t why_len)
{
	l->given = true;
	for (const char *s = text;; s++) {
		size_t len = strcspn(s, ",");
		const char *word = s;

		s += len;
		while (len && isspace((unsigned char)*word))
			word++, len--;
		while (len && isspace((unsigned char)word[len - 1]))
			len--;
		bool out = len && *word == '!';

		word += out;
		len -= out;
		if (!len) {
			snprintf(why, why_len, "%s '%s': a name is missing; write %s %s",
				 kind->option, text, kind->option, kind->example);
			return -EINVAL;
		}
		int err = add_word(l, kind, word, len, out, why, why_len);

		if (err || !*s)
			return err;
	}
}

uint64_t name_list__wanted(const struct name_list *l, const struct name_kind *kind, char *why,
			   size_t why_len)
{
	uint64_t wanted = (l->include ? l->include : l->none ? 0 : kind->all()) & ~l->exclude;

	if (l->given && !wanted && !kind->none_allowed)
		snprintf(why, why_len, "%s: every %s is left out, nothing could be seen",
			 kind->option, kind->word);
	return wanted;
}

static uint64_t find_protocol(const char *name, size_t len)
{
	const struct protocol *found = protocol__find(slice__from(name, len));
	int place = found ? protocol__place(found) : -1;

	return place >= 0 && place < 64 ? 1ull << place : 0;
}

static uint64_t all_protocols(void)
{
	uint64_t all = 0;

	for (size_t i = 0; i < 64 && protocol__at(i); i++)
		all |= 1ull << i;
	return all;
}

static const char *protocol_name(size_t i)
{
	const struct protocol *p = protocol__at(i);

	return p ? p->name : NULL;
}

const struct name_kind name_list__protocols = {
	.option = "--protocol",
	.word = "protocol",
	.example = "http,postgres or '!redis'",
	.find = find_protocol,
	.all = all_protocols,
	.name = protocol_name,
};

const struct name_kind name_list__libraries = {
	.option = "--libraries",
	.word = "library",
	.example = "openssl,sqlite, '!libpq' or none",
	.find = probe_table__find,
	.all = probe_table__all,
	.name = probe_table__name,
	.none_allowed = true,
};
