// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A container's cgroup holds its id only. Its name is found where the container's manager left it
 * readable: Docker's own description, the log that a Kubernetes node keeps, the command line of
 * podman's monitor. Where none is to be had (weft runs in a container itself), the host name says
 * it, unless it was generated.
 */
#include "parts.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static char *docker_name(const char *id)
{
	char inside[128], path[PATH_MAX];

	snprintf(inside, sizeof(inside), "/var/lib/docker/containers/%.64s/config.v2.json", id);
	if (!procfs__sys_path(path, sizeof(path), inside))
		return NULL;
	size_t len;
	char *text = procfs__slurp(AT_FDCWD, path, 4 << 20, &len);

	if (!text)
		return NULL;
	json_t *config = json_loadb(text, len, 0, NULL);
	const char *name = json_string_value(json_object_get(config, "Name"));
	char *found = name && *name ? strdup(name + (*name == '/')) : NULL;

	json_decref(config);
	free(text);
	return found;
}

/* /var/log/containers/<pod>_<namespace>_<container>-<id>.log */
static char *kubernetes_name(const char *id)
{
	char path[PATH_MAX], tail[80], *found = NULL;
	struct dirent *e;

	if (!procfs__sys_path(path, sizeof(path), "/var/log/containers"))
		return NULL;
	DIR *d = opendir(path);
	int tail_len = snprintf(tail, sizeof(tail), "-%.64s.log", id);

	while (d && !found && (e = readdir(d))) {
		size_t len = strlen(e->d_name);
		const char *end = e->d_name + len - tail_len;
		const char *bar = strrchr(e->d_name, '_');

		if (len > (size_t)tail_len && strcmp(end, tail) == 0 && bar && bar + 1 < end)
			found = strndup(bar + 1, (size_t)(end - bar - 1));
	}
	if (d)
		closedir(d);
	return found;
}

/* The value of `-c ID` must be ours, that of `-n NAME` is the name. */
static char *name_from_conmon(const struct words *argv, const char *id)
{
	const char *name = NULL;
	bool ours = false;

	for (int i = 1; i + 1 < argv->n; i++) {
		if (strcmp(argv->v[i], "-c") == 0)
			ours = strcmp(argv->v[i + 1], id) == 0;
		else if (strcmp(argv->v[i], "-n") == 0)
			name = argv->v[i + 1];
	}
	return ours && name ? strdup(name) : NULL;
}

/* conmon is an ancestor of everything in a podman container. */
static char *podman_name(const char *id, pid_t parent)
{
	char *name = NULL;

	for (int up = 0; up < 32 && parent > 1 && !name; up++) {
		struct proc_stat st;
		int dir = procfs__open(parent);

		if (dir < 0)
			break;
		bool ok = procfs__stat(dir, &st) == 0;

		if (ok && strcmp(st.comm, "conmon") == 0) {
			size_t len;
			char *text = procfs__slurp(dir, "cmdline", 1 << 20, &len);
			struct words argv;

			if (text && words__split(&argv, text, len)) {
				name = name_from_conmon(&argv, id);
				words__free(&argv);
			}
		}
		close(dir);
		if (!ok)
			break;
		parent = st.ppid;
	}
	return name;
}

/* Kubernetes makes its suffixes from these: no vowels, nothing that looks like another. */
static size_t generated_suffix(const char *s, size_t len, size_t min, size_t max)
{
	size_t n = 0;

	while (n < len && strchr("bcdfghjklmnpqrstvwxz2456789", s[len - n - 1]))
		n++;
	return n >= min && n <= max && n + 1 < len && s[len - n - 1] == '-' ? n + 1 : 0;
}

void container__strip_replica(char *s)
{
	size_t len = strlen(s);
	size_t pod = generated_suffix(s, len, 5, 5);
	size_t set = pod ? generated_suffix(s, len - pod, 6, 10) : 0;

	if (set) { /* a deployment: name-replicaset-pod */
		s[len - pod - set] = '\0';
		return;
	}
	if (pod) { /* a daemon set or a job: name-pod */
		s[len - pod] = '\0';
		return;
	}
	size_t digits = 0; /* a stateful set: name-0 */

	while (digits < len && isdigit((unsigned char)s[len - digits - 1]))
		digits++;
	if (digits && digits + 1 < len && s[len - digits - 1] == '-')
		s[len - digits - 1] = '\0';
}

static char *name_from_hostname(const struct cgroup_facts *cg, const char *hostname)
{
	struct utsname host;

	if (!hostname || !*hostname)
		return NULL;
	if (cg->container_id && strncmp(cg->container_id, hostname, strlen(hostname)) == 0)
		return NULL; /* Docker's and podman's default: the id's beginning */
	if (uname(&host) == 0 && strcmp(host.nodename, hostname) == 0)
		return NULL; /* --network host */
	char *name = strdup(hostname);

	if (name && cg->kubernetes)
		container__strip_replica(name);
	return name;
}

char *container__name(const struct cgroup_facts *cg, pid_t parent, const char *hostname)
{
	char *name = NULL;

	if (cg->container_id) {
		name = docker_name(cg->container_id);
		if (!name)
			name = kubernetes_name(cg->container_id);
		if (!name)
			name = podman_name(cg->container_id, parent);
	}
	if (!name && cg->machine)
		name = strdup(cg->machine);
	if (!name && (cg->container_id || cg->kubernetes))
		name = name_from_hostname(cg, hostname);
	return name;
}
