# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases of tests/e2e/run: what programs say behind TLS, HTTP/2 with it."""
import collections
import contextlib
import os
import re
import subprocess

import stack
import test_tls_truth
import tls_stack
import tls_truth
import tracer
import truth
from cases import Skip, case, expect, expect_ended_well, say

CONNECTIONS, REQUESTS = 50, 4


def compiled(ctx, name, *libraries):
    """A C program of this folder."""
    out = ctx.path(name)
    done = subprocess.run(["gcc", "-O1", "-D_GNU_SOURCE", "-I/usr/include/postgresql", "-I/usr/include/mariadb", os.path.join(stack.HERE, name + ".c"), "-o", out,
                           *libraries], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Skip(f"{name}.c can't be compiled here (tools/setup): {done.stderr.splitlines()[:1]}")
    return out


def weft_on(ctx, *pids, more=()):
    options = ["-p", ",".join(str(p) for p in pids), "--backend", ctx.args.backend, "--output", "otlp-json", *more]
    return tracer.Tracer(options, ctx.path("spans"))


def expect_clean(report, what=""):
    say(*(f"{what} {line}" for line in report.lines()))
    expect(report.clean(), what + " " + ", ".join(
        f"{len(getattr(report, k))} {k.replace('_', ' ')}" for k in report.kinds() if getattr(report, k)))


def need(*programs):
    for name in programs:
        try:
            stack.which(name)
        except stack.StackError as e:
            raise Skip(str(e)) from None


def need_python(*modules):
    for name in modules:
        if not tls_stack.has(stack.PYTHON, "-c", f"import {name}"):
            raise Skip(f"Python's {name} is not installed (tools/setup)")


def clients_of(port, connections=CONNECTIONS, requests=REQUESTS, late=False):
    """The three kinds of clients, each with connections of its own. late: they begin when they are told to."""
    clients = [tls_stack.python_client(kind, port, connections, requests, first, late=late)
               for kind, first in (("blocking", 1000), ("asyncio", 2000))]
    if tls_stack.has("node", "--version"):
        clients.append(tls_stack.node_client("client", port, connections, requests, 3000, late=late))
    return clients


@case(traces=False)
def tls_checker(_):
    """The checker of these cases finds every kind of mistake in spans made by hand."""
    tests = [f for n, f in vars(test_tls_truth).items() if n.startswith("test_")]
    for test in tests:
        test()
    expect(len(tests) >= 11, "tests of the checker are gone")


def first_of_each(happened):
    seen = set()
    return [h for h in happened if not (h[3] in seen or seen.add(h[3]))]


def https(ctx, service, connections=CONNECTIONS, blocking=False, version="1.3", **options):
    """All kinds of clients at once at one server; attached before they connect, and when all their connections are open.

    blocking: the server's threads wait for requests inside the library; what a thread was waiting for when weft came, and only
    that, may be missed at the server."""
    with tls_stack.TlsStack(service, **options) as servers:
        port = servers.ports[service]
        for late in (True, False):
            before = len(servers.served(service))
            with contextlib.ExitStack() as peers:
                clients = [peers.enter_context(c) for c in clients_of(port, connections, late=late)]
                if not late:
                    for c in clients:
                        c.wait_ready()
                    before = len(servers.served(service))
                with weft_on(ctx, servers.pids[service], *(c.pid for c in clients)) as weft:
                    weft.wait_attached()
                    for c in clients:
                        c.go("go\ngo\n" if late else "go\n")
                    made = [m for c in clients for m in c.finish()]
                    servers.wait_served(service, before + len(clients) * connections * (REQUESTS + late))
                    status = weft.stop()
            happened = servers.served(service)[before:]
            expect({m[:4] for m in made} <= set(happened), "client and server do not agree on what happened")
            expect(len(happened) == len(clients) * connections * (REQUESTS + late), f"{len(happened)} requests were served")
            spans = ctx.spans()
            report = tls_truth.compare(spans, happened, port, joined=late,
                                       under_way=first_of_each(happened) if blocking and not late else ())
            seen = {s.get("tls.protocol.version") for s in spans}  # in the handshake, if anywhere
            expect(seen == ({version} if late else {None}), f"versions of TLS, by the spans: {seen}")
            tls_truth.check_times(spans, made, report)
            expect_clean(report, "attached before:" if late else "connections open:")
            expect_ended_well(weft, status, spans)


@case()
def https_nginx(ctx):
    """HTTPS, nginx: every request of blocking, asyncio and Node clients, 50 connections each, on its own connection."""
    need("nginx", "openssl")
    https(ctx, "nginx_tls")


@case()
def https_apache(ctx):
    """HTTPS, Apache with its event MPM and mod_ssl, which has buffers of its own: the same."""
    need("apache2", "openssl")
    https(ctx, "apache_tls")


@case()
def https_python(ctx):
    """HTTPS, Python's blocking server: the same."""
    need("openssl")
    https(ctx, "python_tls", blocking=True)


@case()
def https_uvicorn(ctx):
    """HTTPS, uvicorn, which encrypts in memory: the same."""
    need("openssl")
    need_python("uvicorn")
    https(ctx, "uvicorn_tls")


@case()
def https_node(ctx):
    """HTTPS, Node, which encrypts in memory and may carry its own OpenSSL: the same."""
    need("openssl", "node")
    https(ctx, "node_tls")


@case()
def tls_1_2(ctx):
    """TLS 1.2, whose handshake and records are others."""
    need("nginx", "openssl")
    https(ctx, "nginx_tls", connections=10, version="1.2", tls_version="TLSv1.2")
    https(ctx, "python_tls", connections=10, version="1.2", blocking=True, tls_version="TLSv1_2")


@case()
def tls_in_memory(ctx):
    """A client whose sessions encrypt in memory and are sent by another thread, in another order: each on its own connection."""
    need("nginx", "openssl")
    program = compiled(ctx, "tls_memory", "-lssl", "-lcrypto", "-lpthread")
    with tls_stack.TlsStack("nginx_tls") as servers:
        port = servers.ports["nginx_tls"]
        for late in (True, False):
            with tls_stack.Peer(program, port, 50, 6, 1000, late=late) as client:
                if not late:
                    client.wait_ready()
                before = len(servers.served("nginx_tls"))
                with weft_on(ctx, servers.pids["nginx_tls"], client.pid) as weft:
                    weft.wait_attached()
                    client.go("go\ngo\n" if late else "go\n")
                    made = client.finish()
                    servers.wait_served("nginx_tls", before + 300 + 50 * late)
                    status = weft.stop()
            happened = servers.served("nginx_tls")[before:]
            expect({m[:4] for m in made} <= set(happened) and len(happened) == 300 + 50 * late, "who did what is not agreed upon")
            spans = ctx.spans()
            report = tls_truth.compare(spans, happened, port, joined=late)
            tls_truth.check_times(spans, made, report)
            expect_clean(report, "attached before:" if late else "connections open:")
            expect_ended_well(weft, status, spans)


@case()
def https_proxied(ctx):
    """Client, nginx, uvicorn, TLS between them all: each request is one trace of four spans, one under the other."""
    need("nginx", "openssl")
    need_python("uvicorn")
    with tls_stack.TlsStack("uvicorn_tls", "nginx_tls", proxy_to="uvicorn_tls") as servers:
        with tls_stack.python_client("blocking", servers.ports["nginx_tls"], 20, 5, late=True) as client:
            with weft_on(ctx, *servers.pids.values(), client.pid) as weft:
                weft.wait_attached()
                client.go("go\ngo\n")
                made = client.finish()
                status = weft.stop()
    spans = ctx.spans()
    by_id = {s.id: s for s in spans}
    chains = collections.Counter()
    for s in spans:
        chain = [f"{s.service} {tls_truth.SIDES[s.kind]}"]
        up = s
        while up.parent:
            expect(up.parent in by_id, f"{tls_truth.describe(up)}: its parent was not exported")
            up = by_id[up.parent]
            expect(tls_truth.path_of(up) == tls_truth.path_of(s), f"{tls_truth.describe(s)} under {tls_truth.describe(up)}")
            chain.append(f"{up.service} {tls_truth.SIDES[up.kind]}")
        chains[" < ".join(chain)] += 1
    say(*(f"{n} {chain}" for chain, n in chains.items()))
    whole = "app_tls server < nginx client < nginx server < tls_client client".split(" < ")
    expect(chains == collections.Counter({" < ".join(whole[i:]): len(made) + 20 for i in range(4)}), f"{chains}")
    ports = {(m[0], m[1]): m[3] for m in made}
    for s in spans:
        if "/90000" not in tls_truth.path_of(s) and (s.service == "tls_client" or (s.service, s.kind) == ("nginx", truth.SERVER)):
            expect(tls_truth.ports_of(s)[0] == ports[s.get("http.request.method"), tls_truth.path_of(s)], tls_truth.describe(s))
    expect_ended_well(weft, status, spans)


def request_text(path, last=False):
    return f"GET {path} HTTP/1.1\r\nHost: {tls_stack.HOST}\r\n{'Connection: close' if last else 'Accept: */*'}\r\n\r\n"


def typed(argv, paths, after_first=lambda: None):
    """A program that is given the plaintext to send: each request when the answer to the one before is there."""
    def run(process):
        for number, path in enumerate(paths):
            if number == 1:
                after_first()
            process.stdin.write(request_text(path, path == paths[-1]).encode())
            process.stdin.flush()
            text = b""
            while not text.endswith(b"\r\n\r\n"):
                text += process.stdout.read(1) or expect(False, f"{argv[0]} ended: {text[-500:]}")
                text = re.sub(rb"^.*(?=HTTP/1\.1 )", b"", text, flags=re.S)
            process.stdout.read(int(re.search(rb"(?i)content-length: (\d+)", text).group(1)))
        process.stdin.close()
        process.stdout.read()
    return argv, run


def whole(argv):
    return argv, lambda process: process.communicate(timeout=180 * stack.SLOW)


@case()
def https_clients(ctx):
    """curl, wget, openssl s_client, gnutls-cli against nginx: each request at both ends, long answers and a slow reader included."""
    need("nginx", "openssl", "curl", "wget", "gnutls-cli")
    # Somebody has the libraries mapped: what a program does in its first milliseconds with one that nobody had is another case.
    with tls_stack.TlsStack("nginx_tls") as servers, tls_stack.holder("libssl.so.3", "libgnutls.so.30") as other:
        other.wait_ready()
        port = servers.ports["nginx_tls"]
        url = f"https://127.0.0.1:{port}"

        def paths(first):
            return [f"/w/200/{first}", f"/w/404/{first + 1}", f"/w/200/{first + 2}?size=40000", f"/w/200/{first + 3}?size=5000000"]

        def urls(first):
            return [url + p for p in paths(first)]

        clients = {
            "curl": whole(["curl", "-sSk", "--http1.1", *(x for u in urls(100) for x in ("-o", "/dev/null", u))]),
            "curl, a slow reader": whole(["curl", "-sSk", "--http1.1", "--limit-rate", "8M", "-o", "/dev/null", urls(200)[3]]),
            "curl, a POST of 1 MB": whole(["curl", "-sSk", "--http1.1", "-H", "Expect:", "--data-binary", "@" + ctx.path("posted"),
                                           "-o", "/dev/null", urls(300)[0]]),
            "curl, TLS 1.2, a name": whole(["curl", "-sSk", "--http2", "--tls-max", "1.2", "--resolve", f"{tls_stack.HOST}:{port}:127.0.0.1",
                                            "-o", "/dev/null", f"https://{tls_stack.HOST}:{port}{paths(700)[0]}"]),
            "wget": whole(["wget", "-q", "--no-check-certificate", "-O", "/dev/null", *urls(400)]),
            "s_client": typed(["openssl", "s_client", "-quiet", "-connect", f"127.0.0.1:{port}"], paths(500)[:3]),
            "gnutls-cli": typed(["gnutls-cli", "--insecure", "--no-ca-verification", "-p", str(port), "127.0.0.1"], paths(600)[:3]),
        }
        with open(ctx.path("posted"), "wb") as f:
            f.write(b"p" * 1_000_000)
        reports = []
        for name, (argv, talk) in clients.items():
            before = len(servers.served("nginx_tls"))
            with subprocess.Popen(["sh", "-c", 'read go; exec "$@"', "sh", *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL) as client:
                try:
                    with weft_on(ctx, servers.pids["nginx_tls"], other.pid, client.pid) as weft:
                        weft.wait_attached()
                        client.stdin.write(b"go\n")
                        client.stdin.flush()
                        talk(client)
                        client.wait(180 * stack.SLOW)
                        wanted = {"wget": 4, "curl": 4}.get(name, 1 if "," in name else 3)
                        servers.wait_served("nginx_tls", before + wanted)
                        status = weft.stop()
                finally:
                    client.kill()
            happened = servers.served("nginx_tls")[before:]
            expect(len(happened) == wanted, f"{name}: nginx answered {happened}")
            reports.append((name, tls_truth.compare(ctx.spans(), happened, port)))
            expect_ended_well(weft, status, ctx.spans())
            if "TLS 1.2" in name:
                for s in ctx.spans():
                    said = s.get("tls.protocol.version"), s.get("tls.next_protocol"), s.get("server.address")
                    expect(said == ("1.2", "h2", tls_stack.HOST), f"{tls_truth.describe(s)}: {said}")
        for name, report in reports:
            say(*(f"{name}: {line}" for line in report.lines()))
        bad = [name for name, report in reports if not report.clean()]
        expect(not bad, f"not right: {', '.join(bad)}")


@case()
def library_of_a_new_program(ctx):
    """A program that is started while weft runs and has a library that nobody had: weft says how late it was, and sees the rest."""
    need("nginx", "openssl", "gnutls-cli")
    with tls_stack.TlsStack("nginx_tls") as servers:
        port = servers.ports["nginx_tls"]
        argv = ["gnutls-cli", "--insecure", "--no-ca-verification", "-p", str(port), "127.0.0.1"]
        with subprocess.Popen(["sh", "-c", 'read go; exec "$@"', "sh", *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL) as client:
            try:
                with weft_on(ctx, servers.pids["nginx_tls"], client.pid) as weft:
                    weft.wait_attached()
                    client.stdin.write(b"go\n")
                    client.stdin.flush()
                    late = re.compile(r"attached to \S*libgnutls\S* of pid \d+ (\d+\.\d) ms after it was mapped")
                    _, talk = typed(argv, [f"/w/200/{n}" for n in range(700, 704)], after_first=lambda: weft.wait_for(
                        "line about libgnutls", lambda: late.search(weft.text()), 10))
                    talk(client)
                    client.wait(180 * stack.SLOW)
                    status = weft.stop()
            finally:
                client.kill()
        spans, happened = ctx.spans(), servers.served("nginx_tls")
    say(f"attached {late.search(weft.text()).group(1)} ms after it was mapped")
    unseen = {h for h in happened if h[1] == "/w/200/700"}
    seen = [s for s in spans if tls_truth.path_of(s) != "/w/200/700"]
    expect_clean(tls_truth.compare(seen, [h for h in happened if h not in unseen], port, joined=False))
    expect(sum(s.kind == truth.CLIENT for s in spans) in (3, 4), "the first request twice")
    expect_ended_well(weft, status, spans)


# ---- HTTP/2 ----


def h2load_client(servers, service, connections=8, streams=10, requests=400):
    port = servers.ports[service]
    paths = [f"/w/{404 if i % 7 == 0 else 200}/{i}{'?size=300' if i % 3 == 0 else ''}" for i in range(50)]
    with open(servers.path("uris"), "w", encoding="ascii") as f:
        f.writelines(f"https://127.0.0.1:{port}{p}\n" for p in paths)
    return ["h2load", "-n", str(requests), "-c", str(connections), "-m", str(streams), "-i", servers.path("uris")]


def curl_client(servers, service, first=5000, requests=40):
    url = f"https://127.0.0.1:{servers.ports[service]}/w/200/"
    return ["curl", "-sSk", "--http2", "-Z", *(x for i in range(requests) for x in ("-o", "/dev/null", f"{url}{first + i}"))]


def http2_tls(ctx, service):
    with tls_stack.TlsStack(service) as servers, tls_stack.holder("libssl.so.3") as other:
        other.wait_ready()
        port = servers.ports[service]
        for name, argv in (("h2load", h2load_client(servers, service)), ("curl", curl_client(servers, service))):
            before = len(servers.served(service))
            with tls_stack.Peer(*argv, late=True) as client, weft_on(ctx, servers.pids[service], other.pid, client.pid) as weft:
                weft.wait_attached()
                out, _ = client.process.communicate("go\n", timeout=180 * stack.SLOW)
                stack.wait_until("the log", lambda: len(servers.served(service)) >= before + (400 if name == "h2load" else 40), 60)
                status = weft.stop()
            expect(client.process.returncode == 0 and "errored" not in out.replace("0 errored", ""), f"{name}: {out}")
            spans = ctx.spans()
            expect_clean(tls_truth.compare(spans, servers.served(service)[before:], port, version="2"), f"{name}:")
            expect_ended_well(weft, status, spans)


def http2_tls_in_mid_connection(ctx, service):
    with tls_stack.TlsStack(service) as servers:
        port = servers.ports[service]
        with tls_stack.python_client("h2", port, 20, 20) as client:
            client.wait_ready()
            before = len(servers.served(service))
            with weft_on(ctx, servers.pids[service], client.pid) as weft:
                weft.wait_attached()
                client.go("go\n")
                made = client.finish()
                servers.wait_served(service, before + 400)
                status = weft.stop()
        happened = servers.served(service)[before:]
        expect(len(happened) == 400 and {m[:4] for m in made} <= set(happened), "client and server do not agree on what happened")
        spans = ctx.spans()
        report = tls_truth.compare(spans, happened, port, version="2", joined=False)
        tls_truth.check_times(spans, made, report)
        expect_clean(report, "connections open:")
        expect_ended_well(weft, status, spans)


@case()
def http2_tls_nginx(ctx):
    """HTTP/2 over TLS (ALPN), nginx: every stream of h2load and of curl's parallel requests at both ends."""
    need("nginx", "openssl", "h2load", "curl")
    http2_tls(ctx, "nginx_tls")


@case()
def http2_tls_apache(ctx):
    """HTTP/2 over TLS, Apache's mod_http2, whose workers are not the threads that read: the same."""
    need("apache2", "openssl", "h2load", "curl")
    http2_tls(ctx, "apache_tls")


@case()
def http2_tls_node(ctx):
    """HTTP/2 over TLS, Node's server: the same."""
    need("node", "openssl", "h2load", "curl")
    http2_tls(ctx, "node_tls")


@case()
def http2_tls_joined(ctx):
    """HTTP/2 over TLS on connections that are open already: every stream, with what can be known."""
    need("nginx", "openssl")
    need_python("httpx", "h2")
    http2_tls_in_mid_connection(ctx, "nginx_tls")


# ---- gRPC ----


@case()
def grpc_tls(ctx):
    """gRPC over TLS, grpcio at both ends: every kind of call, with its status and its real end."""
    need("openssl")
    need_python("grpc")
    with tls_stack.TlsStack() as servers:
        certificate, key = servers.certificate()
        grpc(ctx, certificate, key, warm=False)


@case()
def grpc_joined(ctx):
    """gRPC without TLS on a connection that is open already: as grpc_tls_joined, and both ends are joined."""
    need_python("grpc")
    grpc(ctx, "", "", warm=True)


@case()
def grpc_tls_joined(ctx):
    """gRPC over TLS on a connection that is open already: each call one span with its real end; what it says of the call is right.

    Header fields that refer to what was sent before weft came can't be known, here the method that was called before, the content
    type and grpc-status 0; whatever came later can."""
    need("openssl")
    need_python("grpc")
    with tls_stack.TlsStack() as servers:
        certificate, key = servers.certificate()
        grpc(ctx, certificate, key, warm=True)


def grpc(ctx, certificate, key, warm):
    peer = [stack.PYTHON, f"{stack.HERE}/grpc_peer.py"]
    with tls_stack.Peer(*peer, "server", certificate, key) as server:
        port = int(server.process.stdout.readline())
        with tls_stack.Peer(*peer, "client", port, certificate, *(["warm"] if warm else [])) as client:
            if warm:
                client.wait_ready()
            with weft_on(ctx, server.pid, client.pid) as weft:
                weft.wait_attached()
                made, served = client.finish("go\n"), server.finish("")
                status = weft.stop()
    spans = ctx.spans()
    if warm:
        expect_calls_joined(spans, made)
        expect(certificate or all(s.parent for s in spans if s.kind == truth.SERVER), "a server's span without a parent")
    else:
        expect_calls(spans, made, served)
    expect(all(ports_right(s, port) for s in spans), "a span without its connection's ports")
    expect_ended_well(weft, status, spans)


def ports_right(span, port):
    client, server = tls_truth.ports_of(span)
    return client and server in (port, None)


def expect_calls_joined(spans, made):
    slack = 2_000_000 * stack.SLOW
    names, clients = collections.Counter(), {}
    for kind in (truth.CLIENT, truth.SERVER):
        mine = sorted((s for s in spans if s.kind == kind), key=lambda s: s.start)
        expect(len(mine) == len(made), f"{tls_truth.SIDES[kind]}: {len(mine)} spans, {len(made)} calls")
        for number, (s, (method, code, first, last)) in enumerate(zip(mine, made)):
            text = f"{method} {code}: {s.name} {s.attrs}"
            # (What a client gives up, its server learns of later.)
            expect(first - slack <= s.start and (s.end if kind == truth.CLIENT else s.start) <= last + slack, f"not in its time: {text}")
            expect(s.get("rpc.method") in (None, f"weft.test.Echo/{method}"), text)
            expect(s.get("rpc.response.status_code") in (None, code), text)
            expect(s.get("url.path", "url.full") is None or s.get("url.path", "url.full").endswith(f"/{method}"), text)
            expect(s.get("rpc.method") and s.get("rpc.response.status_code") or method not in ("Fail", "Missing"), f"not known: {text}")
            expect(bool(s.get("error.type")) <= (code != "OK"), f"no error: {text}")
            names[tls_truth.SIDES[kind], bool(s.get("rpc.method"))] += 1
            if kind == truth.CLIENT:
                clients[s.id] = number
            expect(not s.parent or clients.get(s.parent) == number, f"a wrong parent: {text}")
    say(*(f"{side}: {n} calls {'by name' if known else 'without a name'}" for (side, known), n in names.items()))


def expect_calls(spans, made, served):
    """made and served: [(method, status, first ns, last ns)], one after the other."""
    spans = sorted(spans, key=lambda s: s.start)
    for kind in (truth.CLIENT, truth.SERVER):
        found = collections.Counter((s.name, s.get("rpc.response.status_code")) for s in spans if s.kind == kind)
        wanted = collections.Counter((f"weft.test.Echo/{m[0]}", m[1]) for m in made)
        say(f"{tls_truth.SIDES[kind]}: {found.total()} spans, {len(made)} calls")
        expect(found == wanted, f"{tls_truth.SIDES[kind]}: {found - wanted} more, {wanted - found} less")
    by_id = {s.id: s for s in spans}
    for s in spans:
        parent = by_id.get(s.parent)
        if s.kind == truth.SERVER:
            expect(parent and parent.kind == truth.CLIENT and parent.name == s.name, f"{s.name}: its parent is {tls_truth.describe(parent)}")
    slack = 2_000_000 * stack.SLOW
    for s, (method, code, first, last) in zip((s for s in spans if s.kind == truth.CLIENT), made):
        expect(s.name.endswith("/" + method) and first - slack <= s.start and s.end <= last + slack, f"{method} {code}: not in its time")
    ended = {method: [end for m, _, _, end in served if m == method] for method in ("ServerStream", "ClientStream", "Bidi")}
    for s in spans:
        method = s.name.split("/")[-1]
        if s.kind == truth.SERVER and method in ended:
            expect(s.end + slack >= ended[method].pop(0), f"{method}: the span ends before the server had ended it")


# ---- databases ----


def postgres_served(servers, ids):
    """Which statement came over which client's port, by PostgreSQL's own log."""
    found = collections.Counter()
    with open(servers.path("postgres.log"), encoding="utf-8", errors="replace") as f:
        for line in f:
            m = re.search(r"127\.0\.0\.1\((\d+)\) LOG:  (?:statement|execute [^:]*): .*\b(id_\d+)\b", line)
            if m and m.group(2) in ids:
                found[m.group(2), int(m.group(1))] += 1
    return found


def compare_queries(spans, made, port, joined, server="postgres"):
    """made: [(id, error code, local port, first ns, last ns)]: each at both ends, once, over its own connection, without its values.
    Not joined: the connections were open before; what the first query on each led to may then be unknown, because others could
    have been under way, and so may be the parent."""
    report = tls_truth.Report()
    firsts = {}
    for m in sorted(made, key=lambda m: m[3]):
        firsts.setdefault(m[2], m[0])
    for side in (truth.CLIENT, truth.SERVER):
        left = {m[0]: m for m in made}
        for s in (s for s in spans if s.kind == side):
            text = f"{tls_truth.SIDES[side]} of {s.service}: {s.get('db.query.text')} {tls_truth.ports_of(s)}"
            m = re.search(r"\bid_\d+\b", str(s.get("db.query.text")))
            if not m:
                report.unexplained.append(text)
                continue
            happened = left.pop(m.group(), None)
            if not happened:
                report.doubles.append(text)
                continue
            _, code, local, first, last = happened
            client, there = tls_truth.ports_of(s)
            if client is None:
                report.no_connection.append(text)
            elif client != local or there != port:
                report.wrong_connection.append(text)
            said = s.get("db.response.status_code") or ""
            unknown = not joined and not said and not s.get("error.type") and firsts[local] == happened[0]
            if not unknown and (said != code or bool(s.get("error.type")) != bool(code)):
                report.wrong.append(f"{text}: {s.get('db.response.status_code')}, not {code!r}")
            if re.search(r"\b4[12]\b", s.get("db.query.text")):
                report.wrong.append(f"{text}: a literal")
            slack = 2_000_000 * stack.SLOW
            if side == truth.CLIENT and (s.start < first - slack or s.end > last + slack):
                report.wrong.append(f"{text}: not in its time")
            if side == truth.SERVER and s.service != server:
                report.wrong.append(f"{text}: service {s.service}")
            report.found[f"{s.service} {tls_truth.SIDES[side]}"] += 1
        report.missing += [f"{tls_truth.SIDES[side]} {i}" for i in left]
    by_id = {s.id: s for s in spans}
    for s in spans:
        parent = by_id.get(s.parent)
        if s.kind == truth.SERVER and (s.parent or joined) and not (parent and parent.get("db.query.text") == s.get("db.query.text")):
            report.wrong.append(f"{s.get('db.query.text')} under {tls_truth.describe(parent)}")
    return report


@case()
def postgres_tls(ctx):
    """PostgreSQL after SSLRequest, psycopg2: every query at both ends, before it connects and on open connections."""
    need("openssl")
    need_python("psycopg2")
    with tls_stack.TlsStack("postgres") as servers:
        for late in (True, False):
            postgres_over_tls(ctx, servers, tls_stack.db_client("postgres", servers.ports["postgres"], 20, 10, late=late), late)


@case()
def postgres_tls_node(ctx):
    """PostgreSQL over TLS from Node's pg."""
    need("openssl", "node")
    if not tls_stack.has("node", "-e", 'require("pg")'):
        raise Skip("Node's pg is not installed (node-pg, or NODE_PATH to one)")
    with tls_stack.TlsStack("postgres") as servers:
        for late in (True, False):
            client = tls_stack.node_client("postgres", servers.ports["postgres"], 60, 7000, late=late)
            postgres_over_tls(ctx, servers, client, late)


def postgres_over_tls(ctx, servers, peer, late):
    port = servers.ports["postgres"]
    with peer as client:
        if not late:
            client.wait_ready()
        with weft_on(ctx, servers.pids["postgres"], client.pid) as weft:
            weft.wait_attached()
            client.go("go\ngo\n" if late else "go\n")
            made = client.finish()
            status = weft.stop()
    served = postgres_served(servers, {m[0] for m in made})
    expect({(m[0], m[2]) for m in made if not m[1]} <= set(served), "client and PostgreSQL do not agree on what happened")
    spans = ctx.spans()
    expect_clean(compare_queries(spans, made, port, joined=late), "attached before:" if late else "connections open:")
    expect_ended_well(weft, status, spans)


@case()
def redis_tls(ctx):
    """Redis over TLS from Python: every command at both ends, before it connects and on open connections."""
    need("openssl", "redis-server")
    need_python("redis")
    with tls_stack.TlsStack("redis") as servers:
        for late in (True, False):
            with tls_stack.db_client("redis", servers.ports["redis"], 20, 10, late=late) as client:
                if not late:
                    client.wait_ready()
                with weft_on(ctx, servers.pids["redis"], client.pid) as weft:
                    weft.wait_attached()
                    client.go("go\ngo\n" if late else "go\n")
                    made = client.finish()
                    status = weft.stop()
            spans = ctx.spans()
            wanted = collections.Counter((m[0], m[2]) for m in made)
            if late:
                wanted.update(("PING", port) for port in {m[2] for m in made})
            for side in (truth.CLIENT, truth.SERVER):
                found = collections.Counter((s.get("db.operation.name"), tls_truth.ports_of(s)[0]) for s in spans if s.kind == side)
                say(f"{tls_truth.SIDES[side]}: {found.total()} spans, {wanted.total()} commands")
                expect(found == wanted, f"{tls_truth.SIDES[side]}: {list((found - wanted).items())[:4]} more, "
                                        f"{list((wanted - found).items())[:4]} less")
            by_id = {s.id: s for s in spans}
            expect(all(not s.parent and not late or s.parent in by_id and tls_truth.ports_of(by_id[s.parent])[0] == tls_truth.ports_of(s)[0]
                       for s in spans if s.kind == truth.SERVER), "a server's span has a wrong parent or none")
            expect_ended_well(weft, status, spans)
