# SPDX-License-Identifier: GPL-2.0-or-later
"""PostgreSQL without its client library: pg_wire.py PORT COUNT FIRST.

Waits for a line on stdin, runs COUNT simple queries whose columns are named id_FIRST and so on, and prints "done".
"""
import socket
import struct
import sys

PORT, COUNT, FIRST = map(int, sys.argv[1:4])


def message(kind, payload):
    return kind + struct.pack("!I", len(payload) + 4) + payload


def until_ready(stream):
    while True:
        kind = stream.read(1)
        stream.read(struct.unpack("!I", stream.read(4))[0] - 4)
        if kind == b"Z":
            return


sys.stdin.readline()
with socket.create_connection(("127.0.0.1", PORT)) as s, s.makefile("rb") as stream:
    s.sendall(message(b"", struct.pack("!I", 3 << 16) + b"user\0postgres\0database\0postgres\0\0"))
    until_ready(stream)
    for i in range(COUNT):
        s.sendall(message(b"Q", f"SELECT 41 AS id_{FIRST + i}, 'secret 42'\0".encode()))
        until_ready(stream)
    s.sendall(message(b"X", b""))
print("done", flush=True)
