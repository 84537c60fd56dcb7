# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases of tests/e2e/run: parents that the runtime itself tells, where nothing else can: saturated asyncio services.

The truth is in the names: what is called for request 7 of /seq is called seq-7-0, and so on. Only this file reads that. Commands
of redis have no names in their spans; there it is the connection and the time, which the service tells.
"""
import collections
import contextlib
import http.client
import json
import os
import random
import re
import signal
import ssl
import subprocess
import threading

import stack
import tls_stack
import tracer
import truth
from cases import case, expect, expect_ended_well, say
from cases_tls import need, need_python

NAME = re.compile(r"\b([a-z]+)-(\d+)-(\d+)\b")
CALLS = {"none": 0, "seq": 3, "gather": 3, "timer": 1, "thread": 1, "background": 1, "sync": 1, "redis": 2, "client": 2,
         "fresh": 1}


class Service:
    """app_units.py, what it calls, and Redis if it is there; .pid is the app's."""

    def __init__(self, out, form, python=stack.PYTHON, redis=True, tls=False):
        self.out, self.form, self.python, self.with_redis, self.env = out, form, python, redis, None
        if tls:
            certificate, key = out + ".cert.pem", out + ".key.pem"
            tls_stack.make_certificate(certificate, key)
            self.env = dict(os.environ, TLS_CERTIFICATE=certificate, TLS_KEY=key)

    def __enter__(self):
        self.processes = []
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        job, self.port = stack.free_port(), stack.free_port()
        self.spawn(job, stack.PYTHON, os.path.join(stack.HERE, "app_loop.py"), job)
        more = []
        if self.with_redis:
            redis = stack.free_port()
            self.spawn(redis, stack.which("redis-server"), "--port", redis, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
            more = [redis]
        self.pid = self.spawn(self.port, self.python, os.path.join(stack.HERE, "app_units.py"), self.form, self.port, job, *more)

    def spawn(self, port, *argv):
        with open(self.out, "wb") as out:
            process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, env=self.env)
        self.processes.append(process)
        stack.wait_until(argv[1], lambda: stack.connects(port), 30, lambda: process.poll() is None)
        return process.pid

    def __exit__(self, *_):
        for p in reversed(self.processes):
            p.send_signal(signal.SIGKILL)
            p.wait()

    def commands(self):
        """What redis was asked: by port, (begin, end, route, request)."""
        found = collections.defaultdict(list)
        with open(self.out, encoding="utf-8") as f:
            for name, port, begin, end in map(str.split, f):
                route, request, _ = name.split("-")
                found[int(port)].append((int(begin), int(end), route, int(request)))
        return found


class Load:
    """So many connections that each ask for one thing after the other, by chance; every fourth answer ends a connection, unless
    they are kept."""

    def __init__(self, port, routes, concurrency, tls=False, kept=False):
        self.port, self.routes, self.lock, self.kept = port, routes, threading.Condition(), kept
        self.tls = ssl._create_unverified_context() if tls else None
        self.asked, self.answered, self.limit, self.failed = [], 0, None, []
        self.random = random.Random(7)
        self.threads = [threading.Thread(target=self.ask) for _ in range(concurrency)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        with self.lock:
            self.limit = 0
        for t in self.threads:
            t.join()

    def next(self):
        with self.lock:
            if self.limit is not None and len(self.asked) >= self.limit:
                return None
            self.asked.append(self.random.choice(self.routes))
            return len(self.asked) - 1, self.asked[-1]

    def connection(self):
        more = {"timeout": 180 * stack.SLOW}
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls, **more)
        return http.client.HTTPConnection("127.0.0.1", self.port, **more)

    def ask(self):
        try:
            with contextlib.closing(self.connection()) as c:
                while job := self.next():
                    c.request("GET", f"/{job[1]}/{job[0]}")
                    answer = c.getresponse()
                    answer.read()
                    with self.lock:
                        self.answered += 1
                        if answer.status != 200:
                            self.failed.append((job, answer.status))
                        self.lock.notify_all()
                    if job[0] % 4 == 0 and not self.kept:
                        c.close()
        except (OSError, http.client.HTTPException) as e:
            with self.lock:
                self.failed.append(repr(e))
                self.lock.notify_all()

    def answers(self, count):
        """Until so many have come."""
        with self.lock:
            self.lock.wait_for(lambda: self.answered >= count or self.failed, 60 * stack.SLOW)
            expect(not self.failed and self.answered >= count, f"the service failed: {self.failed[:3]}, {self.answered} answers")

    def finish(self, more):
        """So many more, and the end, also of what they left behind: the index of the first of them."""
        with self.lock:
            first = len(self.asked)
            self.limit = first + more
        for t in self.threads:
            t.join()
        with contextlib.closing(self.connection()) as c:
            c.request("GET", "/rest/0")
            if c.getresponse().status != 200:
                self.failed.append("/rest")
        expect(not self.failed, f"the service failed: {self.failed[:3]}")
        return first


def named(span, commands):
    """(route, request) that a span is for; what nobody asked for: ("nobody", None)."""
    path = span.get("url.path") if span.kind == truth.SERVER else None
    if path:
        route, request = path.strip("/").split("/")
        return route, int(request)
    if span.get("db.system.name"):
        on = [c for c in commands[span.get("network.local.port")] if c[0] <= span.end <= c[1]]
        return on[0][2:] if on else ("before", None)
    m = NAME.search(str(span.get("url.full") or ""))
    return (m.group(1), int(m.group(2))) if m else ("nobody", None)


def score(spans, commands, load, first):
    """Of the calls of each route's requests from the `first` on: how many have the right parent, a wrong one, none, no span."""
    by_id = {s.id: s for s in spans}
    table, examples, evidence = collections.defaultdict(collections.Counter), [], collections.Counter()
    for s in spans:
        if s.kind != truth.CLIENT:
            continue
        route, request = named(s, commands)
        parent = by_id.get(s.parent)
        right = parent is not None and request is not None and named(parent, commands) == (route, request)
        verdict = "correct" if right else "wrong" if s.parent else "none"
        if verdict == "wrong":
            examples.append(f"{route} {request} under {parent and named(parent, commands)} by {s.get('weft.parent.source')}")
        if request is None or request >= first:
            table[route][verdict] += 1
            evidence[s.get("weft.parent.source")] += 1
    for request, route in enumerate(load.asked[first:], first):
        table[route]["made"] += CALLS[route]
    return table, examples, evidence


def judge(spans, commands, load, first, floor, lost=0):
    """`lost`: events; each may have been a call's."""
    table, examples, evidence = score(spans, commands, load, first)
    nobody = table.pop("nobody", collections.Counter())
    table.pop("before", None)
    made = sum(row["made"] for row in table.values())
    total = collections.Counter()
    for route, row in sorted(table.items()):
        total += row
        say(f"{route:>11}: {row['made']} calls, {row['correct']} correct, {row['wrong']} wrong, {row['none']} none")
    say(f"total: {made} calls, {100 * total['correct'] / made:.2f} % correct, {total['wrong']} wrong; nobody's: {nobody['none']} none, "
        f"{nobody['wrong']} wrong; evidence: {dict(evidence)}", *examples[:5])
    expect(not total["wrong"] and not nobody["wrong"] and not examples, f"{len(examples)} wrong parents")
    seen = sum(total[v] for v in ("correct", "wrong", "none"))
    expect(made - lost <= seen <= made, f"{seen} calls have a span, {made} were made")
    expect(total["correct"] >= floor * (made - lost), f"{total['correct']} of {made} calls have their parent")


def under_load(ctx, form, routes, floor=0.99, python=stack.PYTHON, redis=True, requests=None, tls=False, kept=False):
    """Attached while many connections ask, and most calls wait for one of 10 connections."""
    requests = requests or ctx.args.requests
    with Service(ctx.path("made"), form, python, redis, tls) as service, \
            Load(service.port, routes, ctx.args.concurrency, tls, kept) as load:
        load.answers(4 * ctx.args.concurrency)
        with tracer.Tracer(["-p", service.pid, "--backend", ctx.args.backend, "--output", "otlp-json", "-v"],
                           ctx.path("spans")) as weft:
            weft.wait_attached()
            # What was begun before is not judged, nor each connection's first requests: their tasks are older than weft.
            load.answers(load.answered + 20 * ctx.args.concurrency)
            first = load.finish(requests)
            status = weft.stop()
    spans = ctx.spans()
    if os.environ.get("WEFT_KEEP"):
        say(weft.text())
    lost = 0
    if stack.SLOW > 1:
        # So slow a machine preempts programs, and then the kernel refuses some runs: wrong must nothing be.
        weft.balance().check(len(spans))
        lost = max(2, sum(n for why, n in weft.balance().reasons.items() if "recursion" in why or "unseen" in why))
    else:
        expect_ended_well(weft, status, spans)
    judge(spans, service.commands(), load, first, floor, lost)


PLAIN = ("none", "seq", "gather", "timer", "thread", "background")


@case()
def asyncio_streams(ctx):
    """A saturated asyncio server, a task a connection: each call under its request, attached under load."""
    under_load(ctx, "streams", (*PLAIN, "fresh"), redis=False)


@case()
def asyncio_uvicorn(ctx):
    """FastAPI on uvicorn, saturated: gather, timers, threads, background tasks, redis and httpx."""
    need("redis-server")
    need_python("fastapi", "uvicorn", "httpx", "redis")
    under_load(ctx, "uvicorn", (*PLAIN, "sync", "redis", "client"))


@case()
def asyncio_aiohttp(ctx):
    """aiohttp.web, saturated, with its own client and redis."""
    need("redis-server")
    need_python("aiohttp", "redis")
    under_load(ctx, "aiohttp", (*PLAIN, "redis", "client"))


@case()
def asyncio_aiohttp_kept(ctx):
    """The same over connections that are all older than weft, as are the tasks that serve them."""
    need_python("aiohttp")
    under_load(ctx, "aiohttp", (*PLAIN, "client"), redis=False, kept=True)


@case()
def units_uvloop(ctx):
    """FastAPI on uvicorn and uvloop: the loop reads and writes for all of them, outside of their contexts."""
    need("redis-server")
    need_python("fastapi", "uvicorn", "httpx", "redis", "uvloop")
    under_load(ctx, "uvicorn-uvloop", (*PLAIN, "sync", "redis", "client"))


@case()
def asyncio_uvicorn_tls(ctx):
    """FastAPI behind HTTPS, asyncio: sessions are encrypted in memory, and most are older than weft."""
    need("redis-server", "openssl")
    need_python("fastapi", "uvicorn", "redis")
    under_load(ctx, "uvicorn", (*PLAIN, "sync", "redis"), tls=True)


@case()
def asyncio_streams_tls(ctx):
    """A task a connection behind HTTPS, asyncio: which session is its socket's is known a moment late, so some of the first stay roots."""
    need("openssl")
    under_load(ctx, "streams", PLAIN, floor=0.85, redis=False, tls=True)


@case()
def units_uvloop_tls(ctx):
    """FastAPI behind HTTPS, uvloop."""
    need("redis-server", "openssl")
    need_python("fastapi", "uvicorn", "redis", "uvloop")
    under_load(ctx, "uvicorn-uvloop", (*PLAIN, "sync", "redis"), tls=True)


@case()
def units_uvloop_streams(ctx):
    """The same with a task a connection, which is begotten when the connection is announced, not when it is read."""
    need_python("uvloop")
    under_load(ctx, "streams-uvloop", PLAIN, redis=False)


@case()
def units_uvloop_protocol(ctx):
    """The same with a task a request, which is begotten when the loop hands over what it has read."""
    need_python("uvloop")
    under_load(ctx, "protocol-uvloop", (*PLAIN, "fresh"), redis=False)


LOOP = 400      # app_units.py's
AFTER_MAX = 128  # user/trace/runtime.c's


@case()
def units_loop(ctx):
    """A loop that a request leaves behind: its first calls are the request's, the others begin traces, with a link to it."""
    with Service(ctx.path("made"), "streams", redis=False) as service:
        with tracer.Tracer(["-p", service.pid, "--backend", ctx.args.backend, "--output", "json"], ctx.path("spans")) as weft:
            weft.wait_attached()
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=60 * stack.SLOW)) as c:
                c.request("GET", "/loop/0")
                expect(c.getresponse().read() == b"ok", "no answer")

            def ended():
                with open(ctx.path("made"), encoding="utf-8") as f:
                    return "loop" in f.read()
            stack.wait_until("the loop's end", ended, 120)
            weft.stop()
    with open(ctx.path("spans"), encoding="utf-8") as f:
        spans = [json.loads(line) for line in f]
    served = [s for s in spans if s["attributes"].get("url.path") == "/loop/0"]
    expect(len(served) == 1, f"{len(served)} spans of the request")
    own = {k: served[0][k] for k in ("trace_id", "span_id")}
    calls = [s for s in spans if "loop-0-" in s["attributes"].get("url.full", "")]
    children = [s for s in calls if s["parent_id"] == own["span_id"] and s["trace_id"] == own["trace_id"]]
    apart = [s for s in calls if not s["parent_id"] and s["trace_id"] != own["trace_id"] and s.get("links") == [own]]
    say(f"{len(calls)} calls, {len(children)} below the request, {len(apart)} with a link to it")
    expect(len(calls) >= 0.9 * LOOP, f"{len(calls)} of {LOOP} calls have a span")
    expect(len(children) + len(apart) == len(calls), "a call is neither below the request nor linked to it")
    # before the answer is written, some may be made
    expect(1 <= len(children) <= AFTER_MAX + 20, f"{len(children)} calls are below the request")
    expect(len({s["trace_id"] for s in apart}) == len(apart), "calls that stand apart share a trace")
