// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One process as /proc shows it. What may be read depends on privileges: anybody sees stat, cmdline
 * and cgroup; executable, environment, descriptors and maps of other users' processes need
 * CAP_SYS_PTRACE. What can't be read is left out, and p->opaque says so.
 */
#include "parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CMDLINE_MAX (1u << 20)
#define ENVIRON_MAX (4u << 20)
#define MAPS_MAX (64u << 20)

static void replace(char **where, const char *value)
{
	free(*where);
	*where = strdup(value);
}

static void take_attr(void *ctx, const char *key, const char *value, const char *raw)
{
	struct process_info *p = ctx;
	char *longer = NULL;

	if (strcmp(key, "service.name") == 0) {
		if (!*value)
			return; /* empty is unset */
		replace(&p->service, value);
		p->service_source = "env";
	} else if (strcmp(key, "service.namespace") == 0) {
		replace(&p->service_namespace, value);
	} else if (strcmp(key, "service.version") == 0) {
		replace(&p->service_version, value);
	} else if (strcmp(key, "service.instance.id") == 0) {
		replace(&p->service_instance_id, value);
	} else if (strcmp(key, "deployment.environment.name") == 0) {
		replace(&p->deployment, value);
	} else if (asprintf(&longer, "%s%s%s", p->resource_attrs ? p->resource_attrs : "",
			    p->resource_attrs ? "," : "", raw) >= 0) {
		free(p->resource_attrs);
		p->resource_attrs = longer;
	}
}

static void read_environ(int dir, struct process_info *p, struct env_facts *env)
{
	size_t len;
	char *text = procfs__slurp(dir, "environ", ENVIRON_MAX, &len);

	*env = (struct env_facts){ 0 };
	if (!text) {
		p->opaque |= errno == EACCES || errno == EPERM;
		return;
	}
	environ__parse(text, len, env);
	free(text);
	if (env->resource)
		resource_attrs__each(env->resource, take_attr, p);
}

static void read_exe(int dir, struct process_info *p)
{
	static const char gone[] = " (deleted)";

	p->exe = procfs__link(dir, "exe");
	if (!p->exe) {
		p->opaque |= errno == EACCES || errno == EPERM;
		return;
	}
	size_t n = strlen(p->exe);

	/* Replaced while it runs, as upgrades do. */
	if (n > sizeof(gone) - 1 && strcmp(p->exe + n - (sizeof(gone) - 1), gone) == 0)
		p->exe[n - (sizeof(gone) - 1)] = '\0';
}

static void read_owner(int dir, struct process_info *p)
{
	char *text = procfs__slurp(dir, "status", 64 << 10, NULL), buf[4096];
	const char *uids = text ? strstr(text, "\nUid:") : NULL;
	struct passwd pw, *found = NULL;
	unsigned real, effective;

	if (uids && sscanf(uids + 5, "%u %u", &real, &effective) == 2) {
		if (getpwuid_r(effective, &pw, buf, sizeof(buf), &found) == 0 && found)
			p->owner = strdup(pw.pw_name);
		else if (asprintf(&p->owner, "%u", effective) < 0)
			p->owner = NULL;
	}
	free(text);
}

static void read_cgroup(int dir, struct process_info *p, struct cgroup_facts *cg)
{
	char *text = procfs__slurp(dir, "cgroup", 64 << 10, NULL);

	if (!text || !cgroup__parse(text, cg))
		cgroup__parse("", cg);
	free(text);
	if (cg->hidden && !cg->container_id) {
		text = procfs__slurp(dir, "mountinfo", 1 << 20, NULL);
		cg->container_id = text ? cgroup__id_from_mounts(text) : NULL;
		free(text);
	}
	p->cgroup = cg->v2_path ? strdup(cg->v2_path) : NULL;
	p->container_id = cg->container_id ? strdup(cg->container_id) : NULL;
}

static bool same_link(int dir, const char *name)
{
	char path[PATH_MAX];
	char *theirs = procfs__link(dir, name);

	snprintf(path, sizeof(path), "%s/self/%s", procfs__root(), name);
	char *ours = procfs__link(AT_FDCWD, path);
	bool same = !theirs || !ours || strcmp(theirs, ours) == 0;

	free(theirs);
	free(ours);
	return same;
}

static void read_libs(int dir, struct process_info *p)
{
	char *maps = procfs__slurp(dir, "maps", MAPS_MAX, NULL);

	if (maps)
		runtime__libs(maps, p);
	else
		p->opaque |= errno == EACCES || errno == EPERM;
	free(maps);
}

/*
 * process.command. A title that the program wrote over its arguments, and whole command lines in
 * one word, are cut at the first blank: arguments may hold secrets.
 */
static char *command(const struct process_info *p, const struct words *argv)
{
	if (argv->n == 0)
		return NULL;
	size_t n = strlen(argv->v[0]);

	if (argv->n == 1 && !(p->exe && strcmp(p->exe, argv->v[0]) == 0)) {
		n = strcspn(argv->v[0], " ");
		if (n > 1 && argv->v[0][n - 1] == ':')
			n--;
	}
	return strndup(argv->v[0], n);
}

static void read_names(int dir, const char *flag_name, struct process_info *p)
{
	struct cgroup_facts cg = { 0 };
	struct env_facts env;
	struct words argv = { 0 };
	size_t len;

	read_exe(dir, p);
	read_environ(dir, p, &env);
	read_cgroup(dir, p, &cg);
	cg.kubernetes |= env.kubernetes;
	char *cmdline = procfs__slurp(dir, "cmdline", CMDLINE_MAX, &len);

	if (cmdline)
		words__split(&argv, cmdline, len);
	p->argv0 = command(p, &argv);
	service_name__decide(p, flag_name, &argv, &cg, &env);
	words__free(&argv);
	env_facts__free(&env);
	cgroup_facts__free(&cg);
}

int process__read(pid_t pid, const char *flag_name, unsigned parts, struct process_info *out)
{
	struct proc_stat st;
	int dir = procfs__open(pid);

	*out = (struct process_info){ .pid = pid };
	if (dir < 0)
		return dir;
	int err = procfs__stat(dir, &st);

	if (!err && (st.state == 'Z' || st.state == 'X'))
		err = -ESRCH;
	if (err)
		goto out;
	out->ppid = st.ppid;
	out->start_time_ns = st.start_ns;
	text__scrub(st.comm);
	out->comm = strdup(st.comm);
	read_names(dir, flag_name, out);
	read_owner(dir, out);
	if (parts & PROCESS_RUNTIME)
		runtime__detect(dir, out);
	if (parts & PROCESS_LIBS)
		read_libs(dir, out);
	if (parts & PROCESS_PORTS) {
		ports__read(dir, out);
		out->other_netns = !same_link(dir, "ns/net");
	}
	/* It may have ended halfway; then what was read is not all of it. */
	err = procfs__stat(dir, &st);
	if (!err && (!out->service || !out->comm))
		err = -ENOMEM;
out:
	close(dir);
	if (err)
		process_info__free(out);
	return err;
}

int process_info__read(pid_t pid, const char *flag_name, bool detail, struct process_info *out)
{
	return process__read(pid, flag_name, detail ? PROCESS_ALL : PROCESS_RUNTIME, out);
}

void process_info__free(struct process_info *p)
{
	char **strings[] = { &p->service,
			     &p->exe,
			     &p->comm,
			     &p->argv0,
			     &p->owner,
			     &p->cgroup,
			     &p->container_id,
			     &p->runtime_name,
			     &p->runtime_version,
			     &p->service_namespace,
			     &p->service_version,
			     &p->service_instance_id,
			     &p->deployment,
			     &p->resource_attrs };

	for (size_t i = 0; i < sizeof(strings) / sizeof(*strings); i++)
		free(*strings[i]);
	for (unsigned i = 0; i < p->n_libs; i++)
		free(p->libs[i]);
	*p = (struct process_info){ 0 };
}

int processes__each(bool (*fn)(void *ctx, pid_t pid), void *ctx)
{
	pid_t *pids;
	size_t n;
	int err = procfs__pids(&pids, &n);

	if (err)
		return err;
	for (size_t i = 0; i < n; i++) {
		struct proc_stat st;
		int dir = procfs__open(pids[i]);

		if (dir < 0)
			continue;
		bool real = procfs__stat(dir, &st) == 0 && !(st.flags & PROC_KTHREAD) &&
			    st.state != 'Z' && st.state != 'X';

		close(dir);
		if (real && !fn(ctx, pids[i]))
			break;
	}
	free(pids);
	return 0;
}
