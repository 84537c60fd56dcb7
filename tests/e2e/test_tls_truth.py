# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of tls_truth.py: it must find every kind of mistake, in spans made by hand."""
import itertools

import tls_truth
import truth

PORT = 4433
HAPPENED = [("GET", "/w/200/1", 200, 50001), ("GET", "/w/404/2?size=300", 404, 50002), ("POST", "/w/200/3", 200, 50001)]
NUMBERS = itertools.count(1)


def span(kind, method, path, status, port, parent=""):
    s = truth.Span()
    s.service, s.name, s.kind, s.id, s.parent, s.trace = "x", method, kind, str(next(NUMBERS)), parent, "t"
    s.start, s.end, s.status, s.pid = 1_000_000_000, 1_001_000_000, 0, 1
    s.attrs = {"http.request.method": method, "http.response.status_code": status, "network.peer.address": "127.0.0.1"}
    if kind == truth.CLIENT:
        s.attrs |= {"url.full": f"https://127.0.0.1:{PORT}{path}", "network.local.port": port, "network.peer.port": PORT}
    else:
        s.attrs |= {"url.scheme": "https", "url.path": path.split("?")[0], "network.peer.port": port}
        if "?" in path:
            s.attrs["url.query"] = path.split("?")[1]
    return s


def right():
    spans = []
    for h in HAPPENED:
        client = span(truth.CLIENT, *h)
        spans += [client, span(truth.SERVER, *h, parent=client.id)]
    return spans


def found(spans, **more):
    report = tls_truth.compare(spans, HAPPENED, PORT, **more)
    return {k: len(getattr(report, k)) for k in report.kinds() if getattr(report, k)}


def test_right():
    assert not found(right())


def test_missing():
    assert found(right()[:-1]) == {"missing": 1}


def test_under_way_may_be_missing_at_the_server_alone():
    assert not found(right()[:-1], under_way=HAPPENED[-1:])
    assert found(right()[:-2] + right()[-1:], under_way=HAPPENED[-1:])["missing"] == 1


def test_double():
    spans = right()
    assert found(spans + [span(truth.SERVER, *HAPPENED[0], parent=spans[0].id)]) == {"doubles": 1}


def test_wrong_connection():
    spans = right()
    spans[0].attrs["network.local.port"] = 50002
    spans[1].parent = ""
    assert found(spans, joined=False) == {"wrong_connection": 1, "missing": 1}


def test_no_connection():
    spans = right()
    del spans[3].attrs["network.peer.port"]
    assert found(spans)["no_connection"] == 1


def test_other_server():
    spans = right()
    spans[2].attrs["network.peer.port"] = PORT + 1
    assert found(spans) == {"wrong": 1}


def test_status_method_and_path():
    for change in ({"http.response.status_code": 500}, {"http.request.method": "PUT"}, {"url.path": "/other"}):
        spans = right()
        spans[1].attrs |= change
        assert found(spans, joined=False)["missing"] == 1


def test_scheme_version_and_error():
    for change in ({"url.scheme": "http"}, {"network.protocol.version": "1.1"}, {"error.type": "incomplete_response"}):
        spans = right()
        for s in spans:
            s.attrs["network.protocol.version"] = "2"
        spans[1].attrs |= change
        assert found(spans, version="2") == {"wrong": 1}


def test_parents():
    spans = right()
    spans[1].parent = ""
    assert found(spans) == {"wrong": 1} and not found(spans, joined=False)
    spans[1].parent = spans[2].id
    assert found(spans, joined=False) == {"wrong": 1}
    spans[1].parent, spans[2].parent = spans[0].id, spans[0].id
    assert found(spans) == {"wrong": 1}


def test_times():
    spans, report = right(), tls_truth.Report()
    made = [h + (1_000_000_000, 1_001_000_000) for h in HAPPENED]
    tls_truth.check_times(spans, made, report)
    assert report.clean()
    spans[0].end += 1_000_000_000
    tls_truth.check_times(spans, made, report)
    assert len(report.wrong) == 1
