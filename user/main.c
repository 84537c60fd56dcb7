// SPDX-License-Identifier: GPL-2.0-or-later
#include <locale.h>
#include <malloc.h>

#include "cli/opts.h"
#include "lib/log.h"
#include "run/run.h"

int main(int argc, char **argv)
{
	/*
	 * One thread makes nearly all that is allocated; an arena for each of the others would keep
	 * what they once needed.
	 */
	mallopt(M_ARENA_MAX, 1);

	struct options o;
	int status = options__parse(argc, argv, &o);

	if (status >= 0)
		return status;
	if (o.output == OUTPUT_TREE) /* which draws lines */
		setlocale(LC_CTYPE, "");
	log__set_level(o.verbose ? LOG_DEBUG : LOG_INFO);
	switch (o.command) {
	case CMD_TRACE: status = live__run(&o); break;
	case CMD_REPLAY: status = replay__run(&o); break;
	case CMD_DOCTOR: status = doctor__run(&o); break;
	case CMD_LIST: status = list__run(&o); break;
	}
	options__free(&o);
	return status;
}
