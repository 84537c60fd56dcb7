# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs load.py beside the test."""
import itertools
import os
import subprocess
import threading

import stack
import truth

FIRST_ID = itertools.count(10000, 100000)  # each load of a run has ids of its own


class Load:
    def __init__(self, url, out, requests=None, concurrency=50, first_id=None):
        """requests None: goes on until more() tells how many more. first_id None: ids that no other load has."""
        self.out, self.first_id, self.done = out, first_id or next(FIRST_ID), 0
        argv = [stack.PYTHON, os.path.join(stack.HERE, "load.py"), url, out, "--concurrency", str(concurrency),
                "--first-id", str(self.first_id)]
        argv += ["--until-told"] if requests is None else ["--requests", str(requests)]
        self.changed = threading.Condition()
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdin.close()
        self.process.stdout.close()

    def read(self):
        for line in self.process.stdout:
            word, count = line.split()[:2]
            if word == "done":
                with self.changed:
                    self.done = int(count)
                    self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def wait_done(self, count, seconds=180):
        """Until so many requests were answered."""
        with self.changed:
            self.changed.wait_for(lambda: self.done >= count or self.process.poll() is not None, seconds * stack.SLOW)
        if self.done < count:
            raise AssertionError(f"load: {self.done} of {count} requests were answered within {seconds * stack.SLOW:.0f} s")

    def more(self, count):
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()

    def finish(self, seconds=300):
        """What happened, in the order of ends. Fails if any request failed."""
        try:
            status = self.process.wait(seconds * stack.SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"load did not end within {seconds * stack.SLOW:.0f} s") from None
        self.reader.join()
        records = truth.read_load(self.out)
        bad = [r for r in records if r["status"] != 200]
        if status or bad:
            raise AssertionError(f"load: {len(bad)} of {len(records)} requests failed, the first: {bad[:1]}")
        return records
