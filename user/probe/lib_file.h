/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside probe/ only: one file in which a known library was found, however many processes map it.
 * It is found to be such by name or by symbols, its functions are looked up, their places chosen,
 * and the probes attached.
 */
#ifndef WEFT_LIB_FILE_H
#define WEFT_LIB_FILE_H

#include "../lib/list.h"
#include "elf_file.h"
#include "goruntime.h"
#include "maps.h"
#include "probe.h"
#include "python.h"
#include "table.h"

/* A function of a row, in this file. */
struct file_func {
	const struct probe_library *lib;
	const struct probe_func *func;
	uint64_t entry; /* where the entry probe sits in the file; 0: there is none */
	int desc;       /* the kernel's number of its description */
	uint32_t more;  /* upper half of the entry's cookie */
	bool attached;  /* all of its probes */
	char place[112];
	char why[112]; /* why it is not attached; "": not tried */
};

/* What is attached and detached together. */
struct file_sites {
	struct kernel_site *sites; /* exits before entries */
	size_t *func;              /* of each site: index in lib_file.funcs */
	size_t n;
	struct kernel_uprobes *attached; /* the kernel's; NULL: not now */
};

struct lib_file {
	struct list all;  /* the owner's */
	unsigned refs;    /* the owner's: mappings */
	unsigned wanting; /* the owner's: processes that want what is on demand */
	unsigned uvloops; /* the owner's: processes that have uvloop */
	unsigned fielded; /* the owner's: processes whose header fields are wanted */
	bool ready;       /* the owner's: attached to, as far as it can be */
	struct map_identity id;
	uint64_t attached_at; /* CLOCK_BOOTTIME, ns */
	int fd;
	char *path; /* as the first process saw it */
	char build_id[65];
	char why[112];                   /* about the file as a whole, "" */
	const struct probe_library *lib; /* its first row */
	struct file_func *funcs;
	size_t n_funcs;
	struct python_facts python;
	struct goruntime go;
	struct file_sites always, demand, uvloop, fields;
};

/*
 * Look whether the open file holds libraries of `wanted` (bits of probe_table) and where their
 * functions are. `program`: it is what the process runs, so it may hold them statically. `root`:
 * for separate debug files. Takes fd in any case. Returns 0, *out NULL where there is nothing for
 * us, or negative errno: -ENOMEM.
 */
int lib_file__load(struct kernel *k, int fd, const char *path, uint64_t wanted, bool program,
		   const char *root, struct lib_file **out);
/* Attach one of its groups, if it isn't; says what failed in its functions' `why`. */
void lib_file__attach(struct kernel *k, struct lib_file *f, struct file_sites *group);
void lib_file__detach(struct kernel *k, struct file_sites *group);
/* Is the making of goroutines watched in all its ways? */
bool lib_file__tells_goroutines(const struct lib_file *f);
/* One line on what could not be attached, if there is anything. */
void lib_file__complain(const struct lib_file *f, pid_t pid);
/* Detaches and closes. */
void lib_file__free(struct kernel *k, struct lib_file *f);

#endif /* WEFT_LIB_FILE_H */
