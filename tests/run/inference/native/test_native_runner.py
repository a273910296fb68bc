"""What the native runner refuses, and that it works on afterwards."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native_models import make
from native_small import native, one, small, with_tensors

from kataribe.base.errors import KataribeError
from kataribe.make.model.configs.config import ExpertsConfig, RopeConfig
from kataribe.make.model.weights.checkpoint import Checkpoint, open_checkpoint
from kataribe.run.inference.native import runner as native_runner
from kataribe.run.inference.native.library import Library
from kataribe.run.inference.native.runner import NativeRunner, obstacle
from kataribe.run.inference.step import Slice, StepBatch
from tests.parity.tiny import build

BLOCKS = 5


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return make(tmp_path_factory.mktemp("llama"), "llama", num_hidden_layers=2)


@pytest.fixture
def runner(library: Library, checkpoint: Checkpoint) -> Iterator[NativeRunner]:
    with closing(native(library, checkpoint, blocks=BLOCKS)) as made:
        yield made


def step(*parts: tuple[Any, int, tuple[int, ...]]) -> StepBatch:
    return StepBatch(tuple(Slice(ids, start, blocks, "last") for ids, start, blocks in parts))


GOOD = step(((5, 6, 7), 0, (1,)))
BAD = {
    "id too large": step(((5, 96, 7), 0, (1,))),
    "id negative": step(((5, -1, 7), 0, (1,))),
    "id beyond 32 bits": step((np.array([5, (1 << 32) + 6], dtype=np.int64), 0, (1,))),
    "id that wraps to a negative one": step((np.array([1 << 31], dtype=np.int64), 0, (1,))),
    "no blocks": step(((5,), 0, ())),
    "too few blocks": step((tuple(range(17)), 0, (1,))),
    "too few for the start": step(((5,), 16, (1,))),
    "start at the end of whole numbers": step((tuple(range(2)), (1 << 31) - 1, (1,))),
    "start negative": step(((5,), -1, (1,))),
    "block too large": step(((5,), 0, (BLOCKS,))),
    "block negative": step(((5,), 0, (-1,))),
    "block that is not needed too large": step(((5,), 0, (1, BLOCKS))),
    "no ids": step(((), 0, (1,))),
    "no ids beside some": step(((5,), 0, (1,)), ((), 0, (2,))),
    "bad one behind a good one": step(((5,), 0, (1,)), ((5,), 0, (9,))),
}


@pytest.mark.parametrize("name", BAD)
def test_a_step_that_is_not_whole_is_refused_and_the_next_one_is_computed(
    runner: NativeRunner, name: str
) -> None:
    before = runner.run(GOOD)[0]
    with pytest.raises(KataribeError, match=r"step failed|32 bits"):
        runner.run(BAD[name])
    assert np.array_equal(runner.run(GOOD)[0], before)


@pytest.mark.parametrize("start", [1 << 31, -(1 << 40)])
def test_a_start_beyond_32_bits_does_not_wrap_around(runner: NativeRunner, start: int) -> None:
    with pytest.raises(OverflowError):
        runner.run(step(((5,), start, (1,))))


@pytest.mark.parametrize("pairs", [[(0, BLOCKS)], [(-1, 0)], [(0, 1), (2, 77)]])
def test_blocks_that_are_not_there_are_not_copied(
    runner: NativeRunner, pairs: list[tuple[int, int]]
) -> None:
    runner.run(GOOD)
    with pytest.raises(KataribeError, match="no such blocks"):
        runner.copy_blocks(pairs)
    runner.copy_blocks([])
    again = runner.run(step(((8,), 3, (1,))))[0]
    runner.run(GOOD)
    assert np.array_equal(runner.run(step(((8,), 3, (1,))))[0], again)


def test_longer_block_tables_than_needed_change_nothing(runner: NativeRunner) -> None:
    expected = runner.run(GOOD)[0]
    assert np.array_equal(runner.run(step(((5, 6, 7), 0, (1, 4, 0, 3))))[0], expected)


def test_logits_come_for_none_the_last_or_all(runner: NativeRunner) -> None:
    ids = (3, 4, 5, 6)
    parts = [Slice(ids, 0, (at,), wanted) for at, wanted in enumerate(("none", "all", "last"))]
    none, every, last = runner.run(StepBatch(tuple(parts)))  # type: ignore[arg-type]
    assert (none.shape, every.shape, last.shape) == ((0, 96), (4, 96), (1, 96))
    assert every.dtype == np.float32
    assert np.array_equal(every[-1:], last)
    assert [rows.shape for rows in runner.run(StepBatch(tuple(parts[:1])))] == [(0, 96)]


def test_a_closed_runner_refuses_and_may_be_closed_again(
    library: Library, checkpoint: Checkpoint
) -> None:
    runner = native(library, checkpoint)
    runner.close()
    runner.close()
    with pytest.raises(KataribeError):
        runner.run(GOOD)
    with pytest.raises(KataribeError):
        runner.copy_blocks([(0, 1)])


def test_no_threads_at_all_are_refused(library: Library, checkpoint: Checkpoint) -> None:
    with pytest.raises((KataribeError, ValueError)):
        native(library, checkpoint, threads=0)


class Counted:
    """A library that counts what was made and freed."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self.calls: list[str] = []

    def call(self, name: str, *arguments: object) -> None:
        self.calls.append(name)
        self._library.call(name, *arguments)

    @property
    def alive(self) -> int:
        return self.calls.count("new") - self.calls.count("free")


def test_a_load_that_fails_half_way_gives_its_memory_back(
    library: Library, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: Any = Counted(library)
    tensors = dict(checkpoint.tensors)
    name = "blocks.1.mlp.down.weight"

    def torn() -> np.ndarray:
        raise OSError("the disk has gone")

    tensors[name] = replace(tensors[name], _read=torn)
    with pytest.raises(OSError, match="disk has gone"):
        native(counted, replace(checkpoint, tensors=tensors))
    assert counted.calls.count("pack") > 5
    assert counted.alive == 0


def test_a_runner_that_nobody_closed_gives_its_memory_back(
    library: Library, checkpoint: Checkpoint
) -> None:
    counted: Any = Counted(library)
    runner = native(counted, checkpoint)
    assert counted.alive == 1
    gone = weakref.ref(runner)
    del runner
    gc.collect()
    assert gone() is None
    assert counted.alive == 0


def test_an_endless_cache_is_refused_for_lack_of_memory(
    library: Library, checkpoint: Checkpoint
) -> None:
    counted: Any = Counted(library)
    config = replace(
        checkpoint.config, layers=4096, windows=(None,) * 4096, mixers=()
    )  # beyond any
    with pytest.raises(KataribeError, match="not enough memory"):
        native(counted, replace(checkpoint, config=config), blocks=(1 << 31) - 1)
    assert counted.calls == ["new"]


@pytest.mark.parametrize("place", ["attention.q_norm", "attention.k_norm", "mlp_norm"])
def test_weights_that_are_no_numbers_give_logits_that_are_none(
    library: Library, place: str
) -> None:
    """So that the sampler says so, instead of somebody reading nonsense."""
    name = f"blocks.0.{place}.weight"
    values = small().tensors[name].values()
    values[3] = np.nan
    with closing(native(library, with_tensors(small(), {name: values}))) as runner:
        assert np.isnan(runner.run(one(range(20), 0, (1, 2)))[0]).all()


WRONG: dict[str, dict[str, Any]] = {
    "not rotary": {"rope": None},
    "layer norms": {"norm": "layer"},
    "not gated": {"gated": False},
    "activation is gelu": {"activation": "gelu"},
    "activation is relu": {"activation": "relu"},
    "matrices have biases": {"output_bias": True},
    "biases besides": {"mlp_bias": True},
    "capped": {"attention_softcap": 50.0},
    "logits are capped": {"logits_softcap": 30.0},
    "scaled by layer": {"scale_by_layer": True},
    "experts": {"experts": ExpertsConfig(4, 2, 64, (True,) * 2)},
    "ternary": {"ternary": "rounded"},
    "norms inside": {"inner_norms": True},
    "hidden": {"hidden_size": 100},
    "intermediate": {"intermediate_size": 100},
    "head": {"head_dim": 80, "rope": RopeConfig(1e4)},
}


@pytest.mark.parametrize("name", WRONG)
def test_models_of_other_kinds_meet_an_obstacle(
    library: Library, checkpoint: Checkpoint, name: str
) -> None:
    assert obstacle(checkpoint.config) is None
    config = replace(checkpoint.config, **WRONG[name])
    found = obstacle(config)
    assert found is not None
    assert name in found or "multiples of 32" in found
    counted: Any = Counted(library)
    with pytest.raises(KataribeError, match="cannot compute this model"):
        native(counted, replace(checkpoint, config=config))
    assert counted.calls == []


@pytest.mark.parametrize("family", ["gpt2", "gemma2"])
def test_families_that_it_does_not_compute(tmp_path: Path, family: str) -> None:
    build(family, 1).save_pretrained(tmp_path)
    assert obstacle(open_checkpoint(tmp_path).config) is not None


def test_every_setting_of_a_model_is_known_to_the_runner(checkpoint: Checkpoint) -> None:
    """A new field of `ModelConfig` must be computed here, or become an obstacle."""
    text = Path(native_runner.__file__).read_text(encoding="utf-8")
    by_weights = {"qk_norm", "post_norms", "qkv_bias"}  # their tensors are there or not
    elsewhere = {"family", "context_length", "tied", "query_scalar"}  # weights.py; `attention(0)`
    elsewhere |= {
        "mamba",
        "mamba2",
        "hyena",
        "float32_residual",
        "positionless",
    }  # of other mixers; `rope` is None
    names = set(vars(checkpoint.config)) - by_weights - elsewhere
    assert [name for name in sorted(names) if f"config.{name}" not in text] == []
