// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Node.js opens its inspector on SIGUSR1, unless somebody else handles that signal: the program's own
 * process.on('SIGUSR1'), or nobody (--disable-sigusr1), and then it would end the process. So who
 * does is asked of the kernel before anything is sent: Node's own handler is a function of Node's
 * own file, set without flags; libuv's, which calls a program's listeners, has SA_RESTART.
 *
 * From then on the process is talked to through its memory: the helper looks at its cell twice a
 * second, weft moves the beat there. So it goes by itself if weft is killed, and to take it out no
 * inspector has to be opened again.
 */
#include "node_cell.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../lib/clock.h"
#include "elf_file.h"
#include "inspector.h"
#include "maps.h"
#include "units.h"

#define OPENING_MS 10000 /* a busy event loop does not hinder it: it has a thread of its own */
#define CLOSING_MS 10000
#define STEP_MS 5
#define MS_NS 1000000ull

#define KERNEL_SA_RESTORER 0x04000000 /* set by the C library, on x86-64 always */

extern const char node_helper_script[]; /* node_helper.js; the Makefile puts it in */

bool node_helper__is_node(pid_t pid)
{
	char path[32], exe[PATH_MAX];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	ssize_t n = readlink(path, exe, sizeof(exe) - 1);

	exe[n > 0 ? n : 0] = '\0';
	const char *base = strrchr(exe, '/');

	return base && strncmp(base + 1, "node", 4) == 0;
}

/* ---- may it be? ---- */

struct handler {
	pid_t pid;
	uint64_t ino; /* of the file in which it is */
	bool node;
};

/* The inode number of the file that is mapped there; 0: none. */
static uint64_t mapped_at(pid_t pid, uint64_t at)
{
	char path[32], line[512];
	uint64_t found = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	FILE *f = fopen(path, "re");

	while (f && !found && fgets(line, sizeof(line), f)) {
		unsigned long long start, end, ino;

		if (sscanf(line, "%llx-%llx %*s %*x %*s %llu", &start, &end, &ino) == 3 &&
		    start <= at && at < end)
			found = ino;
	}
	if (f)
		fclose(f);
	return found;
}

/* Is that file Node? (It exports what add-ons of every version need.) */
static bool is_of(void *ctx, const struct map_file *f)
{
	static const char *const names[] = { "node_module_register" };
	struct handler *h = ctx;
	struct elf_func found[1];
	struct elf_file *elf;
	char why[128];

	if (f->ino != h->ino)
		return true;
	int fd = maps__open(h->pid, f);

	if (fd < 0)
		return false;
	if (elf_file__open(fd, &elf, why, sizeof(why)) == 0) {
		h->node = elf_file__find(elf, names, 1, found, NULL) == 1;
		elf_file__close(elf);
	}
	close(fd);
	return false;
}

/* Does one of the words of a file of NUL-terminated ones begin like this? */
static bool has_word(pid_t pid, const char *file, const char *begin, const char *separators)
{
	char path[32], text[8192], *at = text;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	size_t len = strlen(begin);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	for (const char *end = text + (n > 0 ? n : 0); at < end; at += strlen(at) + 1) {
		if (strncmp(at, begin, len) == 0)
			return true;
		/* NODE_OPTIONS=--a --b */
		for (char *w = separators ? strpbrk(at, separators) : NULL; w;
		     w = strpbrk(w + 1, separators))
			if (strncmp(at, "NODE_OPTIONS=", 13) == 0 &&
			    strncmp(w + 1, begin, len) == 0)
				return true;
	}
	return false;
}

static bool started_with(pid_t pid, const char *option)
{
	return has_word(pid, "cmdline", option, NULL) || has_word(pid, "environ", option, "= ");
}

static int check_signal(struct kernel *k, pid_t pid, char *why, size_t why_len)
{
	struct signal_action s = { 0 };
	int err = kernel__signal(k, pid, &s);

	if (err) {
		snprintf(why, why_len, "who handles its SIGUSR1 can't be found out: %s",
			 err == -EOPNOTSUPP ? "not with this kernel or back end" : strerror(-err));
		return err == -EAGAIN ? -EIO : err;
	}
	if (s.handler <= (uint64_t)(uintptr_t)SIG_IGN) {
		bool off = started_with(pid, "--disable-sigusr1");

		snprintf(why, why_len,
			 off ? "it was started with --disable-sigusr1"
			     : "it does not handle SIGUSR1");
		return off || s.handler ? -EPERM : -EAGAIN;
	}
	struct handler h = { .pid = pid, .ino = mapped_at(pid, s.handler) };

	if (h.ino && !(s.flags & ~(uint64_t)KERNEL_SA_RESTORER))
		(void)maps__each(pid, is_of, &h);
	if (h.node)
		return 0;
	snprintf(why, why_len, "it has its own handler of SIGUSR1");
	return -EPERM;
}

/* The port on which it would open, where that is known, is free? */
static int check_port(pid_t pid, const struct listeners *l, char *why, size_t why_len)
{
	if (started_with(pid, "--inspect-port") || started_with(pid, "--debug-port"))
		return 0;
	if (started_with(pid, "--inspect")) {
		snprintf(why, why_len, "it was started with its inspector open (--inspect)");
		return -EBUSY;
	}
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].port != INSPECTOR_PORT)
			continue;
		if (listeners__holds(pid, l->v[i].inode))
			snprintf(why, why_len, "its inspector is open already: somebody debugs it");
		else
			snprintf(why, why_len,
				 "port %d, which its inspector needs, is another process's",
				 INSPECTOR_PORT);
		return -EBUSY;
	}
	return 0;
}

static int check(struct kernel *k, pid_t pid, struct listeners *l, char *why, size_t why_len)
{
	int err = check_signal(k, pid, why, why_len);

	if (!err) {
		err = listeners__read(pid, l);
		if (err)
			snprintf(why, why_len, "who listens in its network can't be read: %s",
				 strerror(-err));
	}
	return err ? err : check_port(pid, l, why, why_len);
}

int node_helper__possible(struct kernel *k, pid_t pid, char *why, size_t why_len)
{
	struct listeners *l = calloc(1, sizeof(*l));

	why[0] = '\0';
	int err = l ? check(k, pid, l, why, why_len) : -ENOMEM;

	free(l);
	return err;
}

/* ---- putting it in ---- */

/* The listener of the process that was not there before; NULL: none. */
static const struct listener *new_one(pid_t pid, const struct listeners *before,
				      const struct listeners *now)
{
	for (size_t i = 0; i < now->n; i++) {
		bool old = false;

		for (size_t k = 0; k < before->n && !old; k++)
			old = before->v[k].inode == now->v[i].inode;
		if (!old && listeners__holds(pid, now->v[i].inode))
			return &now->v[i];
	}
	return NULL;
}

/* Sends the signal, through a descriptor that can't mean another process, and finds the inspector. */
static int open_inspector(pid_t pid, int pidfd, const struct listeners *before,
			  struct listener *out, char *why, size_t why_len)
{
	struct listeners *now = calloc(1, sizeof(*now));
	const struct listener *l = NULL;
	uint64_t until = clock__boottime() + OPENING_MS * MS_NS;
	int err = now ? 0 : -ENOMEM;

	if (!err && syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, NULL, 0))
		err = -errno;
	while (!err && !l && clock__boottime() < until) {
		clock__sleep_ms(STEP_MS);
		err = listeners__read(pid, now);
		l = err ? NULL : new_one(pid, before, now);
	}
	if (l)
		*out = *l;
	else if (!err)
		err = -ETIMEDOUT;
	free(now);
	if (err)
		snprintf(why, why_len, "its inspector does not open on SIGUSR1: %s",
			 err == -ETIMEDOUT ? "its own standard error may say why" : strerror(-err));
	return err;
}

/* The script closes it. Until it has, no other process of that network can open its own. */
static bool closed(pid_t pid, uint64_t inode)
{
	uint64_t until = clock__boottime() + CLOSING_MS * MS_NS;

	while (listeners__holds(pid, inode)) {
		if (clock__boottime() >= until)
			return false;
		clock__sleep_ms(STEP_MS);
	}
	return true;
}

/* The script, called with the key; malloc'ed. */
static char *script_with(const uint8_t *key)
{
	char hex[2 * NODE_KEY_LEN + 1], *script = NULL;

	for (size_t i = 0; i < NODE_KEY_LEN; i++)
		snprintf(hex + 2 * i, 3, "%02x", key[i]);
	if (asprintf(&script, "%s(\"%s\")", node_helper_script, hex) < 0)
		return NULL;
	return script;
}

static int run_script(struct kernel *k, pid_t pid, const struct listener *l,
		      struct node_cell_at *out, char *why, size_t why_len)
{
	char *script = script_with(out->key), said[160] = "";
	int err = script ? kernel__await_announcement(k, pid, l->port, out->key) : -ENOMEM;

	if (!err)
		err = inspector__run(pid, l, script, said, sizeof(said), why, why_len);
	out->at = kernel__announced(k);
	free(script);
	if (!err && strcmp(said, "at work") != 0) {
		snprintf(why, why_len, "%s", said);
		err = -EPERM;
	} else if (!err && !out->at) {
		snprintf(why, why_len, "the helper did not say where its memory is");
		err = -EIO;
	}
	return err;
}

static int tell_kernel(struct kernel *k, const struct node_cell_at *c)
{
	struct runtime r = { .kind = RUNTIME_NODE, .key = c->at };

	memcpy(&r.type, c->key, sizeof(r.type));
	int err = units__space(c->pid, &r.space);

	return err ? err : kernel__set_runtime(k, c->pid, &r);
}

static int put_in(struct kernel *k, pid_t pid, int pidfd, struct listeners *before,
		  struct node_cell_at *out, char *name, size_t name_len, char *why, size_t why_len)
{
	struct listener l;
	int err = check(k, pid, before, why, why_len);

	if (!err)
		err = open_inspector(pid, pidfd, before, &l, why, why_len);
	if (err)
		return err;
	char at[LISTENER_NAME_MAX];

	listener__name(&l, at);
	snprintf(name, name_len, "%s", at);
	err = run_script(k, pid, &l, out, why, why_len);
	if (!closed(pid, l.inode) && !err) {
		snprintf(why, why_len, "its inspector at %s did not close", at);
		err = -EBUSY;
	}
	kernel__stop_awaiting(k);
	return err ? err : tell_kernel(k, out);
}

int node_helper__put_in(struct kernel *k, pid_t pid, struct node_cell_at *out, char *name,
			size_t name_len, char *why, size_t why_len)
{
	struct listeners *before = calloc(1, sizeof(*before));
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int err = pidfd < 0 ? -errno : before ? 0 : -ENOMEM;

	*out = (struct node_cell_at){ .pid = pid };
	why[0] = '\0';
	if (!err && getrandom(out->key, sizeof(out->key), 0) != sizeof(out->key))
		err = -EIO;
	if (!err)
		err = put_in(k, pid, pidfd, before, out, name, name_len, why, why_len);
	if (err && out->at) {
		node_helper__dismiss(out);
		out->at = 0;
	}
	if (pidfd >= 0)
		close(pidfd);
	free(before);
	if (err && !why[0])
		snprintf(why, why_len, "%s", strerror(-err));
	return err;
}

/* ---- while it is there ---- */

int node_helper__look(const struct node_cell_at *c)
{
	struct node_cell cell;
	struct iovec here = { &cell, sizeof(cell) },
		     there = { (void *)(uintptr_t)c->at, sizeof(cell) };

	if (process_vm_readv(c->pid, &here, 1, &there, 1, 0) != sizeof(cell) ||
	    memcmp(cell.key, c->key, sizeof(cell.key)) != 0)
		return -ESRCH;
	return cell.work.state == NODE_AT_WORK ? 0 : -EIDRM;
}

static void set_beat(const struct node_cell_at *c, int32_t beat)
{
	struct iovec here = { &beat, sizeof(beat) };
	struct iovec there = { (void *)(uintptr_t)(c->at + offsetof(struct node_cell, beat)),
			       sizeof(beat) };

	(void)process_vm_writev(c->pid, &here, 1, &there, 1, 0);
}

int node_helper__beat(struct node_cell_at *c)
{
	int err = node_helper__look(c);

	if (err)
		return err;
	c->beat = c->beat == INT32_MAX ? 1 : c->beat + 1;
	set_beat(c, c->beat);
	return 0;
}

void node_helper__dismiss(const struct node_cell_at *c)
{
	if (node_helper__look(c) == 0)
		set_beat(c, NODE_BEAT_END);
}
