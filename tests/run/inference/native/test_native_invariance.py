"""A token's logits depend on its sequence alone, to the last bit.

Not on where a prompt was cut, who else is in the step and in which order, how many threads compute,
which blocks hold the sequence and what was in them before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from native_models import make
from native_small import blocks_for, native, one, with_kind, with_tensors

from kataribe.make.model.weights.checkpoint import Checkpoint
from kataribe.run.inference.native.library import Library
from kataribe.run.inference.native.runner import NativeRunner
from kataribe.run.inference.step import Slice, StepBatch

BLOCKS = 64
MODELS = ("plain", "windows", "Q4_1", "Q8_0", "Q5_1")  # with each way of holding a matrix


@pytest.fixture(scope="module", params=MODELS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Checkpoint:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "windows":
        layers = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 21}
        return make(folder, "gemma3", num_hidden_layers=2, **layers)
    made = make(folder, "llama", num_hidden_layers=2, vocab_size=101)
    return made if request.param == "plain" else with_kind(made, request.param)


@pytest.fixture
def runner(library: Library, checkpoint: Checkpoint) -> Iterator[NativeRunner]:
    with closing(native(library, checkpoint, blocks=BLOCKS)) as made:
        yield made


@pytest.fixture(scope="module")
def expected(library: Library, checkpoint: Checkpoint) -> list[np.ndarray]:
    """Of each sequence: computed whole, alone, by one thread, in a cache that nobody used."""
    found = []
    for ids in sequences():
        with closing(native(library, checkpoint, blocks=BLOCKS, threads=1)) as fresh:
            found.append(fresh.run(one(ids, 0, range(blocks_for(len(ids)))))[0])
    return found


def sequences() -> list[np.ndarray]:
    draw = np.random.default_rng(11)
    lengths = (1, 2, 5, 12, 13, 16, 17, 33, 60, 61)
    return [draw.integers(0, 96, length) for length in lengths]


def same(found: np.ndarray, expected: np.ndarray) -> bool:
    return np.array_equal(found.view(np.uint32), expected.view(np.uint32))


@pytest.mark.parametrize("chunk", [1, 2, 3, 4, 5, 7, 12, 13, 16, 24, 25, 31, 60])
def test_where_a_prompt_is_cut_changes_nothing(
    runner: NativeRunner, expected: list[np.ndarray], chunk: int
) -> None:
    for ids, whole in zip(sequences(), expected, strict=True):
        blocks = range(3, 3 + blocks_for(len(ids)))
        parts = [
            runner.run(one(ids[start : start + chunk], start, blocks))[0]
            for start in range(0, len(ids), chunk)
        ]
        assert same(np.concatenate(parts), whole), len(ids)


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_company_and_threads_change_nothing(
    library: Library, checkpoint: Checkpoint, expected: list[np.ndarray], threads: int
) -> None:
    draw = np.random.default_rng(threads)
    free = draw.permutation(BLOCKS).tolist()
    owned = [tuple(free.pop() for _ in range(blocks_for(len(ids)))) for ids in sequences()]
    with closing(native(library, checkpoint, blocks=BLOCKS, threads=threads)) as runner:
        for _ in range(3):
            order = draw.permutation(len(owned))
            parts = tuple(Slice(sequences()[at], 0, owned[at], "all") for at in order)
            for at, found in zip(order, runner.run(StepBatch(parts)), strict=True):
                assert same(found, expected[at])


@dataclass
class Walk:
    """Sequences computed in random pieces, together and apart, over blocks used again and again."""

    runner: NativeRunner
    expected: Sequence[np.ndarray]
    seed: int
    draw: np.random.Generator = field(init=False)
    rows: int = 0

    def __post_init__(self) -> None:
        print("seed", self.seed)
        self.draw = np.random.default_rng(self.seed)

    def go(self, steps: int) -> None:
        """So many steps; every row that comes back is compared."""
        free = self.draw.permutation(self.runner.blocks).tolist()
        open_: dict[int, tuple[int, int, tuple[int, ...]]] = {}  # its place: (which, done, blocks)
        for at in range(steps):
            while len(open_) < 5:
                which = int(self.draw.integers(len(self.expected)))
                count = blocks_for(len(self.expected[which])) + int(self.draw.integers(2))
                mine = tuple(free.pop(int(self.draw.integers(len(free)))) for _ in range(count))
                open_[max(open_, default=at) + 1] = which, 0, mine
            self._step(open_)
            for place, (which, done, blocks) in list(open_.items()):
                over = done == len(self.expected[which]) or self.draw.random() < 0.1
                if over:
                    free.extend(blocks)
                    del open_[place]

    def _step(self, open_: dict[int, tuple[int, int, tuple[int, ...]]]) -> None:
        parts, wanted = [], []
        for place in self.draw.permutation(list(open_)).tolist():
            which, done, blocks = open_[place]
            if parts and self.draw.random() < 0.4:
                continue
            ids = sequences()[which]
            count = 1 if self.draw.random() < 0.4 else int(self.draw.integers(1, 40))
            end = min(done + count, len(ids))
            logits = ("none", "last", "all")[self.draw.integers(3)]
            parts.append(Slice(ids[done:end], done, blocks, logits))  # type: ignore[arg-type]
            first = {"none": end, "last": end - 1, "all": done}[logits]
            wanted.append(self.expected[which][first:end])
            open_[place] = which, end, blocks
        for found, right in zip(self.runner.run(StepBatch(tuple(parts))), wanted, strict=True):
            assert same(found, right)
            self.rows += len(right)


@pytest.mark.parametrize("seed", [1, 2])
def test_random_company_in_used_blocks_changes_nothing(
    runner: NativeRunner, expected: list[np.ndarray], seed: int
) -> None:
    walk = Walk(runner, expected, seed)
    walk.go(60)
    assert walk.rows > 300


def test_copied_blocks_hold_the_same_past(runner: NativeRunner, expected: list[np.ndarray]) -> None:
    ids, whole = sequences()[-2], expected[-2]
    runner.run(one(ids[:41], 0, (5, 9, 2, 30), "none"))
    runner.copy_blocks([(9, 40), (2, 1)])
    original = runner.run(one(ids[41:], 41, (5, 9, 2, 30)))[0]
    other = ids[::-1].copy()
    runner.run(one(other, 0, (9, 2, 30, 31), "none"))  # what was copied is no longer there
    copied = runner.run(one(ids[41:], 41, (5, 40, 1, 33)))[0]
    assert same(original, whole[41:])
    assert same(copied, whole[41:])


def test_a_shared_beginning_serves_several(
    runner: NativeRunner, expected: list[np.ndarray]
) -> None:
    """Two sequences whose first 32 tokens lie in the same blocks."""
    ids, whole = sequences()[-1], expected[-1]
    runner.run(one(ids[:32], 0, (7, 8), "none"))
    parts = (
        Slice(ids[32:50], 32, (7, 8, 9, 10), "all"),
        Slice(ids[32:], 32, (7, 8, 11, 12), "all"),
    )
    first, second = runner.run(StepBatch(parts))
    assert same(first, whole[32:50])
    assert same(second, whole[32:])


def test_a_step_may_be_repeated(runner: NativeRunner, expected: list[np.ndarray]) -> None:
    ids, whole = sequences()[-1], expected[-1]
    blocks = range(blocks_for(len(ids)))
    runner.run(one(ids[:20], 0, blocks, "none"))
    for _ in range(3):
        assert same(runner.run(one(ids[20:], 20, blocks))[0], whole[20:])


def test_nothing_of_the_last_owner_is_left_in_a_block(
    library: Library, checkpoint: Checkpoint
) -> None:
    """Even what is no number, which a mask multiplied by 0 would not hide."""
    poisoned = checkpoint.tensors["embed.weight"].values()
    poisoned[5] = np.nan
    sick = with_tensors(checkpoint, {"embed.weight": poisoned})
    with closing(native(library, sick, blocks=2)) as runner:
        clean = runner.run(one([6, 7, 8], 0, (1,)))[0]
        assert np.isnan(runner.run(one([5] * 16, 0, (1,)))[0]).all()
        again = runner.run(one([6, 7, 8], 0, (1,)))[0]
    assert np.isfinite(clean[:, 6:]).all()  # a tied head has NaN for token 5
    assert same(again[:, 6:], clean[:, 6:])
