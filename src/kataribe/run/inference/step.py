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
        source: Positions at the beginning of the sequence that an encoder reads as a whole; the
            decoder begins there. 0 without an encoder. Those before have no logits.
    """

    ids: tuple[int, ...] | NDArray[np.int64]
    start: int
    blocks: tuple[int, ...]
    logits: Logits
    source: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class StepBatch:
    """What one step computes; each sequence stands in it at most once.

    Attributes:
        slices: Whose tokens.
        gone: Without `Runner.reuses_prefixes`, first blocks of sequences that have lost their
            blocks since the last step, and that no other sequence begins with: what a runner
            keeps of them can go.
    """

    slices: tuple[Slice, ...]
    gone: tuple[int, ...] = ()


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

    @property
    def reuses_prefixes(self) -> bool:
        """Full blocks are all there is of a sequence's past up to their end.

        Then sequences with an equal beginning share them, and later turns take them over. False
        where the past is a state as well, or where a prompt is read both ways: then no block is
        ever shared or kept, each sequence has a first block that is no other's, and a runner may
        know what else it keeps of a sequence by that. It begins anew with a slice of `start` 0.
        """
        ...

    def run(self, batch: StepBatch) -> list[NDArray[np.float32]]:
        """Logits for each slice in order: `(rows, vocab_size)`, rows 0, 1 or `len(ids)`."""
        ...

    def copy_blocks(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Copies whole blocks, each pair from source to target.

        The targets are distinct and no target is a source. Without `reuses_prefixes`, what is
        kept of a sequence goes with its first block.
        """
        ...

    def close(self) -> None:
        """Gives the cache back. Nothing is called afterwards."""
        ...
