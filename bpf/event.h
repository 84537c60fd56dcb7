/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The only ABI between weft's kernel side and its user side, and, because `--record` writes the
 * same bytes, the format of a recorded file's frames (user/source/record.h adds the kinds that user
 * space makes).
 *
 * Every record starts with struct weft_event. All integers are in host byte order. A record's size
 * is a multiple of 8. Offsets, sizes and the meaning of every field are checked on both sides by
 * static assertions at the end; change nothing without raising WEFT_ABI.
 *
 * Identity of a connection. The kernel gives each socket (struct sock) that a selected process uses
 * a `conn` number that is never used again while this weft runs. dup(), fork() and passing a
 * descriptor do not change it: it names the socket, not the descriptor. The two ends of a loopback
 * connection are two sockets and have two numbers.
 *
 * Position in a stream. `off` is the position of the first byte of this call in its direction:
 *   TCP   the 32-bit sequence number (host order) of that byte. Sender and receiver speak of the
 *         same byte by the same number, also on connections that were open before weft came.
 *   Unix  bytes counted since weft first saw the socket, modulo 2^32.
 *         (also for TCP where the sequence numbers do not count the application's bytes: kTLS,
 *         MPTCP)
 * Lengths and offsets always travel, so that user space knows exactly which bytes it did not see.
 *
 * TLS sessions. What a program hands to its TLS library is a connection of its own kind: it has a
 * number, an OPEN with WEFT_F_TLS, DATA whose bytes are plaintext and whose `off` counts the
 * session's own bytes (modulo 2^32, from where weft first saw it), SHUT and CLOSE, and a capture
 * policy. It has no addresses: over which socket's connection it goes (its carrier) is found out by
 * user space from SESSION events, which are made until policy.linked says that it is known.
 */
#ifndef WEFT_EVENT_H
#define WEFT_EVENT_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define WEFT_ABI 5
/* recordings that can still be read: 2, 4 and 5 added kinds of records, 3 records with parts */
#define WEFT_ABI_OLDEST 1

#define WEFT_COMM_LEN 16
#define WEFT_PATH_LEN 104 /* sockaddr_un.sun_path is 108; the rest is cut, never overrun */

/* Captured bytes of one call: at most this many at its head, and this many at its end. */
#define WEFT_HEAD_MAX 4096
#define WEFT_TAIL_MAX 64
/* All that is behind struct weft_data in a record with parts; a multiple of 8. */
#define WEFT_PARTS_MAX 16384

/* What a record says, and the struct that it is. */
enum weft_kind {
	WEFT_EV_NONE = 0,
	/* struct weft_open */
	WEFT_EV_OPEN = 1, /* a socket was seen for the first time */
	/* struct weft_data; len is 0 in all but DATA */
	WEFT_EV_DATA = 2,  /* one successful read or write; captured bytes follow */
	WEFT_EV_EOF = 3,   /* a read returned end of stream */
	WEFT_EV_SHUT = 4,  /* shutdown() of one half (both: two events); TCP: close() too, OUT */
	WEFT_EV_CLOSE = 5, /* the socket is gone; its number never comes again */
	/* struct weft_proc */
	WEFT_EV_FORK = 6,     /* a selected process made a child process (not a thread) */
	WEFT_EV_EXEC = 7,     /* a selected process runs another program now */
	WEFT_EV_EXIT = 8,     /* the last thread of a selected process ended */
	WEFT_EV_SELECT = 9,   /* a process came under the filter by entering a selected cgroup */
	WEFT_EV_IOURING = 10, /* a selected process set up io_uring: this back end can't see it */
	/* struct weft_connect */
	WEFT_EV_CONNECT = 11, /* a selected process began to connect a TCP socket */
	/* struct weft_proc, on request */
	WEFT_EV_STRANGER = 12, /* a process that is not selected runs another program now */
	/* struct weft_proc */
	WEFT_EV_MAP = 13, /* a selected process mapped a file to execute from (dlopen) */
	/* struct weft_session */
	WEFT_EV_SESSION = 14, /* what tells over which socket a TLS session goes */
	/* struct weft_call */
	WEFT_EV_CALL = 15, /* a library function that weft watches returned */
	/* struct weft_unit */
	WEFT_EV_UNIT = 16, /* for which request a thread works from now on, says its runtime */
	/*
	 * struct weft_data, OUT, len 0: the bytes before `off` were written before those were read
	 * that are told of next, but come behind them: the thread that wrote them has not come back
	 * from its call. TLS sessions: a call that writes has begun; off says that it moves a byte
	 * at least
	 */
	WEFT_EV_WRITTEN = 17,
	/* struct weft_fields, where weft_policy.fields asks for it */
	WEFT_EV_FIELDS = 18, /* HTTP/2: what a header block says, as the program itself has it */
	/* struct weft_context; only where the user asked for propagation */
	WEFT_EV_CONTEXT = 19, /* trace context that travels beside the bytes, not in them */
	/* struct weft_thread; not of Go and Node.js, where threads say nothing of what is done */
	WEFT_EV_THREAD = 20, /* a thread of a selected process began another one, or ended */
	/* struct weft_table, where weft_policy.fields asks for it */
	WEFT_EV_TABLE = 21, /* HTTP/2: all that a direction's header table holds */
	WEFT_EV_KERNEL_MAX,
	/* from here on: made by user space (recorded files, captures); user/source/record.h */
	WEFT_EV_USER = 64,
};

/* as the process sees it: OUT is written, IN is read */
enum weft_dir { WEFT_OUT = 0, WEFT_IN = 1 };

struct weft_event {
	__u32 size; /* bytes of this record, this header included */
	__u8 kind;  /* enum weft_kind */
	__u8 flags; /* WEFT_F_* */
	__u16 cpu;  /* where it was made */
	__u64 ts;   /* CLOCK_BOOTTIME, ns: when the call returned */
	__u32 pid;  /* process (tgid), in the PID namespace weft runs in; 0 in a packet capture */
	__u32 tid;  /* thread, in the same namespace */
	__u64 conn; /* connection number; 0 in process events */
};

/* flags of WEFT_EV_DATA */
/* the bytes could not be read (sendfile, splice, page not present): cap is 0 */
#define WEFT_F_UNREADABLE (1 << 0)
#define WEFT_F_SPLICE (1 << 1) /* sendfile/splice: length known, bytes not */
/* fewer bytes than len were copied because the capture policy said so */
#define WEFT_F_POLICY (1 << 2)
/* flags of WEFT_EV_OPEN */
#define WEFT_F_PREOPEN (1 << 3) /* was open before weft saw it: bytes may have passed unseen */
/* from a packet capture: no process, seen from between the two ends */
#define WEFT_F_THIRD_PARTY (1 << 4)
/* `pos` is known: bytes between it and the first DATA were lost */
#define WEFT_F_POS (1 << 5)
/* a TLS session, not a socket: see below */
#define WEFT_F_TLS (1 << 6)
/* flag of WEFT_EV_DATA: parts of the call lie behind the head, each led by a struct weft_part */
#define WEFT_F_PARTS (1 << 7)
/* flag of WEFT_EV_UNIT */
/* `pos` is how far the connection was read, which may be further than the unit of work is */
#define WEFT_F_AHEAD (1 << 7)

/* bit of weft_data.loop_turn: what the thread had put off (timers) was not done in this turn */
#define WEFT_TURN_WHOLE 0x80

enum weft_role { WEFT_ROLE_UNKNOWN = 0, WEFT_ROLE_CLIENT = 1, WEFT_ROLE_SERVER = 2 };

struct weft_addr {
	/* network order; IPv4 in the first 4 bytes (v4-mapped addresses are given as IPv4) */
	__u8 ip[16];
	__u16 port;   /* host order; 0 for Unix sockets */
	__u16 family; /* AF_INET, AF_INET6, AF_UNIX */
	__u32 pad;
};

struct weft_open {
	struct weft_event h;
	/*
	 * address of the kernel's socket: equal numbers are the same socket, nothing else. TLS: the
	 * session's key (the top bit is 0: no kernel address)
	 */
	__u64 sock;
	__u64 peer_sock; /* Unix sockets: the other end's `sock`, 0 unknown */
	__u64 start_ts;  /* CLIENT: when connect() began, CLOCK_BOOTTIME ns; 0 unknown */
	__u32 netns;     /* inode of the network namespace */
	__u32 fd;        /* descriptor of the first use, for people only */
	/* by enum weft_dir: where the bytes that weft could have seen begin (see WEFT_F_POS) */
	__u32 pos[2];
	struct weft_addr local;
	struct weft_addr remote;
	__u8 role;      /* enum weft_role; UNKNOWN for sockets that were open before */
	__u8 unaligned; /* Unix sockets: off is not comparable with the other end's */
	/* Unix sockets: bytes of path, 0 unnamed; an abstract name starts with NUL */
	__u16 path_len;
	__u32 pad;
	char path[WEFT_PATH_LEN]; /* the server's name, from whichever end has it */
};

/*
 * The connection's OPEN follows with its first byte, if there ever is one: at connect() not even
 * its port is known.
 */
struct weft_connect {
	/*
	 * conn is 0: it has no number yet; ts is the time of the call; flags is what
	 * weft_data.loop_turn is
	 */
	struct weft_event h;
	__u64 sock; /* as in the OPEN that follows, whose start_ts is this record's h.ts */
};

struct weft_data {
	struct weft_event h;
	__u32 off;  /* position of the first byte, see above */
	__u32 len;  /* bytes that the call moved */
	__u16 head; /* captured bytes: the first `head` of the call ... */
	/* ... and its last `tail`; head + tail <= len, bytes between were not captured */
	__u16 tail;
	__u8 dir; /* enum weft_dir */
	/*
	 * the thread's turn, if it is an event loop: another one each time epoll_wait() returned, or
	 * something was read that is not told; goes round from 127 to 1, and may have
	 * WEFT_TURN_WHOLE. 0: none, or not known
	 */
	__u8 loop_turn;
	/* how often the thread had gone to sleep by itself (the task's nvcsw), modulo 2^16 */
	__u16 sleeps;
	/*
	 * head bytes, then tail bytes, then padding up to h.size. With WEFT_F_PARTS: head bytes
	 * (here they may be more than WEFT_HEAD_MAX; tail is 0), then parts, then padding
	 */
	__u8 bytes[];
};

/*
 * One part of a call of which the frames are followed (weft_policy.frames), and its `len` bytes
 * behind it, not aligned. Parts ascend, do not overlap, and each begins with a frame header.
 */
struct weft_part {
	__u32 off; /* of its first byte in the call */
	__u32 len; /* > 0 */
};

/*
 * Runtimes carry their unit of work (a context of Python's, a goroutine) from callback to callback
 * and thread to thread. The kernel side labels it with the request bytes that were read in it, and
 * what it begets inherits the label. This event comes before the DATA (written to whom the process
 * is a client of) or the CALL that it is about, when the thread's label is another than before.
 */
struct weft_unit {
	struct weft_event h; /* conn: on which the request came; 0: none that is known */
	__u32 pos;           /* position behind the bytes of it that were read */
	/* HTTP/2: its stream, where the program itself says which; then pos says nothing. 0: no */
	__u32 stream;
};

/*
 * A thread ends of itself; one that ends with its whole process is not told of. Comes before all
 * that the child does.
 */
struct weft_thread {
	struct weft_event h; /* of the thread that began another one, or of the one that ended */
	__u32 child;         /* the thread that was begun; 0: h.tid ended */
	__u32 pad;
};

/* One field of a header block: its true lengths, and as much of it as there is room for. */
#define WEFT_FIELD_NAME 32
#define WEFT_FIELD_VALUE 128

struct weft_field {
	__u32 name_len, value_len;
	char name[WEFT_FIELD_NAME];
	char value[WEFT_FIELD_VALUE];
};

#define WEFT_FIELDS_MAX 24

/*
 * Fields may refer to a table whose entries were sent before weft came: on the wire they are a
 * number. The program that decodes them, or is about to encode them, has them in words.
 */
struct weft_fields {
	struct weft_event h;
	__u32 stream;
	__u8 dir; /* enum weft_dir */
	__u8 n;   /* the first so many of the block are here */
	/* of how many; 0: nobody says (only what n says is known of the block) */
	__u16 all;
	struct weft_field f[];
};

#define WEFT_TABLE_MAX 128  /* entries: what a table of the usual size has at most */
#define WEFT_TABLE_BLOCK 32 /* bytes of the block that are enough to know it by */

/*
 * A header table (RFC 7541, 2.3.2) as the program that uses it has it, right before or behind one
 * of the direction's header blocks. Which block that is, is said by its stream and its bytes, or
 * (where it is not encoded yet) by the block's own fields.
 */
struct weft_table {
	struct weft_event h;
	__u32 stream; /* 0: not known */
	__u32 len;    /* bytes of the block; 0: not known */
	__u32 size;   /* of the table as its owner counts it (RFC 7541, 4.1) */
	__u8 dir;     /* enum weft_dir */
	__u8 behind;  /* the table is as the block left it; 0: as it found it */
	__u8 n;       /* entries, the newest first: f[0] to f[n - 1] */
	__u8 fields;  /* then so many of the block's fields, from its first on ... */
	__u16 all;    /* ... of so many */
	__u8 pad[6];
	__u8 block[WEFT_TABLE_BLOCK]; /* the first bytes of the block */
	struct weft_field f[];
};

/*
 * Trace context of a request, in a TCP option: sent with the request (OUT) or received with it (IN).
 * Comes before the DATA that begins with the request's first byte.
 */
struct weft_context {
	struct weft_event h;
	__u32 pos; /* of that byte, as weft_data.off */
	__u8 dir;  /* enum weft_dir */
	__u8 pad[3];
	/*
	 * OUT: trace_id is that of the request whose bytes begin on this connection at cause_pos,
	 * for which the thread seemed to work; 0: of no request, it is this one's alone
	 */
	__u64 cause;
	__u32 cause_pos;
	__u32 pad2;
	__u8 trace_id[16];
	__u8 span_id[8]; /* of the span that asks */
};

enum weft_session_what {
	/* a function of the library worked on the session, on this thread, from begin to h.ts */
	WEFT_SESSION_OP = 1,
	WEFT_SESSION_OUT = 2, /* the session handed on these bytes of ciphertext, to be sent */
	WEFT_SESSION_IN = 3,  /* the session took in these bytes of ciphertext, as received */
};

#define WEFT_SESSION_BYTES 32

struct weft_session {
	struct weft_event h; /* conn: the session's number */
	/*
	 * OP: when the function was called, CLOCK_BOOTTIME ns; 0: it may have changed threads since
	 * (goroutines), so what a thread did meanwhile says nothing
	 */
	__u64 begin;
	/* OP: the socket (as in OPEN), where the library's own structs name it (Go); else 0 */
	__u64 sock;
	__u32 len; /* OUT, IN: all bytes */
	__u8 what; /* enum weft_session_what */
	__u8 n;    /* OUT, IN: how many of `bytes` are used, the first of them */
	__u16 pad;
	__u8 bytes[WEFT_SESSION_BYTES];
};

/*
 * Functions of client libraries, for weft_call.fn. Numbers are never given again: recordings hold
 * them. What object, made, ret and the text are, is in the library's row of user/probe/.
 */
enum weft_fn {
	WEFT_FN_NONE = 0,
	WEFT_FN_SQLITE_OPEN = 16, /* text: file name; made: the database */
	WEFT_FN_SQLITE_CLOSE,     /* object: the database */
	WEFT_FN_SQLITE_PREPARE,   /* object: the database; text: SQL; made: the statement */
	/* object: the statement; count: rows; begin: of the first step, h.ts: of the last */
	WEFT_FN_SQLITE_STEP,
	WEFT_FN_SQLITE_RESET, /* object: the statement; count, begin: as STEP, if it was under way */
	WEFT_FN_SQLITE_FINALIZE, /* the same */
	WEFT_FN_SQLITE_EXEC,     /* object: the database; text: SQL */
	WEFT_FN_PQ_EXEC = 32,    /* object: the connection; text: SQL; value: the result's status */
	WEFT_FN_PQ_EXEC_PREPARED, /* text: the statement's name */
	WEFT_FN_PQ_PREPARE,       /* text: the statement's name; text2: SQL */
	WEFT_FN_PQ_SEND,          /* PQsendQuery, PQsendQueryParams */
	WEFT_FN_PQ_SEND_PREPARED,
	WEFT_FN_PQ_SEND_PREPARE,
	WEFT_FN_PQ_GET_RESULT, /* ret: 0 no more; value: the result's status */
	WEFT_FN_PQ_FINISH,
	WEFT_FN_MYSQL_QUERY = 48,   /* object: the connection; text: SQL; ret: 0 or error */
	WEFT_FN_MYSQL_STMT_PREPARE, /* object: the statement; text: SQL */
	WEFT_FN_MYSQL_STMT_EXECUTE, /* object: the statement */
	WEFT_FN_MYSQL_STMT_CLOSE,
	WEFT_FN_HIREDIS_COMMAND = 64, /* object: the context; text: format or first argument */
};

#define WEFT_CALL_TEXT_MAX 2048

struct weft_call {
	struct weft_event h; /* conn is 0; ts is when the function returned */
	__u64 begin;         /* when it was called, CLOCK_BOOTTIME ns */
	__u64 object;        /* what it works on: a connection, a statement */
	__u64 made;          /* what it made; 0 nothing */
	__s64 ret;           /* what it returned */
	__u64 count;         /* rows and the like */
	__s64 value;         /* something read behind what it returned; -1 unknown */
	__u32 fn;            /* enum weft_fn */
	__u32 text_len;      /* true length, at most WEFT_CALL_TEXT_MAX + 1 is looked for */
	__u16 text;          /* captured bytes of the text ... */
	__u16 text2;         /* ... and of a second one, behind it */
	__u32 text2_len;
	__u8 bytes[]; /* text, text2, padding up to h.size */
};

struct weft_proc {
	struct weft_event h; /* FORK: pid/tid of the child. EXEC, EXIT, SELECT: of the process */
	__u32 ppid;          /* parent process in weft's PID namespace, 0 if it is outside */
	__u32 pad;
	__u64 start_time; /* task start_boottime, ns: tells processes apart that reuse a PID */
	char comm[WEFT_COMM_LEN];
};

/* Why the kernel side could not deliver an event. One counter each, per CPU (map `drops`). */
enum weft_drop {
	WEFT_DROP_RING_FULL = 0, /* bpf_ringbuf_reserve failed */
	WEFT_DROP_CONN_FULL,     /* no room in the connection table */
	WEFT_DROP_NO_STATE,      /* call state between entry and exit of a function was lost */
	WEFT_DROP_COMPAT,        /* 32-bit system call: its arguments are not decoded */
	WEFT_DROP_MAX,
};

/* Per-CPU counters of what was made (map `made`), by kind: the left side of the balance. */

/*
 * Capture policy of one connection, written by user space in batches (program policy_write).
 * A turn is a run of calls in one direction without a call in the other between them.
 */
struct weft_policy {
	__u16 call_cap[2]; /* head bytes copied of one call, by enum weft_dir; <= WEFT_HEAD_MAX */
	/* head bytes copied of one turn; beyond it only length and tail travel */
	__u32 turn_cap[2];
	/* tail bytes copied where the call is not copied whole; <= WEFT_TAIL_MAX */
	__u8 tail[2];
	__u8 off;    /* 1: no events at all but CLOSE */
	__u8 linked; /* TLS sessions: the carrier is known, no more SESSION events */
	__u8 frames; /* enum weft_frames */
	__u8 fields; /* bits by enum weft_dir: WEFT_EV_FIELDS and _TABLE are wanted */
	__u8 role;   /* enum weft_role: TLS sessions, the program's side by their carrier's */
	__u8 pad[5];
	/* TLS: key in the connection table, of a session its carrier's, of a carrier its session's; 0 */
	__u64 other;
};

/*
 * HTTP/2: of the calls whose frames can be followed, frame headers and all frames' payloads but
 * DATA's are copied, wherever in the call they lie; the limits above are for the other calls.
 */
enum weft_frames {
	WEFT_FRAMES_NOT = 0,
	WEFT_FRAMES_IF_BEGUN, /* followed if the first bytes seen begin a connection of HTTP/2 */
	WEFT_FRAMES,          /* it is HTTP/2: also taken up where a call begins with frames */
};

struct weft_policy_entry {
	__u64 sock; /* key of the connection table */
	__u64 conn; /* must still be this connection, else nothing is changed */
	struct weft_policy policy;
};

#define WEFT_POLICY_BATCH 64

struct weft_policy_batch {
	__u32 n;
	__u32 pad;
	struct weft_policy_entry e[WEFT_POLICY_BATCH];
};

_Static_assert(sizeof(struct weft_event) == 32, "weft_event");
_Static_assert(sizeof(struct weft_addr) == 24, "weft_addr");
_Static_assert(sizeof(struct weft_open) == 32 + 40 + 48 + 8 + WEFT_PATH_LEN, "weft_open");
_Static_assert(sizeof(struct weft_open) % 8 == 0, "weft_open");
_Static_assert(sizeof(struct weft_connect) == 40, "weft_connect");
_Static_assert(sizeof(struct weft_data) == 48, "weft_data");
_Static_assert(sizeof(struct weft_unit) == 40, "weft_unit");
_Static_assert(sizeof(struct weft_thread) == 40, "weft_thread");
_Static_assert(sizeof(struct weft_context) == 80, "weft_context");
_Static_assert(sizeof(struct weft_session) == 32 + 16 + 8 + WEFT_SESSION_BYTES, "weft_session");
_Static_assert(sizeof(struct weft_call) == 32 + 48 + 16, "weft_call");
_Static_assert(sizeof(struct weft_proc) == 64, "weft_proc");
_Static_assert(sizeof(struct weft_field) == 168, "weft_field");
_Static_assert(sizeof(struct weft_fields) == 40, "weft_fields");
_Static_assert(sizeof(struct weft_table) == 56 + WEFT_TABLE_BLOCK, "weft_table");
_Static_assert(sizeof(struct weft_part) == 8, "weft_part");
_Static_assert(sizeof(struct weft_policy) == 32, "weft_policy");
_Static_assert(sizeof(struct weft_policy_entry) == 48, "weft_policy_entry");

#endif /* WEFT_EVENT_H */
