# SPDX-License-Identifier: GPL-2.0-or-later
"""A saturated asyncio service in several forms: app_units.py FORM PORT BACKEND-PORT [REDIS-PORT].

    FORM: streams (asyncio.start_server), protocol (asyncio.Protocol), uvicorn (FastAPI), aiohttp (aiohttp.web); with "-uvloop" on uvloop
    HTTPS, if TLS_CERTIFICATE and TLS_KEY name files (streams, uvicorn)

    /none/ID  no call                       /gather/ID      three calls at once
    /seq/ID   three calls in a row          /timer/ID       a call by call_later()
    /thread/ID  a blocking call in a thread /background/ID  answers, and a task of its own calls later
    /sync/ID  a blocking handler in a thread (uvicorn)
    /redis/ID  two commands                 /client/ID      two calls by the form's own HTTP client
    /fresh/ID  a call by a task in a context that has nothing of any other
    /rest/ID  answers when nothing that /background left behind is under way
    /loop/ID  answers, and a task of its own makes LOOP calls one after the other; then "loop" on stdout

Whatever is called is named after the request: /job/ROUTE-ID-N; what redis is asked is told on stdout: ROUTE-ID-N, port, begin, end
(Unix time, ns). Calls go over pools of 10 connections, for which most wait. A call
of nobody's, /job/nobody, is made every few ms.
"""
import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import http.client
import os
import ssl
import sys
import threading
import time

POOL_SIZE = 10
LOOP = 400
LOCAL = threading.local()
CERTIFICATE, KEY = os.environ.get("TLS_CERTIFICATE"), os.environ.get("TLS_KEY")


class App:
    def __init__(self, backend, redis):
        self.backend, self.redis_port = int(backend), int(redis) if redis else None
        self.pool, self.redis, self.client, self.tasks, self.left = asyncio.Queue(), None, None, set(), set()

    async def start(self):
        for _ in range(POOL_SIZE):
            self.pool.put_nowait(await asyncio.open_connection("127.0.0.1", self.backend))
        if self.redis_port:
            import redis.asyncio
            pool = redis.asyncio.BlockingConnectionPool(host="127.0.0.1", port=self.redis_port, max_connections=POOL_SIZE, timeout=60)
            self.redis = pool
        self.keep(self.nobody())

    def keep(self, coroutine):
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def call(self, name):
        reader, writer = await self.pool.get()
        writer.write(f"GET /job/{name} HTTP/1.1\r\nHost: work\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2)
        self.pool.put_nowait((reader, writer))

    async def command(self, name, *words):
        connection = await self.redis.get_connection(words[0])
        port, begin = connection._writer.get_extra_info("sockname")[1], time.time_ns()
        await connection.send_command(*words)
        await connection.read_response()
        print(name, port, begin, time.time_ns(), flush=True)
        await self.redis.release(connection)

    def call_blocking(self, name):
        if not hasattr(LOCAL, "connection"):
            LOCAL.connection = http.client.HTTPConnection("127.0.0.1", self.backend)
        LOCAL.connection.request("GET", f"/job/{name}")
        LOCAL.connection.getresponse().read()

    async def nobody(self):
        while True:
            await asyncio.sleep(0.005)
            await self.call("nobody")

    async def later(self, name):
        await asyncio.sleep(0.004)
        await self.call(name)

    async def loop(self, name):
        for i in range(LOOP):
            await self.call(f"{name}-{i}")
        print("loop", flush=True)

    async def timer(self, name):
        done = asyncio.get_running_loop().create_future()

        def fire():
            self.keep(self.call(name)).add_done_callback(lambda _: done.set_result(None))

        asyncio.get_running_loop().call_later(0.003, fire)
        await done

    async def work(self, route, request):
        name = f"{route}-{request}"
        if route == "none":
            await asyncio.sleep(0.002)
        elif route == "seq":
            for i in range(3):
                await self.call(f"{name}-{i}")
        elif route == "gather":
            await asyncio.gather(*(self.call(f"{name}-{i}") for i in range(3)))
        elif route == "timer":
            await self.timer(f"{name}-0")
        elif route == "thread":
            run = functools.partial(self.call_blocking, f"{name}-0")
            if hasattr(asyncio, "to_thread"):
                await asyncio.to_thread(run)
        elif route == "background":
            task = self.keep(self.later(f"{name}-0"))
            self.left.add(task)
            task.add_done_callback(self.left.discard)
        elif route == "fresh":
            await contextvars.Context().run(self.keep, self.call(f"{name}-0"))
        elif route == "rest":
            await asyncio.gather(*self.left)
        elif route == "loop":
            self.keep(self.loop(name))
        elif route == "redis":
            await self.command(f"{name}-0", "SET", name, "1")
            await self.command(f"{name}-1", "GET", name)
        elif route == "client":
            for i in range(2):
                await self.client(f"http://127.0.0.1:{self.backend}/job/{name}-{i}")


async def streams(app, port):
    async def serve(reader, writer):
        app.tasks.add(asyncio.current_task())  # before 3.12 nobody else holds it
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                await app.work(*head.split(b" ", 2)[1].decode().split("/")[1:])
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if CERTIFICATE else None
    if tls:
        tls.load_cert_chain(CERTIFICATE, KEY)
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024, ssl=tls)
    await server.serve_forever()


async def protocol(app, port):
    class Serve(asyncio.Protocol):
        def connection_made(self, transport):
            self.transport, self.read = transport, b""

        def data_received(self, data):
            self.read += data
            if self.read.endswith(b"\r\n\r\n"):
                app.keep(self.serve(*self.read.split(b" ", 2)[1].decode().split("/")[1:]))
                self.read = b""

        async def serve(self, route, request):
            await app.work(route, request)
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    server = await asyncio.get_running_loop().create_server(Serve, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


async def uvicorn(app, port):
    import fastapi
    import httpx
    import uvicorn as server
    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=POOL_SIZE), timeout=60)
    app.client = client.get
    api = fastapi.FastAPI()

    @api.get("/sync/{request}")
    def sync(request: str):
        app.call_blocking(f"sync-{request}-0")
        return "ok"

    @api.get("/{route}/{request}")
    async def work(route: str, request: str):
        await app.work(route, request)
        return "ok"

    await server.Server(server.Config(api, host="127.0.0.1", port=port, log_level="warning", lifespan="off",
                                      ssl_certfile=CERTIFICATE, ssl_keyfile=KEY)).serve()


async def aiohttp(app, port):
    import aiohttp as library
    from aiohttp import web
    session = library.ClientSession(connector=library.TCPConnector(limit=POOL_SIZE))

    async def get(url):
        async with session.get(url) as response:
            await response.read()

    async def work(request):
        await app.work(request.match_info["route"], request.match_info["request"])
        return web.Response(text="ok")

    app.client = get
    site = web.Application()
    site.add_routes([web.get("/{route}/{request}", work)])
    runner = web.AppRunner(site)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    await asyncio.Event().wait()


FORMS = {"streams": streams, "protocol": protocol, "uvicorn": uvicorn, "aiohttp": aiohttp}


async def main(form, port, backend, redis=None):
    asyncio.get_running_loop().set_default_executor(concurrent.futures.ThreadPoolExecutor(8))
    app = App(backend, redis)
    await app.start()
    await FORMS[form.removesuffix("-uvloop")](app, int(port))


if __name__ == "__main__":
    if sys.argv[1].endswith("-uvloop"):
        import uvloop
        uvloop.install()
    asyncio.run(main(*sys.argv[1:]))
