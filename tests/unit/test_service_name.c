// SPDX-License-Identifier: GPL-2.0-or-later
/* The naming rules, on command lines, cgroup paths and environments as they are met. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../user/target/parts.h"

/* "" stands for "can't be said". */
static void free_or_null(char *s, const char *want, const char *what)
{
	cr_assert(s ? strcmp(s, want) == 0 : !*want, "%s: '%s', wanted '%s'", what, s ? s : "",
		  want);
	free(s);
}

/* Words of `line` are separated by '|'. */
static char *script(const char *exe, const char *line)
{
	const struct interpreter *in = interpreter__find(exe, NULL);
	char *copy = strdup(line), *argv[32];
	int argc = 0;

	cr_assert_not_null(in, "%s is an interpreter", exe);
	for (char *s = copy; s; argc++) {
		argv[argc] = s;
		s = strchr(s, '|');
		if (s)
			*s++ = '\0';
	}
	char *name = script__name(in, argv, argc);

	free(copy);
	return name;
}

static const struct {
	const char *exe, *line, *name;
} scripts[] = {
	{ "python3.11", "python3|shop.py", "shop" },
	{ "python3.11", "python3|/srv/shop/app.py|--port|80", "app" },
	{ "python3.11", "python|-u|-W|ignore|shop.py", "shop" },
	{ "python3.11", "python|-uWignore|shop.py", "shop" },
	{ "python3.11", "python|-X|dev|-O|shop.py", "shop" },
	{ "python3.11", "python|-Xdev|shop.pyc", "shop" },
	{ "python3.13t", "python|-m|http.server|8000", "http.server" },
	{ "python3.11", "python|-mshop.web|x.py", "shop.web" },
	{ "python3.11", "python|-Im|shop.__main__", "shop" },
	{ "python3.11", "python|/srv/shop/__main__.py", "shop" },
	{ "python3.11", "python|/srv/shop/", "shop" },
	{ "python3.11", "python|--check-hash-based-pycs|never|shop.py", "shop" },
	{ "python3.11", "python|-c|import shop; shop.run()", "" },
	{ "python3.11", "python|-uc|print()", "" },
	{ "python3.11", "python", "" },
	{ "python3.11", "python|-", "" },
	{ "python3.11", "python|-m", "" },
	{ "python3.11", "python|--|shop.py", "shop" },
	{ "python3.11", "python|/dev/fd/3", "" },
	{ "python3.11", "python3|/usr/bin/gunicorn|-w|4|-b|127.0.0.1:8000|shop:app", "shop" },
	{ "python3.11",
	  "python3|/usr/bin/gunicorn|-b|localhost:8000|--threads=4|shop.wsgi:create_app()",
	  "shop.wsgi" },
	{ "python3.11", "python3|/usr/bin/gunicorn|--reload|shop.wsgi|-w4", "shop.wsgi" },
	{ "python3.11", "python3|/usr/bin/gunicorn|-k|uvicorn.workers.UvicornWorker|-D|shop:app",
	  "shop" },
	{ "python3.11", "python3|/usr/bin/gunicorn|--name|till|shop:app", "till" },
	{ "python3.11", "python3|/usr/bin/gunicorn|-c|conf.py", "gunicorn" },
	{ "python3.11", "gunicorn: master [shop:app]", "shop" },
	{ "python3.11", "gunicorn: worker [shop.wsgi:app]", "shop.wsgi" },
	{ "python3.11", "gunicorn: worker []", "gunicorn" },
	{ "python3.11",
	  "python|-m|uvicorn|--host|0.0.0.0|--port|80|--factory|shop:make|--workers|2", "shop" },
	{ "python3.11", "python|/venv/bin/uvicorn|--no-access-log|shop.main:app", "shop.main" },
	{ "python3.11", "python|-m|flask|--app|shop/app.py|run", "app" },
	{ "python3.11", "python|/usr/bin/celery|-A|shop.tasks|worker|-c|4", "shop.tasks" },
	{ "python3.11", "python|/usr/bin/celery|worker", "celery" },
	{ "python3.11", "[celeryd: celery@host:MainProcess] -active- (worker)", "celeryd" },
	{ "python3.11", "shopd", "shopd" },
	{ "pypy3.10", "pypy3|shop.py", "shop" },
	{ "node", "node|server.js", "server" },
	{ "node", "node|--require|./trace.js|--max-old-space-size=4096|/srv/shop.mjs|--port|1",
	  "shop" },
	{ "node", "/usr/bin/node|-r|ts-node/register|src/main.ts", "main" },
	{ "node", "node|--inspect|index.js", "index" },
	{ "node", "node|-e|require('http')", "" },
	{ "node", "node|-pe|1", "" },
	{ "node", "node|--eval|1|x.js", "" },
	{ "node", "node", "" },
	{ "node", "npm start", "npm" },
	{ "node", "node /srv/shop/server.js --token x", "server" },
	{ "node", "next-server (v14.1.0)", "next-server" },
	{ "node", "node|/usr/lib/node_modules/npm/bin/npm-cli.js|start", "npm-cli" },
	{ "java", "java|-Xmx1g|-jar|/srv/shop.jar|--server.port=80", "shop" },
	{ "java", "java|-jar|shop-1.4.2-SNAPSHOT.jar", "shop" },
	{ "java", "java|-jar|shop-web-12.jar", "shop-web" },
	{ "java", "java|-jar|log4j-over-2d.jar", "log4j-over-2d" },
	{ "java", "java|-cp|lib/a.jar:lib/b.jar|-Dx=y|com.example.ShopMain|arg", "ShopMain" },
	{ "java",
	  "java|--add-opens|java.base/java.lang=ALL-UNNAMED|-classpath|x|kafka.Kafka|s.properties",
	  "Kafka" },
	{ "java", "java|--module-path|mods|-m|shop.web/com.example.Main", "Main" },
	{ "java", "java|--module=shop.web/com.example.Main", "Main" },
	{ "java", "java|@args|-cp|x|Main", "Main" },
	{ "java", "java|Shop.java", "Shop" },
	{ "java", "java|-jar", "" },
	{ "java", "java|-version", "" },
	{ "ruby3.1", "ruby|-I|lib|-rbundler/setup|-W0|shop.rb", "shop" },
	{ "ruby3.1", "ruby|-e|sleep", "" },
	{ "ruby3.1", "ruby|/usr/bin/rackup|config.ru", "rackup" },
	{ "ruby3.1", "puma 5.6.5 (tcp://127.0.0.1:9292) [shop]", "shop" },
	{ "ruby3.1", "puma: cluster worker 0: 1234 [shop]", "shop" },
	{ "ruby3.1", "puma 5.6.5 (tcp://127.0.0.1:9292)", "puma" },
	{ "ruby3.1", "sidekiq 6.5.0 shop [0 of 5 busy]", "sidekiq" },
	{ "php8.2", "php|-d|display_errors=1|artisan|serve", "artisan" },
	{ "php8.2", "php|-S|127.0.0.1:80|-t|public|router.php", "router" },
	{ "php8.2", "php|-f|shop.php", "shop" },
	{ "php8.2", "php|-r|echo 1;", "" },
	{ "php-fpm8.2", "php-fpm: pool shop", "shop" },
	{ "php-fpm8.2", "php-fpm: pool www", "php-fpm" },
	{ "php-fpm8.2", "php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)", "php-fpm" },
	{ "perl", "perl|-w|-Mstrict|-I|lib|/srv/shop.pl", "shop" },
	{ "perl", "perl|-we|print", "" },
	{ "perl", "starman worker --listen :80", "starman" },
	{ "beam.smp", "beam.smp|-W|w|--|-sname|shop@host|-s|x", "shop" },
	{ "beam.smp", "beam.smp|-s|shop_app|-noshell", "shop_app" },
	{ "beam.smp", "beam.smp|-noshell", "" },
	{ "dotnet", "dotnet|Shop.Web.dll", "Shop.Web" },
	{ "dotnet", "dotnet|exec|--runtimeconfig|x.json|/app/Shop.dll", "Shop" },
	{ "deno", "deno|run|-A|--allow-net|main.ts", "main" },
	{ "bun", "bun|run|shop.ts", "shop" },
	{ "bash", "/bin/bash|-eu|./run.sh", "run" },
	{ "bash", "bash|-c|sleep 1", "" },
	{ "bash", "-bash", "" },
	{ "dash", "sh|/usr/bin/shop-start", "shop-start" },
};

Test(service_name, scripts)
{
	for (size_t i = 0; i < sizeof(scripts) / sizeof(*scripts); i++)
		free_or_null(script(scripts[i].exe, scripts[i].line), scripts[i].name,
			     scripts[i].line);
}

Test(service_name, interpreters_are_whole_names)
{
	const char *version;

	cr_assert_null(interpreter__find("pythonic", NULL));
	cr_assert_null(interpreter__find("node-exporter", NULL));
	cr_assert_null(interpreter__find("javac", NULL));
	cr_assert_null(interpreter__find("shopd", NULL));
	cr_assert_null(interpreter__find("", NULL));
	cr_assert_str_eq(interpreter__find("python3.11", &version)->language, "python");
	cr_assert_str_eq(version, "3.11");
	cr_assert_str_eq(interpreter__find("php-fpm8.2", &version)->name, "php-fpm");
	cr_assert_str_eq(version, "8.2");
}

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID2 "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

static const struct {
	const char *text, *unit, *container, *v2, *machine;
} groups[] = {
	{ "0::/system.slice/shop.service\n", "shop", "", "/system.slice/shop.service", "" },
	{ "0::/system.slice/shop\\x2dweb.service\n", "shop-web", "",
	  "/system.slice/shop\\x2dweb.service", "" },
	{ "0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n",
	  "postgresql@15-main", "",
	  "/system.slice/system-postgresql.slice/postgresql@15-main.service", "" },
	{ "0::/system.slice/shop.service/worker\n", "shop", "", "/system.slice/shop.service/worker",
	  "" },
	{ "0::/user.slice/user-1000.slice/user@1000.service/app.slice/till.service\n", "till", "",
	  "/user.slice/user-1000.slice/user@1000.service/app.slice/till.service", "" },
	{ "0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", "", "",
	  "/user.slice/user-1000.slice/user@1000.service/init.scope", "" },
	{ "0::/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-term-1.scope\n", "",
	  "", "/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-term-1.scope",
	  "" },
	{ "0::/user.slice/user-1000.slice/session-3.scope\n", "", "",
	  "/user.slice/user-1000.slice/session-3.scope", "" },
	{ "0::/init.scope\n", "", "", "/init.scope", "" },
	{ "0::/system.slice/ssh.service\n", "", "", "/system.slice/ssh.service", "" },
	{ "0::/system.slice/system-getty.slice/getty@tty1.service\n", "", "",
	  "/system.slice/system-getty.slice/getty@tty1.service", "" },
	{ "0::/system.slice/cron.service\n", "", "", "/system.slice/cron.service", "" },
	{ "0::/system.slice/run-u42.service\n", "", "", "/system.slice/run-u42.service", "" },
	{ "0::/system.slice/runner.service\n", "runner", "", "/system.slice/runner.service", "" },
	{ "0::/\n", "", "", "/", "" },
	{ "", "", "", "/", "" },
	{ "garbage\n::\n0:\n", "", "", "/", "" },
	/* hybrid: systemd's tree in v1 and in v2 */
	{ "9:name=systemd:/system.slice/shop.service\n5:memory:/system.slice/shop.service\n0::/\n",
	  "shop", "", "/", "" },
	{ "5:memory:/system.slice/shop.service\n0::/\n", "", "", "/", "" },
	/* containers */
	{ "0::/system.slice/docker-" ID ".scope\n", "", ID, "/system.slice/docker-" ID ".scope",
	  "" },
	{ "0::/docker/" ID "\n", "", ID, "/docker/" ID, "" },
	{ "12:pids:/docker/" ID "\n0::/\n", "", ID, "/", "" },
	{ "12:pids:/docker/" ID "\n0::/system.slice/containerd.service\n", "", ID,
	  "/system.slice/containerd.service", "" },
	{ "0::/docker/" ID "/system.slice/shop.service\n", "shop", ID,
	  "/docker/" ID "/system.slice/shop.service", "" },
	{ "0::/docker/" ID "/docker/" ID2 "\n", "", ID2, "/docker/" ID "/docker/" ID2, "" },
	{ "0::/system.slice/shop.service/libpod-payload-" ID "\n", "shop", ID,
	  "/system.slice/shop.service/libpod-payload-" ID, "" },
	{ "0::/machine.slice/libpod-conmon-" ID ".scope\n", "", "",
	  "/machine.slice/libpod-conmon-" ID ".scope", "" },
	{ "0::/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:" ID
	  "\n",
	  "", ID,
	  "/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:" ID, "" },
	{ "0::/system.slice/my.service/kubepods/pod1/" ID "\n", "", ID,
	  "/system.slice/my.service/kubepods/pod1/" ID, "" },
	/* 65 digits are no id */
	{ "0::/docker/" ID "0\n", "", "", "/docker/" ID "0", "" },
	{ "0::/lxc.payload.till\n", "", "", "/lxc.payload.till", "till" },
	{ "0::/lxc/till/system.slice\n", "", "", "/lxc/till/system.slice", "till" },
	{ "0::/machine.slice/machine-my\\x2dtill.scope/payload\n", "", "",
	  "/machine.slice/machine-my\\x2dtill.scope/payload", "my-till" },
};

static bool is(const char *s, const char *want)
{
	return s ? strcmp(s, want) == 0 : !*want;
}

Test(service_name, cgroups)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
		struct cgroup_facts f;

		cr_assert(cgroup__parse(groups[i].text, &f));
		cr_assert(is(f.unit, groups[i].unit), "%s: unit %s", groups[i].text, f.unit);
		cr_assert(is(f.container_id, groups[i].container), "%s: container %s",
			  groups[i].text, f.container_id);
		cr_assert(is(f.v2_path, groups[i].v2), "%s: path %s", groups[i].text, f.v2_path);
		cr_assert(is(f.machine, groups[i].machine), "%s: machine %s", groups[i].text,
			  f.machine);
		cgroup_facts__free(&f);
	}
}

Test(service_name, container_id_from_mounts)
{
	free_or_null(cgroup__id_from_mounts("1 2 0:3 / / rw - ext4 x rw\n"
					    "9 2 8:1 /var/lib/docker/containers/" ID
					    "/hostname /etc/hostname rw - ext4 x rw\n"),
		     ID, "docker");
	free_or_null(cgroup__id_from_mounts("9 2 8:1 /io.containerd/sandboxes/" ID
					    "/hostname /etc/hostname rw - ext4 x rw\n"),
		     "", "pod sandbox");
	free_or_null(cgroup__id_from_mounts("9 2 8:1 /x/" ID "/hosts /etc/hosts rw - ext4 x rw\n"),
		     "", "other file");
	free_or_null(cgroup__id_from_mounts("9 2\n\n9"), "", "cut lines");
}

Test(service_name, v2_mount)
{
	free_or_null(
		cgroup__v2_mount(
			"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
			"35 31 0:32 / /sys/fs/cgroup/memory rw shared:1 - cgroup cgroup rw,memory\n"
			"41 31 0:38 / /sys/fs/cgroup/un\\040fied rw - cgroup2 cgroup2 rw\n"),
		"/sys/fs/cgroup/un fied", "hybrid");
	free_or_null(cgroup__v2_mount(
			     "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup2 rw\n"),
		     "", "v1");
}

Test(service_name, replicas)
{
	static const char *const cases[][2] = {
		{ "web-7d9c5b8f6-x2v4q", "web" },
		{ "my-web-7d9c5b8f6-x2v4q", "my-web" },
		{ "agent-x2v4q", "agent" },
		{ "db-0", "db" },
		{ "shop-front", "shop-front" },
		{ "shop", "shop" },
		{ "x2v4q", "x2v4q" },
		{ "-0", "-0" },
		{ "", "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char name[64];

		strcpy(name, cases[i][0]);
		container__strip_replica(name);
		cr_assert_str_eq(name, cases[i][1]);
	}
}

struct seen {
	char text[256];
};

static void collect(void *ctx, const char *key, const char *value, const char *raw)
{
	struct seen *s = ctx;
	size_t n = strlen(s->text);

	(void)raw;
	snprintf(s->text + n, sizeof(s->text) - n, "<%s|%s>", key, value);
}

Test(service_name, resource_attributes)
{
	static const char *const good[][2] = {
		{ "a=b", "<a|b>" },
		{ "a=b,c=d", "<a|b><c|d>" },
		{ " a = b , c= ", "<a|b><c|>" },
		{ "a=x%20y%2Cz%3d", "<a|x y,z=>" },
		{ "a=%c3%a9", "<a|\xc3\xa9>" },
	};
	/* anything wrong: nothing of it is taken */
	static const char *const bad[] = { "",      "a",     "a=b,c",     "a=b,",    ",a=b",
					   "=b",    "a=b=c", "a=%",       "a=%2",    "a=%zz",
					   "a=%00", "a=%ff", "a=b,c=%c3", "a=b,,c=d" };

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct seen s = { "" };

		cr_assert_eq(resource_attrs__each(good[i][0], collect, &s), 0, "%s", good[i][0]);
		cr_assert_str_eq(s.text, good[i][1]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct seen s = { "" };

		cr_assert_eq(resource_attrs__each(bad[i], collect, &s), -EINVAL, "'%s'", bad[i]);
		cr_assert_str_eq(s.text, "");
	}
}

Test(service_name, environment)
{
	static const char env[] =
		"A=1\0OTEL_SERVICE_NAME=shop\0XOTEL_SERVICE_NAME=no\0OTEL_SERVICE_NAME=second\0HOSTNAME=\0";
	struct env_facts e;

	cr_assert(environ__parse(env, sizeof(env) - 1, &e));
	cr_assert_str_eq(e.service_name, "shop");
	cr_assert_null(e.hostname);
	env_facts__free(&e);
	/* overwritten by a title: no entry begins where one should */
	cr_assert(environ__parse("nginx: worker OTEL_SERVICE_NAME=x\0\0\0", 36, &e));
	cr_assert_null(e.service_name);
	env_facts__free(&e);
}

Test(service_name, stat_with_hostile_name)
{
	struct proc_stat st;

	cr_assert(proc_stat__parse(
		"7 (a) S 9 (b) R 1 2 3 4 5 64 6 7 8 9 10 11 12 13 14 15 16 17 300 19\n", &st));
	cr_assert_str_eq(st.comm, "a) S 9 (b");
	cr_assert_eq(st.ppid, 1);
	cr_assert_eq(st.state, 'R');
	cr_assert_eq(st.flags, 64);
	cr_assert_eq(st.start_ns, 3000000000ull);
	cr_assert_not(proc_stat__parse("7 (a) S", &st));
	cr_assert_not(proc_stat__parse("", &st));
	cr_assert_not(proc_stat__parse(")(", &st));
}

Test(service_name, text)
{
	char s[] = "a\033[2Jb\xff\xc3\xa9\xed\xa0\x80\xc2\x9b";

	text__scrub(s);
	cr_assert_str_eq(s, "a?[2Jb?\xc3\xa9?????");
	cr_assert(text__clean("h\xc3\xa9 \xf0\x9f\x98\x80"));
	cr_assert_not(text__clean("\xc0\x80"));
	cr_assert_not(text__clean("\xf0\x9f\x98"));
	cr_assert_not(text__clean("\n"));
}
