"""The report of `benchmarks.wrapping`."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.sections import table
from benchmarks.wrapping.figures import added, slope

WANTED = {50.0: 2.0, 99.0: 8.0}
"""Milliseconds that may be added, by percentile."""


def text(data: dict[str, Any]) -> str:
    """Everything that was measured so far."""
    parts = []
    runs = data["runs"]
    if "latency" in runs:
        parts.append(_latency(data))
    if "rate" in runs:
        parts.append(_rates(data))
    if "memory" in runs:
        parts.append(_memory(data))
    return "\n\n".join([*parts, _machine(data)])


def held(rounds: list[dict[str, Any]]) -> bool:
    """Whether what is added at the 99th percentile is what may be."""
    return all(added(rounds, part, 99.0).value <= WANTED[99.0] for part in ("first", "whole"))


def rate_held(one: dict[str, Any]) -> bool:
    """Whether all rounds at one rate ended, and it was held in them."""
    return not one["overloaded"] and held(one["rounds"])


def _latency(data: dict[str, Any]) -> str:
    rounds = data["runs"]["latency"]
    rows = []
    for part, name in (("first", "to the first word"), ("whole", "to the end")):
        for percent, wanted in WANTED.items():
            bare, ours = (
                np.percentile(np.concatenate([each[how][part] for each in rounds]), percent) * 1000
                for how in ("bare", "wrapped")
            )
            which = "median" if percent == 50.0 else f"p{percent:.0f}"
            found = added(rounds, part, percent)
            held_ = "yes" if found.value <= wanted else "no"
            rows.append(
                [f"{which} {name}", f"{bare:.2f}", f"{ours:.2f}", str(found), f"{wanted:g}", held_]
            )
    heads = ["", "bare, ms", "wrapped, ms", "added, ms (95 % interval)", "at most", "held"]
    calls = sum(len(each["wrapped"]["first"]) for each in rounds)
    told = f"{calls:,} calls each way in {len(rounds)} rounds, {data['run']['rate']:g} a second."
    return f"{table(heads, rows)}\n\n{told}"


def _rates(data: dict[str, Any]) -> str:
    rows, best = [], None
    latency = data["runs"].get("latency")
    if latency and held(latency):
        best = data["run"]["rate"]
    for one in data["runs"]["rate"]:
        fine = rate_held(one)
        if fine and (best is None or one["rate"] > best):
            best = one["rate"]
        p99 = ["", ""]
        if not one["overloaded"]:
            p99 = [str(added(one["rounds"], part, 99.0)) for part in ("first", "whole")]
        said = "yes" if fine else f"no: {one['overloaded']}".removesuffix(": ")
        rows.append([f"{one['rate']:g}", *p99, said])
    heads = ["calls a second", "added at p99 to the first word, ms (95 % interval)",
             "to the end, ms (95 % interval)", "held"]  # fmt: skip
    most = f"at most {WANTED[99.0]:g} ms added at p99"
    found = f"No rate was held ({most})."
    if best is not None:
        found = f"Highest rate held ({most}): {best:g} calls a second."
    return f"{table(heads, rows)}\n\n{found}"


def _memory(data: dict[str, Any]) -> str:
    lines = []
    for run in data["runs"]["memory"]:
        calls, bytes_ = run["calls"], run["bytes"]
        grown = slope(calls, bytes_)
        said = "it grows" if grown.low > 0 else "it does not grow"
        lines.append(
            f"Memory over {calls[-1]:,} calls: {bytes_[0] / 1e6:.1f} MB after {calls[0]:,}, "
            f"{bytes_[-1] / 1e6:.1f} MB at the end; {grown} kB more for 1,000 calls "
            f"(95 % interval): {said}."
        )
    return "\n".join(lines)


def _machine(data: dict[str, Any]) -> str:
    machine, run = data["machine"], data["run"]
    return (
        f"{machine['processor']}, {machine['cores']} cores; {data['begun']}. Replies of "
        f"{run['pieces']} pieces, the first after {run['first'] * 1000:g} ms, then one each "
        f"{run['gap'] * 1000:g} ms."
    )
