// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Programs loaded side by side. The kernel takes up to a tenth of a second to verify one of the big
 * ones, on one CPU, and takes no lock for it; libbpf's bpf_object__load() has them verified one
 * after the other.
 *
 * libbpf asks a section's handler to look over each program before it is loaded (maps are made, all
 * is relocated then), and loads what the handler has put in its place. So the sections of bpf/ get
 * a handler that takes the program away, to be loaded by a thread, and leaves two instructions. When
 * both are loaded, the descriptor that libbpf knows is made to mean the real one. All else (links,
 * names) stays libbpf's.
 */
#include <bpf/btf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

#define THREADS_MAX 8
#define LOG_BYTES (1024 * 1024)

/* How a section's programs are loaded and attached. */
struct section {
	const char *name;
	libbpf_prog_attach_fn_t attach_fn;
	const char *prefix; /* of the names in the kernel's types; NULL: not looked up there */
	int kind;           /* BTF_KIND_ */
	enum bpf_prog_type type;
	enum bpf_attach_type attach;
	uint32_t flags;
};

static const struct section *section__at(long i);

struct load {
	struct bpf_program *prog;
	struct bpf_prog_load_opts opts;
	struct bpf_insn *insns; /* with what opts points to behind them */
	size_t n_insns;
	int fd; /* or a negative errno */
};

struct loads {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct load list[KERNEL_PROGS_MAX];
	size_t n, next; /* of the list, this is the first that nobody has begun with */
	size_t idle;    /* threads that wait for more */
	bool complete;
	pthread_t threads[THREADS_MAX];
	size_t n_threads, max_threads;
};

/* What is being loaded now; libbpf's handlers are the whole process's. NULL: nothing is put aside. */
static struct loads *current;

/* r0 = 0; exit */
static const struct bpf_insn nothing[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
	{ .code = BPF_JMP | BPF_EXIT },
};

static int load__try(struct load *w)
{
	return bpf_prog_load(bpf_program__type(w->prog), bpf_program__name(w->prog), "GPL",
			     w->insns, w->n_insns, &w->opts);
}

/* Once more, for what the verifier says. */
static void load__explain(struct load *w)
{
	char *log = malloc(LOG_BYTES);
	int fd;

	if (!log)
		return;
	log[0] = '\0';
	w->opts.log_level = 1;
	w->opts.log_buf = log;
	w->opts.log_size = LOG_BYTES;
	fd = load__try(w);
	if (fd >= 0)
		close(fd);
	fprintf(stderr, "%s:\n%s\n", bpf_program__name(w->prog), log);
	free(log);
}

static void *loads__thread(void *arg)
{
	struct loads *l = arg;

	pthread_mutex_lock(&l->lock);
	for (;;) {
		struct load *w;

		while (l->next == l->n && !l->complete) {
			l->idle++;
			pthread_cond_wait(&l->changed, &l->lock);
			l->idle--;
		}
		if (l->next == l->n)
			break;
		w = &l->list[l->next++];
		pthread_mutex_unlock(&l->lock);
		w->fd = load__try(w);
		pthread_mutex_lock(&l->lock);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* A copy of the program, which goes on its way. */
static int loads__put(struct loads *l, struct bpf_program *prog,
		      const struct bpf_prog_load_opts *opts)
{
	size_t insns = bpf_program__insn_cnt(prog) * sizeof(struct bpf_insn);
	size_t funcs = (size_t)opts->func_info_cnt * opts->func_info_rec_size;
	size_t lines = (size_t)opts->line_info_cnt * opts->line_info_rec_size;
	struct load *w = &l->list[l->n];
	char *copy = l->n < KERNEL_PROGS_MAX ? malloc(insns + funcs + lines) : NULL;

	if (!copy)
		return -ENOMEM;
	*w = (struct load){ .prog = prog, .opts = *opts, .fd = -EAGAIN };
	w->opts.sz = sizeof(w->opts);
	w->opts.fd_array = NULL; /* the functions called are the kernel's own, no module's */
	w->insns = (void *)copy;
	w->n_insns = bpf_program__insn_cnt(prog);
	memcpy(copy, bpf_program__insns(prog), insns);
	if (funcs)
		w->opts.func_info = memcpy(copy + insns, opts->func_info, funcs);
	if (lines)
		w->opts.line_info = memcpy(copy + insns + funcs, opts->line_info, lines);
	pthread_mutex_lock(&l->lock);
	l->n++;
	if (l->n - l->next > l->idle && l->n_threads < l->max_threads &&
	    pthread_create(&l->threads[l->n_threads], NULL, loads__thread, l) == 0)
		l->n_threads++;
	pthread_cond_signal(&l->changed);
	pthread_mutex_unlock(&l->lock);
	return 0;
}

static const char *load__target(const struct bpf_program *prog)
{
	const char *slash = strchr(bpf_program__section_name(prog), '/');

	return slash ? slash + 1 : "";
}

static int load__find_target(const struct bpf_program *prog, const struct section *s, uint32_t *id)
{
	const struct btf *types = backends__types();
	char name[128];
	int found;

	if (!s->prefix || *id)
		return 0;
	snprintf(name, sizeof(name), "%s%s", s->prefix, load__target(prog));
	found = types ? btf__find_by_name_kind(types, name, s->kind) : -ENOENT;
	if (found < 0) {
		loader__note("program '%s': this kernel has no %s", bpf_program__name(prog), name);
		return found == -ENOENT ? -ESRCH : found;
	}
	*id = (uint32_t)found;
	return 0;
}

/* libbpf is about to load it. */
static int loads__prepare(struct bpf_program *prog, struct bpf_prog_load_opts *opts, long section)
{
	const struct section *s = section__at(section);
	int err = load__find_target(prog, s, &opts->attach_btf_id);

	opts->prog_flags |= s->flags;
	if (err || !current)
		return err;
	err = loads__put(current, prog, opts);
	if (err)
		return err;
	opts->func_info_cnt = opts->line_info_cnt = 0;
	opts->func_info = opts->line_info = NULL;
	return bpf_program__set_insns(prog, (struct bpf_insn *)nothing,
				      sizeof(nothing) / sizeof(nothing[0]));
}

static int load__attach_trace(const struct bpf_program *prog, long section, struct bpf_link **link)
{
	(void)section;
	*link = bpf_program__attach_trace(prog);
	return *link ? 0 : -errno;
}

static int load__attach_kprobe(const struct bpf_program *prog, long section, struct bpf_link **link)
{
	bool ret = section__at(section)->name[1] == 'r';

	*link = bpf_program__attach_kprobe(prog, ret, load__target(prog));
	return *link ? 0 : -errno;
}

/* All that bpf/ has. */
static const struct section sections[] = {
	{ .name = "tp_btf+",
	  .type = BPF_PROG_TYPE_TRACING,
	  .attach = BPF_TRACE_RAW_TP,
	  .attach_fn = load__attach_trace,
	  .prefix = "btf_trace_",
	  .kind = BTF_KIND_TYPEDEF },
	{ .name = "fentry+",
	  .type = BPF_PROG_TYPE_TRACING,
	  .attach = BPF_TRACE_FENTRY,
	  .attach_fn = load__attach_trace,
	  .prefix = "",
	  .kind = BTF_KIND_FUNC },
	{ .name = "fexit+",
	  .type = BPF_PROG_TYPE_TRACING,
	  .attach = BPF_TRACE_FEXIT,
	  .attach_fn = load__attach_trace,
	  .prefix = "",
	  .kind = BTF_KIND_FUNC },
	{ .name = "iter+",
	  .type = BPF_PROG_TYPE_TRACING,
	  .attach = BPF_TRACE_ITER,
	  .prefix = "bpf_iter_",
	  .kind = BTF_KIND_FUNC },
	{ .name = "kprobe+", .type = BPF_PROG_TYPE_KPROBE, .attach_fn = load__attach_kprobe },
	{ .name = "kretprobe+", .type = BPF_PROG_TYPE_KPROBE, .attach_fn = load__attach_kprobe },
	{ .name = "uprobe+", .type = BPF_PROG_TYPE_KPROBE },
	{ .name = "tracepoint+", .type = BPF_PROG_TYPE_TRACEPOINT },
	{ .name = "syscall+", .type = BPF_PROG_TYPE_SYSCALL, .flags = BPF_F_SLEEPABLE },
	{ .name = "sockops+", .type = BPF_PROG_TYPE_SOCK_OPS, .attach = BPF_CGROUP_SOCK_OPS },
};

static const struct section *section__at(long i)
{
	return &sections[i];
}

/* They stay: libbpf's programs refer to them. */
static int loads__register(void)
{
	static bool done;

	for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]) && !done; i++) {
		const struct section *s = &sections[i];
		LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .cookie = (long)i,
			    .prog_prepare_load_fn = loads__prepare, .prog_attach_fn = s->attach_fn);
		int id = libbpf_register_prog_handler(s->name, s->type, s->attach, &opts);

		if (id < 0)
			return id;
	}
	done = true;
	return 0;
}

int loads__begin(struct loads **out)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	struct loads *l;
	int err = loads__register();

	*out = NULL;
	if (err)
		return err;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->changed, NULL);
	l->max_threads = cpus < 1 ? 1 : cpus > THREADS_MAX ? THREADS_MAX : (size_t)cpus;
	*out = current = l;
	return 0;
}

/* The program's descriptor in libbpf's hands becomes this one. */
static int load__finish(struct load *w, bool verbose)
{
	if (w->fd < 0) {
		loader__note("prog '%s': BPF program load failed: %s", bpf_program__name(w->prog),
			     strerror(-w->fd));
		if (verbose)
			load__explain(w);
		return w->fd;
	}
	return dup3(w->fd, bpf_program__fd(w->prog), O_CLOEXEC) < 0 ? -errno : 0;
}

int loads__end(struct loads *l, int err, bool verbose)
{
	if (!l)
		return err;
	current = NULL;
	pthread_mutex_lock(&l->lock);
	l->complete = true;
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
	loads__thread(l);
	for (size_t i = 0; i < l->n_threads; i++)
		pthread_join(l->threads[i], NULL);
	for (size_t i = 0; i < l->n; i++) {
		struct load *w = &l->list[i];

		if (!err)
			err = load__finish(w, verbose);
		if (w->fd >= 0)
			close(w->fd);
		free(w->insns);
	}
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	free(l);
	return err;
}
