# SPDX-License-Identifier: GPL-2.0-or-later
"""The loads of tools/bench. Each gives (requests, {what: figure})."""
import dataclasses
import os
import re
import typing

import cost
import stack

HERE = os.path.dirname(os.path.abspath(__file__))


@dataclasses.dataclass(frozen=True)
class Load:
    title: str
    service: str             # whose CPU counts
    run: typing.Callable     # run(shop, args)
    bystander: bool = False  # its service is never traced
    others: tuple = ()       # services that it needs, too
    programs: tuple = ()     # without these it is skipped


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def wrk_at(args, url):
    text = cost.output_of([stack.which("wrk"), "--latency", f"-t{min(2, args.connections)}", f"-c{args.connections}",
                           f"-d{args.seconds}s", url])
    p50, p99 = (milliseconds(re.search(rf"{p}% +(\S+)", text).group(1)) for p in (50, 99))
    return int(re.search(r"(\d+) requests in", text).group(1)), {
        "requests/s": float(re.search(r"Requests/sec: *([\d.]+)", text).group(1)), "p50, ms": p50, "p99, ms": p99}


def wrk(scheme, port, path="/static"):
    return lambda shop, args: wrk_at(args, f"{scheme}://127.0.0.1:{shop.ports[port]}{path}")


def rate_argv(args, port, connections, per_second, seconds, kind, what):
    return list(map(str, [args.cache.compiled(os.path.join(HERE, "rate.c")), port, connections, per_second, seconds, kind, what]))


def rate_figures(text):
    """What rate.c printed: (requests, {what: figure}). No request may have failed: its cost would be another."""
    said = {k: float(v) for k, v in re.findall(r"(\w+)=([\d.]+)", text)}
    if said["failed"] or not said["requests"]:
        raise stack.StackError(f"the load: {text.strip()}")
    return int(said["requests"]), {"requests/s": said["requests"] / said["seconds"], "p50, ms": said["p50_us"] / 1000,
                                   "p99, ms": said["p99_us"] / 1000}


def at_rate(args, port, connections, per_second, seconds, kind, what):
    return rate_figures(cost.output_of(rate_argv(args, port, connections, per_second, seconds, kind, what)))


def rate(service, per_second, kind, what):
    return lambda shop, args: at_rate(args, shop.ports[service], args.connections, per_second, args.seconds, kind, what)


def redis(depth):
    def load(shop, args):
        count = args.commands * (4 if depth > 1 else 1)
        text = cost.output_of([stack.which("redis-benchmark"), "-p", shop.ports["redis"], "-c", args.connections, "-n", count,
                               "-P", depth, "-t", "get", "--csv"])
        fields = next(line for line in text.splitlines() if line.startswith('"GET"')).replace('"', "").split(",")
        return count, {"requests/s": float(fields[1]), "p50, ms": float(fields[4]), "p99, ms": float(fields[6])}
    return load


def postgres(shop, args):
    where = ["-h", "127.0.0.1", "-p", shop.ports["postgres"], "-U", "postgres", "postgres"]
    if not shop.filled:
        cost.output_of([stack.which("pgbench"), "-i", "-q", "-s", "1", *where])
        shop.filled = True
    text = cost.output_of([stack.which("pgbench"), "-S", "-n", "-M", "prepared", "-c", min(8, args.connections), "-T", args.seconds,
                           *where])
    if "tps = " not in text:
        raise stack.StackError(f"pgbench: not one transaction in {args.seconds} s (--seconds): {text[-300:]}")
    return int(re.search(r"actually processed: (\d+)", text).group(1)), {
        "requests/s": float(re.search(r"tps = ([\d.]+)", text).group(1)),
        "mean, ms": float(re.search(r"latency average = ([\d.]+)", text).group(1))}


LOADS = {
    "nginx": Load("nginx, small static answer (wrk)", "nginx", wrk("http", "nginx")),
    "proxy": Load("nginx, proxied to itself (wrk)", "nginx", wrk("http", "nginx", "/proxied")),
    "https": Load("nginx, HTTPS, kept alive (wrk)", "nginx_tls", wrk("https", "nginx_tls")),
    "node-https": Load("Node, HTTPS, kept alive (wrk)", "node_https", wrk("https", "node_https"),
                       programs=("node",)),
    "redis": Load("Redis, GET (redis-benchmark)", "redis", redis(1)),
    "redis-10k": Load("Redis, 10,000 GET/s (rate.c)", "redis", rate("redis", 10000, "redis", "some-key")),
    "pipelined": Load("Redis, GET, 16 in a pipeline", "redis", redis(16)),
    "postgres": Load("PostgreSQL, pgbench -S, prepared", "postgres", postgres),
    "memcached": Load("memcached, not traced (rate.c, all it can)", "memcached", rate("memcached", 0, "memcached", "some-key"), True,
                      programs=("memcached",)),
    "second": Load("a second nginx, not traced", "second", wrk("http", "second_plain"), True),
    "second-https": Load("a second nginx, not traced, HTTPS by the same library", "second", wrk("https", "second"), True,
                         ("nginx_tls",)),
}
