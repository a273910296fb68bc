"""A runner whose logits are a hash of the history as it stands in the blocks, and a tokenizer.

Any mistake in a block table, a copy, or a position gives other logits, hence another reply.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from hashlib import blake2b

import numpy as np

from kataribe.run.inference.step import StepBatch

VOCAB = 61
EOS = 60
SPECIAL = 59


def logits_of(history: np.ndarray, vocab: int = VOCAB, scale: float = 3.0) -> np.ndarray:
    """Logits `(vocab,)` after these tokens."""
    digest = blake2b(np.ascontiguousarray(history, dtype=np.int64).tobytes(), digest_size=8)
    random = np.random.Generator(np.random.PCG64(int.from_bytes(digest.digest(), "little")))
    return (random.standard_normal(vocab) * scale).astype(np.float32)


class FakeRunner:
    """Keeps token and position of each place, and reads every history back through its table.

    Without `reuses_prefixes` it reads histories out of states instead, which it knows by the
    sequence's first block: the one after the last step and the one before, as a step may be
    tried again.
    """

    def __init__(
        self,
        blocks: int = 64,
        block_size: int = 4,
        vocab_size: int = VOCAB,
        *,
        reuses_prefixes: bool = True,
    ) -> None:
        self.vocab_size = vocab_size
        self.block_size = block_size
        self.blocks = blocks
        self.tokens = np.full((blocks, block_size), -1, dtype=np.int64)
        self.positions = np.full((blocks, block_size), -1, dtype=np.int64)
        self.batches: list[StepBatch] = []
        self.copies: list[tuple[int, int]] = []
        self.seconds: Callable[[StepBatch], float] = lambda batch: 0.0
        self.change: Callable[[np.ndarray, np.ndarray], np.ndarray] = lambda history, row: row
        self.fails: Callable[[StepBatch], Exception | None] = lambda batch: None
        self.is_closed = False
        self.reuses_prefixes = reuses_prefixes
        self.states: dict[int, dict[int, np.ndarray]] = {}  # first block -> length -> tokens

    def run(self, batch: StepBatch) -> list[np.ndarray]:
        assert not self.is_closed
        self.batches.append(batch)
        time.sleep(self.seconds(batch))
        failure = self.fails(batch)
        if failure is not None:
            raise failure
        written: set[int] = set()
        for block in batch.gone:
            assert not self.reuses_prefixes
            assert all(part.blocks[0] != block for part in batch.slices)
            self.states.pop(block, None)
        for part in batch.slices:  # all are written before any is read, as on a device
            written |= self._write(part, written)
            if not self.reuses_prefixes:
                self._advance(part)
        return [self._read(part) for part in batch.slices]

    def copy_blocks(self, pairs: Sequence[tuple[int, int]]) -> None:
        targets = [target for _, target in pairs]
        assert len(set(targets)) == len(targets)
        assert not set(targets) & {source for source, _ in pairs}
        for source, target in pairs:
            self.tokens[target] = self.tokens[source]
            self.positions[target] = self.positions[source]
            if source in self.states:
                self.states[target] = dict(self.states[source])
        self.copies += pairs

    def close(self) -> None:
        self.is_closed = True

    def _write(self, part, written: set[int]) -> set[int]:
        assert len(part.ids) > 0
        assert len(set(part.blocks)) == len(part.blocks)
        places = set()
        for offset, token in enumerate(part.ids):
            position = part.start + offset
            block, place = part.blocks[position // self.block_size], position % self.block_size
            assert block not in written, "two sequences write one block in one step"
            self.tokens[block, place] = token
            self.positions[block, place] = position
            places.add(block)
        return places

    def _advance(self, part) -> None:
        """The state of a sequence after this slice, from the one at its start."""
        end = part.start + len(part.ids)
        before = np.empty(0, np.int64)
        if part.start:
            before = self.states[part.blocks[0]][part.start]
        after = np.concatenate([before, np.asarray(part.ids, np.int64)])
        self.states[part.blocks[0]] = {part.start: before, end: after}

    def _read(self, part) -> np.ndarray:
        end = part.start + len(part.ids)
        tokens = self.tokens[list(part.blocks)].reshape(-1)[:end]
        positions = self.positions[list(part.blocks)].reshape(-1)[:end]
        assert (positions == np.arange(end)).all(), "the table leads to other positions"
        if not self.reuses_prefixes:
            assert (self.states[part.blocks[0]][end] == tokens).all(), "another sequence's state"
        first = {"none": end, "last": end - 1, "all": part.start}[part.logits]
        rows = [
            self.change(tokens[: at + 1], logits_of(tokens[: at + 1], self.vocab_size))
            for at in range(first, end)
        ]
        return np.stack(rows) if rows else np.empty((0, self.vocab_size), np.float32)


class FakeTokenizer:
    """One letter for each id; 60 ends a reply; 50 to 53 are the bytes of one emoji."""

    vocab_size = VOCAB
    eos_ids = frozenset({EOS})
    strips_leading_space = False

    def token_bytes(self, token_id: int) -> bytes:
        if token_id >= SPECIAL:
            return b"<%d>" % token_id
        if 50 <= token_id < 54:
            return "\N{GRINNING FACE}".encode()[token_id - 50 : token_id - 49]
        return bytes([65 + token_id])

    def is_special(self, token_id: int) -> bool:
        return token_id >= SPECIAL

    def encode(self, text: str, *, special: bool = True, add_bos: bool | None = None) -> list[int]:
        return [ord(letter) - 65 for letter in text]
