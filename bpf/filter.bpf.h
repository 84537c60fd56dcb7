/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is traced. One look-up in the storage of the current process's leader, the first thing that
 * every program on a hot path does. Cgroups are looked at only where a process can enter one
 * (task.bpf.c).
 */
#ifndef WEFT_FILTER_BPF_H
#define WEFT_FILTER_BPF_H

#include "cast.bpf.h"
#include "maps.bpf.h"

/* Most processes of a machine have no storage at all, which is seen without asking for it. */
static __always_inline struct filter *filter__of(struct task_struct *leader)
{
	if (!CAST_POINTER(leader, bpf_storage))
		return NULL;
	return bpf_task_storage_get(&filter, leader, 0, 0);
}

static __always_inline struct filter *filter__current(struct task_struct *task)
{
	return filter__of(task->group_leader);
}

static __always_inline struct settings *filter__settings(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&settings, &zero);
}

/*
 * The number in weft's PID namespace of the thread whose task_struct is at `task`; 0 where it has
 * none there.
 */
__global int filter__nr_at(__u64 task)
{
	struct settings *s = filter__settings();
	struct pid *pid;
	struct upid up;

	if (!s)
		return 0;
	pid = BPF_CORE_READ((struct task_struct *)task, thread_pid);
	if (!pid || BPF_CORE_READ(pid, level) < s->pidns_level)
		return 0;
	if (bpf_probe_read_kernel(&up, sizeof(up),
				  (void *)pid + bpf_core_field_offset(struct pid, numbers) +
					  s->pidns_level * bpf_core_type_size(struct upid)))
		return 0;
	return (__u64)up.ns == s->pidns ? up.nr : 0;
}

static __always_inline __u32 filter__nr(struct task_struct *task)
{
	return filter__nr_at(compat__number(task));
}

static __always_inline __u32 filter__tid(struct task_struct *task, __u32 pid)
{
	struct settings *s;

	if (task->pid == task->tgid)
		return pid;
	s = filter__settings();
	/* the machine's own namespace: its numbers are the kernel's */
	return s && !s->pidns_level ? (__u32)task->pid : filter__nr(task);
}

#endif /* WEFT_FILTER_BPF_H */
