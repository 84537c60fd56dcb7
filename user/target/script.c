// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What an interpreter runs, from its command line: the name of the script without directory and
 * suffix, of the module (-m), of the jar without its version, of the main class without its
 * package. Where the script is an application server (gunicorn, uvicorn ...) the application's
 * module. No guess is made from generic names: app.py is "app", and --service-name is there for
 * better ones.
 *
 * One table says how each interpreter reads its options; a few need more and have a function.
 */
#include "parts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const struct interpreter interpreters[] = {
	{
		.name = "python",
		.language = "python",
		.runtime = "cpython",
		.short_values = "WXQ",
		.code = "c",
		.word_values = " --check-hash-based-pycs ",
		.word_module = " -m ",
		.suffixes = " .py .pyc .pyw .pyz .pyzw ",
	},
	{
		.name = "pypy",
		.language = "python",
		.runtime = "pypy",
		.short_values = "WXQ",
		.code = "c",
		.word_module = " -m ",
		.suffixes = " .py .pyc .pyz ",
	},
	{
		.name = "node",
		.language = "nodejs",
		.runtime = "nodejs",
		.short_values = "rC",
		.code = "ep",
		.word_values =
			" --require --import --loader --experimental-loader --conditions --title --env-file "
			"--env-file-if-exists --icu-data-dir --input-type --openssl-config --inspect-port --debug-port "
			"--diagnostic-dir --redirect-warnings --report-dir --report-directory --report-filename "
			"--trace-event-categories --trace-event-file-pattern --watch-path --unhandled-rejections "
			"--dns-result-order --max-http-header-size --tls-cipher-list --tls-keylog --cpu-prof-dir ",
		.word_code = " --eval --print ",
		.suffixes = " .js .mjs .cjs .ts .mts .cts ",
	},
	{
		.name = "nodejs",
		.language = "nodejs",
		.runtime = "nodejs",
		.short_values = "rC",
		.code = "ep",
		.word_values = " --require --import --loader ",
		.word_code = " --eval --print ",
		.suffixes = " .js .mjs .cjs .ts ",
	},
	{
		.name = "java",
		.language = "java",
		.runtime = "OpenJDK Runtime Environment",
		.word_values =
			" -cp -classpath --class-path -p --module-path --upgrade-module-path --add-modules "
			"--limit-modules --add-exports --add-opens --add-reads --patch-module --source "
			"--enable-native-access --finalization ",
		.word_file = " -jar ",
		.word_module = " -m --module ",
		.suffixes = " .jar .war .ear .java ",
		.class_name = true,
	},
	{
		.name = "ruby",
		.language = "ruby",
		.runtime = "ruby",
		.short_values = "IrCE",
		.short_swallow = "WKTxiF0",
		.code = "e",
		.word_values = " --encoding --external-encoding --internal-encoding ",
		.suffixes = " .rb .ru ",
	},
	{
		.name = "php",
		.language = "php",
		.runtime = "php",
		.short_values = "cdtSz",
		.code = "rBRE",
		.word_file = " -f --file ",
		.suffixes = " .php .phar ",
	},
	{
		.name = "php-fpm",
		.language = "php",
		.runtime = "php",
	},
	{
		.name = "perl",
		.language = "perl",
		.runtime = "perl",
		.short_values = "I",
		.short_swallow = "MmxiFD0lCVd",
		.code = "eE",
		.suffixes = " .pl .psgi .t ",
	},
	{
		.name = "beam.smp",
		.language = "erlang",
		.runtime = "erlang",
	},
	{
		.name = "dotnet",
		.language = "dotnet",
		.runtime = ".NET",
		.word_values =
			" --additionalprobingpath --additional-deps --runtimeconfig --depsfile --fx-version "
			"--roll-forward --project ",
		.verbs = " exec run ",
		.suffixes = " .dll .exe ",
	},
	{
		.name = "deno",
		.language = "nodejs",
		.runtime = "deno",
		.word_values =
			" --config -c --import-map --lock --port --host --cert --location --seed ",
		.verbs = " run serve ",
		.suffixes = " .js .ts .mjs .mts .jsx .tsx ",
	},
	{
		.name = "bun",
		.language = "nodejs",
		.runtime = "bun",
		.word_values = " --cwd --config -c --preload -r --port --env-file ",
		.word_code = " -e --eval -p --print ",
		.verbs = " run ",
		.suffixes = " .js .ts .mjs .mts .cjs .jsx .tsx ",
	},
	/*
	 * Shells have no language of OpenTelemetry's and run no service themselves, but a script is
	 * better than "bash".
	 */
	{ .name = "bash",
	  .short_values = "oO",
	  .code = "c",
	  .word_values = " --rcfile --init-file ",
	  .suffixes = " .sh .bash " },
	{ .name = "dash", .short_values = "o", .code = "c", .suffixes = " .sh " },
	{ .name = "sh", .short_values = "o", .code = "c", .suffixes = " .sh " },
	{ .name = "zsh", .short_values = "o", .code = "c", .suffixes = " .sh .zsh " },
	{ .name = "ksh", .short_values = "o", .code = "c", .suffixes = " .sh .ksh " },
};

/* "" or a version: "3", "3.11", "8.2", and the builds "3.13t", "3.11d", "3.11-dbg". */
static bool is_version(const char *s)
{
	if (*s && !isdigit((unsigned char)*s))
		return false;
	s += strspn(s, "0123456789.");
	return !*s || strcmp(s, "t") == 0 || strcmp(s, "d") == 0 || strcmp(s, "td") == 0 ||
	       strcmp(s, "-dbg") == 0;
}

const struct interpreter *interpreter__find(const char *base, const char **version)
{
	for (size_t i = 0; i < sizeof(interpreters) / sizeof(*interpreters); i++) {
		size_t n = strlen(interpreters[i].name);

		if (strncmp(base, interpreters[i].name, n) == 0 && is_version(base + n)) {
			if (version)
				*version = base + n;
			return &interpreters[i];
		}
	}
	return NULL;
}

bool word_list__has(const char *list, const char *word, size_t n)
{
	for (const char *p = list; p && n && (p = memmem(p, strlen(p), word, n)); p++)
		if (p > list && p[-1] == ' ' && p[n] == ' ')
			return true;
	return false;
}

enum run_kind { RUN_UNKNOWN, RUN_FILE, RUN_MODULE };

struct run {
	enum run_kind kind;
	const char *what;
	int args; /* index of the first argument behind it */
};

static struct run run_found(enum run_kind kind, const char *what, int args)
{
	return (struct run){ what && *what ? kind : RUN_UNKNOWN, what, args };
}

/*
 * A word of short options, "-uWignore": returns true if it ends the search (*run says how), else
 * *at is the word whose options were read to their end, value included.
 */
static bool read_cluster(const struct interpreter *in, char *const *argv, int argc, int *at,
			 struct run *run)
{
	for (const char *p = argv[*at] + 1; *p; p++) {
		const char letter[] = { '-', *p };

		if (in->code && strchr(in->code, *p)) {
			*run = (struct run){ 0 };
			return true;
		}
		bool module = word_list__has(in->word_module, letter, 2),
		     file = word_list__has(in->word_file, letter, 2);

		if (module || file) {
			bool glued = p[1] != '\0';

			*run = run_found(module ? RUN_MODULE : RUN_FILE,
					 glued            ? p + 1
					 : *at + 1 < argc ? argv[*at + 1]
							  : NULL,
					 *at + (glued ? 1 : 2));
			return true;
		}
		if (in->short_values && strchr(in->short_values, *p)) {
			*at += p[1] == '\0';
			return false;
		}
		if (in->short_swallow && strchr(in->short_swallow, *p))
			return false;
	}
	return false;
}

/* Find what is run. argv[0] is the interpreter. */
static struct run find_run(const struct interpreter *in, char *const *argv, int argc)
{
	bool verb_seen = false;

	for (int i = 1; i < argc; i++) {
		const char *w = argv[i];
		size_t len = strlen(w);
		size_t name = strcspn(w, "="); /* --module=x */

		if (w[0] == '@' && in->class_name)
			continue; /* java's file of arguments */
		if (w[0] != '-') {
			if (!verb_seen && word_list__has(in->verbs, w, len)) {
				verb_seen = true;
				continue;
			}
			return run_found(RUN_FILE, w, i + 1);
		}
		if (len == 1)
			break; /* the program comes from stdin */
		if (len == 2 && w[1] == '-')
			return i + 1 < argc ? run_found(RUN_FILE, argv[i + 1], i + 2)
					    : (struct run){ 0 };
		if (word_list__has(in->word_code, w, name))
			break;
		if (word_list__has(in->word_module, w, name) ||
		    word_list__has(in->word_file, w, name)) {
			bool module = word_list__has(in->word_module, w, name);
			const char *what = w[name] == '=' ? w + name + 1
					   : i + 1 < argc ? argv[i + 1]
							  : NULL;

			return run_found(module ? RUN_MODULE : RUN_FILE, what,
					 i + (w[name] == '=' ? 1 : 2));
		}
		if (word_list__has(in->word_values, w, len)) {
			i++;
		} else if (w[1] != '-' && !in->class_name && !in->verbs) {
			struct run run;

			if (read_cluster(in, argv, argc, &i, &run))
				return run;
		}
	}
	return (struct run){ 0 };
}

/* "shop-1.4.2-SNAPSHOT" is "shop": one service keeps its name over its releases. */
static void strip_jar_version(char *name)
{
	for (char *p = strchr(name, '-'); p; p = strchr(p + 1, '-')) {
		size_t digits = strspn(p + 1, "0123456789");

		if (p > name && digits && (p[1 + digits] == '.' || p[1 + digits] == '\0')) {
			*p = '\0';
			return;
		}
	}
}

/* The last part of a/b/c, without trailing slashes. */
static char *last_part(const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	size_t from = n;

	while (from && path[from - 1] != '/')
		from--;
	return strndup(path + from, n - from);
}

static char *file_name(const struct interpreter *in, const char *path)
{
	/* /dev/fd/3, /dev/stdin: a script without a name */
	char *name = strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0
			     ? NULL
			     : last_part(path);

	if (!name)
		return NULL;
	char *dot = strrchr(name, '.');

	if (dot && dot > name && word_list__has(in->suffixes, dot, strlen(dot))) {
		bool jar = strcmp(dot, ".jar") == 0 || strcmp(dot, ".war") == 0;

		*dot = '\0';
		if (jar)
			strip_jar_version(name);
	} else if (in->class_name) {
		/* com.example.Shop is a class, com.example.Outer$Shop too */
		char *behind = strrchr(name, '.');

		if (behind && behind[1])
			memmove(name, behind + 1, strlen(behind));
	}
	if (strcmp(name, "__main__") == 0 && strchr(path, '/')) {
		/* A directory that is run names itself. */
		char *dir = strndup(path, (size_t)(path__base(path) - path));

		free(name);
		name = dir ? last_part(dir) : NULL;
		free(dir);
	}
	return name;
}

/* -m http.server, java -m shop.web/com.example.Main */
static char *module_name(const struct interpreter *in, const char *module)
{
	const char *class = strrchr(module, '/');

	if (in->class_name)
		return file_name(in, class ? class + 1 : module);
	size_t n = strlen(module);
	static const char tail[] = ".__main__";

	if (n > sizeof(tail) - 1 && strcmp(module + n - (sizeof(tail) - 1), tail) == 0)
		n -= sizeof(tail) - 1;
	return strndup(module, n);
}

/* An Erlang node is called by -sname or -name, else by the application that -s starts. */
static char *beam_name(char *const *argv, int argc)
{
	static const char *const options[] = { "-sname", "-name", "-s" };

	for (size_t o = 0; o < sizeof(options) / sizeof(*options); o++)
		for (int i = 1; i + 1 < argc; i++)
			if (strcmp(argv[i], options[o]) == 0 && argv[i + 1][0] != '-')
				return strndup(argv[i + 1], strcspn(argv[i + 1], "@"));
	return NULL;
}

/* "php-fpm: pool shop"; the pool that every installation has says nothing. */
static char *fpm_name(const char *title)
{
	const char *pool = strstr(title, ": pool ");

	return pool && pool[7] && strcmp(pool + 7, "www") != 0 ? strdup(pool + 7)
							       : strdup("php-fpm");
}

/*
 * What stands in the last brackets: "gunicorn: worker [shop:app]", "puma 5.6.5 (tcp://0.0.0.0:80)
 * [shop]".
 */
static char *in_brackets(const char *title)
{
	const char *open = strrchr(title, '[');
	const char *close = open ? strchr(open, ']') : NULL;

	return close && close > open + 1 ? strndup(open + 1, (size_t)(close - open - 1)) : NULL;
}

/* "celeryd:", "[worker]" */
static char *first_word(const char *title)
{
	title += strspn(title, " [(");
	size_t n = strcspn(title, " ");

	while (n && strchr(":,])", title[n - 1]))
		n--;
	char *word = strndup(title, n);
	char *name = word ? last_part(word) : NULL;

	free(word);
	if (name && !*name) {
		free(name);
		name = NULL;
	}
	return name;
}

static char *words_name(const struct interpreter *in, char *const *argv, int argc);

/* A command line that the program wrote itself, in one piece. */
static char *title_name(const char *title)
{
	char *name;

	if (strncmp(title, "gunicorn: ", 10) == 0 || strncmp(title, "puma", 4) == 0) {
		char *inside = in_brackets(title);

		name = inside ? appserver__module(inside, strlen(inside)) : NULL;
		free(inside);
		return name ? name : first_word(title);
	}
	name = first_word(title);
	const struct interpreter *in = name ? interpreter__find(name, NULL) : NULL;

	if (!in)
		return name;
	free(name);
	/* "node /srv/shop/server.js": an old command line written back as one word */
	char *copy = strdup(title), *save = NULL, *argv[64];
	int argc = 0;

	for (char *w = copy ? strtok_r(copy, " ", &save) : NULL; w && argc < 64;
	     w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	name = argc ? words_name(in, argv, argc) : NULL;
	free(copy);
	return name;
}

static char *words_name(const struct interpreter *in, char *const *argv, int argc)
{
	if (strcmp(in->name, "beam.smp") == 0)
		return beam_name(argv, argc);
	struct run run = find_run(in, argv, argc);

	if (run.kind == RUN_UNKNOWN)
		return NULL;
	char *name = run.kind == RUN_MODULE ? module_name(in, run.what) : file_name(in, run.what);

	if (name && !in->class_name) {
		char *app = appserver__app(name, argv + run.args,
					   run.args < argc ? argc - run.args : 0);

		if (app) {
			free(name);
			name = app;
		}
	}
	if (name && !*name) {
		free(name);
		name = NULL;
	}
	return name;
}

char *script__name(const struct interpreter *in, char *const *argv, int argc)
{
	if (argc <= 0)
		return NULL;
	if (strcmp(in->name, "php-fpm") == 0)
		return fpm_name(argv[0]);
	const char *base = path__base(argv[0]);

	if (argc == 1 && !interpreter__find(base + (*base == '-'), NULL))
		return title_name(argv[0]);
	return words_name(in, argv, argc);
}
