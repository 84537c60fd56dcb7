// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What user space tells the kernel side about connections. Programs change the table in place; a
 * plain update from here would overwrite what other CPUs write at the same time.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

#define SWEEP_REST_MAX 3 /* ticks */

static int control__run(int prog)
{
	LIBBPF_OPTS(bpf_test_run_opts, run);
	int err = bpf_prog_test_run_opts(prog, &run);

	return err ? err : (int)run.retval;
}

static int control__batch(struct kernel *k, int prog, const struct weft_policy_entry *e, size_t n)
{
	struct weft_policy_batch b = { .n = n };
	uint32_t zero = 0;
	int err;

	memcpy(b.e, e, n * sizeof(*e));
	err = bpf_map_update_elem(k->map.batch, &zero, &b, BPF_ANY);
	return err ? err : control__run(prog);
}

int kernel__set_policies(struct kernel *k, const struct weft_policy_entry *e, size_t n)
{
	int set = 0;

	while (n) {
		size_t part = n < WEFT_POLICY_BATCH ? n : WEFT_POLICY_BATCH;
		int done = control__batch(k, programs__fd(k, "policy_write"), e, part);

		if (done < 0)
			return done;
		set += done;
		e += part;
		n -= part;
	}
	return set;
}

int kernel__forget_conn(struct kernel *k, uint64_t sock, uint64_t conn)
{
	struct weft_policy_entry e = { .sock = sock, .conn = conn };
	int n = control__batch(k, programs__fd(k, "conn_forget"), &e, 1);

	return n < 0 ? n : n ? 0 : -ENOENT;
}

/* To walk through the tables takes some ms: less often, as long as there is nothing to be found. */
static int control__sweep(struct kernel *k)
{
	int gone;

	if (k->sweep_in) {
		k->sweep_in--;
		return 0;
	}
	gone = control__run(programs__fd(k, "sweep"));
	k->sweep_rest = gone                             ? 0
			: k->sweep_rest < SWEEP_REST_MAX ? 2 * k->sweep_rest + 1
							 : SWEEP_REST_MAX;
	k->sweep_in = k->sweep_rest;
	return gone;
}

int kernel__tick(struct kernel *k)
{
	late__check(k);
	return control__sweep(k);
}
