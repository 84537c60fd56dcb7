// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Open, load, attach, close. Only one back end's programs are ever loaded: verifying programs that
 * are then not used would cost more than everything else here.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "bpf/weft.skel.h"

static bool libbpf_verbose;
static char libbpf_last[200]; /* libbpf's last complaint: better than an errno */

static int loader__print(enum libbpf_print_level level, const char *fmt, va_list args)
{
	char line[sizeof(libbpf_last)];
	va_list copy;

	va_copy(copy, args);
	if (libbpf_verbose)
		vfprintf(stderr, fmt, copy);
	va_end(copy);
	if (level == LIBBPF_WARN) {
		vsnprintf(line, sizeof(line), fmt, args);
		line[strcspn(line, "\n")] = '\0';
		if (!strstr(line, "-- BEGIN PROG LOAD LOG --") &&
		    !strstr(line, "failed to load object"))
			memcpy(libbpf_last, line, sizeof(line));
	}
	return 0;
}

void loader__note(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(libbpf_last, sizeof(libbpf_last), fmt, args);
	va_end(args);
}

static size_t loader__ring_bytes(size_t wanted)
{
	size_t n = sysconf(_SC_PAGESIZE);

	while (n < wanted && n < (1UL << 30))
		n <<= 1;
	return n;
}

static int loader__size_maps(struct bpf_object *obj, const struct kernel_config *cfg)
{
	struct bpf_map *ring = bpf_object__find_map_by_name(obj, "ring");
	struct bpf_map *conns = bpf_object__find_map_by_name(obj, "conns");
	int err = bpf_map__set_max_entries(ring, loader__ring_bytes(cfg->ring_bytes));

	return err ? err : bpf_map__set_max_entries(conns, cfg->max_conns ? cfg->max_conns : 1);
}

static int loader__map_fd(struct kernel *k, const char *name)
{
	return bpf_object__find_map_fd_by_name(k->obj, name);
}

static int loader__prog_fd(struct kernel *k, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(k->obj, name));
}

static int loader__settings(struct kernel *k, const struct kernel_config *cfg)
{
	LIBBPF_OPTS(bpf_test_run_opts, run);
	struct settings s = {
		.abi = WEFT_ABI,
		.initial = cfg->initial,
		.watch_exec = cfg->watch_exec,
		.propagate = cfg->propagate_tcp,
	};
	uint32_t zero = 0;
	int err;

	err = bpf_map_update_elem(k->map.settings, &zero, &s, BPF_ANY);
	if (err)
		return err;
	err = bpf_prog_test_run_opts(loader__prog_fd(k, "setup"), &run);
	return err ? err : run.retval ? -EIO : 0;
}

/*
 * The object, opened. Its own types say which of the kernel's it needs, so it is opened twice: that
 * takes 3 ms, and saves 40. *used: a descriptor that is needed until it is loaded, or < 0.
 */
static struct bpf_object *loader__open(const struct btf *types, int *used)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "weft");
	size_t size;
	const void *bytes = weft_bpf__elf_bytes(&size);
	struct bpf_object *obj = bpf_object__open_mem(bytes, size, &opts);
	char path[32];

	*used = obj && types ? types__used(types, bpf_object__btf(obj)) : -ENODATA;
	if (*used < 0)
		return obj;
	bpf_object__close(obj);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", *used);
	opts.btf_custom_path = path;
	return bpf_object__open_mem(bytes, size, &opts);
}

/* `types`: the kernel's, for casts__prepare(); NULL: programs shall do without. */
static int loader__load(struct kernel *k, const struct kernel_config *cfg, const struct btf *types,
			char *why, size_t why_len)
{
	struct loads *loads;
	int err, used = -1;

	libbpf_last[0] = '\0';
	err = loads__begin(&loads);
	if (err)
		goto fail;
	k->obj = loader__open(types, &used);
	if (!k->obj) {
		err = loads__end(loads, -errno, false);
		if (used >= 0)
			close(used);
		goto fail;
	}
	backends__choose(k->obj, k->backend);
	propagate__choose(k->obj, cfg);
	uprobe__prepare(k);
	casts__prepare(k->obj, types);
	if (!cfg->node_helper)
		nodejs__leave_out(k->obj);
	err = loader__size_maps(k->obj, cfg);
	if (!err)
		err = bpf_object__load(k->obj);
	err = loads__end(loads, err, cfg->verbose);
	if (used >= 0)
		close(used);
	if (err)
		goto fail;
	k->map.filter = loader__map_fd(k, "filter");
	k->map.conns = loader__map_fd(k, "conns");
	k->map.ring = loader__map_fd(k, "ring");
	k->map.made = loader__map_fd(k, "made");
	k->map.drops = loader__map_fd(k, "drops");
	k->map.settings = loader__map_fd(k, "settings");
	k->map.cgroups = loader__map_fd(k, "cgroups");
	k->map.batch = loader__map_fd(k, "batch");
	k->map.probe_descs = loader__map_fd(k, "probe_descs");
	k->map.go_starts = loader__map_fd(k, "go_starts");
	k->map.announced = loader__map_fd(k, "announced");
	err = loader__settings(k, cfg);
	if (err)
		goto fail;
	return 0;
fail:
	snprintf(why, why_len, "%s back end: can't load weft's programs: %s%s%s",
		 kernel__backend_name(k->backend), strerror(-err), libbpf_last[0] ? "; " : "",
		 libbpf_last);
	return err;
}

void kernel__detach(struct kernel *k)
{
	late__free(k);
	nodejs__free(k);
	uprobe__detach_all(k, false);
	while (k->n_links)
		bpf_link__destroy(k->links[--k->n_links]);
	uprobe__detach_all(k, true);
}

/* Unload everything, so that another back end can be tried with the same struct. */
static void loader__unload(struct kernel *k)
{
	kernel__detach(k);
	programs__free(k);
}

static int loader__try(struct kernel *k, const struct kernel_config *cfg,
		       enum kernel_backend backend, char *why, size_t why_len)
{
	char reason[160];
	int err = backends__probe(backend, reason, sizeof(reason));

	k->backend = backend;
	if (err) {
		snprintf(why, why_len, "%s back end is not possible here: %s",
			 kernel__backend_name(backend), reason);
		return err;
	}
	err = loader__load(k, cfg, backends__types(), why, why_len);
	if (err) { /* should a kernel refuse what it says that it has */
		bpf_object__close(k->obj);
		err = loader__load(k, cfg, NULL, why, why_len);
	}
	if (!err) {
		char attach[160] = "";

		err = backends__attach(k, attach, sizeof(attach));
		if (!err && cfg->propagate_tcp)
			err = propagate__attach(k, attach, sizeof(attach));
		if (!err) {
			err = programs__keep(k);
			snprintf(attach, sizeof(attach), "%s", strerror(-err));
		}
		if (err)
			snprintf(why, why_len, "%s back end: %s", kernel__backend_name(backend),
				 attach);
	}
	if (err)
		loader__unload(k);
	return err;
}

/*
 * kprobes come after system calls: the kernel keeps room for about 10 returns of a function at a
 * time (maxactive), so with many threads blocked in a read it misses some.
 */
static const enum kernel_backend order[] = {
	KERNEL_BACKEND_FENTRY,
	KERNEL_BACKEND_SYSCALL,
	KERNEL_BACKEND_KPROBE,
	KERNEL_BACKEND_TRACEPOINT,
};

int kernel__open(const struct kernel_config *cfg, struct kernel **out, char *why, size_t why_len)
{
	struct kernel *k = calloc(1, sizeof(*k));
	int err = -EOPNOTSUPP;

	if (!k)
		return -ENOMEM;
	k->stats_fd = -1;
	libbpf_verbose = cfg->verbose;
	libbpf_set_print(loader__print);
	if (features__refused(why, why_len)) {
		free(k);
		return -EPERM;
	}
	if (cfg->propagate_tcp) {
		char reason[160];

		err = propagate__try(reason, sizeof(reason));
		if (err) {
			snprintf(why, why_len, "--propagate=tcp is not possible here: %s", reason);
			free(k);
			return err == -EPERM ? -EPERM : -EOPNOTSUPP;
		}
		err = -EOPNOTSUPP;
	}
	k->uprobes_way = uprobe__way(cfg->uprobes);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]) && err; i++)
		if (!cfg->backend || cfg->backend == order[i])
			err = loader__try(k, cfg, order[i], why, why_len);
	backends__probed();
	if (err) {
		free(k);
		return err == -EPERM && features__refused(NULL, 0) ? -EPERM : -EOPNOTSUPP;
	}
	if (cfg->stats)
		k->stats_fd = bpf_enable_stats(BPF_STATS_RUN_TIME);
	*out = k;
	return 0;
}

void kernel__close(struct kernel *k)
{
	if (!k)
		return;
	if (k->stats_fd >= 0)
		close(k->stats_fd);
	loader__unload(k);
	free(k);
}

enum kernel_backend kernel__backend(const struct kernel *k)
{
	return k->backend;
}

int kernel__ring_fd(const struct kernel *k)
{
	return k->map.ring;
}
