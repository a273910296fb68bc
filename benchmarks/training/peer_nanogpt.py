"""nanoGPT's recipe: its model, optimiser, schedule and choices of size, written anew from them.

GPT-2's layout without biases, learned positions, GELU, AdamW with cosine decay to a tenth after a
warm-up, clipping at 1; `baby` and `cpu` are the two sizes that its README trains on small
machines. Steps are as many as fit the time, and the learning rate decays over just these, as its
author advises. Of plain and compiled, float32 and bfloat16, the fastest is taken. Runs in the
peer's environment.
"""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "inference"))

from worker import serve


@dataclass(frozen=True)
class Choice:
    """One of the recipe's sizes with what it is trained with."""

    layers: int
    heads: int
    hidden: int
    block: int
    rows: int
    rate: float
    beta2: float
    dropout: float
    warmup: int = 100


CHOICES = {
    "baby": Choice(6, 6, 384, 256, 64, 1e-3, 0.99, 0.2),
    "baby, no dropout": Choice(6, 6, 384, 256, 64, 1e-3, 0.99, 0.0),
    "cpu": Choice(4, 4, 128, 64, 12, 1e-3, 0.99, 0.0),
}
TRIAL_STEPS = 5


class Block(nn.Module):
    """Attention and MLP, each after a norm and added."""

    def __init__(self, choice: Choice) -> None:
        super().__init__()
        width = choice.hidden
        self.heads, self.dropout = choice.heads, choice.dropout
        self.norm1 = nn.LayerNorm(width, bias=False)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm2 = nn.LayerNorm(width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        rows, seq, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(rows, seq, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        drop = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=drop)
        mixed = self.out(mixed.transpose(1, 2).reshape(rows, seq, width))
        x = x + functional.dropout(mixed, self.dropout, self.training)
        inside = self.down(functional.gelu(self.up(self.norm2(x))))
        return x + functional.dropout(inside, self.dropout, self.training)


class GPT(nn.Module):
    """The recipe's model; the head is the embedding."""

    def __init__(self, choice: Choice, vocabulary: int) -> None:
        super().__init__()
        self.dropout = choice.dropout
        self.embed = nn.Embedding(vocabulary, choice.hidden)
        self.positions = nn.Embedding(choice.block, choice.hidden)
        self.blocks = nn.ModuleList(Block(choice) for _ in range(choice.layers))
        self.norm = nn.LayerNorm(choice.hidden, bias=False)
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                deep = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(weight, std=0.02 / (math.sqrt(2 * choice.layers) if deep else 1))

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        logits = self.logits(ids)
        return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    def logits(self, ids: Tensor) -> Tensor:
        """(rows, seq, vocabulary) for ids (rows, seq) of at most a block."""
        x = self.embed(ids) + self.positions.weight[: ids.shape[1]]
        x = functional.dropout(x, self.dropout, self.training)
        for block in self.blocks:
            x = block(x)
        return functional.linear(self.norm(x), self.embed.weight)


def rate_at(share: float, step: int, warmup: int, choice: Choice) -> float:
    """Warm-up by steps, then cosine to a tenth by the share of the time that is gone."""
    if step < warmup:
        return choice.rate * (step + 1) / (warmup + 1)
    return choice.rate * (0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, share))))


def batch_of(
    data: NDArray[Any], choice: Choice, generator: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Rows from anywhere in the text, as the recipe takes them."""
    starts = generator.integers(0, len(data) - choice.block - 1, choice.rows)
    rows = np.stack([data[at : at + choice.block + 1] for at in starts]).astype(np.int64)
    found = torch.from_numpy(rows)
    return found[:, :-1], found[:, 1:]


@dataclass(frozen=True)
class Way:
    """How a step is computed.

    Attributes:
        compiled: `torch.compile` of the whole model.
        rounded: Autocast to bfloat16.
    """

    compiled: bool
    rounded: bool


class Trainee:
    """The model with its optimiser and the rows that it learns from."""

    def __init__(self, choice: Choice, folder: Path, seed: int) -> None:
        meta = json.loads((folder / "meta.json").read_text())
        kind = np.uint16 if meta["vocab_size"] <= 65536 else np.uint32
        self.choice, self.vocabulary = choice, meta["vocab_size"]
        self.data = np.memmap(folder / "train.bin", kind, "r")
        torch.manual_seed(seed)
        self.generator = np.random.default_rng(seed)
        self.model = GPT(choice, self.vocabulary)
        weights = list(self.model.parameters())
        groups = [
            {"params": [each for each in weights if each.dim() == 2], "weight_decay": 0.1},
            {"params": [each for each in weights if each.dim() < 2], "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, choice.rate, (0.9, choice.beta2), fused=True)
        self.compiled = torch.compile(self.model)

    def step(self, rate: float, way: Way) -> None:
        """One change of the weights."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        model = self.compiled if way.compiled else self.model
        with torch.autocast("cpu", torch.bfloat16, enabled=way.rounded):
            loss = model(*batch_of(self.data, self.choice, self.generator))
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def seconds_of(self, way: Way) -> float:
        """Of one step that changes nothing, after one that does not count."""
        self.step(0.0, way)
        found = []
        for _ in range(TRIAL_STEPS):
            start = time.perf_counter()
            self.step(0.0, way)
            found.append(time.perf_counter() - start)
        return sorted(found)[len(found) // 2]


def run(values: dict[str, Any]) -> dict[str, Any]:
    """Trains for so many seconds in the fastest way, and keeps the weights in a file.

    Compiling and trial steps are not counted.
    """
    choice, seconds = CHOICES[values["size"]], values["seconds"]
    trainee = Trainee(choice, Path(values["data"]), values["seed"])
    ways = [Way(compiled, rounded) for compiled in (False, True) for rounded in (False, True)]
    speeds = {way: trainee.seconds_of(way) for way in ways}
    way = min(ways, key=speeds.__getitem__)
    trainee.optimiser.state.clear()
    torch.manual_seed(values["seed"])
    warmup = min(choice.warmup, int(seconds / speeds[way]) // 10)
    steps, start, taken = 0, time.perf_counter(), 0.0
    while taken < seconds:
        trainee.step(rate_at(taken / seconds, steps, warmup, choice), way)
        steps, taken = steps + 1, time.perf_counter() - start
    torch.save(trainee.model.state_dict(), values["target"])
    return {
        "seconds": taken,
        "steps": steps,
        "tokens": steps * choice.rows * choice.block,
        "parameters": sum(weight.numel() for weight in trainee.model.parameters()),
        "compiled": way.compiled,
        "bfloat16": way.rounded,
    }


def main() -> None:
    """Waits for a task and does it."""
    torch.set_num_threads(2)
    serve({"run": run}, {"version": f"torch {torch.__version__}"})


if __name__ == "__main__":
    main()
