/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The OTEL_* variables that exporters obey, read by the specification's rules: an empty value is no
 * value; what can't be understood is warned of and ignored; OTEL_EXPORTER_OTLP_TRACES_X wins over
 * OTEL_EXPORTER_OTLP_X.
 */
#ifndef WEFT_EXPORTER_ENV_H
#define WEFT_EXPORTER_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exporter.h"

/* NULL if unset or empty. */
const char *env__text(const struct exporter_config *cfg, const char *name);
/* Only "true" (any case) is true. */
bool env__bool(const struct exporter_config *cfg, const char *name);
/* A decimal integer within [min, max], else `fallback`. */
int64_t env__int(const struct exporter_config *cfg, const char *name, int64_t min, int64_t max,
		 int64_t fallback);
/*
 * The trace-specific form of OTEL_EXPORTER_OTLP_<what> if it is set, else the general one; *name
 * (may be NULL) is which.
 */
const char *env__otlp(const struct exporter_config *cfg, const char *what, const char **name);

enum otlp_encoding { OTLP_PROTOBUF, OTLP_JSON };

struct otlp_settings {
	char *url;       /* where to POST */
	char *shown_url; /* the same without user, password and query: for messages */
	enum otlp_encoding encoding;
	bool gzip;          /* unless told otherwise: wherever bytes leave the machine */
	int64_t timeout_ms; /* of one request; INT64_MAX: no limit */
	char **headers;     /* "name: value"; their values are secrets */
	size_t n_headers;
	const char *ca_file, *client_key_file, *client_cert_file; /* cfg's; NULL: none */
};

/*
 * 1: OTLP over HTTP is asked for (by cfg->endpoint or an endpoint variable), *s is filled. 0: it is
 * not. Negative errno + why: it is, but what is said of it is wrong. Free with
 * otlp_settings__free() in each case.
 */
int otlp_settings__read(const struct exporter_config *cfg, struct otlp_settings *s, char *why,
			size_t why_len);
void otlp_settings__free(struct otlp_settings *s);

#endif /* WEFT_EXPORTER_ENV_H */
