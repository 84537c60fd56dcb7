# SPDX-License-Identifier: GPL-2.0-or-later
"""An event loop in which nearly everything misleads who judges by threads: app_loop.py PORT [BACKEND-PORT].

    /none/ID  answers at once          /one/ID  makes one call           /die/ID   begins an answer, and the process ends
    /sleep/ID answers by a timer       /two/ID  two, a timer between     /job/ID  what it calls: answers after a moment

Calls go over a pool of 4 connections, for which most wait. A call of nobody's, /job/nobody, is made every few ms.
"""
import asyncio
import os
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
POOL = asyncio.Queue()


async def exchange(request):
    reader, writer = await POOL.get()
    writer.write(f"GET /job/{request} HTTP/1.1\r\nHost: work\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(2)
    POOL.put_nowait((reader, writer))


async def work(route, request, writer):
    if route == "job":
        await asyncio.sleep(len(request) % 3 / 1000)
    elif route == "sleep":
        await asyncio.sleep(0.005)
    elif route == "one":
        await exchange(request)
    elif route == "two":
        await exchange(request)
        await asyncio.sleep(0.002)
        await exchange(request)
    elif route == "die":
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun")
        await writer.drain()
        os._exit(0)


async def serve(reader, writer):
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            _, route, request = head.split(b" ", 2)[1].decode().split("/")
            await work(route, request, writer)
            writer.write(ANSWER + b"ok")
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


async def nobody():
    while True:
        await asyncio.sleep(0.005)
        await exchange("nobody")


async def main(port, backend=None):
    server = await asyncio.start_server(serve, "127.0.0.1", int(port))
    if backend:
        for _ in range(4):
            POOL.put_nowait(await asyncio.open_connection("127.0.0.1", int(backend)))
        await asyncio.gather(nobody(), server.serve_forever())
    await server.serve_forever()


asyncio.run(main(*sys.argv[1:]))
