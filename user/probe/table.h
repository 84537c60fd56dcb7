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
	 * Not attached where sessions of this file's processes are known to need none of it
	 * (BIO_read, BIO_write): see probes__want_cipher()
	 */
	bool on_demand;
	/* Attached only while a process that has uvloop maps the file. */
	bool uvloop;
	/*
	 * Attached only while header fields of a process's connections are wanted: see
	 * probes__want_fields()
	 */
	bool fields;
	/* Not attached in files that have this function too, which it only passes its call on to. */
	const char *unless;
	/*
	 * Where no table names it: what all of these end in by jumping to it. NULL-terminated; NULL:
	 * none.
	 */
	const char *const *via;
	/* The same: the first that all of these call (they need not be rows). */
	const char *const *called_by;
	/* The same: this exported variable points at it, `in_slot` bytes into it. */
	const char *slot_of;
	uint16_t in_slot;
	/*
	 * Watched not where it begins, but where it calls this one (its only call of it), or at the
	 * instruction behind that. NULL: where it begins.
	 */
	const char *at_call;
	bool behind_call;
};

struct probe_library {
	/*
	 * As shown and as in --libraries: "openssl". Rows of one name are one library in several
	 * files; they follow one another.
	 */
	const char *name;
	const char *title; /* for people: "OpenSSL, BoringSSL, LibreSSL" */
	enum probe_area { PROBE_AREA_TLS, PROBE_AREA_DB, PROBE_AREA_RUNTIME, PROBE_AREA_HTTP } area;
	/*
	 * File names (basename) or DT_SONAMEs without what follows ".so": "libssl". NULL-terminated;
	 * NULL: none.
	 */
	const char *const *sonames;
	/*
	 * Found in the program itself by this symbol: statically linked. NULL: never looked for.
	 */
	const char *marker;
	/*
	 * Other files that are searched for the marker: those whose names contain one of these
	 * ("_sqlite3.cpython-311.so"). NULL-terminated; NULL: none.
	 */
	const char *const *inside;
	bool go;                        /* programs built by Go alone */
	const struct probe_func *funcs; /* ends with symbol NULL */
};

extern const struct probe_library *const probe_table[]; /* ends with NULL; at most 64 */

/*
 * The rows of a library by name (any case), as bits of the table's indexes; 0: there is none.
 */
uint64_t probe_table__find(const char *name, size_t len);
/* All rows, as bits. */
uint64_t probe_table__all(void);
/* The i-th library's name, NULL behind the last; each name once. */
const char *probe_table__name(size_t i);
/* File names of each library's first row, without what follows ".so", NULL-terminated; static. */
const char *const *probe_table__sonames(void);

#endif /* WEFT_PROBE_TABLE_H */
