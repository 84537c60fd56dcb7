# SPDX-License-Identifier: GPL-2.0-or-later
"""Holds parents that weft gave against what really happened.

The truth: request N was asked for as /ROUTE/idN; each call that the target makes for it carries idN-TAG in its path, its
SQL or its key; how many calls that are follows from the route and N (tags_of). Calls of nobody's carry bg-TAG. Redis
arguments are never in a span, so a Redis call is found in what the server itself said (MONITOR), by connection and time.
"""
import bisect
import collections
import json
import re

ID = re.compile(r"\b(id\d+|bg)(?:-(\w+))?")
REDIS_EARLY_NS, REDIS_LATE_NS = (20_000, 500_000, 2_000_000), 20_000
REDIS_UNANSWERED_NS = 20_000_000  # a span that lasts no time: whose answer weft does not know
EXAMPLES = 8


def tags_of(route, number):
    """Tags of the calls that belong to a request and end before its answer."""
    if route in ("seq", "par"):
        return [str(i + 1) for i in range(1 + number % 4)]
    return {"one": ["1"], "hop": ["1"], "queue": ["1"], "sync": ["1"], "think": ["1", "2"]}.get(route, [])


Request = collections.namedtuple("Request", "name route status port begin end")


def read_requests(path):
    """What tests/accuracy/load.c wrote, by name."""
    requests = {}
    with open(path, encoding="ascii") as f:
        for line in f:
            number, route, status, port, begin, end = line.split()
            requests[f"id{number}"] = Request(f"id{number}", route, int(status), int(port), int(begin), int(end))
    return requests


def read_spans(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def walk(spans, commands, early, late):
    """Greedily in order: the first command that may be the span's."""
    found, j = [], 0
    for start, end in spans:
        while j < len(commands) and commands[j] < start - early:
            j += 1
        fits = j < len(commands) and commands[j] <= end + late
        found.append(j if fits else None)
        j += fits
    return found


def align(spans, commands):
    """Index of the command that each span is of, or None: both in order of one connection. spans: (start, end), commands:
    times, ns. Certain is what a search from the front and one from the back agree on, whatever is allowed for a command
    that ran before the client's write had returned; and what lies between such, if it is as many."""
    named = [set() for _ in spans]
    for early in REDIS_EARLY_NS:
        ahead = walk(spans, commands, early, REDIS_LATE_NS)
        back = walk([(-e, -s) for s, e in reversed(spans)], [-t for t in reversed(commands)], REDIS_LATE_NS, early)
        for names, a, b in zip(named, ahead, reversed(back)):
            if a is not None and b is not None and a == len(commands) - 1 - b:
                names.add(a)
    sure = [names.pop() if len(names) == 1 else None for names in named]
    known = [i for i, j in enumerate(sure) if j is not None]
    for a, b in zip(known, known[1:]):
        if b - a == sure[b] - sure[a]:
            sure[a:b] = range(sure[a], sure[b])
    return sure


def tag_redis(spans, said):
    """Texts of Redis calls by span id. said: {client port: [(time, text), ...]}, in order. Also the number of spans left
    unknown."""
    by_port, texts, unknown = collections.defaultdict(list), {}, 0
    for s in spans:
        if s["kind"] == "CLIENT" and s["protocol"] == "redis":
            by_port[s["attributes"].get("network.local.port")].append(s)
    for port, calls in by_port.items():
        commands = said.get(port, [])
        calls.sort(key=lambda s: s["start_ns"])
        times = [(s["start_ns"], s["start_ns"] + (int(s["duration_ms"] * 1e6) or REDIS_UNANSWERED_NS)) for s in calls]
        for s, j in zip(calls, align(times, [t for t, _ in commands])):
            unknown += j is None
            if j is not None:
                texts[s["span_id"]] = commands[j][1]
    return texts, unknown


def text_of(span, redis):
    a = span["attributes"]
    if span["protocol"] == "redis":
        return redis.get(span["span_id"], "")
    return a.get("url.full") or a.get("url.path") or a.get("db.query.text") or ""


class Result:
    """Counts of calls. `late`: calls that outlive their request; `nobodys`: of no request. `wrong` has those of all."""

    def __init__(self):
        self.calls = collections.Counter()    # correct, wrong, none, unseen
        self.late = collections.Counter()     # correct, wrong, none
        self.nobodys = collections.Counter()  # wrong, none
        self.layers = collections.defaultdict(collections.Counter)
        self.routes = collections.defaultdict(collections.Counter)
        self.on_callless = 0                  # children of requests that make no call
        self.doubles = 0                      # more than one span of a call or request
        self.unknown = 0                      # Redis calls whose command is not certain
        self.requests = self.exact = 0        # requests that count; those whose tree is exactly right
        self.examples = []

    @property
    def wrong(self):
        return self.calls["wrong"] + self.late["wrong"] + self.nobodys["wrong"]

    def percent(self, what):
        """Of what counts for a floor: wrong parents wherever they are."""
        if what == "wrong":
            return 100 * self.wrong / max(1, sum(map(sum, (c.values() for c in (self.calls, self.late, self.nobodys)))))
        none = self.calls["none"] + self.calls["unseen"]
        return 100 * {"correct": self.calls["correct"], "none": none}[what] / max(1, sum(self.calls.values()))

    def as_dict(self):
        return {"calls": dict(self.calls), "late": dict(self.late), "nobodys": dict(self.nobodys),
                "layers": {k: dict(v) for k, v in self.layers.items()},
                "routes": {k: dict(v) for k, v in self.routes.items()},
                "on_callless": self.on_callless, "doubles": self.doubles, "unknown": self.unknown, "requests": self.requests,
                "exact": self.exact, "correct_percent": self.percent("correct"), "wrong_percent": self.percent("wrong"),
                "none_percent": self.percent("none"), "examples": self.examples}

    def example(self, span, text, own, parent, redis):
        if len(self.examples) < EXAMPLES:
            def about(s):
                return s and f"{text_of(s, redis)[:80]} [{s['start_ns']} +{s['duration_ms']:.3f} ms]"
            under = about(parent) or "a span that did not come out"
            source = span["attributes"].get("weft.parent.source")
            self.examples.append(f"{span['protocol']} {about(span)}, of {about(own) or text}, is under {under}, by {source}")


def score(spans, requests, said, since):
    """The spans of one target. requests: by name; since: ns; requests that began before it need not have anything, but a
    wrong parent is one at any time."""
    result = Result()
    redis, result.unknown = tag_redis(spans, said)
    by_id = {s["span_id"]: s for s in spans}
    servers, calls = {}, collections.defaultdict(list)
    for s in spans:
        text = text_of(s, redis)
        m = ID.search(text)
        if s["kind"] == "SERVER" and m:
            result.doubles += m[1] in servers
            servers.setdefault(m[1], s)
        elif s["kind"] == "CLIENT" and m and m[1] == "bg":
            judge_nobodys(result, s, text, by_id, redis)
        elif s["kind"] == "CLIENT" and m:
            calls[m[1]].append((m[2] or "1", s, text))
    wrong_under = collections.Counter()
    for name, made in calls.items():
        judge_calls(result, requests.get(name), servers.get(name), made, by_id, since, redis, wrong_under)
    children = collections.Counter(s["parent_id"] for s in spans if s["kind"] == "CLIENT" and s["parent_id"])
    for name, request in requests.items():
        own = servers.get(name)
        if own and request.route in ("none", "sleep"):
            result.on_callless += children[own["span_id"]]
        if request.begin >= since and request.status == 200:
            judge_request(result, request, own, calls.get(name, []), wrong_under)
    if result.unknown:  # they were seen, but whose they are can't be said
        result.calls["unseen"] -= min(result.calls["unseen"], result.unknown)
    return result


def judge_nobodys(result, span, text, by_id, redis):
    verdict = "wrong" if span["parent_id"] else "none"
    result.nobodys[verdict] += 1
    if span["parent_id"]:
        result.layers[span["attributes"].get("weft.parent.source", "-")]["wrong"] += 1
        result.example(span, text, None, by_id.get(span["parent_id"]), redis)


def judge_calls(result, request, own, made, by_id, since, redis, wrong_under):
    seen = set()
    for tag, span, text in made:
        parent = by_id.get(span["parent_id"]) if span["parent_id"] else None
        if not span["parent_id"]:
            verdict = "none"
        elif own is not None and parent is own and span["trace_id"] == own["trace_id"]:
            verdict = "correct"
        else:
            verdict = "wrong"
            wrong_under[span["parent_id"]] += 1
            result.example(span, text, own, parent, redis)
        result.doubles += tag in seen
        if tag in seen or verdict != "wrong" and (not request or request.begin < since):
            continue
        seen.add(tag)
        counts = result.late if tag == "after" else result.calls
        counts[verdict] += 1
        result.layers[span["attributes"].get("weft.parent.source", "-")][verdict] += 1
        result.routes[(request.route if request else "?") + " " + span["protocol"]][verdict] += 1


def judge_request(result, request, own, made, wrong_under):
    """A request whose calls count: which were not seen at all, and is its tree as it should be?"""
    tags = tags_of(request.route, int(request.name[2:]))
    under = {tag: span["parent_id"] for tag, span, _ in made}
    unseen = sum(tag not in under for tag in tags)
    result.calls["unseen"] += unseen
    if unseen:
        result.routes[request.route + " ?"]["unseen"] += unseen
    result.requests += 1
    result.exact += own is not None and not wrong_under[own["span_id"]] and all(under.get(t) == own["span_id"] for t in tags)


def score_ends(spans, requests, said, since):
    """Both ends of connections are traced: each server's span must be the child of the client's that asked for the same on
    the same connection. The paths are unique on a connection."""
    del requests, said
    result = Result()
    ours = {"CLIENT": {}, "SERVER": {}}
    by_id = {s["span_id"]: s for s in spans}
    serving = {s["pid"] for s in spans if s["kind"] == "SERVER"}
    for s in spans:
        a = s["attributes"]
        if s["kind"] == "CLIENT" and s["pid"] in serving:
            continue  # what a proxy asks of others
        m = ID.search(a.get("url.full") or a.get("url.path") or "")
        port = a.get("network.local.port") if s["kind"] == "CLIENT" else a.get("network.peer.port", a.get("client.port"))
        if m and s["kind"] in ours:
            result.doubles += (m[1], port) in ours[s["kind"]]
            ours[s["kind"]].setdefault((m[1], port), s)
    for key, s in sorted(ours["SERVER"].items(), key=lambda item: item[1]["start_ns"]):
        own, parent = ours["CLIENT"].get(key), by_id.get(s["parent_id"] or "")
        verdict = "none" if not s["parent_id"] else "correct" if own is not None and parent is own else "wrong"
        if verdict == "wrong":
            result.example(s, text_of(s, {}), own, parent, {})
        elif s["start_ns"] < since or own is None and s["parent_id"] is None:
            continue  # the asking half was not seen: it began before weft came, or the client is none of the traced
        result.calls[verdict] += 1
        result.layers[s["attributes"].get("weft.parent.source", "-")][verdict] += 1
        result.requests += 1
        result.exact += verdict == "correct"
    return result


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))] if values else 0


def latency_ms(requests, since, q=0.99):
    return quantile([(r.end - r.begin) / 1e6 for r in requests.values() if r.begin >= since and r.status == 200], q)


def completed_after(requests, since):
    ends = sorted(r.end for r in requests.values())
    return len(ends) - bisect.bisect(ends, since)
