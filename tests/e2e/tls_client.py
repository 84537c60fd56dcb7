# SPDX-License-Identifier: GPL-2.0-or-later
"""An HTTPS client that writes down what it did: tls_client.py KIND PORT CONNECTIONS REQUESTS FIRST-ID.

KIND blocking: a thread a connection, the library reads and writes the sockets; asyncio: one thread, the library encrypts in memory;
h2: the same, HTTP/2 with all REQUESTS of a connection at a time.
Opens all connections, makes a request on each, says "ready", waits for a line on stdin, makes REQUESTS on each, and prints what it
made after that line as JSON: [method, path, status, local port, first ns, last ns].
"""
import asyncio
import http.client
import json
import ssl
import sys
import threading
import time

KIND, PORT, CONNECTIONS, REQUESTS, FIRST = sys.argv[1], *map(int, sys.argv[2:6])
made = []
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE


def request(number):
    """method, path, body"""
    status = 404 if number % 7 == 0 else 200
    size = f"?size={40000 if number % 11 == 0 else 300}" if number % 3 == 0 else ""
    method = "POST" if number % 5 == 0 else "GET"
    return method, f"/w/{status}/{number}{size}", b"b" * 3000 if method == "POST" else b""


def numbers(index):
    return range(FIRST + index * REQUESTS, FIRST + (index + 1) * REQUESTS)


def ready():
    print("ready", flush=True)
    sys.stdin.readline()


def blocking():
    barrier = threading.Barrier(CONNECTIONS + 1)

    def one(connection, number):
        method, path, body = request(number)
        port, began = connection.sock.getsockname()[1], time.time_ns()
        connection.request(method, path, body or None)
        answer = connection.getresponse()
        answer.read()
        return [method, path, answer.status, port, began, time.time_ns()]

    def thread(index):
        connection = http.client.HTTPSConnection("127.0.0.1", PORT, context=context, timeout=60)
        connection.connect()
        one(connection, 900_000_000 + index)
        barrier.wait()
        barrier.wait()
        made.extend([one(connection, n) for n in numbers(index)])
        connection.close()

    threads = [threading.Thread(target=thread, args=(i,)) for i in range(CONNECTIONS)]
    for t in threads:
        t.start()
    barrier.wait()
    ready()
    barrier.wait()
    for t in threads:
        t.join()


async def asynchronous():
    async def one(reader, writer, number):
        method, path, body = request(number)
        began = time.time_ns()
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{PORT}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        await reader.readexactly(length)
        made.append([method, path, int(head.split()[1]), writer.get_extra_info("sockname")[1], began, time.time_ns()])

    async def many(pair, index):
        for number in numbers(index):
            await one(*pair, number)

    pairs = await asyncio.gather(*(asyncio.open_connection("127.0.0.1", PORT, ssl=context) for _ in range(CONNECTIONS)))
    await asyncio.gather(*(one(*pair, 900_000_000 + i) for i, pair in enumerate(pairs)))
    made.clear()
    ready()
    await asyncio.gather(*(many(pair, i) for i, pair in enumerate(pairs)))
    for _, writer in pairs:
        writer.close()


async def h2():
    import httpx

    async def one(client, number):
        method, path, _ = request(number)  # without a body: a server that answers before it has read it confuses this library
        began = time.time_ns()
        answer = await client.request(method, f"https://127.0.0.1:{PORT}{path}")
        assert answer.http_version == "HTTP/2", answer.http_version
        stream = client._transport._pool.connections[0]._connection._network_stream  # the library has no public way to it
        port = stream.get_extra_info("client_addr")[1]
        made.append([method, path, answer.status_code, port, began, time.time_ns()])

    clients = [httpx.AsyncClient(http2=True, verify=False, timeout=60) for _ in range(CONNECTIONS)]
    await asyncio.gather(*(one(c, 900_000_000 + i) for i, c in enumerate(clients)))
    made.clear()
    ready()
    await asyncio.gather(*(one(c, n) for i, c in enumerate(clients) for n in numbers(i)))
    for c in clients:
        await c.aclose()


if KIND == "blocking":
    blocking()
else:
    asyncio.run({"asyncio": asynchronous, "h2": h2}[KIND]())
print(json.dumps(made), flush=True)
