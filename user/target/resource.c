// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A process as an OpenTelemetry resource (semantic conventions 1.44). Command lines are left out:
 * arguments hold secrets. service.instance.id is given only where the process says one itself.
 */
#include "parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#define ATTRS_MAX 128
#define VALUE_MAX 4096

struct attr {
	char *key, *value;
};

struct attrs {
	struct attr v[ATTRS_MAX];
	unsigned n;
	bool no_memory;
};

/* Cut to VALUE_MAX bytes, not within a character. */
static char *value_copy(const char *value)
{
	char *copy = strndup(value, VALUE_MAX);

	if (!copy)
		return NULL;
	if (strlen(value) > VALUE_MAX) {
		size_t n = VALUE_MAX;

		while (n && ((unsigned char)value[n] & 0xc0) == 0x80)
			n--;
		copy[n] = '\0';
	}
	text__scrub(copy);
	return copy;
}

/* Keys are unique: a second value replaces the first in its place. */
static void set(struct attrs *a, const char *key, const char *value)
{
	if (!value || !*value)
		return;
	char *copy = value_copy(value);

	for (unsigned i = 0; copy && i < a->n; i++) {
		if (strcmp(a->v[i].key, key) == 0) {
			free(a->v[i].value);
			a->v[i].value = copy;
			return;
		}
	}
	char *name = copy && a->n < ATTRS_MAX ? strdup(key) : NULL;

	if (!name) {
		a->no_memory |= !copy || a->n < ATTRS_MAX;
		free(copy);
		return;
	}
	a->v[a->n++] = (struct attr){ name, copy };
}

/*
 * ISO 8601. Rounded to the clock tick that start_time_ns is known to, so that it comes out the same
 * each time.
 */
static void set_creation_time(struct attrs *a, uint64_t start_ns)
{
	struct timespec real, boot;
	const int64_t tick = 10000000, second = 1000000000;
	char text[40], day[24];
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &real);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	int64_t t = (real.tv_sec - boot.tv_sec) * second + real.tv_nsec - boot.tv_nsec +
		    (int64_t)start_ns;

	t = (t + tick / 2) / tick * tick;
	time_t seconds = (time_t)(t / second);

	if (t < 0 || !gmtime_r(&seconds, &tm) ||
	    !strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm))
		return;
	snprintf(text, sizeof(text), "%s.%03dZ", day, (int)(t % second / 1000000));
	set(a, "process.creation.time", text);
}

static const char *architecture(const char *machine)
{
	static const struct {
		const char *uname, *name;
	} names[] = {
		{ "x86_64", "amd64" }, { "aarch64", "arm64" }, { "arm", "arm32" },
		{ "i686", "x86" },     { "i386", "x86" },      { "ppc64", "ppc64" },
		{ "ppc", "ppc32" },    { "s390x", "s390x" },   { "ia64", "ia64" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strncmp(machine, names[i].uname, strlen(names[i].uname)) == 0)
			return names[i].name;
	return machine;
}

static void set_host(struct attrs *a)
{
	static const char *const ids[] = { "/etc/machine-id", "/var/lib/dbus/machine-id" };
	struct utsname host;
	char path[PATH_MAX];

	if (uname(&host) == 0)
		set(a, "host.name", host.nodename);
	for (size_t i = 0; i < 2; i++) {
		char *id = procfs__sys_path(path, sizeof(path), ids[i])
				   ? procfs__slurp(AT_FDCWD, path, 256, NULL)
				   : NULL;

		if (!id)
			continue;
		id[strcspn(id, "\n")] = '\0';
		bool found = strspn(id, "0123456789abcdef") == 32 &&
			     !id[32]; /* else "uninitialized" */

		if (found)
			set(a, "host.id", id);
		free(id);
		if (found)
			break;
	}
	if (uname(&host) == 0)
		set(a, "host.arch", architecture(host.machine));
	set(a, "os.type", "linux");
}

/* What weft knows better than any environment. */
static bool is_protected(const char *key)
{
	return strcmp(key, "service.name") == 0 || strncmp(key, "telemetry.sdk.", 14) == 0 ||
	       strcmp(key, "process.pid") == 0 || strcmp(key, "process.creation.time") == 0;
}

static void set_theirs(void *ctx, const char *key, const char *value, const char *raw)
{
	(void)raw;
	if (!is_protected(key))
		set(ctx, key, value);
}

static int write_out(const struct attrs *a, char **text, size_t *len, unsigned *n)
{
	size_t size = 0;

	for (unsigned i = 0; i < a->n; i++)
		size += strlen(a->v[i].key) + strlen(a->v[i].value) + 2;
	char *out = malloc(size ? size : 1);

	if (!out)
		return -ENOMEM;
	*text = out;
	*len = size;
	*n = a->n;
	for (unsigned i = 0; i < a->n; i++) {
		out = stpcpy(out, a->v[i].key) + 1;
		out = stpcpy(out, a->v[i].value) + 1;
	}
	return 0;
}

int process_info__resource(const struct process_info *p, const char *weft_version, char **text,
			   size_t *len, unsigned *n)
{
	struct attrs *a = calloc(1, sizeof(*a));
	char pid[16];

	if (!a)
		return -ENOMEM;
	set(a, "service.name", p->service);
	set(a, "service.namespace", p->service_namespace);
	set(a, "service.version", p->service_version);
	set(a, "service.instance.id", p->service_instance_id);
	set(a, "deployment.environment.name", p->deployment);
	set(a, "telemetry.sdk.name", "weft");
	/* Of the process described; "c", "perl" are custom values: the conventions have none. */
	set(a, "telemetry.sdk.language", p->language ? p->language : "unknown");
	set(a, "telemetry.sdk.version", weft_version);
	snprintf(pid, sizeof(pid), "%d", p->pid);
	set(a, "process.pid", pid);
	if (p->start_time_ns)
		set_creation_time(a, p->start_time_ns);
	set(a, "process.executable.name", p->exe ? path__base(p->exe) : p->comm);
	set(a, "process.executable.path", p->exe);
	set(a, "process.command", p->argv0);
	set(a, "process.owner", p->owner);
	set(a, "process.runtime.name", p->runtime_name);
	set(a, "process.runtime.version", p->runtime_version);
	set_host(a);
	set(a, "container.id", p->container_id);
	if (p->resource_attrs)
		resource_attrs__each(p->resource_attrs, set_theirs, a);
	int err = a->no_memory ? -ENOMEM : write_out(a, text, len, n);

	for (unsigned i = 0; i < a->n; i++) {
		free(a->v[i].key);
		free(a->v[i].value);
	}
	free(a);
	return err;
}
