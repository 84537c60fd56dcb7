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

/* What a probed function is, for the programs of lib.bpf.c. */
enum probe_what {
	PROBE_NONE = 0,
	PROBE_TLS_READ,     /* bytes that it returns are plaintext that was received */
	PROBE_TLS_WRITE,    /* bytes that it took are plaintext to be sent */
	PROBE_TLS_OTHER,    /* works on the session, moves no plaintext: handshake, peek */
	PROBE_TLS_SHUTDOWN, /* nothing is sent after it; at the entry, too */
	/*
	 * the session is freed; with PROBE_BEGINS: it begins anew (SSL_set_connect_state), as the
	 * role that the flags say. Done at the entry, no exit is needed.
	 */
	PROBE_TLS_END,
	/* ciphertext to and from the library's own buffers, inside one of the above */
	PROBE_CIPHER_OUT,
	PROBE_CIPHER_IN,
	PROBE_CALL, /* a WEFT_EV_CALL when it returns */
};

enum probe_abi {
	PROBE_ABI_C = 0, /* System V: di si dx cx r8 r9; ax */
	PROBE_ABI_GO,    /* Go's registers (1.17 on): ax bx cx di si r8 r9 r10 r11; g in r14 */
};

/* How the number of bytes moved is told. */
enum probe_result {
	PROBE_RESULT_LEN = 0, /* returned: > 0 is how many, else none */
	PROBE_RESULT_OUT,     /* returned 1: as many as *out (size_t) says */
	PROBE_RESULT_OK,      /* returned > 0: all of them */
	/*
	 * all of them, told at the entry, and no exit is watched: TLS_WRITE where another thread may
	 * have read the answer before the function returns, CIPHER_OUT that names its session (Go)
	 */
	PROBE_RESULT_ENTRY,
};

/* bits of probe_desc.flags */
#define PROBE_CLIENT (1 << 0)     /* whoever calls this is the session's client */
#define PROBE_SERVER (1 << 1)     /* its server */
#define PROBE_INT (1 << 2)        /* it returns an int (32 bits), not a long or pointer */
#define PROBE_BEGINS (1 << 3)     /* TLS: a handshake; the session is seen from its start */
#define PROBE_SHOWS (1 << 3)      /* CALL: what it calls is told of, although NOT_NESTED */
#define PROBE_GO_CONN (1 << 4)    /* Go: the object is a *tls.Conn whose conn is a *net.TCPConn */
#define PROBE_MADE_RET (1 << 5)   /* CALL: what it returns is what it made */
#define PROBE_NOT_NESTED (1 << 6) /* CALL: nothing when called from within another CALL */
/* CALL: text, text_len and so on are pointers to where these are (the first of an array) */
#define PROBE_TEXT_BEHIND (1 << 7)

/* CALL: does it end a counting that another function's `more` began for the same object? */
enum probe_ends {
	PROBE_ENDS_NOT = 0,
	PROBE_ENDS,      /* the event has begin and count, if one was under way */
	PROBE_ENDS_ONLY, /* the same, and without one there is no event */
};

/*
 * One probed function: where its arguments are. Numbers of arguments count from 1; 0 is none. User
 * space writes (map probe_descs); the attach cookie's low 16 bits are its index.
 */
struct probe_desc {
	__u32 fn; /* CALL: enum weft_fn */
	__u8 what;
	__u8 abi;
	__u8 result;
	__u8 flags;
	__u8 object;           /* the session, connection or statement */
	__u8 buf;              /* TLS, CIPHER: the bytes */
	__u8 len;              /* how many: at entry, wanted or offered */
	__u8 out;              /* PROBE_RESULT_OUT: where it says how many */
	__u8 text, text_len;   /* CALL: string, and its length (0: NUL-terminated) */
	__u8 text2, text2_len; /* the same of a second one */
	__u8 made;             /* CALL: pointer to where it stores what it made */
	__u8 ends;             /* CALL: enum probe_ends */
	__u8 only, only_is;    /* watched only where the low 8 bits of argument `only` are this */
	/*
	 * CALL: while it returns `more` (int), calls of this function for the same object are
	 * counted (weft_call.count) and not sent; then one event tells of all. 0: each is sent.
	 */
	__s32 more;
	/* CALL: weft_call.value is the int at this offset behind the returned pointer; -1 none */
	__s32 peek;
};

#define PROBE_DESCS_MAX 256

/*
 * The attach cookie: index of the description, what this place is, and where the result lies.
 *   bits 0-15   index in probe_descs
 *   bits 16-23  enum probe_at
 *   bits 32-63  displacement of PROBE_AT_EXIT_MEM (signed)
 */
enum probe_at {
	PROBE_AT_ENTER = 0, /* arguments are in their registers */
	PROBE_AT_EXIT,      /* ax is what it returns */
	/* ax > 0: the length returned is the u64 at sp + displacement; else ax is returned */
	PROBE_AT_EXIT_MEM,
};

#define PROBE_COOKIE(desc, at, disp)                                                               \
	((__u64)(__u16)(desc) | (__u64)(at) << 16 | (__u64)(__u32)(disp) << 32)

/*
 * A probed function that has begun and not returned. In Go it belongs to the goroutine, elsewhere
 * to the thread. `depth` says where on its stack it runs, as bytes that the stack has grown since
 * it began (Go; it moves its stacks) or since address 0 (negative): greater is deeper.
 */
struct frame {
	__u64 begin; /* CLOCK_BOOTTIME ns; 0: not in use */
	__u64 depth;
	__u64 object; /* TLS, CIPHER: the session; CALL: what it works on */
	__u64 buf;    /* arguments, as probe_desc numbers them: buf or text, ... */
	__u64 len;    /* ... len or text_len, ... */
	__u64 out;    /* ... out or made */
	__u64 text2;
	__u64 text2_len;
	__u16 desc;
	__u8 what;   /* enum probe_what */
	__u8 nested; /* called from within one that tells of it */
	__u8 shows;  /* PROBE_SHOWS */
	/* Go: buf counts from the stack's top downwards, because the stack may move until the exit */
	__u8 on_stack;
	__u8 pad[2];
};

#define FRAMES_MAX 6

struct frames {
	struct frame f[FRAMES_MAX];
	__u32 tgid; /* Go: whose; the key's addresses may be used again */
	__u32 used; /* how many are in use: mostly none when a function begins */
};

struct goroutine_key {
	__u64 group; /* signal_struct of its process */
	__u64 g;     /* runtime.g */
};

/* Calls for one object that are counted, not sent: see probe_desc.more */
struct count_key {
	__u64 object;
	__u32 tgid;
	__u32 pad;
};

struct count {
	__u64 begin; /* of the first */
	__u64 n;
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
