# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases of tests/e2e/run: --propagate=tcp. Two network namespaces are two hosts, each with a service and a weft of its own, which
knows nothing of the other's processes. The truth is in the paths: the call /r7/0 is one that request /r7 made."""
import contextlib
import os
import subprocess

import app_relay
import stack
import tracer
import truth
from cases import Skip, case, expect, say

APP = os.path.join(stack.HERE, "app_relay.py")
ADDRESS = {"a": "10.213.9.1", "b": "10.213.9.2"}
PORT = 8000
REQUESTS, CONCURRENCY = 120, 8


class Hosts:
    """Namespaces a and b, joined by a pair of veth; host a's relay calls host b's."""

    def __enter__(self):
        self.names = {h: f"weft-{os.getpid()}-{h}" for h in ADDRESS}
        self.processes, self.made, self.pids = [], [], {}
        try:
            self.make()
            self.serve("b")
            self.serve("a", ADDRESS["b"], PORT)
        except BaseException:
            self.__exit__()
            raise
        return self

    def ip(self, *argv):
        done = subprocess.run([self.tool, *map(str, argv)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Skip(f"ip {' '.join(map(str, argv))}: {done.stderr.strip()}")

    def make(self):
        try:
            self.tool = stack.which("ip")
        except stack.StackError as e:
            raise Skip(str(e)) from None
        for name in self.names.values():
            self.ip("netns", "add", name)
            self.made.append(name)
        a, b = self.names["a"], self.names["b"]
        self.ip("link", "add", "weft0", "netns", a, "type", "veth", "peer", "name", "weft0", "netns", b)
        for host, name in self.names.items():
            self.ip("-n", name, "addr", "add", f"{ADDRESS[host]}/24", "dev", "weft0")
            for device in ("lo", "weft0"):
                self.ip("-n", name, "link", "set", device, "up")

    def command(self, host, *argv):
        return [self.tool, "netns", "exec", self.names[host], stack.PYTHON, APP, *map(str, argv)]

    def serve(self, host, *upstream):
        process = subprocess.Popen(self.command(host, "serve", ADDRESS[host], PORT, *upstream), stdin=subprocess.DEVNULL)
        self.processes.append(process)
        self.pids[host] = process.pid
        # the process's own view of its namespace: its server listens (state 0A)
        stack.wait_until(f"relay on {host}", lambda: self.listens(process.pid), 30, lambda: process.poll() is None)

    @staticmethod
    def listens(pid, port=PORT):
        try:
            with open(f"/proc/{pid}/net/tcp", encoding="ascii") as f:
                return any(line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A" for line in list(f)[1:])
        except OSError:
            return False

    def load(self):
        done = subprocess.run(self.command("a", "load", ADDRESS["a"], PORT, REQUESTS, CONCURRENCY), capture_output=True, text=True,
                              timeout=120 * tracer.SLOW, check=False)
        expect(done.returncode == 0 and done.stdout.strip() == "0", f"answers were wrong: {done.stdout} {done.stderr[-500:]}")

    def __exit__(self, *_):
        for p in self.processes:
            p.kill()
            p.wait()
        for name in self.made:
            subprocess.run([self.tool, "netns", "del", name], check=False)


def run(context, hosts, options):
    """The load, with a weft on each host; the spans of each."""
    with contextlib.ExitStack() as all_of:
        wefts = {h: all_of.enter_context(tracer.Tracer(
            ["-p", hosts.pids[h], "--backend", context.args.backend, "-o", "otlp-json", *options[h]], context.path(f"spans-{h}")))
            for h in ADDRESS}
        for w in wefts.values():
            w.wait_attached()
        hosts.load()
        for w in wefts.values():
            expect(w.stop() == 0, f"weft failed: {w.text()[-1000:]}")
    spans = {}
    for h in ADDRESS:
        with open(context.path(f"spans-{h}"), encoding="utf-8") as f:
            spans[h] = truth.read_otlp(f)
    return spans, wefts


def path_of(span):
    return span.get("url.path") or "/" + span.get("url.full").split("/", 3)[3].split("?")[0]


def judge(spans):
    """Calls as host b saw them: right parent in the right trace, right parent in another trace, wrong, none."""
    by_id = {s.id: s for s in spans["a"]}
    right = other_trace = wrong = none = 0
    for s in spans["b"]:
        parent = by_id.get(s.parent)
        if not s.parent:
            none += 1
        elif not parent or path_of(parent) != path_of(s):
            wrong += 1
        elif parent.trace != s.trace:
            other_trace += 1
        else:
            right += 1
    return right, other_trace, wrong, none


def possible():
    _, out, _ = tracer.run("doctor")
    lines = [line for line in out.splitlines() if "TCP option" in line]
    if not lines or "attached at" not in lines[0]:
        raise Skip(f"no TCP options here: {lines[0].strip() if lines else 'doctor does not know of them'}")


@case()
def propagate_tcp(context):
    """Two hosts, one weft on each: the calls that one makes are the parents of what the other serves."""
    possible()
    calls = sum(app_relay.calls_of(n) for n in range(REQUESTS))
    with Hosts() as hosts:
        spans, wefts = run(context, hosts, {h: ["--propagate=tcp"] for h in ADDRESS})
        right, other_trace, wrong, none = judge(spans)
        say(f"calls {calls}: right {right}, right but in another trace {other_trace}, wrong {wrong}, none {none}")
        expect("TCP option" in wefts["a"].text(), "the log does not name it")
        expect(wrong == 0, f"{wrong} wrong parents")
        expect(right >= calls * 0.95, f"only {right} of {calls} calls have their parent")
        # host a's own trees are whole, whatever was sent
        ids = {s.id: s for s in spans["a"]}
        made = [s for s in spans["a"] if s.kind == 3]
        whole = sum(1 for s in made if s.parent in ids and ids[s.parent].trace == s.trace)
        expect(whole >= calls * 0.95, f"only {whole} of {calls} calls have their request on host a")

        # weft is gone, and so is what it did; and without the option there is nothing to receive
        spans, _ = run(context, hosts, {"a": [], "b": ["--propagate=tcp"]})
        right, other_trace, wrong, none = judge(spans)
        say(f"sent without: right {right + other_trace}, wrong {wrong}, none {none}")
        expect(right + other_trace + wrong == 0, "parents over hosts, though nothing was to be sent")
        expect(none >= calls * 0.95, f"only {none} of {calls} calls were seen")
