/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of target/ share among themselves. Nobody outside this room includes it but its
 * unit tests.
 *
 *   procfs.c      reading /proc and other files, bounded
 *   cgroup.c      /proc/PID/cgroup: unit, container; the v2 mount; cgroup.procs
 *   container.c   the name that belongs to a container's id
 *   script.c      what an interpreter runs; appserver.c: what an application server serves
 *   environ.c     OTEL_* in a process's environment
 *   elf.c         what a program file says of its language
 *   runtime.c     language, runtime and its version, known libraries
 *   listeners.c   listening sockets of a network namespace; ports.c: which of them are a process's
 *   service_name.c  puts the naming rules in their order
 *   process.c     struct process_info;  resource.c: its OTLP attributes;  resolve.c: selectors
 */
#ifndef WEFT_TARGET_PARTS_H
#define WEFT_TARGET_PARTS_H

#include "target.h"

/* procfs.c */

/*
 * For tests: another /proc, and what stands before every other absolute path ("" in real life).
 * Kept, not copied.
 */
void procfs__set_roots(const char *proc, const char *sys);
/* `path` below the system root, in buf. False if it does not fit. */
bool procfs__sys_path(char *buf, size_t size, const char *path);
const char *procfs__root(void);
/*
 * /proc/PID as a directory descriptor: it stays with this process, even if the PID is used again.
 * Negative errno.
 */
int procfs__open(pid_t pid);
/*
 * A whole file, at most `max` bytes of it, NUL-terminated and malloc'ed; NULL with errno. `dir` may
 * be AT_FDCWD. *len (may be NULL) is what was read.
 */
char *procfs__slurp(int dir, const char *name, size_t max, size_t *len);
/* Target of a symbolic link, malloc'ed; NULL with errno. */
char *procfs__link(int dir, const char *name);
/* PIDs in /proc, sorted, malloc'ed; kernel threads and zombies included. Negative errno. */
int procfs__pids(pid_t **pids, size_t *n);

#define PROC_KTHREAD 0x00200000u /* PF_KTHREAD in stat's flags */

struct proc_stat {
	char comm[64];
	char state;
	pid_t ppid;
	unsigned flags;
	uint64_t start_ns; /* boottime, as coarse as the clock tick */
};

/* The text of /proc/PID/stat. False if it is not one. */
bool proc_stat__parse(const char *text, struct proc_stat *out);
/* 0, or -ESRCH, -EACCES. */
int procfs__stat(int dir, struct proc_stat *out);

/* The words of /proc/PID/cmdline. */
struct words {
	char *buf;
	char **v; /* n of them and a NULL */
	int n;
};

/* Takes over `buf` of len bytes, words ended by NUL; empty words at the end are dropped. */
bool words__split(struct words *w, char *buf, size_t len);
void words__free(struct words *w);

/* Behind the last '/'. */
const char *path__base(const char *path);
/* Well-formed UTF-8 without control characters? */
bool text__clean(const char *s);
/* Make it so, in place: what is not becomes '?'. */
void text__scrub(char *s);

/* cgroup.c */
struct cgroup_facts {
	char *v2_path; /* "/" if none; never NULL after cgroup__parse */
	char *unit;    /* systemd unit that names what runs in it, unescaped, without ".service" */
	char *machine; /* name of an LXC container or of a machine (nspawn) */
	char *container_id; /* 64 hex digits */
	bool kubernetes;
	bool hidden; /* the paths say nothing: a cgroup namespace hides them, or there are none */
};

bool cgroup__parse(const char *text, struct cgroup_facts *out);
void cgroup_facts__free(struct cgroup_facts *f);
/*
 * The id in one line of mountinfo that mounts a container's /etc/hostname; for processes whose
 * cgroup path is hidden.
 */
char *cgroup__id_from_mounts(const char *mountinfo);
/* Where cgroup v2 is mounted, malloc'ed; NULL if nowhere. */
char *cgroup__v2_mount(const char *mountinfo);
/* Call fn for every process in the directory and below. 0 or negative errno. */
int cgroup__each_pid(int dir, void (*fn)(void *ctx, pid_t pid), void *ctx);

/*
 * container.c: malloc'ed name of the container that this process runs in, or NULL. `hostname` is
 * HOSTNAME in its environment.
 */
char *container__name(const struct cgroup_facts *cg, pid_t parent, const char *hostname);
/*
 * A pod's host name without the part that differs between replicas: "web-7d9c5b8f6-x2v4q" is "web".
 * Changes s.
 */
void container__strip_replica(char *s);

/* script.c */
/* Is the word (n bytes) in a list like " -a -b "? */
bool word_list__has(const char *list, const char *word, size_t n);

struct interpreter {
	const char *name; /* base name of the executable; a version may follow */
	const char *language;
	const char *runtime; /* process.runtime.name */
	/* Letters of options: their value is the rest of the word or the next word; */
	const char *short_values;
	/* ... the rest of their word only; */
	const char *short_swallow;
	/* ... after these, program text stands, not a file. */
	const char *code;
	/* Whole words, each between blanks: the next word is their value, program text, */
	const char *word_values, *word_code;
	/* ... the file (-jar), a module (-m). */
	const char *word_file, *word_module;
	const char *verbs;    /* words that may stand before the script */
	const char *suffixes; /* of script files, with the dot */
	bool class_name;      /* what runs is a class: the part behind the last dot names it */
};

/*
 * By base name of an executable, or NULL; *version (may be NULL) points at what follows the name
 * ("3.11"), "" if nothing.
 */
const struct interpreter *interpreter__find(const char *base, const char **version);
/* What the interpreter runs, malloc'ed; NULL if that can't be said. */
char *script__name(const struct interpreter *in, char *const *argv, int argc);

/*
 * appserver.c: if `program` is a known application server, what it serves; malloc'ed or NULL. argv
 * are its arguments.
 */
char *appserver__app(const char *program, char *const *argv, int argc);
/*
 * "module.path:attribute", "dir/file.py:app" as a name; malloc'ed or NULL if it is not like that.
 */
char *appserver__module(const char *ref, size_t len);

/* environ.c: each malloc'ed or NULL. */
struct env_facts {
	char *service_name; /* OTEL_SERVICE_NAME */
	char *resource;     /* OTEL_RESOURCE_ATTRIBUTES, as it is */
	char *hostname;     /* HOSTNAME */
	bool kubernetes;
};

bool environ__parse(const char *env, size_t len, struct env_facts *out);
void env_facts__free(struct env_facts *e);
/*
 * Walk an OTEL_RESOURCE_ATTRIBUTES text: fn gets each key and value, decoded, and the pair as it
 * stood. -EINVAL, before any call, if anything in it is malformed.
 */
int resource_attrs__each(const char *text,
			 void (*fn)(void *ctx, const char *key, const char *value, const char *raw),
			 void *ctx);

/* elf.c */
struct elf_facts {
	bool is_32bit;
	bool cxx;            /* needs libstdc++ or libc++ */
	bool rust;           /* a Rust compiler signed it */
	char go_version[40]; /* "go1.22.3", empty if it is no Go program */
};

/* 0, or -ENOEXEC if the file is no ELF. */
int elf__read(int fd, struct elf_facts *out);

/* runtime.c */
/* Sets language, runtime_name, runtime_version, is_32bit. `dir` is /proc/PID. */
void runtime__detect(int dir, struct process_info *p);
/* The libraries that weft knows, from the text of /proc/PID/maps. */
void runtime__libs(const char *maps, struct process_info *p);

/* ports.c: fills p->ports and p->uses_io_uring. `dir` is /proc/PID. */
void ports__read(int dir, struct process_info *p);

/* service_name.c: sets p->service and p->service_source; may take strings out of cg and env. */
void service_name__decide(struct process_info *p, const char *flag_name, const struct words *argv,
			  const struct cgroup_facts *cg, struct env_facts *env);

/*
 * process.c: what to read beyond names (service, exe, comm, parent, owner), for those who look at
 * every process.
 */
enum process_parts {
	PROCESS_RUNTIME = 1 << 0, /* language and runtime */
	PROCESS_PORTS = 1 << 1,
	PROCESS_LIBS = 1 << 2,
	PROCESS_ALL = PROCESS_RUNTIME | PROCESS_PORTS | PROCESS_LIBS,
};

int process__read(pid_t pid, const char *flag_name, unsigned parts, struct process_info *out);

#endif /* WEFT_TARGET_PARTS_H */
