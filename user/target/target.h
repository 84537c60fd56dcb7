/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * target/: who is traced. Selectors, processes, cgroups, service names, runtimes.
 *
 * In:  selectors (from cli/), process events (from source/), /proc.
 * Out: PIDs and cgroups for kernel/ to select; for each traced process a description (struct
 *      process_info).
 * Owner: struct target_set owns the selectors; process_info is the caller's and is freed with
 *        process_info__free().
 */
#ifndef WEFT_TARGET_H
#define WEFT_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* One way of selecting; several combine: a process is traced when any of them says so (a union). */
enum selector_kind {
	SELECT_PID,
	SELECT_CGROUP,
	SELECT_SERVICE,
	SELECT_EXE,
	SELECT_COMM,
	SELECT_PORT
};

struct selector {
	enum selector_kind kind;
	const char *text; /* as given: name, path */
	long number;      /* PID, port */
};

/* What weft knows of a process; all strings malloc'ed, NULL if unknown. */
struct process_info {
	pid_t pid, ppid;
	uint64_t start_time_ns; /* boottime ns at process start, from /proc/PID/stat */
	char *service;          /* service name by the rules below; never NULL */
	/* "flag", "env", "cgroup", "script", "exe": where it came from, static */
	const char *service_source;
	char *exe; /* path of the executable */
	char *comm;
	char *argv0;        /* process.command */
	char *owner;        /* user name, or number */
	char *cgroup;       /* v2 path, "/" if none */
	char *container_id; /* 64 hex digits, from the cgroup */
	/* process.runtime.name: "cpython", "nodejs", "go", "OpenJDK Runtime Environment" ... */
	char *runtime_name;
	char *runtime_version;
	/* "python", "nodejs", "go", "java", "ruby", "php", "c" ...; static, NULL unknown */
	const char *language;
	/* from its OTEL_RESOURCE_ATTRIBUTES */
	char *service_namespace, *service_version, *service_instance_id, *deployment;
	/* the rest of its OTEL_RESOURCE_ATTRIBUTES, "k=v,k=v", still encoded */
	char *resource_attrs;
	uint16_t ports[16]; /* TCP ports it listens on */
	unsigned n_ports;
	/* basenames of mapped libraries that weft knows: libssl.so.3, libpq.so.5 ... */
	char *libs[16];
	unsigned n_libs;
	/* privileges do not suffice to read its executable, environment, descriptors or maps */
	bool opaque;
	bool is_32bit;      /* the executable is a 32-bit one */
	bool other_netns;   /* with `detail`: in another network namespace than weft */
	bool uses_io_uring; /* with `detail`: has an io_uring open */
};

/*
 * Read /proc/PID. `flag_name` is --service-name or NULL. Service name: the flag; else
 * OTEL_SERVICE_NAME, else service.name in OTEL_RESOURCE_ATTRIBUTES, of *its* environment; else its
 * systemd unit (without .service) or container name from the cgroup; else the script or jar for
 * interpreters (with `-m module`: the module; gunicorn/uvicorn APP: the server's app name); else
 * the executable. Returns 0, -ESRCH if there is no such process (any more), -EACCES. What could not
 * be read for lack of privileges is left out and `opaque` set: stat, cmdline and cgroup alone give
 * a name, too. Reads ports and libs only when `detail` is set (they cost more).
 */
int process_info__read(pid_t pid, const char *flag_name, bool detail, struct process_info *out);
void process_info__free(struct process_info *p);
/*
 * Names (without what follows ".so", NULL-terminated; kept, not copied) of libraries that belong
 * into process_info.libs because their functions can be watched.
 */
void process_info__watch_libraries(const char *const *names);

/*
 * The resource attributes of a process, as "key\0value\0" pairs ready for struct record_process
 * (source/record.h): service.name first, then service.*, telemetry.sdk.*, process.*, host.*, os.*,
 * container.id, and what the process's own OTEL_RESOURCE_ATTRIBUTES say (which win, except over the
 * service's name, telemetry.sdk.*, process.pid and process.creation.time; malformed: all of that
 * variable is ignored, as the specification says). *text is malloc'ed, *n pairs, *len bytes.
 * Integer attributes (process.pid) are decimal text. Returns 0 or -ENOMEM.
 */
int process_info__resource(const struct process_info *p, const char *weft_version, char **text,
			   size_t *len, unsigned *n);

/*
 * Every process that can be seen, in PID order, kernel threads left out: calls fn until it returns
 * false.
 */
int processes__each(bool (*fn)(void *ctx, pid_t pid), void *ctx);

/*
 * The PIDs that the selectors mean now, each once, with all their present descendants. *pids
 * malloc'ed. Returns 0; -ESRCH + one line in why if a PID, cgroup, name, path or port has nobody
 * (names: says what there is); weft's own process (`self`) and its ancestors are never selected by
 * anything but a PID. A service is matched by the name that the process has without the flag.
 */
int targets__resolve(const struct selector *sel, size_t n, const char *flag_name, pid_t self,
		     pid_t **pids, size_t *n_pids, char *why, size_t why_len);

/*
 * Does a process that has just appeared (fork, exec) match a selector by service, exe, comm (by
 * port, if p was read in detail)? For those who arrive later. p->service must have been read
 * without the flag.
 */
bool targets__match(const struct selector *sel, size_t n, const struct process_info *p);

/*
 * The cgroup v2 directory named by the user (absolute path, or relative to the v2 mount), opened;
 * negative errno + why.
 */
int targets__open_cgroup(const char *path, char *why, size_t why_len);

/* listeners.c */

/* A listening TCP socket. */
struct listener {
	uint64_t inode;
	uint16_t port;
	bool v6;
	uint8_t ip[16]; /* network order; IPv4: the first 4 bytes */
};

/*
 * The listening sockets of the network namespace of a process: `dir` is its directory in /proc,
 * `table` "net/tcp" or "net/tcp6". The kernel writes them first, and reading ends at the first other
 * one, however many connections there are, or where `take` returns false. 0, or negative errno: the
 * table can't be opened.
 */
int listeners__each(int dir, const char *table, bool (*take)(void *ctx, const struct listener *l),
		    void *ctx);

#endif /* WEFT_TARGET_H */
