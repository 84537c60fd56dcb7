// SPDX-License-Identifier: GPL-2.0-or-later
#include <locale.h>

#include "cli/opts.h"
#include "lib/log.h"
#include "run/run.h"

int main(int argc, char **argv)
{
	struct options o;

	setlocale(LC_CTYPE, "");
	int status = options__parse(argc, argv, &o);

	if (status >= 0)
		return status;
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
