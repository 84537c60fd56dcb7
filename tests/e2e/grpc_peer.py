# SPDX-License-Identifier: GPL-2.0-or-later
"""A gRPC server and a client that make every kind of call, without generated code.

grpc_peer.py server [CERTIFICATE KEY]
    prints its port; serves until stdin ends, then prints the calls as it saw them, as JSON
grpc_peer.py client PORT [CERTIFICATE [warm]]
    waits for a line on stdin, makes its calls one after the other, prints them as JSON; with a certificate ("": none) over TLS; warm: one
    call that it does not tell of comes before, then it says "ready"

A call is [method, status, first ns, last ns] (Unix time). The server's last is taken before it says that the call is over.
"""
import json
import sys
import threading
import time
from concurrent import futures

import grpc

SERVICE = "weft.test.Echo"
served, lock = [], threading.Lock()


def log(method, status, first):
    with lock:
        served.append([method, status, first, time.time_ns()])


def unary(request, _):
    log("Unary", "OK", time.time_ns())
    return request * 50


def server_stream(request, _):
    first = time.time_ns()
    for _ in range(10):
        yield request
    log("ServerStream", "OK", first)


def client_stream(requests, _):
    first, n = time.time_ns(), sum(1 for _ in requests)
    log("ClientStream", "OK", first)
    return b"%d" % n


def bidi(requests, _):
    first = time.time_ns()
    yield from requests
    log("Bidi", "OK", first)


def fail(request, context):
    code = next(c for c in grpc.StatusCode if c.name == request.decode())
    log("Fail", code.name, time.time_ns())
    context.abort(code, "refused: 100 %")


def wait(request, context):
    """Says that the call has arrived, and then nothing until the client has had enough."""
    gone, first = threading.Event(), time.time_ns()
    context.add_callback(gone.set)
    yield request
    gone.wait(30)
    log("Wait", "?", first)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def serve(certificate=None, key=None):
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "ServerStream": grpc.unary_stream_rpc_method_handler(server_stream),
        "ClientStream": grpc.stream_unary_rpc_method_handler(client_stream),
        "Bidi": grpc.stream_stream_rpc_method_handler(bidi),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
        "Wait": grpc.unary_stream_rpc_method_handler(wait),
    }
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
    if certificate:
        credentials = grpc.ssl_server_credentials([(read(key), read(certificate))])
        print(server.add_secure_port("127.0.0.1:0", credentials), flush=True)
    else:
        print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    sys.stdin.read()
    server.stop(1).wait()
    print(json.dumps(served), flush=True)


def call(port, certificate=None, warm=False):
    if certificate:
        channel = grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(read(certificate)))
    else:
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    path = f"/{SERVICE}/"
    some = [b"message %d" % i for i in range(10)]
    made = []

    def make(method, function):
        first, status = time.time_ns(), "OK"
        try:
            function()
        except grpc.RpcError as error:
            status = error.code().name
        made.append([method, status, first, time.time_ns()])

    def cancel():
        answers = channel.unary_stream(path + "Wait")(b"x", timeout=30)
        next(answers)
        answers.cancel()
        next(answers)

    if warm:
        channel.unary_unary(path + "Unary")(b"x")
        print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(3):
        make("Unary", lambda: channel.unary_unary(path + "Unary")(b"x" * 10))
        make("Unary", lambda: channel.unary_unary(path + "Unary")(b"x" * 1000))
        make("ServerStream", lambda: list(channel.unary_stream(path + "ServerStream")(b"y")))
        make("ServerStream", lambda: list(channel.unary_stream(path + "ServerStream")(b"y" * 20000)))
        make("ClientStream", lambda: channel.stream_unary(path + "ClientStream")(iter(some)))
        make("Bidi", lambda: list(channel.stream_stream(path + "Bidi")(iter(some))))
        for code in ("NOT_FOUND", "INTERNAL", "UNAVAILABLE", "INVALID_ARGUMENT"):
            make("Fail", lambda c=code: channel.unary_unary(path + "Fail")(c.encode()))
        make("Missing", lambda: channel.unary_unary(path + "Missing")(b""))
        make("Wait", lambda: list(channel.unary_stream(path + "Wait")(b"", timeout=0.1)))
        make("Wait", cancel)
    channel.close()
    print(json.dumps(made), flush=True)


if sys.argv[1] == "server":
    serve(*sys.argv[2:])
else:
    call(*sys.argv[2:])
