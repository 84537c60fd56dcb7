// SPDX-License-Identifier: GPL-2.0-or-later
#include "libcurl.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "on_demand.h"
#include "sonames.h"

struct curl_functions curl;

static const char *const names[] = {
#define CURL_NAME(f) "curl_" #f,
	CURL_FUNCTIONS(CURL_NAME)
#undef CURL_NAME
};

int libcurl__load(char *why, size_t why_len)
{
	static struct on_demand library = ON_DEMAND(SONAME_curl, curl, names);
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static bool ready;
	int err = 0;

	pthread_mutex_lock(&lock);
	if (!ready)
		err = on_demand__load(&library, why, why_len);
	if (!ready && !err)
		ready = curl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
	if (!ready && !err) {
		snprintf(why, why_len, "libcurl can't be initialised");
		err = -ENOMEM;
	}
	pthread_mutex_unlock(&lock);
	return err;
}
