// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A context is made by copying another, and asyncio makes one for each task and callback. All copies
 * are made by context_new_from_vars(), a static function: symbols may name it; if not, it is where
 * PyContext_Copy and PyContext_CopyCurrent end with a jump; where the compiler has put it into its
 * callers, these two are watched (then Context.copy() of the program's own is not seen). Empty ones
 * are made by context_new_empty(), where PyContext_New ends: some servers begin each request in one.
 * Where that is put into its callers, these are watched: PyContext_New, and what PyContext_Type makes
 * a context with.
 *
 * The current context is a member of the thread's state, and that is in the slot of a pthread key,
 * which is in _PyRuntime (gilstate.autoTSSkey).
 *
 * uvloop calls functions of the interpreter at two moments that have to be known: uvloop.bpf.h.
 */
#include "python.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "table.h"
#include "units.h"

#define SPAWNS(function, variables, ...)                                                           \
	{                                                                                          \
		.symbol = (function), .optional = true,                                            \
		.desc = { .what = PROBE_SPAWN, .object = (variables) }, __VA_ARGS__                \
	}

#define FRESH .desc = { .what = PROBE_SPAWN, .flags = PROBE_FRESH }

#define TP_NEW 312 /* offset of PyTypeObject.tp_new, 3.7 to 3.14 */

static const char *const empties[] = { "PyContext_New", NULL };
static const char *const copies[] = { "PyContext_Copy", "PyContext_CopyCurrent", NULL };

static const struct probe_func funcs[] = {
	SPAWNS("context_new_from_vars", 1, .via = copies),
	SPAWNS("PyContext_CopyCurrent", 0, .unless = "context_new_from_vars"),
	SPAWNS("PyContext_Copy", 0, .unless = "context_new_from_vars"),
	{ .symbol = "context_new_empty", .optional = true, .via = empties, FRESH },
	{ .symbol = "PyContext_New", .optional = true, FRESH },
	{ .symbol = "context_tp_new",
	  .optional = true,
	  .slot_of = "PyContext_Type",
	  .in_slot = TP_NEW,
	  FRESH },
	{ .symbol = "PyContext_Enter", .uvloop = true, .desc = { .what = PROBE_UV_ENTERS } },
	{ .symbol = "PySet_Add", .uvloop = true, .desc = { .what = PROBE_UV_QUEUES, .object = 2 } },
	{ 0 },
};

static const char *const names[] = { "libpython3", NULL };

const struct probe_library probe_python = {
	.name = "python",
	.title = "Python (asyncio)",
	.area = PROBE_AREA_RUNTIME,
	.sonames = names,
	.marker = "PyContext_CopyCurrent",
	.funcs = funcs,
};

static const struct offsets {
	unsigned version;
	uint32_t key;     /* _PyRuntime.gilstate.autoTSSkey */
	uint16_t context; /* PyThreadState.context */
} offsets[] = {
	{ 0x0309, 584, 240 },  { 0x030a, 584, 240 },  { 0x030b, 592, 224 },
	{ 0x030c, 1544, 208 }, { 0x030d, 2160, 208 },
};

static const struct offsets *offsets_of(unsigned version)
{
	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++)
		if (offsets[i].version == version)
			return &offsets[i];
	return NULL;
}

/* Py_Version is in the file since 3.11; before, names have to tell: libpython3.9.so.1.0, python3.9. */
static unsigned version_of(struct elf_file *elf, const char *path)
{
	uint64_t at = elf_file__data(elf, "Py_Version"), hex;
	const char *base = strrchr(path, '/'), *name;
	unsigned minor;

	if (at && elf_file__read(elf, at, &hex, sizeof(hex)))
		return (unsigned)(hex >> 16);
	name = elf_file__soname(elf)[0] ? elf_file__soname(elf) : base ? base + 1 : path;
	name = strstr(name, "python3.");
	return name && sscanf(name, "python3.%u", &minor) == 1 && minor < 100 ? 0x0300 | minor : 0;
}

void python__learn(struct elf_file *elf, const char *path, const struct elf_func *code,
		   struct python_facts *out)
{
	struct python_facts f = { .state = elf_file__data(elf, "_PyRuntime"),
				  .type = elf_file__data(elf, "PyContext_Type") };
	uint64_t addr;
	uint8_t byte;

	memset(out, 0, sizeof(*out));
	if (!f.state || !f.type || elf_file__code(elf, code, &byte, 1, &addr) != 1)
		return;
	f.delta = addr - code->offset;
	f.version = version_of(elf, path);
	*out = f;
}

bool python__is_uvloop(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && name - path >= 6 && memcmp(name - 6, "uvloop", 6) == 0 &&
	       strncmp(name, "/loop.", 6) == 0 && strstr(name, ".so");
}

bool python__knows(const struct python_facts *facts)
{
	return offsets_of(facts->version) != NULL;
}

/* A process's memory, and what was found in it. */
struct look {
	int mem;
	uint64_t state[512]; /* the beginning of _PyRuntime */
	uint64_t fs;         /* of the main thread */
	uint64_t thread;     /* its PyThreadState, */
	uint64_t slot;       /* and where it is, from fs */
};

static bool peek(const struct look *l, uint64_t at, void *buf, size_t len)
{
	return pread(l->mem, buf, len, (off_t)at) == (ssize_t)len;
}

/*
 * _PyRuntime.main_thread is what pthread_self() gave: where glibc keeps the thread's own block,
 * which begins with two pointers to itself (tcbhead_t: tcb, dtv, self).
 */
static bool find_main_thread(struct look *l)
{
	for (size_t i = 0; i < sizeof(l->state) / sizeof(l->state[0]); i++) {
		uint64_t fs = l->state[i], head[3];

		if (fs < 4096 || fs >> 47 || fs % 16 || !peek(l, fs, head, sizeof(head)) ||
		    head[0] != fs || head[2] != fs)
			continue;
		l->fs = fs;
		return true;
	}
	return false;
}

/* glibc's struct pthread has the first 32 keys in itself: pairs of sequence and data. */
static uint64_t slot_of(uint32_t key)
{
	return 0x310 + 16ull * key + 8;
}

/* Is a Py_tss_t at this offset of _PyRuntime in whose slot is the main thread's state? */
static bool is_key(struct look *l, uint32_t offset)
{
	uint64_t thread, words[64];
	uint32_t key[2];

	memcpy(key, (const char *)l->state + offset, sizeof(key));
	if (key[0] != 1 || key[1] >= 32 ||
	    !peek(l, l->fs + slot_of(key[1]), &thread, sizeof(thread)) || !thread ||
	    !peek(l, thread, words, sizeof(words)))
		return false;
	/* a PyThreadState knows its thread (thread_id, or what it was made for) */
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i] == l->fs) {
			l->thread = thread;
			l->slot = slot_of(key[1]);
			return true;
		}
	return false;
}

/* Releases of one version differ: then by looking for it, if only one place can be meant. */
static uint32_t find_key(struct look *l, uint32_t expected)
{
	uint32_t found = 0;

	if (is_key(l, expected))
		return expected;
	for (uint32_t at = 4; at + 8 <= sizeof(l->state); at += 4) {
		if (!is_key(l, at))
			continue;
		if (found)
			return 0;
		found = at;
	}
	return found;
}

static int find(struct look *l, const struct offsets *o, uint64_t state, uint64_t type,
		struct runtime *out, char *why, size_t why_len)
{
	uint64_t context, object_type = 0;

	if (!peek(l, state, l->state, sizeof(l->state)))
		return -EFAULT;
	uint32_t key = find_main_thread(l) ? find_key(l, o->key) : 0;

	if (!key)
		return -EAGAIN;
	if (!peek(l, l->thread + o->context, &context, sizeof(context)))
		return -EFAULT;
	/* There is none until it is needed; the kernel side looks at the type as well. */
	if (context &&
	    (!peek(l, context + 8, &object_type, sizeof(object_type)) || object_type != type)) {
		snprintf(why, why_len, "the thread's context is not where this version has it");
		return -ENOTSUP;
	}
	/* Where the key is deleted and made again, after a fork, it has the same number. */
	out->key = l->slot;
	out->type = type;
	out->context = o->context;
	out->kind = RUNTIME_PYTHON;
	return 0;
}

int python__find(pid_t pid, const struct python_facts *facts, uint64_t bias, struct runtime *out,
		 char *why, size_t why_len)
{
	const struct offsets *o = offsets_of(facts->version);
	struct look *l;
	char path[32];
	int err;

	memset(out, 0, sizeof(*out));
	why[0] = '\0';
	if (!o)
		return -ENOTSUP;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	l->mem = open(path, O_RDONLY | O_CLOEXEC);
	err = l->mem < 0 ? -errno : 0;
	/* before anything else: what is found holds for this address space */
	if (!err)
		err = units__space(pid, &out->space);
	if (!err)
		err = find(l, o, facts->state + bias, facts->type + bias, out, why, why_len);
	if (l->mem >= 0)
		close(l->mem);
	free(l);
	return err;
}
