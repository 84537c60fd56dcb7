# SPDX-License-Identifier: GPL-2.0-or-later
"""A target of tools/accuracy: threads that serve one request at a time. For gunicorn (wsgi:app), or on its own, a thread a
connection: wsgi.py PORT. Calls go over pools of 10 connections: PostgreSQL (psycopg2), HTTP (http.client), Redis."""
import http.client
import os
import queue
import socketserver
import sys
import threading
import time
import wsgiref.simple_server

import psycopg2
import redis

HTTP, POSTGRES, REDIS = (int(os.environ[k]) for k in ("BACKEND_PORT", "POSTGRES_PORT", "REDIS_PORT"))
CACHE = redis.Redis(connection_pool=redis.BlockingConnectionPool(port=REDIS, max_connections=10, timeout=30))


class Pool:
    def __init__(self, make):
        self.make, self.free, self.local = make, queue.LifoQueue(), threading.local()
        for _ in range(10):
            self.free.put(None)

    def __enter__(self):
        self.local.connection = self.free.get() or self.make()
        return self.local.connection

    def __exit__(self, *_):
        self.free.put(self.local.connection)


def connect():
    connection = psycopg2.connect(host="127.0.0.1", port=POSTGRES, user="postgres", dbname="postgres")
    connection.autocommit = True
    return connection


DATABASE, UPSTREAM = Pool(connect), Pool(lambda: http.client.HTTPConnection("127.0.0.1", HTTP))


def query(key):
    with DATABASE as connection, connection.cursor() as cursor:
        cursor.execute(f"select '{key}', pg_sleep(random()*0.003)")
        cursor.fetchall()


def fetch(key):
    with UPSTREAM as connection:
        connection.request("GET", "/b/" + key)
        connection.getresponse().read()


OPERATIONS = (query, fetch, lambda key: CACHE.get(key))


def call(which, name, tag):
    OPERATIONS[which % len(OPERATIONS)](f"{name}-{tag}")


def later(n, name):
    time.sleep(0.005)
    call(n, name, "after")


def in_threads(*works):
    threads = [threading.Thread(target=f, args=a) for f, *a in works]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def work(route, name):
    n = int(name[2:])
    if route == "one":
        call(n, name, 1)
    elif route == "seq":
        for i in range(1 + n % 4):
            call(i, name, i + 1)
    elif route == "par":
        in_threads(*((call, i, name, i + 1) for i in range(1 + n % 4)))
    elif route == "think":
        time.sleep(0.003)
        call(n, name, 1)
        time.sleep(0.002)
        call(n + 1, name, 2)
    elif route == "hop":
        in_threads((call, n, name, 1))
    elif route == "sleep":
        time.sleep(0.005)
    elif route == "after":
        threading.Thread(target=later, args=(n, name)).start()


def nobody():
    n = 0
    while True:
        time.sleep(0.02)
        n += 1
        call(n, "bg", n)


threading.Thread(target=nobody, daemon=True).start()


def app(environ, start_response):
    work(*environ["PATH_INFO"].split("/")[1:])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"ok\n"]


class Handler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
    daemon_threads = True
    request_queue_size = 256

    def server_bind(self):  # without a look-up of its name
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.server_address[1]
        self.setup_environ()


if __name__ == "__main__":
    wsgiref.simple_server.make_server("127.0.0.1", int(sys.argv[1]), app, Server, Handler).serve_forever()
