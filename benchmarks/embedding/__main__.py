"""`python -m benchmarks.embedding`: rounds in turn, ratios with their spread.

A round that is thrown away tries every setting of sentence-transformers (float32, bfloat16, both
compiled, ONNX; texts of a batch; it sorts by length itself); the best of PyTorch and the best of
ONNX go on. Then every program answers each round, in an order that is drawn anew. A ratio is of one
round; the median and the range of all rounds are told. Seconds of all processors together (`cpu`)
hardly feel what else runs on the machine.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.embedding.texts import texts
from benchmarks.inference.peers import CACHE, Worker
from benchmarks.inference.record import Record
from benchmarks.inference.report import spread, verdict
from benchmarks.sections import DOCS, put, table
from benchmarks.training.report import conditions, ratios
from kataribe.base.workspace import Workspace
from kataribe.run.catalog.catalog import Catalog

HERE = Path(__file__).parent
LINE = "texts"
TORCH, ONNX = "sentence-transformers", "sentence-transformers, ONNX"
REQUIREMENTS = {
    "sentences": ["torch==2.13.0", "transformers==5.23", "sentence-transformers==6.2.0"],
    # Its ONNX backend knows transformers 4 only, and so the release before.
    "sentences-onnx": [
        "torch==2.13.0",
        "sentence-transformers==5.7.0",
        "optimum-onnx[onnxruntime]==0.1.0",
    ],
}
OURS = {"kataribe": "auto", "kataribe float32": "float32"}
BATCHES = (8, 16, 32, 64)
WANTED, COSINE = 2.0, 0.999


@dataclass(frozen=True)
class Peer:
    """One setting of the peer.

    Attributes:
        name: In the report.
        home: Its environment.
        options: What its program is told.
    """

    name: str
    home: str
    options: tuple[object, ...]


PEERS = (
    Peer(f"{TORCH} float32", "sentences", ("--dtype", "float32")),
    Peer(f"{TORCH} bfloat16", "sentences", ("--dtype", "bfloat16")),
    Peer(f"{TORCH} float32 compiled", "sentences", ("--dtype", "float32", "--compiled", 1)),
    Peer(f"{TORCH} bfloat16 compiled", "sentences", ("--dtype", "bfloat16", "--compiled", 1)),
    Peer(ONNX, "sentences-onnx", ("--backend", "onnx")),
)


def environment(name: str) -> Path:
    """The Python of a peer's own virtual environment, made when missing."""
    home = CACHE / name
    python, marker = home / "bin" / "python", home / ".complete"
    if not marker.exists():
        print(f"making an environment: {' '.join(REQUIREMENTS[name])}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", *REQUIREMENTS[name]]
        subprocess.run(pip, check=True)
        marker.touch()
    return python


def start(peer: Peer, folder: Path) -> Worker:
    """The peer with its model loaded."""
    options = ["--folder", folder, "--cache", CACHE / "models" / "e5-small-onnx", *peer.options]
    return Worker.start(environment(peer.home), str(HERE / "peer.py"), *options)


def trials(folder: Path, words: list[str], record: Record) -> dict[str, tuple[Peer, int]]:
    """Each setting of the peer and each batch once, after once that does not count.

    Gives the fastest with its batch, of PyTorch and of ONNX.
    """
    found: dict[str, dict[tuple[Peer, int], float]] = {TORCH: {}, ONNX: {}}
    for peer in PEERS:
        worker = start(peer, folder)
        try:
            worker.ask("embed", texts=words, batch=BATCHES[-1])
            for batch in BATCHES:
                taken = worker.ask("embed", texts=words, batch=batch)["seconds"]
                kind = ONNX if peer.name == ONNX else TORCH
                found[kind][peer, batch] = len(words) / taken
                told = f"{peer.name}, {batch} a batch"
                record.rate("trials", LINE, told, len(words) / taken)
        finally:
            worker.stop()
    return {kind: max(rates, key=rates.__getitem__) for kind, rates in found.items()}


def measure(folder: Path, words: list[str], rounds: int, record: Record) -> None:
    """Trials, then rounds of the chosen and of ours."""
    with record.round("trials"):
        chosen = trials(folder, words, record)
    batches = {f"{peer.name}, {batch} a batch": batch for peer, batch in chosen.values()}
    workers = {
        f"{peer.name}, {batch} a batch": start(peer, folder) for peer, batch in chosen.values()
    }
    for name, precision in OURS.items():
        options = ("--folder", folder, "--precision", precision)
        workers[name] = Worker.start(sys.executable, str(HERE / "ours.py"), *options)
    try:
        vectors: dict[str, Any] = {}
        for name, worker in workers.items():
            record.data["versions"][name] = worker.ready["version"]
            told = worker.ask("embed", texts=words, batch=batches.get(name), show=True)
            vectors[name] = np.asarray(told["vectors"])
        record.data["runs"]["cosine"] = agreement(vectors, next(iter(workers)))
        pids = [worker.process.pid for worker in workers.values()]
        for number in range(rounds):
            with record.round(f"round {number + 1}", pids):
                for name in random.Random(number).sample(list(workers), len(workers)):
                    told = workers[name].ask("embed", texts=words, batch=batches.get(name))
                    record.rate("figures", LINE, name, len(words) / told["seconds"])
                    record.rate("figures", "texts, cpu", name, len(words) / told["cpu"])
    finally:
        for worker in workers.values():
            worker.stop()


def agreement(vectors: dict[str, Any], reference: str) -> dict[str, float]:
    """The least cosine of any text's vector to that of `reference`."""
    base = vectors[reference] / np.linalg.norm(vectors[reference], axis=1, keepdims=True)
    return {
        name: float(((found / np.linalg.norm(found, axis=1, keepdims=True)) * base).sum(1).min())
        for name, found in vectors.items()
    }


def text(data: dict[str, Any]) -> str:
    """Rates, cosines, and ours against each peer."""
    rates, cpu = data["figures"].get(LINE, {}), data["figures"].get("texts, cpu", {})
    cosines = data["runs"].get("cosine", {})
    form, rows = "{:.2f}".format, []
    for name, values in rates.items():
        cells = [name, spread(values), spread(cpu[name]), f"{cosines.get(name, 0):.5f}"]
        for mine in OURS:
            if name in OURS or mine not in rates:
                cells.append("")
                continue
            found = ratios(rates, mine, name)
            told = f", {verdict(median(found), WANTED)}" if mine == next(iter(OURS)) else ""
            cells.append(f"{spread(found, form)}{told}" if found else "")
        rows.append(cells)
    heads = ["", "texts/s", "texts per processor second", "least cosine to the first named"]
    parts = [conditions(data), table([*heads, *(f"{mine} over it" for mine in OURS)], rows)]
    least = [cosines[name] for name in OURS if name in cosines]
    if least:
        parts.append(f"Least cosine of ours: {min(least):.5f}, {verdict(min(least), COSINE)}.")
    tried = [
        [name, f"{max(values):.1f}"]
        for name, values in sorted(
            data["trials"].get(LINE, {}).items(), key=lambda item: -max(item[1])
        )
    ]
    parts.append(f"Tried in the round that is thrown away:\n\n{table(['', 'texts/s'], tried)}")
    return "\n\n".join(parts)


def main() -> None:
    """Measures and tells."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--texts", type=int, default=512)
    asked.add_argument("--rounds", type=int, default=7)
    asked.add_argument("--folder", type=Path, default=CACHE, help="where the report goes")
    asked.add_argument("--docs", action="store_true", help="write the table into docs/ too")
    options = asked.parse_args()
    model = Catalog(Workspace(CACHE.parent / "kataribe")).path_of("e5-small")
    told = {"texts": options.texts, "rounds": options.rounds}
    record = Record(options.folder / "embedding.md", text, told, "texts/s")
    measure(model, texts(options.texts), options.rounds, record)
    said = text(record.data)
    print(f"\n{said}\n\nwritten to {record.target}")
    if options.docs:
        put(DOCS / "performance.md", "embedding", f"### Texts to vectors\n\n{said}")


if __name__ == "__main__":
    main()
