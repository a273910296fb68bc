"""`python -m benchmarks.tokenizing`: MB of text per second and memory, as the text grows.

The text is this Python's standard library and Japanese sentences, read again and again with some
words of each repetition's own, so that nothing can be remembered whole. Ours writes token data on
the disk; the peer is the batch call of the `tokenizers` library on two threads: the call alone over
texts that are in memory already, in one call or many, and the whole work as ours does it. Programs
take turns; each is a process of its own, every round.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.embedding.texts import SENTENCES
from benchmarks.inference.peers import CACHE
from benchmarks.inference.record import Record
from benchmarks.inference.report import spread, verdict
from benchmarks.sections import DOCS, put, table
from benchmarks.training.report import conditions, ratios
from benchmarks.training.workspace import Place

HERE = Path(__file__).parent
OURS = "kataribe, file to token data"
ALONE = "tokenizers, one call alone"
MANY = "tokenizers, calls of 1,000 alone"
WHOLE = "tokenizers, file to ids, calls of 1,000"
PEERS = {ALONE: (0, "encode"), MANY: (1000, "encode"), WHOLE: (1000, "whole")}
GROWTH = 1.15
"""Wanted at most: our memory with most text over that with least."""


def sources() -> list[str]:
    """Files of the library, and Japanese sentences."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    files = [path for path in sorted(folder.rglob("*.py")) if "site-packages" not in path.parts]
    found = [path.read_text(encoding="utf-8", errors="ignore") for path in files]
    draw = random.Random(7)
    found += ["".join(draw.choices(SENTENCES, k=60)) for _ in range(len(found) // 3)]
    return [text for text in found if text.strip()]


def documents(megabytes: float, texts: list[str]) -> Iterator[str]:
    """Of these texts so many MB in all; one that comes again has other words."""
    draw, left = random.Random(3), megabytes * 1e6
    while left > 0:
        text = draw.choice(texts)
        mark = f"{draw.randrange(1 << 40):x}"
        whole = text.replace("self", f"self_{mark}").replace("猫", f"猫{mark}") + f"\n# {mark}\n"
        left -= len(whole.encode())
        yield whole


def written(path: Path, megabytes: float) -> int:
    """A corpus' file; gives the bytes of its text."""
    total = 0
    with path.open("w", encoding="utf-8") as file:
        for number, text in enumerate(documents(megabytes, sources())):
            total += len(text.encode())
            line = {"id": str(number), "text": text, "source": "bench", "language": "code"}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    return total


def ask(name: str, corpus: Path, tokenizer: Path) -> dict[str, Any]:
    """One measurement of one program, in a process of its own."""
    if name == OURS:
        target = corpus.parent / "datasets"
        shutil.rmtree(target, ignore_errors=True)
        words = [HERE / "ours.py", corpus, tokenizer, target]
    else:
        words = [HERE / "peer.py", corpus, tokenizer / "tokenizer.json", *PEERS[name]]
    environ = {**os.environ, "RAYON_NUM_THREADS": "2", "TOKENIZERS_PARALLELISM": "true"}
    done = subprocess.run(
        [sys.executable, *map(str, words)], env=environ, check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def line_of(megabytes: float) -> str:
    """Name of a size in the record."""
    return f"{megabytes:g} MB"


def measure(sizes: list[float], rounds: int, place: Place, record: Record) -> None:
    """All sizes, all programs in turn."""
    folder = record.target.parent / "tokenizing"
    folder.mkdir(parents=True, exist_ok=True)
    place.prepare()
    tokenizer = place.workspace.tokenizers / place.tokenizer
    names = [OURS, *PEERS]
    for size in sizes:
        corpus = folder / "corpus.jsonl"
        text_bytes = written(corpus, size)
        for count in range(rounds):
            tokens = set()
            with record.round(f"{line_of(size)}, {count + 1}"):
                first = count % len(names)
                for name in names[first:] + names[:first]:
                    found = ask(name, corpus, tokenizer)
                    tokens.add(found["tokens"])
                    megabytes = (found["peak"] - found["before"]) / 1e6
                    record.rate("figures", line_of(size), name, text_bytes / 1e6 / found["seconds"])
                    memory = record.data["runs"].setdefault("memory", {})
                    memory.setdefault(line_of(size), {}).setdefault(name, []).append(megabytes)
            if len(tokens) > 1:
                raise RuntimeError(f"The programs made unlike numbers of tokens: {sorted(tokens)}.")
    shutil.rmtree(folder)


def text(data: dict[str, Any]) -> str:
    """Speeds, ratios, memory."""
    speeds, memories = data["figures"], data["runs"].get("memory", {})
    rows = []
    for size, rates in speeds.items():
        one, memory = "{:.1f}".format, memories.get(size, {})
        for name, values in rates.items():
            of_rounds = [] if name == OURS else ratios(rates, OURS, name)
            told = verdict(median(of_rounds), 1.0) if of_rounds and name == ALONE else ""
            against = spread(of_rounds, "{:.2f}".format) if of_rounds else ""
            held = spread(memory[name]) if memory.get(name) else ""
            rows.append([size, name, spread(values, one), f"{against} {told}".strip(), held])
    heads = ["text", "", "MB/s", "ours over it", "MB of memory beyond what it had before"]
    parts = [conditions(data), table(heads, rows)]
    mine = [median(memory[OURS]) for memory in memories.values() if memory.get(OURS)]
    if len(mine) > 1:
        growth = mine[-1] / mine[0]
        parts.append(
            f"Our memory with most text over that with least: {growth:.2f}, "
            f"{verdict(growth, most=GROWTH)}."
        )
    return "\n\n".join(parts)


def main() -> None:
    """Measures and tells."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=float, nargs="+", default=[16.0, 64.0, 256.0])
    parser.add_argument("--pieces", type=int, default=16384, help="of the tokenizer")
    parser.add_argument("--folder", type=Path, default=CACHE, help="where the report goes")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/ too")
    options = parser.parse_args()
    told = {"rounds": options.rounds, "megabytes": options.megabytes}
    record = Record(options.folder / "tokenizing.md", text, told, "MB/s")
    place = Place(options.folder / "tokenizing-workspace", "stdlib", options.pieces)
    measure(sorted(options.megabytes), options.rounds, place, record)
    said = text(record.data)
    print(f"\n{said}\n\nwritten to {record.target}")
    if options.docs:
        put(DOCS / "performance.md", "tokenizing", f"### Tokenizing a corpus\n\n{said}")


if __name__ == "__main__":
    main()
