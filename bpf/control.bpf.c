// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Programs that user space runs itself (bpf_prog_test_run): they change maps where a plain update
 * from user space would overwrite what the other programs write at the same time.
 */
#include "conn.bpf.h"

/*
 * Which PID namespace is weft's, and how deep is it? Run once by weft itself before anything is
 * attached.
 */
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
	if (bpf_probe_read_kernel(&up, sizeof(up),
				  (void *)pid + bpf_core_field_offset(struct pid, numbers) +
					  s->pidns_level * bpf_core_type_size(struct upid)))
		return -1;
	s->pidns = (__u64)up.ns;
	return 0;
}

/* The connection that an entry of the batch means, if it is still that one. */
static __always_inline struct conn_state *control__conn(struct weft_policy_batch *b, __u32 i)
{
	__u64 key = b->e[i].sock;
	struct conn_state *st = bpf_map_lookup_elem(&conns, &key);

	return st && st->conn == b->e[i].conn ? st : NULL;
}

struct control {
	struct weft_policy_batch *b;
	__u64 done;
};

static long policy_write_one(__u32 i, struct control *c)
{
	struct conn_state *st;

	if (i >= WEFT_POLICY_BATCH)
		return 1;
	st = control__conn(c->b, i);
	if (!st)
		return 0;
	conn__count_fields(st->policy.fields, c->b->e[i].policy.fields);
	st->policy = c->b->e[i].policy;
	c->done++;
	return 0;
}

/* Returns how many of the batch's policies were set. */
SEC("syscall")
int policy_write(void *ctx)
{
	__u32 zero = 0;
	struct control c = { .b = bpf_map_lookup_elem(&batch, &zero) };

	if (c.b)
		bpf_loop(c.b->n, policy_write_one, &c, 0);
	return c.done;
}

static long conn_forget_one(__u32 i, struct control *c)
{
	struct conn_state *st;

	if (i >= WEFT_POLICY_BATCH)
		return 1;
	st = control__conn(c->b, i);
	if (!st)
		return 0;
	conn__gone(st);
	c->done++;
	return 0;
}

/* The connections of the batch are dead, user space says: CLOSE for each that is still there. */
SEC("syscall")
int conn_forget(void *ctx)
{
	__u32 zero = 0;
	struct control c = { .b = bpf_map_lookup_elem(&batch, &zero) };

	if (c.b)
		bpf_loop(c.b->n, conn_forget_one, &c, 0);
	return c.done;
}

/* A TLS session that is made, and not used for so long, is taken for an orphan. */
#define SESSION_UNUSED_NS (60ULL * 1000000000)

/*
 * Is the socket at this address still the one of this inode? The memory may be anything by now:
 * reading it is safe, and what lies there passes for our socket only if it leads to the same inode
 * number.
 */
static long sweep_one(struct bpf_map *map, __u64 *key, struct conn_state *st, __u64 *gone)
{
	struct sock *sk = (void *)*key;

	if (!st->family) {
		/*
		 * A TLS session: no socket at all. User space forgets those of a process that has
		 * ended, but knows of none that was never told of.
		 */
		if (!st->conn && bpf_ktime_get_boot_ns() - st->start_ts > SESSION_UNUSED_NS)
			bpf_map_delete_elem(map, key);
		return 0;
	}
	if (st->family != AF_UNIX && sock__family(sk) == st->family &&
	    BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP)
		return 0; /* state_destroyed() sees its end */
	if (sock__inode(sk) == st->ino && sock__family(sk) == st->family)
		return 0;
	if (st->conn)
		conn__mark(st, WEFT_EV_CLOSE, WEFT_OUT, st->pid, st->tid);
	bpf_map_delete_elem(map, key);
	(*gone)++;
	return 0;
}

/* A process that is gone leaves its goroutines behind. */
static long sweep_goroutine(struct bpf_map *map, struct goroutine_key *key, struct frames *fr,
			    __u32 *any)
{
	struct signal_struct *group = (void *)key->group;

	if (BPF_CORE_READ(group, live.counter))
		*any = 1;
	else
		bpf_map_delete_elem(map, key);
	return 0;
}

/* The table is large and mostly empty: to walk through it takes a millisecond. */
static __always_inline void sweep_goroutines(void)
{
	__u32 zero = 0, *any = bpf_map_lookup_elem(&any_goroutine, &zero), left = 0;

	if (!any || !*any)
		return;
	*any = 0;
	bpf_for_each_map_elem(&goroutines, sweep_goroutine, &left, 0);
	if (left)
		*any = 1;
}

/*
 * Where no program sees the end of a socket (Unix sockets on a system-call back end, MPTCP), look
 * now and then.
 */
SEC("syscall")
int sweep(void *ctx)
{
	__u64 gone = 0;

	bpf_for_each_map_elem(&conns, sweep_one, &gone, 0);
	sweep_goroutines();
	return gone;
}
