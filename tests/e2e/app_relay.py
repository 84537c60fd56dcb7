# SPDX-License-Identifier: GPL-2.0-or-later
"""A service that passes what it is asked on to the next, and the load for it. A thread a connection.

    app_relay.py serve ADDRESS PORT [NEXT-ADDRESS NEXT-PORT]
    app_relay.py forward ADDRESS PORT NEXT-ADDRESS NEXT-PORT
    app_relay.py load ADDRESS PORT REQUESTS CONCURRENCY

POST /r7 with "X-Calls: 3" makes the calls POST /r7/0 to /r7/2, with the same body. The answer is the body's SHA-1, so a byte that
was changed on the way shows. "forward" knows nothing of that: it hands on bytes, a thread for each direction. "load" prints how many answers were wrong.
"""
import hashlib
import http.client
import http.server
import random
import socket
import sys
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    upstream = None

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = hashlib.sha1(body).hexdigest().encode()
        if self.upstream:
            connection = http.client.HTTPConnection(*self.upstream)
            for i in range(int(self.headers["X-Calls"])):
                connection.request("POST", f"{self.path}/{i}", body, {"X-Pad": self.headers["X-Pad"]})
                if connection.getresponse().read() != answer:
                    answer = b"an upstream answered something else"
            connection.close()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


def hand_on(source, sink):
    while data := source.recv(65536):
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)


def forward(address, port, upstream):
    listener = socket.create_server((address, port), backlog=128)
    while True:
        client, server = listener.accept()[0], socket.create_connection(upstream)
        for pair in (client, server), (server, client):
            pair[1].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=hand_on, args=pair, daemon=True).start()


def calls_of(number):
    return number % 4


def load(address, port, requests, concurrency):
    numbers, lock, bad = iter(range(requests)), threading.Lock(), []

    def work():
        connection = http.client.HTTPConnection(address, port)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            rnd = random.Random(number)
            # less and more than a segment, and than the first window
            body = rnd.randbytes(rnd.choice([0, 10, 1000, 3000, 40000, 300000]))
            pad = "x" * rnd.choice([0, 100, 1400, 5000, 20000])
            connection.request("POST", f"/r{number}", body, {"X-Calls": str(calls_of(number)), "X-Pad": pad})
            if connection.getresponse().read().decode() != hashlib.sha1(body).hexdigest():
                bad.append(number)

    threads = [threading.Thread(target=work) for _ in range(concurrency)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print(len(bad))


def main():
    what, address, port, *more = sys.argv[1:]
    if what == "serve":
        if more:
            Handler.upstream = more[0], int(more[1])
        Server((address, int(port)), Handler).serve_forever()
    elif what == "forward":
        forward(address, int(port), (more[0], int(more[1])))
    else:
        load(address, int(port), *map(int, more))


if __name__ == "__main__":
    main()
