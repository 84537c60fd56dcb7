// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The name of the service that a process belongs to. The first rule that has an answer wins:
 *
 *   flag    what the user set with --service-name
 *   env     OTEL_SERVICE_NAME, else service.name in OTEL_RESOURCE_ATTRIBUTES, of the process
 *   cgroup  the systemd unit, else the container's name
 *   script  for interpreters: script, module, jar, application
 *   exe     the executable's name; for a program installed under several names (redis-server is
 *           a link to redis-check-rdb) the one it was started by
 *
 * process_info__read() has put what the environment's resource attributes say into *p before.
 */
#include "parts.h"

#include <stdlib.h>
#include <string.h>

static void set(struct process_info *p, char *name, const char *source)
{
	if (name && *name) {
		free(p->service);
		text__scrub(name);
		p->service = name;
		p->service_source = source;
	} else {
		free(name);
	}
}

/*
 * The first word of argv[0], where the kernel's name for the process agrees that it was started by
 * it: both are set from the path that was given to exec. Titles ("nginx: worker process") end in a
 * colon.
 */
static char *called_by(const struct process_info *p, const struct words *argv)
{
	if (!p->comm || argv->n == 0)
		return NULL;
	size_t n = strcspn(argv->v[0], " ");
	char *word = strndup(argv->v[0], n);

	if (!word)
		return NULL;
	if (n > 1 && word[n - 1] == ':')
		word[n - 1] = '\0';
	const char *base = path__base(word);
	char *name = *base && strncmp(base, p->comm, 15) == 0 ? strdup(base) : NULL;

	free(word);
	return name;
}

static char *script_name(const struct process_info *p, const struct words *argv)
{
	const struct interpreter *in = NULL;

	if (p->exe)
		in = interpreter__find(path__base(p->exe), NULL);
	else if (
		argv->n) /* somebody else's process: the link can't be read, the command line can */
		in = interpreter__find(path__base(argv->v[0]), NULL);
	return in ? script__name(in, argv->v, argv->n) : NULL;
}

void service_name__decide(struct process_info *p, const char *flag_name, const struct words *argv,
			  const struct cgroup_facts *cg, struct env_facts *env)
{
	if (flag_name && *flag_name) {
		set(p, strdup(flag_name), "flag");
		return;
	}
	if (env->service_name) {
		set(p, env->service_name, "env");
		env->service_name = NULL;
	}
	if (p->service) /* just now, or from the resource attributes */
		return;
	set(p, cg->unit ? strdup(cg->unit) : container__name(cg, p->ppid, env->hostname), "cgroup");
	if (!p->service)
		set(p, script_name(p, argv), "script");
	if (!p->service)
		set(p, called_by(p, argv), "exe");
	if (!p->service && p->exe)
		set(p, strdup(path__base(p->exe)), "exe");
	if (!p->service)
		set(p, strdup(p->comm && *p->comm ? p->comm : "unknown_service"), "exe");
}
