# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds the spans that weft exported against what really happened.

The truth comes from the programs themselves: the load client knows the id, port and time of each request, and the shop's answer
says over which connection (local port) and when each of its calls went. So a span is identified without believing its parent:
HTTP spans by the id in their URL, the others by connection and time. Then each parent must be the right span of the
same request, and the PostgreSQL or Redis server's span must be the child of the very call that it answers.
"""
import bisect
import collections
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import otlp_validate  # noqa: E402

SERVER, CLIENT = 2, 3
ID = re.compile(r"[?&]?\bid=(\d+)\b")


class Span:
    __slots__ = ("service", "name", "kind", "trace", "id", "parent", "start", "end", "attrs", "pid", "status",
                 "request", "role", "call")

    def get(self, *keys):
        return next((self.attrs[k] for k in keys if k in self.attrs), None)


def spans_of(request):
    """Spans of a decoded ExportTraceServiceRequest."""
    for flat in otlp_validate.flat_spans(request):
        span = Span()
        span.service, span.pid = flat["resource"].get("service.name"), flat["resource"].get("process.pid")
        span.name, span.kind, span.status, span.attrs = flat["name"], flat["kind"], flat["status"], flat["attributes"]
        span.trace, span.id, span.parent = flat["trace_id"], flat["span_id"], flat["parent_id"]
        span.start, span.end = flat["start"], flat["end"]
        span.request = span.role = span.call = None
        yield span


def read_otlp(lines, need_pid=True):
    """Spans of OTLP/JSON lines, each an ExportTraceServiceRequest. Every message must be valid by the field tables."""
    validator = otlp_validate.Validator(need_pid)
    spans = []
    for number, line in enumerate(lines, 1):
        validator.json_line(line, f"line {number}")
        spans += spans_of(otlp_validate.decode_json_line(line))
    problems = validator.finish()
    if problems:
        raise AssertionError(f"OTLP: {len(problems)} problems: " + "; ".join(problems[:3]))
    return spans


def read_load(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


# role: (service, kind, db system or None, role of the parent)
ROLES = {
    "nginx server": ("nginx", SERVER, None, None),
    "nginx client": ("nginx", CLIENT, None, "nginx server"),
    "shop server": ("shop", SERVER, None, "nginx client"),
    "shop http": ("shop", CLIENT, None, "shop server"),
    "stock server": ("stock", SERVER, None, "shop http"),
    "shop postgresql": ("shop", CLIENT, "postgresql", "shop server"),
    "postgresql server": ("postgres", SERVER, "postgresql", "shop postgresql"),
    "shop redis": ("shop", CLIENT, "redis", "shop server"),
    "redis server": ("redis-server", SERVER, "redis", "shop redis"),
}
BY_CALL = {"shop postgresql", "postgresql server", "shop redis", "redis server"}
KIND_OF_CALL = {"shop http": "http", "stock server": "http"}


class Calls:
    """Which call went over a connection at a time: (kind, port) -> calls in order of time."""

    def __init__(self, requests):
        self.by_port = collections.defaultdict(list)
        for r in requests:
            for index, c in enumerate(r.get("calls", [])):
                self.by_port[c["kind"], c["port"]].append((c["t0"], c["t1"], r["id"], index))
        for calls in self.by_port.values():
            calls.sort()

    def find(self, kind, port, span):
        """The last call that had the connection at a moment that is certainly within the exchange: when the client had
        the answer, or the server the question. (The client's span may begin with a connect before the call, the server's
        end when somebody else has the connection already.)"""
        calls = self.by_port.get((kind, port), [])
        moment = span.end if span.kind == CLIENT else span.start
        at = bisect.bisect(calls, (moment, float("inf"))) - 1
        if at >= 0 and moment <= calls[at][1]:
            return calls[at][2], calls[at][3]
        return None, None


class Report:
    def __init__(self):
        self.found = collections.Counter()      # spans that are where they belong, by role
        self.missing = []                       # (role, request): no span, of a request that must be complete
        self.orphans = []                       # no parent where there should be one, of such a request
        self.wrong = []                         # a parent that is not the right one, of any request
        self.doubles = []                       # two spans for one thing
        self.unknown = []                       # spans that nothing that happened explains
        self.outside = []                       # children that begin before or end after their parent
        self.evidence = collections.Counter()

    def clean(self):
        return not (self.missing or self.orphans or self.wrong or self.doubles or self.unknown or
                    self.outside)

    def lines(self, most=5):
        yield "found: " + ", ".join(f"{n} {role}" for role, n in sorted(self.found.items()))
        if self.evidence:
            yield "evidence: " + ", ".join(f"{n} {e}" for e, n in self.evidence.most_common())
        for what in ("missing", "orphans", "wrong", "doubles", "unknown", "outside"):
            items = getattr(self, what)
            yield f"{what}: {len(items)}" + "".join(f"\n    {text}" for text in items[:most])


def identify(span, calls, services=None):
    names = services or {}
    system = span.get("db.system.name")
    for role, (service, kind, db, _) in ROLES.items():
        if span.service == names.get(service, service) and span.kind == kind and db == system:
            span.role = role
    if span.role in BY_CALL:
        port = span.get("network.local.port") if span.kind == CLIENT else span.get("client.port", "network.peer.port")
        span.request, span.call = calls.find(system, port, span)
    elif span.role:
        m = ID.search(str(span.get("url.query") or "")) or ID.search(str(span.get("url.full") or ""))
        span.request = int(m.group(1)) if m else None


def describe(span):
    if span is None:
        return "(not exported)"
    return f"{span.role or span.service} {span.name!r} id {span.request} call {span.call} span {span.id}"


def compare(spans, requests, complete=None, services=None, roles=None):
    """`complete`: ids of the requests whose whole tree must be there; None: all that were answered with 200. `services`: service
    names where they differ from ROLES'. `roles`: the roles that are traced; None: all."""
    report = Report()
    roles = set(roles or ROLES)
    truth = {r["id"]: r for r in requests}
    if complete is None:
        complete = {r["id"] for r in requests if r["status"] == 200}
    calls = Calls(requests)
    by_id, seen = {}, collections.defaultdict(list)
    for span in spans:
        if span.id in by_id:
            report.doubles.append("span id used twice: " + describe(span))
        by_id[span.id] = span
        identify(span, calls, services)
        if span.role not in roles or span.request not in truth:
            # Calls of requests that were never answered are not in the truth; they can't be held against weft.
            if not (span.role in BY_CALL and any(r["status"] != 200 for r in requests)):
                report.unknown.append(describe(span))
            continue
        seen[span.request, span.role, span.call].append(span)
    for key, several in seen.items():
        if len(several) > 1:
            report.doubles += [describe(s) for s in several[1:]]
    for request in sorted(complete):
        for role, call in expected(truth[request], roles):
            if not seen.get((request, role, call)):
                report.missing.append(f"{role} of request {request}" + ("" if call is None else f", call {call}"))
    for several in seen.values():
        for span in several:
            check_parent(span, by_id, span.request in complete, roles, report)
    return report


def expected(request, roles):
    for role in ROLES:
        if role not in roles:
            continue
        if role in BY_CALL:
            for index, c in enumerate(request.get("calls", [])):
                if c["kind"] == ROLES[role][2]:
                    yield role, index
        else:
            yield role, None


def check_parent(span, by_id, must, roles, report):
    wanted = ROLES[span.role][3]
    while wanted is not None and wanted not in roles:  # not traced: its own parent takes its place only at the root
        wanted = None
    if not span.parent:
        if wanted and must:
            report.orphans.append(describe(span))
        else:
            report.found[span.role] += 1
        return
    parent = by_id.get(span.parent)
    right = (parent is not None and parent.role == wanted and parent.request == span.request and
             parent.trace == span.trace and (parent.call is None or parent.call == span.call))
    if not right:
        report.wrong.append(f"{describe(span)} under {describe(parent)}")
        return
    report.found[span.role] += 1
    report.evidence[span.get("weft.parent.source")] += 1
    if span.start < parent.start or span.end > parent.end:
        report.outside.append(f"{describe(span)} is not within {describe(parent)}: begins {span.start - parent.start} ns "
                              f"after it, ends {parent.end - span.end} ns before it; they last {span.end - span.start} and "
                              f"{parent.end - parent.start} ns; {span.attrs.get('error.type')} {parent.attrs.get('error.type')}")
