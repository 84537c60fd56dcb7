# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases of tests/e2e/run: programs built by Go, of several versions, stripped and not; HTTP and gRPC, with and without TLS.

The programs are tests/e2e/go/. Besides the `go` that is found first, Go 1.19 is used (Debian's, or by GOTOOLCHAIN);
WEFT_GO="1.22.12 1.24.13" names others.
"""
import collections
import contextlib
import functools
import json
import os
import shutil
import subprocess

import stack
import tracer
import truth
from cases import Skip, case, expect, expect_ended_well, say

SOURCES = os.path.join(tracer.TOP, "tests", "e2e", "go")


# ---- building ----


class Go:
    """A Go toolchain: `go` is the command, `env` what to set for it."""

    def __init__(self, go, toolchain="local"):
        self.go, self.env = go, {**os.environ, "GOTOOLCHAIN": toolchain, "GOFLAGS": "-mod=readonly"}
        text = subprocess.run([go, "env", "GOVERSION"], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=True, timeout=300 * stack.SLOW).stdout
        self.version = text.strip().removeprefix("go")

    @property
    def minor(self):
        return int(self.version.split(".")[1])

    def build(self, program, out, *flags, cgo="0"):
        done = subprocess.run([self.go, "build", *flags, "-o", out, "."], cwd=os.path.join(SOURCES, program),
                              env={**self.env, "CGO_ENABLED": cgo}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False, timeout=900 * stack.SLOW)
        if done.returncode and ("dial tcp" in done.stdout or "no required module" in done.stdout or "GOPROXY" in done.stdout):
            raise Skip(f"modules can't be had: {done.stdout.strip().splitlines()[-1]}")
        expect(done.returncode == 0, f"go {self.version}: {done.stdout}")
        return out


@functools.cache
def toolchains():
    """The machine's Go, then one from before 1.21, then what WEFT_GO names."""
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    if not go:
        raise Skip("Go is not installed (Debian: golang-go)")
    found = [Go(go)]
    wanted = ["1.19.13"] if found[0].minor > 19 else []
    for version in wanted + os.environ.get("WEFT_GO", "").split():
        debian = f"/usr/lib/go-{version.rsplit('.', 1)[0]}/bin/go"
        try:
            found.append(Go(debian) if os.access(debian, os.X_OK) else Go(go, "go" + version))
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as e:
            said = (e.stderr or "") if isinstance(e.stderr, str) else ""
            say(f"Go {version} can't be had: {(said.strip().splitlines() or [e])[-1]}")
    return found


STRIPPED = ("-ldflags=-s -w",)


def peer_of(ctx, go, program="http", flags=(), cgo="0"):
    """The program, built once a run."""
    name = f"{program}-{go.version}" + "".join(f for f in "".join(flags) if f.isalpha()) + ("-cgo" if cgo == "1" else "")
    path = ctx.path(name)
    return path if os.path.exists(path) else go.build(program, path, *flags, cgo=cgo)


# ---- running ----


class Peer:
    """A program of tests/e2e/go: one side."""

    def __init__(self, *argv, env=None, before=None):
        """before: called with the process's PID while it still runs a shell, from which it becomes the program."""
        argv = [str(a) for a in argv]
        self.process = subprocess.Popen(["sh", "-c", 'read go; exec "$@"', "sh", *argv] if before else argv,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env={**os.environ, **(env or {})}, text=True)
        if before:
            before(self.pid)
            self.tell("go")
        line = self.process.stdout.readline().split()
        if not line:
            raise AssertionError(f"{argv}: {self.process.communicate()[1]}")
        self.ports = [int(p) for p in line[1:]]
        self.port = self.ports[0] if self.ports else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    @property
    def pid(self):
        return self.process.pid

    def tell(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def result(self):
        """What it prints in its last line: the requests as it saw them. A client that lives on."""
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"it ended: {self.process.wait()}: {self.process.stderr.read()[-3000:]}")
        return json.loads(line)

    def finish(self):
        """stdin ends: what it printed then."""
        out, errors = self.process.communicate(timeout=180 * stack.SLOW)
        expect(self.process.returncode == 0, f"{self.process.args[0]} ended with {self.process.returncode}: {errors[:3000]}")
        return json.loads(out) if out.strip() else []


def converse(ctx, server_program, client_program, options=(), requests=400, concurrency=8, server_only=(), client_only=(),
             side="server", env=None, tls=True, select=("server", "client"), under_load=False, tracing=(), first=1000):
    """Server, client and weft. Returns the spans, the requests that the client made (under load: those that began when weft had
    said that it traces), and the server's port."""
    tls_option = ["-tls"] if tls else []
    with contextlib.ExitStack() as all_of_them:
        server = all_of_them.enter_context(Peer(server_program, side, *tls_option, *options, *server_only, env=env))
        url = f"{'https' if tls else 'http'}://127.0.0.1:{server.port}"
        client = all_of_them.enter_context(Peer(client_program, "client", "-url", url, *tls_option, "-c", concurrency,
                                                "-n", 0 if under_load else requests, "-first", first, *options, *client_only,
                                                env=env))
        if under_load:
            client.tell("go")
        pids = ",".join(str({"server": server, "client": client}[name].pid) for name in select)
        weft = all_of_them.enter_context(tracer.Tracer(
            ["-p", pids, "--backend", ctx.args.backend, "--output", "otlp-json", *tracing], ctx.path("spans")))
        weft.wait_attached()
        client.tell(requests if under_load else "go")
        made = client.result()
        client.finish()
        served = server.finish()
        status = weft.stop()
    if under_load:
        made = [r for r in made if r["begin"] > weft.attached]
    spans = ctx.spans()
    expect_ended_well(weft, status, spans)
    expect(len(served) >= len(made), f"the server saw {len(served)} requests of {len(made)}")
    when = {r["id"]: (r["begin"], r["end"]) for r in served}
    for r in made:
        r["served"] = when[r["id"]]
    return spans, made, server.port


# ---- checking ----


def id_of(span):
    path = (span.get("url.full") or span.get("url.path") or "").split("?")[0]
    last = path.rsplit("/", 1)[-1]
    return int(last) if last.isdecimal() else None


def version_of(proto):
    return proto.removeprefix("HTTP/").removesuffix(".0") if proto == "HTTP/2.0" else proto.removeprefix("HTTP/")


def may_be_first(made):
    """Requests that may have been the first of their connection: none was over when they began. (Who asks may note the end of its
    request when others have had the connection already; who answers goes by the order of the connection.)"""
    of_port, found = collections.defaultdict(list), set()
    for r in made:
        of_port[r["port"]].append((*r.get("served", (r["begin"], r["end"])), r["id"]))
    for requests in of_port.values():
        over = min(end for _, end, _ in requests)
        found.update(i for begin, _, i in requests if begin <= over)
    return found


def check(spans, made, kinds, server_port, tls, more_allowed=False, unknown_allowed=False, orphans_allowed=False,
          unhurried=False):
    """Each request that was made has one span at each traced side, whose method, path, status, version, addresses and ports are
    those that the programs themselves saw; the server's is the client's child. No other spans (more_allowed: of other requests).
    unknown_allowed: there may be spans without addresses. orphans_allowed: server's spans without parents. unhurried: the
    programs are too slow for their clocks to tell
    anything. Returns how many spans have addresses."""
    truth_of, known = {r["id"]: r for r in made}, 0
    first = may_be_first(made)
    of = collections.defaultdict(list)
    for s in spans:
        expect(s.kind in kinds, f"a span of kind {s.kind}: {s.name}")
        if id_of(s) not in truth_of:
            expect(more_allowed, f"a span of no request: {s.name} {s.attrs}")
            continue
        of[s.kind, id_of(s)].append(s)
    missing = [(kind, i) for kind in kinds for i in truth_of if not of[kind, i]]
    expect(not missing, f"{len(missing)} of {len(truth_of) * len(kinds)} spans are missing: {missing[:5]} "
                        f"{[truth_of[i] for _, i in missing[:2]]}")
    for (kind, i), several in of.items():
        r, s = truth_of[i], several[0]
        expect(len(several) == 1, f"{len(several)} spans of kind {kind} for request {i}")
        found = (s.get("http.request.method"), s.get("http.response.status_code"), s.get("network.protocol.version"))
        wanted = (r["method"], r["status"], version_of(r["proto"]))
        expect(found == wanted, f"request {i}, kind {kind}: {found}, not {wanted}: {s.attrs}")
        port = s.get("network.local.port") if kind == truth.CLIENT else s.get("client.port")
        known += port is not None
        if port is not None or not unknown_allowed:
            expect((port, s.get("server.port")) == (r["port"], server_port),
                   f"request {i}, kind {kind}: not ports {r['port']}, {server_port}: {s.attrs}")
        path = s.get("url.path") if kind == truth.SERVER else "/" + s.get("url.full").split("/", 3)[3]
        expect(path == r["path"], f"request {i}: path {path}")
        scheme = s.get("url.scheme") or s.get("url.full").split(":")[0]
        expect(scheme == ("https" if tls else "http"), f"request {i}, kind {kind}: scheme {scheme}")
        if kind == truth.CLIENT and not unhurried:
            slack = 20_000_000 * stack.SLOW
            if i in first:  # includes the connect, which may have been begun for another request
                slack += 10_000_000_000
            expect(r["begin"] - slack <= s.start and s.end <= r["end"] + slack, f"request {i}: not in its time: "
                   f"begins {s.start - r['begin']} ns after, ends {r['end'] - s.end} ns before")
    if len(kinds) == 2:
        for i in truth_of:
            client, server = of[truth.CLIENT, i][0], of[truth.SERVER, i][0]
            expect(server.parent == client.id or orphans_allowed and not server.parent,
                   f"request {i}: the server's span is not the client's child, but {server.parent}'s")
    return known


BOTH = (truth.CLIENT, truth.SERVER)


@case()
def go_plain(ctx):
    """Go, HTTP/1.1 and (from Go 1.24) HTTP/2 without TLS: each request one span at both ends, right connection, right status."""
    for go in toolchains():
        peer = peer_of(ctx, go)
        for h2 in ([], ["-h2"]) if go.minor >= 24 else ([],):
            spans, made, port = converse(ctx, peer, peer, h2, tls=False)
            check(spans, made, BOTH, port, False)
            say(f"Go {go.version} {' '.join(h2)}: {len(spans)} spans")


@case()
def go_plain_under_load(ctx):
    """Go without TLS, 50 connections that are busy when weft comes."""
    peer = peer_of(ctx, toolchains()[0])
    spans, made, port = converse(ctx, peer, peer, tls=False, concurrency=50, requests=2000, under_load=True,
                                 tracing=["--ring-size", "64M"])
    check(spans, made, BOTH, port, False, more_allowed=True)
    say(f"{len(made)} requests after weft had said that it traces, {len(spans)} spans")


# ---- TLS ----


@case()
def go_tls(ctx):
    """Go over TLS 1.3, HTTP/1.1 and HTTP/2: several versions of Go, stripped and not, 50 connections."""
    for go in toolchains():
        for flags in ((), STRIPPED):
            peer = peer_of(ctx, go, flags=flags)
            for h2 in ([], ["-h2"]):
                # One HTTP/2 connection carries all: before weft knows what it is, few bytes a turn are looked at.
                spans, made, port = converse(ctx, peer, peer, h2, concurrency=20 if h2 else 50, requests=1000,
                                             first=30000 if h2 else 1000)
                check(spans, made, BOTH, port, True)
                say(f"Go {go.version} {' '.join([*flags, *h2])}: {len(spans)} spans")


@case()
def go_tls_forms(ctx):
    """Go over TLS: position-independent, with cgo, by TLS 1.2, one side alone traced, a connection for each request."""
    go = toolchains()[0]
    plain = peer_of(ctx, go)
    pie, cgo = peer_of(ctx, go, flags=("-buildmode=pie",)), peer_of(ctx, go, cgo="1") if shutil.which("gcc") else plain
    for what, server, client, options, kinds in (
            ("PIE and cgo", pie, cgo, {}, BOTH),
            ("TLS 1.2", plain, plain, {"server_only": ["-max", "1.2"]}, BOTH),
            ("the server alone", plain, plain, {"select": ["server"]}, (truth.SERVER,)),
            ("the client alone", plain, plain, {"select": ["client"]}, (truth.CLIENT,)),
            ("a connection for each", plain, plain, {"client_only": ["-fresh"]}, BOTH)):
        spans, made, port = converse(ctx, server, client, **options)
        check(spans, made, kinds, port, True)
        say(f"{what}: {len(spans)} spans")


@case()
def go_tls_wrapped(ctx):
    """Go over TLS on connections that are no *net.TCPConn: found by the ciphertext; addresses may lack, but not be wrong."""
    peer = peer_of(ctx, toolchains()[0])
    spans, made, port = converse(ctx, peer, peer, ["-wrap"], concurrency=20, requests=600)
    found = check(spans, made, BOTH, port, True, unknown_allowed=True, orphans_allowed=True)
    say(f"{len(spans)} spans, {found} with addresses")
    expect(found > len(spans) * 9 // 10, f"only {found} of {len(spans)} have addresses")


@case()
def go_tls_under_load(ctx):
    """Go over TLS, 50 connections that are busy when weft comes: what begins after its word is seen whole."""
    for go in toolchains():
        peer = peer_of(ctx, go, flags=STRIPPED)
        spans, made, port = converse(ctx, peer, peer, concurrency=50, requests=2000, under_load=True,
                                     tracing=["--ring-size", "64M"])
        # The two ends of a session that was there before do not count their bytes from the same one.
        check(spans, made, BOTH, port, True, more_allowed=True, orphans_allowed=True)
        say(f"Go {go.version}: {len(made)} requests after weft had said that it traces, {len(spans)} spans")


@case()
def go_http2_under_load(ctx):
    """Go over HTTP/2, with TLS and without, connections that are busy when weft comes: found in the middle, whichever side is traced."""
    peer = peer_of(ctx, toolchains()[0])
    for tls in (True, False) if toolchains()[0].minor >= 24 else (True,):
        for concurrency, select, kinds in ((1, ("server",), (truth.SERVER,)), (20, ("server",), (truth.SERVER,)),
                                           (20, ("client",), (truth.CLIENT,)), (20, ("server", "client"), BOTH)):
            spans, made, port = converse(ctx, peer, peer, ["-h2"], tls=tls, concurrency=concurrency, requests=1500, select=select,
                                         under_load=True, tracing=["--ring-size", "64M"])
            # Until the program's own words are asked for, what was sent before is a number that nobody knows.
            early = [s for s in spans if not s.get("http.response.status_code") or not s.get("http.request.method")]
            expect(len(early) < len(spans) // 3, f"{len(early)} of {len(spans)} spans without method or status")
            first = max([s.start for s in early] + [min(s.start for s in spans)])
            made = [r for r in made if r["begin"] > first]
            expect(len(made) >= 500, f"{len(made)} requests after all is known: found too late")
            check(spans, made, kinds, port, tls, more_allowed=True, orphans_allowed=True)
            say(f"{'TLS, ' if tls else ''}{concurrency} at a time, {'+'.join(select)}: {len(made)} requests, {len(spans)} spans")


@case()
def go_tls_exec(ctx):
    """Go programs that start while weft traces what becomes them: seen from when weft says so."""
    peer = peer_of(ctx, toolchains()[0], flags=STRIPPED)
    for _ in range(3):
        with contextlib.ExitStack() as both:
            def trace(pid, name):
                weft = both.enter_context(tracer.Tracer(["-v", "-p", pid, "--backend", ctx.args.backend, "--output", "otlp-json"],
                                                        ctx.path(name)))
                weft.wait_attached()
                tracers.append(weft)
            tracers = []
            server = both.enter_context(Peer(peer, "server", "-tls", before=lambda pid: trace(pid, "spans")))
            client = both.enter_context(Peer(peer, "client", "-tls", "-url", f"https://127.0.0.1:{server.port}", "-n", 4, "-first", 1000,
                                             before=lambda pid: trace(pid, "spans of the client")))
            for weft in tracers:
                weft.wait_for("line that it is attached", lambda: f"attached to {peer}" in weft.text(), 60)
            client.tell("go")
            made = client.result()
            client.finish()
            server.finish()
            statuses = [t.stop() for t in tracers]
        for name, kind, weft, status in zip(("spans", "spans of the client"), (truth.SERVER, truth.CLIENT), tracers, statuses):
            with open(ctx.path(name), encoding="utf-8") as f:
                spans = truth.read_otlp(f)
            expect_ended_well(weft, status, spans)
            check(spans, made, (kind,), server.port, True)


@case()
def go_stress(ctx):
    """Go programs that collect garbage all the time, on stacks that grow and shrink: they live, the spans are right."""
    for go in toolchains():
        peer = peer_of(ctx, go)
        for options in ({"options": ["-stress"]}, {"options": ["-stress", "-h2"]},
                        {"side": "raw", "server_only": ["-stress"]}):
            spans, made, port = converse(ctx, peer, peer, concurrency=16, requests=300, env={"GOGC": "1"}, **options)
            check(spans, made, BOTH, port, True, unhurried=True)
            say(f"Go {go.version} {options}: {len(spans)} spans")


CADDY = """{{
	admin off
	auto_https off
	servers {{
		protocols h1 h2
	}}
}}
https://localhost:{port}, https://127.0.0.1:{port} {{
	tls {cert} {key}
	log {{
		output file {log}
		format json
	}}
	@no path *3
	respond @no "no" 404
	respond "ok"
}}
"""


@case()
def go_caddy(ctx):
    """Caddy, a Go program that is not ours (Debian's: stripped), over TLS: its access log, the client and the spans agree."""
    try:
        caddy, openssl = stack.which("caddy"), stack.which("openssl")
    except stack.StackError as e:
        raise Skip(str(e)) from None
    client_program, port = peer_of(ctx, toolchains()[0]), stack.free_port()
    names = {"port": port, "cert": ctx.path("caddy.pem"), "key": ctx.path("caddy.key"), "log": ctx.path("caddy.log")}
    subprocess.run([openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
                    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", names["key"], "-out",
                    names["cert"]], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    with open(ctx.path("Caddyfile"), "w", encoding="utf-8") as f:
        f.write(CADDY.format(**names))
    for h2 in ([], ["-h2"]):
        with open(names["log"], "wb"), open(ctx.path("caddy.errors"), "ab") as errors:
            server = subprocess.Popen([caddy, "run", "--config", ctx.path("Caddyfile"), "--adapter", "caddyfile"],
                                      env={**os.environ, "XDG_DATA_HOME": ctx.folder, "XDG_CONFIG_HOME": ctx.folder},
                                      stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)
        try:
            stack.wait_until("caddy", lambda: stack.connects(port), 30, lambda: server.poll() is None)
            with Peer(client_program, "client", "-tls", "-url", f"https://localhost:{port}", "-c", 20, "-n", 400, "-first", 1000,
                      *h2) as client, \
                    tracer.Tracer(["-p", f"{server.pid},{client.pid}", "--backend", ctx.args.backend, "--output", "otlp-json"],
                                  ctx.path("spans")) as weft:
                weft.wait_attached()
                client.tell("go")
                made = client.result()
                client.finish()
                server.terminate()
                server.wait(30 * stack.SLOW)
                status = weft.stop()
        finally:
            if server.poll() is None:
                server.kill()
            server.wait()
        spans = ctx.spans()
        expect_ended_well(weft, status, spans)
        with open(names["log"], encoding="utf-8") as f:
            logged = [json.loads(line) for line in f]
        said = {(x["request"]["method"], x["request"]["uri"], x["status"], int(x["request"]["remote_port"])) for x in logged}
        expect(said == {(r["method"], r["path"], r["status"], r["port"]) for r in made}, "Caddy and the client do not agree")
        check(spans, made, BOTH, port, True)
        say(f"{' '.join(h2)}: {len(spans)} spans")


# ---- gRPC ----


def grpc_status(name):
    """Go's name of a status ("DeadlineExceeded") as the conventions have it."""
    return "".join("_" + c if c.isupper() and at else c for at, c in enumerate(name)).upper().replace("O_K", "OK")


def check_calls(spans, made, kinds, server_port):
    truth_of = {r["method"]: r for r in made}
    of = collections.defaultdict(list)
    for s in spans:
        of[s.kind, "/" + s.name].append(s)
    wanted = {(kind, method) for kind in kinds for method in truth_of}
    expect(not wanted - set(of), f"{len(wanted - set(of))} of {len(wanted)} missing: {sorted(wanted - set(of))[:5]}")
    expect(not set(of) - wanted, f"{len(set(of) - wanted)} spans of no call: {sorted(set(of) - wanted)[:5]}")
    for (kind, method), several in of.items():
        r, s = truth_of[method], several[0]
        expect(len(several) == 1, f"{len(several)} spans of kind {kind} for {method}")
        port = s.get("network.local.port") if kind == truth.CLIENT else s.get("client.port")
        found = (s.get("rpc.system.name", "rpc.system"), s.get("rpc.response.status_code"), port, s.get("server.port"))
        expect(found == ("grpc", grpc_status(r["status"]), r["port"], server_port), f"{method}, kind {kind}: {found}: {r} {s.attrs}")
        if kind == truth.CLIENT:
            slack = 20_000_000 * stack.SLOW
            expect(r["begin"] - slack <= s.start and s.end <= r["end"] + slack, f"{method}: not in its time")
    if len(kinds) == 2:
        for method in truth_of:
            expect(of[truth.SERVER, method][0].parent == of[truth.CLIENT, method][0].id, f"{method}: not the client's child")


def check_mid(spans, made, kinds, server_port):
    """Of connections whose header table is not known: each call one span at each end, on its connection; what is said is right."""
    truth_of, left = {r["method"]: r for r in made}, {(kind, r["method"]) for kind in kinds for r in made}
    for s in spans:
        method = "/" + s.name if "/" in s.name else "/" + (s.get("url.path") or s.get("url.full").split("/", 3)[3]).lstrip("/")
        expect((s.kind, method) in left, f"a second span, or one of no call: {s.name} {s.attrs}")
        left.remove((s.kind, method))
        r, port = truth_of[method], s.get("network.local.port") if s.kind == truth.CLIENT else s.get("client.port")
        expect(port == r["port"] and s.get("server.port") in (None, server_port), f"{method}, kind {s.kind}: {r} {s.attrs}")
        expect(s.get("rpc.response.status_code") in (None, grpc_status(r["status"])), f"{method}: {r} {s.attrs}")
        expect(s.get("http.response.status_code") in (None, 200), f"{method}: {s.attrs}")
    expect(not left, f"{len(left)} missing: {sorted(left)[:5]}")


def converse_grpc(ctx, program, tls, early, n=8, c=4):
    tls_option = ["-tls"] if tls else []
    with Peer(program, "server", *tls_option) as server, \
            Peer(program, "client", "-address", f"127.0.0.1:{server.port}", "-n", n, "-c", c, *tls_option,
                 *(["-early"] if early else [])) as client:
        with tracer.Tracer(["-p", f"{server.pid},{client.pid}", "--backend", ctx.args.backend, "--output", "otlp-json"],
                           ctx.path("spans")) as weft:
            weft.wait_attached()
            client.tell("go")
            made = client.result()
            client.finish()
            server.finish()
            status = weft.stop()
    spans = ctx.spans()
    expect_ended_well(weft, status, spans)
    return spans, made, server.port


def grpc_programs(ctx):
    """(what, program): grpc-go of 2023 by each Go, and a newer one by the newest."""
    for go in toolchains():
        yield f"Go {go.version}", peer_of(ctx, go, "grpc")
    if toolchains()[0].minor >= 25:
        yield "newer grpc-go", peer_of(ctx, toolchains()[0], "grpc", ("-modfile=new.mod",))


def grpc(ctx, tls):
    for what, program in grpc_programs(ctx):
        for early in (False, True):
            spans, made, port = converse_grpc(ctx, program, tls, early)
            (check_mid if early else check_calls)(spans, made, BOTH, port)
            named = sum("/" in s.name for s in spans if s.get("rpc.method"))
            expect(named > len(spans) * 2 // 3, f"only {named} of {len(spans)} have their method")
            say(f"{what}{', in the middle' if early else ''}: {len(spans)} spans, {named} with their method")


@case()
def go_grpc_plain(ctx):
    """grpc-go without TLS: all forms of calls, failures and deadlines; connections from their start and in the middle."""
    grpc(ctx, False)


@case()
def go_grpc_tls(ctx):
    """The same over TLS."""
    grpc(ctx, True)
