// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Processes: who comes under the filter, who leaves it. The mark sits on the leader's task, so
 * threads need nothing, and a process ends with its mark.
 */
#include "task.bpf.h"

#define CGROUP_DEPTH 32
#define SIGNAL_GROUP_EXIT 0x4 /* include/linux/sched/signal.h */

/* Is this cgroup v2, or one above it, among the selected? */
__global int task__cgroup_selected(__u64 cgroup)
{
	struct cgroup *cg = (void *)cgroup;
	struct cgroup_subsys_state *css;
	int depth;

	for (depth = 0; depth < CGROUP_DEPTH && cg; depth++) {
		__u64 id = BPF_CORE_READ(cg, kn, id);

		if (bpf_map_lookup_elem(&cgroups, &id))
			return 1;
		css = BPF_CORE_READ(cg, self.parent);
		cg = css ? BPF_CORE_READ(css, cgroup) : NULL;
	}
	return 0;
}

static __always_inline int task__in_selected_cgroup(struct task_struct *task)
{
	struct settings *s = filter__settings();

	return s && s->n_cgroups &&
	       task__cgroup_selected((__u64)BPF_CORE_READ(task, cgroups, dfl_cgrp));
}

/* Put an unselected process under the filter because of its cgroup. */
static __always_inline void task__select(struct task_struct *leader)
{
	struct filter mark = { .bits = FILTER_BY_CGROUP, .pid = filter__nr(leader) };

	if (bpf_task_storage_get(&filter, leader, &mark, BPF_LOCAL_STORAGE_GET_F_CREATE))
		task__emit(WEFT_EV_SELECT, leader, mark.pid, mark.pid, task__ppid(leader));
}

/* Threads of which it matters who begins them: what they do is done on them from end to end. */
static __always_inline void task__thread(struct filter *f, struct task_struct *task,
					 struct task_struct *child)
{
	struct weft_thread *e;

	if (f->bits & FILTER_RUNTIME && f->runtime.kind != RUNTIME_PYTHON)
		return;
	e = emit__reserve(sizeof(*e));
	if (!e)
		return;
	emit__header(&e->h, WEFT_EV_THREAD, sizeof(*e), f->pid, filter__tid(task, f->pid), 0);
	e->child = child ? filter__nr(child) : 0;
	e->pad = 0;
	emit__submit(e, WEFT_EV_THREAD);
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(task_fork, struct task_struct *parent, struct task_struct *child)
{
	struct filter *of_parent, mark = {};

	of_parent = filter__current(parent);
	if (child->pid != child->tgid) {
		if (of_parent)
			task__thread(of_parent, parent, child);
		return 0;
	}
	if (of_parent) {
		mark.bits = of_parent->bits & (FILTER_BY | FILTER_RUNTIME);
		mark.runtime = of_parent->runtime;
		mark.pid = filter__nr(child);
		if (bpf_task_storage_get(&filter, child, &mark, BPF_LOCAL_STORAGE_GET_F_CREATE))
			task__emit(WEFT_EV_FORK, child, mark.pid, mark.pid, of_parent->pid);
		return 0;
	}
	if (task__in_selected_cgroup(child))
		task__select(child);
	return 0;
}

/*
 * When a thread that is not the leader execs, it becomes the leader, and the old one, which carried
 * the mark, is gone by now: task_exit() has kept the mark then.
 */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(task_exec, struct task_struct *task, int old_pid)
{
	struct filter *f = filter__current(task), *kept;
	__u64 group = CAST_POINTER(task, signal);
	struct settings *s;
	__u32 nr;

	if (!f && old_pid != task->pid) {
		kept = bpf_map_lookup_elem(&leaderless, &group);
		if (kept) {
			struct filter mark = *kept;

			mark.bits &= FILTER_BY;
			mark.turn = 0; /* another thread's */
			f = bpf_task_storage_get(&filter, task, &mark,
						 BPF_LOCAL_STORAGE_GET_F_CREATE);
			bpf_map_delete_elem(&leaderless, &group);
		}
	}
	if (f) {
		__sync_fetch_and_and(&f->bits, ~(FILTER_IO_URING | FILTER_RUNTIME));
		task__emit(WEFT_EV_EXEC, task, f->pid, f->pid, task__ppid(task));
		return 0;
	}
	s = filter__settings();
	if (task__in_selected_cgroup(task)) {
		task__select(task);
	} else if (s && s->watch_exec) {
		nr = filter__nr(task);
		task__emit(WEFT_EV_STRANGER, task, nr, nr, task__ppid(task));
	}
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(task_exit, struct task_struct *task)
{
	struct filter *f = filter__current(task);
	__u64 group = CAST_POINTER(task, signal);
	struct signal_struct *signal;

	if (!f)
		return 0;
	signal = (void *)group;
	if (CAST_READ(signal, live.counter) > 0) {
		if (task->pid == task->tgid)
			bpf_map_update_elem(&leaderless, &group, f, BPF_ANY);
		else if (!(CAST_READ(signal, flags) & SIGNAL_GROUP_EXIT))
			task__thread(f, task, NULL);
		return 0;
	}
	bpf_map_delete_elem(&leaderless, &group);
	/* The last two threads may both see that nobody lives. */
	if (__sync_fetch_and_or(&f->bits, FILTER_EXITED) & FILTER_EXITED)
		return 0;
	task__emit(WEFT_EV_EXIT, task->group_leader, f->pid, filter__tid(task, f->pid),
		   task__ppid(task));
	return 0;
}

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(task_cgroup, struct cgroup *dst, const char *path, struct task_struct *task,
	     bool threadgroup)
{
	struct settings *s = filter__settings();
	struct cgroup_root *root;
	struct filter *f;
	int selected;

	if (!s || !s->n_cgroups || task->pid != task->tgid)
		return 0;
	root = (void *)CAST_POINTER(dst, root);
	if (CAST_READ(root, hierarchy_id) != 0)
		return 0;
	selected = task__cgroup_selected(compat__number(dst));
	f = filter__of(task);
	if (selected && !f)
		task__select(task);
	else if (!selected && f && (f->bits & FILTER_BY) == FILTER_BY_CGROUP)
		bpf_task_storage_delete(&filter, task);
	return 0;
}
