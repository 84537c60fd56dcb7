// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Redaction of URLs (semantic conventions, "url.full" and "url.query"): user info, and the values
 * of query keys that carry credentials. Keys are compared as they stand, case included.
 */
#include "conventions.h"

static const struct slice secret_keys[] = {
	/* The list of the conventions: signatures of AWS, Azure and Google Cloud. */
	{ "X-Amz-Signature", 15 },
	{ "X-Amz-Credential", 16 },
	{ "X-Amz-Security-Token", 20 },
	{ "sig", 3 },
	{ "X-Goog-Signature", 16 },
	{ "AWSAccessKeyId", 14 },
	{ "Signature", 9 },
	/* Ours: OAuth 2.0 (RFC 6749, 6750) and the usual names of keys and passwords. */
	{ "access_token", 12 },
	{ "refresh_token", 13 },
	{ "id_token", 8 },
	{ "client_secret", 13 },
	{ "password", 8 },
	{ "passwd", 6 },
	{ "api_key", 7 },
	{ "apikey", 6 },
};

static const struct slice redacted = { "REDACTED", 8 };

static bool is_secret(struct slice key)
{
	for (size_t i = 0; i < sizeof(secret_keys) / sizeof(secret_keys[0]); i++)
		if (slice__eq(key, secret_keys[i]))
			return true;
	return false;
}

static char *put(char *out, struct slice s)
{
	memcpy(out, s.p, s.n);
	return out + s.n;
}

/*
 * The query with secret values replaced, written to `out` unless it is NULL. Returns its length;
 * *found: there was one.
 */
static size_t rewrite(struct slice query, char *out, bool *found)
{
	const char *end = query.p + query.n;
	size_t n = 0;

	for (const char *p = query.p; p < end;) {
		struct slice pair = slice__upto(slice__from(p, (size_t)(end - p)), '&');
		struct slice key = slice__upto(pair, '=');
		bool secret = key.n < pair.n && is_secret(key);

		*found |= secret;
		/* The part that stays, the replaced value, the separator. */
		struct slice stays = secret ? slice__from(pair.p, key.n + 1) : pair;
		bool more = pair.p + pair.n < end;

		n += stays.n + (secret ? redacted.n : 0) + more;
		if (out) {
			out = put(out, stays);
			out = secret ? put(out, redacted) : out;
			out = more ? put(out, SLICE("&")) : out;
		}
		p = pair.p + pair.n + more;
	}
	return n;
}

struct slice url__redact_query(struct slice query, struct arena *a)
{
	bool found = false;

	if (!query.n)
		return query;
	size_t n = rewrite(query, NULL, &found);

	if (!found)
		return query;
	char *out = arena__alloc(a, n);

	if (!out) /* rather nothing than the secret */
		return SLICE("");
	rewrite(query, out, &found);
	return slice__from(out, n);
}

/* User info of the URL, with its '@'; empty if there is none. */
static struct slice user_info(struct slice url)
{
	const char *p = url.p, *end = url.p + url.n, *at = NULL;

	while (p < end && *p != ':' && *p != '/' && *p != '?' && *p != '#')
		p++;
	if (p < end && *p == ':')
		p++;
	if (end - p < 2 || p[0] != '/' || p[1] != '/')
		return SLICE("");
	const char *authority = p += 2;

	for (; p < end && *p != '/' && *p != '?' && *p != '#'; p++)
		if (*p == '@')
			at = p;
	return at ? slice__from(authority, (size_t)(at + 1 - authority)) : SLICE("");
}

struct slice url__redact(struct slice url, struct arena *a)
{
	struct slice user = url.n ? user_info(url) : url;
	struct slice before = slice__upto(slice__upto(url, '#'), '?');
	struct slice query = slice__upto(url, '#');

	query = before.n < query.n ? slice__from(url.p + before.n + 1, query.n - before.n - 1)
				   : SLICE("");
	struct slice clean = url__redact_query(query, a);

	if (!user.n && clean.p == query.p)
		return url;
	struct slice fragment = query.n ? slice__from(query.p + query.n,
						      (size_t)(url.p + url.n - query.p) - query.n)
					: slice__from(before.p + before.n, url.n - before.n);
	struct slice scheme = user.n ? slice__from(url.p, (size_t)(user.p - url.p)) : SLICE("");
	struct slice rest = slice__from(before.p + scheme.n + user.n, before.n - scheme.n - user.n);

	return arena__printf(a, SLICE_FMT "%s" SLICE_FMT "%s" SLICE_FMT SLICE_FMT,
			     SLICE_ARG(scheme),
			     !user.n                       ? ""
			     : memchr(user.p, ':', user.n) ? "REDACTED:REDACTED@"
							   : "REDACTED@",
			     SLICE_ARG(rest), query.n ? "?" : "", SLICE_ARG(clean),
			     SLICE_ARG(fragment));
}
