// SPDX-License-Identifier: GPL-2.0-or-later
#include "table.h"

#include <string.h>
#include <strings.h>

#define SONAMES_MAX 64

extern const struct probe_library probe_openssl, probe_openssl_crypto, probe_gnutls, probe_gotls,
	probe_sqlite, probe_libpq, probe_mysql, probe_hiredis, probe_python, probe_goruntime,
	probe_libuv, probe_nghttp2;

const struct probe_library *const probe_table[] = {
	&probe_openssl, &probe_openssl_crypto, &probe_gnutls,  &probe_gotls,  &probe_sqlite,
	&probe_libpq,   &probe_mysql,          &probe_hiredis, &probe_python, &probe_goruntime,
	&probe_libuv,   &probe_nghttp2,        NULL,
};

uint64_t probe_table__find(const char *name, size_t len)
{
	uint64_t found = 0;

	for (size_t i = 0; probe_table[i]; i++)
		if (strncasecmp(probe_table[i]->name, name, len) == 0 && !probe_table[i]->name[len])
			found |= 1ull << i;
	return found;
}

uint64_t probe_table__all(void)
{
	uint64_t all = 0;

	for (size_t i = 0; probe_table[i]; i++)
		all |= 1ull << i;
	return all;
}

const char *probe_table__name(size_t i)
{
	for (size_t at = 0; probe_table[at]; at++) {
		if (at && strcmp(probe_table[at]->name, probe_table[at - 1]->name) == 0)
			continue;
		if (!i--)
			return probe_table[at]->name;
	}
	return NULL;
}

const char *const *probe_table__sonames(void)
{
	static const char *names[SONAMES_MAX + 1];
	size_t n = 0;

	if (names[0])
		return names;
	for (size_t i = 0; probe_table[i]; i++) {
		if (i && strcmp(probe_table[i]->name, probe_table[i - 1]->name) == 0)
			continue;
		for (const char *const *s = probe_table[i]->sonames; s && *s; s++)
			if (n < SONAMES_MAX)
				names[n++] = *s;
	}
	return names;
}
