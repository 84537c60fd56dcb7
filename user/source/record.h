/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The recorded file (`--record FILE`): a header, then the records of bpf/event.h one after the
 * other, exactly as they came from the ring, and among them the records below, which user space
 * makes so that a replay on another machine, without root, knows what the live run knew.
 *
 *   header: struct record_header
 *   then:   records; each begins with struct weft_event, `size` is a multiple of 8 and at least 32
 *
 * A file that ends in the middle of a record (weft was killed) is replayed up to there and says so.
 */
#ifndef WEFT_RECORD_H
#define WEFT_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "../../bpf/event.h"

#define RECORD_MAGIC "weftrec\n" /* 8 bytes */

struct record_header {
	char magic[8];
	uint32_t abi;        /* WEFT_ABI */
	uint32_t byte_order; /* 0x01020304 as the writer's machine stores it */
};

/* No record is longer; what says so is damage. */
#define RECORD_SIZE_MAX (64 * 1024)

enum record_kind {
	RECORD_CLOCK = WEFT_EV_USER, /* struct record_clock: from here on, this offset */
	RECORD_PROCESS,              /* struct record_process: resource attributes of a process */
	/* struct record_stats: what the kernel lost so far; the last one counts */
	RECORD_STATS,
	RECORD_MAX,
};

struct record_clock {
	struct weft_event h;
	int64_t realtime_minus_boottime; /* ns */
};

/* Sent before the first event of a process, and again after an exec. Source: target/. */
struct record_process {
	struct weft_event h; /* h.pid is the process */
	uint64_t start_time; /* as in struct weft_proc */
	uint32_t n;          /* attributes */
	/* bytes of text: n times "key\0value\0"; the first key is service.name */
	uint32_t len;
	char text[];
};

struct record_stats {
	struct weft_event h;
	uint64_t drops[WEFT_DROP_MAX];
	uint64_t recursion_misses;
};

/*
 * Writing. All functions return 0 or a negative errno; after a failure the recorder stays failed
 * and says so once, in the log. The file is made with mode 0600, also if it was there with another:
 * it holds captured bytes. A symbolic link is refused. Writing is buffered. recorder__write() gives
 * -EINVAL for a record whose size no reader would accept (below the header's, not a multiple of 8,
 * above RECORD_SIZE_MAX); that one is not written, the recorder goes on.
 */
struct recorder;
struct recorder *recorder__open(const char *path, char *why, size_t why_len);
int recorder__write(struct recorder *r, const struct weft_event *ev);
/* Flushes; returns a negative errno if anything of the file was not written. Frees r. */
int recorder__close(struct recorder *r);

#endif /* WEFT_RECORD_H */
