"""`python -m benchmarks.training speed|quality|prediction`: making models, beside peers.

Each peer has a virtual environment of its own, made on the first run. Every figure is written
when it exists, so a run that is cut off leaves all that it measured under `.cache/bench`.
Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.choosing import parts_of
from benchmarks.inference.peers import CACHE
from benchmarks.inference.record import Record
from benchmarks.sections import DOCS, put
from benchmarks.training import prediction, quality, report, speed
from benchmarks.training.peer_nanogpt import CHOICES
from benchmarks.training.plot import draw
from benchmarks.training.shapes import SHAPES
from benchmarks.training.workspace import Place

HEADS = {
    "speed": "### Training: tokens per second",
    "quality": "### Training: held-out text after the same time",
    "prediction": "### Training: what was expected and what came",
}


def arguments() -> argparse.ArgumentParser:
    """What can be asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=CACHE, help="where the report goes")
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/ too")
    parser.add_argument(
        "--go-on", action="store_true", help="keep what the same run has measured before"
    )
    kinds = parser.add_subparsers(dest="part", required=True)
    one = kinds.add_parser("speed", help="tokens per second")
    one.add_argument("--rounds", type=int, default=3)
    one.add_argument("--steps", type=int, default=5, help="of the smallest size in a round")
    one.add_argument("--sizes", type=parts_of(SHAPES), default=("10M", "50M"), help="10M,50M")
    two = kinds.add_parser("quality", help="bits per byte after the same time")
    two.add_argument("--minutes", type=float, default=10.0)
    two.add_argument("--seeds", type=int, default=3)
    two.add_argument("--peers", type=parts_of(CHOICES), default=tuple(CHOICES), help="its sizes")
    three = kinds.add_parser("prediction", help="what runs were expected to give, and what came")
    three.add_argument("--runs", type=int, default=len(prediction.RUNS))
    three.add_argument("--share", type=float, default=1.0, help="of the times and tokens")
    for each in (two, three):
        each.add_argument("--corpus", default="stdlib", help="stdlib, a folder or a file")
        each.add_argument("--pieces", type=int, default=4096, help="of the tokenizer")
    return parser


def main() -> None:
    """Measures what was asked for and prints the report."""
    options = arguments().parse_args()
    aside = ("folder", "docs", "go_on")
    told = {key: value for key, value in vars(options).items() if key not in aside}
    told = json.loads(json.dumps(told))  # as it is read again
    renders = {"speed": report.speed, "quality": report.quality, "prediction": report.predicted}
    render = renders[options.part]
    file = options.folder / f"training-{options.part}.md"
    record = Record(file, render, told, goes_on=options.go_on)
    if options.part == "speed":
        speed.measure(list(options.sizes), options.rounds, options.steps, record)
    else:
        home = options.folder / f"{options.part}-workspace"
        place = Place(home, options.corpus, options.pieces)
        if options.part == "quality":
            asked = quality.Asked(options.minutes, options.seeds, options.peers)
            quality.measure(asked, place, record)
        else:
            prediction.measure(options.runs, options.share, place, record)
    text = render(record.data)
    print(f"\n{text}\n\nwritten to {record.target}")
    drawn = draw(found) if (found := report.points(record.data)) else ""
    if drawn:
        (options.folder / "scaling.svg").write_text(drawn, encoding="utf-8")
    if options.docs:
        if drawn:
            (DOCS / "scaling.svg").write_text(drawn, encoding="utf-8")
            text += "\n\n![Bits per byte over the work of training](scaling.svg)"
        put(DOCS / "performance.md", f"training-{options.part}", f"{HEADS[options.part]}\n\n{text}")


if __name__ == "__main__":
    main()
