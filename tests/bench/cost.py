# SPDX-License-Identifier: GPL-2.0-or-later
"""What processes cost: CPU time, memory."""
import contextlib
import os
import re
import subprocess

import stack


def family(pid):
    """A process and its descendants."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
            children = f.read().split()
    except FileNotFoundError:
        return []
    return [pid] + [p for child in children for p in family(int(child))]


def cpu_ns(leader):
    """CPU time of all threads of a process and its children, ns (in a guest that counts: instructions)."""
    # Children that have ended and were waited for: a backend of PostgreSQL's lives as long as its connection.
    with open(f"/proc/{leader}/stat", encoding="ascii", errors="replace") as f:
        total = sum(map(int, f.read().rsplit(")", 1)[1].split()[13:15])) * 1000000000 // os.sysconf("SC_CLK_TCK")
    for pid in family(leader):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for tid in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{tid}/schedstat", encoding="ascii") as f:
                    total += int(f.read().split()[0])
    return total


def resident_kib(leader):
    """Resident memory of a process and its children (what they share counts for each)."""
    total = 0
    for pid in family(leader):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/status", encoding="utf-8") as f:
            total += sum(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
    return total


def memory_without_ring_kib(pid):
    """Resident now, without the pages of the ring, which is mapped twice over."""
    total, ring = 0, False
    with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as f:
        for line in f:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                ring = "bpf-map" in line
            elif line.startswith("Rss:") and not ring:
                total += int(line.split()[1])
    return total


def output_of(argv):
    done = subprocess.run(list(map(str, argv)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode:
        raise stack.StackError(f"{argv[0]}: exit status {done.returncode}: {done.stdout[-500:]}")
    return done.stdout


def cpu_model():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        return next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "unknown CPU")
