# SPDX-License-Identifier: GPL-2.0-or-later
"""weft, as it is measured: nothing is recorded, its CPU counts from when it traces."""
import contextlib
import os
import resource
import time

import cost
import tracer


class Weft(tracer.Tracer):
    def __init__(self, argv, folder, env=None):
        super().__init__(["--output", "none", *argv], os.path.join(folder, "out"), env, record=False)
        self.resident = []  # KiB beside the ring
        self.cpu_begun = 0

    def begin(self):
        """From here on its CPU counts."""
        self.cpu_begun = cost.cpu_ns(self.pid)

    def used(self):
        return cost.cpu_ns(self.pid) - self.cpu_begun

    def look(self):
        self.resident.append(cost.memory_without_ring_kib(self.pid))


@contextlib.contextmanager
def running(argv, folder, env=None):
    """Ends it, too: .status and .cpu (ns since begin(), its end included) are there afterwards."""
    with Weft(argv, folder, env) as weft:
        weft.wait_attached()
        weft.begin()
        yield weft
        before = children_ns()
        weft.status = weft.stop(seconds=120)
        weft.cpu = children_ns() - before - weft.cpu_begun


def children_ns():
    """CPU of children that were waited for. (A process's own threads can't be asked any more when it has ended.)"""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((used.ru_utime + used.ru_stime) * 1e9)


def pids(*leaders):
    return ["-p", ",".join(map(str, leaders))]


def now_ns():
    return time.monotonic_ns()
