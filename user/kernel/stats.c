// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel side's half of the balance: what was made, what was dropped, what the kernel refused
 * to run.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

static int stats__sum(int map, uint64_t *out, uint32_t n)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *each;
	int err = 0;

	if (cpus < 0)
		return cpus;
	each = calloc(cpus, sizeof(*each));
	if (!each)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && !err; i++) {
		err = bpf_map_lookup_elem(map, &i, each);
		out[i] = 0;
		for (int c = 0; c < cpus && !err; c++)
			out[i] += each[c];
	}
	free(each);
	return err;
}

/* Somebody asked for it: we, or the machine's administrator. */
static bool stats__run_time_known(const struct kernel *k)
{
	FILE *f = k->stats_fd >= 0 ? NULL : fopen("/proc/sys/kernel/bpf_stats_enabled", "re");
	int on = k->stats_fd >= 0;

	if (f) {
		if (fscanf(f, "%d", &on) != 1)
			on = 0;
		fclose(f);
	}
	return on;
}

/*
 * The kernel runs no tracing program inside itself: one that a packet interrupts is not run for
 * what the packet does. Only the program of sockets' states can be met by that, when it runs for a
 * process (the others that packets lead to run with packets held off); and what packets do to
 * states, it does not look at: connect(), shutdown() and close() are what processes do.
 */
static bool stats__refusal_loses(const char *prog)
{
	return strcmp(prog, "state_changed") != 0;
}

int kernel__stats(const struct kernel *k, struct kernel_stats *out)
{
	int err;

	memset(out, 0, sizeof(*out));
	err = stats__sum(k->map.made, out->made, WEFT_EV_KERNEL_MAX);
	if (!err)
		err = stats__sum(k->map.drops, out->drops, WEFT_DROP_MAX);
	if (err)
		return err;
	out->run_ns_known = stats__run_time_known(k);
	for (size_t i = 0; i < k->n_progs; i++) {
		struct bpf_prog_info info = {};
		uint32_t len = sizeof(info);
		struct kernel_prog_stats *p = &out->progs[out->n_progs];

		if (bpf_obj_get_info_by_fd(k->progs[i].fd, &info, &len))
			continue;
		p->name = k->progs[i].name;
		p->run_count = info.run_cnt;
		p->run_ns = info.run_time_ns;
		if (stats__refusal_loses(p->name))
			p->recursion_misses = info.recursion_misses;
		out->run_ns += p->run_ns;
		out->recursion_misses += p->recursion_misses;
		out->n_progs++;
	}
	return 0;
}

int kernel__drops_per_cpu(const struct kernel *k, enum weft_drop why, uint64_t *out, size_t max)
{
	int cpus = libbpf_num_possible_cpus(), err;
	uint32_t key = why;
	uint64_t *each;

	if (cpus < 0)
		return cpus;
	each = calloc(cpus, sizeof(*each));
	if (!each)
		return -ENOMEM;
	err = bpf_map_lookup_elem(k->map.drops, &key, each);
	if (!err)
		memcpy(out, each, ((size_t)cpus < max ? (size_t)cpus : max) * sizeof(*out));
	free(each);
	return err ? err : cpus;
}
