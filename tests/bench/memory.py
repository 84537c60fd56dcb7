# SPDX-License-Identifier: GPL-2.0-or-later
"""weft's memory, by how many connections it follows: nginx at a fixed rate of spans, all exported."""
import statistics
import subprocess
import time

import agent
import loads
import stack
from report import head, log, row, say

PER_SECOND = 10000  # requests, a span each
CONNECTIONS = (32, 1000, 4000)
SAMPLE = 0.5        # seconds
MIB = 1024


def drive(weft, argv, seconds):
    """What rate.c printed; looks at weft's memory in the second half."""
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as load:
        try:
            began = time.monotonic()
            while load.poll() is None:
                if time.monotonic() > began + seconds / 2:
                    weft.look()
                time.sleep(SAMPLE)
            return load.stdout.read()
        finally:
            if load.poll() is None:
                load.kill()


def room(shop, _other, sink, args, folder):
    seconds = args.memory_seconds
    say(f"Memory beside the ring: nginx, {PER_SECOND} requests/s, a span each, exported; looked at every {SAMPLE} s of the second "
        f"half of {seconds} s.")
    say()
    head("connections", "idle, MiB", "under load, MiB: median", "greatest", "spans/s", "weft's CPU, ns a span")
    for connections in CONNECTIONS:
        log(f"memory: {connections} connections")
        argv = [*agent.pids(shop.pids["nginx"]), "--backend", args.backend, "--otlp", f"{sink.url}/weft"]
        with agent.running(argv, folder) as weft:
            time.sleep(2)  # what starting needed is given back
            weft.look()
            idle = weft.resident.pop()
            text = drive(weft, loads.rate_argv(args, shop.ports["nginx"], connections, PER_SECOND, seconds, "http", "/static"),
                         seconds)
        requests, figures = loads.rate_figures(text)
        if not weft.resident:
            raise stack.StackError("the load ended early")
        row(connections, f"{idle / MIB:.1f}", f"{statistics.median(weft.resident) / MIB:.1f}",
            f"{max(weft.resident) / MIB:.1f}", f"{figures['requests/s']:.0f}", f"{weft.cpu / requests:.0f}")
