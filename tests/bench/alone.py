# SPDX-License-Identifier: GPL-2.0-or-later
"""weft by itself: its start, its probes, what a recorded span costs from replay to OTLP, its size."""
import os
import re
import resource
import statistics
import subprocess

import agent
import cost
import loads
import stack
import tracer
from report import row, say


def first_span_ms(shop, args, folder):
    """Time from starting weft to its first output, while requests run."""
    times = []
    wrk = subprocess.Popen([stack.which("wrk"), "-t1", "-c4", "-d600s", f"{shop.url}/static"], stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(args.rounds):
            with tracer.Tracer([*agent.pids(shop.pids["nginx"]), "--output", "otlp-json", "--backend", args.backend],
                               os.path.join(folder, "out"), record=False) as weft:
                weft.wait_output(30)
                times.append(weft.first_output * 1000)
                weft.stop(seconds=60)
    finally:
        wrk.kill()
        wrk.wait()
    return times


def record(shop, args, folder):
    """So many requests that beginning and end of a run do not count; not more, for callgrind takes its time."""
    recording = os.path.join(folder, "bench.weft")
    argv = [*agent.pids(shop.pids["nginx"]), "--record", recording, "--backend", args.backend, "--max-spans",
            "5000" if args.counted else "40000"]
    load = subprocess.Popen(loads.rate_argv(args, shop.ports["nginx"], args.connections, 0, 600, "http", "/static"),
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        with agent.Weft(argv, folder) as weft:
            weft.wait(120)
    finally:
        load.kill()
        load.wait()
    return recording


def replay(recording, *options, env=None, under=()):
    """(CPU ns in user space, stderr)"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*under, tracer.WEFT, "replay", recording, "--output", "none", *options], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False,
                          env={**os.environ, **(env or {})})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) * 1e9, done.stderr


def replay_costs(recording, sink, args):
    """Rows: from recorded events to spans, to OTLP, to OTLP compressed; CPU time and counted instructions a span."""
    forms = (("spans", (), {}), ("OTLP", ("--otlp", f"{sink.url}/replay"), {"OTEL_EXPORTER_OTLP_COMPRESSION": "none"}),
             ("OTLP, gzip", ("--otlp", f"{sink.url}/replay"), {"OTEL_EXPORTER_OTLP_COMPRESSION": "gzip"}))
    for name, options, env in forms:
        runs = [replay(recording, *options, env=env) for _ in range(args.rounds)]
        spans = int(re.search(r"(\d+) spans in", runs[0][1]).group(1))
        each = min(ns for ns, _ in runs) / spans
        row(f"replay, recorded HTTP requests to {name}",
                  f"{each:.0f} {args.unit} a span, {1e9 / each:.0f} spans/s a core (best of {args.rounds}, {spans} spans)")
        if not args.counted:
            _, text = replay(recording, *options, env=env,
                             under=("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"))
            refs = re.search(r"refs: +([\d,]+)", text)
            row("  instructions a span (callgrind)",
                      f"{int(refs.group(1).replace(',', '')) / spans:.0f}" if refs else "not measured: no valgrind")


def binary_size(folder):
    copy = os.path.join(folder, "stripped")
    cost.output_of(["strip", "-o", copy, tracer.WEFT])
    return os.path.getsize(copy)


def tls_pair_ns():
    """ns a pair of SSL_write and SSL_read: {"off": no probes, "start": at the functions' start, "chosen": as weft chooses}."""
    text = cost.output_of([os.path.join(os.path.dirname(tracer.WEFT), "tests", "kernels", "probecost")])
    return {state: int(ns) for state, ns in (line.split() for line in text.splitlines())}


def room(shop, _other, sink, args, folder):
    say("| weft alone | |")
    say("|---|---|")
    if not args.counted:
        times = first_span_ms(shop, args, folder)
        row("start to first span under traffic", f"{statistics.median(times):.0f} ms (at most {max(times):.0f})")
        pair = tls_pair_ns()
        row("SSL_write + SSL_read, 256 B, without probes", f"{pair['off']} ns")
        row("  probes at the functions' start", f"+{pair['start'] - pair['off']} ns")
        row("  probes where weft puts them", f"+{pair['chosen'] - pair['off']} ns")
    replay_costs(record(shop, args, folder), sink, args)
    row("size of the binary, stripped", f"{binary_size(folder) / 1024:.0f} KiB")
