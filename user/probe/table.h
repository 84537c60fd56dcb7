/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Probed libraries: one file a library, one row in table.c. A row is data: which files it is meant
 * for, which of their functions, and where their arguments are.
 */
#ifndef WEFT_PROBE_TABLE_H
#define WEFT_PROBE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../bpf/types.bpf.h"

struct probe_func {
	const char *symbol;
	struct probe_desc desc;
	bool optional; /* its absence needs no word: older or newer versions lack it */
	/*
	 * Attached only while sessions of this file's processes look for their carriers
	 * (BIO_read, BIO_write): see probes__want_cipher()
	 */
	bool on_demand;
};

struct probe_library {
	const char *name;  /* as shown and as in --libraries: "openssl" */
	const char *title; /* for people: "OpenSSL, BoringSSL, LibreSSL" */
	enum probe_area { PROBE_AREA_TLS, PROBE_AREA_DB } area;
	/*
	 * File names (basename) or DT_SONAMEs without what follows ".so": "libssl". NULL-terminated;
	 * NULL: none.
	 */
	const char *const *sonames;
	/*
	 * Found in the program itself (or any mapped file) by this symbol: statically linked. NULL:
	 * never looked for.
	 */
	const char *marker;
	bool go;                        /* programs built by Go alone */
	const struct probe_func *funcs; /* ends with symbol NULL */
};

extern const struct probe_library *const probe_table[]; /* ends with NULL */

#endif /* WEFT_PROBE_TABLE_H */
