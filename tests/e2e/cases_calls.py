# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases of tests/e2e/run: what is seen at the functions of client libraries: SQLite, libpq; and how many are attached to."""
import collections
import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import subprocess
import time

import stack
import tls_stack
import tls_truth
import truth
from cases import Skip, case, expect, expect_ended_well, say
from cases_tls import compiled, need_python, weft_on


def redacted(sql):
    """What should be left of a statement of this test's. Values are strings and plain numbers."""
    return re.sub(r"\s+", " ", re.sub(r"'[^']*'|\b\d+\b", "?", sql)).strip(" ;")


# ---- SQLite ----


def statements(spans):
    return [s for s in spans if s.get("db.system.name") == "sqlite"]


def text_of(span):
    return re.sub(r"\s+", " ", span.get("db.query.text") or "").strip(" ;")


def expect_statements(spans, ran, file, failed, prepared=()):
    """ran: statements as SQLite told of them. Each has one span: without values, marked if it failed, with its file. `prepared`:
    by a thread that had opened the database before anybody looked, so that their texts may be unknown, as its file."""
    found = collections.Counter(map(text_of, spans))
    wanted = collections.Counter(map(redacted, ran))
    say(f"{found.total()} spans, {wanted.total()} statements; {found['']} spans of statements prepared before weft came, without text")
    for text in prepared:
        unknown = min(wanted[text] - found[text], found[""])
        expect(0 <= unknown, f"{text}: {found[text]} spans")
        found[text] += unknown
        found[""] -= unknown
    found, wanted = +found, +wanted
    expect(found == wanted, f"{list((found - wanted).items())[:4]} more, {list((wanted - found).items())[:4]} less")
    for s in spans:
        text = str(s.attrs)
        expect("secret" not in text and "4242" not in text, f"a value: {text}")
        expect("4141" not in text_of(s), f"a value: {text}")
        expect(s.kind == truth.CLIENT, f"kind {s.kind}: {text}")
        expect(prepared and not s.get("db.namespace") or s.get("db.namespace") == file, f"namespace {s.get('db.namespace')}, the file is {file}")
        bad = bool(re.search(failed, text_of(s)))
        expect(bool(s.get("error.type")) == bad and (s.status == 2) == bad, f"marked as failed: {s.status} {text}")
        expect(bool(s.get("db.response.status_code")) >= bad, f"no status code: {text}")
        expect(not s.get("network.peer.port"), f"a database inside the process has no peer: {text}")


@case()
def sqlite_python(ctx):
    """SQLite in a Flask service: each statement that SQLite says it ran has one span, under the request that ran it."""
    need_python("flask", "gunicorn")
    with stack.Stack(services=()) as server:
        file, log, port = server.path("things.db"), server.path("sqlite.log"), stack.free_port()
        subprocess.run([stack.PYTHON, "-c", "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.executescript('PRAGMA journal_mode=wal;"
                        "CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE visits (n INT, note TEXT);"
                        "INSERT INTO things VALUES (1, 1), (2, 2), (3, 3)')", file], check=True)
        server.ports["sqlite"] = port
        server.threads = 8
        server.gunicorn("sqlite", "app_sqlite:app", {"SQLITE_FILE": file, "SQLITE_LOG": log})

        def get(numbers):
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as c:
                for n in numbers:
                    c.request("GET", f"/q/{n}")
                    answer = c.getresponse()
                    expect(answer.status == 200, f"the service failed: {answer.status} {answer.read()}")
                    answer.read()

        get([1])  # a thread has opened the database and prepared its statements before anybody looked
        with open(log, encoding="utf-8") as f:
            earlier = [json.loads(line) for line in f]
        with weft_on(ctx, server.pids["sqlite"]) as weft:
            weft.wait_attached()
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                list(pool.map(get, [range(100 + i * 20, 120 + i * 20) for i in range(8)]))
            status = weft.stop()
        with open(log, encoding="utf-8") as f:
            ran = [json.loads(line) for line in f][len(earlier):]
    spans = ctx.spans()
    expect(len(ran) == 160 * 8, f"{len(ran)} statements were run")
    expect_statements(statements(spans), [text for _, text, _ in ran], file, r"_3 FROM|_4$", ("BEGIN IMMEDIATE", "COMMIT"))
    by_id = {s.id: s for s in spans}
    under = collections.Counter()
    early = {f"/q/{n}" for n, _, thread in ran if thread == earlier[0][2]}  # requests of the thread that had all open
    for s in statements(spans):
        parent = by_id.get(s.parent)
        m = re.search(r"\bid_(\d+)_", text_of(s))
        expect(parent and parent.kind == truth.SERVER and parent.get("url.path").startswith("/q/"),
               f"{text_of(s)} under {tls_truth.describe(parent)}")
        expect(not m or parent.get("url.path") == f"/q/{m.group(1)}", f"{text_of(s)} under {parent.get('url.path')}")
        expect(parent.start <= s.start and s.end <= parent.end, f"{text_of(s)} is not within its request")
        expect(s.get("db.namespace") and text_of(s) or parent.get("url.path") in early, f"its text or file is not known: {s.attrs}")
        under[parent.id] += 1
    expect(len(under) == 160 and set(under.values()) == {8}, f"not 8 statements under each of 160 requests: {under.most_common(3)}")
    rows = {s.get("db.response.returned_rows") for s in statements(spans) if "_100_0" in text_of(s)}
    rows |= {s.get("db.response.returned_rows") for s in statements(spans) if "_103_0" in text_of(s)}
    expect(rows == {0, 3}, f"rows of queries that have 0 and 3: {rows}")
    expect_ended_well(weft, status, spans)


@case()
def sqlite_c(ctx):
    """SQLite from C, in every way of its interface: at once, step by step, interleaved, given up, never run, wrong."""
    program, file = compiled(ctx, "sqlite_calls", "-lsqlite3"), ctx.path("c.db")
    with subprocess.Popen([program, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            with weft_on(ctx, process.pid) as weft:
                weft.wait_attached()
                out, _ = process.communicate("go\n", timeout=180 * stack.SLOW)
                status = weft.wait()  # ends with its target
        finally:
            process.kill()
    expect(process.returncode == 0 and len(out.splitlines()) == 13, f"sqlite_calls: {out}")
    spans = ctx.spans()
    expect_statements(spans, out.splitlines(), file, "id_3_")
    expect(not any(s.parent for s in spans), "a statement has a parent, and nothing asked for it")
    rows = sorted(s.get("db.response.returned_rows") or 0 for s in spans if "id_2_0" in text_of(s))
    expect(rows == [1, 1, 2], f"rows of the three runs: {rows}")
    expect_ended_well(weft, status, spans)


# ---- libpq ----

PSQL = """SELECT 41 AS id_8000, 'secret 42';
SELECT 41 AS id_8001, 42 / 0;
SELECT 41 AS id_8002 FROM generate_series(1, 1000);
BEGIN; SELECT 41 AS id_8003; COMMIT;
"""


def mixed_run(ctx, servers, *options):
    """psycopg2, psql, C and a client without the library at one PostgreSQL, all traced: spans, and PostgreSQL's own account."""
    port = servers.ports["postgres"]
    conninfo = f"host=127.0.0.1 port={port} user=postgres dbname=postgres sslmode=disable"
    with open(servers.path("psql.sql"), "w", encoding="ascii") as f:
        f.write(PSQL)
    clients = {
        "psycopg2": tls_stack.Peer(stack.PYTHON, os.path.join(stack.HERE, "db_client.py"), "postgres-plain", port, 10, 10),
        "psql": tls_stack.Peer(stack.postgres_bin() + "/psql", "-X", "-q", "-f", servers.path("psql.sql"), conninfo, late=True),
        "c": tls_stack.Peer(compiled(ctx, "libpq_calls", "-lpq"), conninfo, 5000),
        "wire": tls_stack.Peer(stack.PYTHON, os.path.join(stack.HERE, "pg_wire.py"), port, 20, 6000),
    }
    with open(servers.path("postgres.log"), encoding="utf-8", errors="replace") as f:
        before = len(f.read())
    with contextlib.ExitStack() as peers:
        for c in clients.values():
            peers.enter_context(c)
        clients["psycopg2"].wait_ready()
        with weft_on(ctx, servers.pids["postgres"], *(c.pid for c in clients.values()), more=options) as weft:
            weft.wait_attached()
            made = clients["psycopg2"].finish("go\n")
            for name in ("psql", "c", "wire"):
                clients[name].end()
            status = weft.stop()
    spans = ctx.spans()
    with open(servers.path("postgres.log"), encoding="utf-8", errors="replace") as f:
        f.seek(before)
        log = f.read()
    # id -> how often, and over which port; what psycopg2 connected with does not name an id
    ran = collections.Counter((m.group(2), int(m.group(1))) for m in re.finditer(
        r"127\.0\.0\.1\((\d+)\) LOG:  (?:statement|execute [^:]*): .*\b(id_\d+)\b", log))
    expect(ran.total() == 100 + 4 + 11 + 20, f"PostgreSQL ran {ran.total()} of the statements")
    expect_ended_well(weft, status, spans)
    return spans, ran, made


def of_ids(spans, kind, code="22012"):
    """(id, client's port) of the spans that name an id; those that failed have this code."""
    found = collections.Counter()
    for s in spans:
        m = re.search(r"\bid_\d+\b", str(s.get("db.query.text")))
        if m and s.kind == kind:
            found[m.group(), tls_truth.ports_of(s)[0]] += 1
            expect(not re.search(r"\b4[12]\b|secret", str(s.get("db.query.text"))), f"a literal: {s.get('db.query.text')}")
            bad = s.get("error.type")
            expect(not bad or s.get("db.response.status_code") == code, f"{m.group()}: {s.attrs}")
    return found


def expect_same(found, wanted, what):
    say(f"{what}: {found.total()} spans, {wanted.total()} statements")
    expect(found == wanted, f"{what}: {list((found - wanted).items())[:4]} more, {list((wanted - found).items())[:4]} less")


def libpq(ctx, source):
    with stack.Stack(services=("postgres",)) as servers:
        spans, ran, made = mixed_run(ctx, servers, "--db-source", source)
    expect_same(of_ids(spans, truth.SERVER), ran, "server")
    # A library's call says that it failed, and not why.
    clients = of_ids(spans, truth.CLIENT, None if source == "library" else "22012")
    if source == "library":
        # A library's call alone does not say over which connection; what no library saw is not told of.
        clients, ran = (collections.Counter(i for (i, _), n in c.items() for _ in range(n)) for c in (clients, ran))
    expect_same(clients, ran, "client")
    if source != "library":
        by_id = {s.id: s for s in spans}
        for s in spans:
            parent = by_id.get(s.parent)
            expect(s.kind == truth.CLIENT or parent and tls_truth.ports_of(parent)[0] == tls_truth.ports_of(s)[0],
                   f"{text_of(s)} under {tls_truth.describe(parent)}")
    when = {m[0]: m for m in made}
    slack = 2_000_000 * stack.SLOW
    for s in spans:
        m = re.search(r"\bid_\d+\b", str(s.get("db.query.text")))
        if s.kind == truth.CLIENT and m and m.group() in when:
            _, code, _, first, last = when[m.group()]
            expect(first - slack <= s.start and s.end <= last + slack, f"{m.group()}: not in its time")
            expect(bool(s.get("error.type")) == bool(code), f"{m.group()}: {s.get('error.type')}, not {code}")
            expect(source == "library" or (s.get("db.response.status_code") or "") == code, f"{m.group()}: {s.get('db.response.status_code')}, not {code}")


@case()
def libpq_merged(ctx):
    """libpq and the wire, both watched (--db-source both): psycopg2, psql, C and a client without libpq: no statement twice."""
    need_python("psycopg2")
    libpq(ctx, "both")


@case()
def libpq_wire(ctx):
    """--db-source wire: the same spans."""
    need_python("psycopg2")
    libpq(ctx, "wire")


@case()
def libpq_library(ctx):
    """--db-source library: the same statements, from the library where there is one."""
    need_python("psycopg2")
    libpq(ctx, "library")


# ---- other client libraries ----


@case()
def hiredis(ctx):
    """hiredis and the wire, both watched: every command at both ends, once, without its arguments; --db-source library: by name."""
    program = compiled(ctx, "hiredis_calls", "-lhiredis")
    wanted = collections.Counter(["SET", "GET", "INCRBY", "LPUSH"])
    with stack.Stack(services=("redis",)) as servers:
        for source in ("both", "library"):
            with tls_stack.Peer(program, servers.ports["redis"]) as client:
                client.wait_ready()
                with weft_on(ctx, servers.pids["redis"], client.pid, more=["--db-source", source]) as weft:
                    weft.wait_attached()
                    (port,) = json.loads(client.end().splitlines()[-1])
                    status = weft.stop()
            spans = ctx.spans()
            for side in (truth.CLIENT, truth.SERVER):
                mine = [s for s in spans if s.kind == side]
                found = collections.Counter(s.get("db.operation.name").replace("PIPELINE ", "") for s in mine)
                # Three commands that are sent at once are three, or one batch; to the library they are none of its waiting calls.
                echoes = sum(s.get("db.operation.batch.size") or 1 for s in mine if "ECHO" in s.get("db.operation.name"))
                found.pop("ECHO", None)
                expect_same(found, wanted, f"{source}, {tls_truth.SIDES[side]}")
                expect(echoes == (0 if source == "library" and side == truth.CLIENT else 3), f"{echoes} of 3 commands sent at once")
                for s in mine:
                    expect("4242" not in str(s.attrs) and "secret" not in str(s.attrs), f"a value: {s.attrs}")
                    expect(bool(s.get("error.type")) == (s.get("db.operation.name") == "INCRBY"), f"error: {s.attrs}")
                    expect(tls_truth.ports_of(s)[0] in (port, *([None] if source == "library" else [])), f"port: {s.attrs}")
            expect_ended_well(weft, status, spans)


@case()
def mysql(ctx):
    """MySQL's client library (MariaDB's): every statement once, without its values; what failed is marked."""
    program, folder = compiled(ctx, "mysql_calls", "-lmariadb"), ctx.path("mysql")
    try:
        server, install = stack.which("mariadbd"), stack.which("mariadb-install-db")
    except stack.StackError as e:
        raise Skip(str(e)) from None
    user = ["--user=root"] if os.getuid() == 0 else []
    subprocess.run([install, "--no-defaults", f"--datadir={folder}", "--auth-root-authentication-method=normal", *user],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    socket, log = f"{folder}/socket", f"{folder}/queries.log"
    with subprocess.Popen([server, "--no-defaults", f"--datadir={folder}", f"--socket={socket}", "--skip-networking", "--general-log",
                           f"--general-log-file={log}", *user], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            stack.wait_until("mariadbd", lambda: stack.connects(0, socket), 60, lambda: process.poll() is None)
            with tls_stack.Peer(program, socket) as client:
                client.wait_ready()
                with weft_on(ctx, client.pid) as weft:
                    weft.wait_attached()
                    client.end()
                    status = weft.wait()
        finally:
            process.terminate()
    with open(log, encoding="utf-8") as f:
        ran = collections.Counter(re.findall(r" (?:Query|Execute)\t.*\b(id_\d)\b", f.read()))
    spans = ctx.spans()
    expect(ran == {"id_1": 1, "id_2": 1, "id_3": 1, "id_4": 2}, f"the server ran {ran}")
    found = collections.Counter(m.group() for s in spans if (m := re.search(r"\bid_\d\b", text_of(s))))
    expect_same(found, ran, "client")
    expect(len(spans) == found.total(), f"{[s.attrs for s in spans]}")
    for s in spans:
        expect(s.get("db.system.name") == "mysql" and s.kind == truth.CLIENT, f"{s.kind} {s.attrs}")
        expect(not re.search(r"secret|4141|4242|no more", str(s.attrs)), f"a value: {s.attrs}")
        expect(bool(s.get("error.type")) == ("id_3" in text_of(s)), f"error: {s.attrs}")
    expect_ended_well(weft, status, spans)


# ---- how much is attached ----

HOLDER = """
import socket, ssl, sqlite3, subprocess, sys
import psycopg2
if len(sys.argv) > 1:
    children = [subprocess.Popen([sys.executable, "-c", open(sys.argv[2]).read()], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                for _ in range(int(sys.argv[1]))]
    for c in children:
        c.stdout.readline()
print("ready", flush=True)
sys.stdin.readline()
if len(sys.argv) > 1:
    for c in children:
        c.stdin.close()
        c.wait()
    print("gone", flush=True)
    sys.stdin.readline()
"""


def probe_links(pid):
    """Links on user space's functions that a process holds: id -> [(file, offset)], as far as the kernel tells."""
    found = {}
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as f:
            text = f.read()
            number = re.search(r"^link_id:\s*(\d+)", text, re.M)
            if number and re.search(r"^link_type:\s*(perf|uprobe_multi)", text, re.M):
                path = re.search(r"^(?:path|name):\s*(\S+)", text, re.M)
                found[int(number.group(1))] = [(path and path.group(1), at) for at in re.findall(r"^\d+\s+(0x[0-9a-f]+)\s", text, re.M)]
    return found


def link_exists(number):
    return subprocess.run([stack.which("bpftool"), "link", "show", "id", str(number)], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, check=False).returncode == 0


@case()
def fifty_processes(ctx):
    """50 processes that share libraries: one attachment a library file, ready within a second, nothing left when they have ended."""
    need_python("psycopg2")
    with open(ctx.path("holder.py"), "w", encoding="ascii") as f:
        f.write(HOLDER)
    with subprocess.Popen(["sleep", "300"]) as other:
        try:
            counts, times = {}, {}
            for children in (1, 49):
                with tls_stack.Peer(stack.PYTHON, ctx.path("holder.py"), children, ctx.path("holder.py")) as parent:
                    parent.wait_ready()
                    with weft_on(ctx, parent.pid, other.pid) as weft:
                        weft.wait_attached()
                        times[children + 1] = weft.ready_after
                        links = probe_links(weft.pid)
                        counts[children + 1] = len(links), sum(map(len, links.values()))
                        places = [place for at in links.values() for place in at]
                        files = {path for path, _ in places if path}
                        expect(len(files) == len({os.path.realpath(f) for f in files}), f"a file twice: {files}")
                        expect(links and all(link_exists(n) for n in links), f"{len(links)} attachments, and bpftool does not see all")
                        parent.go()
                        expect(parent.process.stdout.readline() == "gone\n", "the children did not end")
                        expect(probe_links(weft.pid) == links, "attachments went while the last process was still there")
                        parent.end()
                        if children > 1:  # they are kept for some seconds, for whoever comes next
                            stack.wait_until("attachments to go", lambda: not probe_links(weft.pid), 60)
                            stack.wait_until("links to go", lambda: not any(link_exists(n) for n in links), 60)
                        status = weft.stop()
                    expect_ended_well(weft, status, ctx.spans())
            say(f"attachments: {counts}; ready after {times[2]:.2f} s and {times[50]:.2f} s")
            expect(counts[2] == counts[50], f"attachments by number of processes: {counts}")
            expect(times[50] < 1 * stack.SLOW, f"50 processes: ready after {times[50]:.2f} s")
        finally:
            other.kill()
