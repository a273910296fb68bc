"""`python -m benchmarks.inference`: Kataribe beside llama.cpp and transformers, on one model.

Each peer has a virtual environment of its own, made on the first run. Rounds are interleaved;
what comes out are medians with ranges. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path

from benchmarks.inference import measure, report
from benchmarks.inference.peers import CACHE, formats

HOME = CACHE.parent / "kataribe"
MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"


def main() -> None:
    """Measures, prints the report and keeps it beside its figures under `.cache/bench`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--model", type=Path, default=None, help="the shipped GGUF file")
    options = parser.parse_args()
    source = options.model or next((HOME / "models").rglob(MODEL))
    files = formats(source)

    single = measure.start_single(files)
    figures = measure.run_rounds(single, measure.SINGLE, options.rounds)
    growth = measure.memory_growth(single)
    for worker in single.values():
        worker.stop()
    streams = measure.start_streams(files)
    tasks = {measure.STREAMS: ("streams", {"tokens": 128, "new": 64, "count": 16})}
    figures.update(measure.run_rounds(streams, tasks, options.rounds))
    versions = {name: worker.ready["version"] for name, worker in streams.items()}
    for worker in streams.values():
        worker.stop()
    engine = measure.engine_figures(files, min(3, options.rounds))
    asked = measure.cold_ask(HOME, min(5, options.rounds))

    text = "\n\n".join(
        (
            report.table(figures),
            "\n".join(
                (
                    report.engine_lines(engine),
                    report.memory_lines(growth),
                    (
                        "- `kataribe ask`, cold process to first word: "
                        f"{report.spread(asked, '{:.2f} s'.format)}, wanted at most 3 s."
                    ),
                )
            ),
            report.all_settings(figures),
            (
                f"{platform.machine()}, {os.cpu_count()} cores, 2 threads each; {options.rounds} "
                f"rounds; {versions}; load at the end {os.getloadavg()[0]:.1f}."
            ),
        )
    )
    print(text)
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "inference.md").write_text(text + "\n", encoding="utf-8")
    data = {
        "figures": [[line, name, values] for (line, name), values in figures.items()],
        "memory": growth,
        "engine": engine,
        "ask": asked,
        "versions": versions,
    }
    (CACHE / "inference.json").write_text(json.dumps(data, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
