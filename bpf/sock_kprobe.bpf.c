// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Back end 2: kprobe/kretprobe on the same functions, for kernels without trampolines. The kernel
 * keeps room for a limited number of calls under way for each kretprobe (10, or twice the CPUs); a
 * return beyond that is missed. It shows at the thread's next call, as WEFT_DROP_NO_STATE.
 */
#include "msg.bpf.h"

#define SENDMSG(fn)                                                                                \
	SEC("kprobe/" #fn)                                                                         \
	int BPF_KPROBE(kprobe_##fn, struct socket *sock, struct msghdr *msg)                       \
	{                                                                                          \
		return msg__enter(sock, msg, WEFT_OUT, 0);                                         \
	}                                                                                          \
	SEC("kretprobe/" #fn)                                                                      \
	int BPF_KRETPROBE(kretprobe_##fn, int ret)                                                 \
	{                                                                                          \
		return msg__exit(ret);                                                             \
	}

#define RECVMSG(fn)                                                                                \
	SEC("kprobe/" #fn)                                                                         \
	int BPF_KPROBE(kprobe_##fn, struct socket *sock, struct msghdr *msg, size_t size,          \
		       int flags)                                                                  \
	{                                                                                          \
		return msg__enter(sock, msg, WEFT_IN, flags);                                      \
	}                                                                                          \
	SEC("kretprobe/" #fn)                                                                      \
	int BPF_KRETPROBE(kretprobe_##fn, int ret)                                                 \
	{                                                                                          \
		return msg__exit(ret);                                                             \
	}

SENDMSG(inet_sendmsg)
SENDMSG(inet6_sendmsg)
SENDMSG(unix_stream_sendmsg)
RECVMSG(inet_recvmsg)
RECVMSG(inet6_recvmsg)
RECVMSG(unix_stream_recvmsg)

/*
 * What a kprobe at the entry can't say is whether the call will work. shutdown() fails only on
 * sockets that are not connected, where nothing is known that could be shut. A connect() or
 * socketpair() that fails leaves a state behind that says nothing wrong and ends with the socket.
 */
SEC("kprobe/inet_shutdown")
int BPF_KPROBE(kprobe_inet_shutdown, struct socket *sock, int how)
{
	return msg__shutdown(sock, how, 0);
}

SEC("kprobe/unix_shutdown")
int BPF_KPROBE(kprobe_unix_shutdown, struct socket *sock, int how)
{
	return msg__shutdown(sock, how, 0);
}

SEC("kprobe/unix_stream_connect")
int BPF_KPROBE(kprobe_unix_connect, struct socket *sock)
{
	return msg__born(sock, CONN_CLIENT, 0);
}

SEC("kprobe/unix_socketpair")
int BPF_KPROBE(kprobe_unix_socketpair, struct socket *a, struct socket *b)
{
	msg__born(a, 0, 0);
	return msg__born(b, 0, 0);
}

SEC("kprobe/unix_release")
int BPF_KPROBE(kprobe_unix_release, struct socket *sock)
{
	return msg__release(sock);
}

#undef SENDMSG
#undef RECVMSG
