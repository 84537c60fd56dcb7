// SPDX-License-Identifier: GPL-2.0-or-later
/* TLS (semantic conventions 1.44, attribute registry): what was seen in clear in the handshake. */
#include "conventions.h"

void span__set_tls(struct span *s, const struct span_ends *ends)
{
	if (!ends->tls || !ends->tls_version)
		return;
	/* The one version of SSL that is still met says so by its number. */
	bool ssl = ends->tls_version[0] == '3';

	span__set_str(s, "tls.protocol.name", ssl ? SLICE("ssl") : SLICE("tls"));
	span__set_str(s, "tls.protocol.version", slice__cstr(ends->tls_version));
	if (ends->tls_next_protocol)
		span__set_str(s, "tls.next_protocol", slice__cstr(ends->tls_next_protocol));
}
