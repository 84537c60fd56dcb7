// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a process's environment says of it: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES, read as
 * an SDK inside the process would. The environment is the one it was started with; programs that
 * overwrite it with their title (nginx, PostgreSQL) show nothing.
 */
#include "parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/hex.h"

/* An empty value is the same as none. */
static void take(char **where, const char *entry, const char *name)
{
	size_t n = strlen(name);

	if (strncmp(entry, name, n) == 0 && entry[n] == '=' && entry[n + 1] && !*where)
		*where = strdup(entry + n + 1);
}

bool environ__parse(const char *env, size_t len, struct env_facts *out)
{
	*out = (struct env_facts){ 0 };
	for (size_t i = 0; i < len; i += strlen(env + i) + 1) {
		const char *entry = env + i;

		take(&out->service_name, entry, "OTEL_SERVICE_NAME");
		take(&out->resource, entry, "OTEL_RESOURCE_ATTRIBUTES");
		take(&out->hostname, entry, "HOSTNAME");
		if (strncmp(entry, "KUBERNETES_SERVICE_HOST=", 24) == 0)
			out->kubernetes = true;
	}
	return true;
}

void env_facts__free(struct env_facts *e)
{
	free(e->service_name);
	free(e->resource);
	free(e->hostname);
	*e = (struct env_facts){ 0 };
}

/*
 * Percent-decode in place. False if it is malformed or gives what no attribute can hold (NUL,
 * broken UTF-8).
 */
static bool decode(char *s)
{
	char *to = s;

	while (*s) {
		if (*s != '%') {
			*to++ = *s++;
			continue;
		}
		int hi = hex__digit(s[1]), lo = hi < 0 ? -1 : hex__digit(s[2]);

		if (lo < 0 || hi + lo == 0)
			return false;
		*to++ = (char)(hi << 4 | lo);
		s += 3;
	}
	*to = '\0';
	return true;
}

static char *trim(char *s)
{
	s += strspn(s, " \t");
	size_t n = strlen(s);

	while (n && (s[n - 1] == ' ' || s[n - 1] == '\t'))
		n--;
	s[n] = '\0';
	return s;
}

/* One pass over the text: with fn NULL it only checks. */
static int walk(const char *text, void (*fn)(void *, const char *, const char *, const char *),
		void *ctx)
{
	while (true) {
		size_t n = strcspn(text, ",");
		char *raw = strndup(text, n), *pair = strndup(text, n);
		char *equals = pair ? strchr(pair, '=') : NULL;
		bool ok = raw && equals && !strchr(equals + 1, '=');

		if (ok) {
			*equals = '\0';
			char *key = trim(pair), *value = trim(equals + 1);

			ok = decode(key) && decode(value) && *key && text__clean(key) &&
			     text__clean(value);
			if (ok && fn)
				fn(ctx, key, value, trim(raw));
		}
		free(raw);
		free(pair);
		if (!ok)
			return -EINVAL;
		if (!text[n])
			return 0;
		text += n + 1;
	}
}

int resource_attrs__each(const char *text,
			 void (*fn)(void *ctx, const char *key, const char *value, const char *raw),
			 void *ctx)
{
	int err = walk(text, NULL, NULL);

	return err ? err : walk(text, fn, ctx);
}
