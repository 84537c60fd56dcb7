# SPDX-License-Identifier: GPL-2.0-or-later
"""What the targets of tools/accuracy live among: PostgreSQL, Redis and its MONITOR, HTTP backends, the load; and what the
targets cost. Everything ends with the `with` block; only processes that were started here are signalled."""
import collections
import contextlib
import os
import re
import socket
import subprocess
import threading

import score
import stack
from cache import APPS, Cache, Skip, need, run

__all__ = ["APPS", "Load", "Monitor", "Skip", "TargetError", "World", "cpu_us", "need", "run"]
TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")


class World(Cache):
    """.ports and .env: where the targets find what they call."""

    def __init__(self, folder, log):
        super().__init__(folder, log)
        self.stack = stack.Stack(services=("postgres", "redis"), log=log)
        self.leaving = contextlib.ExitStack()
        self.targets = 0

    def __enter__(self):
        with contextlib.ExitStack() as leaving:
            self.load_program, self.backend_program = map(self.compiled, ("load.c", "backend.c"))
            leaving.enter_context(self.stack)
            self.ports = dict(self.stack.ports)
            for name in ("backend", "backend2"):
                self.ports[name] = self.start(name, lambda port: [self.backend_program, str(port), "8000"])
            self.env = {"BACKEND_PORT": str(self.ports["backend"]), "POSTGRES_PORT": str(self.ports["postgres"]),
                        "REDIS_PORT": str(self.ports["redis"]), "PYTHONDONTWRITEBYTECODE": "1"}
            self.monitor = leaving.enter_context(Monitor(self.ports["redis"]))
            self.leaving = leaving.pop_all()
        return self

    def __exit__(self, *_):
        self.leaving.close()

    def path(self, name):
        return self.stack.path(name)

    def pid(self, name):
        return self.stack.pids[name]

    def start(self, name, argv_of, env=None):
        """Starts a server; argv_of(port) says how. Returns the port once it answers there."""
        port = stack.free_port()
        self.stack.spawn(name, argv_of(port), port, env=env)
        return port

    @contextlib.contextmanager
    def target(self, argv_of, env=None):
        """(port, PID) of a server that is traced. What it wrote is said when it breaks."""
        self.targets += 1
        name = f"target{self.targets}"
        try:
            port = self.start(name, argv_of, {**self.env, **(env or {})})
            yield port, self.pid(name)
        except TargetError as e:
            with open(self.path(name + ".log"), errors="replace", encoding="utf-8") as f:
                raise TargetError(f"{e}\n{f.read()[-1500:]}") from None
        finally:
            if name in self.stack.pids:
                self.stack.stop(name)


class TargetError(Exception):
    """A target or the load did not do what it should: no figures."""


class Load:
    """tests/accuracy/load.c. requests 0: until told."""

    def __init__(self, world, port, connections, requests, first_id, routes):
        self.out = world.path("load.out")
        argv = [world.load_program, port, connections, requests, first_id, self.out, *routes]
        self.process = subprocess.Popen(list(map(str, argv)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def wait_running(self):
        if not self.process.stdout.readline():
            raise TargetError("the load ended early")

    def finish(self, more=None, seconds=120):
        """The requests that were made, by name."""
        try:
            self.process.communicate(None if more is None else f"{more}\n", seconds)
        except subprocess.TimeoutExpired:
            raise TargetError(f"the load did not end within {seconds} s") from None
        requests = score.read_requests(self.out)
        bad = [r for r in requests.values() if r.status != 200]
        if bad:
            raise TargetError(f"{len(bad)} of {len(requests)} requests failed, the first: {bad[0]}")
        return requests


class Monitor:
    """Every command that Redis runs, by the client's port."""

    LINE = re.compile(r'\+(\d+)\.(\d{6}) \[\d+ [\d.]+:(\d+)\] (.*)')

    def __init__(self, port):
        self.port, self.said, self.marks, self.changed = port, collections.defaultdict(list), 0, threading.Condition()

    def __enter__(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port))
        self.socket.sendall(b"MONITOR\r\n")
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()

    def read(self):
        with self.socket.makefile("r", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                m = self.LINE.match(line)
                with self.changed:
                    if m and "weft-accuracy-mark" in m[4]:
                        self.marks += 1
                        self.changed.notify_all()
                    elif m:
                        self.said[int(m[3])].append((int(m[1]) * 10**9 + int(m[2]) * 1000, m[4].replace('"', "")))

    def clear(self):
        with self.changed:
            self.said.clear()

    def take(self):
        """All that was run until now."""
        with self.changed:
            wanted = self.marks + 1
        with socket.create_connection(("127.0.0.1", self.port)) as s:
            s.sendall(b"ECHO weft-accuracy-mark\r\n")
            s.recv(64)
        with self.changed:
            if not self.changed.wait_for(lambda: self.marks >= wanted, 30):
                raise TargetError("Redis's MONITOR does not answer")
            return {port: list(commands) for port, commands in self.said.items()}


def family(pid):
    """A process and its descendants."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            return [pid] + [p for child in f.read().split() for p in family(int(child))]
    except FileNotFoundError:
        return []


def cpu_us(leader):
    """CPU time that a process and its descendants have used, threads that ended included, µs."""
    total = 0
    for pid in family(leader):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
                fields = f.read().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15])) * TICK_US
    return total
