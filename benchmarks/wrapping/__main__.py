"""`python -m benchmarks.wrapping`: what provider, meter, limits and guards add to a bare upstream.

An upstream of our own streams the same reply to all, in a process of its own. Calls begin at
random moments, so many a second, whether earlier ones have ended or not; bare and wrapped ones take
turns, round by round, with the same moments. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.choosing import parts_of
from benchmarks.inference.peers import CACHE
from benchmarks.inference.record import Record
from benchmarks.sections import DOCS, put
from benchmarks.wrapping import report
from benchmarks.wrapping.asked import Took, bare, wrapped
from benchmarks.wrapping.load import OverloadedError, closed_loop, open_loop

PARTS = ("latency", "rate", "memory")
RATES = (75.0, 100.0, 150.0, 200.0, 250.0, 300.0, 400.0)
ROUNDS_OF_A_RATE = 4
WARM = 50
"""Calls before anything is timed."""
CALLS = 20_000
EACH = 200
"""Calls between two readings of memory; the first tenth is not looked at."""


@contextmanager
def upstream(first: float, gap: float, pieces: int) -> Iterator[int]:
    """The upstream's port, as long as the block lasts."""
    command = [sys.executable, "-m", "benchmarks.wrapping.upstream", str(first), str(gap)]
    with subprocess.Popen([*command, str(pieces)], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


async def one_round(port: int, rate: float, seconds: float, number: int) -> dict[str, Any]:
    """Both ways once, the one that begins changing from round to round."""
    found: dict[str, Any] = {}
    for how in ("bare", "wrapped") if number % 2 else ("wrapped", "bare"):
        with tempfile.TemporaryDirectory() as folder:
            asking = bare(port) if how == "bare" else wrapped(port, Path(folder))
            async with asking as ask:
                await closed_loop(ask, WARM, 10)
                with settled():
                    found[how] = _columns(await open_loop(ask, rate, seconds, number))
    return found


@contextmanager
def settled() -> Iterator[None]:
    """What is there now is not walked by the garbage collector, just as the server has it."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _columns(took: list[Took]) -> dict[str, list[float]]:
    return {
        "first": [round(each.first, 6) for each in took],
        "whole": [round(each.whole, 6) for each in took],
    }


async def memory(port: int, calls: int) -> dict[str, list[int]]:
    """The resident bytes of this process while it makes so many wrapped calls."""
    read: dict[str, list[int]] = {"calls": [], "bytes": []}
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        async with wrapped(port, Path(folder)) as ask:
            for done in range(EACH, calls + 1, EACH):
                await closed_loop(ask, EACH, 16)
                if done > calls // 10:
                    read["calls"].append(done)
                    read["bytes"].append(process.memory_info().rss)
    return read


def main() -> None:
    """Measures what was asked for, and prints and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12, help="of each way")
    parser.add_argument("--seconds", type=float, default=10.0, help="of one round")
    parser.add_argument("--rate", type=float, default=50.0, help="calls a second")
    parser.add_argument("--first", type=float, default=0.02, help="seconds to the first word")
    parser.add_argument("--gap", type=float, default=0.005, help="seconds between two pieces")
    parser.add_argument("--pieces", type=int, default=32, help="of a reply")
    parser.add_argument("--calls", type=int, default=CALLS, help="for memory")
    parser.add_argument("--only", type=parts_of(PARTS), default=PARTS, help=",".join(PARTS))
    parser.add_argument("--docs", action="store_true", help="write docs/ops.md anew")
    parser.add_argument("--folder", type=Path, default=CACHE, help="where the report goes")
    options = parser.parse_args()
    names = ("rounds", "seconds", "rate", "first", "gap", "pieces", "calls")
    told = {name: getattr(options, name) for name in names} | {"parts": list(options.only)}
    record = Record(options.folder / "wrapping.md", report.text, told)
    with upstream(options.first, options.gap, options.pieces) as port:
        if "latency" in options.only:
            for number in range(options.rounds):
                with record.round("latency"):
                    found = asyncio.run(one_round(port, options.rate, options.seconds, number))
                    _keep(record, "latency", found)
        if "rate" in options.only:
            _rates(record, port, options)
    if "memory" in options.only:
        with upstream(0.0, 0.0, options.pieces) as port:
            _keep(record, "memory", asyncio.run(memory(port, options.calls)))
    text = report.text(record.data)
    if options.docs:
        put(DOCS / "ops.md", "wrapping", text)
    print(f"\n{text}\n\nwritten to {record.target}")


def _rates(record: Record, port: int, options: argparse.Namespace) -> None:
    """Faster and faster, up to the second rate in a row that is not held."""
    failed = 0
    for rate in RATES:
        found: dict[str, Any] = {"rate": rate, "rounds": [], "overloaded": ""}
        try:
            for number in range(ROUNDS_OF_A_RATE):
                one = one_round(port, rate, options.seconds, number)
                found["rounds"].append(asyncio.run(one))
        except OverloadedError as error:
            found["overloaded"] = str(error)
        _keep(record, "rate", found)
        failed = 0 if report.rate_held(found) else failed + 1
        if failed > 1:
            return


def _keep(record: Record, what: str, found: Any) -> None:
    """Keeps a run's figures; they are thousands, so only their number is told."""
    record.data["runs"].setdefault(what, []).append(found)
    record.say(f"{what} {len(record.data['runs'][what])}")
    record.save()


if __name__ == "__main__":
    main()
