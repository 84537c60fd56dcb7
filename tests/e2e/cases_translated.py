# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases of tests/e2e/run: both ends of a connection on this host, which see it by different addresses (NAT), as containers and
services do: two network namespaces, where rules in one of them translate where a service's calls go to, and where they come from.
And a relay in between that hands on bytes, so that the ends have different connections."""
import collections
import subprocess

import stack
import tracer
from cases import Skip, case, expect, say
from cases_propagate import ADDRESS, PORT, REQUESTS, Hosts, judge, path_of
import app_relay
import truth

SERVICE, SERVICE_PORT = "10.213.9.77", 8080  # what the relay on host a calls; nobody has that address
RULES = f"""table ip weft {{
	chain output {{
		type nat hook output priority -100;
		ip daddr {SERVICE} tcp dport {SERVICE_PORT} dnat to {ADDRESS["b"]}:{PORT}
	}}
	chain postrouting {{
		type nat hook postrouting priority 100;
		ip daddr {ADDRESS["b"]} tcp dport {PORT} snat to {ADDRESS["a"]}:20000-20999
	}}
}}
"""


class Translated(Hosts):
    def make(self):
        super().make()
        try:
            nft = stack.which("nft")
        except stack.StackError as e:
            raise Skip(str(e)) from None
        done = subprocess.run([self.tool, "netns", "exec", self.names["a"], nft, "-f", "-"], input=RULES, capture_output=True,
                              text=True, check=False)
        if done.returncode:
            raise Skip(f"nft: {(done.stderr.strip().splitlines() or ['?'])[0]}")

    def serve(self, host, *upstream):
        super().serve(host, *((SERVICE, SERVICE_PORT) if upstream else ()))


@case()
def translated_addresses(context):
    """Both ends traced, and the addresses are translated between them: each call is its request's parent all the same."""
    calls = sum(app_relay.calls_of(n) for n in range(REQUESTS))
    with Translated() as hosts:
        argv = ["-p", f"{hosts.pids['a']},{hosts.pids['b']}", "--backend", context.args.backend, "-o", "otlp-json"]
        with tracer.Tracer(argv, context.path("spans")) as weft:
            weft.wait_attached()
            hosts.load()
            expect(weft.stop() == 0, f"weft failed: {weft.text()[-1000:]}")
    spans = context.spans()
    ours = {h: [s for s in spans if s.pid == hosts.pids[h]] for h in ADDRESS}
    right, other_trace, wrong, none = judge(ours)
    say(f"calls {calls}: right {right}, in another trace {other_trace}, wrong {wrong}, none {none}")
    made, served = (next(s for s in ours[h] if s.kind == kind) for h, kind in (("a", truth.CLIENT), ("b", truth.SERVER)))
    to, come_from = made.get("network.peer.address"), served.get("network.peer.port", "client.port")
    expect(to == SERVICE and 20000 <= come_from < 21000 and made.get("network.local.port") != come_from,
           f"nothing was translated: a call went to {to}, one came from port {come_from}")
    expect(wrong == other_trace == 0, f"{wrong} wrong parents, {other_trace} in another trace")
    expect(right == calls, f"only {right} of {calls} calls have their parent")


class Forwarded(Hosts):
    """Host a calls a relay on host a, which hands on to host b."""

    def serve(self, host, *upstream):
        if upstream:
            self.forwarder = subprocess.Popen(self.command("a", "forward", ADDRESS["a"], SERVICE_PORT, *upstream),
                                              stdin=subprocess.DEVNULL)
            self.processes.append(self.forwarder)
            stack.wait_until("relay", lambda: self.listens(self.forwarder.pid, SERVICE_PORT), 30,
                             lambda: self.forwarder.poll() is None)
            upstream = ADDRESS["a"], SERVICE_PORT
        super().serve(host, *upstream)


def forwarded(context, relay_too):
    """Calls by the number of spans between the caller's and the callee's; None: there is no way."""
    with Forwarded() as hosts:
        pids = [*hosts.pids.values(), *([hosts.forwarder.pid] if relay_too else [])]
        argv = ["-p", ",".join(map(str, pids)), "--backend", context.args.backend, "-o", "otlp-json"]
        with tracer.Tracer(argv, context.path("spans")) as weft:
            weft.wait_attached()
            hosts.load()
            expect(weft.stop() == 0, f"weft failed: {weft.text()[-1000:]}")
    spans = context.spans()
    by_id = {s.id: s for s in spans}
    between, wrong = collections.Counter(), 0
    for s in spans:
        if s.pid != hosts.pids["b"]:
            continue
        way, above = 0, by_id.get(s.parent)
        while above and above.pid != hosts.pids["a"]:
            wrong += path_of(above) != path_of(s)
            way, above = way + 1, by_id.get(above.parent)
        wrong += above is not None and path_of(above) != path_of(s)
        between[way if above else None] += 1
    expect(not wrong, f"{wrong} wrong parents")
    say(f"the relay is {'' if relay_too else 'not '}traced: {dict(between)}")
    return between


@case()
def forwarded_bytes(context):
    """A relay of bytes between both ends: if it is not traced, nobody is anybody's parent; if it is, it is on the way."""
    calls = sum(app_relay.calls_of(n) for n in range(REQUESTS))
    expect(forwarded(context, False) == {None: calls}, "there is a parent behind a relay that is not traced")
    expect(forwarded(context, True)[2] >= 0.5 * calls, "too few calls have their parent behind a relay that is traced")
