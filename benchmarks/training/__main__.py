"""`python -m benchmarks.training speed|quality|prediction`: making models, beside peers.

Each peer has a virtual environment of its own, made on the first run. Every figure is written
when it exists, so a run that is cut off leaves all that it measured under `.cache/bench`.
Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.choosing import parts_of
from benchmarks.inference.peers import CACHE
from benchmarks.inference.record import Record
from benchmarks.sections import DOCS, put
from benchmarks.training import report, speed
from benchmarks.training.shapes import SHAPES


def arguments() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=CACHE, help="where the report goes")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/ too")
    kinds = parser.add_subparsers(dest="part", required=True)
    one = kinds.add_parser("speed", help="tokens per second")
    one.add_argument("--rounds", type=int, default=3)
    one.add_argument("--steps", type=int, default=3, help="of a program in a round")
    one.add_argument("--sizes", type=parts_of(SHAPES), default=("10M", "50M"), help="10M,50M")
    return parser


def main() -> None:
    """Measures what was asked for and prints the report."""
    options = arguments().parse_args()
    told = {key: value for key, value in vars(options).items() if key not in ("folder", "docs")}
    render = {"speed": report.speed}[options.part]
    record = Record(options.folder / f"training-{options.part}.md", render, told)
    if options.part == "speed":
        speed.measure(list(options.sizes), options.rounds, options.steps, record)
    text = render(record.data)
    print(f"\n{text}\n\nwritten to {record.target}")
    if options.docs:
        put(DOCS / "performance.md", f"training-{options.part}", text)


if __name__ == "__main__":
    main()
