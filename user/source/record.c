// SPDX-License-Identifier: GPL-2.0-or-later
/* Recorded files: reading them as a source, writing them. The format is in record.h. */
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/log.h"
#include "file.h"

#define BYTE_ORDER_MARK 0x01020304u

_Static_assert(sizeof(struct record_header) == 16, "record_header: records are aligned by it");
_Static_assert(RECORD_SIZE_MAX < INPUT_BUFFER, "a record must fit the buffer");
_Static_assert(sizeof(struct weft_data) + WEFT_HEAD_MAX + WEFT_TAIL_MAX < RECORD_SIZE_MAX,
	       "weft_data");

/* Reading */

struct record_source {
	struct source base;
	struct input *in;
	int over; /* what poll() returns from now on; 0 while there is more */
};

static const char *size_fault(const struct weft_event *ev)
{
	if (ev->size < sizeof(*ev))
		return "shorter than a record's header";
	if (ev->size > RECORD_SIZE_MAX)
		return "longer than any record";
	if (ev->size % 8)
		return "not a multiple of 8";
	return NULL;
}

static int damaged(struct record_source *r, const struct weft_event *ev, const char *what)
{
	r->base.malformed++;
	snprintf(
		r->base.error, sizeof(r->base.error),
		"damaged at byte %llu: record %llu (kind %u, %u bytes) is %s; the rest is not replayed",
		(unsigned long long)r->in->offset, (unsigned long long)r->base.received + 1,
		ev->kind, ev->size, what);
	return -EBADMSG;
}

static int ended_early(struct record_source *r, size_t have)
{
	snprintf(
		r->base.error, sizeof(r->base.error),
		"ends in the middle of record %llu (%zu bytes of it, at byte %llu): replayed up to there",
		(unsigned long long)r->base.received + 1, have, (unsigned long long)r->in->offset);
	return -ENODATA;
}

static int failed(struct record_source *r, ssize_t err)
{
	snprintf(r->base.error, sizeof(r->base.error), "can't read on at byte %llu: %s",
		 (unsigned long long)r->in->offset, strerror((int)-err));
	return (int)err;
}

/* The next record: 1, 0 if a pipe has nothing now, negative at the end or on damage. */
static int next_record(struct record_source *r, const struct weft_event **out)
{
	if (!input__ready(r->in))
		return 0;
	ssize_t have = input__need(r->in, sizeof(struct weft_event));

	if (have == 0)
		return -ENODATA;
	if (have < 0)
		return failed(r, have);
	if ((size_t)have < sizeof(struct weft_event))
		return ended_early(r, (size_t)have);

	const struct weft_event *ev = (const void *)(r->in->buf + r->in->pos);
	const char *fault = size_fault(ev);

	if (fault)
		return damaged(r, ev, fault);
	have = input__need(r->in, ev->size);
	if (have < 0)
		return failed(r, have);
	ev = (const void *)(r->in->buf + r->in->pos); /* the buffer may have moved */
	if ((size_t)have < ev->size)
		return ended_early(r, (size_t)have);
	if (!event__valid(ev, ev->size))
		return damaged(r, ev, "not what a record of its kind can be");
	*out = ev;
	return 1;
}

static int record_poll(struct source *s, source_handler fn, void *ctx, int max)
{
	struct record_source *r = (struct record_source *)s;
	const struct weft_event *ev = NULL;
	int n = 0;

	while (n < max && !r->over) {
		int got = next_record(r, &ev);

		if (got == 0)
			break;
		if (got < 0) {
			r->over = got;
			break;
		}
		s->received++;
		n++;
		fn(ctx, ev);
		input__take(r->in, ev->size);
	}
	return n || !r->over ? n : r->over;
}

static void record_close(struct source *s)
{
	struct record_source *r = (struct record_source *)s;

	input__close(r->in);
	free(r);
}

static const struct source_ops record_ops = { .poll = record_poll, .close = record_close };

/* NULL if this weft can replay it, else one reason. */
static const char *header_fault(const struct record_header *h, char *buf, size_t len)
{
	if (memcmp(h->magic, RECORD_MAGIC, sizeof(h->magic)) != 0)
		return "is neither a weft recording nor a packet capture";
	if (h->byte_order == __builtin_bswap32(BYTE_ORDER_MARK))
		return "was recorded on a machine of the other byte order: replay it on such a machine";
	if (h->byte_order != BYTE_ORDER_MARK)
		return "has a damaged header (byte order mark)";
	if (h->abi < WEFT_ABI_OLDEST || h->abi > WEFT_ABI) {
		snprintf(buf, len,
			 "has recording format %u, this weft reads %u to %u: "
			 "use the weft that recorded it",
			 h->abi, (unsigned)WEFT_ABI_OLDEST, (unsigned)WEFT_ABI);
		return buf;
	}
	return NULL;
}

struct source *source__record(struct input *in, const char *name, char *why, size_t why_len)
{
	struct record_header h;
	char buf[120];
	ssize_t have = input__need(in, sizeof(h));
	const char *fault = NULL;

	if (have < 0)
		fault = strerror((int)-have);
	else if ((size_t)have < sizeof(h))
		fault = "ends before a recording's header does";
	else {
		memcpy(&h, in->buf + in->pos, sizeof(h));
		fault = header_fault(&h, buf, sizeof(buf));
	}
	struct record_source *r = fault ? NULL : calloc(1, sizeof(*r));

	if (!r) {
		snprintf(why, why_len, "%s %s", name,
			 fault ? fault : "can't be read: out of memory");
		input__close(in);
		return NULL;
	}
	input__take(in, sizeof(h));
	r->base.ops = &record_ops;
	r->in = in;
	return &r->base;
}

/* Writing */

struct recorder {
	int fd;
	int failed; /* negative errno of the first failure */
	char *path;
	size_t used;
	uint8_t buf[64 * 1024];
};

static int give_up(struct recorder *r, int err)
{
	r->failed = -err;
	r->used = 0;
	log_error("recording to %s stopped: %s; it can be replayed up to there", r->path,
		  strerror(err));
	return r->failed;
}

static int write_out(struct recorder *r, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		ssize_t n = write(r->fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return give_up(r, errno);
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int put(struct recorder *r, const void *data, size_t len)
{
	if (r->used + len > sizeof(r->buf)) {
		int err = write_out(r, r->buf, r->used);

		if (err)
			return err;
		r->used = 0;
	}
	if (len > sizeof(r->buf))
		return write_out(r, data, len);
	memcpy(r->buf + r->used, data, len);
	r->used += len;
	return 0;
}

/*
 * O_NONBLOCK so that a FIFO nobody reads is an error, not a hang; taken off again for those that
 * somebody reads. The mode is set again for a file that was there before: what it held is gone,
 * what comes is as secret.
 */
static int open_private(const char *path)
{
	struct stat st;
	int fd = open(path,
		      O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
		      0600);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0 || fcntl(fd, F_SETFL, 0) < 0 ||
	    (S_ISREG(st.st_mode) && fchmod(fd, 0600) < 0)) {
		int err = errno;

		close(fd);
		return -err;
	}
	return fd;
}

struct recorder *recorder__open(const char *path, char *why, size_t why_len)
{
	struct record_header h = { .abi = WEFT_ABI, .byte_order = BYTE_ORDER_MARK };
	struct recorder *r = malloc(sizeof(*r));
	char *copy = strdup(path);
	int fd = r && copy ? open_private(path) : -ENOMEM;

	if (fd < 0) {
		snprintf(why, why_len, "can't record to %s: %s", path,
			 fd == -ELOOP ? "it is a symbolic link" : strerror(-fd));
		free(copy);
		free(r);
		return NULL;
	}
	r->fd = fd;
	r->failed = 0;
	r->path = copy;
	r->used = 0;
	memcpy(h.magic, RECORD_MAGIC, sizeof(h.magic));
	put(r, &h, sizeof(h));
	return r;
}

int recorder__write(struct recorder *r, const struct weft_event *ev)
{
	if (r->failed)
		return r->failed;
	if (size_fault(ev))
		return -EINVAL;
	return put(r, ev, ev->size);
}

int recorder__close(struct recorder *r)
{
	if (!r->failed)
		write_out(r, r->buf, r->used);
	/* A network file system may tell only now that the disk is full. */
	if (close(r->fd) < 0 && !r->failed)
		give_up(r, errno);
	int err = r->failed;

	free(r->path);
	free(r);
	return err;
}
