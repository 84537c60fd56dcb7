# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds spans of requests that nobody can read on the wire against what both sides say they did.

A request is (method, path, status, client's port): the path tells which it was, the port over which connection. So a span with
a request's path and another port is one on a wrong connection; one without a port is on none, which is less than asked for but no lie.
"""
import collections

import stack
import truth

SIDES = {truth.CLIENT: "client", truth.SERVER: "server"}


def path_of(span):
    """Path and query."""
    if span.get("url.full"):
        return "/" + span.get("url.full").split("/", 3)[3]
    return (span.get("url.path") or "?") + ("?" + span.get("url.query") if span.get("url.query") else "")


def ports_of(span):
    """The client's port and the server's, as the span says. (What an HTTP server's span calls the server's port is what the
    request asked for, so it is no evidence.)"""
    local, peer = span.get("network.local.port"), span.get("network.peer.port")
    if span.kind == truth.CLIENT:
        return local, peer
    if span.get("db.system.name"):
        return span.get("client.port"), span.get("server.port")
    return peer, local


class Report:
    def __init__(self):
        self.found = collections.Counter()
        self.missing, self.doubles, self.unexplained = [], [], []
        self.wrong_connection, self.no_connection = [], []
        self.wrong = []  # another status, scheme, address, time, parent

    def clean(self):
        return not any(getattr(self, k) for k in self.kinds())

    @staticmethod
    def kinds():
        return "wrong_connection", "no_connection", "missing", "doubles", "unexplained", "wrong"

    def lines(self, most=4):
        yield "found: " + ", ".join(f"{n} {what}" for what, n in sorted(self.found.items()) if n)
        for kind in self.kinds():
            items = getattr(self, kind)
            if items:
                yield f"{kind.replace('_', ' ')}: {len(items)}" + "".join(f"\n    {x}" for x in items[:most])


def compare(spans, happened, server_port, sides=(truth.CLIENT, truth.SERVER), scheme="https", version=None, under_way=(), joined=True):
    """`happened`: [(method, path, status, client's port)], each once at each side. `sides`: which are traced. `under_way`: what the
    server may not have been seen to receive. `joined`: the connections' beginnings were seen, so that both ends count alike."""
    report = Report()
    ports = collections.defaultdict(set)
    for method, path, _, port in happened:
        ports[method, path].add(port)
    for side in sides:
        left = collections.Counter(happened)
        for span in (s for s in spans if s.kind == side):
            method, path = span.get("http.request.method"), path_of(span)
            port, server = ports_of(span)
            key = method, path, span.get("http.response.status_code"), port
            text = f"{SIDES[side]} of {span.service}: {key} {describe(span)}"
            if left[key] > 0:
                left[key] -= 1
                report.found[f"{span.service} {SIDES[side]}"] += 1
                check(span, side, server, server_port, scheme, version, text, report)
            elif key in left:
                report.doubles.append(text)
            elif (method, path) not in ports:
                report.unexplained.append(text)
            elif port is None:
                report.no_connection.append(text)
                left[min((k for k in left if left[k] > 0 and k[:2] == key[:2]), default=key)] -= 1
            elif port not in ports[method, path]:
                report.wrong_connection.append(text)
            else:
                report.wrong.append(text + ": status")
        if side == truth.SERVER:
            report.found["servers that were waiting inside the library"] = sum(left[key] for key in under_way)
            left -= collections.Counter(under_way)
        report.missing += [f"{n} x {SIDES[side]}: {key}" for key, n in left.items() if n > 0]
    report.unexplained += [describe(s) for s in spans if s.kind not in sides]
    if len(sides) == 2:
        check_parents(spans, report, joined)
    return report


def check(span, side, server, server_port, scheme, version, text, report):
    full = span.get("url.full")
    if server not in (server_port, *([None] if side == truth.SERVER else [])) or span.get("network.peer.address") != "127.0.0.1":
        report.wrong.append(f"{text}: peer {span.get('network.peer.address')}, server's port {server}")
    if (full.split(":")[0] if full else span.get("url.scheme")) != scheme:
        report.wrong.append(f"{text}: scheme, {full or span.get('url.scheme')}")
    if version and span.get("network.protocol.version") != version:
        report.wrong.append(f"{text}: version {span.get('network.protocol.version')}")
    if span.get("error.type") and (side == truth.SERVER or span.get("http.response.status_code") < 400):
        report.wrong.append(f"{text}: error {span.get('error.type')}")


def check_parents(spans, report, joined):
    """What a server did is the child of what its client did, and of nothing else."""
    by_id = {s.id: s for s in spans}
    for s in spans:
        parent = by_id.get(s.parent)
        if s.kind == truth.CLIENT:
            if s.parent:
                report.wrong.append(f"{describe(s)} has a parent: {describe(parent)}")
        elif not s.parent and not joined:
            report.found["servers without a parent"] += 1
        elif not parent:
            report.wrong.append(f"{describe(s)} has no parent")
        elif (parent.kind, path_of(parent), ports_of(parent)[0]) != (truth.CLIENT, path_of(s), ports_of(s)[0]):
            report.wrong.append(f"{describe(s)} under {describe(parent)}")


def check_times(spans, made, report):
    """made: [(method, path, status, port, first ns, last ns)]. A client's span lies within its own clock's readings."""
    slack = 3_000_000 * stack.SLOW
    when = {m[:4]: m[4:] for m in made}
    for s in spans:
        key = s.get("http.request.method"), path_of(s), s.get("http.response.status_code"), ports_of(s)[0]
        if s.kind == truth.CLIENT and key in when:
            first, last = when[key]
            if s.start < first - slack or s.end > last + slack:
                report.wrong.append(f"{key}: from {(s.start - first) / 1e6:.1f} ms after it began "
                                    f"to {(s.end - last) / 1e6:.1f} ms after it ended")


def describe(span):
    if span is None:
        return "(not exported)"
    if span.get("http.request.method"):
        return f"{span.service} {SIDES.get(span.kind, span.kind)} {path_of(span)} over {ports_of(span)}"
    return f"{span.service} {SIDES.get(span.kind, span.kind)} {span.name!r} over {ports_of(span)}"
