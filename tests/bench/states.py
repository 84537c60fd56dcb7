# SPDX-License-Identifier: GPL-2.0-or-later
"""Servers in four states of weft, which take turns: off; tracing some other process; tracing the servers; that, and exporting."""
import contextlib
import os
import re

import agent
import cost
import tracer
from loads import LOADS
from report import costs, log, row, say

STATES = ("off", "not selected", "selected", "exported")


def bystander():
    """{system call: ns} of a process that nobody traces."""
    text = cost.output_of([os.path.join(os.path.dirname(tracer.WEFT), "tests", "kernels", "syscost")])
    return {f"{name}, ns": float(ns) for name, ns in (line.split() for line in text.splitlines())}


def traced(shop, args):
    """PIDs of the servers that weft traces when it does."""
    bystanders = {LOADS[name].service for name in args.loads if LOADS[name].bystander}
    return [pid for name, pid in shop.pids.items() if name not in bystanders]


@contextlib.contextmanager
def weft_in(state, shop, other, sink, args, folder):
    """weft as the state wants it, or None."""
    if state == "off":
        yield None
        return
    selected = agent.pids(other.pid) if state == "not selected" else agent.pids(*traced(shop, args))
    export = ["--otlp", f"{sink.url}/weft"] if state == "exported" else []
    with agent.running([*selected, "--backend", args.backend, "-v", *export], folder) as weft:
        yield weft


def measure(shop, other, sink, args, folder):
    """Rows of every round: {(state, load): [{what: figure}, ...]}, and the last weft of each state with what it served."""
    rows, last = {}, {}
    for name in args.loads:  # the first of it is slower, and is nobody's
        LOADS[name].run(shop, args)
    for number in range(args.rounds):
        log(f"servers: round {number + 1} of {args.rounds}")
        for state in STATES:
            with weft_in(state, shop, other, sink, args, folder) as weft:
                count = 0
                for name in args.loads:
                    load = LOADS[name]
                    before = cost.cpu_ns(shop.pids[load.service])
                    requests, figures = load.run(shop, args)
                    figures[f"CPU {args.unit}/request"] = (cost.cpu_ns(shop.pids[load.service]) - before) / requests
                    rows.setdefault((state, name), []).append(figures)
                    count += 0 if load.bystander else requests
                    if weft:
                        weft.look()
                if not args.counted:
                    rows.setdefault((state, "bystander"), []).append(bystander())
            last[state] = weft, count
    return rows, last


def report(rows, last, args):
    titles = {name: LOADS[name].title for name in args.loads}
    if not args.counted:
        titles["bystander"] = "a process that nobody traces, nor shares a file with"
    costs(rows, STATES, titles)
    say()
    say("| weft beside these servers | |")
    say("|---|---|")
    for state in ("selected", "exported"):
        weft, served = last[state]
        row(f"weft's own CPU, {args.unit} a request, {state}", f"{weft.cpu / max(1, served):.0f}")
        row(f"weft's memory beside the ring, {state}", f"{max(weft.resident) / 1024:.1f} MiB")
        row(f"exit status, {state} (3: something was lost)", weft.status)
    say()
    say("weft's own figures of the last run (selected, exported):")
    say()
    for line in last["exported"][0].errors:
        if not re.search(r"debug: (attached|pid)", line):
            say("    " + line)


def room(shop, other, sink, args, folder):
    report(*measure(shop, other, sink, args, folder), args)
