"""nanoGPT's recipe: its model, optimiser, schedule and choices of size, written anew from them.

GPT-2's layout without biases, learned positions, GELU, AdamW with cosine decay to a tenth after a
warm-up, clipping at 1; `baby` and `cpu` are the two sizes that its README trains on small
machines. Steps are as many as fit the time, and the learning rate decays over just these, as its
author advises. Runs in the peer's environment.
"""

from __future__ import annotations

import argparse
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
TRIAL_STEPS = 8


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
        x = self.embed(ids) + self.positions.weight[: ids.shape[1]]
        x = functional.dropout(x, self.dropout, self.training)
        for block in self.blocks:
            x = block(x)
        logits = functional.linear(self.norm(x), self.embed.weight)
        return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def rate_at(step: int, steps: int, choice: Choice) -> float:
    """Warm-up, then cosine to a tenth."""
    warmup = min(choice.warmup, steps // 10)
    if step < warmup:
        return choice.rate * (step + 1) / (warmup + 1)
    share = (step - warmup) / max(1, steps - warmup)
    return choice.rate * (0.1 + 0.45 * (1 + math.cos(math.pi * share)))


def batch_of(
    data: NDArray[Any], choice: Choice, generator: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Rows from anywhere in the text, as the recipe takes them."""
    starts = generator.integers(0, len(data) - choice.block - 1, choice.rows)
    rows = np.stack([data[at : at + choice.block + 1] for at in starts]).astype(np.int64)
    found = torch.from_numpy(rows)
    return found[:, :-1], found[:, 1:]


@torch.inference_mode()
def nats_of(model: nn.Module, data: NDArray[Any], block: int) -> float:
    """Nats of all tokens but the first, in rows that do not overlap."""
    total = 0.0
    for at in range(0, len(data) - 1, block * 32):
        part = np.asarray(data[at : at + block * 32 + 1], dtype=np.int64)
        whole = (len(part) - 1) // block
        for rows, seq, first in ((whole, block, 0), (1, (len(part) - 1) % block, whole * block)):
            if rows and seq:
                ids = torch.from_numpy(part[first : first + rows * seq].reshape(rows, seq))
                after = torch.from_numpy(
                    part[first + 1 : first + rows * seq + 1].reshape(rows, seq)
                )
                total += float(model(ids, after)) * rows * seq
    return total


def run(choice: Choice, values: dict[str, Any], compiled: bool) -> dict[str, Any]:
    """Trains for the time that is given, compiling and trial steps not counted."""
    folder, seed = Path(values["data"]), values["seed"]
    meta = json.loads((folder / "meta.json").read_text())
    kind = np.uint16 if meta["vocab_size"] <= 65536 else np.uint32
    train = np.memmap(folder / "train.bin", kind, "r")
    valid = np.memmap(folder / "valid.bin", kind, "r")
    torch.manual_seed(seed)
    generator = np.random.default_rng(seed)
    model = GPT(choice, meta["vocab_size"])
    matrices = [weight for weight in model.parameters() if weight.dim() == 2]
    vectors = [weight for weight in model.parameters() if weight.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, choice.rate, (0.9, choice.beta2), fused=True)
    fast = torch.compile(model) if compiled else model

    def step(rate: float) -> None:
        for group in optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16):
            loss = fast(*batch_of(train, choice, generator))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    step(0.0)  # compiles
    start = time.perf_counter()
    for _ in range(TRIAL_STEPS):
        step(0.0)
    each = (time.perf_counter() - start) / TRIAL_STEPS
    optimiser.state.clear()
    steps = max(10, int(values["minutes"] * 60 / each))
    start = time.perf_counter()
    for at in range(steps):
        step(rate_at(at, steps, choice))
    taken = time.perf_counter() - start
    model.eval()
    bits = nats_of(model, valid, choice.block) / math.log(2)
    return {
        "bits_per_byte": bits / meta["splits"]["valid"]["text_bytes"],
        "seconds": taken,
        "tokens": steps * choice.rows * choice.block,
        "parameters": sum(weight.numel() for weight in model.parameters()),
    }


def main() -> None:
    """Waits for a task and does it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", choices=CHOICES, default="baby")
    parser.add_argument("--compile", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(2)
    choice = CHOICES[options.size]
    serve(
        {"run": lambda values: run(choice, values, bool(options.compile))},
        {"version": torch.__version__},
    )


if __name__ == "__main__":
    main()
