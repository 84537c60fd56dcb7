// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * All of the kernel side as one object. Separate objects can't be linked once two of them call the
 * same function of the kernel's (cast.bpf.h): libbpf's linker, up to 1.1 at least, looks for a size
 * where a function has none.
 */
/* What takes longest to verify is first: programs are loaded in this order, side by side. */
#include "lib.bpf.c"
#include "sock_syscall.bpf.c"

#include "control.bpf.c"
#include "node.bpf.c"
#include "propagate.bpf.c"
#include "sock_fentry.bpf.c"
#include "sock_kprobe.bpf.c"
#include "sock_state.bpf.c"
#include "task.bpf.c"

char LICENSE[] SEC("license") = "GPL";
