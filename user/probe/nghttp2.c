// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nghttp2: where it decodes and encodes header blocks, both times with the direction's header table
 * at hand (bpf/h2_table.bpf.h); looked at in 1.47 to 1.70. Node has it inside, with symbols;
 * libnghttp2 does not export these two, but functions that do nothing but call them.
 */
#include "table.h"

static const char *const inflates[] = { "nghttp2_hd_inflate_hd2", NULL };
static const char *const deflates[] = { "nghttp2_hd_deflate_hd", "nghttp2_hd_deflate_hd_vec",
					NULL };

static const struct probe_func funcs[] = {
	{
		.symbol = "nghttp2_hd_inflate_hd_nv",
		.called_by = inflates,
		.optional = true,
		.fields = true,
		.desc = { .what = PROBE_NGHTTP2_IN, .object = 1, .buf = 4, .len = 5 },
	},
	{
		.symbol = "nghttp2_hd_deflate_hd_bufs",
		.called_by = deflates,
		.optional = true,
		.fields = true,
		.desc = { .what = PROBE_NGHTTP2_OUT, .object = 1, .buf = 3, .len = 4 },
	},
	{ 0 },
};

static const char *const names[] = { "libnghttp2", NULL };
static const char *const inside[] = { "libnode", NULL };

const struct probe_library probe_nghttp2 = {
	.name = "nghttp2",
	.title = "nghttp2",
	.area = PROBE_AREA_HTTP,
	.sonames = names,
	.marker = "nghttp2_hd_inflate_hd_nv",
	.inside = inside,
	.funcs = funcs,
};
