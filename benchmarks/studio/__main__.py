"""`python -m benchmarks.studio`: the studio's figures, on a real server in a real browser.

A server process over a scripted model and a database of its own for each part; Chromium without a
window. Every figure is written when it exists, so a run that is cut off leaves all that it
measured under `.cache/bench`. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.choosing import parts_of
from benchmarks.inference.peers import CACHE
from benchmarks.studio import first, keys, killing, opening, report, scrolling, searching, workspace
from benchmarks.studio.record import Record
from benchmarks.studio.stage import chromium, serving


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured.

    Attributes:
        messages: Of the long conversation, in `bytes` of text.
        huge: Messages of the other one, in `huge_bytes`.
        found: Messages that are searched, with so many `queries`.
        keys: Typed in each conversation.
        scroll: Seconds from the newest message to the first.
        kills: Servers killed.
        others: Small conversations beside those that are measured: a list has some.
        requests: Over HTTP, of each kind.
        visits: In the browser, of each kind.
    """

    messages: int = 2_000
    bytes: int = 5_000_000
    huge: int = 1_248
    huge_bytes: int = 36_000_000
    found: int = 100_000
    queries: int = 200
    keys: int = 200
    scroll: float = 60.0
    kills: int = 30
    others: int = 60
    requests: int = 30
    visits: int = 10


QUICK = Size(60, 60_000, 120, 120_000, 400, 26, 12, 3.0, 2, 5, 3, 2)


@dataclass(frozen=True, slots=True)
class Bench:
    """What every part gets: where figures go, a folder of its own, how much, and the seed."""

    record: Record
    folder: Path
    size: Size
    seed: int


def first_page(bench: Bench) -> None:
    workspace.chats(bench.folder, [], bench.size.others, bench.seed)
    with serving(bench.folder) as server, chromium() as browser:
        first.run(bench.record, browser, server, bench.size.visits)


def opened(bench: Bench) -> None:
    size, record = bench.size, bench.record
    sizes = [("huge", size.huge, size.huge_bytes), ("long", size.messages, size.bytes)]
    talks = workspace.chats(bench.folder, sizes, bench.size.others, bench.seed)
    with serving(bench.folder) as server, chromium() as browser:
        for key, talk, part in (("open", talks["long"], 1), ("huge", talks["huge"], 3)):
            opening.over_http(record, f"{key}.http", server, talk, max(1, size.requests // part))
            visits = max(1, size.visits // part)
            opening.by_click(record, f"{key}.click", browser, server, talk, visits)
            opening.by_reload(record, f"{key}.reload", browser, server, talk, visits)
        opening.next_over_http(record, "next.http", server, talks["long"], size.requests)
        opening.next_by_enter(record, browser, server, talks["long"], size.visits)
        repeats = max(1, size.requests // 3)
        opening.next_over_http(record, "next.huge", server, talks["huge"], repeats)


def typed(bench: Bench) -> None:
    sizes = [("short", 6, 6_000), ("long", bench.size.messages, bench.size.bytes)]
    talks = workspace.chats(bench.folder, sizes, bench.size.others, bench.seed)
    with serving(bench.folder) as server, chromium() as browser:
        for key in ("short", "long"):
            keys.run(bench.record, key, browser, server, talks[key], bench.size.keys)


def scrolled(bench: Bench) -> None:
    sizes = [("long", bench.size.messages, bench.size.bytes)]
    talks = workspace.chats(bench.folder, sizes, bench.size.others, bench.seed)
    with serving(bench.folder) as server, chromium() as browser:
        scrolling.run(bench.record, browser, server, talks["long"], bench.size.scroll)


def searched(bench: Bench) -> None:
    cache = bench.record.target.parent
    workspace.kept_corpus(bench.folder, cache, bench.size.found, bench.seed)
    with serving(bench.folder) as server:
        size = bench.size
        searching.run(bench.record, server, size.found, size.queries, bench.seed)


def killed(bench: Bench) -> None:
    killing.run(bench.record, bench.folder, bench.size.kills, bench.seed)


PARTS: dict[str, Callable[[Bench], None]] = {
    "first": first_page,
    "open": opened,
    "typing": typed,
    "scroll": scrolled,
    "search": searched,
    "killed": killed,
}


def main() -> None:
    """Measures what was asked for and prints the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="everything small, to see that it runs"
    )
    parser.add_argument("--only", type=parts_of(PARTS), default=tuple(PARTS), help=",".join(PARTS))
    parser.add_argument("--seed", type=int, default=1, help="of texts and chances [default: 1]")
    parser.add_argument("--folder", type=Path, default=CACHE, help="where the report goes")
    options = parser.parse_args()
    size = QUICK if options.quick else Size()
    name = "studio" if options.only == tuple(PARTS) else f"studio-{'-'.join(options.only)}"
    name += "-quick" * options.quick
    told = {"parts": options.only, "seed": options.seed, "quick": options.quick}
    record = Record(options.folder / f"{name}.md", report.text, told)
    for part in options.only:
        folder = Path(tempfile.mkdtemp(prefix="kataribe-bench-"))
        try:
            with record.round(part):
                PARTS[part](Bench(record, folder / "workspace", size, options.seed))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{report.text(record.data)}\n\nwritten to {record.target}")


if __name__ == "__main__":
    main()
