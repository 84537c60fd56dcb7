# SPDX-License-Identifier: GPL-2.0-or-later
"""The scorer finds every kind of mistake in spans made by hand. tools/accuracy runs this first."""
import itertools

import score

MS = 1_000_000
numbers = itertools.count(1)


def span(kind, text, parent=None, protocol="http", at=0, port=1):
    key = "url.path" if kind == "SERVER" else "url.full" if protocol == "http" else "db.query.text"
    attributes = {key: text, "network.local.port": port}
    if parent:
        attributes["weft.parent.source"] = "thread"
    return {"kind": kind, "protocol": protocol, "span_id": f"{next(numbers)}", "trace_id": "t",
            "parent_id": parent and parent["span_id"], "pid": 1 if kind == "SERVER" else 2,
            "start_ns": at, "duration_ms": 1.0, "attributes": attributes}


def request(name, route, begin=100, status=200):
    return score.Request(name, route, status, 1, begin, begin + 5)


def judged(spans, *requests, said=None, since=0):
    return score.score(spans, {r.name: r for r in requests}, said or {}, since)


def test_right():
    own = span("SERVER", "/think/id1")
    calls = span("CLIENT", "http://b/b/id1-1", own), span("CLIENT", "select 'id1-2'", own, "postgresql")
    r = judged([own, *calls], request("id1", "think"))
    assert dict(r.calls) == {"correct": 2, "unseen": 0} and r.exact == r.requests == 1 and not r.wrong and not r.examples


def test_none_and_unseen():
    own = span("SERVER", "/seq/id7")
    r = judged([own, span("CLIENT", "http://b/b/id7-1")], request("id7", "seq"))
    assert r.calls["none"] == 1 and r.calls["unseen"] == 3 and not r.exact and r.percent("none") == 100


def test_wrong_spoils_both():
    one, two = span("SERVER", "/one/id1"), span("SERVER", "/none/id2")
    r = judged([one, two, span("CLIENT", "http://b/b/id1-1", two)], request("id1", "one"), request("id2", "none"))
    assert r.calls["wrong"] == 1 and r.on_callless == 1 and r.exact == 0 and r.layers["thread"]["wrong"] == 1


def test_wrong_counts_before_the_beginning():
    own = span("SERVER", "/one/id1")
    r = judged([own, span("CLIENT", "http://b/b/id1-1", own), span("CLIENT", "http://b/b/id2-1", own)], request("id1", "one"),
               request("id2", "one"), since=1000)
    assert dict(r.calls) == {"wrong": 1} and r.requests == 0


def test_parent_that_did_not_come_out():
    own, lost = span("SERVER", "/one/id1"), span("SERVER", "/one/id2")
    assert judged([own, span("CLIENT", "http://b/b/id1-1", lost)], request("id1", "one")).wrong == 1


def test_another_trace():
    own = span("SERVER", "/one/id1")
    call = span("CLIENT", "http://b/b/id1-1", own)
    call["trace_id"] = "u"
    assert judged([own, call], request("id1", "one")).wrong == 1


def test_nobodys():
    own = span("SERVER", "/one/id1")
    r = judged([own, span("CLIENT", "http://b/b/bg-1", own), span("CLIENT", "http://b/b/bg-2")])
    assert r.nobodys == {"wrong": 1, "none": 1} and r.wrong == 1 and r.percent("wrong") == 50


def test_late():
    own = span("SERVER", "/after/id1")
    r = judged([own, span("CLIENT", "http://b/b/id1-after", own)], request("id1", "after"))
    assert r.late == {"correct": 1} and r.exact == 1


def test_doubles():
    own = span("SERVER", "/one/id1")
    r = judged([own, span("CLIENT", "http://b/b/id1-1", own), span("CLIENT", "http://b/b/id1-1", own)], request("id1", "one"))
    assert r.doubles == 1 and r.calls["correct"] == 1


def test_redis_by_connection_and_time():
    own, other = span("SERVER", "/one/id1"), span("SERVER", "/one/id2")
    calls = [span("CLIENT", "get ?", own, "redis", at=at, port=5) for at in (10 * MS, 20 * MS)]
    said = {5: [(10 * MS + 9, "get id1-1"), (20 * MS + 9, "get id2-1")], 6: [(20 * MS, "get id1-1")]}
    r = judged([own, other, *calls], request("id1", "one"), request("id2", "one"), said=said)
    assert r.calls["correct"] == 1 and r.calls["wrong"] == 1 and not r.unknown


def test_alignment():
    wide = [(0, 10 * MS), (1, 10 * MS), (2, 10 * MS)]
    assert score.align(wide, [5, 6, 7]) == [0, 1, 2]  # a pipeline: by order
    assert None in score.align(wide[:2], [5, 6, 7])   # one is missing: not certain
    late = [(0, MS), (2 * MS, 3 * MS), (4 * MS, 5 * MS)]
    assert score.align(late, [9, 2 * MS - 100_000, 4 * MS + 9]) == [0, 1, 2]  # ran before the write had returned
    assert score.align(late, [9, 4 * MS + 9]) == [0, None, 1]


def test_ends():
    client, server = span("CLIENT", "http://x/f/id1", port=7), span("SERVER", "/f/id1", at=5)
    server["parent_id"], server["attributes"]["network.peer.port"] = client["span_id"], 7
    assert score.score_ends([client, server], {}, {}, 0).calls == {"correct": 1}
    other = span("CLIENT", "http://x/f/id1", port=8)
    server["parent_id"] = other["span_id"]
    assert score.score_ends([client, other, server], {}, {}, 0).calls == {"wrong": 1}
    server["parent_id"] = None
    assert score.score_ends([client, other, server], {}, {}, 0).calls == {"none": 1}


def run():
    tests = [f for n, f in globals().items() if n.startswith("test_")]
    for test in tests:
        test()
    return len(tests)


if __name__ == "__main__":
    print(run(), "tests")
