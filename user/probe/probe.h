/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * probe/: uprobes on the libraries of traced processes.
 *
 * In:  PIDs of traced processes, when they are selected, forked, run another program or map a file.
 * Out: attached uprobes in kernel/, one attachment for a file however many processes map it; what
 *      was attached and what was not, for doctor and the log.
 * Owner: struct probes owns its files and attachments; a file is let go some seconds after the
 *        last traced process that mapped it, so that the next short-lived one finds it attached.
 *
 *   table.c     the libraries, a row each; openssl.c ... what is probed in them
 *   elf_file.c  functions of a file, wherever it names them
 *   place.c     at which instruction a probe costs least
 *   maps.c      which files a process has mapped
 *   lib_file.c  one such file: what of the table is in it, its sites, attached
 *   probes.c    the whole: files by identity, processes by file
 *   units.c     whose runtime is known, told to the kernel side; python.c: which, and how to find it
 *   tail_jump.c a function without a name: where others jump to
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
/* Detaches all. To be called before kernel__close(). NULL is allowed. */
void probes__free(struct probes *p);

/*
 * Look at what the process has mapped and attach to what is new. To be called when it is selected.
 * Failures are logged once a file.
 */
void probes__look(struct probes *p, pid_t pid);
/*
 * The process mapped a file (`exec`: runs another program) at `ts`, CLOCK_BOOTTIME ns. It is looked
 * at by the next probes__settle(), once however often it mapped.
 */
void probes__mapped(struct probes *p, pid_t pid, uint64_t ts, bool exec);
/* A child has what its parent has; nothing is read. */
void probes__fork(struct probes *p, pid_t parent, pid_t child);
void probes__exit(struct probes *p, pid_t pid);
/*
 * The process did something, at `ts`: what could not be found out about its runtime before it was
 * initialised is tried again, now and then.
 */
void probes__active(struct probes *p, pid_t pid, uint64_t ts);
/* To be called after each batch of events. */
void probes__settle(struct probes *p);
/*
 * About once a second, `now` in CLOCK_BOOTTIME ns: lets go what nobody maps any more. True: work on
 * libraries has come to rest, and what it took can be given back.
 */
bool probes__tick(struct probes *p, uint64_t now);
/*
 * What shows ciphertext inside the process (probe_func.on_demand) is attached until it is known
 * whether it needs that: true, sessions of it make no socket calls of their own; false, they do.
 * True stays, as its next session begins with what is needed most. If nothing is said, it is false
 * after some minutes.
 */
void probes__want_cipher(struct probes *p, pid_t pid, bool want);
/*
 * The process has one connection more (`more`), or one less, of HTTP/2 whose header fields the wire
 * does not tell. What tells of them (probe_func.fields) is attached while there are any, and a
 * little longer.
 */
void probes__want_fields(struct probes *p, pid_t pid, bool more);

/* Files that are attached to, and the probes in them. */
struct probes_count {
	size_t files, functions;
};
struct probes_count probes__count(const struct probes *p);

/* For doctor: one line a function of a file that a process has mapped. */
struct probe_report {
	const char *library;  /* the row's title */
	const char *path;     /* as the process sees it */
	const char *build_id; /* hex; if the file says, else "" */
	const char *symbol;   /* NULL: about the file as a whole */
	bool attached;
	bool on_demand;    /* not attached all the time; of a file: nothing in it is */
	uint64_t offset;   /* of the entry probe in the file */
	const char *place; /* "entry push (emulated), exit +37 jle (emulated)" */
	const char *why;   /* not attached: the reason; "" */
};

/* Calls fn for each line about `pid`; strings are valid during the call. */
void probes__report(const struct probes *p, pid_t pid,
		    void (*fn)(void *ctx, const struct probe_report *r), void *ctx);

#endif /* WEFT_PROBE_H */
