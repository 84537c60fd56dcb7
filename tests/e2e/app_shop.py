# SPDX-License-Identifier: GPL-2.0-or-later
"""The traced service: /work?id=N does some queries, a few Redis commands and a call to "stock", each of which carries N.

The answer says what was done: for each call its kind, the local port of the connection it went over, and when. That is
the truth that spans are held against; weft never sees it as anything but a body that it does not export.
"""
import http.client
import os
import threading
import time

import flask
import psycopg2
import redis

QUERIES = (
    "SELECT max(id) + %(n)s - 100 FROM items WHERE id <= 100",
    "INSERT INTO visits (item, note) VALUES (%(n)s, 'from ''the'' shop') RETURNING item",
    "SELECT v.item FROM visits v LEFT JOIN items i ON i.id = v.item WHERE v.item = %(n)s LIMIT 1",
)

app = flask.Flask(__name__)
mine = threading.local()


class NotingPool(redis.ConnectionPool):
    """Notes over which connection the thread's command goes, and since when the connection is this thread's: other threads
    used it just before."""

    def get_connection(self, command_name, *keys, **options):
        connection = super().get_connection(command_name, *keys, **options)
        mine.redis = connection._sock.getsockname()[1], time.time_ns()
        return connection


store = redis.Redis(connection_pool=NotingPool(host="127.0.0.1", port=int(os.environ["SHOP_REDIS"])))


def database():
    """This thread's connection, and its local port."""
    if not hasattr(mine, "db"):
        mine.db = psycopg2.connect(host="127.0.0.1", port=int(os.environ["SHOP_POSTGRES"]), user="postgres",
                                   dbname="postgres")
        mine.db.autocommit = True
        with socket_of(mine.db.fileno()) as s:
            mine.db_port = s.getsockname()[1]
    return mine.db, mine.db_port


def socket_of(fd):
    import socket
    return socket.socket(fileno=os.dup(fd))


def stock():
    if not hasattr(mine, "stock"):
        mine.stock = http.client.HTTPConnection("127.0.0.1", int(os.environ["SHOP_STOCK"]), timeout=300)
        mine.stock.connect()
    return mine.stock


@app.route("/work")
def work():
    n = int(flask.request.args["id"])
    calls = []

    def timed(kind, port, call):
        """t0: the connection is ours, and nothing of the call is written yet (the connection may just have been made)."""
        began = time.time_ns()
        result = call()
        if port is None:
            port, began = mine.redis
        calls.append({"kind": kind, "port": port, "t0": began, "t1": time.time_ns()})
        return result

    db, db_port = database()
    for query in QUERIES[:1 + n % 3]:  # how many queries there are varies from request to request
        with db.cursor() as cursor:
            timed("postgresql", db_port, lambda c=cursor, q=query: c.execute(q, {"n": n}))
            assert cursor.fetchone()[0] == n
    timed("redis", None, lambda: store.set(f"item:{n}", n, ex=60))
    assert timed("redis", None, lambda: store.get(f"item:{n}")) == str(n).encode()
    connection = stock()

    def ask():
        connection.request("GET", f"/stock?id={n}")
        response = connection.getresponse()
        assert response.status == 200 and response.read() == str(n).encode()

    timed("http", connection.sock.getsockname()[1], ask)
    return flask.jsonify(id=n, thread=threading.get_native_id(), calls=calls)


@app.route("/fail")
def fail():
    """For the demo: an error from the database, passed on."""
    db, _ = database()
    with db.cursor() as cursor:
        try:
            cursor.execute("SELECT price FROM items_that_are_not_there WHERE id = %s", (17,))
        except psycopg2.Error as e:
            return flask.Response(f"{e.pgcode}\n", 500)
    return flask.Response("?\n", 200)
