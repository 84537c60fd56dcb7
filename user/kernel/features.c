// SPDX-License-Identifier: GPL-2.0-or-later
/* What this kernel and these privileges allow, one row a question; the answers come from trying. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bpf/btf.h>

#include "internal.h"

bool features__capable(int cap)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2] = {};

	if (syscall(SYS_capget, &h, d))
		return false;
	return d[cap / 32].effective & (1U << (cap % 32));
}

bool features__refused(char *why, size_t why_len)
{
	bool admin = features__capable(CAP_SYS_ADMIN);
	const char *missing = NULL;

	if (!admin && !features__capable(CAP_BPF))
		missing = "CAP_BPF";
	else if (!admin && !features__capable(CAP_PERFMON))
		missing = "CAP_PERFMON";
	if (missing && why)
		snprintf(
			why, why_len,
			"loading BPF programs needs %s, which this process lacks; run weft as root",
			missing);
	return missing != NULL;
}

static void feature__say(struct kernel_feature *f, bool present, const char *yes, const char *no)
{
	f->present = present;
	snprintf(f->detail, sizeof(f->detail), "%s", present ? yes : no);
}

static void feature__release(struct kernel_feature *f)
{
	struct utsname u;

	f->present = !uname(&u);
	snprintf(f->detail, sizeof(f->detail), "%.20s %.60s %.20s", u.sysname, u.release,
		 u.machine);
}

static void feature__btf(struct kernel_feature *f)
{
	feature__say(f, !access("/sys/kernel/btf/vmlinux", R_OK), "/sys/kernel/btf/vmlinux",
		     "no /sys/kernel/btf/vmlinux (CONFIG_DEBUG_INFO_BTF)");
}

static void feature__lockdown(struct kernel_feature *f)
{
	char line[100] = "";
	int fd = open("/sys/kernel/security/lockdown", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, line, sizeof(line) - 1) : -1;

	if (fd >= 0)
		close(fd);
	line[n > 0 ? n : 0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	f->present = !strstr(line, "[confidentiality]");
	snprintf(f->detail, sizeof(f->detail), "%s", line[0] ? line : "no lockdown");
}

static void feature__cap(struct kernel_feature *f, int cap)
{
	bool own = features__capable(cap), admin = features__capable(CAP_SYS_ADMIN);

	feature__say(f, own || admin, own ? "effective" : "implied by CAP_SYS_ADMIN",
		     "not among the effective ones");
}

static void feature__cap_bpf(struct kernel_feature *f)
{
	feature__cap(f, CAP_BPF);
}

static void feature__cap_perfmon(struct kernel_feature *f)
{
	feature__cap(f, CAP_PERFMON);
}

static void feature__cap_ptrace(struct kernel_feature *f)
{
	feature__say(f, features__capable(CAP_SYS_PTRACE), "effective",
		     "not among the effective ones");
}

static void feature__cap_resource(struct kernel_feature *f)
{
	feature__say(f, features__capable(CAP_SYS_RESOURCE), "effective",
		     "not among the effective ones; not needed since 5.11");
}

static void feature__map(struct kernel_feature *f, enum bpf_map_type type)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	uint32_t key = sizeof(int), value = 2 * sizeof(int), entries = 0;
	struct btf *btf = NULL;
	int fd, id;

	if (type == BPF_MAP_TYPE_RINGBUF) {
		key = value = 0;
		entries = 4096;
	} else {
		btf = btf__new_empty();
		id = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
		opts.btf_key_type_id = id;
		opts.btf_value_type_id = btf__add_array(btf, id, id, 2);
		opts.map_flags = BPF_F_NO_PREALLOC;
		btf__load_into_kernel(btf);
		opts.btf_fd = btf__fd(btf);
	}
	fd = bpf_map_create(type, "weft_probe", key, value, entries, &opts);
	f->present = fd >= 0;
	snprintf(f->detail, sizeof(f->detail), "%s", fd >= 0 ? "created" : strerror(-fd));
	if (fd >= 0)
		close(fd);
	btf__free(btf);
}

static void feature__ring(struct kernel_feature *f)
{
	feature__map(f, BPF_MAP_TYPE_RINGBUF);
}

static void feature__task_storage(struct kernel_feature *f)
{
	feature__map(f, BPF_MAP_TYPE_TASK_STORAGE);
}

/* The whole back end, as kernel__open() would do it. */
static void feature__backend(struct kernel_feature *f, enum kernel_backend backend)
{
	struct kernel_config cfg = { .backend = backend, .ring_bytes = 4096, .max_conns = 16 };
	struct kernel *k = NULL;
	char why[300] = "";

	f->present = !kernel__open(&cfg, &k, why, sizeof(why));
	snprintf(f->detail, sizeof(f->detail), "%.159s", f->present ? "loaded and attached" : why);
	kernel__close(k);
}

static void feature__fentry(struct kernel_feature *f)
{
	feature__backend(f, KERNEL_BACKEND_FENTRY);
}

static void feature__kprobe(struct kernel_feature *f)
{
	feature__backend(f, KERNEL_BACKEND_KPROBE);
}

static void feature__syscall(struct kernel_feature *f)
{
	feature__backend(f, KERNEL_BACKEND_SYSCALL);
}

static void feature__tracepoint(struct kernel_feature *f)
{
	feature__backend(f, KERNEL_BACKEND_TRACEPOINT);
}

/* The events that all back ends stand on. */
static void feature__events(struct kernel_feature *f)
{
	static const char *const needed[] = { "sched_process_fork",  "sched_process_exec",
					      "sched_process_exit",  "cgroup_attach_task",
					      "inet_sock_set_state", "tcp_destroy_sock" };
	struct btf *btf = btf__load_vmlinux_btf();
	char name[64];

	feature__say(f, btf, "fork, exec, exit, cgroup, socket state: all there",
		     "no BTF to look them up in");
	for (size_t i = 0; btf && i < sizeof(needed) / sizeof(needed[0]); i++) {
		snprintf(name, sizeof(name), "btf_trace_%s", needed[i]);
		if (btf__find_by_name_kind(btf, name, BTF_KIND_TYPEDEF) >= 0)
			continue;
		f->present = false;
		snprintf(f->detail, sizeof(f->detail), "tracepoint %s is missing", needed[i]);
	}
	btf__free(btf);
}

static void feature__tracefs(struct kernel_feature *f)
{
	int id = tracefs__event_id("raw_syscalls/sys_exit");

	feature__say(f, tracefs__mounted(), "mounted",
		     id >= 0 ? "not mounted"
			     : "not mounted, and the kernel refuses a private instance");
	f->instead = f->present ? NULL
		     : id >= 0  ? "opens a private instance where it needs it"
				: "does without the classic tracepoints";
}

static void feature__cgroup2(struct kernel_feature *f)
{
	static const char *const places[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	struct statfs fs;

	feature__say(f, false, "", "not mounted at /sys/fs/cgroup or /sys/fs/cgroup/unified");
	for (size_t i = 0; i < 2 && !f->present; i++)
		if (!statfs(places[i], &fs) && fs.f_type == CGROUP2_SUPER_MAGIC)
			feature__say(f, true, places[i], "");
}

static void feature__stats(struct kernel_feature *f)
{
	int fd = bpf_enable_stats(BPF_STATS_RUN_TIME);

	f->present = fd >= 0;
	snprintf(f->detail, sizeof(f->detail), "%s",
		 fd >= 0 ? "BPF_ENABLE_STATS works" : strerror(-fd));
	if (fd >= 0)
		close(fd);
}

static void feature__uprobe_way(struct kernel_feature *f, enum kernel_uprobes_way way,
				const char *lacks)
{
	int err = uprobe__try(way);

	f->present = !err;
	snprintf(f->detail, sizeof(f->detail), "%s%s%s", err ? lacks : "attached", err ? ": " : "",
		 err ? strerror(-err) : "");
}

static void feature__uprobes(struct kernel_feature *f)
{
	feature__uprobe_way(f, KERNEL_UPROBES_PERF,
			    "the kernel has no uprobes (CONFIG_UPROBE_EVENTS), or is locked down");
}

static void feature__uprobe_multi(struct kernel_feature *f)
{
	feature__uprobe_way(f, KERNEL_UPROBES_MULTI, "no such links (Linux 6.6)");
}

static void feature__propagate_tcp(struct kernel_feature *f)
{
	f->present = !propagate__try(f->detail, sizeof(f->detail));
}

struct row {
	const char *name;
	void (*ask)(struct kernel_feature *f);
	bool required;
	const char *instead;
};

static const struct row rows_table[] = {
	{ .name = "kernel", .ask = feature__release },
	{ .name = "BTF", .ask = feature__btf, .required = true },
	{ .name = "CAP_BPF", .ask = feature__cap_bpf, .required = true },
	{ .name = "CAP_PERFMON", .ask = feature__cap_perfmon, .required = true },
	{ .name = "CAP_SYS_PTRACE",
	  .ask = feature__cap_ptrace,
	  .instead = "can't read other users' environment, executables and libraries" },
	{ .name = "CAP_SYS_RESOURCE", .ask = feature__cap_resource },
	{ .name = "lockdown", .ask = feature__lockdown, .required = true },
	{ .name = "ring buffer", .ask = feature__ring, .required = true },
	{ .name = "task storage", .ask = feature__task_storage, .required = true },
	{ .name = "process and socket events", .ask = feature__events, .required = true },
	{ .name = "fentry back end",
	  .ask = feature__fentry,
	  .instead = "watches sockets by the next back end" },
	{ .name = "kprobe back end",
	  .ask = feature__kprobe,
	  .instead = "watches sockets by the next back end" },
	{ .name = "syscall back end",
	  .ask = feature__syscall,
	  .instead = "watches sockets by the next back end" },
	{ .name = "tracepoint back end", .ask = feature__tracepoint },
	{ .name = "uprobes",
	  .ask = feature__uprobes,
	  .instead = "sees no TLS plaintext and no calls of client libraries" },
	{ .name = "uprobe_multi",
	  .ask = feature__uprobe_multi,
	  .instead = "attaches uprobes one by one, by perf events" },
	{ .name = "tracefs", .ask = feature__tracefs },
	{ .name = "cgroup v2", .ask = feature__cgroup2, .instead = "can't select by cgroup" },
	{ .name = "TCP option (sockops)",
	  .ask = feature__propagate_tcp,
	  .instead = "can't propagate (--propagate=tcp, off by default)" },
	{ .name = "bpf_stats",
	  .ask = feature__stats,
	  .instead = "can't tell the kernel time spent in its programs" },
};

size_t kernel__features(struct kernel_feature *rows, size_t max)
{
	size_t n = sizeof(rows_table) / sizeof(rows_table[0]);

	for (size_t i = 0; i < n && i < max; i++) {
		struct kernel_feature *f = &rows[i];

		memset(f, 0, sizeof(*f));
		f->name = rows_table[i].name;
		f->required = rows_table[i].required;
		rows_table[i].ask(f);
		if (!f->present && !f->instead)
			f->instead = rows_table[i].instead;
	}
	return n;
}
