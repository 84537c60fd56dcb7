# SPDX-License-Identifier: GPL-2.0-or-later
"""weft beside the OpenTelemetry SDK's auto-instrumentation of the same program. Four states take turns in each round: the program
as it is; with the SDK as it comes; with the SDK cut down to the spans that weft makes too; and the program as it is, traced by
weft. All that export do so to the same receiver, which counts. "As it is" and "traced" are one process, so that weft's cost is not
hidden by what two processes differ by."""
import contextlib
import glob
import json
import os
import statistics

import agent
import cache
import cost
import loads
import report
import stack

HERE = os.path.dirname(os.path.abspath(__file__))
OFF, FULL, SAME, WEFT = STATES = ("off", "SDK", "SDK, those spans only", "weft")
DELAY = {"OTEL_BSP_SCHEDULE_DELAY": "1000"}  # ms: of both, so that soon nothing is left over
QUIET = 2                                    # seconds: then nothing is
EXPORTS = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_METRICS_EXPORTER": "none", "OTEL_LOGS_EXPORTER": "none",
           "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf", "OTEL_SERVICE_NAME": "bench", **DELAY}
PATH = "/item/7"


class Express:
    title = "Express 5, pg, ioredis under Node"
    needs = ("postgres", "redis")
    rate = 200
    same = {"OTEL_NODE_ENABLED_INSTRUMENTATIONS": "http,pg,ioredis"}

    def __init__(self, args):
        self.env = args.cache.node_packages("node-sdk", os.path.join(HERE, "apps", "package.json"))
        self.node = cache.need("node")

    def argv(self, port, sdk):
        preload = ["--require", "@opentelemetry/auto-instrumentations-node/register"] if sdk else []
        return [self.node, *preload, os.path.join(HERE, "apps", "express_app.js"), str(port)]

    def version(self):
        with open(os.path.join(self.env["NODE_PATH"], "@opentelemetry/auto-instrumentations-node/package.json"),
                  encoding="utf-8") as f:
            return "@opentelemetry/auto-instrumentations-node " + json.load(f)["version"]


class FastApi:
    title = "FastAPI under uvicorn (asyncio), redis.asyncio"
    needs = ("redis",)
    rate = 200
    same = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "fastapi", "BENCH_EXCLUDE": "send,receive"}  # the program does it itself
    packages = ("fastapi", "uvicorn", "redis", "opentelemetry-distro", "opentelemetry-exporter-otlp-proto-http",
                "opentelemetry-instrumentation-fastapi", "opentelemetry-instrumentation-redis")

    def __init__(self, args):
        if not os.access(stack.PYTHON, os.X_OK):
            raise cache.Skip(f"no {stack.PYTHON}")
        self.env = {**args.cache.python_packages(stack.PYTHON, *self.packages), "PYTHONDONTWRITEBYTECODE": "1"}

    def argv(self, port, sdk):
        # What the command opentelemetry-instrument does; pip writes another Python into its first line.
        run = ["-c", "from opentelemetry.instrumentation.auto_instrumentation import run; run()", stack.PYTHON] if sdk else []
        return [stack.PYTHON, *run, os.path.join(HERE, "apps", "fastapi_app.py"), str(port)]

    def version(self):
        found = glob.glob(os.path.join(self.env["PYTHONPATH"], "opentelemetry_instrumentation_fastapi-*.dist-info"))
        return os.path.basename(found[0]).removesuffix(".dist-info") if found else "version unknown"


PROGRAMS = (Express, FastApi)


class Targets:
    """The program three times: as it is, with the SDK, with less of the SDK."""

    def __init__(self, program, shop, sink):
        self.program, self.shop = program, shop
        env = {**program.env, "POSTGRES_PORT": str(shop.ports["postgres"]), "REDIS_PORT": str(shop.ports["redis"])}
        self.names = {}
        for state, more in ((OFF, None), (FULL, {}), (SAME, program.same)):
            key = f"{type(program).__name__}-{len(self.names)}"
            sdk = {**EXPORTS, "OTEL_EXPORTER_OTLP_ENDPOINT": f"{sink.url}/{key}", **more} if more is not None else {}
            port = stack.free_port()
            shop.spawn(key, program.argv(port, more is not None), port, env={**env, **sdk})
            shop.ports[key] = port
            self.names[state] = key
        self.names[WEFT] = self.names[OFF]

    def pid(self, state):
        return self.shop.pids[self.names[state]]

    def port(self, state):
        return self.shop.ports[self.names[state]]

    def others(self):
        """The databases, whose CPU weft adds to as well: it looks at each call in the system."""
        return [self.shop.pids[name] for name in self.program.needs]

    def stop(self):
        for name in {self.names[s] for s in (OFF, FULL, SAME)}:
            self.shop.processes[name].kill()  # with the SDK, Node outlives SIGTERM
            self.shop.stop(name)


def state_figures(targets, state, weft, sink, args):
    """One state's turn."""
    pid, port = targets.pid(state), targets.port(state)
    exporter = "weft" if state == WEFT else targets.names[state]

    def run(per_second, seconds):
        return loads.at_rate(args, port, 16, per_second, seconds, "http", PATH)

    def drain():
        if state != OFF:
            sink.wait_quiet(exporter, QUIET)
    run(targets.program.rate, 1)
    drain()
    sink.keep()
    cpu, others = cost.cpu_ns(pid), sum(map(cost.cpu_ns, targets.others()))
    if weft:
        weft.begin()
    requests, figures = run(targets.program.rate, args.sdk_seconds)
    figures["p50, ms"], figures["p99, ms"] = figures.pop("p50, ms"), figures.pop("p99, ms")
    drain()
    figures["CPU of the program, µs/request"] = (cost.cpu_ns(pid) - cpu) / requests / 1000
    figures["CPU of weft, µs/request"] = weft.used() / requests / 1000 if weft else 0
    figures["CPU of the databases, µs/request"] = (sum(map(cost.cpu_ns, targets.others())) - others) / requests / 1000
    figures["memory of the program, MiB"] = cost.resident_kib(pid) / 1024
    figures["memory of weft beside the ring, MiB"] = cost.memory_without_ring_kib(weft.pid) / 1024 if weft else 0
    kinds = sink.take(exporter)
    for kind in ("server", "client", "other"):
        figures[f"{kind} spans/request"] = kinds[kind] / requests
    full, at_full_speed = run(0, max(1, args.sdk_seconds // 2))
    figures["requests/s at full speed"] = at_full_speed["requests/s"]
    figures["p99 at full speed, ms"] = at_full_speed["p99, ms"]
    drain()
    return figures


def measure(targets, sink, args, folder):
    rows = {}
    for state in (OFF, FULL, SAME):  # compilers of the runtime's get their work done before anything counts
        loads.at_rate(args, targets.port(state), 16, 0, args.sdk_seconds, "http", PATH)
    for number in range(args.sdk_rounds):
        report.log(f"{targets.program.title}: round {number + 1} of {args.sdk_rounds}")
        for state in STATES:
            with contextlib.ExitStack() as leaving:
                weft = None
                if state == WEFT:
                    weft = leaving.enter_context(agent.running(
                        [*agent.pids(targets.pid(WEFT)), "--backend", args.backend, "--otlp", f"{sink.url}/weft"], folder, DELAY))
                rows.setdefault((state, ""), []).append(state_figures(targets, state, weft, sink, args))
            if weft and weft.status:
                rows[state, ""][-1]["weft's exit status"] = weft.status
    return rows


def added(rows, state):
    """µs a request that a state adds, weft's own included, in each round."""
    def total(r):
        return r["CPU of the program, µs/request"] + r["CPU of weft, µs/request"]
    return [total(on) - total(off) for on, off in zip(rows[state, ""], rows[OFF, ""])]


def print_added(rows):
    """The row that matters: what each state adds, and how many times more than weft."""
    median = {state: statistics.median(added(rows, state)) for state in STATES[1:]}
    cells = [f"{median[state]:.0f}" + (f" = {median[state] / median[WEFT]:.1f} times weft's" if state != WEFT and median[WEFT] > 0
                                       else "") for state in STATES[1:]]
    report.row("", "CPU added, program and weft, µs/request", "", *cells)
    cells = ["{:.0f} to {:.0f}".format(min(added(rows, state)), max(added(rows, state))) for state in STATES[1:]]
    report.row("", "  least and greatest of the rounds", "", *cells)


def one(program, shop, sink, args, folder):
    for name in program.needs:
        if name not in shop.pids:
            getattr(shop, "start_" + name)()
    targets = Targets(program, shop, sink)
    try:
        rows = measure(targets, sink, args, folder)
    finally:
        targets.stop()
    report.costs(rows, STATES, {"": f"{program.title}, {program.rate} requests/s ({program.version()})"})
    print_added(rows)
    wrong = [r["weft's exit status"] for r in rows[WEFT, ""] if "weft's exit status" in r]
    if wrong:
        report.say(f"(weft's exit statuses that were not 0: {wrong})")


def room(shop, _other, sink, args, folder):
    for kind in PROGRAMS:
        try:
            one(kind(args), shop, sink, args, folder)
        except (cache.Skip, stack.StackError, AssertionError) as e:
            report.say(f"{kind.title}: skipped: {e}")
        report.say()
