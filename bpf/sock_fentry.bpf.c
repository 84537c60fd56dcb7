// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Back end 1: fexit. The cheapest where the kernel has trampolines, and the return is never missed
 * for want of room. At the return the iterator says where the bytes were, so nothing runs when a call
 * begins.
 */
#include "msg.bpf.h"

#define SENDMSG(fn)                                                                                \
	SEC("fexit/" #fn)                                                                          \
	int BPF_PROG(fexit_##fn, struct socket *sock, struct msghdr *msg, size_t size, int ret)    \
	{                                                                                          \
		return msg__moved(sock, msg, size, WEFT_OUT, 0, ret);                              \
	}

#define RECVMSG(fn)                                                                                \
	SEC("fexit/" #fn)                                                                          \
	int BPF_PROG(fexit_##fn, struct socket *sock, struct msghdr *msg, size_t size, int flags,  \
		     int ret)                                                                      \
	{                                                                                          \
		return msg__moved(sock, msg, size, WEFT_IN, flags, ret);                           \
	}

SENDMSG(inet_sendmsg)
SENDMSG(inet6_sendmsg)
SENDMSG(unix_stream_sendmsg)
RECVMSG(inet_recvmsg)
RECVMSG(inet6_recvmsg)
RECVMSG(unix_stream_recvmsg)

SEC("fexit/inet_shutdown")
int BPF_PROG(fexit_inet_shutdown, struct socket *sock, int how, int ret)
{
	return msg__shutdown(sock, how, ret);
}

SEC("fexit/unix_shutdown")
int BPF_PROG(fexit_unix_shutdown, struct socket *sock, int how, int ret)
{
	return msg__shutdown(sock, how, ret);
}

SEC("fexit/unix_stream_connect")
int BPF_PROG(fexit_unix_connect, struct socket *sock, struct sockaddr *addr, int len, int flags,
	     int ret)
{
	return msg__born(sock, CONN_CLIENT, ret);
}

/*
 * 6.10, commit 92ef0fd55ac8 ("net: change proto and proto_ops accept type"): one parameter fewer,
 * so the return value is somewhere else; bpf_get_func_ret() (5.17) knows where.
 */
SEC("fexit/unix_accept")
int BPF_PROG(fexit_unix_accept, struct socket *sock, struct socket *newsock)
{
	__u64 ret = 0;

	if (bpf_get_func_ret(ctx, &ret))
		return 0;
	msg__accepted(newsock, (int)ret);
	return msg__born(newsock, CONN_SERVER, (int)ret);
}

SEC("fexit/inet_accept")
int BPF_PROG(fexit_inet_accept, struct socket *sock, struct socket *newsock)
{
	__u64 ret = 0;

	if (bpf_get_func_ret(ctx, &ret))
		return 0;
	return msg__accepted(newsock, (int)ret);
}

SEC("fexit/unix_socketpair")
int BPF_PROG(fexit_unix_socketpair, struct socket *a, struct socket *b, int ret)
{
	msg__born(a, 0, ret);
	return msg__born(b, 0, ret);
}

SEC("fentry/unix_release")
int BPF_PROG(fentry_unix_release, struct socket *sock)
{
	return msg__release(sock);
}

#undef SENDMSG
#undef RECVMSG
