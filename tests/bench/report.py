# SPDX-License-Identifier: GPL-2.0-or-later
"""What tools/bench prints: tables for docs/benchmarks.md. A measurement is {what: figure}; `rows` has a list of them, one a
round, by (state, name)."""
import statistics
import sys

LINES = []


def log(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def say(text=""):
    LINES.append(text)
    print(text, flush=True)


def head(*cells):
    say("| " + " | ".join(cells) + " |")
    say("|---" * len(cells) + "|")


def row(*cells):
    say("| " + " | ".join(map(str, cells)) + " |")


def figure(value):
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"


def cell(rows, state, name, what, base="off"):
    """The median, and that of the ratios to the same round's `base` with the least and the greatest of them."""
    values = [r[what] for r in rows[state, name] if what in r]
    if not values:
        return ""
    text = figure(statistics.median(values))
    if state == base:
        return text
    times = sorted(a[what] / b[what] for a, b in zip(rows[state, name], rows[base, name]) if what in a and b.get(what))
    return f"{text} x{statistics.median(times):.2f} ({times[0]:.2f}-{times[-1]:.2f})" if times else text


def costs(rows, states, titles):
    """A table of all that was measured; titles: {name: what it is}."""
    head("", "", *states)
    for name, title in titles.items():
        for what in rows[states[0], name][0]:
            row(title, what, *(cell(rows, state, name, what, states[0]) for state in states))
            title = ""
