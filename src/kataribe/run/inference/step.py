"""The seam between the torch-free scheduler and the runner: plain values only.

Whoever computes logits (PyTorch now, a native runner later) implements `Runner`. One step is a
`StepBatch`: some tokens of some sequences, each with the blocks where its keys and values lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Logits: TypeAlias = Literal["none", "last", "all"]
"""For which tokens of a slice logits are wanted."""


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """Tokens of one sequence that a step computes.

    Attributes:
        ids: Token ids, `(tokens,)`.
        start: Position of `ids[0]` in its sequence; everything before it is in the cache.
        blocks: The sequence's block table. Position p lies in `blocks[p // block_size]` at
            offset `p % block_size`; it covers at least `start + len(ids)` positions. The step
            writes positions from `start` on and reads all up to each token's own.
        logits: Whose logits come back: of none, of the last token, or of all.
    """

    ids: tuple[int, ...] | NDArray[np.int64]
    start: int
    blocks: tuple[int, ...]
    logits: Logits


@dataclass(frozen=True, slots=True, eq=False)
class StepBatch:
    """What one step computes; each sequence stands in it at most once."""

    slices: tuple[Slice, ...]


class Runner(Protocol):
    """Computes steps over a paged cache of keys and values.

    All methods are called from one thread. `run` must be repeatable: a step that failed is tried
    again slice by slice, and writes the same positions anew.
    """

    @property
    def vocab_size(self) -> int:
        """Columns of the logits."""
        ...

    @property
    def block_size(self) -> int:
        """Positions in each block."""
        ...

    @property
    def blocks(self) -> int:
        """Blocks in the cache."""
        ...

    def run(self, batch: StepBatch) -> list[NDArray[np.float32]]:
        """Logits for each slice in order: `(rows, vocab_size)`, rows 0, 1 or `len(ids)`."""
        ...

    def copy_blocks(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Copies whole blocks, each pair from source to target.

        The targets are distinct and no target is a source.
        """
        ...

    def close(self) -> None:
        """Gives the cache back. Nothing is called afterwards."""
        ...
