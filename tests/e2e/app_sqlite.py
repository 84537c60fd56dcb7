# SPDX-License-Identifier: GPL-2.0-or-later
"""A service with a database inside it: /q/N runs statements whose columns are named after N (id_N_0 ...), some of which fail.

SQLite itself says what it ran, by its trace callback; that goes to SQLITE_LOG, a line of JSON each: [N, text as run, values put in,
thread]. Statements that can't be prepared are noted by the service. SQLITE_FILE names the database.
"""
import json
import os
import sqlite3
import threading

import flask

app = flask.Flask(__name__)
mine = threading.local()
LOG = open(os.environ["SQLITE_LOG"], "ab", buffering=0)


def note(text):
    LOG.write((json.dumps([mine.request, text, threading.get_native_id()]) + "\n").encode())


def database():
    if not hasattr(mine, "db"):
        mine.db = sqlite3.connect(os.environ["SQLITE_FILE"], timeout=60, isolation_level=None)
        mine.db.set_trace_callback(note)
    return mine.db


@app.route("/q/<int:n>")
def query(n):
    mine.request = n
    db = database()
    rows = db.execute(f"SELECT id AS id_{n}_0, name, 4141 FROM things WHERE id <= ? AND name <> 'secret 4242'", (n % 4,)).fetchall()
    assert len(rows) == n % 4
    db.execute("BEGIN IMMEDIATE")
    (made,) = db.execute(f"INSERT INTO visits (n, note) VALUES (4141, 'secret 4242') RETURNING n AS id_{n}_1").fetchone()
    db.execute("COMMIT")
    for _ in range(2):  # a prepared statement, used again
        db.execute(f"SELECT max(id) AS id_{n}_2 FROM things").fetchone()
    for text, error in ((f"SELECT id_{n}_3 FROM no_such_table_here WHERE x = 'secret 4242'", sqlite3.OperationalError),
                        (f"INSERT INTO things (id, name) VALUES (1, 'secret 4242') RETURNING id AS id_{n}_4", sqlite3.IntegrityError)):
        try:
            db.execute(text).fetchall()
            raise AssertionError(f"{text}: did not fail")
        except error:
            if error is sqlite3.OperationalError:
                note(text)  # it was never run, so SQLite did not tell of it
    assert made == 4141
    return f"{n}\n"
