// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Calls that began before weft. A thread that sits in recv() when fentry or kprobe programs are
 * attached is past the point where they look: its next request would be missed, and with a server
 * of blocking threads that is the first request of every open connection. So as long as a thread
 * that was inside a socket call when its process was selected has not come out of it, the
 * system-call program is attached besides. It leaves alone every thread that has already passed one
 * of the others (map `calls`), and it is detached when the last of those threads has come out. With
 * fexit nobody is noted there when a call begins; so from before the first process is selected until
 * then, they note who has come out of one (settings.late).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

/* x86-64 numbers of the calls that can wait for bytes; kept in step with bpf/sysno.bpf.h. */
static bool late__can_wait(long nr)
{
	static const short calls[] = { 0,  1,  19,  20,  40,  43,  44,  45,
				       46, 47, 275, 288, 299, 307, 327, 328 };

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i] == nr)
			return true;
	return false;
}

/*
 * What the thread is doing: "running", or number, arguments, stack and instruction pointer of its
 * system call.
 */
static bool late__read(pid_t pid, pid_t tid, char *line, size_t len)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, line, len - 1);
	close(fd);
	line[n > 0 ? n : 0] = '\0';
	return n > 0;
}

static void late__add(struct kernel *k, pid_t pid, pid_t tid)
{
	struct late_thread t = { .pid = pid, .tid = tid };

	if (k->n_late == KERNEL_LATE_MAX || !late__read(pid, tid, t.call, sizeof(t.call)))
		return;
	/* running: it looks as if it could be on its way in, but then it meets the programs */
	if (t.call[0] == 'r' || !late__can_wait(strtol(t.call, NULL, 10)))
		return;
	if (!k->late)
		k->late = calloc(KERNEL_LATE_MAX, sizeof(*k->late));
	if (k->late)
		k->late[k->n_late++] = t;
}

static void late__note(struct kernel *k, bool on)
{
	uint32_t zero = 0;
	struct settings s;

	if (k->backend != KERNEL_BACKEND_FENTRY ||
	    bpf_map_lookup_elem(k->map.settings, &zero, &s) || s.late == on)
		return;
	s.late = on;
	bpf_map_update_elem(k->map.settings, &zero, &s, BPF_ANY);
}

void late__expect(struct kernel *k)
{
	late__note(k, true);
}

void late__watch(struct kernel *k, pid_t pid)
{
	struct dirent *e;
	char path[64];
	DIR *d;

	if (k->backend != KERNEL_BACKEND_FENTRY && k->backend != KERNEL_BACKEND_KPROBE)
		return;
	if (!k->late_link) /* before looking, so that no thread slips through in between */
		k->late_link = backends__attach_later(k, "syscall_late");
	if (k->late_link < 0) {
		k->late_link = 0;
		late__note(k, false);
		return;
	}
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			late__add(k, pid, atoi(e->d_name));
	if (d)
		closedir(d);
	late__check(k);
}

void late__check(struct kernel *k)
{
	char line[sizeof(k->late->call)];

	if (!k->late_link)
		return;
	for (size_t i = 0; i < k->n_late;) {
		struct late_thread *t = &k->late[i];

		if (late__read(t->pid, t->tid, line, sizeof(line)) && !strcmp(line, t->call))
			i++;
		else
			*t = k->late[--k->n_late];
	}
	if (!k->n_late) {
		close(k->late_link);
		k->late_link = 0;
		late__note(k, false);
	}
}

void late__free(struct kernel *k)
{
	if (k->late_link)
		close(k->late_link);
	free(k->late);
	k->late_link = 0;
	k->late = NULL;
	k->n_late = 0;
}
