/* SPDX-License-Identifier: GPL-2.0-or-later */
/* libcurl, loaded when it is needed. Its functions as curl.easy_init() for curl_easy_init(). */
#ifndef WEFT_LIBCURL_H
#define WEFT_LIBCURL_H

#include <curl/curl.h>

#define CURL_FUNCTIONS(F)                                                                          \
	F(global_init)                                                                             \
	F(free)                                                                                    \
	F(url)                                                                                     \
	F(url_cleanup)                                                                             \
	F(url_get)                                                                                 \
	F(url_set)                                                                                 \
	F(slist_append)                                                                            \
	F(slist_free_all)                                                                          \
	F(easy_init)                                                                               \
	F(easy_setopt)                                                                             \
	F(easy_getinfo)                                                                            \
	F(easy_perform)                                                                            \
	F(easy_strerror)                                                                           \
	F(easy_cleanup)                                                                            \
	F(multi_init)                                                                              \
	F(multi_add_handle)                                                                        \
	F(multi_remove_handle)                                                                     \
	F(multi_perform)                                                                           \
	F(multi_poll)                                                                              \
	F(multi_info_read)                                                                         \
	F(multi_wakeup)                                                                            \
	F(multi_cleanup)

struct curl_functions {
#define CURL_MEMBER(f) typeof(curl_##f) *(f);
	CURL_FUNCTIONS(CURL_MEMBER)
#undef CURL_MEMBER
};

extern struct curl_functions curl;

/* Loaded and initialised: 0, or a negative errno and a line in `why`. From any thread; it stays. */
int libcurl__load(char *why, size_t why_len);

#endif /* WEFT_LIBCURL_H */
