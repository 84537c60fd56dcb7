#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Sends requests with known ids and writes down what happened, one JSON object a line.

    load.py URL OUT --concurrency C --requests N     N requests, then ends
    load.py URL OUT --concurrency C --until-told     until a line "N" comes on stdin: then N more

On stdout, for who waits: a line "done K" after every 50 requests. Every second connection is kept open, the others are used
for one request. Exit status 1 if any request failed.
"""
import argparse
import http.client
import itertools
import json
import sys
import threading
import time
import urllib.parse


class Load:
    def __init__(self, args):
        self.host = urllib.parse.urlsplit(args.url)
        self.lock = threading.Lock()
        self.ids = itertools.count(args.first_id)
        self.left = None if args.until_told else args.requests
        self.done = self.failed = 0
        self.out = open(args.out, "w", encoding="utf-8")

    def take(self):
        with self.lock:
            if self.left is not None:
                if self.left <= 0:
                    return None
                self.left -= 1
            return next(self.ids)

    def note(self, record):
        with self.lock:
            self.out.write(json.dumps(record, separators=(",", ":")) + "\n")
            self.done += 1
            self.failed += record["status"] != 200
            if self.done % 50 == 0:
                print(f"done {self.done}", flush=True)

    def one(self, connection, number):
        record = {"id": number, "status": 0, "t0": time.time_ns()}
        try:
            if connection.sock is None:
                connection.connect()
            record["port"] = connection.sock.getsockname()[1]
            connection.request("GET", f"/work?id={number}")
            response = connection.getresponse()
            body = response.read()
            record["status"] = response.status
            if response.status == 200:
                answer = json.loads(body)
                record["calls"] = answer["calls"]
                if answer["id"] != number:
                    record["status"] = -1
        except (OSError, http.client.HTTPException, ValueError) as e:
            record["error"] = repr(e)
            connection.close()
        record["t1"] = time.time_ns()
        self.note(record)

    def worker(self, index):
        connection = http.client.HTTPConnection(self.host.hostname, self.host.port, timeout=300)
        while (number := self.take()) is not None:
            self.one(connection, number)
            if index % 2:
                connection.close()
        connection.close()

    def listen(self):
        for line in sys.stdin:
            with self.lock:
                self.left = int(line)
            return
        with self.lock:
            self.left = 0  # whoever should have told us is gone


def main():
    p = argparse.ArgumentParser()
    p.add_argument("url")
    p.add_argument("out")
    p.add_argument("--concurrency", type=int, default=50)
    p.add_argument("--requests", type=int, default=100)
    p.add_argument("--first-id", type=int, default=1000)
    p.add_argument("--until-told", action="store_true")
    load = Load(p.parse_args())
    if load.left is None:
        threading.Thread(target=load.listen, daemon=True).start()
    workers = [threading.Thread(target=load.worker, args=(i,)) for i in range(p.parse_args().concurrency)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    load.out.close()
    print(f"end {load.done} {load.failed}", flush=True)
    return 1 if load.failed else 0


if __name__ == "__main__":
    sys.exit(main())
