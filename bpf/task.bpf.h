/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Events about a process. */
#ifndef WEFT_TASK_BPF_H
#define WEFT_TASK_BPF_H

#include "emit.bpf.h"
#include "filter.bpf.h"

static __always_inline void task__emit(__u8 kind, struct task_struct *task, __u32 pid, __u32 tid,
				       __u32 ppid)
{
	struct weft_proc *p = emit__reserve(sizeof(*p));

	if (!p)
		return;
	emit__header(&p->h, kind, sizeof(*p), pid, tid, 0);
	p->ppid = ppid;
	p->pad = 0;
	p->start_time = BPF_CORE_READ(task, group_leader, start_boottime);
	bpf_probe_read_kernel(p->comm, sizeof(p->comm), &task->comm);
	emit__submit(p, kind);
}

static __always_inline __u32 task__ppid(struct task_struct *task)
{
	struct task_struct *parent = BPF_CORE_READ(task, real_parent, group_leader);

	return parent ? filter__nr(parent) : 0;
}

#endif /* WEFT_TASK_BPF_H */
