/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * probe/: uprobes on the libraries of traced processes.
 *
 * In:  PIDs of traced processes, when they are selected, forked, run another program or map a file.
 * Out: attached uprobes in kernel/, one attachment for a file however many processes map it; what
 *      was attached and what was not, for doctor and the log.
 * Owner: struct probes owns its files and attachments; a file is let go when no traced process maps
 *        it any more.
 *
 *   table.c     the libraries, a row each; openssl.c ... what is probed in them
 *   elf_file.c  functions of a file, wherever it names them
 *   place.c     at which instruction a probe costs least
 *   maps.c      which files a process has mapped
 *   probes.c    the whole: files by identity, processes by file
 */
#ifndef WEFT_PROBE_H
#define WEFT_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../kernel/kernel.h"

struct probes;

/* `wanted`: bit i is probe_table[i]. NULL: out of memory. */
struct probes *probes__new(struct kernel *k, uint64_t wanted);
void probes__free(struct probes *p);

/*
 * Look at what the process has mapped and attach to what is new. To be called when it is selected
 * or forked, and when it ran another program or mapped a file. Failures are logged once a file.
 */
void probes__look(struct probes *p, pid_t pid);
void probes__exit(struct probes *p, pid_t pid);
/*
 * TLS sessions of this process look for their carriers and make no socket calls of their own:
 * attach what shows their ciphertext (probe_func.on_demand), until told that none does any more.
 */
void probes__want_cipher(struct probes *p, pid_t pid, bool want);

/* For doctor: one line a function of a file that a process has mapped. */
struct probe_report {
	const char *library; /* row's name */
	const char *path;    /* as the process sees it */
	const char *version; /* if the file says, else "" */
	const char *symbol;  /* NULL: about the file as a whole */
	bool attached;
	uint64_t offset;   /* of the entry probe in the file */
	const char *place; /* "entry push (emulated); exit jle (emulated)" */
	const char *why;   /* not attached: the reason; "" */
};

/* Calls fn for each line about `pid`; strings are valid during the call. */
void probes__report(const struct probes *p, pid_t pid,
		    void (*fn)(void *ctx, const struct probe_report *r), void *ctx);

#endif /* WEFT_PROBE_H */
