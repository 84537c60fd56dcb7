#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes a recording (user/source/record.h) of made-up load, the same for the same arguments.

    tests/replay/make_load.py FILE [--seconds N] [--rate N] [--plain] [--lose N]

A web service reads requests (keep-alive, some over a Unix socket), asks Redis, PostgreSQL and another HTTP service that is traced as
well, and answers; workers end and are replaced. --seconds: event time; --rate: requests a second; --plain: nothing but the
web service's own HTTP exchanges; --lose N: of 1000 events so many are missing.
"""
import argparse
import random
import struct

ABI = 2
OPEN, DATA, EOF_, CLOSE, FORK, EXIT, CONNECT, RECORD_CLOCK, RECORD_PROCESS = 1, 2, 3, 5, 6, 8, 11, 64, 65
OUT, IN = 0, 1
CLIENT, SERVER = 1, 2
INET, UNIX = 2, 1
POS = 1 << 5
TRACEPARENT = "traceparent: 00-%032x-%016x-01\r\n"


def pg(kind, body):
    return kind + struct.pack(">I", len(body) + 4) + body


class Load:
    def __init__(self, out, seed, lose):
        self.out, self.dice, self.lose = out, random.Random(seed), lose
        self.now, self.conns, self.socks, self.requests = 10 ** 9, 0, 1000, 0
        self.buf = bytearray(b"weftrec\n" + struct.pack("=II", ABI, 0x01020304))

    def event(self, kind, body=b"", pid=0, tid=0, conn=0, flags=0):
        size = 32 + len(body)
        pad = -size % 8
        self.buf += struct.pack("=IBBHQIIQ", size + pad, kind, flags, 0, self.now, pid, tid, conn)
        self.buf += body + bytes(pad)
        if len(self.buf) > 1 << 20:
            self.flush()

    def flush(self):
        self.out.write(self.buf)
        self.buf.clear()

    def clock(self):
        self.event(RECORD_CLOCK, struct.pack("=q", 1700000000 * 10 ** 9))

    def process(self, pid, service):
        text = b"service.name\0" + service.encode() + b"\0process.pid\0%d\0" % pid
        self.event(RECORD_PROCESS, struct.pack("=QII", self.now, 2, len(text)) + text, pid)

    def proc(self, kind, pid):
        self.event(kind, struct.pack("=IIQ16s", 1, 0, self.now, b"shop"), pid, pid)

    def step(self, microseconds):
        self.now += microseconds * 1000


class End:
    """One end of a connection."""

    def __init__(self, load, pid, role, port, far_port, sock, peer, family=INET, pos=(0, 0), start=0):
        self.load, self.pid, self.pos = load, pid, list(pos)
        load.conns += 1
        self.id = load.conns
        local, remote = (struct.pack("=4s12xHHI", b"\x7f\0\0\1", p, family, 0) for p in (port, far_port))
        if family == UNIX:
            local = remote = struct.pack("=16xHHI", 0, family, 0)
        path = b"/run/shop.sock" if family == UNIX else b""
        load.event(OPEN, struct.pack("=QQQIIII", sock, peer, start, 1, 7, *self.pos) + local + remote +
                   struct.pack("=BBHI104s", role, 0, len(path), 0, path), pid, pid, self.id, POS)

    def moves(self, way, data, tid, shown=None):
        """One call; `shown` of its bytes are copied."""
        load, pos = self.load, self.pos[way]
        self.pos[way] = pos + len(data) & 0xffffffff
        if load.lose and load.dice.randrange(1000) < load.lose:
            return
        head = data if shown is None else data[:shown]
        load.event(DATA, struct.pack("=IIHHB3x", pos, len(data), len(head), 0, way) + head, self.pid, tid, self.id)

    def close(self):
        self.load.event(CLOSE, struct.pack("=IIHHB3x", 0, 0, 0, 0, 0), 0, 0, self.id)


def connect(load, pid, tid, port, far_port, other_pid=0, family=INET):
    """(client end, server end or None)"""
    load.socks += 2
    pos = (0, 0) if family == UNIX else (load.dice.randrange(1 << 32), load.dice.randrange(1 << 32))
    near, far = None, None
    if pid:
        start = load.now
        load.event(CONNECT, struct.pack("=Q", load.socks), pid, tid)
        load.step(20)
        near = End(load, pid, CLIENT, port, far_port, load.socks, load.socks + 1, family, pos, start)
    if other_pid:
        far = End(load, other_pid, SERVER, far_port, port, load.socks + 1, load.socks, family, pos[::-1])
    return near, far


class Worker:
    """One thread of the web service with its connections to what stands behind it."""

    def __init__(self, load, pid, tid, stock):
        self.load, self.pid, self.tid, self.stock = load, pid, tid, stock
        ports = [load.dice.randrange(32768, 61000) for _ in range(3)]
        self.redis = connect(load, pid, tid, ports[0], 6379)[0]
        self.pg = connect(load, pid, tid, ports[1], 5432)[0]
        self.http = connect(load, pid, tid, ports[2], 8080, stock)
        self.call(self.pg, struct.pack(">II", 40, 196608) + b"user\0web\0database\0shop\0\0\0\0\0\0\0\0\0",
                  pg(b"R", bytes(4)) + pg(b"Z", b"I"))

    def call(self, end, ask, answer):
        end.moves(OUT, ask, self.tid)
        self.load.step(300)
        end.moves(IN, answer, self.tid)
        self.load.step(50)

    def behind(self, n):
        if n % 2:
            self.call(self.redis, b"*2\r\n$3\r\nGET\r\n$6\r\nitem:1\r\n", b"$5\r\nvalue\r\n" if n % 5 else b"-ERR no\r\n")
        if n % 3 != 1:
            rows = pg(b"T", bytes(2)) + pg(b"D", bytes(10)) * (n % 7) + pg(b"C", b"SELECT %d\0" % (n % 7)) + pg(b"Z", b"I")
            self.call(self.pg, pg(b"Q", b"SELECT name FROM item WHERE id = %d\0" % n), rows)
        if n % 4 == 0:
            near, far = self.http
            ask = b"GET /stock/%d HTTP/1.1\r\nHost: stock:8080\r\n\r\n" % n
            answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            near.moves(OUT, ask, self.tid)
            far.moves(IN, ask, self.stock)
            self.load.step(200)
            far.moves(OUT, answer, self.stock)
            near.moves(IN, answer, self.tid)

    def close(self):
        for end in (self.redis, self.pg, *self.http):
            end.close()


def request(load, front, worker, tid, plain):
    load.requests += 1
    n = load.requests
    head = "GET /item/%d?page=%d HTTP/1.1\r\nHost: shop\r\nUser-Agent: load\r\n" % (n, n % 9)
    if n % 6 == 0:
        head += TRACEPARENT % (n, n)
    front.moves(IN, (head + "\r\n").encode(), tid)
    load.step(100)
    if not plain:
        worker.behind(n)
    size = n % 3000
    status = "404 Not Found" if n % 50 == 0 else "500 Oops" if n % 400 == 0 else "200 OK"
    body = b"HTTP/1.1 %s\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % (status.encode(), size)
    front.moves(OUT, body + bytes(size), tid, shown=min(len(body) + size, 256))
    load.step(50)


def run(load, seconds, rate, plain):
    load.clock()
    stock, pid = 900, 1000
    load.process(stock, "stock")
    end = load.now + seconds * 10 ** 9
    gap = 10 ** 9 // rate
    round_ = 0
    while load.now < end:
        # A worker process lives for a while, with four threads that serve one connection each at a time.
        pid += 11
        load.proc(FORK, pid)
        load.process(pid, "shop")
        threads = [None] * 4 if plain else [Worker(load, pid, pid + i, stock) for i in range(4)]
        for _ in range(100):
            i = round_ % 4
            round_ += 1
            family = UNIX if round_ % 5 == 0 else INET
            _, front = connect(load, 0, 0, load.dice.randrange(32768, 61000), 80, pid, family)
            for _ in range(load.dice.choice((1, 2, 10, 30))):
                began = load.now
                request(load, front, threads[i], pid + i, plain)
                load.now = max(load.now, began + gap)
            front.close()
            if load.now >= end:
                break
        for t in threads:
            if t:
                t.close()
        load.proc(EXIT, pid)
    load.flush()


def main():
    args = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    args.add_argument("file")
    args.add_argument("--seconds", type=int, default=3600)
    args.add_argument("--rate", type=int, default=4)
    args.add_argument("--plain", action="store_true")
    args.add_argument("--lose", type=int, default=0)
    a = args.parse_args()
    with open(a.file, "wb") as out:
        load = Load(out, a.seconds * a.rate, a.lose)
        run(load, a.seconds, a.rate, a.plain)
    print(f"{load.requests} requests, {load.conns} connections, {load.now / 1e9 - 1:.0f} s")


main()
