// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * --propagate=tcp: trace context in a TCP option, which no application sees and TLS does not hide.
 *
 *   kind 254 | length 28 | "WF" | trace id, 16 bytes | span id, 6 bytes | position, 2 bytes
 *
 * Kind 254 with two bytes that say whose it is, is what RFC 6994 gives to experiments. Together
 * with timestamps that is all the room there is: a segment that needs more of it (SACK blocks) goes
 * without. So the span id has 6 bytes, from which the other two follow, and the position is the last
 * 16 bits of the sequence number of the request's first byte. It is needed because a large segment
 * is cut into small ones on its way (TSO), each with a copy of the option: the request begins at the
 * last such number that is not behind the segment's own.
 *
 * A context is made when a write begins on a connection of a selected process, with nothing before
 * it still unsent, for the first few writes after something was read. It says where it belongs to;
 * so one for what proves to be no request does no harm. It goes with the first transmission only:
 * what is sent again goes as if weft were not there, and then the connection gets no more of them,
 * because there may be a machine on the way that drops what it does not know.
 *
 * The programs of a socket are those of its cgroup: attached at the root, they see all of them. They
 * ask at connect() who it is, and leave all sockets alone but those of selected processes. At the
 * other end it is not known who will accept; the kernel calls for options that it does not know,
 * and there are none but ours.
 */
#include "context.bpf.h"

#define OPTION_KIND 254
#define OPTION_LEN 28
#define OPTION_MAGIC0 'W'
#define OPTION_MAGIC1 'F'
#define SEGMENT_MAX 0xf000 /* so that two bytes of position will do */
#define WRITES_MAX 4       /* that are given a context, before something is read again */

struct option {
	__u8 kind, len, magic[2];
	__u8 trace_id[16];
	__u8 span_id[6];
	__u8 pos[2];
};

/* The bytes of a span id that do not travel follow from those that do. */
static __always_inline void propagate__complete(__u8 *span)
{
	__u64 h = 0;

	__builtin_memcpy(&h, span, 6);
	h = h * 0x9e3779b97f4a7c15ULL;
	span[6] = h >> 56;
	span[7] = h >> 48;
}

static __always_inline __u64 propagate__key(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;

	return sk ? compat__number(sk) : 0;
}

/* The connection, if it is one that a selected process opened. */
static __always_inline struct conn_state *propagate__conn(__u64 key)
{
	struct conn_state *st = bpf_map_lookup_elem(&conns, &key);

	return st && st->bits & CONN_CLIENT && st->ino == sock__inode((void *)key) ? st : NULL;
}

static __always_inline void propagate__begin(struct bpf_sock_ops *ops, __u32 flag)
{
	struct trace_context fresh = {};
	__u64 key = propagate__key(ops);

	context__put(key, 0, CONTEXT_SOCKET, &fresh);
	bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags | flag);
}

static __always_inline int propagate__mptcp(__u64 key)
{
	struct tcp_sock *tp = (void *)key;

	return bpf_core_field_exists(tp->is_mptcp) && BPF_CORE_READ(tp, is_mptcp);
}

/*
 * May programs of this kind ask for a task's storage? Not in 6.1. Then it is not known who writes, and
 * each call gets a trace id of its own. User space finds out.
 */
const volatile __u32 propagate_knows_task SEC(".rodata.propagate") = 0;

/*
 * The current thread writes on `out`: whose trace is that? Sets trace_id and cause.
 */
__global int propagate__cause(struct conn_state *out, struct trace_context *c)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct trace_context *theirs;
	struct conn_state *st;
	struct unit u = {};
	struct filter *f;

	if (!out || !c)
		return 0;
	c->cause = c->cause_pos = 0;
	context__random(c->trace_id, 4);
	if (!propagate_knows_task)
		return 0;
	f = filter__current(task);
	if (!f)
		return 0;
	if (f->bits & FILTER_RUNTIME)
		unit__current(f, &u);
	/* code of Python's that is in no unit runs on a thread of its own */
	if (f->bits & FILTER_RUNTIME && (u.id || f->runtime.kind != RUNTIME_PYTHON))
		st = context__by_unit(&u, out);
	else
		st = context__by_thread(task);
	if (!st || !st->conn || st->policy.frames == WEFT_FRAMES)
		return 0;
	c->cause = st->conn;
	c->cause_pos = st->asked;
	theirs = context__find(st->sock, st->asked, CONTEXT_IN);
	if (theirs) {
		__builtin_memcpy(c->trace_id, theirs->trace_id, 16);
	} else {
		c->at = CONTEXT_TOLD;
		context__put(st->sock, st->asked, CONTEXT_IN, c);
		c->at = CONTEXT_READY;
	}
	return 0;
}

/* A write begins at `pos`, which no unsent byte is before. */
__global int propagate__prepare(__u64 key, __u32 pos)
{
	__u32 read = BPF_CORE_READ((struct tcp_sock *)key, copied_seq);
	struct conn_state *st = propagate__conn(key);
	struct trace_context *of = context__find(key, 0, CONTEXT_SOCKET), *had;
	struct trace_context c = {};

	if (!st || !of || of->off)
		return 0;
	had = context__find(key, pos, CONTEXT_OUT);
	if (had && had->at != CONTEXT_READY)
		return 0;
	if (of->read != read) {
		of->read = read;
		of->writes = 0;
	}
	if (!had && of->writes >= WRITES_MAX)
		return 0;
	propagate__cause(st, &c);
	context__random(c.span_id, 2);
	propagate__complete(c.span_id);
	if (!context__put(key, pos, CONTEXT_OUT, &c) && !had)
		of->writes++;
	return 0;
}

/* How large may a segment be? Asked when a write begins, and at other times. */
static __always_inline int propagate__mss(__u64 key)
{
	struct tcp_sock *tp = (void *)key;
	__u32 next = BPF_CORE_READ(tp, snd_nxt);
	struct trace_context *c;

	/* the lock's owner is a process: the current one */
	if (BPF_CORE_READ((struct sock *)key, sk_lock.owned) &&
	    BPF_CORE_READ(tp, write_seq) == next)
		propagate__prepare(key, next);
	c = context__find(key, next, CONTEXT_OUT);
	return c && c->at == CONTEXT_READY;
}

/* A segment is about to be sent: does it get the option? */
static __always_inline int propagate__segment(struct bpf_sock_ops *ops, __u64 key)
{
	struct bpf_sock_ops_kern *kern = (void *)compat__number(ops);
	struct sk_buff *skb = BPF_CORE_READ(kern, skb);
	struct tcp_skb_cb *cb = (void *)skb + bpf_core_field_offset(struct sk_buff, cb);
	struct trace_context *c, *of;
	__u32 seq, len = ops->skb_len;

	if (!skb || !len)
		return 0;
	seq = BPF_CORE_READ(cb, seq);
	c = context__find(key, seq, CONTEXT_OUT);
	if (!c)
		return 0;
	if (seq != BPF_CORE_READ((struct tcp_sock *)key, snd_nxt)) {
		/* sent again */
		of = context__find(key, 0, CONTEXT_SOCKET);
		if (of)
			of->off = 1;
		return 0;
	}
	return c->at == CONTEXT_READY && len <= SEGMENT_MAX;
}

static __always_inline void propagate__length(struct bpf_sock_ops *ops)
{
	__u64 key = propagate__key(ops);
	int yes = 0;

	if (!key)
		return;
	if (ops->args[0] == BPF_WRITE_HDR_TCP_CURRENT_MSS)
		yes = propagate__mss(key);
	else if (!ops->args[0])
		yes = propagate__segment(ops, key);
	if (yes)
		bpf_reserve_hdr_opt(ops, OPTION_LEN, 0);
}

/* The segment's own sequence number; -1: its header is not there. */
static __always_inline int propagate__seq(struct bpf_sock_ops *ops, __u32 *seq)
{
	struct tcphdr *th = ops->skb_data;

	if ((void *)(th + 1) > ops->skb_data_end)
		return -1;
	*seq = bpf_ntohl(th->seq);
	return 0;
}

static __always_inline void propagate__write(struct bpf_sock_ops *ops)
{
	__u64 key = propagate__key(ops);
	struct option o = { OPTION_KIND, OPTION_LEN, { OPTION_MAGIC0, OPTION_MAGIC1 } };
	struct trace_context *c;
	__u32 seq;

	if (!key || propagate__seq(ops, &seq))
		return;
	c = context__find(key, seq, CONTEXT_OUT);
	if (!c || c->at != CONTEXT_READY)
		return;
	__builtin_memcpy(o.trace_id, c->trace_id, 16);
	__builtin_memcpy(o.span_id, c->span_id, 6);
	o.pos[0] = seq >> 8;
	o.pos[1] = seq;
	if (!bpf_store_hdr_opt(ops, &o, sizeof(o), 0))
		c->at = CONTEXT_SENT;
}

static __always_inline int propagate__zero(const __u8 *bytes, int n)
{
	__u8 any = 0;

	for (int i = 0; i < n; i++)
		any |= bytes[i];
	return !any;
}

static __always_inline void propagate__parse(struct bpf_sock_ops *ops)
{
	/* what is looked for: its kind, and with length 4 its first bytes */
	struct option o = { OPTION_KIND, 4, { OPTION_MAGIC0, OPTION_MAGIC1 } };
	__u64 key = propagate__key(ops);
	struct trace_context c = { .at = CONTEXT_SENT };
	__u32 seq;

	if (!key || propagate__seq(ops, &seq) ||
	    bpf_load_hdr_opt(ops, &o, sizeof(o), 0) != OPTION_LEN)
		return;
	if (propagate__zero(o.trace_id, 16) || propagate__zero(o.span_id, 6))
		return;
	__builtin_memcpy(c.trace_id, o.trace_id, 16);
	__builtin_memcpy(c.span_id, o.span_id, 6);
	propagate__complete(c.span_id);
	seq -= (seq - ((__u32)o.pos[0] << 8 | o.pos[1])) & 0xffff;
	/* a copy of what is known */
	if (!context__find(key, seq, CONTEXT_IN))
		context__put(key, seq, CONTEXT_IN, &c);
}

SEC("sockops")
int propagate_tcp(struct bpf_sock_ops *ops)
{
	switch (ops->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB: {
		__u64 key = propagate__key(ops);

		if (key && propagate__conn(key) && !propagate__mptcp(key))
			propagate__begin(ops, BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG);
		break;
	}
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		bpf_sock_ops_cb_flags_set(ops, ops->bpf_sock_ops_cb_flags |
						       BPF_SOCK_OPS_PARSE_UNKNOWN_HDR_OPT_CB_FLAG);
		break;
	case BPF_SOCK_OPS_HDR_OPT_LEN_CB: propagate__length(ops); break;
	case BPF_SOCK_OPS_WRITE_HDR_OPT_CB: propagate__write(ops); break;
	case BPF_SOCK_OPS_PARSE_HDR_OPT_CB: propagate__parse(ops); break;
	}
	return 1;
}
