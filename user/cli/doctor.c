// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * weft doctor: what this kernel, these privileges and, with -p, this process allow, and what weft
 * does instead.
 */
#include "opts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/log.h"
#include "../lib/on_demand.h"
#include "../proto/proto.h"
#include "doctor_libraries.h"
#include "rows.h"
#include "sonames.h"

#define FEATURES_MAX 64
static bool is_privilege(const struct kernel_feature *f)
{
	return strncmp(f->name, "CAP_", 4) == 0 || strcmp(f->name, "lockdown") == 0;
}

/* The rows that are privileges, or those that are not. All required ones there? */
static bool show_features(const struct options *o, const struct kernel_feature *rows, size_t n,
			  bool privileges)
{
	bool possible = true;

	for (size_t i = 0; i < n; i++) {
		enum row_verdict v = rows[i].present    ? ROW_GOOD
				     : rows[i].required ? ROW_BAD
							: ROW_WITHOUT;

		if (is_privilege(&rows[i]) != privileges)
			continue;
		rows__add(o, v, rows[i].name, rows[i].present ? NULL : rows[i].instead, "%s",
			  rows[i].detail);
		possible &= v != ROW_BAD;
	}
	return possible;
}

/* A small file's first line; empty if it can't be read. */
static void first_line(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, buf, size - 1);

	if (fd >= 0)
		close(fd);
	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
}

/* Who weft is; the capabilities' rows follow. False where they do not count. */
static bool show_user(const struct options *o)
{
	unsigned inside = 0, outside = 0, count = 0;
	char map[256];

	if (geteuid() == 0)
		rows__add(o, ROW_GOOD, "user", NULL, "root");
	else
		rows__add(
			o, ROW_WITHOUT, "user", "weft replay works for everybody",
			"uid %u: run as root (sudo weft ...), unless the capabilities below are there",
			geteuid());
	first_line("/proc/self/uid_map", map, sizeof(map));
	if (sscanf(map, "%u %u %u", &inside, &outside, &count) != 3 ||
	    (outside == 0 && count == 4294967295u))
		return true;
	rows__add(o, ROW_BAD, "user namespace", NULL,
		  "root of a user namespace is not root: eBPF needs the initial one");
	return false;
}

/*
 * The back end that tracing would use: the one asked for, else the first that is there. AUTO: none.
 */
static enum kernel_backend choose_backend(const struct options *o,
					  const struct kernel_feature *rows, size_t n)
{
	for (int b = KERNEL_BACKEND_FENTRY; b < KERNEL_BACKEND_MAX; b++) {
		const char *name = kernel__backend_name((enum kernel_backend)b);
		size_t len = name ? strlen(name) : 0;

		if (!name ||
		    (o->backend != KERNEL_BACKEND_AUTO && o->backend != (enum kernel_backend)b))
			continue;
		for (size_t i = 0; i < n; i++)
			if (rows[i].present && strncmp(rows[i].name, name, len) == 0 &&
			    strcmp(rows[i].name + len, " back end") == 0)
				return (enum kernel_backend)b;
	}
	return KERNEL_BACKEND_AUTO;
}

static void show_identity(const struct options *o, const struct process_info *p)
{
	static const struct {
		const char *source, *words;
	} sources[] = {
		{ "env", "from its environment" },
		{ "cgroup", "from its systemd unit or container" },
		{ "script", "from what its interpreter runs" },
		{ "exe", "from its executable" },
	};
	const char *from = "";

	for (size_t i = 0; i < sizeof(sources) / sizeof(*sources); i++)
		if (strcmp(p->service_source, sources[i].source) == 0)
			from = sources[i].words;
	rows__add(o, ROW_GOOD, "service", NULL, "%s (%s)", p->service, from);
	if (p->exe)
		rows__add(o, ROW_GOOD, "executable", NULL, "%s, user %s", p->exe,
			  p->owner ? p->owner : "unknown");
	if (p->language)
		rows__add(o, ROW_GOOD, "language", NULL, "%s%s%s%s%s", p->language,
			  p->runtime_name ? ", " : "", p->runtime_name ? p->runtime_name : "",
			  p->runtime_version ? " " : "",
			  p->runtime_version ? p->runtime_version : "");
	if (p->cgroup)
		rows__add(o, ROW_GOOD, "cgroup", NULL, "%s", p->cgroup);
	if (p->container_id)
		rows__add(o, ROW_GOOD, "container", NULL, "%s", p->container_id);
}

static void show_ports(const struct options *o, const struct process_info *p)
{
	char ports[256] = "";

	for (unsigned i = 0; i < p->n_ports; i++) {
		size_t used = strlen(ports);

		snprintf(ports + used, sizeof(ports) - used, "%s%u", i ? ", " : "", p->ports[i]);
	}
	if (p->n_ports)
		rows__add(o, ROW_GOOD, "listens on", NULL, "%s", ports);
}

/* Libraries that encrypt inside the process, and of which weft watches no function. */
static bool hides_bytes(const char *lib)
{
	static const char *const tls[] = { "libnss3", "libmbedtls", "libwolfssl" };

	for (size_t i = 0; i < sizeof(tls) / sizeof(*tls); i++)
		if (strncmp(lib, tls[i], strlen(tls[i])) == 0)
			return true;
	return false;
}

/* `seen`: one of its libraries that encrypt is watched. */
static void show_tls(const struct options *o, const struct process_info *p, bool seen)
{
	static const char *const built_in[] = {
		"go", "java", "nodejs", "rust", "dotnet", "erlang"
	};
	const char *instead =
		"plain connections of this process; run the service behind a proxy that ends TLS";

	for (unsigned i = 0; i < p->n_libs; i++) {
		if (hides_bytes(p->libs[i])) {
			rows__add(o, ROW_WITHOUT, "TLS", instead,
				  "%s is loaded: connections that it encrypts can't be read",
				  p->libs[i]);
			return;
		}
	}
	for (size_t i = 0; !seen && p->language && i < sizeof(built_in) / sizeof(*built_in); i++)
		if (strcmp(p->language, built_in[i]) == 0)
			rows__add(
				o, ROW_WITHOUT, "TLS", instead,
				"%s may have TLS of its own, of which weft found no functions here",
				p->language);
}

static void show_visible(const struct options *o, const struct process_info *p,
			 enum kernel_backend backend, bool tls_seen)
{
	bool by_syscall = backend == KERNEL_BACKEND_SYSCALL || backend == KERNEL_BACKEND_TRACEPOINT;
	char names[512] = "";

	for (size_t i = 0; protocol_table[i]; i++) {
		size_t used = strlen(names);

		snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
			 protocol_table[i]->title ? protocol_table[i]->title
						  : protocol_table[i]->name);
	}
	rows__add(o, backend == KERNEL_BACKEND_AUTO ? ROW_BAD : ROW_GOOD, "plain sockets", NULL,
		  "%s", names);
	show_tls(o, p, tls_seen);
	if (p->uses_io_uring)
		rows__add(o, by_syscall ? ROW_WITHOUT : ROW_GOOD, "io_uring",
			  by_syscall ? "what the process reads and writes by ordinary system calls"
				     : NULL,
			  "in use%s",
			  by_syscall ? ": the back end of this kernel does not see it" : "");
	if (p->is_32bit)
		rows__add(o, by_syscall ? ROW_WITHOUT : ROW_GOOD, "32-bit program", NULL, "%s",
			  by_syscall ? "its system calls are counted, not decoded"
				     : "seen like any other");
	if (p->other_netns)
		rows__add(o, ROW_GOOD, "network namespace", NULL,
			  "another one than weft's: seen all the same");
	for (unsigned i = 0; i < p->n_libs; i++)
		if (!hides_bytes(p->libs[i]))
			rows__add(o, ROW_GOOD, "library", NULL, "%s", p->libs[i]);
	if (p->opaque)
		rows__add(
			o, ROW_WITHOUT, "privileges", "names from what everybody may read",
			"its environment, executable, descriptors or libraries can't be read: run as root");
}

/* Libraries of weft's own that are loaded when they are needed. */
static void show_own_libraries(const struct options *o)
{
	static const struct {
		const char *file, *use, *instead;
	} own[] = {
		{ SONAME_curl, "sends OTLP",
		  "spans to the terminal and to files, not to a collector" },
		{ SONAME_isal, "compresses what is sent", "spans sent uncompressed" },
		{ SONAME_capstone, "finds the places of probes",
		  "sockets: TLS and calls of client libraries are not seen" },
		{ SONAME_websockets, "puts the helper into Node.js (--node-helper)",
		  "Node.js without the helper" },
		{ SONAME_pcap, "reads packet captures (weft replay)",
		  "replay of weft's own recordings" },
	};
	char why[256];

	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++) {
		if (on_demand__is_there(own[i].file, why, sizeof(why)))
			rows__add(o, ROW_GOOD, own[i].file, NULL, "%s", own[i].use);
		else
			rows__add(o, ROW_WITHOUT, own[i].file, own[i].instead,
				  "%s; it can't be loaded: %s", own[i].use, why);
	}
}

static int show_process(const struct options *o, enum kernel_backend backend)
{
	struct process_info p;
	char title[64];
	int err = process_info__read(o->doctor_pid, NULL, true, &p);

	if (err) {
		fflush(stdout);
		if (err == -ESRCH)
			log_error("no process %d", o->doctor_pid);
		else
			log_error("process %d can't be read: %s", o->doctor_pid, strerror(-err));
		return err;
	}
	snprintf(title, sizeof(title), "Process %d (%s)", p.pid, p.comm);
	rows__heading(o, title);
	show_identity(o, &p);
	show_ports(o, &p);
	bool tls = doctor__libraries(o, p.pid, backend != KERNEL_BACKEND_AUTO);

	rows__heading(o, "What weft sees of it");
	show_visible(o, &p, backend, tls);
	process_info__free(&p);
	return 0;
}

int doctor__run(const struct options *o)
{
	struct kernel_feature *rows = calloc(FEATURES_MAX, sizeof(*rows));

	if (!rows) {
		log_error("out of memory");
		return EXIT_IMPOSSIBLE;
	}
	size_t n = kernel__features(rows, FEATURES_MAX);

	if (n > FEATURES_MAX)
		n = FEATURES_MAX;
	enum kernel_backend backend = choose_backend(o, rows, n);
	bool possible = n > 0;

	rows__heading(o, "Kernel");
	possible &= show_features(o, rows, n, false);
	rows__heading(o, "Privileges");
	possible &= show_user(o);
	possible &= show_features(o, rows, n, true);
	rows__heading(o, "What weft uses here");
	if (backend != KERNEL_BACKEND_AUTO)
		rows__add(o, ROW_GOOD, "back end", NULL, "%s", kernel__backend_name(backend));
	else
		rows__add(o, ROW_BAD, "back end",
			  "weft replay FILE: a recorded file or a packet capture",
			  "%s: sockets can't be watched here",
			  o->backend == KERNEL_BACKEND_AUTO ? "none"
							    : kernel__backend_name(o->backend));
	possible &= backend != KERNEL_BACKEND_AUTO;
	show_own_libraries(o);
	free(rows);
	int err = o->doctor_pid ? show_process(o, backend) : 0;

	return possible && !err ? EXIT_DONE : EXIT_IMPOSSIBLE;
}
