#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A stand-in for an OTLP/HTTP receiver that can be told to misbehave.

    otlp_collector.py [--port N] [--out FILE] [--dir DIR] [--script STEPS]

Prints "listening PORT" when it is ready (port 0: the kernel chooses), ends at SIGTERM or when its
standard input, if that is a pipe, is closed.

  --out FILE   a JSON line a request: number, path, headers, step, body (base64, gunzipped)
  --dir DIR    each accepted request's body, gunzipped: 000001.pb, 000002.json ...
  --script     what to do with request after request: STEP[,STEP...]; after the last one `ok`

A step is ACTION[=ARGUMENT][*TIMES], TIMES may be `inf`:
  ok                200, full success
  STATUS[=DELAY]    that status; DELAY is Retry-After: seconds, or date:SECONDS for an HTTP-date
  partial=N[:TEXT]  200, N spans rejected
  warn=TEXT         200, none rejected, but a message
  reset             read the request, then reset the connection
  close             the same, in an orderly way
  hang[=SECONDS]    no answer (until the client goes)
  slow=SECONDS      200, a byte at a time over so long
  garbage           200 with a body that is no protobuf
  huge=BYTES        200 with a body of that size
  nothttp           bytes that are no HTTP answer

GET /summary gives JSON: requests, accepted_requests, accepted_spans, rejected_spans, connections,
problems (of otlp_validate), steps (how often each was taken). POST /script replaces the script.
"""
import argparse
import base64
import email.utils
import gzip
import json
import os
import select
import signal
import socket
import stat
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import otlp_validate  # noqa: E402


def parse_script(text):
    """Steps as [action, argument, times left]."""
    steps = []
    for part in filter(None, text.strip().split(",")):
        part, _, times = part.partition("*")
        action, _, argument = part.partition("=")
        steps.append([action, argument, float("inf") if times == "inf" else int(times or 1)])
    return steps


class State:
    def __init__(self, args):
        self.lock = threading.Lock()
        self.script = parse_script(args.script)
        self.out = open(args.out, "a", encoding="utf-8") if args.out else None
        self.dir = args.dir
        self.validator = otlp_validate.Validator(need_pid=False, open_parents=True)
        self.count = dict.fromkeys(("requests", "accepted_requests", "accepted_spans",
                                    "rejected_spans", "connections"), 0)
        self.steps = {}
        if self.dir:
            os.makedirs(self.dir, exist_ok=True)

    def next_step(self):
        while self.script:
            if self.script[0][2] > 0:
                self.script[0][2] -= 1
                return self.script[0][0], self.script[0][1]
            self.script.pop(0)
        return "ok", ""

    def take(self, path, headers, body):
        """Record a request; what to do with it."""
        with self.lock:
            action, argument = self.next_step()
            self.count["requests"] += 1
            self.steps[action] = self.steps.get(action, 0) + 1
            number = self.count["requests"]
            if self.out:
                json.dump({"number": number, "path": path, "headers": dict(headers),
                           "step": action, "body": base64.b64encode(body).decode()}, self.out)
                self.out.write("\n")
                self.out.flush()
            if action in ("ok", "partial", "warn", "slow", "garbage"):
                rejected = int(argument.split(":")[0]) if action == "partial" else 0
                self.accept(number, headers, body, rejected)
            return action, argument

    def accept(self, number, headers, body, rejected):
        is_json = headers.get("Content-Type", "").startswith("application/json")
        before = len(self.validator.spans)
        try:
            if is_json:
                self.validator.json_line(body, f"request {number}")
            else:
                self.validator.protobuf(body, f"request {number}")
        except Exception as e:  # the collector lives on, and says so
            self.validator.problems.append(f"request {number}: {e!r}")
        self.count["accepted_requests"] += 1
        self.count["accepted_spans"] += len(self.validator.spans) - before - rejected
        self.count["rejected_spans"] += rejected
        if self.dir:
            name = os.path.join(self.dir, f"{number:06}.{'json' if is_json else 'pb'}")
            with open(name, "wb") as f:
                f.write(body)

    def summary(self):
        with self.lock:
            return {**self.count, "steps": self.steps, "problems": self.validator.finish()}


def varint(value):
    out = bytearray()
    value &= (1 << 64) - 1
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "otlp-collector"

    def setup(self):
        super().setup()
        with self.server.state.lock:
            self.server.state.count["connections"] += 1

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", content_type=None, **headers):
        self.send_response(status)
        self.send_header("Content-Type", content_type or self.content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/summary":
            self.answer(200, json.dumps(self.server.state.summary()).encode(), "application/json")
        else:
            self.answer(404, b"", "text/plain")

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        return body

    def do_POST(self):
        self.content_type = self.headers.get("Content-Type", "text/plain")
        body = self.read_body()
        if self.path == "/script":
            with self.server.state.lock:
                self.server.state.script = parse_script(body.decode())
            self.answer(200, b"", "text/plain")
            return
        action, argument = self.server.state.take(self.path, self.headers, body)
        if action.isdigit():
            self.refuse(int(action), argument)
        else:
            getattr(self, "do_" + action)(argument)

    # ---- steps ----

    def partial_success(self, rejected, text):
        if self.content_type.startswith("application/json"):
            partial = {"rejectedSpans": str(rejected), "errorMessage": text}
            return json.dumps({"partialSuccess": partial}).encode()
        inner = varint(1 << 3) + varint(rejected) if rejected else b""
        return field(1, inner + (field(2, text.encode()) if text else b""))

    def do_ok(self, _):
        self.answer(200, b"{}" if self.content_type.startswith("application/json") else b"")

    def do_partial(self, argument):
        rejected, _, text = argument.partition(":")
        self.answer(200, self.partial_success(int(rejected), text))

    def do_warn(self, argument):
        self.answer(200, self.partial_success(0, argument))

    def refuse(self, status, delay):
        headers = {}
        if delay.startswith("date:"):
            when = time.time() + float(delay[5:])
            headers["Retry_After"] = email.utils.formatdate(when, usegmt=True)
        elif delay:
            headers["Retry_After"] = delay
        text = f"told to answer {status}"
        if self.content_type.startswith("application/json"):
            body = json.dumps({"message": text}).encode()
        else:
            body = field(2, text.encode())
        self.answer(status, body, **headers)

    def do_reset(self, _):
        # Lingering for no time makes close() send a reset.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_now()

    def do_close(self, _):
        self.close_now()

    def close_now(self):
        self.close_connection = True
        # The server's own end would shut the socket down first, which is not a reset.
        self.rfile.close()
        self.wfile.close()
        self.connection.close()

    def do_hang(self, argument):
        select.select([self.connection], [], [], float(argument) if argument else None)
        self.close_connection = True

    def do_slow(self, argument):
        body = self.partial_success(0, "slow")
        self.send_response(200)
        self.send_header("Content-Type", self.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        for i in range(len(body)):
            if select.select([self.connection], [], [], float(argument) / len(body))[0]:
                self.close_connection = True
                return
            self.wfile.write(body[i:i + 1])
            self.wfile.flush()

    def do_garbage(self, _):
        self.answer(200, b"\xff\xff\xff\xff not what it seems \x00\x1b[31m")

    def do_huge(self, argument):
        size = int(argument)
        self.send_response(200)
        self.send_header("Content-Type", self.content_type)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        chunk = b"\x00" * 65536
        while size > 0:
            self.wfile.write(chunk[:size])
            size -= len(chunk)

    def do_nothttp(self, _):
        self.wfile.write(b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00\x40\x00")
        self.wfile.flush()
        self.close_connection = True


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def shutdown_request(self, request):
        if request.fileno() >= 0:
            super().shutdown_request(request)

    def handle_error(self, request, client_address):
        pass  # clients that go away are part of the game


def main():
    parser = argparse.ArgumentParser(description="A stand-in for an OTLP/HTTP receiver.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--out")
    parser.add_argument("--dir")
    parser.add_argument("--script", default="")
    args = parser.parse_args()
    server = Server(("127.0.0.1", args.port), Handler)
    server.state = State(args)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"listening {server.server_address[1]}", flush=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        sys.stdin.buffer.read()
    else:
        signal.pause()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
