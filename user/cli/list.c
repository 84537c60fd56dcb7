// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * weft list: processes that could be traced: those that listen on a port, use a known library, or
 * run in a known runtime. Workers are counted with the process that they belong to, as -p takes
 * descendants along. -v lists every process by itself.
 */
#include "opts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/log.h"
#include "../probe/table.h"
#include "text.h"

enum column {
	COLUMN_PID,
	COLUMN_PROCESSES,
	COLUMN_SERVICE,
	COLUMN_RUNTIME,
	COLUMN_PORTS,
	COLUMN_LIBRARIES,
	COLUMNS
};

static const struct {
	const char *title;
	size_t min; /* columns that it keeps when the line gets narrow */
} columns[COLUMNS] = {
	[COLUMN_PID] = { "PID", 7 },          [COLUMN_PROCESSES] = { "N", 3 },
	[COLUMN_SERVICE] = { "SERVICE", 16 }, [COLUMN_RUNTIME] = { "RUNTIME", 13 },
	[COLUMN_PORTS] = { "PORTS", 11 },     [COLUMN_LIBRARIES] = { "LIBRARIES", 12 },
};

#define CELL_MAX 256
#define GAP 2

struct line {
	struct process_info p;
	unsigned processes; /* itself and what is folded into it */
	bool folded;
};

struct lines {
	const struct options *o;
	struct line *v;
	size_t n, size;
	unsigned opaque;
	bool no_memory;
};

static bool interesting(const struct process_info *p)
{
	static const char *const plain[] = { "c", "cpp", "rust" };

	if (p->n_ports || p->n_libs)
		return true;
	for (size_t i = 0; p->language && i < sizeof(plain) / sizeof(*plain); i++)
		if (strcmp(p->language, plain[i]) == 0)
			return false;
	return p->language != NULL;
}

static bool take(void *ctx, pid_t pid)
{
	struct lines *l = ctx;
	struct line line = { .processes = 1 };

	if (pid == getpid() || process_info__read(pid, NULL, true, &line.p) != 0)
		return true;
	l->opaque += line.p.opaque;
	if (!l->o->verbose && !interesting(&line.p)) {
		process_info__free(&line.p);
		return true;
	}
	if (l->n == l->size) {
		struct line *more = realloc(l->v, (l->size + 128) * sizeof(*more));

		if (!more) {
			process_info__free(&line.p);
			l->no_memory = true;
			return false;
		}
		l->v = more;
		l->size += 128;
	}
	l->v[l->n++] = line;
	return true;
}

/* In PID order, as they came. */
static struct line *find(const struct lines *l, pid_t pid)
{
	size_t from = 0, to = l->n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (l->v[mid].p.pid == pid)
			return &l->v[mid];
		if (l->v[mid].p.pid < pid)
			from = mid + 1;
		else
			to = mid;
	}
	return NULL;
}

static bool same_program(const struct process_info *a, const struct process_info *b)
{
	return strcmp(a->service, b->service) == 0 && a->exe && b->exe &&
	       strcmp(a->exe, b->exe) == 0;
}

static void fold(struct lines *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct line *top = &l->v[i];

		/* bounded, should parents form a ring: they were not all read at one instant */
		for (size_t up = 0; up < l->n; up++) {
			struct line *parent = find(l, top->p.ppid);

			if (!parent || parent == top || !same_program(&parent->p, &top->p))
				break;
			top = parent;
		}
		if (top != &l->v[i] && !top->folded) {
			l->v[i].folded = true;
			top->processes++;
		}
	}
}

static void append(char *cell, const char *separator, const char *text)
{
	size_t used = strlen(cell);

	snprintf(cell + used, CELL_MAX - used, "%s%s", used ? separator : "", text);
}

/* nodejs 20.11.0; go 1.22.3 (which calls itself go1.22.3) */
static void runtime_cell(const struct process_info *p, char *cell)
{
	const char *version = p->runtime_version;

	append(cell, "", p->language ? p->language : "");
	if (version && strncmp(version, "go", 2) == 0)
		version += 2;
	if (version)
		append(cell, " ", version);
}

static void fill_cell(const struct line *line, enum column c, char *cell)
{
	const struct process_info *p = &line->p;
	char text[16];

	cell[0] = '\0';
	switch (c) {
	case COLUMN_PID: snprintf(cell, CELL_MAX, "%7d", p->pid); break;
	case COLUMN_PROCESSES: snprintf(cell, CELL_MAX, "%3u", line->processes); break;
	case COLUMN_SERVICE: append(cell, "", p->service); break;
	case COLUMN_RUNTIME: runtime_cell(p, cell); break;
	case COLUMN_PORTS:
		for (unsigned i = 0; i < p->n_ports; i++) {
			snprintf(text, sizeof(text), "%u", p->ports[i]);
			append(cell, " ", text);
		}
		break;
	case COLUMN_LIBRARIES:
		for (unsigned i = 0; i < p->n_libs; i++)
			append(cell, " ", p->libs[i]);
		break;
	case COLUMNS: break;
	}
}

/* What each column wants; then, from the right, columns give way until the line fits. */
static void measure(const struct lines *l, size_t room, size_t width[COLUMNS])
{
	char cell[CELL_MAX];
	size_t sum = (COLUMNS - 1) * GAP;

	for (int c = 0; c < COLUMNS; c++) {
		width[c] = c <= COLUMN_PROCESSES ? columns[c].min : text__width(columns[c].title);
		for (size_t i = 0; i < l->n; i++) {
			if (l->v[i].folded)
				continue;
			fill_cell(&l->v[i], (enum column)c, cell);
			if (text__width(cell) > width[c])
				width[c] = text__width(cell);
		}
		sum += width[c];
	}
	for (int c = COLUMNS - 1; c >= COLUMN_SERVICE && sum > room; c--) {
		size_t spare = width[c] > columns[c].min ? width[c] - columns[c].min : 0;
		size_t give = sum - room < spare ? sum - room : spare;

		width[c] -= give;
		sum -= give;
	}
}

static void print_line(const struct line *line, const size_t width[COLUMNS])
{
	char cell[CELL_MAX];
	int last = COLUMNS - 1;

	/* no blanks at the end of a line */
	for (; last > 0 && line; last--) {
		fill_cell(line, (enum column)last, cell);
		if (*cell)
			break;
	}
	for (int c = 0; c <= last; c++) {
		if (line)
			fill_cell(line, (enum column)c, cell);
		else
			snprintf(cell, sizeof(cell), "%*s",
				 c <= COLUMN_PROCESSES ? (int)columns[c].min : 0, columns[c].title);
		if (c)
			printf("%*s", GAP, "");
		size_t n = text__width(cell);

		text__cell(cell, c == last && n < width[c] ? n : width[c]);
	}
	putchar('\n');
}

int list__run(const struct options *o)
{
	struct lines l = { .o = o };
	size_t width[COLUMNS], shown = 0;
	/* For programs that read it nothing is cut. */
	bool whole = !isatty(STDOUT_FILENO) && !getenv("COLUMNS");

	process_info__watch_libraries(probe_table__sonames());
	int err = processes__each(take, &l);

	if (err || l.no_memory) {
		log_error("processes can't be listed: %s", strerror(err ? -err : ENOMEM));
		err = EXIT_IMPOSSIBLE;
	}
	if (!o->verbose)
		fold(&l);
	measure(&l, whole ? SIZE_MAX : (size_t)o->columns, width);
	if (o->color)
		printf("\033[1m");
	print_line(NULL, width);
	if (o->color)
		printf("\033[0m");
	for (size_t i = 0; i < l.n; i++) {
		if (!l.v[i].folded) {
			print_line(&l.v[i], width);
			shown++;
		}
	}
	fflush(stdout);
	if (!shown)
		log_info("no process here looks like a service ('weft list -v' shows all)");
	if (l.opaque && geteuid() != 0)
		log_info(
			"%u of all processes can't be looked into without root: ports and libraries are missing",
			l.opaque);
	else if (l.opaque)
		log_debug("%u of all processes can't be looked into, even by root", l.opaque);
	for (size_t i = 0; i < l.n; i++)
		process_info__free(&l.v[i].p);
	free(l.v);
	return err ? err : EXIT_DONE;
}
