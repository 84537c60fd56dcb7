// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where connections begin and end, by tracepoints that every back end has: they are the same for
 * all of them. These run for the whole machine, so what they do first is one comparison or one
 * look-up.
 */
#include "conn.bpf.h"

/* A selected process begins to connect: that is when a client's connection starts. */
static __always_inline void state__connecting(struct sock *sk)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct conn_state *st;
	struct filter *f;
	__u64 key = compat__number(sk);

	f = filter__current(task);
	if (!f)
		return;
	st = bpf_map_lookup_elem(&conns, &key);
	if (st &&
	    st->conn) /* connect() again on a socket that was disconnected: another connection */
		conn__gone(st);
	st = conn__state(key, CONN_BORN | CONN_CLIENT);
	if (!st)
		return;
	st->start_ts = bpf_ktime_get_boot_ns();
	conn__connecting(st, f->pid, filter__tid(task, f->pid), turn__number(f, task));
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(state_changed, struct sock *sk, int oldstate, int newstate)
{
	struct conn_state *st;
	__u64 key = (__u64)sk;

	if (newstate == TCP_SYN_SENT) {
		if (sk->sk_protocol == IPPROTO_TCP)
			state__connecting(sk);
	} else if (newstate == TCP_FIN_WAIT1 || newstate == TCP_LAST_ACK) {
		/*
		 * shutdown() or close(): nothing more is written, though the socket may live on for
		 * a while
		 */
		st = bpf_map_lookup_elem(&conns, &key);
		if (st)
			conn__shut(st, WEFT_OUT, st->pid, st->tid);
	}
	return 0;
}

/* Not at TCP_CLOSE: a process may still have bytes to read then. */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(state_destroyed, struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct conn_state *st = bpf_map_lookup_elem(&conns, &key);

	if (st)
		conn__gone(st);
	return 0;
}
