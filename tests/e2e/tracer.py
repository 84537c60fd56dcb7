# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the weft under test and reads what it says."""
import os
import re
import shutil
import signal
import subprocess
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEFT = os.environ.get("WEFT", os.path.join(TOP, "build", "weft"))
SLOW = float(os.environ.get("WEFT_SLOW", "1"))


def run(*argv, seconds=180, **more):
    """weft to its end: (exit status, stdout, stderr)."""
    done = subprocess.run([WEFT, *map(str, argv)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, errors="replace", timeout=seconds * SLOW, check=False, **more)
    return done.returncode, done.stdout, done.stderr


def kept_waiting(task):
    """Seconds in which a thread (a PID, or "thread-self") could have run, and other programs had the processors."""
    with open(f"/proc/{task}/schedstat", encoding="ascii") as f:
        return int(f.read().split()[1]) / 1e9


RUNS = []  # every Tracer of the case that runs


class Tracer:
    """A weft that runs beside the test. stdout goes to the file `out`; stderr is read as it comes. What it sees is recorded: a
    failure that comes once in many runs can be looked into afterwards. (Not where its cost is measured: record=False.)"""

    def __init__(self, argv, out, env=None, record=True):
        argv = [str(a) for a in argv]
        if record and "--record" not in argv:
            argv += ["--record", f"{out}.{len(RUNS)}.weft"]
        self.recording = argv[argv.index("--record") + 1] if "--record" in argv else os.devnull
        RUNS.append(self)
        self.began = time.monotonic()
        self.first_output = None  # seconds from start to the first byte on stdout ...
        self.ready_after = None   # ... and to the word that it traces, without what other programs took of them
        self.attached = None      # time.time_ns() when weft had said that it traces
        self.out_path = out
        self.errors = []
        self.changed = threading.Condition()
        self.process = subprocess.Popen([WEFT, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env={**os.environ, **(env or {})}, start_new_session=True)
        self.readers = [threading.Thread(target=self.read_output), threading.Thread(target=self.read_errors)]
        for r in self.readers:
            r.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for r in self.readers:
            r.join()

    @property
    def pid(self):
        return self.process.pid

    def since_start(self):
        """Called by the thread that reads what weft has just said."""
        return time.monotonic() - self.began - kept_waiting(self.pid) - kept_waiting("thread-self")

    def read_output(self):
        with open(self.out_path, "wb") as f, self.process.stdout as pipe:
            while data := os.read(pipe.fileno(), 1 << 16):
                f.write(data)
                f.flush()
                if self.first_output is None:
                    with self.changed:
                        self.first_output = self.since_start()
                        self.changed.notify_all()

    def read_errors(self):
        with self.process.stderr as pipe:
            for line in pipe:
                with self.changed:
                    self.errors.append(line.decode(errors="replace").rstrip("\n"))
                    if "tracing" in self.errors[-1] and self.attached is None:
                        self.attached, self.ready_after = time.time_ns(), self.since_start()
                    self.changed.notify_all()
        with self.changed:
            self.changed.notify_all()

    def wait_for(self, what, ready, seconds):
        with self.changed:
            self.changed.wait_for(lambda: ready() or self.process.poll() is not None, seconds * SLOW)
        if not ready():
            raise AssertionError(f"weft: no {what} within {seconds * SLOW:.0f} s; it said: {self.text()[-2000:]}")

    def wait_attached(self, seconds=60):
        self.wait_for("'tracing' line", lambda: self.attached is not None, seconds)

    def wait_output(self, seconds=60):
        self.wait_for("output", lambda: self.first_output is not None, seconds)

    def stop(self, sig=signal.SIGINT, seconds=60):
        """Ends it and returns its exit status."""
        self.process.send_signal(sig)
        return self.wait(seconds)

    def wait(self, seconds=60):
        try:
            status = self.process.wait(seconds * SLOW)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"weft did not end within {seconds * SLOW:.0f} s; it said: {self.text()[-2000:]}") from None
        for r in self.readers:
            r.join()
        return status

    def text(self):
        return "\n".join(self.errors)

    def balance(self):
        return Balance(self.text())


def forget_runs():
    """The case ended well: what its runs recorded is of no use."""
    for run_ in RUNS:
        if os.path.isfile(run_.recording):
            os.unlink(run_.recording)
    RUNS.clear()


def keep_runs(name):
    """The case failed: what each of its runs said, and where the recordings and the last one's spans are now. Lines to print."""
    folder = os.path.join(TOP, os.environ.get("BUILD", "build"), "test-logs")
    os.makedirs(folder, exist_ok=True)
    for number, run_ in enumerate(RUNS):
        yield f"weft {' '.join(run_.process.args[1:])}: exit status {run_.process.returncode}"
        yield from (f"    {line}" for line in run_.errors[-25:])
        later = [r.out_path for r in RUNS[number + 1:]]
        for path, kind in ((run_.recording, "weft"), (run_.out_path, "spans")):
            if os.path.isfile(path) and path not in later:
                kept = os.path.join(folder, f"e2e-{name}-{number}.{kind}")
                shutil.move(path, kept)
                yield f"    kept: {kept}"
    RUNS.clear()


class Balance:
    """The balance that weft prints when it ends, read without weft's help."""

    def __init__(self, text):
        self.lines = [line for line in text.splitlines() if re.search(r"balance:|spans in|dropped|export:", line)]
        m = re.search(r"balance: (\d+) events seen = (\d+) in spans \+ (\d+) lifecycle \+ (\d+) dropped(.*)", text)
        if not m:
            raise AssertionError(f"weft printed no balance: {text[-1000:]}")
        self.seen, self.in_spans, self.lifecycle, self.dropped = map(int, m.groups()[:4])
        self.complaint = m.group(5).strip()
        # The part between this line and the next that is not indented: one line for each reason.
        reasons = re.match(r"(?:[^\n]*\n?)((?:[^\n]*  dropped \d+: [^\n]*\n?)*)", text[m.start():]).group(1)
        self.reasons = {why: int(n) for n, why in re.findall(r"dropped (\d+): (.*)", reasons)}
        m = re.search(r"(\d+) spans in (\d+) traces", text)
        self.spans, self.traces = map(int, m.groups()) if m else (None, None)

    def check(self, exported=None):
        """Do the sums hold? `exported`: how many spans came out."""
        wrong = []
        if self.complaint:
            wrong.append(self.complaint)
        if self.seen != self.in_spans + self.lifecycle + self.dropped:
            wrong.append(f"{self.seen} seen is not {self.in_spans} + {self.lifecycle} + {self.dropped}")
        if self.dropped != sum(self.reasons.values()):
            wrong.append(f"{self.dropped} dropped, but {sum(self.reasons.values())} by reason")
        if exported is not None and exported != self.spans:
            wrong.append(f"{self.spans} spans made, {exported} exported")
        if wrong:
            raise AssertionError("balance: " + "; ".join(wrong))
