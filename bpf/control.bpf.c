// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Programs that user space runs itself (bpf_prog_test_run): they change maps where a plain update from user space
 * would overwrite what the other programs write at the same time.
 */
#include "conn.bpf.h"

/* Which PID namespace is weft's, and how deep is it? Run once by weft itself before anything is attached. */
SEC("syscall")
int setup(void *ctx)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct settings *s = filter__settings();
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	struct upid up;

	if (!s || !pid)
		return -1;
	s->pidns_level = BPF_CORE_READ(pid, level);
	if (bpf_probe_read_kernel(&up, sizeof(up), (void *)pid + bpf_core_field_offset(struct pid, numbers) +
				  s->pidns_level * bpf_core_type_size(struct upid)))
		return -1;
	s->pidns = (__u64)up.ns;
	return 0;
}

/* Returns how many of the batch's policies were set. */
SEC("syscall")
int policy_write(void *ctx)
{
	__u32 zero = 0, i, set = 0;
	struct weft_policy_batch *b = bpf_map_lookup_elem(&batch, &zero);

	if (!b)
		return 0;
	for (i = 0; i < WEFT_POLICY_BATCH; i++) {
		struct weft_policy_entry *e = &b->e[i];
		struct conn_state *st;
		__u64 key;

		if (i >= b->n)
			break;
		key = e->sock;
		st = bpf_map_lookup_elem(&conns, &key);
		if (!st || st->conn != e->conn)
			continue;
		st->policy = e->policy;
		set++;
	}
	return set;
}

/* The connections of the batch are dead, user space says: CLOSE for each that is still there. */
SEC("syscall")
int conn_forget(void *ctx)
{
	__u32 zero = 0, i, n = 0;
	struct weft_policy_batch *b = bpf_map_lookup_elem(&batch, &zero);

	if (!b)
		return 0;
	for (i = 0; i < WEFT_POLICY_BATCH; i++) {
		struct conn_state *st;
		__u64 key;

		if (i >= b->n)
			break;
		key = b->e[i].sock;
		st = bpf_map_lookup_elem(&conns, &key);
		if (!st || st->conn != b->e[i].conn)
			continue;
		conn__gone(st);
		n++;
	}
	return n;
}

/*
 * Is the socket at this address still the one of this inode? The memory may be anything by now: reading it is safe, and what
 * lies there passes for our socket only if it leads to the same inode number.
 */
static long sweep_one(struct bpf_map *map, __u64 *key, struct conn_state *st, __u64 *gone)
{
	struct sock *sk = (void *)*key;

	if (st->family != AF_UNIX && sock__family(sk) == st->family && BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP)
		return 0; /* state_destroyed() sees its end */
	if (sock__inode(sk) == st->ino && sock__family(sk) == st->family)
		return 0;
	if (st->conn)
		conn__mark(st, WEFT_EV_CLOSE, WEFT_OUT, st->pid, st->tid);
	bpf_map_delete_elem(map, key);
	(*gone)++;
	return 0;
}

/* Where no program sees the end of a socket (Unix sockets on a system-call back end, MPTCP), look now and then. */
SEC("syscall")
int sweep(void *ctx)
{
	__u64 gone = 0;

	bpf_for_each_map_elem(&conns, sweep_one, &gone, 0);
	return gone;
}

char LICENSE[] SEC("license") = "GPL";
