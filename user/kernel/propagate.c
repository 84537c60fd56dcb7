// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Propagation over hosts (bpf/propagate.bpf.c): whether it is possible here, loading and attaching.
 * The program hangs on a link of this process, at the root of cgroup v2: when weft ends, however
 * that comes about, the kernel takes it away.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "internal.h"

#define PROGRAM "propagate_tcp"
#define CONTEXTS_MAX 16384
#define SERVING_THREADS_MAX 4096

static int propagate__root(const char **path)
{
	static const char *const places[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	struct statfs fs;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (statfs(places[i], &fs) || fs.f_type != CGROUP2_SUPER_MAGIC)
			continue;
		*path = places[i];
		return open(places[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	errno = ENOENT;
	return -1;
}

/* A program that does nothing, attached and taken away. */
int propagate__try(char *why, size_t why_len)
{
	/* r0 = 1; exit */
	static const struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = BPF_CGROUP_SOCK_OPS);
	const char *path = "";
	int root = propagate__root(&path), prog, link, err;

	if (root < 0) {
		err = -errno;
		snprintf(why, why_len, "no cgroup v2 is mounted");
		return err;
	}
	prog = bpf_prog_load(BPF_PROG_TYPE_SOCK_OPS, "weft_probe", "GPL", nothing, 2, &opts);
	link = prog < 0 ? prog : bpf_link_create(prog, root, BPF_CGROUP_SOCK_OPS, NULL);
	err = link < 0 ? link : 0;
	if (err == -EPERM)
		snprintf(why, why_len, "not permitted (CAP_NET_ADMIN)");
	else
		snprintf(why, why_len, "%s%s", err ? strerror(-err) : "attached at ",
			 err ? "" : path);
	if (link >= 0)
		close(link);
	if (prog >= 0)
		close(prog);
	close(root);
	return err;
}

void propagate__choose(struct bpf_object *obj, const struct kernel_config *cfg)
{
	struct bpf_map *contexts = bpf_object__find_map_by_name(obj, "contexts");
	struct bpf_map *serving = bpf_object__find_map_by_name(obj, "serving");
	struct bpf_map *constants = bpf_object__find_map_by_name(obj, ".rodata.propagate");
	bool on = cfg->propagate_tcp;
	uint32_t knows_task = on && libbpf_probe_bpf_helper(BPF_PROG_TYPE_SOCK_OPS,
							    BPF_FUNC_task_storage_get, NULL) == 1;

	bpf_program__set_autoload(bpf_object__find_program_by_name(obj, PROGRAM), on);
	(void)bpf_map__set_initial_value(constants, &knows_task, sizeof(knows_task));
	/* maps of this kind have a few entries for each CPU at least */
	(void)bpf_map__set_max_entries(contexts, on ? CONTEXTS_MAX : 1);
	(void)bpf_map__set_max_entries(serving, on ? SERVING_THREADS_MAX : 1);
}

int propagate__attach(struct kernel *k, char *why, size_t why_len)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(k->obj, PROGRAM);
	const char *path = "";
	struct bpf_link *link;
	int root = propagate__root(&path), err;

	if (root < 0) {
		err = -errno;
		snprintf(why, why_len, "no cgroup v2 is mounted");
		return err;
	}
	link = bpf_program__attach_cgroup(prog, root);
	err = link ? 0 : -errno;
	close(root);
	if (err) {
		snprintf(why, why_len, "program %s can't be attached at %s: %s", PROGRAM, path,
			 strerror(-err));
		return err;
	}
	return backends__keep(k, link);
}
