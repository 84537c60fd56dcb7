# SPDX-License-Identifier: GPL-2.0-or-later
"""A live soak: mixed load with connections and processes that come and go. Does weft's memory stay where it is, does the balance
hold, and is there a span for each request?"""
import os
import re
import statistics
import subprocess
import time

import agent
import cost
import loads
import stack
import tracer
from report import head, log, row, say

SAMPLE = 10  # seconds
KEPT, CLOSED, REDIS, HTTPS = 1000, 100, 1000, 200  # requests/s
CHURN = 0.2  # seconds from one process to the next


class Churn:
    """Processes that ask once and end, children of a shell that is traced: so weft sees both ends of what they ask."""
    SCRIPT = 'read go; n=0; while [ ! -e "$1" ]; do curl -sf -o /dev/null "$2" && n=$((n + 1)); sleep "$3"; done; echo $n'

    def __init__(self, url, folder):
        stack.which("curl")
        self.end, self.made = os.path.join(folder, "end"), 0
        self.shell = subprocess.Popen(["sh", "-c", self.SCRIPT, "sh", self.end, url, str(CHURN)], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)

    def go(self):
        self.shell.stdin.write("go\n")
        self.shell.stdin.flush()

    def stop(self):
        with open(self.end, "w", encoding="ascii"):
            self.made = int(self.shell.communicate(timeout=60)[0])


def h2load(shop, seconds):
    """HTTPS at a rate: wrk has none."""
    return [stack.which("h2load"), "--h1", "-c4", f"--rps={HTTPS // 4}", f"-D{seconds}",
            f"https://127.0.0.1:{shop.ports['nginx_tls']}/static"]


def start(argv):
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def requests_of(name, process):
    text = process.communicate(timeout=60)[0]
    if name == "https":
        done = re.search(r"(\d+) total, .* (\d+) done, (\d+) succeeded, (\d+) failed", text)
        if not done or int(done.group(4)):
            raise stack.StackError(f"h2load: {text[-500:]}")
        return int(done.group(2))
    said = dict(re.findall(r"(\w+)=(\d+)", text))
    if said.get("failed") != "0":
        log(f"soak: {name}: {text.strip()}")
    return int(said["requests"])


def sample(weft, clients, seconds):
    """[(minutes since the start, KiB beside the ring)] while the clients run."""
    samples, began = [], time.monotonic()
    while time.monotonic() < began + seconds:
        time.sleep(min(SAMPLE, max(0.1, began + seconds - time.monotonic())))
        samples.append(((time.monotonic() - began) / 60, cost.memory_without_ring_kib(weft.pid)))
        if weft.process.poll() is not None or any(c.poll() for c in clients):
            raise stack.StackError(f"something ended early; weft said: {weft.text()[-1000:]}")
        if len(samples) % 30 == 0:
            log(f"soak: {samples[-1][0]:.0f} minutes, {samples[-1][1]} KiB")
    return samples


def slope(samples):
    """KiB a minute, by least squares."""
    return statistics.linear_regression(*zip(*samples)).slope if len(samples) > 2 else 0


def print_memory(samples):
    head("weft's memory beside the ring", "")
    last = samples[-1][0]
    for share in (0, 0.1, 0.25, 0.5, 0.75, 1):
        at, kib = min(samples, key=lambda s, want=share * last: abs(s[0] - want))
        row(f"after {at:.1f} min", f"{kib / 1024:.2f} MiB")
    late = [s for s in samples if s[0] >= last / 2]
    row("growth in the second half, by least squares", f"{slope(late):+.1f} KiB a minute")
    sizes = [kib / 1024 for _, kib in late]
    row("least and greatest in the second half", f"{min(sizes):.2f} to {max(sizes):.2f} MiB")


def print_balance(weft, asked, curls, used, seconds):
    balance = tracer.Balance(weft.text())
    balance.check()
    say()
    head("what was asked, and what weft made of it", "")
    for name, count in asked.items():
        row(name, count)
    row("processes that asked once", curls)
    # (What is under way when h2load ends it does not count.)
    row("spans there should be (both ends of what those processes ask)", sum(asked.values()) + 2 * curls)
    row("spans made", balance.spans)
    row("events: seen = in spans + lifecycle + dropped",
        f"{balance.seen} = {balance.in_spans} + {balance.lifecycle} + {balance.dropped}")
    for why, count in balance.reasons.items():
        row(f"  dropped: {why}", count)
    for line in weft.errors:
        if "export:" in line:
            row("export", line.split("export:")[1].strip())
    row("weft's CPU", f"{100 * used / 1e9 / seconds:.1f} % of a core")
    row("exit status", weft.status)


def drive(shop, weft, args, seconds):
    """All but the churn, to its end: (samples, {what: requests})."""
    ports = shop.ports
    wanted = {
        "nginx, kept alive": loads.rate_argv(args, ports["nginx"], 32, KEPT, seconds, "http", "/static"),
        "nginx, a connection each": loads.rate_argv(args, ports["nginx"], 8, CLOSED, seconds, "http-close", "/static"),
        "Redis": loads.rate_argv(args, ports["redis"], 16, REDIS, seconds, "redis", "some-key"),
        "https": h2load(shop, seconds),
    }
    clients = {name: start(argv) for name, argv in wanted.items()}
    try:
        samples = sample(weft, clients.values(), seconds)
        return samples, {name: requests_of(name, c) for name, c in clients.items()}
    finally:
        for c in clients.values():
            if c.poll() is None:
                c.kill()
                c.wait()


def run(shop, sink, args, folder, minutes):
    seconds = int(minutes * 60)
    say(f"Soak of {minutes:g} minutes: nginx {KEPT} requests/s over 32 connections and {CLOSED}/s over one each, Redis {REDIS}/s, "
        f"nginx HTTPS {HTTPS}/s, a process that asks once (curl) each {CHURN} s; all of it traced and exported.")
    say()
    churn = Churn(f"{shop.url}/static", folder)
    try:
        traced = agent.pids(churn.shell.pid, *shop.pids.values())
        with agent.running([*traced, "--backend", args.backend, "--otlp", f"{sink.url}/weft", "-v"], folder) as weft:
            churn.go()
            samples, asked = drive(shop, weft, args, seconds)
            churn.stop()
            used = weft.used()
    finally:
        if churn.shell.poll() is None:
            churn.shell.kill()
            churn.shell.wait()
    print_memory(samples)
    print_balance(weft, asked, churn.made, used, seconds)
