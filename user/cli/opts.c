// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The command line, by argp. Errors are ours: argp and getopt would write two lines, so they are
 * kept quiet (ARGP_NO_ERRS) and what went wrong is said in one line that also says what to do.
 */
#include "opts.h"

#include <argp.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "../lib/log.h"
#include "name_list.h"
#include "values.h"

#define RING_MIN (256ull << 10)
#define RING_MAX (1ull << 30)
#define CONNS_MIN 64
#define CONNS_MAX (1u << 22)
#define PORT_MAX 65535
#define PID_LIMIT (1 << 22) /* PID_MAX_LIMIT of the kernel */
#define SELECT_MAX 1024

enum {
	ON_TRACE = 1 << CMD_TRACE,
	ON_REPLAY = 1 << CMD_REPLAY,
	ON_DOCTOR = 1 << CMD_DOCTOR,
	ON_LIST = 1 << CMD_LIST,
	ON_ALL = ON_TRACE | ON_REPLAY | ON_DOCTOR | ON_LIST,
};

static const char *const commands[] = {
	[CMD_TRACE] = "trace",
	[CMD_REPLAY] = "replay",
	[CMD_DOCTOR] = "doctor",
	[CMD_LIST] = "list",
};

enum key {
	KEY_CGROUP = 0x100,
	KEY_SERVICE,
	KEY_SERVICE_NAME,
	KEY_EXE,
	KEY_COMM,
	KEY_PORT,
	KEY_PROTOCOL,
	KEY_LIBRARIES,
	KEY_OTLP,
	KEY_RECORD,
	KEY_DURATION,
	KEY_MAX_SPANS,
	KEY_BACKEND,
	KEY_RING_SIZE,
	KEY_MAX_CONNECTIONS,
	KEY_DB_SOURCE,
	KEY_RAW_QUERIES,
	KEY_TRACE_INSTRUMENTED,
	KEY_PROPAGATE,
	KEY_BAGGAGE,
	KEY_NODE_HELPER,
	KEY_USAGE,
};

/* Groups of the help text; options are sorted within their group. */
enum { GROUP_SELECT = 1, GROUP_WHAT, GROUP_OUT, GROUP_HOW, GROUP_CHANGES, GROUP_OTHER };

#define OPTION(k, n, a, g, d)                                                                      \
	{                                                                                          \
		.name = (n), .key = (k), .arg = (a), .group = (g), .doc = (d)                      \
	}
#define HEADING(g, d)                                                                              \
	{                                                                                          \
		.group = (g), .doc = (d)                                                           \
	}

static const struct argp_option known[] = {
	HEADING(GROUP_SELECT, "Whom to trace (several combine; descendants are included):"),
	OPTION('p', "pid", "PID,...", GROUP_SELECT, "these processes (doctor: judge this one)"),
	OPTION(KEY_SERVICE, "service", "NAME", GROUP_SELECT,
	       "what belongs to this service, as 'weft list' names it"),
	OPTION(KEY_CGROUP, "cgroup", "PATH", GROUP_SELECT,
	       "what is in this cgroup v2 directory or below"),
	OPTION(KEY_EXE, "exe", "PATH", GROUP_SELECT,
	       "what runs this executable (a bare NAME: in any directory)"),
	OPTION(KEY_COMM, "comm", "NAME", GROUP_SELECT,
	       "processes of this name, as ps -o comm shows it"),
	OPTION(KEY_PORT, "port", "N,...", GROUP_SELECT, "who listens on this TCP port"),
	HEADING(GROUP_WHAT, "What to make of it:"),
	OPTION(KEY_PROTOCOL, "protocol", "LIST", GROUP_WHAT,
	       "only these protocols: http,postgres; !redis leaves one out"),
	OPTION(KEY_LIBRARIES, "libraries", "LIST", GROUP_HOW,
	       "watch functions of these: all (default), none, openssl,sqlite; !libpq leaves one out"),
	OPTION(KEY_SERVICE_NAME, "service-name", "NAME", GROUP_WHAT,
	       "call the service NAME instead of what weft finds out"),
	OPTION(KEY_DB_SOURCE, "db-source", "NAME", GROUP_WHAT,
	       "of database calls, tell what is seen by: both (default), wire, library"),
	OPTION(KEY_RAW_QUERIES, "raw-queries", NULL, GROUP_WHAT,
	       "leave literals in SQL (they may be secrets)"),
	OPTION(KEY_BAGGAGE, "baggage", "KEY,...", GROUP_WHAT,
	       "values of these keys in requests' baggage become attributes"),
	OPTION(KEY_TRACE_INSTRUMENTED, "trace-instrumented", NULL, GROUP_WHAT,
	       "also trace what exports spans of its own (OpenTelemetry)"),
	OPTION(KEY_PROPAGATE, "propagate", "tcp", GROUP_WHAT,
	       "send trace context to other hosts in a TCP option (packets change)"),
	HEADING(GROUP_OUT, "Where it goes:"),
	OPTION('o', "output", "FORM", GROUP_OUT,
	       "on stdout: tree (default), json, otlp-json, none"),
	OPTION(KEY_OTLP, "otlp", "URL", GROUP_OUT, "export by OTLP/HTTP to this endpoint"),
	OPTION(KEY_RECORD, "record", "FILE", GROUP_OUT,
	       "write raw events to FILE, for weft replay"),
	OPTION(KEY_DURATION, "duration", "TIME", GROUP_OUT, "end after TIME: 500ms, 10s, 2m, 1h"),
	OPTION(KEY_MAX_SPANS, "max-spans", "N", GROUP_OUT, "end after N spans"),
	HEADING(GROUP_HOW, "How the kernel is watched:"),
	OPTION(KEY_BACKEND, "backend", "NAME", GROUP_HOW,
	       "auto (default), fentry, kprobe, syscall, tracepoint"),
	OPTION(KEY_RING_SIZE, "ring-size", "SIZE", GROUP_HOW,
	       "ring buffer, 256K to 1G (default 8M)"),
	OPTION(KEY_MAX_CONNECTIONS, "max-connections", "N", GROUP_HOW,
	       "connections followed at once (default 65536)"),
	HEADING(GROUP_CHANGES,
		"What changes the traced processes (off unless asked for, undone at the end):"),
	OPTION(KEY_NODE_HELPER, "node-helper", NULL, GROUP_CHANGES,
	       "run a small script in Node.js 20 and later, so that it tells which request makes a call"),
	HEADING(GROUP_OTHER, "Other:"),
	OPTION('v', "verbose", NULL, GROUP_OTHER, "say more; list: all processes"),
	OPTION('h', "help", NULL, GROUP_OTHER, "this text"),
	{ .name = "help", .key = '?', .flags = OPTION_ALIAS | OPTION_HIDDEN },
	OPTION(KEY_USAGE, "usage", NULL, GROUP_OTHER, "all options in short"),
	OPTION('V', "version", NULL, GROUP_OTHER, "the version"),
	{ 0 },
};

/* Which commands an option goes with; not listed: only with tracing. */
static const struct {
	int key;
	unsigned on;
} goes_with[] = {
	{ 'p', ON_TRACE | ON_DOCTOR },
	{ KEY_PROTOCOL, ON_TRACE | ON_REPLAY },
	{ KEY_DB_SOURCE, ON_TRACE | ON_REPLAY },
	{ KEY_RAW_QUERIES, ON_TRACE | ON_REPLAY },
	{ KEY_BAGGAGE, ON_TRACE | ON_REPLAY },
	{ KEY_TRACE_INSTRUMENTED, ON_TRACE | ON_REPLAY },
	{ 'o', ON_TRACE | ON_REPLAY },
	{ KEY_OTLP, ON_TRACE | ON_REPLAY },
	{ KEY_MAX_SPANS, ON_TRACE | ON_REPLAY },
	{ KEY_MAX_CONNECTIONS, ON_TRACE | ON_REPLAY },
	{ KEY_BACKEND, ON_TRACE | ON_DOCTOR },
	{ KEY_LIBRARIES, ON_TRACE | ON_DOCTOR },
	{ 'v', ON_ALL },
};

static const char args_doc[] = "\nreplay FILE\ndoctor [-p PID]\nlist";

static const char doc[] =
	"Trace running services without touching them: HTTP, gRPC, PostgreSQL, Redis, by eBPF.\v"
	"Examples:\n"
	"  sudo weft -p 1234                     a live tree until Ctrl-C\n"
	"  sudo weft --service shop --protocol http,postgres\n"
	"  sudo weft --port 8080 --otlp http://localhost:4318\n"
	"  sudo weft -p 1234 --record shop.weft  raw events to a file\n"
	"  weft replay shop.weft                 the same from the file, without root\n"
	"  weft replay capture.pcap -o json      or from a packet capture\n"
	"  sudo weft doctor                      what this machine allows\n"
	"  sudo weft list                        what could be traced\n"
	"\n"
	"Exit status:\n"
	"  0  all went well\n"
	"  1  wrong usage\n"
	"  2  not possible here: privilege, kernel, no such process or file\n"
	"  3  something was lost, or failed on the way out\n"
	"\n"
	"Environment:\n"
	"  OTEL_EXPORTER_OTLP_*, OTEL_EXPORTER_OTLP_TRACES_*: where and how to export\n"
	"    (ENDPOINT, HEADERS, TIMEOUT, COMPRESSION, CERTIFICATE); --otlp goes before\n"
	"  OTEL_BSP_*: batches and queue\n"
	"  OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES: read from each traced process\n"
	"  NO_COLOR: no colours; COLUMNS: width where stdout is no terminal";

struct parse {
	struct options *o;
	struct name_list protocols, libraries;
	int ends;      /* exit status if it ends here, else -1 */
	char why[512]; /* set once: the first thing that is wrong */
	int used[64];  /* keys of the options seen */
	size_t n_used;
	bool command_seen;
	const char *doctor_text;
};

static int wrong(struct parse *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int wrong(struct parse *p, const char *fmt, ...)
{
	va_list ap;

	if (!p->why[0]) {
		va_start(ap, fmt);
		vsnprintf(p->why, sizeof(p->why), fmt, ap);
		va_end(ap);
	}
	return EINVAL;
}

static int add_selector(struct parse *p, enum selector_kind kind, const char *text, long number)
{
	struct options *o = p->o;

	if (o->n_selectors == SELECT_MAX)
		return wrong(p, "more than %d selections: select by --service or --cgroup",
			     SELECT_MAX);
	struct selector *more = realloc(o->selectors, (o->n_selectors + 1) * sizeof(*more));

	if (!more)
		return wrong(p, "out of memory");
	o->selectors = more;
	more[o->n_selectors++] = (struct selector){ .kind = kind, .text = text, .number = number };
	return 0;
}

/* "1,2,3" for -p and --port. */
static int add_numbers(struct parse *p, enum selector_kind kind, const char *text)
{
	const char *s = text;

	for (;;) {
		size_t n = strcspn(s, ",");
		uint64_t v;

		if (!value__number(s, n, 1, kind == SELECT_PID ? PID_LIMIT : PORT_MAX, &v))
			return kind == SELECT_PID
				       ? wrong(p,
					       "-p %s: not a process number; write -p 1234 or -p 1234,5678",
					       text)
				       : wrong(p,
					       "--port %s: not a port; write a number from 1 to %d",
					       text, PORT_MAX);
		int err = add_selector(p, kind, text, (long)v);

		if (err || !s[n])
			return err;
		s += n + 1;
	}
}

static int add_text(struct parse *p, enum selector_kind kind, const char *option, const char *text)
{
	if (!*text)
		return wrong(p, "%s '': empty; say which", option);
	return add_selector(p, kind, text, 0);
}

static int add_names(struct parse *p, struct name_list *l, const struct name_kind *kind,
		     const char *text)
{
	char why[sizeof(p->why)] = "";

	return name_list__add(l, kind, text, why, sizeof(why)) ? wrong(p, "%s", why) : 0;
}

static int set_output(struct parse *p, const char *text)
{
	static const char *const names[] = {
		[OUTPUT_TREE] = "tree",
		[OUTPUT_JSON] = "json",
		[OUTPUT_OTLP_JSON] = "otlp-json",
		[OUTPUT_NONE] = "none",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(text, names[i]) == 0) {
			p->o->output = (enum output)i;
			return 0;
		}
	}
	return wrong(p, "--output %s: unknown; choose tree, json, otlp-json or none", text);
}

static int set_db_source(struct parse *p, const char *text)
{
	static const char *const names[] = {
		[CALL_BOTH] = "both",
		[CALL_WIRE] = "wire",
		[CALL_LIBRARY] = "library",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(text, names[i]) == 0) {
			p->o->db_source = (enum call_source)i;
			return 0;
		}
	}
	return wrong(p, "--db-source %s: unknown; choose both, wire or library", text);
}

static int set_propagate(struct parse *p, const char *text)
{
	if (strcmp(text, "tcp") != 0)
		return wrong(p, "--propagate %s: unknown; the only way is tcp", text);
	p->o->propagate_tcp = true;
	return 0;
}

static int set_endpoint(struct parse *p, const char *text)
{
	if (!value__is_plain(text))
		return wrong(p, "--otlp: the URL holds a blank or control character");
	if (!value__is_url(text))
		return wrong(p, "--otlp %s: not a URL with a host; write http://localhost:4318",
			     text);
	p->o->otlp_endpoint = text;
	return 0;
}

static int set_duration(struct parse *p, const char *text)
{
	if (!value__duration(text, &p->o->duration_ns))
		return wrong(p, "--duration %s: not a time; write 500ms, 10s, 2m or 1h", text);
	return 0;
}

static int set_ring_size(struct parse *p, const char *text)
{
	uint64_t bytes;

	if (!value__size(text, RING_MIN, RING_MAX, &bytes))
		return wrong(p, "--ring-size %s: not a size from 256K to 1G; write 512K, 8M or 1G",
			     text);
	p->o->ring_bytes = (size_t)bytes;
	return 0;
}

static int set_max_conns(struct parse *p, const char *text)
{
	uint64_t v;

	if (!value__number(text, strlen(text), CONNS_MIN, CONNS_MAX, &v))
		return wrong(p, "--max-connections %s: not a number from %u to %u", text, CONNS_MIN,
			     CONNS_MAX);
	p->o->max_conns = (uint32_t)v;
	return 0;
}

static int set_max_spans(struct parse *p, const char *text)
{
	if (!value__number(text, strlen(text), 1, UINT64_MAX, &p->o->max_spans))
		return wrong(p, "--max-spans %s: not a number of spans from 1 on", text);
	return 0;
}

static int set_backend(struct parse *p, const char *text)
{
	int backend = kernel__backend_parse(text);

	if (backend < 0)
		return wrong(
			p,
			"--backend %s: unknown; choose auto, fentry, kprobe, syscall or tracepoint",
			text);
	p->o->backend = (enum kernel_backend)backend;
	return 0;
}

static int set_name(struct parse *p, const char *option, const char *text, const char **where)
{
	if (!*text)
		return wrong(p, "%s '': empty; give one", option);
	*where = text;
	return 0;
}

/* The first word that is no option may be a command. */
static int read_word(struct parse *p, const char *word)
{
	if (!p->command_seen) {
		for (int i = CMD_REPLAY; i <= CMD_LIST; i++) {
			if (strcmp(word, commands[i]) == 0) {
				p->o->command = (enum command)i;
				p->command_seen = true;
				return 0;
			}
		}
		if (*word && word[strspn(word, "0123456789,")] == '\0')
			return wrong(p, "'%s': to trace a process write -p %s", word, word);
		return wrong(
			p,
			"unknown command '%s'; there are replay, doctor and list (see weft --help)",
			word);
	}
	if (p->o->command == CMD_REPLAY && !p->o->replay_path)
		return set_name(p, "replay", word, &p->o->replay_path);
	return wrong(p, "'%s' is one word too many after weft %s (see weft --help)", word,
		     commands[p->o->command]);
}

static int select_pids(struct parse *p, const char *text)
{
	p->doctor_text = text;
	return add_numbers(p, SELECT_PID, text);
}

static int set_baggage(struct parse *p, const char *text)
{
	char why[sizeof(p->why)];

	if (!key_list__read(&p->o->baggage, "--baggage", text, why, sizeof(why)))
		return 0;
	return wrong(p, "%s", why);
}

static int read_option(struct parse *p, int key, char *arg)
{
	switch (key) {
	case 'p': return select_pids(p, arg);
	case KEY_PORT: return add_numbers(p, SELECT_PORT, arg);
	case KEY_CGROUP: return add_text(p, SELECT_CGROUP, "--cgroup", arg);
	case KEY_SERVICE: return add_text(p, SELECT_SERVICE, "--service", arg);
	case KEY_EXE: return add_text(p, SELECT_EXE, "--exe", arg);
	case KEY_COMM: return add_text(p, SELECT_COMM, "--comm", arg);
	case KEY_SERVICE_NAME: return set_name(p, "--service-name", arg, &p->o->service_name);
	case KEY_PROTOCOL: return add_names(p, &p->protocols, &name_list__protocols, arg);
	case KEY_LIBRARIES: return add_names(p, &p->libraries, &name_list__libraries, arg);
	case KEY_DB_SOURCE: return set_db_source(p, arg);
	case KEY_RAW_QUERIES: p->o->raw_queries = true; return 0;
	case KEY_BAGGAGE: return set_baggage(p, arg);
	case KEY_TRACE_INSTRUMENTED: p->o->trace_instrumented = true; return 0;
	case KEY_NODE_HELPER: p->o->node_helper = true; return 0;
	case KEY_PROPAGATE: return set_propagate(p, arg);
	case 'o': return set_output(p, arg);
	case KEY_OTLP: return set_endpoint(p, arg);
	case KEY_RECORD: return set_name(p, "--record", arg, &p->o->record_path);
	case KEY_DURATION: return set_duration(p, arg);
	case KEY_MAX_SPANS: return set_max_spans(p, arg);
	case KEY_BACKEND: return set_backend(p, arg);
	case KEY_RING_SIZE: return set_ring_size(p, arg);
	case KEY_MAX_CONNECTIONS: return set_max_conns(p, arg);
	case 'v': p->o->verbose++; return 0;
	default: return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp;

/* Help ends the parse at once, whatever else stands on the line. */
static int show(struct parse *p, int key)
{
	if (key == 'V')
		printf("weft %s\n", WEFT_VERSION);
	else
		argp_help(&argp, stdout,
			  key == KEY_USAGE ? ARGP_HELP_USAGE
					   : ARGP_HELP_SHORT_USAGE | ARGP_HELP_LONG | ARGP_HELP_DOC,
			  (char *)"weft");
	p->ends = fflush(stdout) ? EXIT_LOST : EXIT_DONE;
	return ECANCELED;
}

/* The option that a long name, maybe shortened, means; *several if it could be more than one. */
static const struct argp_option *find_option(const char *name, size_t n, bool *several)
{
	const struct argp_option *found = NULL;

	*several = false;
	for (const struct argp_option *opt = known; opt->name || opt->doc; opt++) {
		if (!opt->name || (opt->flags & OPTION_ALIAS) || strncmp(opt->name, name, n) != 0)
			continue;
		if (!opt->name[n]) {
			*several = false;
			return opt;
		}
		*several |= found != NULL;
		if (!found)
			found = opt;
	}
	return found;
}

/*
 * getopt stopped at a word and, kept quiet, does not say why. A long option is the word before
 * `next`; a short one may be the word at `next`, whose letters it has not finished.
 */
static void explain(struct parse *p, const struct argp_state *state)
{
	const char *word = state->next > 0 && state->next <= state->argc
				   ? state->argv[state->next - 1]
				   : "";

	if (strncmp(word, "--", 2) != 0 && state->next < state->argc &&
	    state->argv[state->next][0] == '-')
		word = state->argv[state->next];
	if (strncmp(word, "--", 2) == 0) {
		size_t n = strcspn(word + 2, "=");
		bool several;
		const struct argp_option *opt = find_option(word + 2, n, &several);

		if (!opt)
			wrong(p, "unknown option '%s' (see weft --help)", word);
		else if (several)
			wrong(p, "'%s' could be several options; write it out (see weft --help)",
			      word);
		else if (opt->arg)
			wrong(p, "--%s needs a value: --%s=%s", opt->name, opt->name, opt->arg);
		else
			wrong(p, "--%s takes no value", opt->name);
		return;
	}
	for (const char *letter = word + 1; *word == '-' && *letter; letter++) {
		const struct argp_option *opt = known;

		while ((opt->name || opt->doc) && opt->key != *letter)
			opt++;
		if (!opt->name || opt->arg) {
			if (opt->name)
				wrong(p, "-%c needs a value: -%c %s", *letter, *letter, opt->arg);
			else
				wrong(p, "unknown option '-%c' (see weft --help)", *letter);
			return;
		}
	}
	wrong(p, "the options can't be understood (see weft --help)");
}

static error_t parser(int key, char *arg, struct argp_state *state)
{
	struct parse *p = state->input;

	switch (key) {
	case 'h':
	case '?':
	case 'V':
	case KEY_USAGE: return show(p, key);
	case ARGP_KEY_ARG: return read_word(p, arg);
	case ARGP_KEY_ERROR:
		if (p->ends < 0 && !p->why[0])
			explain(p, state);
		return 0;
	default: break;
	}
	int err = read_option(p, key, arg);

	if (!err && p->n_used < sizeof(p->used) / sizeof(*p->used))
		p->used[p->n_used++] = key;
	return err;
}

/* Our options' values stand at the long form only; no note about that. */
static char *filter_help(int key, const char *text, void *input)
{
	(void)input;
	return key == ARGP_KEY_HELP_DUP_ARGS_NOTE ? NULL : (char *)text;
}

static const struct argp argp = {
	.options = known,
	.parser = parser,
	.args_doc = args_doc,
	.doc = doc,
	.help_filter = filter_help,
};

static void check_command(struct parse *p)
{
	unsigned on = 1u << p->o->command;

	for (size_t i = 0; i < p->n_used; i++) {
		unsigned with = ON_TRACE;
		const struct argp_option *opt = known;

		for (size_t k = 0; k < sizeof(goes_with) / sizeof(*goes_with); k++)
			if (goes_with[k].key == p->used[i])
				with = goes_with[k].on;
		while (opt->key != p->used[i])
			opt++;
		if (!(with & on))
			wrong(p, "--%s does not go with weft %s (see weft --help)", opt->name,
			      commands[p->o->command]);
	}
	if (p->o->command == CMD_REPLAY && !p->o->replay_path)
		wrong(p,
		      "replay what? write weft replay FILE (from --record, or a packet capture)");
	if (p->o->command == CMD_TRACE && p->o->n_selectors == 0)
		wrong(p,
		      "nothing selected: choose with -p PID, --service NAME, --cgroup PATH, --exe PATH, --comm NAME or --port N "
		      "('weft list' shows what there is)");
	if (p->o->command == CMD_DOCTOR && p->o->n_selectors > 1)
		wrong(p, "-p %s: doctor judges one process at a time", p->doctor_text);
}

static void settle_names(struct parse *p)
{
	char why[sizeof(p->why)] = "";

	p->o->protocols = name_list__wanted(&p->protocols, &name_list__protocols, why, sizeof(why));
	p->o->libraries = name_list__wanted(&p->libraries, &name_list__libraries, why, sizeof(why));
	if (why[0])
		wrong(p, "%s", why);
}

static void look_at_terminal(struct options *o)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM"),
		   *columns = getenv("COLUMNS");
	bool tty = isatty(STDOUT_FILENO);
	struct winsize size;
	uint64_t width = 0;

	o->color = tty && !(no_color && *no_color) && term && *term && strcmp(term, "dumb") != 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col)
		width = size.ws_col;
	else if (columns)
		value__number(columns, strlen(columns), 1, 10000, &width);
	if (width == 0 || width > 10000)
		width = 80;
	o->columns = width < 40 ? 40 : (int)width;
}

int options__parse(int argc, char **argv, struct options *o)
{
	struct parse p = { .o = o, .ends = -1 };

	*o = (struct options){ .ring_bytes = 8 << 20, .max_conns = 65536 };
	int err = argp_parse(&argp, argc, argv, ARGP_NO_ERRS | ARGP_NO_HELP | ARGP_NO_EXIT, NULL,
			     &p);

	if (p.ends < 0 && err && !p.why[0])
		wrong(&p, "the options can't be understood: %s", strerror(err));
	if (p.ends < 0 && !err) {
		settle_names(&p);
		check_command(&p);
	}
	if (p.ends < 0 && p.why[0]) {
		log_error("%s", p.why);
		p.ends = EXIT_USAGE;
	}
	if (p.ends >= 0) {
		options__free(o);
		return p.ends;
	}
	if (o->command == CMD_DOCTOR && o->n_selectors)
		o->doctor_pid = (int)o->selectors[0].number;
	look_at_terminal(o);
	log__set_level(o->verbose ? LOG_DEBUG : LOG_INFO);
	return -1;
}

void options__free(struct options *o)
{
	key_list__free(&o->baggage);
	free(o->selectors);
	o->selectors = NULL;
	o->n_selectors = 0;
}
