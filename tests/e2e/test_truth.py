# SPDX-License-Identifier: GPL-2.0-or-later
"""The checker itself, on spans made by hand: it must find what is wrong, and nothing else."""
import copy

import truth

MS = 1_000_000


def request(number, t0, ports=(7001, 7002, 7003)):
    """One request of the load client that took 20 ms, with two queries, one Redis command and one call."""
    kinds = ["postgresql", "postgresql", "redis", "http"]
    port = {"postgresql": ports[0], "redis": ports[1], "http": ports[2]}
    return {"id": number, "status": 200, "port": 9000 + number, "t0": t0, "t1": t0 + 20 * MS, "calls": [
        {"kind": k, "port": port[k], "t0": t0 + (5 + 2 * i) * MS, "t1": t0 + (6 + 2 * i) * MS} for i, k in enumerate(kinds)]}


def span(service, kind, name, start, end, parent, **attrs):
    s = truth.Span()
    s.service, s.kind, s.name, s.start, s.end = service, kind, name, start, end
    s.trace, s.id, s.parent = parent.trace if parent else f"trace-{start}", f"{service}-{kind}-{start}", \
        parent.id if parent else ""
    s.attrs = {k.replace("__", "."): v for k, v in attrs.items()}
    s.pid, s.status, s.request, s.role, s.call = 1, 0, None, None, None
    return s


def tree(r):
    """What weft should make of it."""
    t, q = r["t0"], f"id={r['id']}"
    front = span("nginx", 2, "GET", t + MS, t + 19 * MS, None, url__query=q, client__port=r["port"])
    proxy = span("nginx", 3, "GET", t + 2 * MS, t + 18 * MS, front, url__full=f"http://shop/work?{q}")
    shop = span("shop", 2, "GET", t + 3 * MS, t + 17 * MS, proxy, url__query=q)
    spans = [front, proxy, shop]
    for c in r["calls"]:
        a, b, port = c["t0"] + 1000, c["t1"] - 1000, c["port"]
        if c["kind"] == "http":
            call = span("shop", 3, "GET", a, b, shop, url__full=f"http://127.0.0.1:80/stock?{q}")
            spans += [call, span("stock", 2, "GET", a + 100, b - 100, call, url__query=q)]
        else:
            service = {"postgresql": "postgres", "redis": "redis-server"}[c["kind"]]
            call = span("shop", 3, "Q", a, b, shop, db__system__name=c["kind"], network__local__port=port)
            spans += [call, span(service, 2, "Q", a + 100, b - 100, call, db__system__name=c["kind"], client__port=port)]
    return spans


def case():
    # Two that overlap in time over different connections, and a third that reuses the first's.
    requests = [request(11, 10**15), request(12, 10**15 + 3 * MS, (7004, 7005, 7006)), request(13, 10**15 + 40 * MS)]
    return requests, [tree(r) for r in requests]


def flat(trees):
    return [s for t in trees for s in t]


def role(spans, name):
    """The first span of this role."""
    service, kind, db, _ = truth.ROLES[name]
    return next(s for s in spans if (s.service, s.kind, s.attrs.get("db.system.name")) == (service, kind, db))


def test_right():
    requests, trees = case()
    report = truth.compare(flat(trees), requests)
    assert report.clean(), list(report.lines())
    assert sum(report.found.values()) == 3 * 11


def test_missing():
    requests, trees = case()
    trees[1].remove(role(trees[1], "redis server"))
    report = truth.compare(flat(trees), requests)
    assert report.missing == ["redis server of request 12, call 2"] and not report.wrong


def test_missing_from_a_request_that_need_not_be_complete():
    requests, trees = case()
    trees[1].remove(role(trees[1], "redis server"))
    assert truth.compare(flat(trees), requests, complete={11, 13}).clean()


def test_orphan():
    requests, trees = case()
    role(trees[2], "shop redis").parent = ""
    report = truth.compare(flat(trees), requests)
    assert len(report.orphans) == 1 and not report.wrong and not report.missing


def test_parent_of_another_request():
    requests, trees = case()
    stray = role(trees[0], "shop postgresql")
    other = role(trees[1], "shop server")
    stray.parent, stray.trace = other.id, other.trace
    role(trees[0], "postgresql server").trace = other.trace
    report = truth.compare(flat(trees), requests, complete=set())
    assert len(report.wrong) == 1 and "id 11" in report.wrong[0] and "id 12" in report.wrong[0]


def test_parent_is_another_call_of_the_same_request():
    requests, trees = case()
    calls = [s for s in trees[0] if s.service == "shop" and s.attrs.get("db.system.name") == "postgresql"]
    role(trees[0], "postgresql server").parent = calls[1].id
    assert len(truth.compare(flat(trees), requests).wrong) == 1


def test_parent_was_not_exported():
    requests, trees = case()
    role(trees[0], "stock server").parent = "0123456789abcdef"
    assert len(truth.compare(flat(trees), requests).wrong) == 1


def test_parent_of_the_wrong_kind():
    requests, trees = case()
    role(trees[0], "shop redis").parent = role(trees[0], "nginx client").id
    assert len(truth.compare(flat(trees), requests).wrong) == 1


def test_trace_id_differs():
    requests, trees = case()
    role(trees[0], "stock server").trace = "another"
    assert len(truth.compare(flat(trees), requests).wrong) == 1


def test_double():
    requests, trees = case()
    again = copy.copy(role(trees[0], "redis server"))
    again.id = "again"
    assert len(truth.compare(flat(trees) + [again], requests).doubles) == 1


def test_span_that_nothing_explains():
    requests, trees = case()
    extra = span("shop", 3, "Q", 5, 6, None, db__system__name="redis", network__local__port=7002)
    assert len(truth.compare(flat(trees) + [extra], requests).unknown) == 1


def test_child_outlives_parent():
    requests, trees = case()
    role(trees[0], "redis server").end += 5000
    assert len(truth.compare(flat(trees), requests).outside) == 1


SCHEMA = '"schemaUrl":"https://opentelemetry.io/schemas/1.44.0"'
OTLP = ('{"resourceSpans":[{' + SCHEMA + ',"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}},'
        '{"key":"process.pid","value":{"intValue":"7"}}]},"scopeSpans":[{' + SCHEMA +
        ',"scope":{"name":"weft","version":"1"},"spans":[{"traceId":"'
        + "aa" * 16 + '","spanId":"' + "bb" * 8 + '","flags":257,"name":"GET","kind":2,"startTimeUnixNano":"TIME",'
        '"endTimeUnixNano":"1700000000000000009","attributes":[{"key":"url.query","value":{"stringValue":"id=4"}}],'
        '"status":{"code":2}}]}]}]}')


def test_otlp_is_read():
    s, = truth.read_otlp([OTLP.replace("TIME", "1700000000000000005")])
    assert (s.service, s.pid, s.kind, s.end - s.start, s.attrs, s.status) == ("shop", 7, 2, 4, {"url.query": "id=4"}, 2)


def test_otlp_is_judged():
    try:
        truth.read_otlp([OTLP.replace("TIME", "1700000000000000010")])  # ends before it starts
    except AssertionError:
        return
    assert False, "an invalid message was taken"
