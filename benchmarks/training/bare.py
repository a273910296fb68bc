"""The matrix products of training alone: what a loop could reach that did nothing else.

For each weight, as often as training needs it: the product forward and the two backward; for each
head of each row the two products of attention forward and the four backward, over the causal half.
Each product is tried in bfloat16 and float32, with its matrices lying in every way that training
could keep them, over all tokens at once or a quarter of them at a time; the fastest counts.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "inference"))

from worker import serve

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
TRIES = 2
PASSES = (1, 4)
"""Into how many parts the tokens are cut."""


@dataclass(frozen=True)
class Way:
    """One way to compute a product.

    Attributes:
        name: Which.
        work: Computes it once, for all tokens of a batch.
    """

    name: str
    work: Callable[[], object]


def weights_of(shape: dict[str, Any]) -> list[tuple[int, int]]:
    """(in, out) of each weight that a token is multiplied with."""
    hidden, inside = shape["hidden_size"], shape["intermediate_size"]
    block = [(hidden, hidden)] * 4 + [(hidden, inside)] * 2 + [(inside, hidden)]
    return [*(block * shape["layers"]), (hidden, shape["vocab_size"])]


def products(tokens: int, inner: int, outer: int) -> Iterator[list[Way]]:
    """The three products of a weight: forward, to its input, to the weight itself."""
    found: list[list[Way]] = [[], [], []]
    for kind, dtype in DTYPES.items():
        for parts in PASSES:
            rows = tokens // parts
            x, dy = torch.randn(rows, inner, dtype=dtype), torch.randn(rows, outer, dtype=dtype)
            for lies, w in {
                "in by out": torch.randn(inner, outer, dtype=dtype),
                "out by in": torch.randn(outer, inner, dtype=dtype).T,
            }.items():
                name = f"{kind}, {lies}, {parts} parts"
                found[0].append(Way(name, _times(parts, lambda x=x, w=w: x @ w)))
                found[1].append(Way(name, _times(parts, lambda dy=dy, w=w: dy @ w.T)))
            name = f"{kind}, {parts} parts"
            found[2].append(Way(f"{name}, in by out", _times(parts, lambda x=x, y=dy: x.T @ y)))
            found[2].append(Way(f"{name}, out by in", _times(parts, lambda x=x, y=dy: y.T @ x)))
    yield from found


def attention(shape: dict[str, Any], rows: int) -> list[Way]:
    """All six products of one layer, for queries in 1, 2 or 4 parts that see what is before."""
    seq, heads = shape["seq"], shape["heads"]
    dim = shape["hidden_size"] // heads
    found = []
    for kind, dtype in DTYPES.items():
        q = torch.randn(rows * heads, seq, dim, dtype=dtype)
        for lies, k in {"straight": q, "turned": q.mT.contiguous().mT}.items():
            for parts in (1, 2, 4):
                way = _attend(q, k, seq // parts)
                found.append(Way(f"{kind}, {lies}, queries in {parts} parts", way))
    return found


def _attend(q: Tensor, k: Tensor, step: int) -> Callable[[], object]:
    seq = q.shape[1]
    scores = {
        end: torch.randn(q.shape[0], step, end, dtype=q.dtype) for end in range(step, seq + 1, step)
    }

    def work() -> None:
        for end, weights in scores.items():
            some, before = q[:, end - step : end], k[:, :end]
            some @ before.mT  # scores
            weights @ before  # values, mixed
            some @ before.mT  # the weights' gradient
            weights.mT @ some  # of the values
            weights @ before  # of the queries
            weights.mT @ some  # of the keys

    return work


def _times(count: int, work: Callable[[], object]) -> Callable[[], object]:
    def repeated() -> None:
        for _ in range(count):
            work()

    return repeated


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def quickest(ways: list[Way]) -> Way:
    """The fastest, each tried after once that does not count."""
    for way in ways:
        way.work()
    return min(ways, key=lambda way: min(_seconds(way.work) for _ in range(TRIES)))


def main() -> None:
    """Finds the fastest ways, then measures them all together whenever it is asked to."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", type=json.loads, required=True)
    shape = parser.parse_args().shape
    torch.set_num_threads(2)
    tokens = shape["rows"] * shape["seq"]
    plan: list[tuple[int, Way]] = []
    with torch.inference_mode():
        for (inner, outer), count in Counter(weights_of(shape)).items():
            plan += [(count, quickest(ways)) for ways in products(tokens, inner, outer)]
        plan.append((shape["layers"], quickest(attention(shape, shape["rows"]))))

    def train(values: dict[str, Any]) -> dict[str, Any]:
        start = time.perf_counter()
        with torch.inference_mode():
            for _ in range(values["steps"]):
                for count, way in plan:
                    for _ in range(count):
                        way.work()
        return {"seconds": time.perf_counter() - start, "steps": values["steps"]}

    kinds = Counter(way.name.partition(",")[0] for _, way in plan)
    told = ", ".join(f"{count} products in {kind}" for kind, count in kinds.items())
    serve({"train": train}, {"version": f"torch {torch.__version__}; fastest: {told}"})


if __name__ == "__main__":
    main()
