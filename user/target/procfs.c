// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading /proc. Everything below /proc/PID is read through one directory descriptor: when the
 * process ends, reads fail, and never speak of another process that got the same number.
 */
#include "parts.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *proc_root = "/proc";
static const char *sys_root = "";

void procfs__set_roots(const char *proc, const char *sys)
{
	proc_root = proc ? proc : "/proc";
	sys_root = sys ? sys : "";
}

const char *procfs__root(void)
{
	return proc_root;
}

bool procfs__sys_path(char *buf, size_t size, const char *path)
{
	int n = snprintf(buf, size, "%s%s", sys_root, path);

	return n >= 0 && (size_t)n < size;
}

int procfs__open(pid_t pid)
{
	char path[PATH_MAX];

	if (pid <= 0)
		return -ESRCH;
	int n = snprintf(path, sizeof(path), "%s/%d", proc_root, pid);

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	return errno == ENOENT || errno == ESRCH ? -ESRCH : -errno;
}

char *procfs__slurp(int dir, const char *name, size_t max, size_t *len)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	size_t size = 4096, used = 0;

	if (fd < 0)
		return NULL;
	char *buf = malloc(size);

	while (buf && used < max) {
		if (used + 1 >= size) {
			char *more = realloc(buf, size * 2);

			if (!more) {
				free(buf);
				buf = NULL;
				break;
			}
			buf = more;
			size *= 2;
		}
		size_t room = size - used - 1;
		ssize_t n = read(fd, buf + used, room < max - used ? room : max - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int err = errno;

			free(buf);
			close(fd);
			errno = err;
			return NULL;
		}
		if (n == 0)
			break;
		used += (size_t)n;
	}
	close(fd);
	if (!buf) {
		errno = ENOMEM;
		return NULL;
	}
	buf[used] = '\0';
	if (len)
		*len = used;
	return buf;
}

char *procfs__link(int dir, const char *name)
{
	char buf[PATH_MAX + 32];
	ssize_t n = readlinkat(dir, name, buf, sizeof(buf) - 1);

	if (n < 0)
		return NULL;
	buf[n] = '\0';
	return strdup(buf);
}

static int compare_pids(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

static pid_t name_to_pid(const char *name)
{
	char *end;

	if (!isdigit((unsigned char)*name))
		return 0;
	errno = 0;
	long n = strtol(name, &end, 10);

	return *end || errno || n > INT_MAX ? 0 : (pid_t)n;
}

int procfs__pids(pid_t **pids, size_t *n)
{
	DIR *d = opendir(proc_root);
	size_t size = 0;
	struct dirent *e;

	*pids = NULL;
	*n = 0;
	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		pid_t pid = name_to_pid(e->d_name);

		if (pid <= 0)
			continue;
		if (*n == size) {
			pid_t *more = realloc(*pids, (size + 256) * sizeof(**pids));

			if (!more) {
				closedir(d);
				free(*pids);
				*pids = NULL;
				return -ENOMEM;
			}
			*pids = more;
			size += 256;
		}
		(*pids)[(*n)++] = pid;
	}
	closedir(d);
	if (*n)
		qsort(*pids, *n, sizeof(**pids), compare_pids);
	return 0;
}

/* Field numbers are those of proc(5). */
bool proc_stat__parse(const char *text, struct proc_stat *out)
{
	const char *open = strchr(text, '(');
	/* The name may hold anything, ") (" included; nothing behind it holds a parenthesis. */
	const char *close = strrchr(text, ')');
	unsigned long long start;
	long ppid;
	unsigned flags;
	char state;

	if (!open || !close || close < open)
		return false;
	*out = (struct proc_stat){ 0 };
	size_t n = (size_t)(close - open - 1);

	if (n >= sizeof(out->comm))
		n = sizeof(out->comm) - 1;
	memcpy(out->comm, open + 1, n);
	/* state(3) ppid(4) ... flags(9) ... starttime(22) */
	if (sscanf(close + 1,
		   " %c %ld %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		   &state, &ppid, &flags, &start) != 4)
		return false;
	out->state = state;
	out->ppid = (pid_t)ppid;
	out->flags = flags;
	out->start_ns = start * (1000000000ull / (unsigned long long)sysconf(_SC_CLK_TCK));
	return true;
}

int procfs__stat(int dir, struct proc_stat *out)
{
	char *text = procfs__slurp(dir, "stat", 4096, NULL);

	if (!text)
		return errno == ENOENT ? -ESRCH : -errno;
	bool ok = proc_stat__parse(text, out);

	free(text);
	return ok ? 0 : -ESRCH;
}

bool words__split(struct words *w, char *buf, size_t len)
{
	*w = (struct words){ .buf = buf };
	while (len && (buf[len - 1] == '\0' || buf[len - 1] == ' '))
		len--;
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += i == 0 || buf[i - 1] == '\0';
	w->v = calloc(n + 1, sizeof(*w->v));
	if (!w->v) {
		free(buf);
		*w = (struct words){ 0 };
		return false;
	}
	buf[len] = '\0'; /* slurp left a byte behind the end */
	for (size_t i = 0; i < len; i++)
		if (i == 0 || buf[i - 1] == '\0')
			w->v[w->n++] = buf + i;
	return true;
}

void words__free(struct words *w)
{
	free(w->v);
	free(w->buf);
	*w = (struct words){ 0 };
}

const char *path__base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/*
 * Bytes of the well-formed UTF-8 character at s, 0 if there is none (RFC 3629: no overlong forms,
 * no surrogates).
 */
static unsigned utf8_length(const unsigned char *s)
{
	if (s[0] < 0x80)
		return s[0] >= 0x20 && s[0] != 0x7f;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		/* U+0080..U+009F are control characters, and some terminals obey them */
		return (s[1] & 0xc0) == 0x80 && !(s[0] == 0xc2 && s[1] < 0xa0) ? 2 : 0;
	if ((s[0] & 0xf0) == 0xe0) {
		bool ok = (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80;

		return ok && !(s[0] == 0xe0 && s[1] < 0xa0) && !(s[0] == 0xed && s[1] > 0x9f) ? 3
											      : 0;
	}
	if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		bool ok = (s[1] & 0xc0) == 0x80 && (s[2] & 0xc0) == 0x80 && (s[3] & 0xc0) == 0x80;

		return ok && !(s[0] == 0xf0 && s[1] < 0x90) && !(s[0] == 0xf4 && s[1] > 0x8f) ? 4
											      : 0;
	}
	return 0;
}

bool text__clean(const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	while (*p) {
		unsigned n = utf8_length(p);

		if (!n)
			return false;
		p += n;
	}
	return true;
}

void text__scrub(char *s)
{
	unsigned char *p = (unsigned char *)s;

	while (*p) {
		unsigned n = utf8_length(p);

		if (!n)
			*p = '?';
		p += n ? n : 1;
	}
}
