/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values of the maps. User space fills `filter` and `settings` through the same definitions (the
 * file includes nothing but event.h).
 */
#ifndef WEFT_TYPES_BPF_H
#define WEFT_TYPES_BPF_H

#include "event.h"

#define WEFT_CGROUPS_MAX 16

/* bits of filter.bits */
#define FILTER_BY_PID (1 << 0) /* named by the user, or a descendant of such a process */
/* because of its cgroup; alone: leaves the filter when it leaves the cgroup */
#define FILTER_BY_CGROUP (1 << 1)
#define FILTER_BY (FILTER_BY_PID | FILTER_BY_CGROUP)
#define FILTER_EXITED (1 << 2)   /* EXIT was sent */
#define FILTER_IO_URING (1 << 3) /* IOURING was sent */

struct filter {
	__u32 pid; /* tgid in weft's PID namespace */
	__u32 bits;
};

/* One read or write on its way from a function's entry to its exit, or a finished system call. */
struct call {
	__u64 sk;   /* struct sock */
	__u64 base; /* the bytes in user memory, or the iovec array where n_iov > 0 */
	__u32 skip; /* bytes at the front of the first segment that are not part of it */
	__u32 n_iov;
	__u32 after; /* bytes that the same system call moved after these (sendmmsg, recvmmsg) */
	__u32 pid;   /* in weft's PID namespace */
	__u32 tid;
	__u32 fd;
	__u8 dir;      /* enum weft_dir */
	__u8 flags;    /* WEFT_F_UNREADABLE, WEFT_F_SPLICE where known at entry */
	__u8 iov_user; /* the iovec array is in user memory */
	__u8 active;   /* between entry and exit */
	__u8 wants;    /* a non-empty buffer was given: 0 returned means end of stream */
	__u8 pad[3];
};

/* bits of conn_state.bits */
#define CONN_BORN (1 << 0)      /* weft saw it begin: nothing passed before */
#define CONN_OWN_COUNT (1 << 1) /* positions are counted here, not by TCP */
#define CONN_EOF (1 << 2)       /* EOF was sent */
#define CONN_SHUT_OUT (1 << 3)  /* SHUT was sent */
#define CONN_SHUT_IN (1 << 4)
#define CONN_CLIENT (1 << 5) /* weft saw its connect() */
#define CONN_SERVER (1 << 6) /* weft saw it accepted */

struct conn_state {
	__u64 conn;     /* 0: known, but no OPEN sent yet */
	__u64 sock;     /* the key */
	__u64 ino;      /* of the socket's inode */
	__u64 start_ts; /* when connect() began */
	__u32 next[2];  /* position after the last byte seen, by enum weft_dir */
	__u32 turn_bytes;
	__u32 pid; /* who used it last */
	__u32 tid;
	__u16 family;
	__u8 turn_dir;
	__u8 bits;
	struct weft_policy policy;
};

struct settings {
	__u32 abi;
	__u32 pidns_level; /* of weft's PID namespace; 0 is the machine's */
	__u64 pidns;       /* struct pid_namespace */
	struct weft_policy initial;
	__u32 n_cgroups;  /* in the map cgroups */
	__u32 watch_exec; /* tell of programs that unselected processes begin to run */
};

#endif /* WEFT_TYPES_BPF_H */
