"""How much memory training takes: counted before it starts, read from the system afterwards."""

from __future__ import annotations

import contextlib
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from kataribe.base.errors import UnavailableError
from kataribe.base.freeing import give_back
from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.configs.counting import parameter_count
from kataribe.make.model.configs.shapes import shapes
from kataribe.make.training.block_attention import BLOCK
from kataribe.make.training.config import LoopConfig
from kataribe.make.training.cross_entropy import BLOCK_VALUES, CHUNK_VALUES
from kataribe.make.training.optimisers import is_outer

PROGRAM_BYTES = 420 << 20
"""The program with its libraries, before any model: Python, PyTorch, tokenizer."""
COMPILER_BYTES = 250 << 20
"""What importing and running PyTorch's compiler adds to it."""


@dataclass(frozen=True)
class Memory:
    """Bytes that training takes.

    Attributes:
        weights: In float32.
        gradients: In float32.
        optimiser: What it remembers.
        activations: What one pass keeps for its way back.
        logits: The head's share: chunks of logits, and the gradient of its matrix.
        passing: Rounded matrices and other things that come and go.
        program: The program itself, with what it holds already.
        text: Pages of the token data that are read.
    """

    weights: int
    gradients: int
    optimiser: int
    activations: int
    logits: int
    passing: int
    program: int
    text: int = 0

    @property
    def total(self) -> int:
        """All of it."""
        return sum(vars(self).values())


def decoder_memory(
    config: ModelConfig, loop: LoopConfig, row_tokens: int, *, held: int = 0, text: int = 0
) -> Memory:
    """What training a decoder takes in one process.

    Args:
        config: The model's.
        loop: The loop's, with nothing left to `auto`.
        row_tokens: Tokens of a row.
        held: What the process holds before: see `held_bytes`. A corpus that was made into tokens
            within it leaves its traces.
        text: Bytes of token data that will be read.
    """
    work = loop.work
    count = parameter_count(config)
    remembered = 0
    for name, shape in shapes(config).items():
        values = shape[0] * (shape[1] if len(shape) > 1 else 1)
        muon = loop.optimisation.optimiser == "muon" and len(shape) == 2 and not is_outer(name)
        remembered += values if muon else 2 * values
    rows = max(1, min(work.micro_tokens // row_tokens, loop.batch_rows))
    item = 2 if work.precision == "bfloat16" else 4
    layer = layer_values(config, rows, row_tokens, BLOCK) * item
    entry = rows * row_tokens * config.hidden_size * item
    kept = config.layers * entry + layer if work.recompute else config.layers * layer
    head = config.vocab_size * config.hidden_size
    largest = max(shape[0] * shape[1] for shape in shapes(config).values() if len(shape) == 2)
    return Memory(
        weights=4 * count,
        gradients=4 * count,
        optimiser=4 * remembered,
        activations=kept + 2 * entry,
        logits=2 * 4 * head
        + 3 * 4 * CHUNK_VALUES
        + item * min(BLOCK_VALUES, rows * row_tokens * config.vocab_size),
        passing=2 * item * largest + item * (count - head) + 2 * layer,
        program=max(PROGRAM_BYTES, held) + (COMPILER_BYTES if work.compile == "on" else 0),
        text=text,
    )


def layer_values(config: ModelConfig, rows: int, length: int, queries: int) -> int:
    """Numbers that a layer keeps for its way back, in the type of the products.

    Two inputs of norms and what comes out of them, q, k, v before and after the rotation, what
    attention gives, the MLP's inner values, and the weights of attention, of which a block of so
    many `queries` keeps only the keys up to its end.
    """
    tokens = rows * length
    width = config.heads * config.head_dim
    kv_width = config.kv_heads * config.head_dim
    inner = (3 if config.gated else 2) * config.intermediate_size
    kept = tokens * (4 * config.hidden_size + 2 * width + 2 * kv_width + 2 * width + inner)
    ends = [min(start + queries, length) for start in range(0, length, queries)]
    seen = sum((end - at * queries) * end for at, end in enumerate(ends))
    return kept + rows * config.heads * seen


def check_memory(needed: int) -> None:
    """Raises `UnavailableError` where so many bytes are not free on this machine."""
    free = psutil.virtual_memory().available
    if needed > free:
        raise UnavailableError(
            f"Training needs about {needed / 1e9:.1f} GB of memory, but only {free / 1e9:.1f} GB "
            "are free. Take a smaller model (--size), smaller passes (--micro-tokens), or keep "
            "less (--recompute)."
        )


def held_bytes() -> int:
    """Memory that this process holds now, after what is free in it was given back."""
    give_back()
    return int(psutil.Process().memory_info().rss)


def forget_peak() -> None:
    """Begins `peak_bytes` anew, where the system can (Linux): measuring a speed is no training."""
    give_back()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_bytes() -> int:
    """The most memory that this process has held, since `forget_peak` where the system can."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
