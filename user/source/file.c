// SPDX-License-Identifier: GPL-2.0-or-later
/* Opening what is to be replayed, and reading it through one bounded buffer. */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "record.h"

static bool may_wait(int fd, char *why, size_t why_len, const char *path, bool *bad)
{
	struct stat st;

	*bad = false;
	if (fstat(fd, &st) < 0)
		return true;
	if (S_ISDIR(st.st_mode)) {
		snprintf(why, why_len, "%s is a directory, not a file to replay", path);
		*bad = true;
	}
	return !S_ISREG(st.st_mode);
}

struct input *input__open(const char *path, char *why, size_t why_len)
{
	bool bad;
	int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
				   : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);

	if (fd < 0) {
		snprintf(why, why_len, "can't open %s: %s", path, strerror(errno));
		return NULL;
	}
	struct input *in = malloc(sizeof(*in));

	if (!in) {
		snprintf(why, why_len, "can't open %s: out of memory", path);
		close(fd);
		return NULL;
	}
	/* Not zeroed as a whole: most of it is the buffer. */
	memset(in, 0, offsetof(struct input, buf));
	in->fd = fd;
	in->waits = may_wait(fd, why, why_len, path, &bad);
	if (bad) {
		input__close(in);
		return NULL;
	}
	return in;
}

void input__close(struct input *in)
{
	close(in->fd);
	free(in);
}

/*
 * Moves what is left to the front. Keeps the position's remainder by 16, on which records'
 * alignment rests.
 */
static void make_room(struct input *in, size_t want)
{
	size_t keep = in->pos % 16;

	if (in->pos + want <= sizeof(in->buf) || in->pos == keep)
		return;
	memmove(in->buf + keep, in->buf + in->pos, in->len - in->pos);
	in->len -= in->pos - keep;
	in->pos = keep;
}

ssize_t input__need(struct input *in, size_t want)
{
	if (want > sizeof(in->buf) - 16)
		return -EINVAL;
	if (in->pos == in->len)
		in->pos = in->len = in->pos % 16;
	make_room(in, want);
	while (in->len - in->pos < want && !in->ended) {
		ssize_t n = read(in->fd, in->buf + in->len, sizeof(in->buf) - in->len);

		if (n < 0) {
			in->error = errno;
			return -in->error;
		}
		in->ended = n == 0;
		in->len += (size_t)n;
	}
	return (ssize_t)(in->len - in->pos);
}

void input__take(struct input *in, size_t n)
{
	in->pos += n;
	in->offset += n;
}

bool input__ready(struct input *in)
{
	struct pollfd p = { .fd = in->fd, .events = POLLIN };

	if (!in->waits || in->ended || in->pos < in->len)
		return true;
	return poll(&p, 1, 0) != 0;
}

/*
 * The first byte tells: no packet capture begins with a 'w'. A compressed file is the likeliest
 * mistake.
 */
struct source *source__file(const char *path, char *why, size_t why_len)
{
	struct input *in = input__open(path, why, why_len);

	if (!in)
		return NULL;
	ssize_t n = input__need(in, 1);

	if (n < 0)
		snprintf(why, why_len, "can't read %s: %s", path, strerror((int)-n));
	else if (n == 0)
		snprintf(why, why_len, "%s is empty", path);
	else if (in->buf[0] == (uint8_t)RECORD_MAGIC[0])
		return source__record(in, path, why, why_len);
	else if (in->buf[0] == 0x1f || in->buf[0] == 0x28 || in->buf[0] == 0xfd)
		snprintf(
			why, why_len,
			"%s seems to be compressed; unpack it first, e.g. zcat FILE | weft replay -",
			path);
	else
		return source__pcap(in, path, why, why_len);
	input__close(in);
	return NULL;
}
