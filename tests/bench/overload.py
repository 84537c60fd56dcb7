# SPDX-License-Identifier: GPL-2.0-or-later
"""Too much for weft: what is lost, is it counted, does the target wait?

No load that this machine can make is ten times what a core takes of weft's work, so weft gets less than a core: it is stopped
(SIGSTOP) whenever it has used more than its share of one. 1x is what that share takes by weft's CPU time a request at full speed.
The ring is small (1 MiB), so that a step of seconds is longer than what it can put off."""
import os
import signal
import threading

import agent
import cost
import loads
import tracer
from report import head, log, row, say

FACTORS = (1, 2, 5, 10)
PER_SECOND = 2000  # requests, at 1x
RING = "1M"
EVENTS = 2         # a request: nginx reads it, and writes the answer


class Share:
    """Lets a process run for a share of one core only, by its CPU time, while in the with block."""

    def __init__(self, pid, share):
        self.pid, self.share, self.leaving = pid, share, threading.Event()
        self.thread = threading.Thread(target=self.drive)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.leaving.set()
        self.thread.join()

    def drive(self):
        used, began = cost.cpu_ns(self.pid), agent.now_ns()
        try:
            while not self.leaving.wait(0.002):
                spent, due = cost.cpu_ns(self.pid) - used, (agent.now_ns() - began) * self.share
                os.kill(self.pid, signal.SIGSTOP if spent > due else signal.SIGCONT)
        finally:
            os.kill(self.pid, signal.SIGCONT)


def on_one_core(pid):
    core = {max(os.sched_getaffinity(0))}
    for tid in os.listdir(f"/proc/{pid}/task"):
        os.sched_setaffinity(int(tid), core)


def run(shop, sink, args, folder, per_second, share=None):
    """(weft, requests, figures) of a load with weft, on a share of a core."""
    argv = [*agent.pids(shop.pids["nginx"]), "--backend", args.backend, "--otlp", f"{sink.url}/weft"]
    with agent.running(argv + (["--ring-size", RING] if share else []), folder) as weft:
        on_one_core(weft.pid)
        if share:
            with Share(weft.pid, share):
                requests, figures = load(shop, args, per_second)
        else:
            requests, figures = load(shop, args, per_second)
    return weft, requests, figures


def load(shop, args, per_second):
    return loads.at_rate(args, shop.ports["nginx"], 64, per_second, args.overload_seconds, "http", "/static")


def print_step(factor, lifecycle, off, weft, requests, on):
    balance = tracer.Balance(weft.text())
    balance.check()
    happened, told = EVENTS * requests + lifecycle, balance.seen
    row(f"{factor}x", f"{off['requests/s']:.0f} / {on['requests/s']:.0f}", f"{off['p50, ms']:.2f} / {on['p50, ms']:.2f}",
        f"{off['p99, ms']:.2f} / {on['p99, ms']:.2f}", happened, told, f"{told - happened:+d}",
        f"{balance.dropped} ({100 * balance.dropped / max(1, told):.1f} %)", balance.spans,
        "; ".join(f"{n} {why}" for why, n in balance.reasons.items()))


def room(shop, _other, sink, args, folder):
    log("overload: how much can weft take")
    weft, requests, _ = run(shop, sink, args, folder, 0)
    balance = tracer.Balance(weft.text())
    each, lifecycle = weft.cpu / requests, balance.seen - EVENTS * requests
    share = PER_SECOND * each / 1e9
    say(f"Overload: nginx, 64 connections at a fixed rate for {args.overload_seconds} s. weft takes {each:.0f} ns a request at full "
        f"speed; it gets {100 * share:.1f} % of one core, which is {PER_SECOND} requests/s (1x), and a ring of {RING}. Events that "
        f"happened: {EVENTS} a request, and {lifecycle} of connections and processes that come and go, counted in a run at full "
        f"speed, which lost {balance.dropped}.")
    say()
    head("load", "requests/s without/with weft", "p50, ms", "p99, ms", "events that happened", "events seen", "difference",
         "dropped", "spans made", "reasons")
    for factor in FACTORS:
        log(f"overload: {factor}x")
        _, off = load(shop, args, factor * PER_SECOND)
        print_step(factor, lifecycle, off, *run(shop, sink, args, folder, factor * PER_SECOND, share))
