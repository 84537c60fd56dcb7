// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The interchangeable ways of watching socket calls: which programs make up each, whether the
 * kernel can do it, how its programs are attached. A kernel may know a program type and refuse to
 * attach it, or load and refuse; so each is tried for real, first with a program of two
 * instructions, so that the refused ones cost a millisecond.
 */
#include <bpf/btf.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

#define FENTRY (1 << KERNEL_BACKEND_FENTRY)
#define KPROBE (1 << KERNEL_BACKEND_KPROBE)
#define SYSCALL (1 << KERNEL_BACKEND_SYSCALL)
#define TRACEPOINT (1 << KERNEL_BACKEND_TRACEPOINT)
#define WITH_TP_BTF (FENTRY | KPROBE | SYSCALL)
#define ALL (FENTRY | KPROBE | SYSCALL | TRACEPOINT)

struct part {
	const char *prog;  /* its name in bpf/ */
	unsigned backends; /* which load it */
	/* of those, which attach it only when asked (late.c, uprobe.c, nodejs.c); never: control.bpf.c */
	unsigned later;
	const char *event; /* classic tracepoint: its name in tracefs */
};

static const struct part parts[] = {
	{ .prog = "setup", .backends = ALL, .later = ALL },
	{ .prog = "policy_write", .backends = ALL, .later = ALL },
	{ .prog = "conn_forget", .backends = ALL, .later = ALL },
	{ .prog = "sweep", .backends = ALL, .later = ALL },
	{ .prog = UPROBE_ENTER, .backends = ALL, .later = ALL },
	{ .prog = UPROBE_EXIT, .backends = ALL, .later = ALL },
	{ .prog = UPROBE_SPAWN, .backends = ALL, .later = ALL },
	{ .prog = UPROBE_UV, .backends = ALL, .later = ALL },
	{ .prog = "task_fork", .backends = ALL },
	{ .prog = "task_exec", .backends = ALL },
	{ .prog = "task_exit", .backends = ALL },
	{ .prog = "task_cgroup", .backends = ALL },
	{ .prog = "state_changed", .backends = ALL },
	{ .prog = "state_destroyed", .backends = ALL },
	{ .prog = "fexit_inet_sendmsg", .backends = FENTRY },
	{ .prog = "fexit_inet6_sendmsg", .backends = FENTRY },
	{ .prog = "fexit_unix_stream_sendmsg", .backends = FENTRY },
	{ .prog = "fexit_inet_recvmsg", .backends = FENTRY },
	{ .prog = "fexit_inet6_recvmsg", .backends = FENTRY },
	{ .prog = "fexit_unix_stream_recvmsg", .backends = FENTRY },
	{ .prog = "fexit_inet_shutdown", .backends = FENTRY },
	{ .prog = "fexit_unix_shutdown", .backends = FENTRY },
	{ .prog = "fexit_unix_connect", .backends = FENTRY },
	{ .prog = "fexit_unix_accept", .backends = FENTRY },
	{ .prog = "fexit_inet_accept", .backends = FENTRY },
	{ .prog = "fexit_unix_socketpair", .backends = FENTRY },
	{ .prog = "fentry_unix_release", .backends = FENTRY },
	{ .prog = "fexit_sendfile", .backends = FENTRY },
	{ .prog = "fexit_splice", .backends = FENTRY },
	{ .prog = "fexit_mmap", .backends = FENTRY },
	{ .prog = "fexit_epoll_wait", .backends = FENTRY },
	{ .prog = "fexit_epoll_pwait", .backends = FENTRY },
	{ .prog = "kprobe_inet_sendmsg", .backends = KPROBE },
	{ .prog = "kretprobe_inet_sendmsg", .backends = KPROBE },
	{ .prog = "kprobe_inet6_sendmsg", .backends = KPROBE },
	{ .prog = "kretprobe_inet6_sendmsg", .backends = KPROBE },
	{ .prog = "kprobe_unix_stream_sendmsg", .backends = KPROBE },
	{ .prog = "kretprobe_unix_stream_sendmsg", .backends = KPROBE },
	{ .prog = "kprobe_inet_recvmsg", .backends = KPROBE },
	{ .prog = "kretprobe_inet_recvmsg", .backends = KPROBE },
	{ .prog = "kprobe_inet6_recvmsg", .backends = KPROBE },
	{ .prog = "kretprobe_inet6_recvmsg", .backends = KPROBE },
	{ .prog = "kprobe_unix_stream_recvmsg", .backends = KPROBE },
	{ .prog = "kretprobe_unix_stream_recvmsg", .backends = KPROBE },
	{ .prog = "kprobe_inet_shutdown", .backends = KPROBE },
	{ .prog = "kprobe_unix_shutdown", .backends = KPROBE },
	{ .prog = "kprobe_unix_connect", .backends = KPROBE },
	{ .prog = "kprobe_unix_socketpair", .backends = KPROBE },
	{ .prog = "kretprobe_accept", .backends = KPROBE },
	{ .prog = "kretprobe_accept4", .backends = KPROBE },
	{ .prog = "kprobe_unix_release", .backends = KPROBE },
	{ .prog = "kretprobe_sendfile", .backends = KPROBE },
	{ .prog = "kretprobe_splice", .backends = KPROBE },
	{ .prog = "kretprobe_mmap", .backends = KPROBE },
	/* loaded only for kernel_config.node_helper */
	{ .prog = NODE_ANNOUNCED, .backends = WITH_TP_BTF, .later = WITH_TP_BTF },
	{ .prog = NODE_SIGNALS, .backends = WITH_TP_BTF, .later = WITH_TP_BTF },
	{ .prog = "syscall_late", .backends = FENTRY | KPROBE, .later = FENTRY | KPROBE },
	{ .prog = "syscall_exit", .backends = SYSCALL },
	{ .prog = "tracepoint_exit", .backends = TRACEPOINT, .event = "raw_syscalls/sys_exit" },
};

static const char *const names[KERNEL_BACKEND_MAX] = {
	[KERNEL_BACKEND_AUTO] = "auto",
	[KERNEL_BACKEND_FENTRY] = "fentry",
	[KERNEL_BACKEND_KPROBE] = "kprobe",
	[KERNEL_BACKEND_SYSCALL] = "syscall",
	[KERNEL_BACKEND_TRACEPOINT] = "tracepoint",
};

const char *kernel__backend_name(enum kernel_backend backend)
{
	return (unsigned)backend < KERNEL_BACKEND_MAX ? names[backend] : NULL;
}

int kernel__backend_parse(const char *name)
{
	for (int i = 0; i < KERNEL_BACKEND_MAX; i++)
		if (!strcmp(name, names[i]))
			return i;
	return -EINVAL;
}

static const struct part *part__find(const char *prog)
{
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (!strcmp(prog, parts[i].prog))
			return &parts[i];
	return NULL;
}

void backends__choose(struct bpf_object *obj, enum kernel_backend backend)
{
	struct bpf_program *prog;

	bpf_object__for_each_program (prog, obj) {
		const struct part *p = part__find(bpf_program__name(prog));

		bpf_program__set_autoload(prog, p && (p->backends & (1U << backend)));
	}
}

int backends__keep(struct kernel *k, struct bpf_link *link)
{
	if (k->n_links == KERNEL_LINKS_MAX) {
		bpf_link__destroy(link);
		return -E2BIG;
	}
	k->links[k->n_links++] = link;
	return 0;
}

static int part__attach(struct kernel *k, const struct part *p, struct bpf_program *prog, char *why,
			size_t why_len)
{
	struct bpf_link *link = p->event ? tracefs__attach(prog, p->event)
					 : bpf_program__attach(prog);
	int err = -errno;

	if (!link) {
		snprintf(why, why_len, "program %s loaded, but can't be attached: %s", p->prog,
			 strerror(-err));
		return err;
	}
	return backends__keep(k, link);
}

int backends__attach(struct kernel *k, char *why, size_t why_len)
{
	struct bpf_program *prog;

	bpf_object__for_each_program (prog, k->obj) {
		const struct part *p = part__find(bpf_program__name(prog));
		int err;

		if (!p || !(p->backends & (1U << k->backend)) || (p->later & (1U << k->backend)))
			continue;
		err = part__attach(k, p, prog, why, why_len);
		if (err)
			return err;
	}
	return 0;
}

int backends__attach_later(const struct kernel *k, const char *prog)
{
	int fd = programs__fd(k, prog);

	return fd < 0 ? fd : bpf_raw_tracepoint_open(NULL, fd);
}

/* r0 = 0; exit */
static const struct bpf_insn nothing[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
	{ .code = BPF_JMP | BPF_EXIT },
};

/* Read once: it takes some 30 ms, and several probes ask. Some 6 MB until backends__probed(). */
static struct btf *vmlinux;

void backends__probed(void)
{
	btf__free(vmlinux);
	vmlinux = NULL;
}

static struct btf *probe__vmlinux(void)
{
	if (!vmlinux)
		vmlinux = btf__load_vmlinux_btf();
	return vmlinux;
}

const struct btf *backends__types(void)
{
	return probe__vmlinux();
}

static int probe__tracing(enum bpf_attach_type type, enum bpf_attach_type link_type,
			  const char *target)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = type);
	struct btf *btf = probe__vmlinux();
	int id, fd, link;

	if (!btf)
		return -errno;
	id = btf__find_by_name_kind(btf, target,
				    type == BPF_TRACE_RAW_TP ? BTF_KIND_TYPEDEF : BTF_KIND_FUNC);
	if (id < 0)
		return id;
	opts.attach_btf_id = id;
	fd = bpf_prog_load(BPF_PROG_TYPE_TRACING, "weft_probe", "GPL", nothing, 2, &opts);
	if (fd < 0)
		return fd;
	link = bpf_link_create(fd, 0, link_type, NULL);
	if (link < 0 && link != -EPERM)
		link = bpf_raw_tracepoint_open(
			NULL, fd); /* before 5.19 tracing links are made this way only */
	close(fd);
	if (link < 0)
		return link;
	close(link);
	return 0;
}

static int probe__perf(enum bpf_prog_type type, struct perf_event_attr *attr)
{
	int prog = bpf_prog_load(type, "weft_probe", "GPL", nothing, 2, NULL), pfd, link, err = 0;

	if (prog < 0)
		return prog;
	pfd = syscall(SYS_perf_event_open, attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (pfd < 0) {
		err = -errno;
	} else {
		link = bpf_link_create(prog, pfd, BPF_PERF_EVENT, NULL);
		if (link < 0)
			err = link;
		else
			close(link);
		close(pfd);
	}
	close(prog);
	return err;
}

static int probe__kprobe(void)
{
	struct perf_event_attr attr = { .size = sizeof(attr) };
	FILE *f = fopen("/sys/bus/event_source/devices/kprobe/type", "re");
	int type;

	if (!f)
		return -ENOENT;
	if (fscanf(f, "%d", &type) != 1)
		type = -1;
	fclose(f);
	if (type < 0)
		return -ENOENT;
	attr.type = type;
	attr.kprobe_func = (uint64_t)(uintptr_t) "inet_sendmsg";
	return probe__perf(BPF_PROG_TYPE_KPROBE, &attr);
}

static int probe__tracepoint(void)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_TRACEPOINT, .size = sizeof(attr) };
	int id = tracefs__event_id("raw_syscalls/sys_exit");

	if (id < 0)
		return id;
	attr.config = id;
	return probe__perf(BPF_PROG_TYPE_TRACEPOINT, &attr);
}

int backends__probe(enum kernel_backend backend, char *why, size_t why_len)
{
	static const char *const reason[KERNEL_BACKEND_MAX] = {
		[KERNEL_BACKEND_FENTRY] =
			("the kernel refuses trampolines (built without dynamic ftrace, or its "
			 "architecture has none)"),
		[KERNEL_BACKEND_KPROBE] =
			"the kernel has no kprobes (CONFIG_KPROBE_EVENTS), or is locked down",
		[KERNEL_BACKEND_SYSCALL] = "no system-call tracepoints with BTF",
		[KERNEL_BACKEND_TRACEPOINT] =
			"no system-call tracepoints (CONFIG_FTRACE_SYSCALLS, tracefs)",
	};
	int err;

	switch (backend) {
	case KERNEL_BACKEND_FENTRY:
		err = probe__tracing(BPF_TRACE_FEXIT, BPF_TRACE_FEXIT, "inet_sendmsg");
		break;
	case KERNEL_BACKEND_KPROBE: err = probe__kprobe(); break;
	case KERNEL_BACKEND_SYSCALL:
		err = probe__tracing(BPF_TRACE_RAW_TP, BPF_TRACE_RAW_TP, "btf_trace_sys_exit");
		break;
	case KERNEL_BACKEND_TRACEPOINT: err = probe__tracepoint(); break;
	default: return -EINVAL;
	}
	if (err)
		snprintf(why, why_len, "%s: %s", reason[backend], strerror(-err));
	return err;
}
