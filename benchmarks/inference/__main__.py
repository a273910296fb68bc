"""`python -m benchmarks.inference`: Kataribe beside llama.cpp and transformers, on one model.

Each peer has a virtual environment of its own, made on the first run. Every figure is written
when it exists, so a run that is cut off leaves all that it measured under `.cache/bench`.
Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from benchmarks.choosing import parts_of
from benchmarks.inference import alone, programs, report, rounds
from benchmarks.inference.peers import CACHE, formats
from benchmarks.inference.record import Record

HOME = CACHE.parent / "kataribe"
MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
PARTS = ("single", "streams", "engine", "cold", "memory")


def shipped(given: Path | None) -> Path:
    """The model file: as given, the tests', or the one that `make test-model` fetched."""
    beside = Path(os.environ.get("KATARIBE_TEST_MODELS", HOME)) / MODEL
    found = given or (beside if beside.exists() else next((HOME / "models").rglob(MODEL), None))
    if found is None:
        raise SystemExit(f"{MODEL} is not here. Fetch it with `make test-model`, or give --model.")
    return found


def main() -> None:
    """Measures what was asked for and prints the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, help="of speeds [default: 5]")
    parser.add_argument("--runs", type=int, help="of the engine's part and of memory [default: 3]")
    parser.add_argument("--quick", action="store_true", help="2 rounds, 2 runs, 3 cold starts")
    parser.add_argument("--only", type=parts_of(PARTS), default=PARTS, help=",".join(PARTS))
    parser.add_argument("--wide", action="store_true", help="try more settings of llama.cpp")
    parser.add_argument("--model", type=Path, help="the shipped GGUF file")
    parser.add_argument("--folder", type=Path, default=CACHE, help="where the report goes")
    options = parser.parse_args()
    count = options.rounds or (2 if options.quick else 5)
    runs = options.runs or (2 if options.quick else 3)

    files = formats(shipped(options.model))
    told = {"rounds": count, "runs": runs, "parts": options.only, "wide": options.wide}
    name = "inference" if options.only == PARTS else f"inference-{'-'.join(options.only)}"
    record = Record(options.folder / f"{name}.md", report.text, told)
    places = {"single": (rounds.SINGLE, 1, 1280), "streams": (rounds.STREAMS, 16, 512)}
    for part in options.only:
        if part in places:
            lines, slots, context = places[part]
            workers = programs.start(files, slots, context, options.wide)
            try:
                rounds.run(part, workers, lines, count, record)
            finally:
                for worker in workers.values():
                    worker.stop()
        elif part == "engine":
            alone.engine(files, runs, record)
        elif part == "cold":
            alone.cold(files, 3 if options.quick else 5, record)
        else:
            alone.memory(files, runs, record)
    print(f"\n{report.text(record.data)}\n\nwritten to {record.target}")


if __name__ == "__main__":
    main()
