/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * System calls by number: which ones move bytes over sockets or otherwise matter, and how an
 * architecture hands over their arguments. At the exit of a call the saved registers still hold
 * them, so one program at the exit is enough.
 */
#ifndef WEFT_SYSNO_BPF_H
#define WEFT_SYSNO_BPF_H

#include "compat.bpf.h"

enum sysno_what {
	SYSNO_NONE = 0, /* not ours */
	SYSNO_READ,     /* fd, buffer */
	SYSNO_WRITE,
	SYSNO_READV, /* fd, iovec, count */
	SYSNO_WRITEV,
	SYSNO_RECVFROM, /* fd, buffer, size, flags */
	SYSNO_SENDTO,
	SYSNO_RECVMSG, /* fd, msghdr, flags */
	SYSNO_SENDMSG,
	SYSNO_RECVMMSG, /* fd, mmsghdr, count, flags */
	SYSNO_SENDMMSG,
	SYSNO_SENDFILE, /* out fd, in fd */
	SYSNO_SPLICE,   /* in fd, offset, out fd */
	SYSNO_CONNECT,
	SYSNO_ACCEPT,
	SYSNO_SHUTDOWN,
	SYSNO_SOCKETPAIR,
	SYSNO_IO_URING,
	SYSNO_EPOLL_WAIT, /* epoll, events */
	SYSNO_MMAP,       /* address, length, protection, flags, fd */
	SYSNO_COMPAT,     /* moves bytes if it is a 32-bit call, and is something else if not */
};

#if defined(__TARGET_ARCH_x86)

#define SYSNO(regs) ((__u64)(regs)->orig_ax)
#define SYSARG1(regs) ((regs)->di)
#define SYSARG2(regs) ((regs)->si)
#define SYSARG3(regs) ((regs)->dx)
#define SYSARG4(regs) ((regs)->r10)
#define SYSARG5(regs) ((regs)->r8)

#define SYS_FN(name) "__x64_sys_" #name
#define SYS_sendfile 40
#define SYS_splice 275
#define SYS_socketcall_compat 102
#define SYSNO_MAX 512

static const __u8 sysno_what[SYSNO_MAX] = {
	[0] = SYSNO_READ,
	[1] = SYSNO_WRITE,
	[9] = SYSNO_MMAP,
	[19] = SYSNO_READV,
	[20] = SYSNO_WRITEV,
	[SYS_sendfile] = SYSNO_SENDFILE,
	[42] = SYSNO_CONNECT,
	[43] = SYSNO_ACCEPT,
	[44] = SYSNO_SENDTO,
	[45] = SYSNO_RECVFROM,
	[46] = SYSNO_SENDMSG,
	[47] = SYSNO_RECVMSG,
	[48] = SYSNO_SHUTDOWN,
	[53] = SYSNO_SOCKETPAIR,
	[SYS_splice] = SYSNO_SPLICE,
	[232] = SYSNO_EPOLL_WAIT,
	[281] = SYSNO_EPOLL_WAIT, /* epoll_pwait */
	[288] = SYSNO_ACCEPT,     /* accept4 */
	[299] = SYSNO_RECVMMSG,
	[307] = SYSNO_SENDMMSG,
	[327] = SYSNO_READV,      /* preadv2 at offset -1; at any other it fails on sockets */
	[328] = SYSNO_WRITEV,     /* pwritev2 */
	[425] = SYSNO_IO_URING,   /* io_uring_setup */
	[426] = SYSNO_IO_URING,   /* io_uring_enter: set up before weft came */
	[441] = SYSNO_EPOLL_WAIT, /* epoll_pwait2 */

	/* i386 numbers; none of them is one of the above */
	[3] = SYSNO_COMPAT, /* read, write, readv, writev */
	[4] = SYSNO_COMPAT,
	[145] = SYSNO_COMPAT,
	[146] = SYSNO_COMPAT,
	[SYS_socketcall_compat] = SYSNO_COMPAT,
	[187] = SYSNO_COMPAT, /* sendfile, sendfile64, splice */
	[239] = SYSNO_COMPAT,
	[313] = SYSNO_COMPAT,
	[337] = SYSNO_COMPAT, /* recvmmsg, sendmmsg */
	[345] = SYSNO_COMPAT,
	[369] = SYSNO_COMPAT, /* sendto, sendmsg, recvfrom, recvmsg */
	[370] = SYSNO_COMPAT,
	[371] = SYSNO_COMPAT,
	[372] = SYSNO_COMPAT,
};

#define SYSARG1_COMPAT(regs) ((__u32)(regs)->bx)

/* socketcall(): send, recv, sendto, recvfrom, sendmsg, recvmsg, recvmmsg, sendmmsg */
#define SOCKETCALL_MOVES(n) ((n) < 32 && ((1U << (n)) & 0x1b1e00))

#else
#error "no system call table for this architecture"
#endif

#endif /* WEFT_SYSNO_BPF_H */
