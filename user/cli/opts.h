/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cli/: the command line. opts.c is the only place that writes struct options; all others get it
 * const.
 */
#ifndef WEFT_OPTS_H
#define WEFT_OPTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../call/call.h"
#include "../kernel/kernel.h"
#include "../lib/version.h"
#include "../target/target.h"
#include "key_list.h"

/* Exit status of the program. */
enum weft_exit {
	EXIT_DONE = 0,
	EXIT_USAGE = 1,      /* wrong usage */
	EXIT_IMPOSSIBLE = 2, /* not possible here: privilege, kernel, no such process or file */
	EXIT_LOST = 3,       /* something was lost or failed on the way out */
};

enum command { CMD_TRACE, CMD_REPLAY, CMD_DOCTOR, CMD_LIST };
enum output { OUTPUT_TREE, OUTPUT_JSON, OUTPUT_OTLP_JSON, OUTPUT_NONE };

struct options {
	enum command command;
	struct selector *selectors; /* in the order given */
	size_t n_selectors;
	const char *service_name;   /* --service-name */
	uint64_t protocols;         /* bit i: protocol__at(i) is wanted */
	enum call_source db_source; /* --db-source */
	uint64_t libraries;         /* bit i: functions of probe_table[i] are watched */
	enum output output;
	const char *otlp_endpoint;   /* --otlp; NULL: OTEL_EXPORTER_OTLP_ENDPOINT etc. decide */
	const char *record_path;     /* --record */
	const char *replay_path;     /* weft replay FILE */
	uint64_t duration_ns;        /* --duration; 0: until told to stop */
	uint64_t max_spans;          /* --max-spans: stop after so many; 0: no limit */
	enum kernel_backend backend; /* --backend */
	size_t ring_bytes;           /* --ring-size, default 8 MiB */
	uint32_t max_conns;          /* --max-connections, default 65536 */
	bool raw_queries;            /* --raw-queries: literals in query texts stay */
	struct key_list baggage;     /* --baggage: these become attributes */
	/* --trace-instrumented: spans also of processes that export their own */
	bool trace_instrumented;
	bool propagate_tcp; /* --propagate=tcp: trace context goes out in a TCP option */
	bool node_helper;   /* --node-helper: a script is put into Node.js processes */
	int verbose;        /* -v, repeatable */
	bool color;         /* stdout is a terminal, NO_COLOR unset, TERM is not dumb */
	int columns;        /* width of the terminal; 80 if it is none */
	int doctor_pid;     /* weft doctor -p PID; 0 none */
};

/*
 * Parse. Returns -1 to go on, or an exit status when the program shall end now (help, version:
 * EXIT_DONE; wrong usage: EXIT_USAGE, after one line on stderr that says why).
 */
int options__parse(int argc, char **argv, struct options *o);
void options__free(struct options *o);

/* weft doctor, weft list: print to stdout, return an exit status. */
int doctor__run(const struct options *o);
int list__run(const struct options *o);

#endif /* WEFT_OPTS_H */
