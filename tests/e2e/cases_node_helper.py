# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases of tests/e2e/run: weft's helper in Node.js (--node-helper): parents under load, what it refuses, and that it goes.

The inspectors open on ports of the kernel's choice (--inspect-port=0): the usual one is the whole machine's.
"""
import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import urllib.request

import stack
import tracer
from cases import Skip, case, expect, expect_ended_well, say
from cases_runtime import CALLS, Load, Service, judge
from cases_tls import need

CALLS["body"] = 3
ROUTES = ("none", "seq", "gather", "timer", "client", "body", "background")
APP = os.path.join(stack.HERE, "app_node.js")


def node():
    """A Node.js that can have a helper."""
    try:
        program = stack.which("node")
    except stack.StackError as e:
        raise Skip(str(e)) from None
    version = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    if int(version[1:].split(".")[0]) < 20:
        raise Skip(f"Node {version}: the helper needs 20 or later")
    return program


class NodeService(Service):
    """app_node.js and what it calls."""

    def __init__(self, out, options=("--inspect-port=0",), words=(), tls=False):
        super().__init__(out, None, tls=tls)
        self.scheme = "https" if tls else "http"
        self.options, self.words, self.node = options, words, node()

    def start(self):
        job, self.port = stack.free_port(), stack.free_port()
        self.spawn(job, stack.PYTHON, os.path.join(stack.HERE, "app_loop.py"), job)
        self.pid = self.spawn(self.port, self.node, *self.options, APP, self.port, job, *self.words)

    def spawn(self, port, *argv):
        with open(self.out, "ab") as out:
            process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                       env=self.env)
        self.processes.append(process)
        stack.wait_until(argv[-1], lambda: stack.connects(port), 30, lambda: process.poll() is None)
        return process.pid

    def state(self):
        with urllib.request.urlopen(f"{self.scheme}://127.0.0.1:{self.port}/state/0", timeout=60 * stack.SLOW,
                                    context=ssl._create_unverified_context()) as answer:
            return answer.read().decode().strip()

    def listens(self):
        """Ports on which the process itself listens."""
        return len({line.split()[-1] for line in subprocess.run(
            ["ss", "-Hltnp"], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines() if f"pid={self.pid}," in line})


def helped(ctx, service, *more):
    return tracer.Tracer(["-p", service.pid, "--backend", ctx.args.backend, "--output", "otlp-json", "--node-helper", *more],
                         ctx.path("spans"))


def under_load(ctx, tls=False):
    with NodeService(ctx.path("made"), tls=tls) as service, Load(service.port, ROUTES, ctx.args.concurrency, tls) as load:
        load.answers(4 * ctx.args.concurrency)
        with helped(ctx, service) as weft:
            weft.wait_attached(60)
            expect("node helper: put into" in weft.text(), weft.text()[-1000:])
            # Behind TLS connections that are older than weft have to have gone.
            load.answers(load.answered + (20 if tls else 4) * ctx.args.concurrency)
            first = load.finish(ctx.args.requests)
            status = weft.stop()
        spans, lost = ctx.spans(), 0
        expect("node helper: gone from" in weft.text() and service.state() == "as before, 0 signals", weft.text()[-1000:])
    if stack.SLOW > 1:
        weft.balance().check(len(spans))
        lost = max(2, sum(n for why, n in weft.balance().reasons.items() if "recursion" in why or "unseen" in why))
    else:
        expect_ended_well(weft, status, spans)
    # (Which session a new connection carries is known a moment late: later where weft has to wait for a CPU.)
    judge(spans, {}, load, first, 0.9 if tls else 0.99, lost)
    expect(not any(s.get("url.path") == "/json/list" for s in spans), "weft's own talk with the inspector was traced")


@case()
def node_helper(ctx):
    """Node.js with weft's helper, saturated: pools, fetch, timers, bodies; attached under load."""
    under_load(ctx)


@case()
def node_helper_https(ctx):
    """The same of an HTTPS server."""
    need("openssl")
    under_load(ctx, tls=True)


@case()
def node_helper_goes(ctx):
    """The helper goes with weft, also when weft is killed, and then all is as before."""
    with NodeService(ctx.path("made")) as service:
        listens = service.listens()
        for end in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
            with helped(ctx, service) as weft:
                weft.wait_attached(60)
                expect("node helper: put into" in weft.text(), weft.text()[-1000:])
                expect(service.state() == "changed, 0 signals" and service.listens() == listens, f"at work: {service.state()}")
                weft.stop(end)
            if end == signal.SIGKILL:
                stack.wait_until("end of the helper", lambda: service.state() == "as before, 0 signals", 60)
            expect(service.state() == "as before, 0 signals", f"after {end.name}: {service.state()}")


def refused(ctx, service, words):
    """weft says why, traces, and has done nothing to the process."""
    before = service.state()
    with helped(ctx, service) as weft:
        weft.wait_attached(60)
        said = weft.text()
        state = service.state()
        status = weft.stop()
    expect(re.search(f"node helper: not put into pid {service.pid}: .*{words}", said), f"{words}: {said[-1000:]}")
    expect(state == service.state() == before, f"{words}: {before}, {state}, {service.state()}")
    expect(status == 0 and [s for s in ctx.spans() if s.get("url.path") == "/state/0"], f"{words}: nothing was traced")


@case()
def node_helper_refuses(ctx):
    """Handlers of their own, debuggers, taken ports: no helper, one line that says why, and no signal."""
    with NodeService(ctx.path("made"), words=("handles-usr1",)) as service:
        refused(ctx, service, "own handler of SIGUSR1")
    with NodeService(ctx.path("made"), options=("--inspect=127.0.0.1:0",)) as service:
        refused(ctx, service, "--inspect")
    knows = subprocess.run([node(), "--disable-sigusr1", "-e", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if knows.returncode == 0:
        with NodeService(ctx.path("made"), options=("--disable-sigusr1",)) as service:
            refused(ctx, service, "--disable-sigusr1")
    with contextlib.ExitStack() as leaving:
        with contextlib.suppress(OSError):  # or somebody else has it: that will do
            taken = leaving.enter_context(socket.socket())
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", 9229))
            taken.listen()
        with NodeService(ctx.path("made"), options=()) as service:
            refused(ctx, service, "another process")


@case()
def node_helper_begins_late(ctx):
    """A Node.js program that begins under weft gets its helper; what is no Node.js is let be."""
    shell = subprocess.Popen(["/bin/sh", "-c", "read go; \"$@\"; read end", "sh", node(), "--inspect-port=0", "-e",
                              "setInterval(() => {}, 1000)"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        with tracer.Tracer(["-p", shell.pid, "--backend", ctx.args.backend, "--output", "none", "--node-helper"],
                           ctx.path("spans")) as weft:
            weft.wait_attached()
            shell.stdin.write(b"\n")
            shell.stdin.flush()
            weft.wait_for("helper", lambda: "node helper: put into pid" in weft.text(), 30)
            child = int(re.search(r"put into pid (\d+)", weft.text()).group(1))
            expect(child != shell.pid, "a shell is no Node.js")
            weft.stop()
            os.kill(child, signal.SIGKILL)
            expect(f"gone from pid {child}" in weft.text() and "not put into" not in weft.text(), weft.text())
            say(weft.text().splitlines()[-1])
    finally:
        shell.kill()
        shell.wait()
