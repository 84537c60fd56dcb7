# SPDX-License-Identifier: GPL-2.0-or-later
"""A small shop out of real servers, for tests, demo and bench:

    load -> nginx -> gunicorn "shop" (4 threads) -> PostgreSQL, Redis, gunicorn "stock"

Everything lives in one temporary folder and on free loopback ports, and ends with the `with` block. Only processes
that were started here are ever signalled, by their PID.
"""
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"  # Debian's: it has Debian's flask, redis, psycopg2
SLOW = float(os.environ.get("WEFT_SLOW", "1"))  # in a guest without KVM everything takes so many times longer


# One statement a line: that is how `postgres --single` reads them.
TABLES = """CREATE TABLE items (id bigint PRIMARY KEY, price int)
INSERT INTO items SELECT i, i * 7 % 100 FROM generate_series(1, 1000) i
CREATE TABLE visits (item bigint, note text)
CREATE INDEX ON visits (item)
"""


class StackError(Exception):
    pass


def free_port():
    """A port to listen on, outside the range from which the kernel gives ports to those who connect: one of these might take
    it before the server does, and someone who waits for the server could connect to himself."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        low, high = map(int, f.read().split())
    while True:
        port = random.randint(1024, 65535)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            if not low <= port <= high:
                return port


def which(name, *more):
    for path in [shutil.which(name), f"/usr/sbin/{name}", *more]:
        if path and os.access(path, os.X_OK):
            return path
    raise StackError(f"{name} is not installed (tools/setup)")


def postgres_bin():
    base = "/usr/lib/postgresql"
    versions = sorted(os.listdir(base), key=float) if os.path.isdir(base) else []
    for v in reversed(versions):
        if os.access(f"{base}/{v}/bin/postgres", os.X_OK):
            return f"{base}/{v}/bin"
    raise StackError("PostgreSQL is not installed (tools/setup)")


def wait_until(what, ready, seconds, alive=lambda: True):
    """Until ready() is true. For what nobody announces: a port that begins to listen, a line that gets written."""
    end = time.monotonic() + seconds * SLOW
    while not ready():
        if not alive():
            raise StackError(f"{what}: the process ended")
        if time.monotonic() > end:
            raise StackError(f"{what}: not within {seconds * SLOW:.0f} s")
        time.sleep(0.01)


def connects(port, path=None):
    with socket.socket(socket.AF_UNIX if path else socket.AF_INET) as s:
        return s.connect_ex(path or ("127.0.0.1", port)) == 0


class Stack:
    """Services by name in .pids: nginx, shop, stock, postgres, redis (the leaders; their children come with them)."""

    def __init__(self, services=("postgres", "redis", "stock", "shop", "nginx"), threads=4, upstream_keepalive=16,
                 unix_upstream=False, log=lambda text: None):
        self.services, self.threads, self.upstream_keepalive = services, threads, upstream_keepalive
        self.unix_upstream, self.log = unix_upstream, log
        self.processes, self.ports = {}, {}

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="weft-shop-")
        os.chmod(self.folder, 0o755)
        try:
            for name in ("nginx", "shop", "stock", "postgres", "redis"):
                self.ports[name] = free_port()
            for name in self.services:
                self.log(f"starting {name}")
                getattr(self, "start_" + name)()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # In the order in which requests pass, so that nobody is left waiting for an answer.
        for name in reversed(list(self.processes)):
            self.stop(name)
        if os.environ.get("WEFT_KEEP"):
            self.log(f"kept: {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self, name):
        process = self.processes.pop(name)
        if process.poll() is None:
            # PostgreSQL's "fast" is SIGINT; the others end on SIGTERM.
            process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
            try:
                process.wait(10 * SLOW)
            except subprocess.TimeoutExpired:
                self.log(f"{name} did not end: killed")
                try:
                    os.killpg(process.pid, signal.SIGKILL)  # the group is the one that we made for it
                except ProcessLookupError:
                    pass
                process.wait()

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    @property
    def pids(self):
        return {name: p.pid for name, p in self.processes.items()}

    @property
    def url(self):
        return f"http://127.0.0.1:{self.ports['nginx']}"

    def spawn(self, name, argv, port=None, unix=None, env=None, user=None):
        extra = {}
        if user and os.getuid() == 0:
            entry = pwd.getpwnam(user)
            extra = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        with open(self.path(name + ".log"), "ab") as out:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder,
                                       env={**os.environ, **(env or {})}, start_new_session=True, **extra)
        self.processes[name] = process
        try:
            wait_until(name, lambda: connects(port, unix), 90, lambda: process.poll() is None)
        except StackError as e:
            with open(self.path(name + ".log"), errors="replace") as f:
                raise StackError(f"{e}\n{f.read()[-2000:]}") from None

    def start_postgres(self):
        binaries, data, port = postgres_bin(), self.path("pg"), self.ports["postgres"]
        os.mkdir(data)
        extra = {}
        if os.getuid() == 0:
            entry = pwd.getpwnam("postgres")
            os.chown(data, entry.pw_uid, entry.pw_gid)
            extra = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        for argv, text in (([f"{binaries}/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                             "--locale=C", "--no-sync"], ""),
                           ([f"{binaries}/postgres", "--single", "-D", data, "postgres"], TABLES)):
            done = subprocess.run(argv, input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  cwd=self.folder, check=False, **extra)
            if done.returncode or "ERROR:" in done.stdout:
                raise StackError(f"{argv[0]}: {done.stdout[-2000:]}")
        with open(os.path.join(data, "postgresql.conf"), "a", encoding="utf-8") as f:
            f.write(f"""
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
fsync = off
max_connections = 60
shared_buffers = 16MB
log_statement = 'all'
log_line_prefix = '%m [%p] %r '
""")
        self.spawn("postgres", [f"{binaries}/postgres", "-D", data], port, user="postgres")

    def start_redis(self):
        port = self.ports["redis"]
        self.spawn("redis", [which("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", "",
                             "--appendonly", "no", "--dir", self.folder], port)

    def gunicorn(self, name, app, env, unix=None):
        bind = f"unix:{unix}" if unix else f"127.0.0.1:{self.ports[name]}"
        self.spawn(name, [PYTHON, "-m", "gunicorn", "--chdir", HERE, "--workers", "1", "--worker-class", "gthread",
                          "--threads", str(self.threads), "--keep-alive", "3600", "--worker-tmp-dir", "/dev/shm",
                          "--log-level", "warning", "--bind", bind, app], self.ports[name], unix,
                   {"OTEL_SERVICE_NAME": name, "PYTHONDONTWRITEBYTECODE": "1", **env})

    def start_stock(self):
        self.gunicorn("stock", "app_stock:app", {})

    def start_shop(self):
        self.gunicorn("shop", "app_shop:app", {
            "SHOP_POSTGRES": str(self.ports["postgres"]), "SHOP_REDIS": str(self.ports["redis"]),
            "SHOP_STOCK": str(self.ports["stock"])}, self.path("shop.sock") if self.unix_upstream else None)

    def start_nginx(self):
        port, folder = self.ports["nginx"], self.folder
        if self.unix_upstream:
            upstream = f"unix:{folder}/shop.sock"
        else:
            upstream = f"127.0.0.1:{self.ports['shop']}"
        keepalive = f"keepalive {self.upstream_keepalive};" if self.upstream_keepalive else ""
        with open(self.path("nginx.conf"), "w", encoding="utf-8") as f:
            f.write(f"""
daemon off;
{'user root;' if os.getuid() == 0 else ''}
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 8192; }}
http {{
	log_format truth '$arg_id $status $msec $request_time $remote_port $connection_requests $upstream_addr';
	access_log {folder}/access.log truth;
	client_body_temp_path {folder}/nginx-body;
	proxy_temp_path {folder}/nginx-proxy;
	fastcgi_temp_path {folder}/nginx-fastcgi;
	uwsgi_temp_path {folder}/nginx-uwsgi;
	scgi_temp_path {folder}/nginx-scgi;
	keepalive_requests 100000;
	upstream shop {{ server {upstream} max_fails=0; {keepalive} }}
	upstream self {{ server 127.0.0.1:{port} max_fails=0; keepalive 64; }}
	server {{
		listen 127.0.0.1:{port} backlog=1024;
		location = /static {{ return 200 "static\\n"; }}
		location = /proxied {{
			proxy_pass http://self/static;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
		}}
		location / {{
			proxy_pass http://shop;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_read_timeout 300s;
		}}
	}}
}}
""")
        self.spawn("nginx", [which("nginx"), "-p", folder, "-c", self.path("nginx.conf")], port)

    # ---- what the servers themselves say they did ----

    def served_by_nginx(self):
        """Requests in nginx's access log, those of load.py alone."""
        with open(self.path("access.log"), encoding="utf-8") as f:
            return sum(line.split(" ", 1)[0].isdigit() for line in f)

    def statements_of_postgres(self):
        """How many statements PostgreSQL logged."""
        with open(self.path("postgres.log"), encoding="utf-8", errors="replace") as f:
            return sum(" LOG:  statement: " in line or " LOG:  execute " in line for line in f)

    def commands_of_redis(self):
        """How many commands Redis counted, without the INFO that asks for it (and without what asked before)."""
        with socket.create_connection(("127.0.0.1", self.ports["redis"])) as s:
            s.sendall(b"INFO commandstats\r\nQUIT\r\n")
            text = b"".join(iter(lambda: s.recv(65536), b"")).decode()
        calls = 0
        for line in text.splitlines():
            if line.startswith("cmdstat_") and not line.startswith(("cmdstat_info", "cmdstat_quit")):
                calls += int(line.split("calls=")[1].split(",")[0])
        return calls
