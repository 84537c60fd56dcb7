/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading the kernel's own sockets: which ones are ours, who is at the two ends, where the streams
 * stand.
 */
#ifndef WEFT_SOCK_BPF_H
#define WEFT_SOCK_BPF_H

#include "cast.bpf.h"
#include "types.bpf.h"

static __always_inline __u16 sock__family(struct sock *sk)
{
	return CAST_READ(sk, __sk_common.skc_family);
}

/*
 * Stream sockets of TCP, MPTCP and Unix that a process holds; NULL for all others (also the
 * kernel's own).
 */
static __always_inline struct sock *sock__usable(struct socket *sock)
{
	struct sock *sk;
	__u16 family, proto;

	if (CAST_READ(sock, type) != SOCK_STREAM || !CAST_READ(sock, file))
		return NULL;
	sk = CAST_READ(sock, sk);
	if (!sk)
		return NULL;
	family = sock__family(sk);
	if (family == AF_UNIX)
		return sk;
	if (family != AF_INET && family != AF_INET6)
		return NULL;
	proto = CAST_READ(sk, sk_protocol);
	return proto == IPPROTO_TCP || proto == IPPROTO_MPTCP ? sk : NULL;
}

/* What a descriptor of the current process leads to, if it is a socket of any kind; else NULL. */
static __always_inline struct socket *sock__behind(__u32 fd, __u64 *ino)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct files_struct *files;
	struct fdtable *fdt;
	struct inode *inode;
	struct file *file;
	__u64 slots;
	__u32 n;

	if (cast_to_number) {
		files = (void *)CAST_POINTER(task, files);
		fdt = CAST_READ(files, fdt);
		slots = (__u64)CAST_READ(fdt, fd);
		n = CAST_READ(fdt, max_fds);
	} else {
		fdt = task->files->fdt;
		slots = (__u64)fdt->fd;
		n = fdt->max_fds;
	}
	if (!slots || fd >= n)
		return NULL;
	file = (void *)cast__number_at(slots + fd * sizeof(file));
	if (!file)
		return NULL;
	inode = CAST_READ(file, f_inode);
	if ((CAST_READ(inode, i_mode) & S_IFMT) != S_IFSOCK)
		return NULL;
	*ino = CAST_READ(inode, i_ino);
	return CAST_READ(file, private_data);
}

/* The socket behind a descriptor of the current process, as a number; 0 if it is none of ours. */
__global __u64 sock__of_fd(__u32 fd)
{
	struct socket *sock;
	__u64 ino;

	sock = sock__behind(fd, &ino);
	return sock ? (__u64)sock__usable(sock) : 0;
}

/* 0 where no process holds the socket any more. */
static __always_inline __u64 sock__inode(struct sock *sk)
{
	struct socket *sock = CAST_READ(sk, sk_socket);
	struct socket_alloc *alloc = (void *)sock -
				     bpf_core_field_offset(struct socket_alloc, socket);

	return sock ? CAST_READ(alloc, vfs_inode.i_ino) : 0;
}

/*
 * Do TCP's sequence numbers count the application's bytes? Not for MPTCP (they are the subflows'),
 * and not with an upper-layer protocol (kTLS: they count ciphertext).
 */
static __always_inline int sock__counts(struct sock *sk, __u16 family)
{
	return family != AF_UNIX && CAST_READ(sk, sk_protocol) == IPPROTO_TCP &&
	       !CAST_READ((struct inet_connection_sock *)sk, icsk_ulp_ops);
}

/* Sequence number after the last byte that the process wrote. */
static __always_inline __u32 sock__written(struct sock *sk)
{
	return CAST_READ((struct tcp_sock *)sk, write_seq);
}

/* Nothing more is written: TCP counts the end itself (FIN) like a byte. */
static __always_inline int sock__wrote_all(struct sock *sk)
{
	return CAST_READ(sk, sk_shutdown) & SEND_SHUTDOWN;
}

/*
 * Sequence number after the last byte that the process read, or after the peer's FIN: a read that
 * meets that steps over it too (tcp_recvmsg_locked, found_fin_ok).
 */
static __always_inline __u32 sock__took(struct sock *sk)
{
	return CAST_READ((struct tcp_sock *)sk, copied_seq);
}

/* Sequence number after the last byte that the process read: the step over the FIN is no byte. */
static __always_inline __u32 sock__read(struct sock *sk)
{
	__u32 copied = sock__took(sk);
	int done = bpf_core_enum_value(enum sock_flags, SOCK_DONE);

	if (((CAST_READ(sk, __sk_common.skc_flags) >> done) & 1) &&
	    copied == CAST_READ((struct tcp_sock *)sk, rcv_nxt))
		copied--;
	return copied;
}

/*
 * TCP counts the bytes it received and had acknowledged (RFC 4898), so the first sequence numbers
 * can be computed from the present ones. A packet may move both on another CPU while they are read:
 * then they are read again.
 */
#define SOCK_FIRST(tp, present, counted)                                                           \
	({                                                                                         \
		__u32 at = BPF_CORE_READ(tp, present), again, n = 0;                               \
		_Pragma("unroll") for (int try = 0; try < 3; try++)                                \
		{                                                                                  \
			n = BPF_CORE_READ(tp, counted);                                            \
			again = BPF_CORE_READ(tp, present);                                        \
			if (again == at)                                                           \
				break;                                                             \
			at = again;                                                                \
		}                                                                                  \
		at - n;                                                                            \
	})

/*
 * Sequence number of the first byte that the process wrote on this TCP connection. The SYN of a
 * connection that was opened from here counts as an acknowledged byte, that of an accepted one does
 * not.
 */
static __always_inline __u32 sock__first_out(struct sock *sk, int accepted)
{
	return SOCK_FIRST((struct tcp_sock *)sk, snd_una, bytes_acked) + !accepted;
}

/* The same of the first byte that the process read. */
static __always_inline __u32 sock__first_in(struct sock *sk)
{
	return SOCK_FIRST((struct tcp_sock *)sk, rcv_nxt, bytes_received);
}

/* Did this TCP connection carry no bytes before the call that just moved `ret`? */
static __always_inline int sock__is_fresh(struct sock *sk, int accepted, int dir, __u32 ret)
{
	__u32 first_in = sock__first_in(sk);
	__u32 first_out = sock__first_out(sk, accepted);
	__u32 in = sock__read(sk) - (dir == WEFT_IN ? ret : 0);
	__u32 out = sock__written(sk) - (dir == WEFT_OUT ? ret : 0);

	return in == first_in && out == first_out;
}

/*
 * A listener's backlog stays in the sockets that it begets (sk_clone copies it), and a socket that
 * connected has none. So the kernel's socket tells who opened a connection, also of those that were
 * open before weft came.
 */
static __always_inline int sock__was_accepted(struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_max_ack_backlog) != 0;
}

static __always_inline struct sock *sock__unix_peer(struct sock *sk)
{
	return BPF_CORE_READ((struct unix_sock *)sk, peer);
}

/* Has this end a name? An accepted socket has its listener's, a client mostly none. */
static __always_inline struct unix_address *sock__unix_name(struct sock *sk)
{
	struct unix_address *a = sk ? BPF_CORE_READ((struct unix_sock *)sk, addr) : NULL;

	return a && BPF_CORE_READ(a, len) > (int)sizeof(__u16) ? a : NULL;
}

static __always_inline void sock__unix_path(struct unix_address *a, struct weft_open *o)
{
	const char *from = (void *)a + bpf_core_field_offset(struct unix_address, name) +
			   sizeof(__u16);
	__u64 n = BPF_CORE_READ(a, len) - sizeof(__u16);
	char last = 0;

	barrier_var(n);
	if (n > WEFT_PATH_LEN)
		n = WEFT_PATH_LEN;
	if (bpf_probe_read_kernel(o->path, n, from))
		return;
	/* A file's name is stored with its NUL, an abstract one has it in front and none behind. */
	bpf_probe_read_kernel(&last, 1, from + n - 1);
	o->path_len = o->path[0] && !last ? n - 1 : n;
}

static __always_inline void sock__addr(struct weft_addr *a, __u16 family, const struct in6_addr *v6,
				       __u32 v4, __u16 port)
{
	__u32 w[4] = {};

	a->port = port;
	a->family = family;
	if (family == AF_INET) {
		w[0] = v4;
	} else {
		bpf_probe_read_kernel(w, sizeof(w), v6);
		if (!w[0] && !w[1] && w[2] == bpf_htonl(0xffff)) {
			a->family = AF_INET;
			w[0] = w[3];
			w[2] = w[3] = 0;
		}
	}
	__builtin_memcpy(a->ip, w, sizeof(w));
}

static __always_inline void sock__inet_addrs(struct sock *sk, __u16 family, struct weft_open *o)
{
	sock__addr(&o->local, family, &sk->__sk_common.skc_v6_rcv_saddr,
		   BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr),
		   BPF_CORE_READ(sk, __sk_common.skc_num));
	sock__addr(&o->remote, family, &sk->__sk_common.skc_v6_daddr,
		   BPF_CORE_READ(sk, __sk_common.skc_daddr),
		   bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport)));
}

#endif /* WEFT_SOCK_BPF_H */
