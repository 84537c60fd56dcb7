/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Requests to a host "shop", for tests of causality: their bytes, and the spans that they become. */
#ifndef WEFT_TEST_SHOP_FEED_H
#define WEFT_TEST_SHOP_FEED_H

#include <stdio.h>

#include "feed.h"

/* Reuses one buffer a call: good until the next but one. */
static inline const char *get(const char *path)
{
	static char buf[2][256];
	static int i;

	i = !i;
	snprintf(buf[i], sizeof(buf[i]), "GET %s HTTP/1.1\r\nHost: shop\r\n\r\n", path);
	return buf[i];
}

static inline struct span *server(struct feed *f, const char *path)
{
	return feed__span(f, SPAN_SERVER, "url.path", path);
}

static inline struct span *client(struct feed *f, const char *path)
{
	char url[256];

	snprintf(url, sizeof(url), "http://shop%s", path);
	return feed__span(f, SPAN_CLIENT, "url.full", url);
}

#endif
