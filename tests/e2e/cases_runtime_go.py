# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases of tests/e2e/run: parents inside Go programs: goroutines and what they beget, pools that many share, workers.

The truth is in the names: what tests/e2e/go/units calls for request 7 of /seq is called seq-7-0, seq-7-1 ... Only this file
reads that.
"""
import collections
import contextlib
import os
import re
import shutil

import stack
import tracer
import truth
from cases import case, expect, expect_ended_well, say
from cases_go import STRIPPED, Peer, peer_of, toolchains

NAME = re.compile(r"\b([a-z0-9]+)-(\d+)-\d\b")
CALLS = {"none": 0, "direct": 1, "seq": 3, "fan": 3, "nested": 3, "timer": 2, "after": 2, "tls": 2, "client2": 2, "pull": 2,
         "workers": 1, "rpc": 3}
CERTAIN = [r for r in CALLS if r not in ("none", "workers", "rpc")]
LAST = 1_000_000  # first id of requests that only pass the time
WORKERS = ("workers", "fan", "none")  # whose calls are whose is not known there: no parent, and no wrong one


def named(span):
    """(route, request) that a span is for; None: something else."""
    if span.kind == truth.SERVER:
        part = (span.get("url.path") or span.name).strip("/").split("/")
        return (part[0], int(part[1])) if len(part) == 2 and part[1].isdigit() else None
    m = NAME.search(str(span.get("url.full", "db.query.text") or ""))
    return (m.group(1), int(m.group(2))) if m else None


def score(spans, asked, first):
    """Of the calls of each route, from request `first` on: how many have the right parent, a wrong one, none. And examples of wrong
    ones, of any request."""
    by_id = {s.id: s for s in spans}
    table, wrong = collections.defaultdict(collections.Counter), []
    for s in spans:
        if s.kind != truth.CLIENT or not named(s):
            continue
        route, request = named(s)
        parent = by_id.get(s.parent)
        verdict = "none" if not s.parent else "correct" if parent and named(parent) == (route, request) else "wrong"
        if verdict == "wrong":
            wrong.append(f"{route} {request} under {parent and named(parent)} by {s.get('weft.parent.source')}")
        if route == "nobody" or first <= request < LAST:
            table[route][verdict] += 1
    for route in asked[first:]:
        table[route]["made"] += CALLS[route]
    return table, wrong


def judge(what, spans, asked, first, floor):
    table, wrong = score(spans, asked, first)
    nobody, total = table.pop("nobody", {}), collections.Counter()
    workers = table.pop("workers", collections.Counter())
    for route, row in sorted(table.items()):
        total += row
        if row["correct"] != row["made"]:
            say(f"{route:>9}: {row['made']} calls, {row['correct']} correct, {row['wrong']} wrong, {row['none']} none")
    say(f"{what}: {total['made']} calls, {total['correct']} correct, {total['wrong']} wrong, {total['none']} none; by workers: "
        f"{dict(workers)}; nobody's: {dict(nobody)}", *wrong[:5])
    expect(not wrong, f"{len(wrong)} wrong parents")
    expect(sum(total[v] for v in ("correct", "wrong", "none")) == total["made"], "not every call has its span")
    expect(sum(workers[v] for v in ("correct", "wrong", "none")) == workers["made"], "not every worker's call has its span")
    expect(total["correct"] >= floor * total["made"], f"{total['correct']} of {total['made']} calls have their parent")


def measure(ctx, what, program, routes, floor=0.995, options=(), http2=False, before=False, requests=None):
    """Saturated: many connections, and calls over pools of 10. `before`: weft is there before the first request."""
    requests = requests or ctx.args.requests
    tls = "-tls" in options
    with contextlib.ExitStack() as running:
        backend = running.enter_context(Peer(program, "backend"))
        service = running.enter_context(Peer(program, "service", "-backend", " ".join(map(str, backend.ports)), *options))
        argv = [program, "load", "-url", f"{'https' if tls else 'http'}://127.0.0.1:{service.port}", "-routes", " ".join(routes),
                "-c", ctx.args.concurrency, *(["-h2"] if http2 else [])]
        load = None if before else running.enter_context(Peer(*argv))
        weft = running.enter_context(tracer.Tracer(["-v", "-p", service.pid, "--backend", ctx.args.backend, "--output", "otlp-json",
                                                    "--raw-queries"], ctx.path("spans")))
        weft.wait_attached()
        if before:
            load = running.enter_context(Peer(*argv))
        # What was begun before is not judged.
        load.tell(10 * ctx.args.concurrency)
        load.process.stdout.readline()
        load.tell(f"end {requests}")
        asked = load.result()
        # What outlives its request has ended when so many more calls have been made.
        with Peer(*argv, "-routes", "timer", "-c", 1, "-first", LAST) as last:
            last.tell("end 20")
            last.result()
        status = weft.stop()
    spans = ctx.spans()
    if os.environ.get("WEFT_KEEP"):
        say(weft.text())
    expect_ended_well(weft, status, spans)
    judge(what, spans, asked, len(asked) - requests, floor)


@case()
def go_units(ctx):
    """Goroutines and what they beget, pooled HTTP and SQL connections, coroutines, saturated; several Gos, stripped and not."""
    for go in toolchains():
        for flags in ((), STRIPPED):
            measure(ctx, f"Go {go.version} {' '.join(flags)}", peer_of(ctx, go, "units", flags), ["none", *CERTAIN])


@case()
def go_units_forms(ctx):
    """The same position-independent, with cgo, over TLS, and watched from the first request on."""
    go = toolchains()[0]
    measure(ctx, "PIE", peer_of(ctx, go, "units", ("-buildmode=pie",)), ["none", *CERTAIN])
    if shutil.which("gcc"):
        measure(ctx, "cgo", peer_of(ctx, go, "units", cgo="1"), ["none", *CERTAIN])
    measure(ctx, "over TLS", peer_of(ctx, go, "units"), ["none", *CERTAIN], options=("-tls",))
    measure(ctx, "from the start", peer_of(ctx, go, "units"), ["none", *CERTAIN], before=True)


@case()
def go_units_workers(ctx):
    """Workers that the first request starts and that work for all: never a wrong parent."""
    for go in toolchains():
        measure(ctx, f"Go {go.version}", peer_of(ctx, go, "units"), WORKERS, before=True)


@case()
def go_units_http2(ctx):
    """An HTTP/2 server in Go, whose connection is read for many requests at once: from the start, and joined in the middle."""
    for go in toolchains():
        for before, floor in ((True, 0.995), (False, 0.95)):
            measure(ctx, f"Go {go.version}", peer_of(ctx, go, "units"), ["none", *CERTAIN], floor, ("-tls", "-h2"), True, before)


@case()
def go_units_grpc(ctx):
    """A server of grpc-go that makes calls, 50 streams on one connection; an old grpc-go and a newer one."""
    backend_program, go, requests = peer_of(ctx, toolchains()[0], "units"), toolchains()[0], ctx.args.requests
    for flags in ((), ("-modfile=new.mod",))[:2 if go.minor >= 25 else 1]:
        program = peer_of(ctx, go, "units_grpc", flags)
        with Peer(backend_program, "backend") as backend, Peer(program, "server", backend.port) as server, \
                Peer(program, "client", server.port) as load, \
                tracer.Tracer(["-v", "-p", server.pid, "--backend", ctx.args.backend, "--output", "otlp-json"],
                              ctx.path("spans")) as weft:
            weft.wait_attached()
            load.tell(requests)
            load.result()
            status = weft.stop()
        spans = ctx.spans()
        expect_ended_well(weft, status, spans)
        judge(f"grpc-go {' '.join(flags)}", spans, ["rpc"] * requests, 0, 0.995)
