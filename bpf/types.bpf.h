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
#define FILTER_RUNTIME (1 << 4)  /* `runtime` is known */

/* A runtime that carries units of work (unit.bpf.h), and where in its process to find them. */
enum runtime_kind {
	RUNTIME_NONE = 0,
	RUNTIME_PYTHON, /* CPython on glibc: the current context */
	RUNTIME_GO,     /* the current goroutine, at fs - 8 */
	RUNTIME_NODE,   /* Node.js with weft's helper in it: its cell says, at each write */
};

struct runtime {
	__u64 space; /* mm_struct.start_stack: of this address space alone all this is true */
	/*
	 * Python: where the thread's state is, from the address that fs has; Node: address of the
	 * cell
	 */
	__u64 key;
	__u64 type;    /* Python: address of PyContext_Type; Node: how the cell begins */
	__u16 context; /* Python: where in the thread's state its context is */
	__u8 kind;     /* enum runtime_kind */
	__u8 uvloop;   /* Python: it has uvloop, see uvloop.bpf.h */
	__u8 pad[4];
};

/*
 * Memory of a Node.js process that weft's helper has made there (user/probe/node_helper.js, which
 * alone writes it, but `beat`): who owns what is being written.
 */
#define NODE_KEY_LEN 16

struct node_work {
	__s32 state;   /* enum node_state */
	__s32 writing; /* the main thread writes to a socket, on behalf of: */
	__s32 serial;  /* number of the request in the process, from 1 on */
	__s32 fd;      /* descriptor of the request's connection, -1 it is closed */
	__u32 pos;     /* bytes that had been read of it when the request began */
	__s32 stream;  /* HTTP/2: its stream, else 0 */
	__s32 flags;   /* NODE_OWNER_* */
};

struct node_cell {
	__u8 key[NODE_KEY_LEN]; /* by chance; nothing else is read where this is not */
	__s32 beat; /* weft moves it about once a second; NODE_BEAT_END: the helper goes */
	struct node_work work;
	__s32 reserved[4];
};

#define NODE_BEAT_END (-1)
#define NODE_OWNER_TLS (1 << 0) /* the request was read through TLS */
enum node_state { NODE_NEW = 0, NODE_AT_WORK, NODE_REMOVED };

/* By which the helper says where its cell is: a write there, which fails. */
#define NODE_ANNOUNCE_FD 0x7fffffff

/* Filled by user space but for `at`: who is to announce, and how its cell begins. */
struct announced {
	__u8 key[NODE_KEY_LEN];
	__u32 pid;  /* 0: nobody */
	__u32 port; /* of its inspector: what weft says to it is nobody's traffic */
	__u64 at;   /* 0: not yet */
};

/* What a process does with a signal, as the iterator node_signals gives it. */
struct signal_action {
	__u32 pid;
	__u32 pad;
	__u64 flags;   /* SA_* */
	__u64 handler; /* address, or SIG_DFL, SIG_IGN */
};

struct filter {
	__u32 pid; /* tgid in weft's PID namespace */
	__u32 bits;
	struct runtime runtime;
	/* what turn__number() says of the leader; turn.bpf.h writes, others 0, which is never wrong */
	__u8 turn;
	__u8 pad[7];
};

#define CALL_FD_LATER (~1U)

/* One read or write on its way from a function's entry to its exit, or a finished system call. */
struct call {
	__u64 sk;   /* struct sock */
	__u64 base; /* the bytes in user memory, or the iovec array where n_iov > 0 */
	__u32 skip; /* bytes at the front of the first segment that are not part of it */
	__u32 n_iov;
	__u32 after; /* bytes that the same system call moved after these (sendmmsg, recvmmsg) */
	__u32 pid;   /* in weft's PID namespace */
	__u32 tid;
	__u32 fd;      /* CALL_FD_LATER: conn__open() asks for it */
	__u8 dir;      /* enum weft_dir */
	__u8 flags;    /* WEFT_F_UNREADABLE, WEFT_F_SPLICE where known at entry */
	__u8 iov_user; /* the iovec array is in user memory */
	__u8 active;   /* between entry and exit */
	__u8 wants;    /* a non-empty buffer was given: 0 returned means end of stream */
	__u8 runtime;  /* the process has a known runtime */
	__u8 counts;   /* TCP's sequence numbers are the positions; io__moved() asks for it */
	__u8 turn;     /* as in weft_data.loop_turn */
};

/* struct epoll_event, of which two are in three words on x86-64 and one in two elsewhere */
#define TURN_AT_ONCE 8

/* An event loop's turn; see turn.bpf.h. */
struct turn {
	__u8 number; /* 1 to 127, again and again */
	__u8 other;  /* something else than stream sockets was ready, or all has been served */
	__u8 whole;  /* WEFT_TURN_WHOLE, once its end was seen */
	__u8 alien;  /* turns in a row that told of no descriptors, up to TURN_ALIEN */
	__u8 unseen; /* turns that were then not looked at */
	__u8 pad[3];
	__u64 ready[2 * TURN_AT_ONCE]; /* struct epoll_event, while they are looked at */
};

/* bits of conn_state.bits */
#define CONN_BORN (1 << 0)     /* weft saw it begin: nothing passed before */
#define CONN_TCP (1 << 1)      /* the kernel's socket is one of TCP, not of MPTCP */
#define CONN_EOF (1 << 2)      /* EOF was sent */
#define CONN_SHUT_OUT (1 << 3) /* SHUT was sent */
#define CONN_SHUT_IN (1 << 4)
#define CONN_CLIENT (1 << 5) /* weft saw its connect() */
#define CONN_SERVER (1 << 6) /* weft saw it accepted */
#define CONN_MIXED (1 << 7)  /* what begets those that answer here begets others', too */

/* conn_state.follow: how sure is it that the frames of this direction are followed? */
enum follow_sure {
	FOLLOW_NEW = 0, /* no byte of it was seen */
	FOLLOW_LOST,
	/* taken up where a call began with a frame header; those that come after it have a say */
	FOLLOW_GUESS,
	FOLLOW_SURE = FOLLOW_GUESS + 3,
};

/* Where one direction's next frame header is. */
struct follow {
	__u32 pos;  /* position behind the last call that was walked through */
	__u32 skip; /* payload that passes by before it ... */
	__u16 want; /* ... and payload before that, to be copied */
	__u8 have;  /* bytes of the header that were seen, where it lies in two calls */
	__u8 sure;  /* enum follow_sure */
	__u32 word; /* the first four of them, big endian */
};

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
	__u8 writing; /* TLS sessions of Go: a Write has begun and not told yet */
	__u8 pad[3];
	__u32 asked; /* where the bytes began that were read last without writing in between */
	struct follow follow[2]; /* by enum weft_dir */
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
	/*
	 * makes a unit of work (a context of Python's) and returns it. Its parent is the one that
	 * runs, if that has the same variables; `object` are those that it is given, if not 0.
	 */
	PROBE_SPAWN,
	/*
	 * From here on: of Go's goroutines, told at once, no exit is watched.
	 *
	 * `object` is a goroutine that has just been made, where Go's scheduler gets it; on a
	 * system stack, so r14 is not the goroutine that runs. The cookie's upper half is the number
	 * of the file, by which go_starts knows its functions.
	 */
	PROBE_GO_SPAWN,
	/*
	 * the goroutine that runs hands a request to the one that writes on the connection which is
	 * at `object` + peek (a net.Conn)
	 */
	PROBE_GO_HANDS_ON,
	/*
	 * the goroutine that runs serves one stream of an HTTP/2 connection: golang.org/x/net/http2,
	 * and net/http's copy of it. `object` is the serverConn, whose net.Conn is at peek, `buf`
	 * the responseWriter, which leads to the stream.
	 */
	PROBE_GO_STREAM,
	/*
	 * what the goroutine that runs begets next serves the stream of an http2.MetaHeadersFrame,
	 * which is `object` or (where there is a context before it) `buf`, on the connection that it
	 * reads: google.golang.org/grpc. Also a header block, as below, of the connection that
	 * `text2` leads to.
	 */
	PROBE_GO_STREAM_NEXT,
	/*
	 * a header block that was read off an HTTP/2 connection: `buf` is its http2.MetaHeadersFrame.
	 * Here and below: `object` leads to the connection, `out` not 0: a pointer to it; see
	 * go_fields.bpf.h
	 */
	PROBE_GO_FIELDS_IN,
	/* one that is about to be sent: `buf` its stream's number, `text2` the []hpack.HeaderField */
	PROBE_GO_FIELDS_OUT,
	/* the same of net/http: `buf` is the http2writeResHeaders */
	PROBE_GO_STATUS_OUT,
	/* the event loop that runs has served all that was ready; what was put off comes now */
	PROBE_LOOP_SERVED,
	/*
	 * From here on: of uvloop, told at once, no exit is watched.
	 *
	 * the thread goes into a context (PyContext_Enter); of its arguments none is needed
	 */
	PROBE_UV_ENTERS,
	/* `object` is put into a set (PySet_Add): maybe a stream, into that of those to be written */
	PROBE_UV_QUEUES,
	/*
	 * From here on: header tables of HTTP/2 (h2_table.bpf.h), told at once, no exit is watched.
	 * The registers are fixed; the numbers of arguments say which have to be there.
	 *
	 * nghttp2_hd_inflate_hd_nv(inflater, nv, flags, in, inlen, final), once a field
	 */
	PROBE_NGHTTP2_IN,
	/* nghttp2_hd_deflate_hd_bufs(deflater, bufs, nva, nvlen), once a block */
	PROBE_NGHTTP2_OUT,
	/* (cc *ClientConn) writeHeaders(stream, end, max, block []byte) of Go's http2 */
	PROBE_GO_TABLE_OUT,
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
#define PROBE_FRESH (1 << 0)    /* SPAWN: it has no variables, so its parent is the one that runs */
#define PROBE_CLIENT (1 << 0)   /* whoever calls this is the session's client */
#define PROBE_SERVER (1 << 1)   /* its server */
#define PROBE_INT (1 << 2)      /* it returns an int (32 bits), not a long or pointer */
#define PROBE_BEGINS (1 << 3)   /* TLS: a handshake; the session is seen from its start */
#define PROBE_SHOWS (1 << 3)    /* CALL: what it calls is told of, although NOT_NESTED */
#define PROBE_GO_CONN (1 << 4)  /* Go: the object is a *tls.Conn whose conn is a *net.TCPConn */
#define PROBE_MADE_RET (1 << 5) /* CALL: what it returns is what it made */
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
 *   bits 32-63  displacement of PROBE_AT_EXIT_MEM (signed); registers of PROBE_AT_EXIT_REGS
 */
enum probe_at {
	PROBE_AT_ENTER = 0, /* arguments are in their registers */
	PROBE_AT_EXIT,      /* ax is what it returns */
	/* ax > 0: the length returned is the u64 at sp + displacement; else ax is returned */
	PROBE_AT_EXIT_MEM,
	/*
	 * SPAWN: what it returns is in the register whose number (as instructions have it) are bits
	 * 32-39, `object` in that of bits 40-47
	 */
	PROBE_AT_EXIT_REGS,
};

#define PROBE_MORE_FRESH (1 << 16) /* SPAWN, among the upper half's bits: PROBE_FRESH */

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

/* For which request a unit of work works: see unit.bpf.h. */
enum label_how {
	LABEL_NONE = 0,
	LABEL_AT,       /* for what was read of `conn` up to `pos` */
	LABEL_SERVES,   /* for what was read last on the connection of `sock` */
	LABEL_ANSWERED, /* it has answered there once: says nothing yet */
	LABEL_BORN,     /* `sock` is the unit that begot it, of which nothing was known: the same */
	LABEL_NOBODY,   /* for several at once: says nothing any more */
	LABEL_LOOP,     /* for all: uvloop's loop does its own work in it */
};

struct label_key {
	__u64 unit; /* its address in the process */
	__u32 tgid;
	__u32 pad;
};

struct label {
	__u64 sock, ino; /* key and inode number of the connection, as in conn_state */
	__u64 conn;      /* SERVES: not 0 if the unit itself has read, up to `pos` */
	__u32 pos;
	__u32 stream;   /* AT, Go: as in WEFT_EV_UNIT */
	__u8 how;       /* enum label_how */
	__u8 ahead;     /* AT: WEFT_F_AHEAD */
	__u8 inherited; /* Go: by a goroutine that did not read itself */
	__u8 by_child;  /* Python: since those that it begot answered there */
	__u8 pad[4];
};

/* What a thread's callback of uvloop's is: see uvloop.bpf.h. */
enum uv_callback {
	CALLBACK_NONE = 0, /* none, or none that is known */
	CALLBACK_SERVED,   /* bytes were received on a connection that the process serves */
	CALLBACK_CALLED,   /* on one to another server */
	CALLBACK_MADE,     /* a connection was accepted */
};

/* bits of unit_thread.uv_bits */
#define UV_HANDLES (1 << 0) /* callbacks that wait their turn are recognised */
#define UV_READ (1 << 1)    /* bytes were read, and no context was entered since */

/* Of a thread of a process whose runtime is known. */
struct unit_thread {
	__u64 conn;     /* what the last WEFT_EV_UNIT said */
	__u64 accepted; /* socket that nothing was begotten for yet; 0 none */
	__u64 accepted_ino;
	__u64 accepted_in; /* unit that accepted it */
	__u32 pos;
	__u8 told; /* there was one */
	__u8 ahead;
	__u8 uv;      /* enum uv_callback */
	__u8 uv_bits; /* UV_... */
	__u32 stream;
	__u32 pad2;
	__u64 uv_context; /* the one that it runs in, as do all of its server's */
	__u64 uv_sock;    /* the connection that it is called for: key and inode number */
	__u64 uv_ino;
	struct label node;     /* Node: for whom it writes */
	struct node_work work; /* and what the cell said */
	__u32 uv_saved; /* of the registers that callees save, the one that had a Handle last */
};

/* Go: whose bytes are written next on a connection, where other goroutines write them. */
struct owner {
	__u64 ino;  /* of the connection, as in conn_state */
	__u64 conn; /* as in WEFT_EV_UNIT; 0: nobody's that is known */
	__u32 pos;
	__u32 stream;
	__u64 label_sock, label_ino; /* of `conn`, as in struct label */
	__u8 ahead;
	__u8 pad[7];
};

/* Go: a function with which goroutines begin that inherit nothing. */
struct go_start_key {
	__u32 file;     /* number of the file */
	__s32 distance; /* of its first instruction from the probed one */
};

/* A call on its way through its frames (walk.bpf.h). */
struct walk {
	struct follow at;
	__u64 base, left; /* what is left of the segment of the call's memory */
	__u64 done;       /* bytes of the call that were walked through ... */
	__u64 len;        /* ... of so many */
	__u64 to;         /* where the next piece goes */
	__u64 part;       /* where the part under way has its weft_part */
	__u64 end;        /* of the bytes of the call that were copied last */
	__u64 copied;
	__u32 segment; /* the next one */
	__u32 head;
	__u64 iov[2]; /* struct iovec: a segment, while it is looked at */
};

/*
 * Where the parts of a call are put together before they go into the ring: how much it will be is
 * known when all frames were seen. Another task may come between on the same CPU, so whoever works
 * in it has `busy` set.
 */
#define PARTS_SLACK 1088 /* what may be read at a time, and what lies about it */

struct parts {
	__u64 busy;
	/* here, not on the stack, so that the verifier does not count along in loops */
	struct walk walk;
	char record[sizeof(struct weft_data) + WEFT_PARTS_MAX + PARTS_SLACK];
};

#define PARTS_MAX 2 /* on each CPU */

/* Trace context beside the bytes (context.bpf.h). */
enum context_what {
	CONTEXT_OUT = WEFT_OUT, /* of what is written from `pos` on */
	CONTEXT_IN = WEFT_IN,   /* of what is read from there on; span_id 0: begun here */
	CONTEXT_SOCKET,         /* of the socket itself, pos 0 */
};

struct context_key {
	__u64 sock; /* as in conn_state */
	__u32 pos;
	__u32 what; /* enum context_what */
};

enum context_at {
	CONTEXT_READY = 0,
	CONTEXT_SENT,
	CONTEXT_TOLD,
	CONTEXT_LATE, /* the bytes were told of before it was sent: it is not sent any more */
};

struct trace_context {
	__u64 cause; /* OUT: as in weft_context */
	__u32 cause_pos;
	__u32 read;  /* SOCKET: what had been read when it was written last */
	__u8 writes; /* SOCKET: contexts made since */
	__u8 off;    /* SOCKET: no more of them */
	__u8 at;     /* OUT, IN: enum context_at */
	__u8 pad[5];
	__u8 trace_id[16];
	__u8 span_id[8];
};

/* HTTP/2: where a thread's last read has put its bytes, while header tables are wanted. */
#define LAST_READ_BYTES 48

struct last_read {
	__u64 sock, ino;                  /* of the connection, as in conn_state */
	__u64 at, len;                    /* at 0: in several places */
	__u64 object;                     /* that has taken header blocks from there; 0: none yet */
	__u64 bytes[LAST_READ_BYTES / 8]; /* the first of them, then zeros */
};

/* HTTP/2: whose an object of a library's is that holds header tables. */
struct table_owner_key {
	__u64 object;
	__u32 tgid;
	__u32 pad;
};

struct table_owner {
	__u64 sock, ino; /* of its connection, as in conn_state */
	__u64 next[2]; /* by enum weft_dir: tables are told again from then on, CLOCK_BOOTTIME ns */
};

/* The connections that a thread read requests from last. */
#define SERVING_MAX 4

struct serving {
	__u32 tid; /* the kernel's: task_structs are used again */
	__u32 n;
	struct serving_one {
		__u64 sock, ino;
		__u32 asked;
		__u32 pad;
	} of[SERVING_MAX];
	__u64 crowded; /* there was no room: what it serves is not known any more */
};

struct settings {
	__u32 abi;
	__u32 pidns_level; /* of weft's PID namespace; 0 is the machine's */
	__u64 pidns;       /* struct pid_namespace */
	struct weft_policy initial;
	__u32 n_cgroups;  /* in the map cgroups */
	__u32 watch_exec; /* tell of programs that unselected processes begin to run */
	__u32 propagate;  /* contexts are sent and received */
	/* fentry: who has passed a program is marked in `calls`, see syscall_late */
	__u32 late;
};

#endif /* WEFT_TYPES_BPF_H */
