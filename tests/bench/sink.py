# SPDX-License-Identifier: GPL-2.0-or-later
"""An OTLP receiver that says yes and can count what it got. Who exports to <url>/NAME is counted as NAME."""
import collections
import contextlib
import gzip
import http.server
import threading
import time

KINDS = {2: "server", 3: "client"}


def fields(data):
    """A protobuf message's fields: (number, value); value: bytes, or int where it is a varint."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7f) << shift
            shift += 7
            if byte < 0x80:
                return value
    while at < len(data):
        key = varint()
        wire = key & 7
        if wire == 0:
            yield key >> 3, varint()
            continue
        size = varint() if wire == 2 else {1: 8, 5: 4}[wire]
        yield key >> 3, data[at:at + size]
        at += size


def within(data, *path):
    """All messages that are there by this path of field numbers."""
    if not path:
        yield data
        return
    for number, value in fields(data):
        if number == path[0]:
            yield from within(value, *path[1:])


class Sink:
    def __init__(self, url):
        self.url = url
        self.bodies = None                  # (name, body) since keep()
        self.last = {}                      # name: when something came last, time.monotonic()
        self.posts = collections.Counter()

    def got(self, name, body):
        self.last[name] = time.monotonic()
        self.posts[name] += 1
        if self.bodies is not None:
            self.bodies.append((name, body))

    def keep(self):
        self.bodies = []

    def wait_quiet(self, name, seconds, most=30):
        """Until nothing has come for so long, from now on. That is how one sees that an exporter has nothing left."""
        began = time.monotonic()
        while True:
            left = max(began, self.last.get(name, began)) + seconds - time.monotonic()
            if left <= 0 or time.monotonic() > began + most:
                return
            time.sleep(left)

    def take(self, name):
        """Spans that came since keep(), by kind: server, client, other."""
        bodies, self.bodies = self.bodies, None
        kinds = collections.Counter()
        for body in (b for n, b in bodies if n == name):
            for span in within(body, 1, 2, 2):  # ResourceSpans, ScopeSpans, Span
                kind = next((v for number, v in fields(span) if number == 6), 0)
                kinds[KINDS.get(kind, "other")] += 1
        return kinds


@contextlib.contextmanager
def otlp_sink():
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b"".join(iter(self.chunk, b""))
            else:
                body = self.rfile.read(int(self.headers["Content-Length"]))
            if sink.bodies is not None and self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            sink.got(self.path.split("/")[1], body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def chunk(self):
            data = self.rfile.read(int(self.rfile.readline(), 16))
            self.rfile.readline()
            return data

        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    sink = Sink(f"http://127.0.0.1:{server.server_address[1]}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield sink
    finally:
        server.shutdown()
        server.server_close()
