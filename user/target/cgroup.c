// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Control groups say two things of a process: which systemd unit it belongs to, and in which
 * container it runs. Three layouts are met: v2 alone ("0::/path"), v1 alone, and both (hybrid),
 * where systemd keeps its tree in "name=systemd" and in "0::".
 *
 * Not every unit names what runs in it. A shell that was reached by ssh, a job of cron, a container
 * below the container manager's own unit belong to a unit that merely started them: launchers[]
 * lists those.
 */
#include "parts.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "../lib/hex.h"

#define ID_LEN 64

/* Units (without ".service") whose name says nothing of the processes in them; shell patterns. */
static const char *const launchers[] = {
	"user@*",
	"*getty",
	"*getty@*",
	"ssh",
	"sshd",
	"ssh@*",
	"sshd@*",
	"cron",
	"crond",
	"atd",
	"anacron",
	"containerd",
	"docker",
	"crio",
	"kubelet",
	"k3s",
	"k3s-agent",
	"rke2-*",
	"rescue",
	"emergency",
	"debug-shell",
	"display-manager",
	"gdm",
	"gdm3",
	"lightdm",
	"sddm",
	"systemd-logind",
	"supervisor*",
	"app-*@*",
	"dbus-:*",
	/* systemd-run without --unit: another name at every start */
	"run-u[0-9]*",
	"run-r[0-9a-f]*",
	"run-p[0-9]*",
	"run-[0-9]*",
};

static bool is_launcher(const char *unit)
{
	for (size_t i = 0; i < sizeof(launchers) / sizeof(*launchers); i++)
		if (fnmatch(launchers[i], unit, 0) == 0)
			return true;
	return false;
}

/* systemd writes what a path can't hold as \xNN; undone in place. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		int hi, lo;

		if (s[0] == '\\' && s[1] == 'x' && (hi = hex__digit(s[2])) >= 0 &&
		    (lo = hex__digit(s[3])) >= 0 && hi + lo > 0) {
			*to++ = (char)(hi << 4 | lo);
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* The run of exactly 64 hex digits in s, if there is one. */
static const char *find_id(const char *s, size_t len)
{
	size_t run = 0;

	for (size_t i = 0; i <= len; i++) {
		if (i < len && hex__digit(s[i]) >= 0) {
			run++;
			continue;
		}
		if (run == ID_LEN)
			return s + i - ID_LEN;
		run = 0;
	}
	return NULL;
}

static bool starts(const char *s, size_t len, const char *prefix)
{
	size_t n = strlen(prefix);

	return len >= n && memcmp(s, prefix, n) == 0;
}

static bool ends(const char *s, size_t len, const char *suffix)
{
	size_t n = strlen(suffix);

	return len > n && memcmp(s + len - n, suffix, n) == 0;
}

static void set(char **where, const char *s, size_t len)
{
	free(*where);
	*where = strndup(s, len);
	if (*where)
		unescape(*where);
}

static void drop(char **where)
{
	free(*where);
	*where = NULL;
}

/*
 * One component of a path, from the root on. What comes deeper corrects what came before: a unit
 * inside a container names the process, a unit around one does not, except where podman runs the
 * container as that very unit.
 */
static void take_component(struct cgroup_facts *f, const char *s, size_t len)
{
	const char *id = starts(s, len, "libpod-conmon-") ? NULL : find_id(s, len);

	if (id) {
		set(&f->container_id, id, ID_LEN);
		if (!starts(s, len, "libpod-"))
			drop(&f->unit);
	} else if (ends(s, len, ".service")) {
		set(&f->unit, s, len - strlen(".service"));
		if (f->unit && is_launcher(f->unit))
			drop(&f->unit);
	} else if (ends(s, len, ".scope")) {
		/* A session, or what a desktop started: not the unit around it. */
		drop(&f->unit);
		if (starts(s, len, "machine-"))
			set(&f->machine, s + 8, len - 8 - strlen(".scope"));
	} else if (starts(s, len, "lxc.payload.")) {
		set(&f->machine, s + 12, len - 12);
	}
	if (starts(s, len, "kubepods"))
		f->kubernetes = true;
}

static void take_path(struct cgroup_facts *f, const char *path)
{
	bool lxc = false;

	while (*path) {
		size_t len = strcspn(path, "/");

		if (len) {
			if (lxc)
				set(&f->machine, path, len);
			lxc = len == 3 && memcmp(path, "lxc", 3) == 0;
			take_component(f, path, len);
		}
		path += len;
		path += *path == '/';
	}
}

/* Keep what `from` knows and f does not. */
static void merge(struct cgroup_facts *f, struct cgroup_facts *from)
{
	char **mine[] = { &f->unit, &f->machine, &f->container_id };
	char **theirs[] = { &from->unit, &from->machine, &from->container_id };

	for (size_t i = 0; i < 3; i++) {
		if (!*mine[i]) {
			*mine[i] = *theirs[i];
			*theirs[i] = NULL;
		}
	}
	f->kubernetes |= from->kubernetes;
	cgroup_facts__free(from);
}

bool cgroup__parse(const char *text, struct cgroup_facts *out)
{
	struct cgroup_facts v2 = { 0 }, systemd = { 0 }, others = { 0 };
	char *copy = strdup(text), *save = NULL;
	bool said = false;

	*out = (struct cgroup_facts){ 0 };
	if (!copy)
		return false;
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path || path[1] != '/')
			continue;
		*path++ = '\0';
		controllers++;
		said |= strcmp(path, "/") != 0;
		if (!*controllers) {
			free(v2.v2_path);
			v2.v2_path = strdup(path);
			take_path(&v2, path);
		} else if (strcmp(controllers, "name=systemd") == 0) {
			take_path(&systemd, path);
		} else {
			take_path(&others, path);
		}
	}
	free(copy);
	/*
	 * Other v1 hierarchies are not systemd's alone to shape: they tell containers, not units.
	 */
	drop(&others.unit);
	*out = v2;
	/* A container that only v1 shows makes the unit around it meaningless, too. */
	if (out->unit && !out->container_id && (systemd.container_id || others.container_id))
		drop(&out->unit);
	merge(out, &systemd);
	merge(out, &others);
	out->hidden = !said;
	if (!out->v2_path)
		out->v2_path = strdup("/");
	return out->v2_path != NULL;
}

void cgroup_facts__free(struct cgroup_facts *f)
{
	free(f->v2_path);
	free(f->unit);
	free(f->machine);
	free(f->container_id);
	*f = (struct cgroup_facts){ 0 };
}

/* Field `n` (from 1) of a line of mountinfo. */
static const char *mount_field(const char *line, unsigned n, size_t *len)
{
	while (--n) {
		line += strcspn(line, " \n");
		if (*line != ' ')
			return NULL;
		line++;
	}
	*len = strcspn(line, " \n");
	return line;
}

char *cgroup__id_from_mounts(const char *mountinfo)
{
	for (const char *line = mountinfo; line && *line; line = strchr(line, '\n')) {
		size_t n = 0, root_len = 0;

		line += *line == '\n';
		const char *root = mount_field(line, 4, &root_len);
		const char *where = mount_field(line, 5, &n);

		if (!root || !where || n != strlen("/etc/hostname") ||
		    memcmp(where, "/etc/hostname", n) != 0)
			continue;
		const char *id = find_id(root, root_len);

		/*
		 * A pod's containers share the host name file of its sandbox, which has an id of
		 * its own.
		 */
		if (id && !memmem(root, root_len, "sandboxes", 9))
			return strndup(id, ID_LEN);
	}
	return NULL;
}

/* Mount points hold blanks and the like as three octal digits. */
static void unescape_octal(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

char *cgroup__v2_mount(const char *mountinfo)
{
	for (const char *line = mountinfo; line && *line; line = strchr(line, '\n')) {
		size_t n;

		line += *line == '\n';
		const char *end = line + strcspn(line, "\n");
		const char *dash = memmem(line, (size_t)(end - line), " - ", 3);
		const char *where = mount_field(line, 5, &n);

		if (!dash || !where || strncmp(dash + 3, "cgroup2 ", 8) != 0)
			continue;
		char *mount = strndup(where, n);

		if (mount)
			unescape_octal(mount);
		return mount;
	}
	return NULL;
}

static char *v2_mount(void)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/self/mountinfo", procfs__root());
	char *mounts = procfs__slurp(AT_FDCWD, path, 16 << 20, NULL);
	char *mount = mounts ? cgroup__v2_mount(mounts) : NULL;

	free(mounts);
	return mount;
}

/*
 * A directory of the cgroup v2 file system, open; -ENOENT, -ENOTDIR, or -EINVAL for a directory of
 * another file system.
 */
static int open_v2(const char *path, bool *v1)
{
	struct statfs fs = { 0 };
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC)
		return fd;
	*v1 = fs.f_type == CGROUP_SUPER_MAGIC;
	close(fd);
	return -EINVAL;
}

int targets__open_cgroup(const char *path, char *why, size_t why_len)
{
	char full[PATH_MAX];
	char *mount = v2_mount();
	bool v1 = false;
	int fd = -ENOENT;

	if (*path == '/')
		fd = open_v2(path, &v1);
	/* Also "/system.slice/shop.service", as /proc/PID/cgroup writes it. */
	if ((fd == -ENOENT || *path != '/') && mount) {
		int n = snprintf(full, sizeof(full), "%s/%s", mount, path);

		fd = n > 0 && (size_t)n < sizeof(full) ? open_v2(full, &v1) : -ENAMETOOLONG;
	}
	if (fd >= 0) {
		free(mount);
		return fd;
	}
	if (!mount)
		snprintf(
			why, why_len,
			"--cgroup %s: cgroup v2 is not mounted here; select processes with -p or --service",
			path);
	else if (fd == -EINVAL && v1)
		snprintf(
			why, why_len,
			"--cgroup %s: this is cgroup v1, weft needs a cgroup v2 directory; they are under %s",
			path, mount);
	else if (fd == -EINVAL || fd == -ENOTDIR)
		snprintf(why, why_len, "--cgroup %s: not a cgroup v2 directory; they are under %s",
			 path, mount);
	else
		snprintf(why, why_len, "--cgroup %s: %s; cgroup v2 directories are under %s", path,
			 fd == -ENOENT ? "no such cgroup" : strerror(-fd), mount);
	free(mount);
	return fd;
}

/*
 * A threaded cgroup refuses to list processes (EOPNOTSUPP); its threads' processes are in the
 * domain above.
 */
static int each_here(int dir, void (*fn)(void *ctx, pid_t pid), void *ctx)
{
	char *text = procfs__slurp(dir, "cgroup.procs", 16 << 20, NULL), *save = NULL;

	if (!text)
		return errno == EOPNOTSUPP ? 0 : -errno;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		long pid = strtol(line, NULL, 10);

		if (pid > 0 && pid <= INT_MAX) /* 0: in another PID namespace */
			fn(ctx, (pid_t)pid);
	}
	free(text);
	return 0;
}

static int each_pid(int dir, void (*fn)(void *ctx, pid_t pid), void *ctx, unsigned depth)
{
	int err = each_here(dir, fn, ctx);
	int copy = err || depth > 64 ? -1 : openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	if (!d) {
		if (copy >= 0)
			close(copy);
		return err;
	}
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.' || (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN))
			continue;
		int sub = openat(dirfd(d), e->d_name,
				 O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

		if (sub < 0)
			continue; /* it went meanwhile, or is a file */
		each_pid(sub, fn, ctx, depth + 1);
		close(sub);
	}
	closedir(d);
	return 0;
}

int cgroup__each_pid(int dir, void (*fn)(void *ctx, pid_t pid), void *ctx)
{
	return each_pid(dir, fn, ctx, 0);
}
