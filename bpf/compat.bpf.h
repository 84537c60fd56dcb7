/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where kernels differ. Every shim names the change that made it necessary. Field renames are
 * resolved by CO-RE flavours (`struct x___old`), enum values by bpf_core_enum_value().
 */
#ifndef WEFT_COMPAT_BPF_H
#define WEFT_COMPAT_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* Constants that are macros in the kernel, so that BTF doesn't have them. */
#define AF_UNIX 1
#define SEND_SHUTDOWN 2 /* bit of sock.sk_shutdown */
#define AF_INET 2
#define AF_INET6 10
#define S_IFMT 0170000
#define S_IFSOCK 0140000
#define MSG_OOB 0x1
#define MSG_PEEK 0x2
#define MSG_TRUNC 0x20
#define MSG_ERRQUEUE 0x2000
#define E2BIG 7
#define PROT_EXEC 0x4
/*
 * A function of its own in the program. __subprog is verified anew at each place that calls it,
 * with what is known there. __global is verified once, knowing only its parameters' types (so its
 * pointers may be NULL for it); the big functions are of this kind, or the verifier gives up. Files
 * that do not need one drop it.
 */
#define __subprog static __noinline __attribute__((unused))
#define __global __weak __noinline
/* arch/x86/include/asm/thread_info.h: the current system call is a 32-bit one */
#define TS_COMPAT 0x2

/*
 * The verifier does not know that it is 0. What begins with it looks like what it becomes in the
 * rounds of a bpf_loop(), which need not be verified one after the other then.
 */
static volatile __u64 unknown_zero __attribute__((unused));

/*
 * A pointer as a mere number: functions that the verifier checks on their own take no kernel
 * pointers.
 */
static __always_inline __u64 compat__number(const void *p)
{
	__u64 n = 0;

	bpf_probe_read_kernel(&n, sizeof(n), &p);
	return n;
}

/* 6.4, commit de4f5fed3f23 ("iov_iter: add iter_iovec() helper"): iov_iter.iov became __iov. */
struct iov_iter___before64 {
	const struct iovec *iov;
} __attribute__((preserve_access_index));

static __always_inline __u64 compat__iter_iov(const struct iov_iter *it)
{
	const struct iov_iter___before64 *old = (const void *)it;

	if (bpf_core_field_exists(old->iov))
		return (__u64)BPF_CORE_READ(old, iov);
	return (__u64)BPF_CORE_READ(it, __iov);
}

/*
 * 6.7, commit 7d9e44a6ad8a ("iov_iter: Renumber ITER_* constants"): ITER_UBUF became 0 and the
 * others moved, so never compare with numbers.
 */
static __always_inline int compat__iter_is_ubuf(__u8 type)
{
	return type == bpf_core_enum_value(enum iter_type, ITER_UBUF);
}

static __always_inline int compat__iter_is_iovec(__u8 type)
{
	return type == bpf_core_enum_value(enum iter_type, ITER_IOVEC);
}

static __always_inline int compat__iter_is_bvec(__u8 type)
{
	return type == bpf_core_enum_value(enum iter_type, ITER_BVEC);
}

/*
 * 32-bit system calls have other numbers and other layouts. A 64-bit program may make them too (int
 * 0x80), so it is the call that decides, not the program.
 */
static __always_inline int compat__is_32bit(struct task_struct *task)
{
	return task->thread_info.status & TS_COMPAT;
}

#endif /* WEFT_COMPAT_BPF_H */
