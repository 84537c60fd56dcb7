# SPDX-License-Identifier: GPL-2.0-or-later
"""The rows of tools/accuracy: targets, what is asked of them, and the floors. A target is a context manager of (port,
PID)."""
import contextlib
import dataclasses
import glob
import os
import shutil
import subprocess
import typing

import stack
from world import APPS, Skip, need, run

BLOCKING = ("none", "sleep", "one", "seq", "think", "after")
HANDED_OVER = ("none", "par", "hop")
TASKS = ("none", "sleep", "one", "seq", "par", "think", "after")


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    what: str
    target: typing.Callable
    routes: tuple
    correct: float | None    # floor, %: at 50 connections over saturated pools of 10, attached under load. None: none is set
    wrong: float | None      # most, %
    ends: str = ""           # both ends are traced: "load" is the client, or h2load's options
    weft: tuple = ()         # options for weft
    short: bool = False      # in the short form
    main_only: bool = False  # one of several alike: not with few connections too


ALL = []


def row(name, what, routes, correct=None, wrong=None, **more):
    def register(target):
        ALL.append(Row(name, what, target, routes, correct, wrong, **more))
        return target
    return register


def debian_python():
    if not os.access(stack.PYTHON, os.X_OK):
        raise Skip(f"no {stack.PYTHON}")
    return stack.PYTHON


# ---- threads and pools of them ----


@row("threads-hop", "the same, calls by threads of their own", HANDED_OVER, 99, 0, main_only=True)
@row("threads", "Python, a thread a connection", BLOCKING, 99.5, 0)
def threads(world):
    python = debian_python()
    run([python, "-c", "import psycopg2, redis"])
    return world.target(lambda port: [python, os.path.join(APPS, "wsgi.py"), str(port)])


@row("gthread", "gunicorn, 16 gthreads", BLOCKING, 99.5, 0, short=True)
def gthread(world):
    python = debian_python()
    run([python, "-c", "import gunicorn, psycopg2, redis"])
    options = ["--workers", "1", "--worker-class", "gthread", "--threads", "16", "--keep-alive", "75", "--worker-tmp-dir",
               "/dev/shm", "--log-level", "warning"]
    return world.target(lambda port: [python, "-m", "gunicorn", "--chdir", APPS, *options, "--bind", f"127.0.0.1:{port}",
                                      "wsgi:app"])


@row("gevent", "gunicorn, gevent: greenlets on one thread", (*BLOCKING, "par", "hop"), None, 0)
def gevent(world):
    python = debian_python()
    run([python, "-c", "import gevent, gunicorn, psycopg2, redis"])
    options = ["--workers", "1", "--worker-class", "gevent", "--worker-connections", "200", "--keep-alive", "75",
               "--worker-tmp-dir", "/dev/shm", "--log-level", "warning"]
    return world.target(lambda port: [python, "-m", "gunicorn", "--chdir", APPS, *options, "--bind", f"127.0.0.1:{port}",
                                      "wsgi:app"])


@row("puma-hop", "the same, calls by threads of their own", HANDED_OVER, None, 0, main_only=True)
@row("puma", "Puma, 16 threads", BLOCKING, 99.5, 0)
def puma(world):
    program = need("puma")
    return world.target(lambda port: [program, "--quiet", "--threads", "16:16", "--environment", "production", "--bind",
                                      f"tcp://127.0.0.1:{port}", os.path.join(APPS, "config.ru")])


def java(world, kind):
    program, classes = need("java"), world.java_classes()
    return world.target(lambda port: [program, "-Xmx256m", "-XX:+UseSerialGC", "-cp", classes, "JavaApp", str(port), kind])


@row("java-hop", "the same, calls by another pool", HANDED_OVER, None, 0, main_only=True)
@row("java", "JDK, 16 workers, blocking calls", BLOCKING, 99.5, 0)
def java_blocking(world):
    return java(world, "blocking")


@row("java-threads", "the same, calls by threads of their own", HANDED_OVER, 99, 0, main_only=True)
def java_threads(world):
    return java(world, "threads")


@row("java-client", "the same, java.net.http.HttpClient", BLOCKING, None, 0, main_only=True)
def java_client(world):
    return java(world, "client")


@row("c-queue", "C, 16 workers behind a queue", BLOCKING, 99.5, 0, short=True)
def c_queue(world):
    program = world.compiled("apps/pool.c")
    return world.target(lambda port: [program, str(port), str(world.ports["backend"]), str(world.ports["redis"])])


@row("c-threads", "C, a thread a connection, and for each call", HANDED_OVER, 99, 0, main_only=True)
def c_threads(world):
    program = world.compiled("apps/pool.c")
    return world.target(lambda port: [program, str(port), str(world.ports["backend"]), str(world.ports["redis"]), "threads"])


# ---- proxies ----

NGINX = """daemon off; worker_processes 2; pid {0}/nginx.pid; error_log stderr; user {3};
events {{ worker_connections 1024; }}
http {{
	access_log off; keepalive_requests 1000000;
	client_body_temp_path {0}; proxy_temp_path {0}; fastcgi_temp_path {0}; uwsgi_temp_path {0}; scgi_temp_path {0};
	upstream backends {{ {1} }}
	server {{
		listen 127.0.0.1:{2};
		location / {{ proxy_pass http://backends; proxy_http_version 1.1; proxy_set_header Connection ""; }}
	}}
}}
"""


def nginx(world, upstream, listen=""):
    program, user = need("nginx"), "root" if os.getuid() == 0 else "nobody"
    servers = "".join(f"server 127.0.0.1:{world.ports[b]}; " for b in ("backend", "backend2"))

    def argv(port):
        folder = os.path.join(world.stack.folder, f"nginx{port}")
        os.mkdir(folder)
        with open(os.path.join(folder, "conf"), "w", encoding="utf-8") as f:
            f.write(NGINX.format(folder, servers + upstream, f"{port}{listen}", user))
        return [program, "-p", folder, "-e", "stderr", "-c", os.path.join(folder, "conf")]
    return world.target(argv)


@row("nginx", "nginx, upstream keepalive 10", ("one",), 99.5, 0, short=True)
def nginx_keepalive(world):
    return nginx(world, "keepalive 10;")


@row("nginx-1", "nginx, upstream keepalive 1", ("one",), 99.5, 0)
def nginx_keepalive_1(world):
    return nginx(world, "keepalive 1;")


@row("nginx-close", "nginx, no upstream keepalive", ("one",), 99.5, 0)
def nginx_close(world):
    return nginx(world, "")


FASTCGI = """daemon off; worker_processes 2; pid {0}/nginx.pid; error_log stderr; user {2};
events {{ worker_connections 1024; }}
http {{
	access_log off; keepalive_requests 1000000;
	client_body_temp_path {0}; proxy_temp_path {0}; fastcgi_temp_path {0}; uwsgi_temp_path {0}; scgi_temp_path {0};
	server {{
		listen 127.0.0.1:{1};
		location / {{
			fastcgi_pass unix:{0}/php;
			fastcgi_param REQUEST_METHOD $request_method;
			fastcgi_param REQUEST_URI $request_uri;
			fastcgi_param SCRIPT_FILENAME {3};
		}}
	}}
}}
"""

FPM = """[global]
error_log = /dev/stderr
daemonize = no
[www]
{1}listen = {0}/php
listen.backlog = 1024
listen.mode = 0666
clear_env = no
pm = static
pm.max_children = 16
"""


@row("php-fpm", "nginx and PHP-FPM, 16 processes: FastCGI", ("none", "sleep", "one", "seq", "think"), None, 0)
def php_fpm(world):
    found = sorted(glob.glob("/usr/sbin/php-fpm*"))
    if not found:
        raise Skip("php-fpm is not installed")
    web, root = need("nginx"), os.getuid() == 0

    def argv(port):
        folder = os.path.join(world.stack.folder, f"php{port}")
        os.mkdir(folder)
        os.chmod(folder, 0o755)
        with open(os.path.join(folder, "nginx.conf"), "w", encoding="utf-8") as f:
            f.write(FASTCGI.format(folder, port, "root" if root else "nobody", os.path.join(APPS, "app.php")))
        with open(os.path.join(folder, "fpm.conf"), "w", encoding="utf-8") as f:
            f.write(FPM.format(folder, "user = root\n" if root else ""))
        # both end with the process that is traced, as its children
        fpm = f"{found[-1]} {'-R ' if root else ''}-F -n -y {folder}/fpm.conf"
        nginx_too = f"{web} -p {folder} -e stderr -c {folder}/nginx.conf"
        wait = f"until [ -S {folder}/php ]; do kill -0 $a || exit; sleep 0.1; done"
        return ["/bin/sh", "-c", f'{fpm} & a=$!; {wait}; {nginx_too} & b=$!; trap "kill $a $b" TERM; wait; wait $a $b']
    return world.target(argv)


HAPROXY = """global
	maxconn 2000
	nbthread 2
defaults
	mode http
	timeout client 30s
	timeout server 30s
	timeout connect 5s
frontend f
	bind 127.0.0.1:{}
	default_backend b
backend b
	server s1 127.0.0.1:{} maxconn 5
	server s2 127.0.0.1:{} maxconn 5
"""


@row("haproxy", "HAProxy, 2 threads, 10 connections behind", ("one",), 95, 0.5)
def haproxy(world):
    program = need("haproxy")

    def argv(port):
        path = world.path(f"haproxy{port}.cfg")
        with open(path, "w", encoding="utf-8") as f:
            f.write(HAPROXY.format(port, world.ports["backend"], world.ports["backend2"]))
        return [program, "-db", "-f", path]
    return world.target(argv)


# ---- Go ----


def go(world, name, *flags):
    program = world.go_program(name, *flags)
    return world.target(lambda port: [program, str(port)])


@row("go-queue", "the same, calls by goroutines behind a channel", ("none", "queue"), None, 0, main_only=True)
@row("go", "Go: net/http, lib/pq, go-redis, go func", TASKS, 99.5, 0)
def go_plain(world):
    return go(world, "go-app")


@row("go-stripped", 'the same, -ldflags "-s -w"', TASKS, 99.5, 0)
def go_stripped(world):
    return go(world, "go-app-stripped", "-ldflags=-s -w")


# ---- Python's asyncio ----


def asyncio_target(world, python, framework, loop, letters, env=None):
    app = os.path.join(APPS, "asyncio_app.py")
    return world.target(lambda port: [python, app, str(port), framework, loop, letters], env)


@row("asyncio", "uvicorn, httpx, redis, all Debian's", (*TASKS, "hop"), 99, 0, short=True)
def asyncio_debian(world):
    python = debian_python()
    run([python, "-c", "import uvicorn, httpx, redis.asyncio"])
    return asyncio_target(world, python, "asgi", "asyncio", "hr")


@row("uvloop", "the same with uvloop", (*TASKS, "hop"), 99, 0)
def uvloop_debian(world):
    python = debian_python()
    run([python, "-c", "import uvicorn, httpx, redis.asyncio, uvloop"])
    return asyncio_target(world, python, "asgi", "uvloop", "hr")


def with_packages(world, python, framework, loop, uvloop="uvloop"):
    packages = {"fastapi": ("fastapi", "uvicorn", "httpx"), "aiohttp": ("aiohttp",)}[framework]
    env = world.python_packages(python, *packages, "asyncpg", "redis", *([uvloop] if loop == "uvloop" else []))
    return asyncio_target(world, python, framework, loop, "phr", env)


@row("fastapi", "FastAPI, asyncpg; Debian's Python (stripped)", (*TASKS, "hop", "sync"), 99, 0)
def fastapi(world):
    return with_packages(world, debian_python(), "fastapi", "asyncio")


@row("fastapi-uvloop", "the same with uvloop", (*TASKS, "hop", "sync"), 99, 0)
def fastapi_uvloop(world):
    return with_packages(world, debian_python(), "fastapi", "uvloop")


@row("aiohttp", "aiohttp server and client; Debian's Python", (*TASKS, "hop"), 99, 0)
def aiohttp(world):
    return with_packages(world, debian_python(), "aiohttp", "asyncio")


@row("aiohttp-uvloop", "the same with uvloop", (*TASKS, "hop"), 99, 0, main_only=True)
def aiohttp_uvloop(world):
    return with_packages(world, debian_python(), "aiohttp", "uvloop")


def other_python(version):
    """A Python of this version that is not Debian's: pyenv's, or one on the path."""
    found = glob.glob(os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python{version}"))
    found += filter(None, [shutil.which(f"python{version}")])
    for path in found:
        if os.path.realpath(path) != os.path.realpath(stack.PYTHON) and "shims" not in path:
            return path
    raise Skip(f"no Python {version} beside Debian's")


for minor in range(9, 15):
    @row(f"aiohttp-3.{minor}", f"aiohttp; another build of Python 3.{minor}", (*TASKS, "hop"), 99, 0, main_only=True)
    def aiohttp_version(world, version=f"3.{minor}"):
        return with_packages(world, other_python(version), "aiohttp", "asyncio")


for minor, version in ((9, "0.19.0"), (10, "0.21.0"), (12, "0.21.0"), (12, "0.22.1"), (13, "0.23.0")):
    @row(f"uvloop-{version}-3.{minor}", f"FastAPI; another build of Python 3.{minor}, uvloop {version}",
         (*TASKS, "hop", "sync"), 99, 0, main_only=True)
    def uvloop_version(world, python=f"3.{minor}", version=version):
        return with_packages(world, other_python(python), "fastapi", "uvloop", f"uvloop=={version}")


# ---- Node ----


def node(world, *operations, program=None):
    program, env = program or need("node"), world.node_packages()
    return world.target(lambda port: [program, os.path.join(APPS, "node_app.js"), str(port), *operations], env)


@row("node", "Node: pg, ioredis, fetch", TASKS, 85, 0.3)
def node_plain(world):
    return node(world)


@row("node-pool", "one saturated pool (http.Agent) alone", TASKS, None, 0.3, main_only=True)
def node_pool(world):
    return node(world, "agent")


@row("node-helper", "the same with --node-helper", TASKS, 99, 0.3, weft=("--node-helper",))
def node_helper(world):
    return node(world)


@row("node-helper-others", "pg with callbacks, http.Agent, redis", TASKS, None, 0.3, weft=("--node-helper",), main_only=True)
def node_helper_others(world):
    return node(world, "callback,agent,redis")


for major in (22, 24):
    @row(f"node{major}-helper", f"as node-helper, Node {major}", TASKS, 99, 0.3, weft=("--node-helper",), main_only=True)
    def node_version_helper(world, version=major):
        return node(world, program=world.node_version(version))


# ---- both ends of connections ----


@row("ends", "load and backend, kept alive and not", ("one",), 100, 0, ends="load", short=True)
@contextlib.contextmanager
def ends(world):
    with world.target(lambda port: [world.backend_program, str(port), "8000"]) as target:
        yield target


@row("ends-pipelined", "h2load and nginx, 8 requests in a pipeline", ("one",), 100, 0, ends="--h1")
def ends_pipelined(world):
    need("h2load")
    return nginx(world, "keepalive 64;")


@row("ends-http2", "h2load and nginx, HTTP/2, 8 streams", ("one",), 100, 0, ends="--h2")
def ends_http2(world):
    need("h2load")
    return nginx(world, "keepalive 64;", " http2")


def weft_knows(weft, option):
    done = subprocess.run([weft, "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return option in done.stdout
