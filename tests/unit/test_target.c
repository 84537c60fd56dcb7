// SPDX-License-Identifier: GPL-2.0-or-later
/* Processes, resources and selectors, on a made-up /proc and on processes of our own. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../user/target/parts.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char root[64], proc[80];

/* A file below the made-up root; directories on the way are made. */
static void put(const char *path, const char *data, size_t len)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(full, 0755);
		*p = '/';
	}
	FILE *f = fopen(full, "w");

	cr_assert_not_null(f, "%s", full);
	cr_assert_eq(fwrite(data, 1, len, f), len);
	fclose(f);
}

static void link_to(const char *path, const char *target)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	unlink(full);
	cr_assert_eq(symlink(target, full), 0, "%s", full);
}

struct fake {
	pid_t pid, ppid;
	const char *comm, *exe, *cgroup;
	const char *cmdline, *env; /* '|' for NUL */
	unsigned flags;
	const char *state;
};

static void put_words(const char *path, const char *words)
{
	char buf[512];
	size_t n = strlen(words) + 1;

	memcpy(buf, words, n);
	for (size_t i = 0; i < n; i++)
		if (buf[i] == '|')
			buf[i] = '\0';
	put(path, buf, *words ? n : 0);
}

static void process(struct fake f)
{
	char path[64], text[256];

	snprintf(path, sizeof(path), "proc/%d/stat", f.pid);
	snprintf(text, sizeof(text),
		 "%d (%s) %s %d 1 1 0 -1 %u 0 0 0 0 0 0 0 0 20 0 1 0 12345 0 0\n", f.pid, f.comm,
		 f.state ? f.state : "S", f.ppid, f.flags);
	put(path, text, strlen(text));
	snprintf(path, sizeof(path), "proc/%d/cmdline", f.pid);
	put_words(path, f.cmdline ? f.cmdline : "");
	snprintf(path, sizeof(path), "proc/%d/environ", f.pid);
	put_words(path, f.env ? f.env : "");
	snprintf(path, sizeof(path), "proc/%d/cgroup", f.pid);
	put(path, f.cgroup ? f.cgroup : "0::/x\n", strlen(f.cgroup ? f.cgroup : "0::/x\n"));
	snprintf(path, sizeof(path), "proc/%d/status", f.pid);
	snprintf(text, sizeof(text), "Name:\t%s\nTgid:\t%d\nUid:\t54321\t54321\t0\t0\n", f.comm,
		 f.pid);
	put(path, text, strlen(text));
	snprintf(path, sizeof(path), "proc/%d/exe", f.pid);
	if (f.exe)
		link_to(path, f.exe);
}

static void set_up(void)
{
	strcpy(root, "/tmp/weft-test-target-XXXXXX");
	cr_assert_not_null(mkdtemp(root));
	snprintf(proc, sizeof(proc), "%s/proc", root);
	mkdir(proc, 0755);
	procfs__set_roots(proc, root);
}

static void tear_down(void)
{
	char cmd[128];

	procfs__set_roots(NULL, NULL);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", root);
	cr_assert_eq(system(cmd), 0);
}

static void expect_name(pid_t pid, const char *flag, const char *name, const char *source)
{
	struct process_info p;

	cr_assert_eq(process_info__read(pid, flag, false, &p), 0);
	cr_assert_str_eq(p.service, name);
	cr_assert_str_eq(p.service_source, source);
	process_info__free(&p);
}

TestSuite(target, .init = set_up, .fini = tear_down);

Test(target, names_in_order_of_rules)
{
	process((struct fake){
		.pid = 10,
		.comm = "python3",
		.exe = "/usr/bin/python3.11",
		.cmdline = "python3|x.py",
		.cgroup = "0::/system.slice/unit.service\n",
		.env = "OTEL_RESOURCE_ATTRIBUTES=service.name=attr|OTEL_SERVICE_NAME=name" });
	expect_name(10, "flag", "flag", "flag");
	expect_name(10, NULL, "name", "env");
	process((struct fake){
		.pid = 10,
		.comm = "python3",
		.exe = "/usr/bin/python3.11",
		.cmdline = "python3|x.py",
		.cgroup = "0::/system.slice/unit.service\n",
		.env = "OTEL_RESOURCE_ATTRIBUTES=service.name=attr|OTEL_SERVICE_NAME=" });
	expect_name(10, NULL, "attr", "env");
	/* malformed: all of it is ignored */
	process((struct fake){ .pid = 10,
			       .comm = "python3",
			       .exe = "/usr/bin/python3.11",
			       .cmdline = "python3|x.py",
			       .cgroup = "0::/system.slice/unit.service\n",
			       .env = "OTEL_RESOURCE_ATTRIBUTES=service.name=attr,broken" });
	expect_name(10, NULL, "unit", "cgroup");
	process((struct fake){ .pid = 10,
			       .comm = "python3",
			       .exe = "/usr/bin/python3.11",
			       .cmdline = "python3|x.py" });
	expect_name(10, NULL, "x", "script");
	process((struct fake){ .pid = 10,
			       .comm = "MainThread",
			       .exe = "/usr/bin/python3.11",
			       .cmdline = "python3|-c|1" });
	expect_name(10, NULL, "python3.11", "exe");
}

Test(target, executables)
{
	/* titles, links to one program of many names, upgraded files, unreadable links */
	process((struct fake){ .pid = 20,
			       .comm = "nginx",
			       .exe = "/usr/sbin/nginx",
			       .cmdline = "nginx: worker process" });
	expect_name(20, NULL, "nginx", "exe");
	process((struct fake){ .pid = 21,
			       .comm = "postgres",
			       .exe = "/usr/lib/postgresql/15/bin/postgres",
			       .cmdline = "postgres: shop shop 127.0.0.1(5) idle" });
	expect_name(21, NULL, "postgres", "exe");
	process((struct fake){ .pid = 22,
			       .comm = "redis-server",
			       .exe = "/usr/bin/redis-check-rdb",
			       .cmdline = "/usr/bin/redis-server 127.0.0.1:6379" });
	expect_name(22, NULL, "redis-server", "exe");
	process((struct fake){ .pid = 23,
			       .comm = "shopd",
			       .exe = "/srv/shopd (deleted)",
			       .cmdline = "/srv/shopd|-x" });
	expect_name(23, NULL, "shopd", "exe");
	process((struct fake){
		.pid = 24, .comm = "python3", .cmdline = "/usr/bin/python3|till.py" });
	expect_name(24, NULL, "till", "script");
	process((struct fake){ .pid = 25, .comm = "till" });
	expect_name(25, NULL, "till", "exe");
	process((struct fake){
		.pid = 26, .comm = "renamed", .exe = "/srv/shopd", .cmdline = "other" });
	expect_name(26, NULL, "shopd", "exe");
}

Test(target, container_names)
{
	static const char
		docker[] = "{\"ID\":\"x\",\"Config\":{\"Name\":\"no\"},\"Name\":\"/shop-web-1\"}";
	const char *group = "0::/system.slice/docker-" ID ".scope\n";

	process((struct fake){ .pid = 30,
			       .ppid = 29,
			       .comm = "shopd",
			       .exe = "/srv/shopd",
			       .cgroup = group,
			       .env = "HOSTNAME=0123456789ab" });
	expect_name(30, NULL, "shopd", "exe"); /* the host name is the id's beginning */
	process((struct fake){ .pid = 30,
			       .ppid = 29,
			       .comm = "shopd",
			       .exe = "/srv/shopd",
			       .cgroup = group,
			       .env = "HOSTNAME=till" });
	expect_name(30, NULL, "till", "cgroup");
	process((struct fake){
		.pid = 30,
		.ppid = 29,
		.comm = "shopd",
		.exe = "/srv/shopd",
		.cgroup = group,
		.env = "HOSTNAME=web-7d9c5b8f6-x2v4q|KUBERNETES_SERVICE_HOST=10.0.0.1" });
	expect_name(30, NULL, "web", "cgroup");
	process((struct fake){ .pid = 29,
			       .ppid = 1,
			       .comm = "conmon",
			       .exe = "/usr/bin/conmon",
			       .cmdline = "/usr/bin/conmon|-c|" ID "|-n|podshop|--x" });
	expect_name(30, NULL, "podshop", "cgroup");
	put("var/log/containers/web-1_prod_front-" ID ".log", "", 0);
	expect_name(30, NULL, "front", "cgroup");
	put("var/lib/docker/containers/" ID "/config.v2.json", docker, sizeof(docker) - 1);
	struct process_info p;

	cr_assert_eq(process_info__read(30, NULL, false, &p), 0);
	cr_assert_str_eq(p.container_id, ID);
	cr_assert_str_eq(p.service, "shop-web-1");
	process_info__free(&p);
	put("var/lib/docker/containers/" ID "/config.v2.json", docker, 20); /* cut short */
	expect_name(30, NULL, "front", "cgroup");
}

static const char *value_of(const char *text, size_t len, const char *key)
{
	for (size_t i = 0; i < len;) {
		const char *k = text + i, *v = k + strlen(k) + 1;

		if (strcmp(k, key) == 0)
			return v;
		i += strlen(k) + strlen(v) + 2;
	}
	return NULL;
}

Test(target, resource)
{
	struct process_info p;
	char *text;
	size_t len, end = 0;
	unsigned n, count = 0;

	put("etc/machine-id", "00112233445566778899aabbccddeeff\n", 33);
	process((struct fake){
		.pid = 40,
		.comm = "node",
		.exe = "/opt/v20.11.0/bin/node",
		.cmdline = "node|shop.js|--password=x",
		.env = "OTEL_SERVICE_NAME=shop|OTEL_RESOURCE_ATTRIBUTES=service.name=no,service.namespace=acme,"
		       "service.version=2,team=a%20b,process.pid=7,telemetry.sdk.name=x,host.name=theirs,"
		       "service.instance.id=i1,deployment.environment.name=test" });
	cr_assert_eq(process_info__read(40, NULL, false, &p), 0);
	cr_assert_eq(p.start_time_ns,
		     12345ull * (1000000000ull / (unsigned long long)sysconf(_SC_CLK_TCK)));
	cr_assert_eq(process_info__resource(&p, "9.9", &text, &len, &n), 0);
	for (; end < len; count++)
		for (int i = 0; i < 2; i++)
			end += strlen(text + end) + 1;
	cr_assert_eq(end, len);
	cr_assert_eq(count, n);
	cr_assert_str_eq(text, "service.name");
	cr_assert_str_eq(value_of(text, len, "service.name"), "shop");
	cr_assert_str_eq(value_of(text, len, "service.namespace"), "acme");
	cr_assert_str_eq(value_of(text, len, "service.version"), "2");
	cr_assert_str_eq(value_of(text, len, "service.instance.id"), "i1");
	cr_assert_str_eq(value_of(text, len, "deployment.environment.name"), "test");
	cr_assert_str_eq(value_of(text, len, "team"), "a b");
	cr_assert_str_eq(value_of(text, len, "telemetry.sdk.name"), "weft");
	cr_assert_str_eq(value_of(text, len, "telemetry.sdk.language"), "nodejs");
	cr_assert_str_eq(value_of(text, len, "telemetry.sdk.version"), "9.9");
	cr_assert_str_eq(value_of(text, len, "process.pid"), "40");
	cr_assert_str_eq(value_of(text, len, "process.command"), "node");
	cr_assert_str_eq(value_of(text, len, "process.owner"), "54321");
	cr_assert_str_eq(value_of(text, len, "process.executable.name"), "node");
	cr_assert_str_eq(value_of(text, len, "process.executable.path"), "/opt/v20.11.0/bin/node");
	cr_assert_str_eq(value_of(text, len, "process.runtime.name"), "nodejs");
	cr_assert_str_eq(value_of(text, len, "process.runtime.version"), "20.11.0");
	cr_assert_str_eq(value_of(text, len, "host.name"), "theirs");
	cr_assert_str_eq(value_of(text, len, "host.id"), "00112233445566778899aabbccddeeff");
	cr_assert_str_eq(value_of(text, len, "os.type"), "linux");
	cr_assert_null(memmem(text, len, "password", 8), "arguments stay where they are");
	free(text);
	process_info__free(&p);
}

Test(target, commands_hide_titles_arguments)
{
	struct process_info p;

	process((struct fake){ .pid = 41,
			       .comm = "node",
			       .exe = "/usr/bin/node",
			       .cmdline = "node /srv/a.js --token=x" });
	cr_assert_eq(process_info__read(41, NULL, false, &p), 0);
	cr_assert_str_eq(p.argv0, "node");
	process_info__free(&p);
	process((struct fake){
		.pid = 41, .comm = "x", .exe = "/opt/My App/x", .cmdline = "/opt/My App/x" });
	cr_assert_eq(process_info__read(41, NULL, false, &p), 0);
	cr_assert_str_eq(p.argv0, "/opt/My App/x");
	process_info__free(&p);
}

Test(target, libraries)
{
	static const char *const watched[] = { "libssl", "libpq", NULL };
	struct process_info p = { .language = "python" };

	process_info__watch_libraries(watched);
	runtime__libs("7f00-7f01 r--p 0 08:01 1 /lib/libssl.so.3\n"
		      "7f01-7f02 r-xp 0 08:01 1 /lib/libssl.so.3\n"
		      "7f02-7f03 r-xp 0 08:01 2 /lib/libsslx.so.3\n"
		      "7f03-7f04 rw-p 0 00:00 0 [heap]\n"
		      "7f04-7f05 r-xp 0 08:01 3 /w/libpq-9b38f5e3.so.5.15 (deleted)\n"
		      "7f05-7f06 r-xp 0 08:01 4 /lib/libpython3.11.so.1.0\n"
		      "7f06-7f07 r--s 0 08:01 5 /data/libpq.txt",
		      &p);
	cr_assert_eq(p.n_libs, 3);
	cr_assert_str_eq(p.libs[0], "libssl.so.3");
	cr_assert_str_eq(p.libs[1], "libpq-9b38f5e3.so.5.15");
	cr_assert_str_eq(p.runtime_version, "3.11");
	process_info__free(&p);
}

static void make_family(void)
{
	/*
	 * 1 ─ 50 (sudo) ─ 51 (weft); 1 ─ 60 nginx ─ 61, 62 nginx; 50 ─ 70 python ─ 71 sh; 2 a
	 * kernel thread; 80 a zombie
	 */
	process((struct fake){ .pid = 1, .comm = "init", .exe = "/sbin/init" });
	process((struct fake){ .pid = 2, .comm = "kthreadd", .flags = PROC_KTHREAD });
	process((struct fake){ .pid = 50, .ppid = 1, .comm = "sudo", .exe = "/usr/bin/sudo" });
	process((struct fake){ .pid = 51, .ppid = 50, .comm = "weft", .exe = "/usr/bin/weft" });
	process((struct fake){ .pid = 60, .ppid = 1, .comm = "nginx", .exe = "/usr/sbin/nginx" });
	process((struct fake){ .pid = 61, .ppid = 60, .comm = "nginx", .exe = "/usr/sbin/nginx" });
	process((struct fake){ .pid = 62, .ppid = 60, .comm = "nginx", .exe = "/usr/sbin/nginx" });
	process((struct fake){ .pid = 70,
			       .ppid = 50,
			       .comm = "python3",
			       .exe = "/usr/bin/python3.11",
			       .cmdline = "python3|shop.py" });
	process((struct fake){ .pid = 71,
			       .ppid = 70,
			       .comm = "a-very-long-nam",
			       .exe = "/usr/bin/dash",
			       .cmdline = "sh|-c|x" });
	process((struct fake){
		.pid = 80, .ppid = 1, .comm = "gone", .exe = "/gone", .state = "Z" });
}

/* What the selectors mean, "60 61 62", or the error. */
static const char *resolve(const struct selector *sel, size_t n, pid_t self)
{
	static char out[1024];
	pid_t *pids = NULL;
	size_t n_pids = 0, used = 0;
	char why[512];
	int err = targets__resolve(sel, n, "flag", self, &pids, &n_pids, why, sizeof(why));

	if (err) {
		snprintf(out, sizeof(out), "%d %s", err == -ESRCH ? 0 : err, why);
		return out;
	}
	out[0] = '\0';
	for (size_t i = 0; i < n_pids; i++)
		used += (size_t)snprintf(out + used, sizeof(out) - used, "%s%d", i ? " " : "",
					 pids[i]);
	free(pids);
	return out;
}

#define RESOLVE(...)                                                                               \
	resolve((struct selector[]){ __VA_ARGS__ },                                                \
		sizeof((struct selector[]){ __VA_ARGS__ }) / sizeof(struct selector), 51)
#define BY_PID(n)                                                                                  \
	{                                                                                          \
		.kind = SELECT_PID, .number = (n), .text = "x"                                     \
	}
#define BY(k, t)                                                                                   \
	{                                                                                          \
		.kind = (k), .text = (t)                                                           \
	}

Test(target, selectors)
{
	make_family();
	cr_assert_str_eq(RESOLVE(BY_PID(60)), "60 61 62");
	cr_assert_str_eq(RESOLVE(BY_PID(61)), "61");
	cr_assert_str_eq(RESOLVE(BY_PID(61), BY(SELECT_SERVICE, "shop")), "61 70 71");
	cr_assert_str_eq(RESOLVE(BY_PID(62), BY_PID(60), BY_PID(60)), "60 61 62");
	cr_assert_str_eq(RESOLVE(BY(SELECT_COMM, "nginx")), "60 61 62");
	cr_assert_str_eq(RESOLVE(BY(SELECT_COMM, "a-very-long-name-that-the-kernel-cuts")), "71");
	cr_assert_str_eq(RESOLVE(BY(SELECT_EXE, "/usr/sbin/nginx")), "60 61 62");
	cr_assert_str_eq(RESOLVE(BY(SELECT_EXE, "nginx")), "60 61 62");
}

Test(target, weft_is_never_swept_along)
{
	make_family();
	/* below init hangs everything; weft and sudo are passed over, sudo's other child is not */
	cr_assert_str_eq(RESOLVE(BY_PID(1)), "1 60 61 62 70 71");
	cr_assert_str_eq(RESOLVE(BY_PID(50)), "50 70 71");
	cr_assert_str_eq(RESOLVE(BY_PID(51)), "51");
	cr_assert_eq(strncmp(RESOLVE(BY(SELECT_COMM, "weft")),
			     "0 no process is called 'weft'; there are: ", 41),
		     0);
	cr_assert_eq(strncmp(RESOLVE(BY(SELECT_COMM, "sudo")),
			     "0 no process is called 'sudo'; there are: ", 41),
		     0);
}

Test(target, nobody)
{
	make_family();
	cr_assert_str_eq(RESOLVE(BY_PID(99)), "0 no process 99");
	cr_assert_str_eq(RESOLVE(BY_PID(80)), "0 process 80 has ended");
	cr_assert_str_eq(RESOLVE(BY_PID(2)), "0 process 2 is a thread of the kernel");
	cr_assert_str_eq(RESOLVE(BY(SELECT_SERVICE, "nope")),
			 "0 no process belongs to service 'nope'; there are: shop, nginx, dash");
	cr_assert_str_eq(RESOLVE({ .kind = SELECT_PORT, .number = 80 }),
			 "0 no process listens on TCP port 80");
	/* one of several is enough to fail */
	cr_assert_str_eq(RESOLVE(BY_PID(60), BY_PID(99)), "0 no process 99");
}

Test(target, parents_in_a_ring)
{
	process((struct fake){ .pid = 90, .ppid = 91, .comm = "a", .exe = "/a" });
	process((struct fake){ .pid = 91, .ppid = 90, .comm = "b", .exe = "/b" });
	process((struct fake){ .pid = 92, .ppid = 92, .comm = "c", .exe = "/c" });
	cr_assert_str_eq(RESOLVE(BY_PID(92)), "92");
	cr_assert_str_eq(RESOLVE(BY_PID(90)), "90 91");
	cr_assert_str_eq(resolve((struct selector[]){ BY_PID(92) }, 1, 90), "92");
}

static bool collect_pid(void *ctx, pid_t pid)
{
	int *sum = ctx;

	*sum = *sum * 100 + pid;
	return pid != 61;
}

Test(target, each_process)
{
	int sum = 0;

	make_family();
	cr_assert_eq(processes__each(collect_pid, &sum), 0);
	cr_assert_eq(
		sum,
		150516061); /* 1 50 51 60 61: no kernel thread, and it ends where it is told to */
}

Test(target, later_arrivals)
{
	const struct selector sel[] = { BY(SELECT_SERVICE, "shop"), BY(SELECT_COMM, "till"),
					BY_PID(3) };
	struct process_info p = { .pid = 3, .service = (char *)"shop", .comm = (char *)"x" };

	cr_assert(targets__match(sel, 3, &p));
	p.service = (char *)"other";
	cr_assert_not(targets__match(sel, 3, &p));
	p.comm = (char *)"till";
	cr_assert(targets__match(sel, 3, &p));
}

Test(target, ports)
{
	static const char tcp[] =
		"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
		"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 777 1 0\n"
		"   1: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 888 1 0\n"
		"   2: 0100007F:1F92 0100007F:0050 01 00000000:00000000 00:00000000 00000000     0        0 779 1 0\n";
	struct process_info p;

	process((struct fake){ .pid = 95, .comm = "shopd", .exe = "/srv/shopd" });
	put("proc/95/net/tcp", tcp, sizeof(tcp) - 1);
	put("proc/95/fd/x", "", 0);
	link_to("proc/95/fd/3", "socket:[777]");
	link_to("proc/95/fd/4", "socket:[779]");
	link_to("proc/95/fd/5", "anon_inode:[io_uring]");
	cr_assert_eq(process_info__read(95, NULL, true, &p), 0);
	cr_assert_eq(p.n_ports, 1);
	cr_assert_eq(p.ports[0], 8080);
	cr_assert(p.uses_io_uring);
	process_info__free(&p);
	cr_assert_str_eq(RESOLVE({ .kind = SELECT_PORT, .number = 8080 }), "95");
	cr_assert_str_eq(RESOLVE({ .kind = SELECT_PORT, .number = 8081 }),
			 "0 no process listens on TCP port 8081; there are: 8080");
}

Test(target, nobody_there)
{
	struct process_info p;

	cr_assert_eq(process_info__read(4242, NULL, true, &p), -ESRCH);
	cr_assert_eq(process_info__read(0, NULL, true, &p), -ESRCH);
	cr_assert_eq(process_info__read(-1, NULL, true, &p), -ESRCH);
	put("proc/4242/stat", "garbage", 7);
	cr_assert_eq(process_info__read(4242, NULL, true, &p), -ESRCH);
}

/* A child of ours that listens and waits to be killed; it says when it is ready. */
static pid_t start_listener(uint16_t *port)
{
	int ready[2];

	cr_assert_eq(pipe(ready), 0);
	pid_t pid = fork();

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		struct sockaddr_in a = { .sin_family = AF_INET,
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t len = sizeof(a);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "weft) t (st");
		if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 1) ||
		    getsockname(fd, (struct sockaddr *)&a, &len) ||
		    write(ready[1], &a.sin_port, 2) != 2)
			_exit(1);
		for (;;)
			pause();
	}
	cr_assert_eq(read(ready[0], port, 2), 2);
	*port = ntohs(*port);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

Test(target_live, own_child)
{
	struct process_info p;
	struct timespec now;
	char exe[4096];
	uint16_t port = 0;
	pid_t pid = start_listener(&port), *pids;
	size_t n;
	char why[256];
	int err = process_info__read(pid, NULL, true, &p);
	ssize_t len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	cr_assert_eq(err, 0);
	exe[len > 0 ? len : 0] = '\0';
	cr_assert_str_eq(p.comm, "weft) t (st");
	cr_assert_eq(p.ppid, getpid());
	cr_assert_str_eq(p.exe, exe);
	cr_assert_eq(p.n_ports, 1);
	cr_assert_eq(p.ports[0], port);
	cr_assert_not_null(p.language);
	cr_assert_not(p.opaque);
	clock_gettime(CLOCK_BOOTTIME, &now);
	uint64_t age = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec - p.start_time_ns;

	cr_assert_lt(age, 60000000000ull, "started less than a minute ago");
	process_info__free(&p);
	/* by its port, from somebody who is not its ancestor */
	struct selector sel = { .kind = SELECT_PORT, .number = port };

	cr_assert_eq(targets__resolve(&sel, 1, NULL, 1, &pids, &n, why, sizeof(why)), 0, "%s", why);
	cr_assert_eq(n, 1);
	cr_assert_eq(pids[0], pid);
	free(pids);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	cr_assert_eq(process_info__read(pid, NULL, true, &p), -ESRCH);
}

Test(target_live, wrong_cgroups)
{
	char why[256] = "";

	cr_assert_lt(targets__open_cgroup("/tmp", why, sizeof(why)), 0);
	cr_assert_not_null(strstr(why, "cgroup v2"), "%s", why);
	why[0] = '\0';
	cr_assert_lt(targets__open_cgroup("/no/such/group", why, sizeof(why)), 0);
	cr_assert_not_null(strstr(why, "/no/such/group"), "%s", why);
}
