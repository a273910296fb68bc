"""Tokens per second of training: ours, the Trainer at its best here, and products alone.

The Trainer's settings are tried at the smaller size: bfloat16, compiling, and then every kind of
attention with every number of rows of a pass. At the larger size half as many rows are tried again.
A trial is the middle one of three steps, and the fastest are tried again: what disturbs a step
makes it slower, so the better of their two trials decides. Then all take turns, round by round; a
size of five times the parameters takes a fifth of the steps.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.inference.peers import CACHE, Worker, environment
from benchmarks.inference.record import Record
from benchmarks.training.shapes import SHAPES, Shape

HERE = Path(__file__).parent
OURS, ADAMW, TRAINER, BARE = "kataribe", "kataribe, AdamW", "Trainer", "products alone"
WARM = 2
"""Steps that do not count: the first compiles."""
AGAIN = 3
"""Settings that are tried again."""
TRIED = 3
"""Steps of a trial, of which the middle one counts."""


@dataclass(frozen=True)
class Setting:
    """What the Trainer can be told.

    Attributes:
        bf16: Products in bfloat16 (autocast) and not in float32.
        compile: `torch_compile`.
        attention: `sdpa` or `eager`.
        rows: Of one pass; the others of a batch are accumulated.
    """

    bf16: bool = True
    compile: bool = False
    attention: str = "sdpa"
    rows: int = 8

    @property
    def name(self) -> str:
        """In the report."""
        kind = "bfloat16" if self.bf16 else "float32"
        compiled = "compiled" if self.compile else "not compiled"
        return f"{TRAINER}, {kind}, {compiled}, {self.attention}, {self.rows} rows a pass"


def ours(shape: Shape, optimiser: str) -> Worker:
    """Kataribe as a user gets it, but for the optimiser where one is named."""
    options = ["--shape", json.dumps(shape.values), "--folder", CACHE / f"speed-{optimiser}"]
    chosen = [] if optimiser == "default" else ["--optimiser", optimiser]
    return Worker.start(sys.executable, str(HERE / "ours.py"), *options, *chosen)


def trainer(shape: Shape, setting: Setting) -> Worker:
    """The Trainer at one setting."""
    options: list[object] = ["--shape", json.dumps(shape.values), "--folder", CACHE / "speed-peer"]
    for name, value in asdict(setting).items():
        options += [f"--{name}", int(value) if isinstance(value, bool) else value]
    return Worker.start(environment("transformers"), str(HERE / "peer_trainer.py"), *options)


def bare(shape: Shape) -> Worker:
    """The products; in our environment, whose PyTorch is the same."""
    options = ["--shape", json.dumps(shape.values)]
    return Worker.start(sys.executable, str(HERE / "bare.py"), *options)


def rate(worker: Worker, shape: Shape, steps: int) -> float:
    """Tokens per second of so many steps."""
    found = worker.ask("train", steps=steps)
    return float(found["steps"] * shape.rows * shape.seq / found["seconds"])


def choose(shape: Shape, setting: Setting, record: Record, *, whole: bool) -> Setting:
    """The Trainer's fastest setting, of `setting` and those beside it.

    Args:
        shape: What is trained.
        setting: Where to begin.
        record: Takes every trial.
        whole: All settings are varied; else rows of a pass alone.
    """
    speeds: dict[Setting, float] = {}
    setting = replace(setting, rows=min(setting.rows, shape.rows))

    def tried(one: Setting, *, again: bool = False) -> float:
        if again or one not in speeds:
            worker = trainer(shape, one)
            try:
                rate(worker, shape, 1)
                found = statistics.median(rate(worker, shape, 1) for _ in range(TRIED))
            finally:
                worker.stop()
            speeds[one] = max(found, speeds.get(one, 0.0))
            record.rate("trials", shape.name, one.name, found)
        return speeds[one]

    for group in varied(shape.rows, setting.rows, whole=whole):
        setting = max([setting, *(replace(setting, **each) for each in group)], key=tried)
    for one in sorted(speeds, key=lambda each: -speeds[each])[:AGAIN]:
        tried(one, again=True)
    return max(speeds, key=lambda each: speeds[each])


def varied(most: int, rows: int, *, whole: bool) -> Iterator[list[dict[str, object]]]:
    """What is tried in place of a setting, one group after the other."""
    if not whole:
        yield [{"rows": rows // 2}] if rows > 1 else []
        return
    yield [{"bf16": False}]
    yield [{"compile": True}]
    yield [
        {"attention": attention, "rows": count}
        for count in (most, most // 2, most // 4)
        for attention in ("sdpa", "eager")
        if count
    ]


def measure(names: list[str], rounds: int, steps: int, record: Record) -> None:
    """All sizes: trials, then rounds; every figure is kept at once."""
    setting = Setting()
    for count, name in enumerate(names):
        shape = SHAPES[name]
        with record.round(f"{name}, trials"):
            setting = choose(shape, setting, record, whole=count == 0)
        record.data["versions"][f"{TRAINER} at {name}"] = setting.name
        workers = {
            OURS: ours(shape, "default"),
            ADAMW: ours(shape, "adamw"),
            TRAINER: trainer(shape, setting),
            BARE: bare(shape),
        }
        try:
            share = SHAPES[names[0]].parameters / shape.parameters
            compare(shape, workers, (rounds, max(1, round(steps * share))), record)
        finally:
            for worker in workers.values():
                worker.stop()


def compare(
    shape: Shape, workers: dict[str, Worker], counts: tuple[int, int], record: Record
) -> None:
    """One size: a round that warms up, then `counts` rounds of so many steps."""
    rounds, steps = counts
    check_alike(shape, workers)
    for name, worker in workers.items():
        record.data["versions"][f"{name}, {shape.name}"] = worker.ready["version"]
        worker.ask("train", steps=WARM)
        record.say(f"{shape.name}: {name} is warm")
    order = list(workers)
    pids = [worker.process.pid for worker in workers.values()]
    for count in range(rounds):
        first = count % len(order)
        with record.round(f"{shape.name}, {count + 1}", pids):
            for name in order[first:] + order[:first]:
                record.rate("figures", shape.name, name, rate(workers[name], shape, steps))


def check_alike(shape: Shape, workers: dict[str, Worker]) -> None:
    """Raises `RuntimeError` where the programs have not the same number of parameters."""
    for name, worker in workers.items():
        found = worker.ready.get("parameters", shape.parameters)
        if found != shape.parameters:
            raise RuntimeError(
                f"{name} has {found:,} parameters, not the {shape.parameters:,} of {shape.name}."
            )
