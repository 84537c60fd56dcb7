#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes packet captures, and for each what a reader must find in it.

    make_pcaps.py FOLDER

NAME.pcap (or .pcapng) is a capture, NAME.expect says line by line what weft's capture reader must give:
    conn CLIENT > SERVER [preopen] start=NS open=NS     a connection; start: first SYN, open: when it was opened
      out bytes=N holes=N fnv=HASH                      what the client sent: bytes captured, bytes known to be missing
      in ...                                            what the server sent
      events open out in eof shut close                 order of its events, equal neighbours once
    skipped REASON=N ...                                packets that gave nothing
    end ok | cut | damaged                              how the file ended
Every run writes the same bytes.
"""
import os
import random
import socket
import struct
import sys

T0 = 1_700_000_000_000_000_000
MS = 1_000_000
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ETH, NULL, RAW, LOOP, SLL, IPV4, IPV6, SLL2 = 1, 0, 101, 108, 113, 228, 229, 276


# ---- packets

def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tcp(sport, dport, seq, ack, flags, payload=b"", options=b""):
    options += b"\1" * (-len(options) % 4)
    return struct.pack("!HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF,
                       (5 + len(options) // 4) << 4, flags, 65535, 0, 0) + options + payload


def ip4(src, dst, body, proto=6, fragment=0, options=b"", total=None):
    length = 20 + len(options) + len(body) if total is None else total
    head = struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, 0, length, 7, fragment, 64, proto, 0,
                       socket.inet_aton(src), socket.inet_aton(dst)) + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def ip6(src, dst, body, next_header=6, length=None):
    return struct.pack("!IHBB", 6 << 28, len(body) if length is None else length, next_header, 64) + \
        socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst) + body


def ether_type(packet):
    return 0x0800 if packet[0] >> 4 == 4 else 0x86DD


def eth(packet, tags=(), kind=None):
    head = bytes(range(12))
    for tpid, vlan in tags:
        head += struct.pack("!HH", tpid, vlan)
    return head + struct.pack("!H", kind or ether_type(packet)) + packet


def sll(packet):
    return struct.pack("!HHH8sH", 0, 1, 6, b"\2\0\0\0\0\1", ether_type(packet)) + packet


def sll_vlan(packet):
    return struct.pack("!HHH8sH", 0, 1, 6, b"\2\0\0\0\0\1", 0x8100) + \
        struct.pack("!HH", 5, ether_type(packet)) + packet


def sll2(packet):
    return struct.pack("!HHIHBB8s", ether_type(packet), 0, 3, 1, 0, 6, b"\2\0\0\0\0\1") + packet


def family(packet, v6=30):
    return 2 if packet[0] >> 4 == 4 else v6


# ---- files

class Pcap:
    """Classic pcap. order '<' or '>', nano or micro."""
    ext = "pcap"

    def __init__(self, link, order="<", nano=False, snaplen=262144):
        self.order, self.nano = order, nano
        self.data = struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, snaplen, link)

    def add(self, ts, frame, wire=None):
        sub = ts % 1_000_000_000 // (1 if self.nano else 1000)
        self.data += struct.pack(self.order + "IIII", ts // 1_000_000_000, sub, len(frame),
                                 wire or len(frame)) + frame


class PcapNg:
    """pcapng. interfaces: (link, tsresol byte or None, tsoffset seconds)."""
    ext = "pcapng"

    def __init__(self, interfaces, order="<", snaplen=262144):
        self.order, self.interfaces = order, interfaces
        self.data = b""
        self.block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
        for link, resolution, offset in interfaces:
            self.interface(link, snaplen, resolution, offset)

    def interface(self, link, snaplen=262144, resolution=None, offset=0):
        options = b""
        if resolution is not None:
            options += struct.pack(self.order + "HHB3x", 9, 1, resolution)
        if offset:
            options += struct.pack(self.order + "HHq", 14, 8, offset)
        if options:
            options += struct.pack(self.order + "HH", 0, 0)
        self.block(1, struct.pack(self.order + "HHI", link, 0, snaplen) + options)

    def block(self, kind, body):
        body += b"\0" * (-len(body) % 4)
        size = len(body) + 12
        self.data += struct.pack(self.order + "II", kind, size) + body + struct.pack(self.order + "I", size)

    def add(self, ts, frame, wire=None, interface=0):
        _, resolution, offset = self.interfaces[interface]
        ts -= offset * 1_000_000_000
        if resolution is None:
            units = ts // 1000
        elif resolution & 0x80:
            units = ts * (1 << (resolution & 0x7F)) // 1_000_000_000
        else:
            units = ts * 10 ** resolution // 1_000_000_000
        self.block(6, struct.pack(self.order + "IIIII", interface, units >> 32, units & 0xFFFFFFFF, len(frame),
                                  wire or len(frame)) + frame)


# ---- conversations

class Talk:
    """One TCP connection; each method gives IP packets and moves the sequence numbers on."""

    def __init__(self, client="10.0.0.1", cport=40000, server="10.0.0.2", sport=80, isn=(1000, 900000)):
        self.client, self.cport, self.server, self.sport = client, cport, server, sport
        self.isn, self.seq = isn, [isn[0] + 1, isn[1] + 1]
        self.sent = [b"", b""]
        self.wrap = ip6 if ":" in client else ip4

    def raw(self, side, seq, ack, flags, payload=b"", options=b""):
        if side == 0:
            return self.wrap(self.client, self.server,
                             tcp(self.cport, self.sport, seq, ack, flags, payload, options))
        return self.wrap(self.server, self.client, tcp(self.sport, self.cport, seq, ack, flags, payload, options))

    def syn(self):
        return self.raw(0, self.isn[0], 0, SYN, options=b"\2\4\5\xb4")

    def synack(self):
        return self.raw(1, self.isn[1], self.isn[0] + 1, SYN | ACK, options=b"\2\4\5\xb4")

    def ack(self, side):
        return self.raw(side, self.seq[side], self.seq[1 - side], ACK)

    def hello(self):
        return [self.syn(), self.synack(), self.ack(0)]

    def say(self, side, payload, flags=ACK | PSH):
        packet = self.raw(side, self.seq[side], self.seq[1 - side], flags, payload)
        self.seq[side] += len(payload)
        self.sent[side] += payload
        return packet

    def fin(self, side):
        packet = self.raw(side, self.seq[side], self.seq[1 - side], FIN | ACK)
        self.seq[side] += 1
        return packet

    def rst(self, side, seq=None):
        return self.raw(side, self.seq[side] if seq is None else seq, 0, RST)

    def bye(self):
        return [self.fin(1), self.fin(0), self.ack(1)]

    def exchange(self):
        return [self.say(0, REQUEST), self.ack(1), self.say(1, RESPONSE), self.ack(0)]

    def expect(self, events, out=None, back=None, preopen=False, start=T0, opened=T0 + MS):
        return Expected(self, events, [self.sent[0]] if out is None else out,
                        [self.sent[1]] if back is None else back, preopen, start, opened)


REQUEST = b"GET /hello HTTP/1.1\r\nHost: shop\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def fnv(data):
    h = 0xCBF29CE484222325
    for byte in data:
        h = (h ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return h


class Expected:
    def __init__(self, talk, events, out, back, preopen, start, opened):
        self.talk, self.events, self.streams = talk, events, (out, back)
        self.preopen, self.start, self.opened = preopen, start, opened

    def lines(self):
        def show(host, port):
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        t = self.talk
        yield (f"conn {show(t.client, t.cport)} > {show(t.server, t.sport)}{' preopen' if self.preopen else ''} "
               f"start={self.start} open={self.opened}")
        for name, chunks in zip(("out", "in"), self.streams):
            data = b"".join(c for c in chunks if isinstance(c, bytes))
            holes = sum(c for c in chunks if isinstance(c, int))
            yield f"  {name} bytes={len(data)} holes={holes} fnv={fnv(data):016x}"
        yield f"  events {self.events}"


FOLDER = None


def save(name, writer, expected, skipped="", end="ok", ext=None):
    with open(os.path.join(FOLDER, f"{name}.{ext or writer.ext}"), "wb") as f:
        f.write(writer.data)
    with open(os.path.join(FOLDER, f"{name}.expect"), "w", encoding="ascii") as f:
        for e in expected:
            f.writelines(line + "\n" for line in e.lines())
        f.write(f"skipped {skipped}".rstrip() + "\n")
        f.write(f"end {end}\n")


def write(name, packets, expected, skipped="", wrap=eth, writer=None, step=MS, end="ok"):
    """packets: IP packets, (ns since T0, packet), or None for a step in time without one."""
    writer = writer or Pcap(ETH, nano=True)
    ts = T0
    for p in packets:
        if isinstance(p, tuple):
            ts = T0 + p[0]
            p = p[1]
        if p is not None:
            writer.add(ts, wrap(p))
        ts += step
    save(name, writer, expected, skipped, end)


WHOLE = "open out in eof shut close"


# ---- the captures

def links():
    kinds = {
        "eth": (ETH, eth),
        "vlan": (ETH, lambda p: eth(p, [(0x8100, 0x6005)])),
        "qinq": (ETH, lambda p: eth(p, [(0x88A8, 7), (0x8100, 9)])),
        "qinq9100": (ETH, lambda p: eth(p, [(0x9100, 7), (0x8100, 9)])),
        "padded": (ETH, lambda p: eth(p) + b"\xee" * 6),
        "cooked": (SLL, sll),
        "cooked-vlan": (SLL, sll_vlan),
        "cooked2": (SLL2, sll2),
        "null-le": (NULL, lambda p: struct.pack("<I", family(p)) + p),
        "null-be": (NULL, lambda p: struct.pack(">I", family(p, 24)) + p),
        "loop": (LOOP, lambda p: struct.pack(">I", family(p, 10)) + p),
        "raw": (RAW, lambda p: p),
        "ipv4": (IPV4, lambda p: p),
        "ipv6": (IPV6, lambda p: p),
    }
    for n, (name, (link, wrap)) in enumerate(kinds.items()):
        for version in (4, 6):
            if name == f"ipv{10 - version}":
                continue
            talk = Talk() if version == 4 else Talk("fd00::1", 40001, "fd00::2", 8080)
            writer = PcapNg([(link, None, 0)], "><"[n % 2]) if version == 6 else \
                Pcap(link, "<>"[n % 2], nano=n % 3 == 0)
            write(f"link-{name}-{version}", talk.hello() + talk.exchange() + talk.bye(),
                  [talk.expect(WHOLE)], wrap=wrap, writer=writer)


def pieces(talk, side, count, size=1000, seed=1):
    rng = random.Random(seed)
    return [talk.say(side, bytes(rng.randrange(256) for _ in range(size))) for _ in range(count)]


def reordering():
    t = Talk()
    head = t.hello() + [t.say(0, REQUEST)]
    parts = pieces(t, 1, 8)
    fin = t.fin(1)
    order = [parts[i] for i in (1, 0, 3, 2, 6)] + [fin] + [parts[i] for i in (7, 4, 5)]
    write("reorder", head + order + [t.fin(0), t.ack(1)], [t.expect(WHOLE)])

    # More holes at once than are remembered; every byte comes in the end.
    t = Talk()
    head = t.hello() + [t.say(0, REQUEST)]
    parts = pieces(t, 1, 40, 100, 2)
    mixed = parts[1::2] + parts[0::2]
    write("reorder-much", head + mixed + t.bye(), [t.expect("open out in eof shut close")])

    # The client's bytes are shuffled around its FIN: both ends wait for the hole.
    t = Talk()
    head = t.hello()
    a, b, fin = t.say(0, b"a" * 10), t.say(0, b"b" * 10), t.fin(0)
    write("fin-first", head + [fin, b, a, t.say(1, b"done"), t.fin(1)],
          [t.expect("open out shut in eof close")])

    # The handshake comes after the bytes.
    t = Talk()
    syn, synack, ack = t.hello()
    first = t.say(0, REQUEST)
    write("handshake-late", [syn, first, ack, synack, t.say(1, RESPONSE)] + t.bye(),
          [t.expect(WHOLE, start=T0, opened=T0 + MS)])
    t = Talk()
    syn, synack, ack = t.hello()
    write("handshake-swapped", [synack, syn, ack, t.say(0, REQUEST), t.say(1, RESPONSE)] + t.bye(),
          [t.expect(WHOLE, start=0, opened=T0)])


def losses():
    # The server's third segment is missing; the client acknowledges all, FIN included: told 200 ms later.
    t = Talk()
    head = t.hello() + [t.say(0, REQUEST)]
    parts = pieces(t, 1, 5)
    tail = [t.fin(1), t.ack(0)]
    later = [(1000 * MS, t.say(0, b"more"))]
    body = t.sent[1]
    write("loss-acked", head + parts[:2] + parts[3:] + tail + later + [t.fin(0)],
          [t.expect("open out in eof out shut close", back=[body[:2000], 1000, body[3000:]])])
    # The same, not acknowledged: not after 1 s ...
    t = Talk()
    head = t.hello() + [t.say(0, REQUEST)]
    parts = pieces(t, 1, 5)
    body = t.sent[1]
    fin = t.fin(1)
    t2 = Talk(cport=40001)
    other = [(1000 * MS, t2.syn()), (1001 * MS, t2.synack()), (7000 * MS, t2.say(0, REQUEST))]
    other.insert(2, (2000 * MS, t.raw(0, t.seq[0], t.isn[1] + 2001, ACK, b"still")))
    t.seq[0] += 5
    t.sent[0] += b"still"
    mine = [(8000 * MS, t.say(0, b"again"))]
    # ... but after 5 s without news, before the next packet whatever it is.
    write("loss-quiet", head + parts[:2] + parts[3:] + [fin] + other + mine,
          [t.expect("open out in out eof out close", back=[body[:2000], 1000, body[3000:]]),
           t2.expect("open out close", start=T0 + 1000 * MS, opened=T0 + 1001 * MS)])
    # The capture ends before the time is up: the end is told then.
    t = Talk()
    head = t.hello() + [t.say(0, REQUEST)]
    parts = pieces(t, 1, 3)
    body = t.sent[1]
    write("loss-end", head + parts[::2] + [t.fin(1)],
          [t.expect("open out in eof close", back=[body[:1000], 1000, body[2000:]])])


def repeats():
    t = Talk()
    head = t.hello()
    seq = t.seq[0]
    first, second = t.say(0, b"0123456789"), t.say(0, b"abcdefghij")
    overlap = t.raw(0, seq + 5, t.seq[1], ACK, b"56789abcdefghijKLM")
    t.seq[0] += 3
    t.sent[0] += b"KLM"
    alive = t.raw(0, t.seq[0] - 1, t.seq[1], ACK, b"\0")
    write("repeats", head + [t.syn(), first, first, second, overlap, alive, t.ack(1), alive, first,
                             t.say(1, RESPONSE)] + t.bye() + [t.fin(1), t.ack(0)],
          [t.expect(WHOLE)])


def wrapping():
    t = Talk(isn=(0xFFFFFFF0, 0x7FFFFFF0))
    write("wrap", t.hello() + pieces(t, 0, 3, 100) + pieces(t, 1, 3, 100, 2) + t.bye(), [t.expect(WHOLE)])


def beginnings():
    for name, ports in (("low", (50000, 5432)), ("odd", (35000, 41234))):
        t = Talk(cport=ports[0], sport=ports[1])
        # Seen first: the server's bytes, then the client's. With odd ports the guess is wrong, and says it is one.
        frames = [t.say(1, RESPONSE), t.ack(0)] + t.exchange() + t.bye()
        if name == "low":
            write(f"mid-{name}", frames, [t.expect("open in out in eof shut close", preopen=True, start=0,
                                                   opened=T0)])
        else:
            turned = Talk(t.server, t.sport, t.client, t.cport)
            write(f"mid-{name}", frames, [turned.expect("open out in out shut eof close", [t.sent[1]], [t.sent[0]],
                                                        True, 0, T0)])
    # Only acknowledgements, a FIN, an RST of connections never seen: nothing.
    t = Talk()
    write("mid-nothing", [t.ack(0), t.ack(1), t.fin(0), t.rst(1)], [])
    # SYN lost; SYN-ACK lost.
    t = Talk()
    write("syn-lost", t.hello()[1:] + t.exchange() + t.bye(), [t.expect(WHOLE, start=0, opened=T0)])
    t = Talk()
    hello = t.hello()
    write("synack-lost", [hello[0], hello[2]] + t.exchange() + t.bye(), [t.expect(WHOLE)])
    # Data with the SYN, acknowledged at once (fast open).
    t = Talk()
    syn = t.raw(0, t.isn[0], 0, SYN, REQUEST)
    t.seq[0] += len(REQUEST)
    t.sent[0] += REQUEST
    synack = t.raw(1, t.isn[1], t.seq[0], SYN | ACK)
    write("fast-open", [syn, synack, t.ack(0), t.say(1, RESPONSE), t.say(0, b"next")] + t.bye(), [t.expect("open out in out eof shut close", opened=T0)])


def ends():
    # Never a connection: unanswered SYNs, a refused one.
    a, b = Talk(cport=1), Talk(cport=2)
    write("syn-only", [a.syn(), a.syn(), b.syn(), b.raw(1, 0, b.isn[0] + 1, RST | ACK)], [])
    # RST: bytes that come after are late. Then the same endpoints again.
    t = Talk()
    one = t.hello() + t.exchange() + [t.rst(0)]
    late = t.raw(1, t.seq[1], t.seq[0], ACK, b"late")
    u = Talk(isn=(777777, 888888))
    begun = T0 + (len(one) + 1) * MS
    write("rst", one + [late] + u.hello() + u.exchange() + [u.rst(1)],
          [t.expect("open out in close"), u.expect("open out in close", start=begun, opened=begun + MS)],
          "bytes after the connection's end=1")
    # An RST that overtook the bytes before it.
    t = Talk()
    head = t.hello() + [t.say(0, REQUEST)]
    body = t.say(1, RESPONSE)
    write("rst-first", head + [t.rst(1), body], [t.expect("open out in close")])
    # A forged RST: the "resetting" end goes on talking.
    t = Talk()
    head = t.hello() + t.exchange() + [t.rst(1)]
    said = [list(x) for x in (t.sent,)][0]
    t.sent = [b"", b""]
    begun = T0 + (len(head)) * MS
    write("rst-forged", head + [t.say(1, b"still here"), t.say(0, b"good")],
          [t.expect("open out in close", [said[0]], [said[1]]),
           t.expect("open in out close", preopen=True, start=0, opened=begun)])
    # Port reuse while the old one's end was not captured.
    t, u = Talk(), Talk(isn=(50_000_000, 60_000_000))
    one = t.hello() + t.exchange()
    begun = T0 + len(one) * MS
    write("reuse", one + u.hello() + u.exchange() + u.bye(),
          [t.expect("open out in close"), u.expect(WHOLE, start=begun, opened=begun + MS)])
    # The same, its handshake lost too: far-off sequence numbers tell.
    t, u = Talk(isn=(3_000_000_000, 3_100_000_000)), Talk(isn=(50_000_000, 60_000_000))
    one = t.hello() + t.exchange()
    u.seq[0] += 5
    begun = T0 + len(one) * MS
    write("reuse-unseen", one + u.exchange(),
          [t.expect("open out in close"), u.expect("open out in close", preopen=True, start=0, opened=begun)])
    # Half-closed: the server talks on after the client's FIN.
    t = Talk()
    write("half-closed", t.hello() + [t.say(0, REQUEST), t.fin(0), t.ack(1), t.say(1, RESPONSE), t.fin(1), t.ack(0)],
          [t.expect("open out shut in eof close")])


def layers():
    t = Talk("fd00::1", 40001, "fd00::2", 8080)

    def extended(p):
        body = p[40:]
        ah = struct.pack("!BBHII12s", 6, 4, 0, 1, 1, b"x" * 12)
        options = struct.pack("!BB6x", 51, 0)
        atomic = struct.pack("!BBHI", 60, 0, 0, 9)
        routing = struct.pack("!BB6x8x", 44, 1)
        return ip6(t.client if p[8:24] == socket.inet_pton(socket.AF_INET6, t.client) else t.server,
                   t.server if p[8:24] == socket.inet_pton(socket.AF_INET6, t.client) else t.client,
                   struct.pack("!BB6x", 43, 0) + routing + atomic + options + ah + body, 0)
    write("ip6-extensions", [extended(p) for p in t.hello() + t.exchange() + t.bye()], [t.expect(WHOLE)])

    t = Talk()

    def options(p):
        return ip4(socket.inet_ntoa(p[12:16]), socket.inet_ntoa(p[16:20]), p[20:], options=b"\x07\x07\x04" + b"\0" * 5)
    write("ip4-options", [options(p) for p in t.hello() + t.exchange() + t.bye()], [t.expect(WHOLE)])

    # Fragments: the first has the header and its bytes; the rest of the segment is a hole.
    t = Talk()
    head = t.hello()
    # A FIN on it: the direction does not end where the first fragment ends.
    segment = t.say(0, bytes(range(200)), ACK | FIN)[20:]
    first = ip4(t.client, t.server, segment[:120], fragment=0x2000)
    second = ip4(t.client, t.server, segment[120:], fragment=120 // 8)
    after = t.say(0, b"END")
    write("ip4-fragments", head + [first, second, after],
          [t.expect("open out close", [bytes(range(100)), 100, b"END"])], "later fragment of an IP packet=1")
    t = Talk("fd00::1", 40001, "fd00::2", 8080)
    head = t.hello()
    segment = t.say(0, bytes(range(200)))[40:]
    first = ip6(t.client, t.server, struct.pack("!BBHI", 6, 0, 1, 5) + segment[:120], 44)
    second = ip6(t.client, t.server, struct.pack("!BBHI", 6, 0, 120, 5) + segment[120:], 44)
    write("ip6-fragments", head + [first, second, t.say(0, b"END")],
          [t.expect("open out close", [bytes(range(100)), 100, b"END"])], "later fragment of an IP packet=1")

    # Things that are not TCP over IP, and broken ones, among a conversation.
    t = Talk()
    writer = Pcap(ETH, nano=True)
    odd = [eth(b"\0" * 28, kind=0x0806), eth(ip4("10.0.0.1", "10.0.0.2", b"\0" * 20, proto=17)),
           eth(ip6("fd00::1", "fd00::2", b"\0" * 8, 58)), eth(b"\x45" + b"\0" * 5, kind=0x0800), eth(b"", kind=0x0800)[:9],
           eth(ip4("10.0.0.1", "10.0.0.2", b"\0" * 20)), eth(ip4("10.0.0.1", "10.0.0.2", b"", total=19)),
           eth(b"\x65" + b"\0" * 40, kind=0x0800), eth(ip6("fd00::1", "fd00::2", b"\x06\xff" + b"\0" * 6, 0))]
    for i, frame in enumerate([eth(p) for p in t.hello() + t.exchange()] + odd + [eth(p) for p in t.bye()]):
        writer.add(T0 + i * MS, frame)
    save("odd-packets", writer, [t.expect(WHOLE)], "not IP=1 not TCP=2 cut before the end of its TCP header=2 malformed=4")


def sizes():
    # The capture keeps 100 bytes of each packet: 46 of a segment; and 40, which ends in the middle of the TCP header.
    t = Talk()
    writer = Pcap(ETH, nano=True, snaplen=100)
    frames = [eth(p) for p in t.hello() + [t.say(0, bytes(range(256)) * 5), t.say(0, b"z" * 20)]]
    for i, frame in enumerate(frames):
        writer.add(T0 + i * MS, frame[:100], len(frame))
    short = eth(t.say(0, b"y" * 30))
    writer.add(T0 + 9 * MS, short[:40], len(short))
    bare = eth(t.say(0, b"x" * 30))
    writer.add(T0 + 10 * MS, bare[:50], len(bare))
    save("snaplen", writer, [t.expect("open out close", [bytes(range(46)), 1280 - 46, b"z" * 20, 60])],
         "cut before the end of its TCP header=1")

    # Segmentation offload: one packet of 60,000 bytes; one whose IP length is not filled in; a cut big one.
    t = Talk()
    rng = random.Random(3)
    big = rng.randbytes(60000)
    frames = [eth(p) for p in t.hello() + [t.say(0, big)]]
    huge = rng.randbytes(100000)
    head = t.raw(0, t.seq[0], t.seq[1], ACK)
    frames.append(eth(ip4(t.client, t.server, head[20:] + huge, total=0)))
    t.seq[0] += len(huge)
    t.sent[0] += huge
    writer = Pcap(ETH, nano=True)
    for i, frame in enumerate(frames):
        writer.add(T0 + i * MS, frame)
    cut = eth(t.say(1, big))
    writer.add(T0 + 9 * MS, cut[:10054], len(cut))
    save("offload", writer, [t.expect("open out in close", back=[big[:10000], 50000])])
    t = Talk("fd00::1", 40001, "fd00::2", 8080)
    frames = [eth(p) for p in t.hello()]
    head = t.raw(0, t.seq[0], t.seq[1], ACK)
    jumbo = struct.pack("!BBBBI", 6, 0, 0xC2, 4, 8 + 20 + len(huge))
    frames.append(eth(ip6(t.client, t.server, jumbo + head[40:] + huge, 0, length=0)))
    t.seq[0] += len(huge)
    t.sent[0] += huge
    writer = Pcap(ETH, nano=True)
    for i, frame in enumerate(frames):
        writer.add(T0 + i * MS, frame)
    save("jumbo6", writer, [t.expect("open out close")])


def times():
    """Four interfaces with their own resolutions, and an offset: the times are the same to the resolution."""
    t = Talk()
    step = 15_625_000  # 2^-6 s: exact in each resolution
    interfaces = [(ETH, None, 0), (ETH, 9, 0), (ETH, 0x80 | 20, 0), (ETH, 3, 1000)]
    for order in "<>":
        u = Talk()
        writer = PcapNg(interfaces, order)
        for i, p in enumerate(u.hello() + u.exchange() + u.bye()):
            writer.add(T0 + i * 8 * step, eth(p), interface=i % 4)
        save(f"interfaces-{'le' if order == '<' else 'be'}", writer,
             [u.expect(WHOLE, opened=T0 + 8 * step)])
    # Nanoseconds survive, other blocks are passed over.
    writer = PcapNg([(ETH, 9, 0)])
    writer.block(5, struct.pack("<III", 0, 0, 0))
    writer.block(0x0BAD, b"unknown!")
    for i, p in enumerate(t.hello() + t.exchange() + t.bye()):
        writer.add(T0 + i * 1001 + 7, eth(p))
    save("nanoseconds", writer, [t.expect(WHOLE, start=T0 + 7, opened=T0 + 1008)])


def damage():
    for name, make in (("pcap", lambda: Pcap(ETH, nano=True)), ("pcapng", lambda: PcapNg([(ETH, 9, 0)]))):
        t = Talk()
        writer = make()
        for i, p in enumerate(t.hello() + t.exchange()):
            writer.add(T0 + i * MS, eth(p))
        whole = writer.data
        writer.add(T0 + 50 * MS, eth(t.fin(1)))
        writer.data = writer.data[:len(whole) + (len(writer.data) - len(whole)) // 2]
        save(f"cut-{name}", writer, [t.expect("open out in close")], end="cut")
        # A length no packet can have, with more behind it than libpcap reads of it.
        writer.data = whole + (struct.pack("<IIII", 0, 0, 0x7FFFFFFF, 0x7FFFFFFF) if name == "pcap" else
                               struct.pack("<II", 6, 0x7FFFFFFF)) + b"\xff" * 4096
        save(f"damaged-{name}", writer, [t.expect("open out in close")], end="damaged")
    # Another link type in mid-file: libpcap can't, and weft says so.
    t = Talk()
    writer = PcapNg([(ETH, 9, 0)])
    for i, p in enumerate(t.hello() + t.exchange()):
        writer.add(T0 + i * MS, eth(p))
    writer.interface(RAW)
    writer.block(0x0BAD, b"something behind")
    save("mixed-links", writer, [t.expect("open out in close")], end="damaged")
    save("no-packets", Pcap(ETH), [])
    # These can't be opened: no .expect.
    for name, data in (("bad-empty", b""), ("bad-text", b"hello, world\n" * 10), ("bad-link", Pcap(105).data),
                       ("bad-header", Pcap(ETH).data[:20]), ("bad-gzip", b"\x1f\x8b\x08" + b"\0" * 30)):
        with open(os.path.join(FOLDER, f"{name}.bad"), "wb") as f:
            f.write(data)


def crowd():
    """More connections than are followed at once (65,536), each with one segment of the client's; no .expect."""
    writer = Pcap(RAW)
    parts = [writer.data]
    for i in range(65536 + 100):
        writer.data = b""
        t = Talk(f"10.1.{i >> 8 & 255}.{i & 255}", 40000 + (i >> 16), isn=(i * 7, i))
        writer.add(T0 + i * MS, t.say(0, b"x"))
        parts.append(writer.data)
    with open(os.path.join(FOLDER, "crowd.big"), "wb") as f:
        f.write(b"".join(parts))


def main():
    global FOLDER
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    FOLDER = sys.argv[1]
    os.makedirs(FOLDER, exist_ok=True)
    for make in (links, reordering, losses, repeats, wrapping, beginnings, ends, layers, sizes, times, damage, crowd):
        make()


if __name__ == "__main__":
    main()
