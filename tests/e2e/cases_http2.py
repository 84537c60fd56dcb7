# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases of tests/e2e/run: HTTP/2 and gRPC."""
import collections
import contextlib
import json
import os
import signal
import subprocess
import time

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


# ---- joined in the middle: what nghttp2 knows of the header table ----

METHODS, STATUSES = ("GET", "PUT", "REPORT", "POST", "DELETE", "PATCH", "SEARCH"), (200, 201, 418, 503, 202)  # h2_peer.js


class H2Peer:
    """A side of tests/e2e/h2_peer.js, or another program (argv), for `with`."""

    def __init__(self, *argv):
        self.process = subprocess.Popen([str(a) for a in argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    @property
    def pid(self):
        return self.process.pid

    def expect_line(self, wanted):
        line = self.process.stdout.readline().strip()
        expect(line == wanted, f"{self.process.args}: {line!r}, not {wanted!r}")

    def more(self, n):
        """A client: n requests more, and the end. The first and the last id of these."""
        self.process.stdin.write(f"{n}\n")
        self.process.stdin.flush()
        ids = json.loads(self.process.stdout.readline())
        self.process.wait(180 * stack.SLOW)
        return ids


def h2_peer(*argv):
    return H2Peer(stack.which("node"), os.path.join(stack.HERE, "h2_peer.js"), *argv)


def id_of(span):
    path = path_of(span).split("/")
    return int(path[2]) if path[1] == "item" else None


def said_of(span):
    """The method as it was sent, and the status."""
    return span.get("http.request.method_original", "http.request.method"), span.get("http.response.status_code")


def join(ctx, traced):
    """weft joins these; returns when it knows what their header tables hold and has let go of the functions that said so."""
    options = ["-v", "-p", ",".join(str(p.pid) for p in traced), "--backend", ctx.args.backend, "--output", "otlp-json"]
    weft = tracer.Tracer(options, ctx.path("spans"))
    try:
        weft.wait_attached()
        for p in traced:
            weft.wait_for("word that header fields are wanted", lambda p=p: f"header fields of pid {p.pid} are wanted" in weft.text(), 60)
            weft.wait_for("word that they are known", lambda p=p: f"header fields of pid {p.pid} are not wanted any more" in weft.text(), 60)
    except BaseException:
        weft.__exit__()
        raise
    return weft


def check_joined(spans, ids, kinds, statuses=True):
    """Of these requests each has one span at each traced side, and all that was sent by number is known and right; what is said of
    those before is right."""
    found = collections.defaultdict(list)
    for s in spans:
        i = id_of(s)
        method, status = said_of(s)
        expect(method in (None, METHODS[i % 7]), f"request {i}, kind {s.kind}: {method}")
        expect(not statuses or status in (None, STATUSES[i % 5]), f"request {i}, kind {s.kind}: {status}")
        found[s.kind, i].append(s)
    for kind in kinds:
        for i in range(ids[0], ids[1] + 1):
            several = found[kind, i]
            expect(len(several) == 1, f"{len(several)} spans of kind {kind} for request {i}")
            wanted = (METHODS[i % 7], STATUSES[i % 5] if statuses else said_of(several[0])[1])
            expect(said_of(several[0]) == wanted, f"request {i}, kind {kind}: {said_of(several[0])}, not {wanted}")
            expect(several[0].get("server.address") == "127.0.0.1", f"request {i}: {several[0].attrs}")
    unknown = sum(None in said_of(s) for s in spans)
    say(f"{len(spans)} spans, {unknown} from before its table was known")


@case()
def http2_joined_node(ctx):
    """HTTP/2 between two Node.js, with TLS and without, joined in its middle: what was sent before is learnt from nghttp2 inside."""
    need("node", "openssl")
    key, cert = ctx.path("key"), ctx.path("cert")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-keyout", key, "-out", cert], stderr=subprocess.DEVNULL, check=True)
    for tls in (False, True):
        port = stack.free_port()
        with contextlib.ExitStack() as peers:
            server = peers.enter_context(h2_peer("server", port, *((key, cert) if tls else ())))
            server.expect_line("listens")
            client = peers.enter_context(h2_peer("client", f"{'https' if tls else 'http'}://127.0.0.1:{port}"))
            client.expect_line("ready")
            weft = peers.enter_context(join(ctx, [server, client]))
            ids = client.more(100)
            status = weft.stop()
        spans = ctx.spans()
        expect_ended_well(weft, status, spans)
        check_joined(spans, ids, (truth.CLIENT, truth.SERVER))


@case()
def http2_joined_library(ctx):
    """The same of programs with the shared library, whose symbols are stripped: nghttpd as the server, h2load as the client."""
    need("node", "nghttpd", "h2load")
    port = stack.free_port()
    with contextlib.ExitStack() as peers:
        server = peers.enter_context(H2Peer(stack.which("nghttpd"), "--no-tls", "-a", "127.0.0.1", "-d", ctx.path("."), port))
        stack.wait_until("nghttpd", lambda: stack.connects(port), 30, lambda: server.process.poll() is None)
        client = peers.enter_context(h2_peer("client", f"http://127.0.0.1:{port}"))
        client.expect_line("ready")
        weft = peers.enter_context(join(ctx, [server]))
        ids = client.more(100)
        status = weft.stop()
    spans = ctx.spans()
    expect_ended_well(weft, status, spans)
    check_joined(spans, ids, (truth.SERVER,), statuses=False)
    port = stack.free_port()
    with contextlib.ExitStack() as peers:
        server = peers.enter_context(h2_peer("server", port))
        server.expect_line("listens")
        client = peers.enter_context(H2Peer(stack.which("h2load"), "-D", "600", "-c", "3", "--rps", "50", "-H", ":method: REPORT",
                                            *(f"http://127.0.0.1:{port}/item/{i}" for i in (2, 9, 16, 23, 30))))
        weft = peers.enter_context(join(ctx, [client]))
        known, size = time.time_ns(), os.path.getsize(ctx.path("spans"))
        stack.wait_until("h2load's requests", lambda: os.path.getsize(ctx.path("spans")) > size + 200_000, 60,
                         lambda: client.process.poll() is None)
        client.process.terminate()
        client.process.wait()
        status = weft.stop()
    spans = ctx.spans()
    expect_ended_well(weft, status, spans)
    later = [s for s in spans if s.start > known and not s.get("error.type")]
    for s in spans:
        wrong = [a for a, b in zip(said_of(s), ("REPORT", STATUSES[id_of(s) % 5])) if a not in (None, b)]
        expect(not wrong, f"{s.name} {s.attrs}")
    for s in later:
        expect(said_of(s) == ("REPORT", STATUSES[id_of(s) % 5]), f"{s.name} {s.attrs}")
    expect(len(later) > 50, f"{len(later)} of {len(spans)} spans are of after all was known")
    say(f"{len(spans)} spans, {len(later)} of them from after the table was known")
