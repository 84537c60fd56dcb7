// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * For weft's helper in Node.js (user/probe/node_helper.c), while it is being put in: where its cell
 * is, and whether the signal that opens the inspector is Node's own to handle. Both are attached
 * for that moment only. What the cell says is read by unit.bpf.h.
 */
#include "filter.bpf.h"

#define SIGUSR1_INDEX 9 /* 10 - 1 */

SEC("tp_btf/sys_exit")
int BPF_PROG(node_announced, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct filter *f = filter__current(task);
	struct announced *a;
	__u8 key[NODE_KEY_LEN];
	__u32 zero = 0;
	__u64 at;

	if (!f || (__u32)PT_REGS_PARM1_CORE_SYSCALL(regs) != NODE_ANNOUNCE_FD)
		return 0;
	a = bpf_map_lookup_elem(&announced, &zero);
	/* the main thread alone runs what the helper watches */
	if (!a || a->at || a->pid != f->pid || task->pid != task->tgid)
		return 0;
	at = PT_REGS_PARM2_CORE_SYSCALL(regs);
	if (bpf_probe_read_user(key, sizeof(key), (void *)at))
		return 0;
	for (int i = 0; i < NODE_KEY_LEN; i++)
		if (key[i] != a->key[i])
			return 0;
	a->at = at;
	return 0;
}

/* Of each process that weft can see: what it does with SIGUSR1. */
SEC("iter/task")
int node_signals(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct signal_action s = {};

	if (!task || task->pid != task->tgid)
		return 0;
	s.pid = filter__nr(task);
	if (!s.pid)
		return 0;
	s.flags = BPF_CORE_READ(task, sighand, action[SIGUSR1_INDEX].sa.sa_flags);
	s.handler = (__u64)BPF_CORE_READ(task, sighand, action[SIGUSR1_INDEX].sa.sa_handler);
	bpf_seq_write(ctx->meta->seq, &s, sizeof(s));
	return 0;
}
