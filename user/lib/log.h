/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Words for people, on stderr, one line each. Data never goes here. */
#ifndef WEFT_LOG_H
#define WEFT_LOG_H

#include <stdbool.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Lines above this level are not written; LOG_INFO at start, -v makes it LOG_DEBUG. */
void log__set_level(enum log_level level);
bool log__enabled(enum log_level level);
void log__write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log__write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log__write(LOG_WARN, __VA_ARGS__)
#define log_info(...) log__write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)                                                                             \
	do {                                                                                       \
		if (log__enabled(LOG_DEBUG))                                                       \
			log__write(LOG_DEBUG, __VA_ARGS__);                                        \
	} while (0)

#endif
