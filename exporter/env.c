// SPDX-License-Identifier: GPL-2.0-or-later
#include "env.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../user/lib/hex.h"
#include "../user/lib/libcurl.h"
#include "../user/lib/log.h"
#include "../user/lib/slice.h"

/* ---- values ---- */

const char *env__text(const struct exporter_config *cfg, const char *name)
{
	const char *value = cfg->env ? cfg->env(name) : NULL;

	return value && *value ? value : NULL;
}

bool env__bool(const struct exporter_config *cfg, const char *name)
{
	const char *value = env__text(cfg, name);

	if (!value)
		return false;
	if (strcasecmp(value, "true") == 0)
		return true;
	if (strcasecmp(value, "false") != 0)
		log_warn("%s is neither true nor false: taken as false", name);
	return false;
}

int64_t env__int(const struct exporter_config *cfg, const char *name, int64_t min, int64_t max,
		 int64_t fallback)
{
	const char *value = env__text(cfg, name);
	char *end;

	if (!value)
		return fallback;
	errno = 0;
	long long v = strtoll(value, &end, 10);

	if (errno || end == value || *end || v < min || v > max) {
		log_warn("%s is not a whole number from %lld to %lld: ignored, %lld is used", name,
			 (long long)min, (long long)max, (long long)fallback);
		return fallback;
	}
	return v;
}

/* Names of the variable, the specific one first. */
struct otlp_variable {
	const char *what, *specific, *general;
};

static const struct otlp_variable variables[] = {
#define OTLP_VARIABLE(x)                                                                           \
	{                                                                                          \
		x, "OTEL_EXPORTER_OTLP_TRACES_" x, "OTEL_EXPORTER_OTLP_" x                         \
	}
	OTLP_VARIABLE("ENDPOINT"),    OTLP_VARIABLE("PROTOCOL"),
	OTLP_VARIABLE("HEADERS"),     OTLP_VARIABLE("TIMEOUT"),
	OTLP_VARIABLE("COMPRESSION"), OTLP_VARIABLE("CERTIFICATE"),
	OTLP_VARIABLE("CLIENT_KEY"),  OTLP_VARIABLE("CLIENT_CERTIFICATE"),
};

const char *env__otlp(const struct exporter_config *cfg, const char *what, const char **name)
{
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		const struct otlp_variable *v = &variables[i];

		if (strcmp(v->what, what) != 0)
			continue;
		const char *value = env__text(cfg, v->specific);

		if (name)
			*name = value ? v->specific : v->general;
		return value ? value : env__text(cfg, v->general);
	}
	return NULL;
}

/* ---- is an exporter asked for? ---- */

/* OTEL_TRACES_EXPORTER, a list: does it leave OTLP on? */
static bool traces_exporter_allows_otlp(const struct exporter_config *cfg)
{
	const char *p = env__text(cfg, "OTEL_TRACES_EXPORTER");
	bool none = false;

	while (p && *p) {
		size_t n = strcspn(p, ",");
		struct slice s = slice__trim(slice__from(p, n));

		if (slice__ieq(s, SLICE("otlp")))
			return true;
		if (slice__ieq(s, SLICE("none")))
			none = true;
		else if (s.n)
			log_warn("OTEL_TRACES_EXPORTER: weft knows otlp and none, not \"" SLICE_FMT
				 "\": ignored",
				 SLICE_ARG(s));
		p += n + (p[n] == ',');
	}
	return !none;
}

/* What the command line says wins over variables that switch exporting off. */
static bool asked_for(const struct exporter_config *cfg)
{
	if (cfg->endpoint)
		return true;
	if (!env__otlp(cfg, "ENDPOINT", NULL))
		return false;
	if (env__bool(cfg, "OTEL_SDK_DISABLED")) {
		log_info("OTEL_SDK_DISABLED is true: nothing is exported");
		return false;
	}
	if (!traces_exporter_allows_otlp(cfg)) {
		log_info("OTEL_TRACES_EXPORTER is none: nothing is exported");
		return false;
	}
	return true;
}

/* ---- endpoint ---- */

static int fail(char *why, size_t why_len, const char *name, const char *what)
{
	snprintf(why, why_len, "%s: %s", name, what);
	return -EINVAL;
}

static bool is_http(CURLU *u)
{
	char *scheme = NULL;
	bool ok = curl.url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
		  (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);

	curl.free(scheme);
	return ok;
}

/* A base endpoint gets v1/traces behind its path. */
static CURLUcode append_signal(CURLU *u)
{
	char *path = NULL;
	CURLUcode code = curl.url_get(u, CURLUPART_PATH, &path, 0);

	if (code)
		return code;
	size_t n = strlen(path);
	size_t size = n + sizeof("/v1/traces");
	char *longer = malloc(size);

	if (longer) {
		snprintf(longer, size, "%s%sv1/traces", path, n && path[n - 1] == '/' ? "" : "/");
		code = curl.url_set(u, CURLUPART_PATH, longer, 0);
	} else {
		code = CURLUE_OUT_OF_MEMORY;
	}
	free(longer);
	curl.free(path);
	return code;
}

static char *url_text(CURLU *u)
{
	char *text = NULL, *copy = NULL;

	if (curl.url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK)
		copy = strdup(text);
	curl.free(text);
	return copy;
}

/* Nothing leaves the machine: fewer bytes would be no gain, and making them fewer costs time. */
static bool is_loopback(CURLU *u)
{
	char *host = NULL;
	bool yes = curl.url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
		   (strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
		    strcmp(host, "[::1]") == 0);

	curl.free(host);
	return yes;
}

static int read_endpoint(const struct exporter_config *cfg, struct otlp_settings *s, char *why,
			 size_t why_len)
{
	const char *name = "--otlp", *text = cfg->endpoint;
	int err = libcurl__load(why, why_len);

	if (err)
		return err;
	if (!text)
		text = env__otlp(cfg, "ENDPOINT", &name);
	bool base = strcmp(name, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != 0;
	CURLU *u = curl.url();

	if (!u)
		return -ENOMEM;
	/*
	 * Schemes that curl doesn't know ("localhost:4318" has one, by the grammar) are told apart
	 * below.
	 */
	CURLUcode code = curl.url_set(u, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);

	if (code || !is_http(u)) {
		curl.url_cleanup(u);
		return fail(why, why_len, name,
			    "not an http:// or https:// URL (like http://localhost:4318)");
	}
	code = curl.url_set(u, CURLUPART_FRAGMENT, NULL, 0);
	if (!code && base)
		code = append_signal(u);
	s->url = code ? NULL : url_text(u);
	curl.url_set(u, CURLUPART_USER, NULL, 0);
	curl.url_set(u, CURLUPART_PASSWORD, NULL, 0);
	curl.url_set(u, CURLUPART_QUERY, NULL, 0);
	s->shown_url = url_text(u);
	s->gzip = !is_loopback(u);
	curl.url_cleanup(u);
	return s->url && s->shown_url ? 0 : -ENOMEM;
}

/* ---- headers ---- */

static bool token_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

/*
 * Percent-decoded into out (s.n + 1 bytes). False: a broken escape, or a character that no header
 * may hold.
 */
static bool decode_value(struct slice s, char *out)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '%') {
			int hi = i + 2 < s.n ? hex__digit(s.p[i + 1]) : -1;
			int lo = i + 2 < s.n ? hex__digit(s.p[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				return false;
			c = (char)(hi << 4 | lo);
			i += 2;
		}
		if (((unsigned char)c < 0x20 && c != '\t') || c == 0x7f)
			return false;
		*out++ = c;
	}
	*out = '\0';
	return true;
}

/* Headers that say how the body is written are the exporter's. */
static bool is_ours(struct slice name)
{
	static const char *const ours[] = { "content-type", "content-encoding", "content-length",
					    "transfer-encoding" };

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (slice__ieq(name, slice__cstr(ours[i])))
			return true;
	return false;
}

/*
 * "name: value" from "name=value", malloc'ed; NULL with a reason if it is no header. The value is
 * never shown.
 */
static char *parse_header(struct slice pair, const char **reason)
{
	const char *eq = memchr(pair.p, '=', pair.n);
	size_t key_len = eq ? (size_t)(eq - pair.p) : pair.n;
	struct slice key = slice__trim(slice__from(pair.p, key_len));
	struct slice value = eq ? slice__trim(slice__from(eq + 1, pair.n - key_len - 1))
				: (struct slice){ "", 0 };

	*reason = "is no header name";
	for (size_t i = 0; i < key.n; i++)
		if (!token_char(key.p[i]))
			return NULL;
	if (!eq || key.n == 0)
		return NULL;
	*reason = "is set by weft itself";
	if (is_ours(key))
		return NULL;
	char *line = malloc(key.n + value.n + 4);

	*reason = "has a value that is not percent-encoded text";
	if (!line)
		return NULL;
	memcpy(line, key.p, key.n);
	line[key.n] = ':';
	line[key.n + 1] = ' ';
	if (!decode_value(value, line + key.n + 2)) {
		free(line);
		return NULL;
	}
	if (!line[key.n + 2]) /* curl's way to send a header without a value */
		memcpy(line + key.n, ";", 2);
	return line;
}

static int read_headers(const struct exporter_config *cfg, struct otlp_settings *s)
{
	const char *name, *p = env__otlp(cfg, "HEADERS", &name);
	size_t room = 1;

	for (const char *c = p; c && *c; c++)
		room += *c == ',';
	s->headers = calloc(room, sizeof(*s->headers));
	if (!s->headers)
		return -ENOMEM;
	for (unsigned entry = 1; p && *p; entry++) {
		size_t n = strcspn(p, ",");
		struct slice pair = slice__trim(slice__from(p, n));
		const char *reason;

		p += n + (p[n] == ',');
		if (pair.n == 0)
			continue;
		s->headers[s->n_headers] = parse_header(pair, &reason);
		if (s->headers[s->n_headers])
			s->n_headers++;
		else /* its text may be a secret */
			log_warn("%s: entry %u %s: ignored", name, entry, reason);
	}
	return 0;
}

/* ---- the rest ---- */

static int read_protocol(const struct exporter_config *cfg, struct otlp_settings *s, char *why,
			 size_t why_len)
{
	const char *name, *value = env__otlp(cfg, "PROTOCOL", &name);

	s->encoding = OTLP_PROTOBUF;
	if (!value || strcasecmp(value, "http/protobuf") == 0)
		return 0;
	if (strcasecmp(value, "http/json") == 0) {
		s->encoding = OTLP_JSON;
		return 0;
	}
	if (strcasecmp(value, "grpc") == 0)
		return fail(
			why, why_len, name,
			"grpc is not supported; weft sends http/protobuf or http/json (port 4318)");
	log_warn("%s: weft knows http/protobuf and http/json, not \"%s\": ignored", name, value);
	return 0;
}

static void read_compression(const struct exporter_config *cfg, struct otlp_settings *s)
{
	const char *name, *value = env__otlp(cfg, "COMPRESSION", &name);

	if (!value)
		return;
	if (strcasecmp(value, "gzip") == 0)
		s->gzip = true;
	else if (strcasecmp(value, "none") == 0)
		s->gzip = false;
	else
		log_warn("%s: weft knows gzip and none, not \"%s\": ignored", name, value);
}

static int read_file_name(const struct exporter_config *cfg, const char *what, const char **file,
			  char *why, size_t why_len)
{
	const char *name;

	*file = env__otlp(cfg, what, &name);
	if (*file && access(*file, R_OK) != 0) {
		int err = -errno;

		snprintf(why, why_len, "%s: %s: %s", name, *file, strerror(-err));
		return err;
	}
	return 0;
}

#define TIMEOUT_DEFAULT_MS 10000

static int read_rest(const struct exporter_config *cfg, struct otlp_settings *s, char *why,
		     size_t why_len)
{
	const char *name;
	int err = read_protocol(cfg, s, why, why_len);

	if (!err)
		err = read_headers(cfg, s);
	if (!err)
		err = read_file_name(cfg, "CERTIFICATE", &s->ca_file, why, why_len);
	if (!err)
		err = read_file_name(cfg, "CLIENT_KEY", &s->client_key_file, why, why_len);
	if (!err)
		err = read_file_name(cfg, "CLIENT_CERTIFICATE", &s->client_cert_file, why, why_len);
	read_compression(cfg, s);
	env__otlp(cfg, "TIMEOUT", &name);
	s->timeout_ms = env__int(cfg, name, 0, INT32_MAX, TIMEOUT_DEFAULT_MS);
	if (s->timeout_ms == 0)
		s->timeout_ms = INT64_MAX;
	return err;
}

int otlp_settings__read(const struct exporter_config *cfg, struct otlp_settings *s, char *why,
			size_t why_len)
{
	*s = (struct otlp_settings){ 0 };
	if (!asked_for(cfg))
		return 0;
	if (env__text(cfg, "OTEL_CONFIG_FILE"))
		log_warn("OTEL_CONFIG_FILE is not read by weft; the other OTEL_* variables are");
	int err = read_endpoint(cfg, s, why, why_len);

	if (!err)
		err = read_rest(cfg, s, why, why_len);
	if (err == -ENOMEM)
		snprintf(why, why_len, "out of memory");
	return err ? err : 1;
}

void otlp_settings__free(struct otlp_settings *s)
{
	for (size_t i = 0; i < s->n_headers; i++) {
		explicit_bzero(s->headers[i], strlen(s->headers[i]));
		free(s->headers[i]);
	}
	free(s->headers);
	free(s->url);
	free(s->shown_url);
	*s = (struct otlp_settings){ 0 };
}
