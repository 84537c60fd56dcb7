/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fields of the kernel's structs, by an instruction where BPF_CORE_READ() calls a helper: an event
 * reads two dozen of them.
 *
 * 6.2, commit a35b9af4ec2c ("bpf: Add a kfunc for generic type cast"): bpf_rdonly_cast() says of what
 * type is what a number points to, and costs nothing itself (the verifier takes it out). A load
 * through it gives 0 where the memory is not there, as BPF_CORE_READ() does. Here it is always
 * told of a struct that begins with a number, so that all that is read is a number for the verifier,
 * pointers too. What that struct is called in the kernel's BTF is looked up by user space
 * (user/kernel/casts.c); where the kernel has no such function this is 0, fields are read as before,
 * and the verifier throws away the other half.
 */
#ifndef WEFT_CAST_BPF_H
#define WEFT_CAST_BPF_H

#include "compat.bpf.h"

/* User space writes it before loading. */
const volatile __u32 cast_to_number __weak SEC(".rodata");

extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;

/*
 * p->field, which leads through no other pointer. Volatile: what is read is what was there at this
 * moment, in this order.
 */
#define CAST_READ(p, field)                                                                        \
	({                                                                                         \
		typeof((p)->field) cast_value;                                                     \
		const void *cast_from = (const void *)(p);                                         \
		__u32 cast_type = cast_to_number;                                                  \
		if (cast_type)                                                                     \
			cast_value = *(volatile typeof(cast_value) *)bpf_rdonly_cast(              \
				&((typeof(p))cast_from)->field, cast_type);                        \
		else                                                                               \
			cast_value = BPF_CORE_READ((typeof(p))cast_from, field);                   \
		cast_value;                                                                        \
	})

/*
 * p->field, a pointer, as a number; p is one that the verifier knows. Where it sees such a pointer
 * loaded, it asks how far it can be trusted, by searching all names of the kernel's types for up to
 * four (6.2 to 6.18; half a millisecond each, whenever it comes by).
 */
#define CAST_POINTER(p, field)                                                                     \
	({                                                                                         \
		__u64 cast_pointer;                                                                \
		__u32 cast_type = cast_to_number;                                                  \
		if (cast_type)                                                                     \
			cast_pointer = *(volatile __u64 *)bpf_rdonly_cast(&(p)->field, cast_type); \
		else                                                                               \
			cast_pointer = (__u64)(p)->field;                                          \
		cast_pointer;                                                                      \
	})

/* The number at an address that was computed. */
static __always_inline __u64 cast__number_at(__u64 at)
{
	__u32 type = cast_to_number;
	__u64 n = 0;

	if (type)
		return *(volatile __u64 *)bpf_rdonly_cast((void *)at, type);
	bpf_probe_read_kernel(&n, sizeof(n), (void *)at);
	return n;
}

#endif /* WEFT_CAST_BPF_H */
