// SPDX-License-Identifier: GPL-2.0-or-later
/* The exporters. The first that the configuration asks for is taken. */
#include "exporter.h"

extern const struct exporter otlp_http_exporter;

const struct exporter *const exporter_table[] = {
	&otlp_http_exporter,
	NULL,
};
