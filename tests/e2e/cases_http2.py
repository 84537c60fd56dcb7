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
        return json.loads(self.process.communicate(text, timeout=180 * stack.SLOW)[0])


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


class Nginx:
    """nginx with HTTP/2, over TLS or not, for `with`; the body of its server block is `server`, its log "METHOD PATH STATUS"."""

    def __init__(self, folder, server, tls=False):
        self.folder, self.port, self.process = folder, stack.free_port(), None
        os.makedirs(folder)
        if tls:
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                            "-subj", "/CN=localhost", "-keyout", f"{folder}/key", "-out", f"{folder}/cert"],
                           stderr=subprocess.DEVNULL, check=True)
            server += f"ssl_certificate {folder}/cert; ssl_certificate_key {folder}/key;"
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        temp = "".join(f"{what}_temp_path {folder}/{what};" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        with open(f"{folder}/conf", "w", encoding="utf-8") as f:
            f.write(f"{'user root;' if os.getuid() == 0 else ''} daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}} "
                    f"http {{ {temp} log_format line '$request_method $request_uri $status'; access_log {folder}/access.log line; "
                    f"keepalive_requests 100000; "
                    f"server {{ listen 127.0.0.1:{self.port} {'ssl' if tls else ''} http2; {server} }} }}")

    def __enter__(self):
        self.process = subprocess.Popen([stack.which("nginx"), "-p", self.folder, "-c", f"{self.folder}/conf"], stderr=subprocess.DEVNULL,
                                        start_new_session=True)
        stack.wait_until("nginx", lambda: os.path.exists(f"{self.folder}/pid") and stack.connects(self.port), 60,
                         lambda: self.process.poll() is None)
        return self

    def __exit__(self, *_):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # with its workers
        except ProcessLookupError:
            pass
        self.process.wait()

    def end(self):
        """Ends it in an orderly way; what it logged, counted."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()
        with open(f"{self.folder}/access.log", encoding="utf-8") as f:
            return collections.Counter(line.strip() for line in f)


def loaded(ctx, nginx, requests, connections, streams, paths):
    """h2load on nginx while both are traced: each stream is one span at either end, as nginx's log and h2load's count say."""
    urls = " ".join(f"{nginx.url}{p}" for p in paths)
    with subprocess.Popen(["sh", "-c", f"read go; exec {stack.which('h2load')} -n {requests} -c {connections} -m {streams} {urls}"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        try:
            options = ["-p", f"{nginx.process.pid},{load.pid}", "--backend", ctx.args.backend, "--output", "otlp-json"]
            with tracer.Tracer(options, ctx.path("spans")) as weft:
                weft.wait_attached()
                said = load.communicate("go\n", timeout=120 * stack.SLOW)[0]
                wanted = nginx.end()
                status = weft.stop()
        finally:
            load.kill()
    spans = ctx.spans()
    expect_ended_well(weft, status, spans)
    expect(f"{requests} done" in said, f"h2load: {said}")
    expect(wanted.total() == requests, f"{wanted.total()} lines in nginx's log")
    for kind in (truth.CLIENT, truth.SERVER):
        found = collections.Counter(
            f"{s.get('http.request.method')} {path_of(s)} {s.get('http.response.status_code')}" for s in spans if s.kind == kind)
        expect(found == wanted, f"kind {kind}: {found - wanted} more, {wanted - found} less")
    expect(all(s.get("network.protocol.version") == "2" for s in spans), "a span of another version")
    parents_answer(spans)


def need(*programs):
    for program in programs:
        try:
            stack.which(program)
        except stack.StackError as e:
            raise Skip(str(e)) from None


@case()
def http2_streams(ctx):
    """HTTP/2 without TLS, many streams at a time: nginx's log, h2load's count and the spans of both ends agree."""
    need("h2load", "nginx")
    with Nginx(ctx.path("http2"), "location / { return 200 'hello'; } location /no { return 404; }") as nginx:
        loaded(ctx, nginx, 400, 4, 10, ["/a?x=1", "/no"])


def large(ctx, tls, sendfile):
    need("h2load", "nginx", "openssl")
    folder = ctx.path("www")
    os.makedirs(folder, exist_ok=True)
    for size in (1000, 8000, 100_000):
        with open(f"{folder}/{size}", "wb") as f:
            f.write(os.urandom(size))
    server = f"root {folder}; sendfile {'on' if sendfile else 'off'};"
    with Nginx(ctx.path(f"http2-{tls}-{sendfile}"), server, tls) as nginx:
        loaded(ctx, nginx, 2000, 5, 100, ["/1000", "/8000", "/100000", "/none"])


@case()
def http2_large(ctx):
    """HTTP/2, a hundred streams at a time whose frames share calls with bodies of up to 100 KB: none is missed."""
    large(ctx, tls=False, sendfile=False)
    large(ctx, tls=False, sendfile=True)


@case()
def http2_large_tls(ctx):
    """The same over TLS."""
    large(ctx, tls=True, sendfile=False)


def path_of(span):
    """Path and query."""
    if span.get("url.full"):
        return "/" + span.get("url.full").split("/", 3)[3]
    return span.get("url.path") + ("?" + span.get("url.query") if span.get("url.query") else "")
