// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files mapped by a process: deleted, replaced, unnamed, in another mount namespace, on overlays.
 * What needs privileges is skipped without, and what weft does without them is tested with them too.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../user/probe/maps.h"

#define PAGE 4096
#define NOBODY 65534

static char dir[64];

static void make_dir(void)
{
	snprintf(dir, sizeof(dir), "/tmp/weft-maps-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	cr_assert_eq(chmod(dir, 0755), 0);
}

static void remove_dir(void)
{
	char command[96];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	cr_expect_eq(system(command), 0);
}

TestSuite(maps, .init = make_dir, .fini = remove_dir, .timeout = 30);

/* A file of four pages below dir; its descriptor. */
static int make_file(const char *name, char *path, size_t size)
{
	static const char zeros[4 * PAGE] = { 'x' };

	snprintf(path, size, "%s/%s", dir, name);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0755);

	cr_assert(fd >= 0, "%s", path);
	cr_assert_eq(write(fd, zeros, sizeof(zeros)), sizeof(zeros));
	return fd;
}

static void *map(int fd, size_t offset)
{
	void *at = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, (off_t)offset);

	cr_assert_neq(at, MAP_FAILED);
	return at;
}

static ino_t inode(int fd)
{
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	return st.st_ino;
}

/* The mapping of one inode, as maps__each tells it. */
struct wanted {
	ino_t ino;
	int times;
	struct map_file file;
	char path[512];
};

static bool take(void *ctx, const struct map_file *f)
{
	struct wanted *w = ctx;

	if (f->ino != w->ino)
		return true;
	w->times++;
	w->file = *f;
	snprintf(w->path, sizeof(w->path), "%s", f->path);
	w->file.path = w->path;
	return true;
}

static void look(pid_t pid, ino_t ino, struct wanted *w)
{
	*w = (struct wanted){ .ino = ino };
	cr_assert_gt(maps__each(pid, take, w), 0);
	cr_assert_eq(w->times, 1);
}

/* Is that file opened? Without the right to use map_files, false is what there is for some. */
static void expect_opens(pid_t pid, const struct wanted *w, int fd)
{
	int got = maps__open(pid, &w->file);

	cr_expect_geq(got, 0, "%s: %s", w->path, strerror(-got));
	if (got < 0)
		return;
	cr_expect_eq(inode(got), inode(fd));
	close(got);
}

static void need_root(void)
{
	if (geteuid() != 0)
		cr_skip_test("needs root");
}

static bool stop(void *ctx, const struct map_file *f)
{
	(void)f;
	++*(int *)ctx;
	return false;
}

Test(maps, a_file_once_with_its_first_executable_mapping)
{
	char path[128];
	struct wanted w;
	int fd = make_file("lib.so.1", path, sizeof(path)), calls = 0;
	char *all = mmap(NULL, 16 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(all, MAP_FAILED);
	cr_assert_neq(mmap(all, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0), MAP_FAILED);
	for (int i = 1; i < 4; i++)
		cr_assert_neq(mmap(all + 2 * i * PAGE, PAGE, PROT_READ | PROT_EXEC,
				   MAP_PRIVATE | MAP_FIXED, fd, i * PAGE),
			      MAP_FAILED);
	look(getpid(), inode(fd), &w);
	cr_expect_str_eq(w.path, path);
	cr_expect_not(w.file.deleted);
	cr_expect_eq(w.file.start, (uintptr_t)all + 2 * PAGE);
	cr_expect_eq(w.file.end, (uintptr_t)all + 3 * PAGE);
	cr_expect_eq(w.file.offset, PAGE);
	expect_opens(getpid(), &w, fd);
	cr_expect_eq(maps__each(getpid(), stop, &calls), 1);
	cr_expect_eq(calls, 1);
}

Test(maps, what_is_only_read_is_not_named)
{
	char path[128];
	int fd = make_file("data", path, sizeof(path));
	struct wanted w = { .ino = inode(fd) };

	cr_assert_neq(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0), MAP_FAILED);
	cr_assert_neq(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
		      MAP_FAILED);
	cr_assert_gt(maps__each(getpid(), take, &w), 0);
	cr_expect_eq(w.times, 0);
}

Test(maps, more_files_than_fit_the_first_table)
{
	char name[32], path[128];
	struct wanted w;
	ino_t last = 0;

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "lib%d.so", i);
		int fd = make_file(name, path, sizeof(path));

		map(fd, 0);
		map(fd, 2 * PAGE);
		last = inode(fd);
		close(fd);
	}
	look(getpid(), last, &w);
	cr_expect_str_eq(w.path, path);
	cr_expect_geq(maps__each(getpid(), take, &w), 300);
}

Test(maps, names_that_are_hard_to_read)
{
	char path[128];
	struct wanted w;
	static const char *const names[] = { "two words", "line\nbreak", "x (deleted) y" };

	for (size_t i = 0; i < 3; i++) {
		int fd = make_file(names[i], path, sizeof(path));

		map(fd, 0);
		look(getpid(), inode(fd), &w);
		cr_expect_str_eq(w.path, path);
		cr_expect_not(w.file.deleted);
		expect_opens(getpid(), &w, fd);
	}
}

Test(maps, a_deleted_file)
{
	char path[128];
	struct wanted w;
	int fd = make_file("lib.so", path, sizeof(path));

	need_root();
	map(fd, 0);
	cr_assert_eq(unlink(path), 0);
	look(getpid(), inode(fd), &w);
	cr_expect_str_eq(w.path, path);
	cr_expect(w.file.deleted);
	expect_opens(getpid(), &w, fd);
}

Test(maps, a_file_that_was_replaced)
{
	char path[128], new_path[128];
	struct wanted w;
	int fd = make_file("lib.so", path, sizeof(path));
	int new_fd = make_file("lib.so.new", new_path, sizeof(new_path));

	need_root();
	map(fd, 0);
	cr_assert_eq(rename(new_path, path), 0);
	look(getpid(), inode(fd), &w);
	cr_expect_str_eq(w.path, path);
	cr_expect_neq(inode(fd), inode(new_fd));
	expect_opens(getpid(), &w, fd);
}

Test(maps, a_file_without_a_name)
{
	struct wanted w;
	char page[PAGE] = { 0 };
	int fd = memfd_create("code", MFD_CLOEXEC);

	need_root();
	cr_assert_eq(write(fd, page, PAGE), PAGE);
	map(fd, 0);
	look(getpid(), inode(fd), &w);
	cr_expect_str_eq(w.path, "/memfd:code");
	cr_expect(w.file.deleted);
	expect_opens(getpid(), &w, fd);
}

/* In a process of its own without privileges: what maps__open says of `w` there. */
static int opens_without_privileges(const struct wanted *w, ino_t *ino)
{
	int pipes[2], result[2] = { 0 }, status;

	cr_assert_eq(pipe(pipes), 0);
	pid_t child = fork();

	cr_assert(child >= 0);
	if (child == 0) {
		int fd = -1;

		if (geteuid() != 0 || setresuid(NOBODY, NOBODY, NOBODY) == 0) {
			prctl(PR_SET_DUMPABLE, 1); /* or /proc/self is not ours */
			fd = maps__open(getpid(), &w->file);
		}
		result[0] = fd;
		result[1] = fd >= 0 ? (int)inode(fd) : 0;
		_exit(write(pipes[1], result, sizeof(result)) != sizeof(result));
	}
	cr_assert_eq(read(pipes[0], result, sizeof(result)), sizeof(result));
	cr_assert_eq(waitpid(child, &status, 0), child);
	*ino = (ino_t)result[1];
	return result[0];
}

/* By the path, and only as long as it is the file that is mapped. */
Test(maps, without_privileges)
{
	char path[128], new_path[128];
	struct wanted w;
	ino_t ino = 0;
	int fd = make_file("lib.so", path, sizeof(path));
	int new_fd = make_file("lib.so.new", new_path, sizeof(new_path));

	map(fd, 0);
	look(getpid(), inode(fd), &w);
	int got = opens_without_privileges(&w, &ino);

	cr_expect_geq(got, 0, "%s", strerror(-got));
	cr_expect_eq((int)ino, (int)inode(fd));
	cr_assert_eq(rename(new_path, path), 0);
	got = opens_without_privileges(&w, &ino);
	cr_expect(got == -ESTALE || got == -EACCES, "%d", got);
	cr_assert_eq(unlink(path), 0);
	cr_assert_eq(mkfifo(path, 0666), 0);
	got = opens_without_privileges(&w, &ino);
	cr_expect(got == -ESTALE || got == -EACCES, "%d", got);
	close(new_fd);
}

/* A child that does `work` in a mount namespace of its own, tells what came of it, and stays. */
struct apart {
	pid_t pid;
	int result; /* 1: it worked */
	ino_t ino;
};

static void start_apart(struct apart *a, bool (*work)(ino_t *ino))
{
	int pipes[2];
	uint64_t answer[2] = { 0 };

	cr_assert_eq(pipe(pipes), 0);
	a->pid = fork();
	cr_assert(a->pid >= 0);
	if (a->pid == 0) {
		ino_t ino = 0;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		answer[0] = unshare(CLONE_NEWNS) == 0 &&
			    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && work(&ino);
		answer[1] = ino;
		if (write(pipes[1], answer, sizeof(answer)) != sizeof(answer))
			_exit(1);
		for (;;)
			pause();
	}
	close(pipes[1]);
	cr_assert_eq(read(pipes[0], answer, sizeof(answer)), sizeof(answer));
	close(pipes[0]);
	a->result = (int)answer[0];
	a->ino = (ino_t)answer[1];
}

static void end_apart(struct apart *a)
{
	kill(a->pid, SIGKILL);
	cr_assert_eq(waitpid(a->pid, NULL, 0), a->pid);
}

static bool map_below_tmpfs(ino_t *ino)
{
	char path[128];

	if (mount("tmpfs", dir, "tmpfs", 0, NULL) != 0)
		return false;
	int fd = make_file("lib.so", path, sizeof(path));

	map(fd, 0);
	*ino = inode(fd);
	return true;
}

Test(maps, another_mount_namespace)
{
	char path[128];
	struct apart a;
	struct wanted w;
	int ours = make_file("lib.so", path, sizeof(path)); /* the same path, another file */

	need_root();
	start_apart(&a, map_below_tmpfs);
	if (a.result) {
		look(a.pid, a.ino, &w);
		cr_expect_str_eq(w.path, path);
		for (int i = 0; i < 2; i++) {
			int fd = maps__open(a.pid, &w.file);
			struct stat st, here;

			cr_assert_geq(fd, 0, "%s", strerror(-fd));
			cr_assert_eq(fstat(fd, &st), 0);
			cr_assert_eq(fstat(ours, &here), 0);
			cr_expect_eq(st.st_ino, a.ino);
			cr_expect_neq(st.st_dev, here.st_dev);
			close(fd);
			w.file.start += PAGE; /* then by the path below its root */
		}
	}
	end_apart(&a);
	if (!a.result)
		cr_skip_test("no mount namespaces here");
}

/* Two overlays on one directory, as two containers of one image have. */
static bool map_on_overlays(ino_t *ino)
{
	char path[160], options[400];
	int fd;

	for (int i = 0; i < 2; i++) {
		const char *const names[] = { "upper", "work", "merged" };

		for (int k = 0; k < 3; k++) {
			snprintf(path, sizeof(path), "%s/%s%d", dir, names[k], i);
			if (mkdir(path, 0755) != 0)
				return false;
		}
		snprintf(options, sizeof(options),
			 "lowerdir=%s/lower,upperdir=%s/upper%d,workdir=%s/work%d", dir, dir, i,
			 dir, i);
		if (mount("overlay", path, "overlay", 0, options) != 0)
			return false;
		snprintf(path, sizeof(path), "%s/merged%d/lib.so", dir, i);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return false;
		map(fd, 0);
		/* and one that this container has changed */
		snprintf(path, sizeof(path), "%s/merged%d/own.so", dir, i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0 || write(fd, "changed", 7) != 7)
			return false;
		map(fd, 0);
	}
	*ino = 1;
	return true;
}

struct by_name {
	pid_t pid;
	const char *end;
	struct map_identity ids[4];
	int n;
};

static bool identify(void *ctx, const struct map_file *f)
{
	struct by_name *b = ctx;
	size_t len = strlen(f->path), end = strlen(b->end);

	if (len < end || strcmp(f->path + len - end, b->end) != 0 || b->n == 4)
		return true;
	int fd = maps__open(b->pid, f);

	cr_assert_geq(fd, 0, "%s: %s", f->path, strerror(-fd));
	cr_expect_eq(maps__identity(fd, &b->ids[b->n++]), 0);
	close(fd);
	return true;
}

Test(maps, one_lower_file_below_two_overlays)
{
	char lower[128], path[160];
	struct apart a;

	need_root();
	snprintf(lower, sizeof(lower), "%s/lower", dir);
	cr_assert_eq(mkdir(lower, 0755), 0);
	make_file("lower/lib.so", path, sizeof(path));
	make_file("lower/own.so", path, sizeof(path));
	start_apart(&a, map_on_overlays);
	if (a.result) {
		struct by_name same = { .pid = a.pid, .end = "/lib.so" };
		struct by_name own = { .pid = a.pid, .end = "/own.so" };

		cr_expect_gt(maps__each(a.pid, identify, &same), 0);
		cr_expect_gt(maps__each(a.pid, identify, &own), 0);
		/* kernels before 6.8 name both mappings by the lower file: one call */
		cr_expect(same.n == 1 || (same.n == 2 && memcmp(&same.ids[0], &same.ids[1],
								sizeof(same.ids[0])) == 0));
		cr_expect_eq(own.n, 2);
		cr_expect_neq(memcmp(&own.ids[0], &own.ids[1], sizeof(own.ids[0])), 0);
	}
	end_apart(&a);
	if (!a.result)
		cr_skip_test("no overlays here");
}

Test(maps, identity_is_of_the_file)
{
	char path[128], other[128];
	struct map_identity a, b, c;
	int fd = make_file("lib.so", path, sizeof(path));
	int fd2 = make_file("other.so", other, sizeof(other));
	int again = open(path, O_RDONLY | O_CLOEXEC), folder = open(dir, O_RDONLY | O_CLOEXEC);

	cr_expect_eq(maps__identity(fd, &a), 0);
	cr_expect_eq(maps__identity(again, &b), 0);
	cr_expect_eq(maps__identity(fd2, &c), 0);
	cr_expect_eq(memcmp(&a, &b, sizeof(a)), 0);
	cr_expect_neq(memcmp(&a, &c, sizeof(a)), 0);
	cr_expect_eq(maps__identity(folder, &a), -EINVAL);
	cr_expect_eq(maps__identity(-1, &a), -EBADF);
}

/* The kernel takes the attach path for a uprobe, of a deleted file too. */
Test(maps, the_attach_path)
{
	char path[128], attach[MAPS_ATTACH_PATH_MAX];
	int type = 0, fd = make_file("lib.so", path, sizeof(path));
	FILE *f = fopen("/sys/bus/event_source/devices/uprobe/type", "r");

	need_root();
	if (!f || fscanf(f, "%d", &type) != 1)
		cr_skip_test("no uprobes here");
	fclose(f);
	cr_assert_eq(unlink(path), 0);
	maps__attach_path(fd, attach);
	struct perf_event_attr attr = { .size = sizeof(attr), .type = (uint32_t)type };

	attr.config1 = (uintptr_t)attach;
	int event = (int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);

	cr_expect_geq(event, 0, "%s", strerror(errno));
	attr.config1 = (uintptr_t)path;
	cr_expect_lt((int)syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0), 0);
}

Test(maps, a_process_that_is_gone)
{
	struct wanted w = { 0 };
	struct map_file f = { .start = PAGE, .end = 2 * PAGE, .ino = 1, .path = "/nowhere" };
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	cr_assert_eq(waitpid(child, NULL, 0), child);
	cr_expect_eq(maps__each(child, take, &w), -ESRCH);
	cr_expect_eq(maps__open(child, &f), -ESRCH);
}
