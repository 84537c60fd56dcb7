# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases of tests/e2e/run: HTTP/2 and gRPC."""
import collections
import json
import os
import signal
import subprocess

import stack
import tracer
import truth
from cases import Skip, case, expect, expect_ended_well, say



class Peer:
    """One side of tests/e2e/grpc_peer.py."""

    def __init__(self, *argv):
        self.process = subprocess.Popen([stack.PYTHON, os.path.join(tracer.TOP, "tests", "e2e", "grpc_peer.py"), *map(str, argv)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def finish(self, text=""):
        """The calls as it saw them."""
        return json.loads(self.process.communicate(text, timeout=60 * stack.SLOW)[0])


def parents_answer(spans):
    """Each server span is the child of a client span of the same name."""
    by_id = {s.id: s for s in spans}
    for s in spans:
        if s.kind == truth.SERVER:
            parent = by_id.get(s.parent)
            expect(parent and parent.kind == truth.CLIENT and parent.name == s.name, f"{s.name} has a wrong parent or none")


@case()
def grpc_calls(ctx):
    """gRPC, unary, streams, failures, deadline, cancellation: each call one span at each end, with its status and its real end."""
    if subprocess.run([stack.PYTHON, "-c", "import grpc"], stderr=subprocess.DEVNULL, check=False).returncode:
        raise Skip("python3-grpcio is not installed (tools/setup)")
    with Peer("server") as server:
        with Peer("client", int(server.process.stdout.readline())) as client:
            options = ["-p", f"{server.process.pid},{client.process.pid}", "--backend", ctx.args.backend, "--output", "otlp-json"]
            with tracer.Tracer(options, ctx.path("spans")) as weft:
                weft.wait_attached()
                made, served = client.finish("go\n"), server.finish()
                status = weft.stop()
    spans = sorted(ctx.spans(), key=lambda s: s.start)
    expect_ended_well(weft, status, spans)
    for kind in (truth.CLIENT, truth.SERVER):
        found = [(s.name.removeprefix("weft.test.Echo/"), s.get("rpc.response.status_code")) for s in spans if s.kind == kind]
        wanted = [(method, code) for method, code, _, _ in made]
        expect(sorted(found) == sorted(wanted), f"kind {kind}: {collections.Counter(found) - collections.Counter(wanted)} more, "
                                                f"{collections.Counter(wanted) - collections.Counter(found)} less")
    parents_answer(spans)
    slack = 2_000_000 * stack.SLOW  # between the two clocks' readings
    for s, (method, code, first, last) in zip((s for s in spans if s.kind == truth.CLIENT), made):
        expect(s.name.endswith(method) and first - slack <= s.start and s.end <= last + slack, f"{method} {code}: not in its time")
    ended = {method: [end for m, _, _, end in served if m == method] for method in ("ServerStream", "ClientStream", "Bidi")}
    for s in spans:
        method = s.name.split("/")[-1]
        if s.kind == truth.SERVER and method in ended:
            expect(s.end + slack >= ended[method].pop(0), f"{method}: the span ends before the server had ended it")
    say(f"{len(made)} calls, {len(spans)} spans")


@case()
def http2_streams(ctx):
    """HTTP/2 without TLS, many streams at a time: nginx's log, h2load's count and the spans of both ends agree."""
    try:
        h2load, nginx = stack.which("h2load"), stack.which("nginx")
    except stack.StackError as e:
        raise Skip(str(e)) from None
    port, folder = stack.free_port(), ctx.path("http2")
    os.makedirs(folder)
    temp = "".join(f"{what}_temp_path {folder}/{what};" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    with open(ctx.path("http2.conf"), "w", encoding="utf-8") as f:
        f.write(f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}} http {{ {temp} "
                f"log_format line '$request_method $request_uri $status'; access_log {folder}/access.log line; "
                f"server {{ listen 127.0.0.1:{port} http2; location / {{ return 200 'hello'; }} location /no {{ return 404; }} }} }}")
    server = subprocess.Popen([nginx, "-p", folder, "-c", ctx.path("http2.conf")], stderr=subprocess.DEVNULL, start_new_session=True)
    load = None
    try:
        stack.wait_until("nginx", lambda: os.path.exists(f"{folder}/pid") and stack.connects(port), 10, lambda: server.poll() is None)
        load = subprocess.Popen(["sh", "-c", f"read go; exec {h2load} -n 400 -c 4 -m 10 http://127.0.0.1:{port}/a?x=1 "
                                             f"http://127.0.0.1:{port}/no"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        options = ["-p", f"{server.pid},{load.pid}", "--backend", ctx.args.backend, "--output", "otlp-json"]
        with tracer.Tracer(options, ctx.path("spans")) as weft:
            weft.wait_attached()
            said = load.communicate("go\n", timeout=60 * stack.SLOW)[0]
            server.send_signal(signal.SIGQUIT)
            server.wait()
            status = weft.stop()
    finally:
        if load and load.poll() is None:
            load.kill()
            load.wait()
        try:
            os.killpg(server.pid, signal.SIGKILL)  # with its workers
        except ProcessLookupError:
            pass
        server.wait()
    spans = ctx.spans()
    expect_ended_well(weft, status, spans)
    expect("400 done" in said, f"h2load: {said}")
    with open(f"{folder}/access.log", encoding="utf-8") as f:
        wanted = collections.Counter(line.strip() for line in f)
    expect(wanted.total() == 400, f"{wanted.total()} lines in nginx's log")
    for kind in (truth.CLIENT, truth.SERVER):
        found = collections.Counter(
            f"{s.get('http.request.method')} {path_of(s)} {s.get('http.response.status_code')}" for s in spans if s.kind == kind)
        expect(found == wanted, f"kind {kind}: {found - wanted} more, {wanted - found} less")
    expect(all(s.get("network.protocol.version") == "2" for s in spans), "a span of another version")
    parents_answer(spans)


def path_of(span):
    """Path and query."""
    if span.get("url.full"):
        return "/" + span.get("url.full").split("/", 3)[3]
    return span.get("url.path") + ("?" + span.get("url.query") if span.get("url.query") else "")
