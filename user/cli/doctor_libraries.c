// SPDX-License-Identifier: GPL-2.0-or-later
#include "doctor_libraries.h"

#include <stdio.h>
#include <string.h>

#include "../probe/node_helper.h"
#include "../probe/probe.h"
#include "../probe/table.h"
#include "rows.h"

#define RING_BYTES (64u << 10) /* nobody is selected, so nothing comes */

struct shown {
	const struct options *o;
	unsigned files;
	bool tls; /* a function of a library that encrypts is attached */
};

static bool encrypts(const char *title)
{
	for (size_t i = 0; probe_table[i]; i++)
		if (strcmp(probe_table[i]->title, title) == 0)
			return probe_table[i]->area == PROBE_AREA_TLS;
	return false;
}

static void show_file(struct shown *s, const struct probe_report *r)
{
	if (r->why[0])
		rows__add(s->o, ROW_WITHOUT, r->library, NULL, "%s: %s", r->path, r->why);
	else
		rows__add(s->o, r->attached || r->on_demand ? ROW_GOOD : ROW_WITHOUT, r->library,
			  NULL, "%s%s%s%s", r->path, r->build_id[0] ? " (build id " : "",
			  r->build_id, r->build_id[0] ? ")" : "");
	s->files++;
}

/* "crypto/tls.(*Conn).Read": its library is named in the row above, so "Read" says enough. */
static const char *short_name(const char *symbol)
{
	const char *dot = strrchr(symbol, '.');

	return dot ? dot + 1 : symbol;
}

static void show(void *ctx, const struct probe_report *r)
{
	struct shown *s = ctx;
	char label[64], offset[32] = "";

	if (!r->symbol) {
		show_file(s, r);
		return;
	}
	snprintf(label, sizeof(label), "  %s", short_name(r->symbol));
	if (s->o->verbose)
		snprintf(offset, sizeof(offset), "at 0x%llx: ", (unsigned long long)r->offset);
	if (r->attached || (r->on_demand && !r->why[0]))
		rows__add(s->o, ROW_GOOD, label, NULL, "%s%s%s", offset, r->place,
			  r->on_demand ? "; when needed" : "");
	else
		rows__add(s->o, ROW_WITHOUT, label, NULL, "not watched: %s", r->why);
	s->tls |= r->attached && encrypts(r->library);
}

/* Only for what looks like Node.js. */
static void show_node_helper(const struct options *o, struct kernel *k, pid_t pid)
{
	char why[256];

	if (!node_helper__is_node(pid))
		return;
	if (node_helper__possible(k, pid, why, sizeof(why)))
		rows__add(o, ROW_WITHOUT, "Node helper",
			  "parents as far as they are seen from outside",
			  "--node-helper can't be used: %s", why);
	else
		rows__add(
			o, ROW_GOOD, "Node helper", NULL,
			"--node-helper can be used (it opens the process's inspector for a moment)");
}

bool doctor__libraries(const struct options *o, pid_t pid, bool possible)
{
	struct kernel_config cfg = {
		.backend = o->backend, .ring_bytes = RING_BYTES, .max_conns = 1, .node_helper = true
	};
	struct shown s = { .o = o };
	struct kernel *k = NULL;
	char why[512] = "no back end works here";

	rows__heading(o, "Libraries");
	if (!o->libraries) {
		rows__add(o, ROW_WITHOUT, "functions", NULL, "not watched: --libraries none");
		return false;
	}
	if (!possible || kernel__open(&cfg, &k, why, sizeof(why)) < 0) {
		rows__add(o, ROW_WITHOUT, "functions", NULL, "can't be watched: %s", why);
		return false;
	}
	struct probes *p = probes__new(k, o->libraries);

	if (p) {
		probes__look(p, pid);
		probes__report(p, pid, show, &s);
		probes__free(p);
	}
	if (!s.files)
		rows__add(o, ROW_GOOD, "none", NULL,
			  "the process has none mapped whose functions weft watches");
	show_node_helper(o, k, pid);
	kernel__close(k);
	return s.tls;
}
