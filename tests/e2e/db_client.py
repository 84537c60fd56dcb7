# SPDX-License-Identifier: GPL-2.0-or-later
"""A client of databases that writes down what it did: db_client.py KIND PORT CONNECTIONS REQUESTS, KIND postgres or redis, over TLS, or
postgres-plain.

A thread a connection. Opens all connections, says "ready", waits for a line on stdin, makes REQUESTS on each, and prints them as JSON:
[name, error code, local port, first ns, last ns]. A query's name is the name of its column, a command's is the command.
"""
import json
import os
import socket
import sys
import threading
import time

KIND, PORT, CONNECTIONS, REQUESTS = sys.argv[1], *map(int, sys.argv[2:5])
made = []
barrier = threading.Barrier(CONNECTIONS + 1)


def local_port(fd):
    with socket.socket(fileno=os.dup(fd)) as s:
        return s.getsockname()[1]


def postgres(index):
    import psycopg2
    connection = psycopg2.connect(host="127.0.0.1", port=PORT, user="postgres", dbname="postgres",
                                  sslmode="disable" if KIND == "postgres-plain" else "require")
    connection.autocommit = True
    assert connection.info.ssl_in_use == (KIND == "postgres")
    port = local_port(connection.fileno())

    def one(number):
        name, code, began = f"id_{index * REQUESTS + number}", "", time.time_ns()
        with connection.cursor() as cursor:
            try:
                cursor.execute(f"SELECT 41 AS {name}, 42 / %s", (number % 5,))  # one in five divides by zero
                cursor.fetchall()
            except psycopg2.Error as e:
                code = e.pgcode
        made.append([name, code, port, began, time.time_ns()])
    return one


def redis(index):
    import redis as library
    client = library.Redis(host="127.0.0.1", port=PORT, ssl=True, ssl_cert_reqs=None, single_connection_client=True)
    client.ping()
    port = client.connection._sock.getsockname()[1]

    def one(number):
        name, began = ("SET", "GET", "INCRBY", "LPUSH")[(index + number) % 4], time.time_ns()
        client.execute_command(name, f"{name}{index}", *((5,) if name != "GET" else ()))
        made.append([name, "", port, began, time.time_ns()])
    return one


def thread(index):
    one = (redis if KIND == "redis" else postgres)(index)
    barrier.wait()
    barrier.wait()
    for number in range(REQUESTS):
        one(number)
    barrier.wait()  # the connections end after the last request of all, and after what is traced
    barrier.wait()


threads = [threading.Thread(target=thread, args=(i,), daemon=True) for i in range(CONNECTIONS)]
for t in threads:
    t.start()
barrier.wait()
print("ready", flush=True)
sys.stdin.readline()
barrier.wait()
barrier.wait()
print(json.dumps(made), flush=True)
os._exit(0)  # with the connections open: no farewell that would have to be left out of the comparison
