"""The matrix products of training alone: what a loop could reach that did nothing else.

For each weight, as often as training needs it: the product forward and the two backward, and the
two products of attention, forward and backward, over all heads. In bfloat16, with two threads.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "inference"))

from worker import serve


def weights_of(shape: dict[str, Any]) -> list[tuple[int, int]]:
    """(in, out) of each weight that a token is multiplied with."""
    hidden, inside = shape["hidden_size"], shape["intermediate_size"]
    block = [(hidden, hidden)] * 4 + [(hidden, inside)] * 2 + [(inside, hidden)]
    return [*(block * shape["layers"]), (hidden, shape["vocab_size"])]


def products(shape: dict[str, Any], rows: int) -> float:
    """Seconds of one pass over `rows` rows."""
    tokens = rows * shape["seq"]
    kinds = {pair: weights_of(shape).count(pair) for pair in set(weights_of(shape))}
    tensors: dict[tuple[int, int], tuple[Tensor, Tensor, Tensor]] = {
        (n, m): (
            torch.randn(tokens, n, dtype=torch.bfloat16),
            torch.randn(n, m, dtype=torch.bfloat16),
            torch.randn(tokens, m, dtype=torch.bfloat16),
        )
        for n, m in kinds
    }
    dim = shape["hidden_size"] // shape["heads"]
    q = torch.randn(rows * shape["heads"], shape["seq"], dim, dtype=torch.bfloat16)
    scores = torch.randn(rows * shape["heads"], shape["seq"], shape["seq"], dtype=torch.bfloat16)
    start = time.perf_counter()
    for (n, m), count in kinds.items():
        x, w, dy = tensors[n, m]
        for _ in range(count):
            x @ w
            dy @ w.T
            x.T @ dy
    # Causal attention needs half of the square: half of the layers stand for it.
    for _ in range(max(1, shape["layers"] // 2)):
        q @ q.transpose(1, 2)
        scores @ q
        scores.transpose(1, 2) @ q  # of the values
        q @ q.transpose(1, 2)  # of the weights
        scores @ q  # of the queries
        scores.transpose(1, 2) @ q  # of the keys
    return time.perf_counter() - start


def main() -> None:
    """Waits for a task and measures it."""
    torch.set_num_threads(2)

    def train(values: dict[str, Any]) -> dict[str, Any]:
        shape = values["shape"]
        rows = min(shape["rows"], values.get("rows", 8))
        with torch.inference_mode():
            for _ in range(values["warm"]):
                products(shape, rows)
            taken = sum(products(shape, rows) for _ in range(values["steps"]))
        tokens = values["steps"] * rows * shape["seq"]
        return {"rate": tokens / taken, "seconds": taken, "tokens": tokens}

    serve({"train": train}, {"version": torch.__version__})


if __name__ == "__main__":
    main()
