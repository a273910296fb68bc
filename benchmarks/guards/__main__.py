"""`python -m benchmarks.guards`: makes the injection guard's weights, and measures the guards.

`--train` writes the weights into the package. What is printed goes into docs/guards.md with
`--docs`. `--parts` picks from: attacks, repetition, cost.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.choosing import parts_of
from benchmarks.guards import attacks, cost, repetition
from benchmarks.guards.ordinary import DATA
from benchmarks.guards.training import write
from benchmarks.sections import DOCS, put
from kataribe.use.guards import scoring

PARTS = ("attacks", "repetition", "cost")
HOME = Path(__file__).parents[2] / ".cache" / "kataribe"
WEIGHTS = Path(scoring.__file__).with_name(scoring.WEIGHTS)


def main() -> None:
    """Reads the options, runs the parts."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.guards", description=__doc__)
    asked.add_argument("--train", action="store_true", help="write the weights into the package")
    asked.add_argument("--data", type=Path, default=DATA, help="the folder of data sets")
    asked.add_argument("--parts", type=parts_of(PARTS), default=PARTS)
    asked.add_argument("--home", type=Path, default=HOME, help="a workspace with tokenizers")
    asked.add_argument("--no-families", action="store_true", help="keep no family out in turn")
    asked.add_argument("--docs", action="store_true", help="write the tables into docs/ too")
    options = asked.parse_args()
    made: dict[str, str] = {}
    if "attacks" in options.parts or options.train:
        lot = attacks.prepare(options.data)
        weights, seconds = attacks.make(lot)
        if options.train:
            write(weights, WEIGHTS)
            scoring.shipped.cache_clear()
        made["attacks"] = attacks.report(lot, weights, seconds, families=not options.no_families)
    if "repetition" in options.parts:
        made["repetition"] = repetition.report(options.data, options.home)
    if "cost" in options.parts:
        made["cost"] = cost.report()
    for name, text in made.items():
        print(f"\n## {name}\n\n{text}", flush=True)
        if options.docs:
            put(DOCS / "guards.md", name, text)


if __name__ == "__main__":
    main()
