// SPDX-License-Identifier: GPL-2.0-or-later
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static atomic_int max_level = LOG_INFO;

void log__set_level(enum log_level level)
{
	atomic_store_explicit(&max_level, (int)level, memory_order_relaxed);
}

bool log__enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&max_level, memory_order_relaxed);
}

/*
 * Names of processes and paths go through here: none of them may move the cursor or forge a line.
 */
static void scrub(char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f)
			s[i] = s[i] == '\t' ? ' ' : '?';
}

/* One write() a line, so that lines of several threads do not mix. */
void log__write(enum log_level level, const char *fmt, ...)
{
	static const char *const prefixes[] = {
		[LOG_ERROR] = "weft: ",
		[LOG_WARN] = "weft: warning: ",
		[LOG_INFO] = "weft: ",
		[LOG_DEBUG] = "weft: debug: ",
	};
	char line[LINE_MAX_BYTES];
	int saved = errno;
	va_list ap;

	if (!log__enabled(level))
		return;
	size_t n = strlen(prefixes[level]);

	memcpy(line, prefixes[level], n);
	va_start(ap, fmt);
	errno = saved; /* for %m */
	int words = vsnprintf(line + n, sizeof(line) - n - 1, fmt, ap);
	va_end(ap);
	if (words > 0)
		n += (size_t)words < sizeof(line) - n - 1 ? (size_t)words : sizeof(line) - n - 2;
	while (n && line[n - 1] == '\n')
		n--;
	scrub(line, n);
	line[n++] = '\n';
	for (size_t done = 0; done < n;) {
		ssize_t w = write(STDERR_FILENO, line + done, n - done);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			break; /* nobody left to tell */
		done += (size_t)w;
	}
	errno = saved;
}
