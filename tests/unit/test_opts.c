// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The command line: what is understood, and that every wrong one gets exit status 1 and one line
 * that says what to do.
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../user/cli/opts.h"
#include "../../user/probe/table.h"
#include "../../user/proto/proto.h"

/* What the last parse wrote, and to which descriptor. */
static char out[16384], err[4096];

static int redirect(int fd)
{
	int file = memfd_create("capture", MFD_CLOEXEC);
	int saved = dup(fd);

	cr_assert(file >= 0 && saved >= 0);
	dup2(file, fd);
	close(file);
	return saved;
}

static void restore(int fd, int saved, char *buf, size_t size)
{
	ssize_t n = pread(fd, buf, size - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	dup2(saved, fd);
	close(saved);
}

/*
 * Words of `line` are separated by blanks; '' is an empty word. The words live as long as the test.
 */
static int parse(const char *line, struct options *o)
{
	static char copy[1024], weft[] = "weft";
	char *argv[64] = { weft }, *save = NULL;
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = strcmp(w, "''") == 0 ? w + 2 : w;
	fflush(stdout);
	int saved_out = redirect(1), saved_err = redirect(2);
	int status = options__parse(argc, argv, o);

	fflush(stdout);
	restore(1, saved_out, out, sizeof(out));
	restore(2, saved_err, err, sizeof(err));
	return status;
}

static void good(const char *line, struct options *o)
{
	int status = parse(line, o);

	cr_assert_eq(status, -1, "%s: %d, %s", line, status, err);
	cr_assert_str_eq(err, "");
	cr_assert_str_eq(out, "");
}

Test(opts, defaults)
{
	struct options o;

	good("-p 1234", &o);
	cr_assert_eq(o.command, CMD_TRACE);
	cr_assert_eq(o.n_selectors, 1);
	cr_assert_eq(o.selectors[0].kind, SELECT_PID);
	cr_assert_eq(o.selectors[0].number, 1234);
	cr_assert_eq(o.output, OUTPUT_TREE);
	cr_assert_eq(o.backend, KERNEL_BACKEND_AUTO);
	cr_assert_eq(o.ring_bytes, 8 << 20);
	cr_assert_eq(o.max_conns, 65536);
	cr_assert_eq(o.duration_ns, 0);
	cr_assert_eq(o.max_spans, 0);
	cr_assert_eq(o.columns, 80);
	cr_assert_not(o.color, "stdout is a file here");
	cr_assert_not(o.raw_queries);
	cr_assert_eq(o.db_source, CALL_BOTH);
	for (size_t i = 0; protocol__at(i); i++)
		cr_assert(o.protocols >> i & 1);
	options__free(&o);
}

Test(opts, everything)
{
	struct options o;

	good("--cgroup system.slice -p 1,2 --pid=3 --service shop --exe /bin/x --comm nginx --port 80,443 --service-name till "
	     "--otlp https://host:4318/x --record f.weft -o otlp-json --max-spans 7 --backend kprobe --ring-size 512k "
	     "--max-connections 100 --raw-queries --baggage user.id,tenant -vv",
	     &o);
	static const enum selector_kind kinds[] = { SELECT_CGROUP, SELECT_PID,     SELECT_PID,
						    SELECT_PID,    SELECT_SERVICE, SELECT_EXE,
						    SELECT_COMM,   SELECT_PORT,    SELECT_PORT };

	cr_assert_eq(o.n_selectors, sizeof(kinds) / sizeof(*kinds));
	for (size_t i = 0; i < o.n_selectors; i++)
		cr_assert_eq(o.selectors[i].kind, kinds[i]);
	cr_assert_str_eq(o.selectors[0].text, "system.slice");
	cr_assert_eq(o.selectors[3].number, 3);
	cr_assert_eq(o.selectors[8].number, 443);
	cr_assert_str_eq(o.service_name, "till");
	cr_assert_str_eq(o.otlp_endpoint, "https://host:4318/x");
	cr_assert_str_eq(o.record_path, "f.weft");
	cr_assert_eq(o.output, OUTPUT_OTLP_JSON);
	cr_assert_eq(o.max_spans, 7);
	cr_assert_eq(o.backend, KERNEL_BACKEND_KPROBE);
	cr_assert_eq(o.ring_bytes, 512 << 10);
	cr_assert_eq(o.max_conns, 100);
	cr_assert(o.raw_queries);
	cr_assert_str_eq(o.baggage.keys[0], "user.id");
	cr_assert_str_eq(o.baggage.keys[1], "tenant");
	cr_assert_null(o.baggage.keys[2]);
	cr_assert_eq(o.verbose, 2);
	options__free(&o);
}

Test(opts, commands)
{
	struct options o;

	good("replay f.pcap -o json", &o);
	cr_assert_eq(o.command, CMD_REPLAY);
	cr_assert_str_eq(o.replay_path, "f.pcap");
	cr_assert_eq(o.output, OUTPUT_JSON);
	options__free(&o);
	good("-o json replay doctor", &o); /* a file of that name */
	cr_assert_str_eq(o.replay_path, "doctor");
	options__free(&o);
	good("replay -- -x", &o);
	cr_assert_str_eq(o.replay_path, "-x");
	options__free(&o);
	good("doctor", &o);
	cr_assert_eq(o.command, CMD_DOCTOR);
	cr_assert_eq(o.doctor_pid, 0);
	options__free(&o);
	good("doctor -p 12 --backend syscall", &o);
	cr_assert_eq(o.doctor_pid, 12);
	cr_assert_eq(o.backend, KERNEL_BACKEND_SYSCALL);
	options__free(&o);
	good("-v list", &o);
	cr_assert_eq(o.command, CMD_LIST);
	cr_assert_eq(o.verbose, 1);
	options__free(&o);
}

Test(opts, durations)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} cases[] = { { "10", 10000000000 },  { "10s", 10000000000 },  { "500ms", 500000000 },
		      { "2m", 120000000000 }, { "1h", 3600000000000 }, { "1.5s", 1500000000 },
		      { "0.25", 250000000 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char line[64];
		struct options o;

		snprintf(line, sizeof(line), "-p 1 --duration %s", cases[i].text);
		good(line, &o);
		cr_assert_eq(o.duration_ns, cases[i].ns, "%s: %lu", cases[i].text, o.duration_ns);
		options__free(&o);
	}
}

Test(opts, ring_sizes)
{
	static const struct {
		const char *text;
		size_t bytes;
	} cases[] = { { "256K", 256 << 10 },
		      { "262144", 262144 },
		      { "16M", 16 << 20 },
		      { "1G", 1 << 30 },
		      { "1024m", 1 << 30 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char line[64];
		struct options o;

		snprintf(line, sizeof(line), "-p 1 --ring-size=%s", cases[i].text);
		good(line, &o);
		cr_assert_eq(o.ring_bytes, cases[i].bytes);
		options__free(&o);
	}
}

static uint64_t bit_of(const char *name)
{
	for (size_t i = 0; protocol__at(i); i++)
		if (strcmp(protocol__at(i)->name, name) == 0)
			return 1ull << i;
	cr_fatal("no protocol %s", name);
}

static uint64_t protocols(const char *options)
{
	char line[256];
	struct options o;

	snprintf(line, sizeof(line), "-p 1 %s", options);
	good(line, &o);
	options__free(&o);
	return o.protocols;
}

Test(opts, protocol_lists)
{
	uint64_t http = bit_of("http"), postgres = bit_of("postgres"), redis = bit_of("redis"),
		 all = protocols("");

	cr_assert_eq(all & (http | postgres | redis), http | postgres | redis);
	cr_assert_eq(protocols("--protocol http"), http);
	cr_assert_eq(protocols("--protocol http,postgres"), http | postgres);
	cr_assert_eq(protocols("--protocol HTTP --protocol redis"), http | redis);
	cr_assert_eq(protocols("--protocol !redis"), all & ~redis);
	cr_assert_eq(protocols("--protocol !redis,!http"), all & ~redis & ~http);
	cr_assert_eq(protocols("--protocol http,redis,!redis"), http);
	cr_assert_eq(protocols("--protocol !http --protocol http,postgres"), postgres);
}

static uint64_t libraries(const char *options)
{
	char line[256];
	struct options o;

	snprintf(line, sizeof(line), "-p 1 %s", options);
	good(line, &o);
	options__free(&o);
	return o.libraries;
}

Test(opts, library_lists)
{
	uint64_t openssl = probe_table__find("openssl", 7), sqlite = probe_table__find("sqlite", 6),
		 all = probe_table__all();

	cr_assert_eq(libraries(""), all);
	cr_assert_eq(libraries("--libraries all"), all);
	cr_assert_eq(libraries("--libraries none"), 0);
	cr_assert_eq(libraries("--libraries None"), 0);
	cr_assert_eq(libraries("--libraries openssl,SQLite"), openssl | sqlite);
	cr_assert_eq(libraries("--libraries !openssl"), all & ~openssl);
	cr_assert_eq(libraries("--libraries all,!openssl"), all & ~openssl);
	cr_assert_eq(libraries("--libraries none --libraries sqlite"), sqlite);
	cr_assert_eq(libraries("--libraries openssl,!openssl"), 0);
}

/* Wrong lines, and words that the error must hold. */
static const char *const wrong[][2] = {
	{ "", "nothing selected: choose with -p PID" },
	{ "-v", "nothing selected" },
	{ "--protocol http", "nothing selected" },
	{ "--nonsense", "unknown option '--nonsense'" },
	{ "-p 1 -z", "unknown option '-z'" },
	{ "-p 1 -vz", "unknown option '-z'" },
	{ "-p", "-p needs a value: -p PID" },
	{ "-vp", "-p needs a value" },
	{ "-p 1 --duration", "--duration needs a value" },
	{ "-p 1 --raw-queries=yes", "--raw-queries takes no value" },
	{ "-p 1 --ser x", "could be several options" },
	{ "-p x", "-p x: not a process number" },
	{ "-p 0", "not a process number" },
	{ "-p -1", "not a process number" },
	{ "-p 1,", "not a process number" },
	{ "-p 1,,2", "not a process number" },
	{ "-p 12x", "not a process number" },
	{ "-p +1", "not a process number" },
	{ "-p 99999999999999999999999", "not a process number" },
	{ "-p 4194305", "not a process number" },
	{ "-p ''", "not a process number" },
	{ "1234", "to trace a process write -p 1234" },
	{ "trace", "unknown command 'trace'; there are replay, doctor and list" },
	{ "-p 1 frob", "unknown command 'frob'" },
	{ "list frob", "one word too many" },
	{ "replay a b", "one word too many" },
	{ "replay", "weft replay FILE" },
	{ "replay ''", "empty" },
	{ "replay f -p 1", "--pid does not go with weft replay" },
	{ "-p 1 replay f", "--pid does not go with weft replay" },
	{ "replay f --record g", "--record does not go with weft replay" },
	{ "replay f --duration 1s", "--duration does not go with weft replay" },
	{ "replay f --service-name x", "--service-name does not go with weft replay" },
	{ "replay f --backend fentry", "--backend does not go with weft replay" },
	{ "list -p 1", "--pid does not go with weft list" },
	{ "doctor --output json", "--output does not go with weft doctor" },
	{ "doctor -p 1,2", "one process at a time" },
	{ "--port 0", "not a port" },
	{ "--port 65536", "not a port" },
	{ "--port http", "not a port" },
	{ "--service ''", "empty" },
	{ "--exe ''", "empty" },
	{ "-p 1 --service-name ''", "empty" },
	{ "-p 1 --record ''", "empty" },
	{ "-p 1 --output xml", "choose tree, json, otlp-json or none" },
	{ "-p 1 --output ''", "choose tree" },
	{ "-p 1 --otlp localhost:4318", "write http://localhost:4318" },
	{ "-p 1 --otlp http://", "not a URL with a host" },
	{ "-p 1 --otlp http:///x", "not a URL with a host" },
	{ "-p 1 --otlp ftp://x", "not a URL" },
	{ "-p 1 --otlp http://x\ty", "control character" },
	{ "-p 1 --duration 0", "not a time" },
	{ "-p 1 --duration -1s", "not a time" },
	{ "-p 1 --duration 1d", "not a time" },
	{ "-p 1 --duration s", "not a time" },
	{ "-p 1 --duration nan", "not a time" },
	{ "-p 1 --duration 1.2.3s", "not a time" },
	{ "-p 1 --duration 0x10", "not a time" },
	{ "-p 1 --duration 99999999999h", "not a time" },
	{ "-p 1 --duration .", "not a time" },
	{ "-p 1 --max-spans 0", "--max-spans 0" },
	{ "-p 1 --max-spans x", "--max-spans x" },
	{ "-p 1 --ring-size 255K", "from 256K to 1G" },
	{ "-p 1 --ring-size 2G", "from 256K to 1G" },
	{ "-p 1 --ring-size 8MB", "from 256K to 1G" },
	{ "-p 1 --ring-size M", "from 256K to 1G" },
	{ "-p 1 --ring-size 99999999999999999999G", "from 256K to 1G" },
	{ "-p 1 --max-connections 1", "--max-connections 1" },
	{ "-p 1 --max-connections 99999999", "--max-connections" },
	{ "-p 1 --backend ebpf", "choose auto, fentry, kprobe, syscall or tracepoint" },
	{ "-p 1 --libraries gopher", "unknown library 'gopher'; known: openssl, " },
	{ "-p 1 --libraries !none", "unknown library 'none'" },
	{ "-p 1 --libraries ,openssl", "a name is missing" },
	{ "list --libraries none", "does not go with" },
	{ "-p 1 --protocol gopher", "unknown protocol 'gopher'; known: " },
	{ "-p 1 --protocol http,!gopher", "unknown protocol 'gopher'" },
	{ "-p 1 --protocol http,", "a name is missing" },
	{ "-p 1 --protocol !", "a name is missing" },
	{ "-p 1 --protocol ''", "a name is missing" },
	{ "-p 1 --protocol http,!http", "every protocol is left out" },
};

Test(opts, wrong_usage)
{
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct options o;
		int status = parse(wrong[i][0], &o);
		const char *newline = strchr(err, '\n');

		cr_assert_eq(status, EXIT_USAGE, "weft %s: status %d", wrong[i][0], status);
		cr_assert_str_eq(out, "");
		cr_assert(newline && !newline[1] && strncmp(err, "weft: ", 6) == 0,
			  "weft %s: not one line: '%s'", wrong[i][0], err);
		cr_assert_not_null(strstr(err, wrong[i][1]), "weft %s: '%s' has no '%s'",
				   wrong[i][0], err, wrong[i][1]);
	}
}

Test(opts, db_source)
{
	static const struct {
		const char *line;
		enum call_source source;
	} cases[] = {
		{ "-p 1 --db-source both", CALL_BOTH },
		{ "-p 1 --db-source=wire", CALL_WIRE },
		{ "replay x --db-source library", CALL_LIBRARY },
	};
	struct options o;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		good(cases[i].line, &o);
		cr_assert_eq(o.db_source, cases[i].source, "%s", cases[i].line);
		options__free(&o);
	}
	cr_assert_eq(parse("-p 1 --db-source file", &o), EXIT_USAGE);
	cr_assert_not_null(strstr(err, "both, wire or library"));
	cr_assert_eq(parse("list --db-source wire", &o), EXIT_USAGE);
}

Test(opts, unknown_protocol_lists_the_known)
{
	struct options o;

	cr_assert_eq(parse("-p 1 --protocol x", &o), EXIT_USAGE);
	for (size_t i = 0; protocol__at(i); i++)
		cr_assert_not_null(strstr(err, protocol__at(i)->name));
}

Test(opts, help_and_version)
{
	static const char *const lines[] = {
		"--help", "-h", "-?", "-p 1 --help", "doctor --help", "--help --nonsense"
	};
	struct options o;

	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		cr_assert_eq(parse(lines[i], &o), EXIT_DONE, "%s", lines[i]);
		cr_assert_str_eq(err, "");
		cr_assert_not_null(strstr(out, "Usage: weft"));
		cr_assert_not_null(strstr(out, "Exit status"));
	}
	for (const char *line = out; *line; line = strchr(line, '\n') + 1)
		cr_assert_leq(strcspn(line, "\n"), 80, "%.90s", line);
	cr_assert_eq(parse("--version", &o), EXIT_DONE);
	cr_assert_str_eq(out, "weft " WEFT_VERSION "\n");
	cr_assert_eq(parse("--usage", &o), EXIT_DONE);
	cr_assert_not_null(strstr(out, "--protocol"));
}

Test(opts, width)
{
	struct options o;

	setenv("COLUMNS", "120", 1);
	good("-p 1", &o);
	cr_assert_eq(o.columns, 120);
	options__free(&o);
	setenv("COLUMNS", "5", 1);
	good("-p 1", &o);
	cr_assert_eq(o.columns, 40);
	options__free(&o);
	setenv("COLUMNS", "x", 1);
	good("-p 1", &o);
	cr_assert_eq(o.columns, 80);
	options__free(&o);
}

Test(opts, many_selections)
{
	char line[1024] = "-p 1";
	struct options o;

	for (int i = 0; i < 400; i++)
		strcat(line, ",7");
	good(line, &o);
	cr_assert_eq(o.n_selectors, 401);
	options__free(&o);
}
