// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Application servers: programs that serve somebody else's code. The service is what they serve:
 * `gunicorn -w 4 shop.wsgi:app` is "shop.wsgi". The application is the first argument that is
 * neither an option nor an option's value, or an option's value; most options take one, so those
 * that do not are listed.
 */
#include "parts.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct appserver {
	const char *name;
	/* options without a value, each between spaces; "--no-..." always is one */
	const char *flags;
	const char *app;    /* options whose value is the application; NULL: the first argument */
	const char *naming; /* options whose value is the name itself */
};

static const struct appserver servers[] = {
	{
		.name = "gunicorn",
		.flags =
			" --reload --preload -R --enable-stdio-inheritance --daemon -D --check-config --print-config --spew "
			"--capture-output --proxy-protocol --suppress-ragged-eofs --do-handshake-on-connect --reuse-port "
			"--initgroups --disable-redirect-access-to-syslog --log-syslog --permit-obsolete-folding "
			"--strip-header-spaces --permit-unconventional-http-method --permit-unconventional-http-version "
			"--casefold-http-method ",
		.naming = " -n --name ",
	},
	{
		.name = "uvicorn",
		.flags =
			" --reload --use-colors --proxy-headers --server-header --date-header --access-log --factory ",
	},
	{ .name = "hypercorn", .flags = " --debug --reload " },
	{ .name = "daphne", .flags = " --proxy-headers " },
	{ .name = "waitress-serve",
	  .flags =
		  " --call --expose-tracebacks --log-untrusted-proxy-headers --clear-untrusted-proxy-headers " },
	{
		.name = "granian",
		.flags =
			" --reload --ws --access-log --log --factory --ssl-client-verify --respawn-failed-workers ",
	},
	{ .name = "celery", .app = " -A --app " },
	{ .name = "flask", .app = " -A --app " },
};

char *appserver__module(const char *ref, size_t len)
{
	const char *colon = len ? memchr(ref, ':', len) : NULL;
	size_t n = colon ? (size_t)(colon - ref) : len;

	for (size_t i = n; i > 0; i--) {
		if (ref[i - 1] == '/') { /* a file */
			ref += i;
			n -= i;
			break;
		}
	}
	if (n > 3 && memcmp(ref + n - 3, ".py", 3) == 0)
		n -= 3;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)ref[i]) && !strchr("_.-@", ref[i]))
			return NULL;
	return n ? strndup(ref, n) : NULL;
}

static const struct appserver *find_server(const char *program)
{
	for (size_t i = 0; i < sizeof(servers) / sizeof(*servers); i++) {
		size_t n = strlen(servers[i].name);

		/* Debian has had a gunicorn3 */
		if (strncmp(program, servers[i].name, n) == 0 &&
		    (!program[n] || strcmp(program + n, "3") == 0))
			return &servers[i];
	}
	return NULL;
}

/*
 * The value of an option in `names`, as "-A x", "-Ax", "--app x", "--app=x"; NULL if argv[i] is
 * none of them.
 */
static const char *option_value(const char *names, char *const *argv, int argc, int i)
{
	const char *w = argv[i];

	if (!names || !w || w[0] != '-')
		return NULL;
	size_t name = strcspn(w, "=");

	if (w[1] == '-' && w[name] == '=' && word_list__has(names, w, name))
		return w + name + 1;
	if (word_list__has(names, w, strlen(w)))
		return i + 1 < argc ? argv[i + 1] : NULL;
	return w[1] != '-' && strlen(w) > 2 && word_list__has(names, w, 2) ? w + 2 : NULL;
}

/* How many words the option argv[i] takes. */
static int option_words(const struct appserver *s, const char *w)
{
	if (w[1] == '-')
		return strchr(w, '=') || strncmp(w, "--no-", 5) == 0 ||
				       word_list__has(s->flags, w, strlen(w))
			       ? 1
			       : 2;
	return strlen(w) > 2 || word_list__has(s->flags, w, strlen(w)) ? 1 : 2;
}

char *appserver__app(const char *program, char *const *argv, int argc)
{
	const struct appserver *s = find_server(program);
	const char *app = NULL;

	if (!s)
		return NULL;
	for (int i = 0; i < argc; i++) {
		const char *value = option_value(s->naming, argv, argc, i);

		if (value && *value)
			return strdup(value);
		if (!app)
			app = option_value(s->app, argv, argc, i);
	}
	for (int i = 0; !app && !s->app && i < argc && argv[i];) {
		if (argv[i][0] != '-')
			app = argv[i];
		else if (strcmp(argv[i], "--") == 0)
			i++;
		else
			i += option_words(s, argv[i]);
	}
	return app ? appserver__module(app, strlen(app)) : NULL;
}
