// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who is selected. The mark is kept on the process itself (task storage), written through a pidfd:
 * a PID that was given to another process in the meantime can't be hit.
 */
#include <errno.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "internal.h"

static int filter__pidfd(pid_t pid)
{
	int fd = syscall(SYS_pidfd_open, pid, 0);

	if (fd < 0)
		return errno == EINVAL ? -ESRCH : -errno; /* EINVAL: a thread, not a process */
	return fd;
}

int kernel__select_pid(struct kernel *k, pid_t pid)
{
	struct filter mark = { .pid = pid, .bits = FILTER_BY_PID };
	int fd = filter__pidfd(pid), err;

	if (fd < 0)
		return fd;
	late__expect(k);
	err = bpf_map_update_elem(k->map.filter, &fd, &mark, BPF_ANY);
	close(fd);
	if (!err)
		late__watch(k, pid);
	return err;
}

/*
 * Programs change the mark's bits in place, and what they change between look-up and update is lost:
 * that the process uses io_uring (then it is said twice), that it has just exited (it never matters
 * then). A mark that was taken away meanwhile stays away.
 */
int kernel__set_runtime(struct kernel *k, pid_t pid, const struct runtime *runtime)
{
	int fd = filter__pidfd(pid), err;
	struct filter mark;

	if (fd < 0)
		return fd;
	err = bpf_map_lookup_elem(k->map.filter, &fd, &mark);
	if (!err) {
		mark.runtime = *runtime;
		mark.bits |= FILTER_RUNTIME;
		mark.turn = 0; /* not known, till the next one */
		err = bpf_map_update_elem(k->map.filter, &fd, &mark, BPF_EXIST);
	}
	close(fd);
	return err;
}

int kernel__select_cgroup(struct kernel *k, int cgroup_fd)
{
	struct settings s;
	struct statfs fs;
	struct stat st;
	uint32_t zero = 0, one = 1;
	uint64_t id;
	int err;

	if (fstatfs(cgroup_fd, &fs) || fstat(cgroup_fd, &st))
		return -errno;
	if (fs.f_type != CGROUP2_SUPER_MAGIC)
		return -EINVAL;
	if (k->n_cgroups == KERNEL_CGROUPS_MAX)
		return -ENOSPC;
	err = bpf_map_lookup_elem(k->map.settings, &zero, &s);
	if (err)
		return err;
	id = st.st_ino; /* kernfs: the inode number is the cgroup's id */
	err = bpf_map_update_elem(k->map.cgroups, &id, &one, BPF_ANY);
	if (err)
		return err;
	s.n_cgroups = ++k->n_cgroups;
	return bpf_map_update_elem(k->map.settings, &zero, &s, BPF_ANY);
}
