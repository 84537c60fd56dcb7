// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Language and runtime of a process, from its executable's name and file, without running anything.
 * Versions are said where they can be read at no cost: in a file's name, in a path, in the file
 * that the runtime is installed with.
 */
#include "parts.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The version at the start of s: "20.11.0"; NULL if there is none. */
static char *version_at(const char *s)
{
	size_t n = strspn(s, "0123456789.");

	while (n && s[n - 1] == '.')
		n--;
	return n && isdigit((unsigned char)*s) ? strndup(s, n) : NULL;
}

/*
 * A file beside the executable, seen through the process's own root, so that containers are read
 * right.
 */
static char *read_beside(int dir, const char *exe, unsigned up, const char *tail, size_t max)
{
	char path[PATH_MAX];
	size_t n = strlen(exe);

	for (unsigned i = 0; i < up; i++) {
		while (n && exe[n - 1] != '/')
			n--;
		while (n && exe[n - 1] == '/')
			n--;
	}
	int len = snprintf(path, sizeof(path), "root%.*s/%s", (int)n, exe, tail);

	return len > 0 && (size_t)len < sizeof(path) ? procfs__slurp(dir, path, max, NULL) : NULL;
}

/* <prefix>/include/node/node_version.h, which the tarballs and packages of Node.js bring along. */
static char *node_version(int dir, const char *exe)
{
	/* .../node/v20.11.0/bin/node, as version managers lay it out */
	for (const char *p = strstr(exe, "/v"); p; p = strstr(p + 1, "/v"))
		if (isdigit((unsigned char)p[2]))
			return version_at(p + 2);
	char *text = read_beside(dir, exe, 2, "include/node/node_version.h", 64 << 10),
	     *found = NULL;
	static const char *const parts[] = { "#define NODE_MAJOR_VERSION ",
					     "#define NODE_MINOR_VERSION ",
					     "#define NODE_PATCH_VERSION " };
	unsigned v[3];

	for (size_t i = 0; text && i < 3; i++) {
		const char *at = strstr(text, parts[i]);

		if (!at) {
			free(text);
			return NULL;
		}
		v[i] = (unsigned)strtoul(at + strlen(parts[i]), NULL, 10);
	}
	if (text && asprintf(&found, "%u.%u.%u", v[0], v[1], v[2]) < 0)
		found = NULL;
	free(text);
	return found;
}

/* JAVA_VERSION="17.0.15" in the file `release` of the Java home. */
static char *java_version(int dir, const char *exe)
{
	char *text = read_beside(dir, exe, 2, "release", 64 << 10), *found = NULL;
	const char *at = text ? strstr(text, "JAVA_VERSION=\"") : NULL;

	if (at)
		found = strndup(at + 14, strcspn(at + 14, "\"\n"));
	free(text);
	return found;
}

/* .../versions/3.11.7/bin/python3.11 says more than the name does. */
static char *python_version(const char *exe, const char *suffix)
{
	const char *p = strstr(exe, "/versions/");

	return version_at(p && isdigit((unsigned char)p[10]) ? p + 10 : suffix);
}

static void detect_interpreted(int dir, struct process_info *p, const struct interpreter *in,
			       const char *program, const char *suffix)
{
	p->language = in->language;
	p->runtime_name = strdup(in->runtime);
	if (strcmp(in->runtime, "cpython") == 0)
		p->runtime_version = python_version(program, suffix);
	else if (strcmp(in->runtime, "nodejs") == 0)
		p->runtime_version = node_version(dir, program);
	else if (strcmp(in->language, "java") == 0)
		p->runtime_version = java_version(dir, program);
	else
		p->runtime_version = version_at(suffix);
}

void runtime__detect(int dir, struct process_info *p)
{
	const char *suffix = "";
	const char *
		program = p->exe ? p->exe
				 : p->argv0; /* the link is closed to us, the command line is not */
	const struct interpreter *in = program ? interpreter__find(path__base(program), &suffix)
					       : NULL;
	struct elf_facts elf = { 0 };
	int fd = openat(dir, "exe", O_RDONLY | O_CLOEXEC);
	int err = fd < 0 ? -1 : elf__read(fd, &elf);

	if (fd >= 0)
		close(fd);
	p->is_32bit = elf.is_32bit;
	if (in && in->language) {
		detect_interpreted(dir, p, in, program, suffix);
	} else if (elf.go_version[0]) {
		p->language = "go";
		p->runtime_name = strdup("go");
		p->runtime_version = strdup(elf.go_version);
	} else if (err == 0) {
		p->language = elf.rust ? "rust" : elf.cxx ? "cpp" : "c";
	}
}

/*
 * Beginnings of the names of libraries that talk to servers or hide what they say, beside those
 * whose functions weft watches (`watched`); and of embedded runtimes.
 */
static const char *const known[] = {
	"libnss3",      "libmbedtls",   "libwolfssl",  "libmemcached", "libmongoc-1",
	"libcassandra", "librdkafka",   "librabbitmq", "libcurl",      "libcurl-gnutls",
	"libnghttp2",   "libnghttp3",   "libgrpc",     "libodbc",      "libclntsh",
	"libpython2",   "libpython3",   "libruby",     "libjvm",       "libnode",
	"libcoreclr",   "libphp",       "libperl",     "liburing",     "libnats",
	"libsybdb",     "libtarantool", NULL,
};
static const char *const *watched;

void process_info__watch_libraries(const char *const *names)
{
	watched = names;
}

static bool in(const char *const *names, const char *base, size_t len)
{
	for (; names && *names; names++) {
		size_t n = strlen(*names);

		/* libssl.so.3; libssl-3e8d1a.so.1.1 out of a Python wheel; libpython3.11.so.1.0 */
		if (len > n && memcmp(base, *names, n) == 0 && strchr(".-", base[n]))
			return memmem(base, len, ".so", 3) != NULL;
	}
	return false;
}

static bool is_known(const char *base, size_t len)
{
	return in(known, base, len) || in(watched, base, len);
}

/* Some runtimes are known by the library only. */
static void learn_from(struct process_info *p, const char *path, const char *base)
{
	if (strncmp(base, "libjvm.so", 9) == 0 &&
	    (!p->language || strcmp(p->language, "java") != 0)) {
		free(p->runtime_name);
		free(p->runtime_version);
		p->language = "java";
		p->runtime_name = strdup("OpenJDK Runtime Environment");
		p->runtime_version = NULL;
	} else if (strncmp(base, "libcoreclr.so", 13) == 0) {
		const char *app = strstr(path, "Microsoft.NETCore.App/");

		free(p->runtime_name);
		free(p->runtime_version);
		p->language = "dotnet";
		p->runtime_name = strdup(".NET");
		p->runtime_version = app ? version_at(app + 22) : NULL;
	} else if (strncmp(base, "libpython3.", 11) == 0 && p->language &&
		   strcmp(p->language, "python") == 0 && !p->runtime_version) {
		p->runtime_version = version_at(base + 9);
	} else if (strncmp(base, "libruby-", 8) == 0 && p->language &&
		   strcmp(p->language, "ruby") == 0 && !p->runtime_version) {
		p->runtime_version = version_at(base + 8);
	}
}

void runtime__libs(const char *maps, struct process_info *p)
{
	const char *last = NULL;
	size_t last_len = 0;

	for (const char *line = maps; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		const char *path = memchr(line, '/', strcspn(line, "\n"));

		if (!path)
			continue;
		size_t len = strcspn(path, "\n");
		size_t base;

		/* A library is mapped in several pieces, one after the other. */
		if (last && len == last_len && memcmp(path, last, len) == 0)
			continue;
		last = path;
		last_len = len;
		if (len > 10 && memcmp(path + len - 10, " (deleted)", 10) == 0)
			len -= 10;
		for (base = len; base && path[base - 1] != '/'; base--)
			;
		if (!is_known(path + base, len - base))
			continue;
		char *name = strndup(path + base, len - base);
		bool seen = !name;

		for (unsigned i = 0; !seen && i < p->n_libs; i++)
			seen = strcmp(p->libs[i], name) == 0;
		if (seen || p->n_libs == sizeof(p->libs) / sizeof(*p->libs)) {
			free(name);
			continue;
		}
		text__scrub(name);
		p->libs[p->n_libs++] = name;
		learn_from(p, path, name);
	}
}
