// SPDX-License-Identifier: GPL-2.0-or-later
#include "on_demand.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static int load(struct on_demand *l, char *why, size_t why_len)
{
	char *functions = l->functions;

	if (l->handle)
		return 0;
	l->handle = dlopen(l->file, RTLD_LAZY | RTLD_LOCAL);
	if (!l->handle) {
		snprintf(why, why_len, "a library can't be loaded: %s", dlerror());
		return -ELIBACC;
	}
	for (size_t i = 0; i < l->n; i++) {
		void *at = dlsym(l->handle, l->names[i]);

		if (!at) {
			snprintf(why, why_len, "a library is not the one expected: %s", dlerror());
			on_demand__unload(l);
			return -ELIBACC;
		}
		memcpy(functions + i * sizeof(at), &at, sizeof(at));
	}
	return 0;
}

int on_demand__load(struct on_demand *l, char *why, size_t why_len)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&lock);
	int err = load(l, why, why_len);

	pthread_mutex_unlock(&lock);
	return err;
}

void on_demand__unload(struct on_demand *l)
{
	if (!l->handle)
		return;
	memset(l->functions, 0, l->n * sizeof(void *));
	dlclose(l->handle);
	l->handle = NULL;
}

bool on_demand__is_there(const char *file, char *why, size_t why_len)
{
	void *handle = dlopen(file, RTLD_LAZY | RTLD_LOCAL);

	if (handle)
		dlclose(handle);
	else
		snprintf(why, why_len, "%s", dlerror());
	return handle != NULL;
}
