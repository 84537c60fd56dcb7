# SPDX-License-Identifier: GPL-2.0-or-later
"""A target of tools/accuracy: asyncio. asyncio_app.py PORT FRAMEWORK LOOP OPERATIONS

FRAMEWORK: asgi (bare, under uvicorn), fastapi (under uvicorn), aiohttp. LOOP: asyncio, uvloop. OPERATIONS, letters: p PostgreSQL
(asyncpg), h HTTP (httpx; with aiohttp its own client), r Redis; each over a pool of 10 connections.
"""
import asyncio
import os
import sys
import urllib.request

PORT, FRAMEWORK, LOOP, LETTERS = int(sys.argv[1]), *sys.argv[2:5]
HTTP, POSTGRES, REDIS = (int(os.environ[k]) for k in ("BACKEND_PORT", "POSTGRES_PORT", "REDIS_PORT"))
URL = f"http://127.0.0.1:{HTTP}/b/"
OPERATIONS, TASKS = [], set()


async def set_up_postgres():
    import asyncpg
    pool = await asyncpg.create_pool(host="127.0.0.1", port=POSTGRES, user="postgres", database="postgres", min_size=10,
                                     max_size=10)

    async def query(key):
        async with pool.acquire() as connection:
            await connection.fetchval(f"select '{key}', pg_sleep(random()*0.003)")
    return query


async def set_up_http():
    if FRAMEWORK == "aiohttp":
        import aiohttp
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=10))

        async def fetch(key):
            async with session.get(URL + key) as response:
                await response.read()
        return fetch
    import httpx
    client = httpx.AsyncClient(limits=httpx.Limits(max_connections=10), timeout=30)

    async def get(key):
        await client.get(URL + key)
    return get


async def set_up_redis():
    import redis.asyncio
    client = redis.asyncio.Redis(connection_pool=redis.asyncio.BlockingConnectionPool(port=REDIS, max_connections=10, timeout=30))

    async def get(key):
        await client.get(key)
    return get


async def set_up():
    for letter in LETTERS:
        OPERATIONS.append(await {"p": set_up_postgres, "h": set_up_http, "r": set_up_redis}[letter]())
    keep(nobody())


def keep(work):
    task = asyncio.get_running_loop().create_task(work)
    TASKS.add(task)
    task.add_done_callback(TASKS.discard)


async def call(which, name, tag):
    await OPERATIONS[which % len(OPERATIONS)](f"{name}-{tag}")


async def nobody():
    n = 0
    while True:
        await asyncio.sleep(0.02)
        n += 1
        await call(n, "bg", n)


async def later(n, name):
    await asyncio.sleep(0.005)
    await call(n, name, "after")


def blocking(name):
    with urllib.request.urlopen(f"{URL}{name}-1") as response:
        response.read()


async def work(route, name):
    n = int(name[2:])
    if route == "one":
        await call(n, name, 1)
    elif route == "seq":
        for i in range(1 + n % 4):
            await call(i, name, i + 1)
    elif route == "par":
        await asyncio.gather(*(call(i, name, i + 1) for i in range(1 + n % 4)))
    elif route == "think":
        await asyncio.sleep(0.003)
        await call(n, name, 1)
        await asyncio.sleep(0.002)
        await call(n + 1, name, 2)
    elif route == "hop":
        await asyncio.to_thread(blocking, name)
    elif route == "sleep":
        await asyncio.sleep(0.005)
    elif route == "after":
        keep(later(n, name))


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await set_up()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await work(*scope["path"].split("/")[1:])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"3")]})
    await send({"type": "http.response.body", "body": b"ok\n"})


def fastapi_app():
    import contextlib

    import fastapi

    @contextlib.asynccontextmanager
    async def lifespan(_):
        await set_up()
        yield
    app = fastapi.FastAPI(lifespan=lifespan)

    @app.get("/sync/{name}")
    def sync(name: str):
        blocking(name)

    @app.get("/{route}/{name}")
    async def any_route(route: str, name: str):
        await work(route, name)
    return app


def run_aiohttp():
    from aiohttp import web

    async def handle(request):
        await work(request.match_info["route"], request.match_info["name"])
        return web.Response(text="ok\n")

    async def make():
        await set_up()
        app = web.Application()
        app.router.add_get("/{route}/{name}", handle)
        return app
    if LOOP == "uvloop":
        import uvloop
        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    web.run_app(make(), host="127.0.0.1", port=PORT, access_log=None, print=None)


if FRAMEWORK == "aiohttp":
    run_aiohttp()
else:
    import uvicorn
    uvicorn.run(asgi if FRAMEWORK == "asgi" else fastapi_app(), host="127.0.0.1", port=PORT, loop=LOOP,
                log_level="warning", access_log=False, lifespan="on")
