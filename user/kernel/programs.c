// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is needed of programs and maps once they are there: descriptors and names. libbpf's object,
 * which holds types, line numbers, relocations and instructions of all that was and was not loaded
 * (more than a MB), is closed then. Links have nothing to do with it.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

_Static_assert(sizeof(((struct kernel *)0)->map) == KERNEL_MAPS * sizeof(int), "maps are ints");

/* Another descriptor of the same. */
static int programs__another(int fd)
{
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return own < 0 ? -errno : own;
}

static int programs__keep_maps(struct kernel *k)
{
	int own[KERNEL_MAPS], *given = (int *)&k->map;

	for (size_t i = 0; i < KERNEL_MAPS; i++) {
		own[i] = programs__another(given[i]);
		if (own[i] < 0) {
			int err = own[i];

			while (i)
				close(own[--i]);
			return err;
		}
	}
	memcpy(given, own, sizeof(own));
	return 0;
}

static int programs__keep_progs(struct kernel *k)
{
	struct bpf_program *prog;

	bpf_object__for_each_program (prog, k->obj) {
		struct kernel_prog *p = &k->progs[k->n_progs];
		int fd = bpf_program__fd(prog);

		if (fd < 0)
			continue; /* not chosen */
		if (k->n_progs == KERNEL_PROGS_MAX)
			return -E2BIG;
		p->fd = programs__another(fd);
		if (p->fd < 0)
			return p->fd;
		k->n_progs++;
		snprintf(p->name, sizeof(p->name), "%s", bpf_program__name(prog));
	}
	return 0;
}

int programs__keep(struct kernel *k)
{
	int err = programs__keep_progs(k);

	if (!err)
		err = programs__keep_maps(k);
	if (err)
		return err;
	bpf_object__close(k->obj);
	k->obj = NULL;
	k->kept = true;
	return 0;
}

int programs__fd(const struct kernel *k, const char *name)
{
	for (size_t i = 0; i < k->n_progs; i++)
		if (!strcmp(k->progs[i].name, name))
			return k->progs[i].fd;
	return -ENOENT;
}

void programs__free(struct kernel *k)
{
	const int *maps = (const int *)&k->map;

	while (k->n_progs)
		close(k->progs[--k->n_progs].fd);
	for (size_t i = 0; i < KERNEL_MAPS && k->kept; i++)
		close(maps[i]);
	bpf_object__close(k->obj);
	k->obj = NULL;
	k->kept = false;
}
