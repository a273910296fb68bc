"""The runner against the slow reference: paged, batched and chunked must change nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kataribe.make.model.configs.config import ModelConfig, RopeConfig
from kataribe.make.model.decoder import Decoder
from kataribe.make.model.layers.attention import CausalAttend
from kataribe.run.inference import attention
from kataribe.run.inference.runner import TorchRunner
from kataribe.run.inference.step import Slice, StepBatch

BASE = {
    "family": "llama",
    "vocab_size": 61,
    "hidden_size": 32,
    "layers": 3,
    "heads": 4,
    "kv_heads": 2,
    "head_dim": 8,
    "intermediate_size": 48,
    "context_length": 512,
    "windows": (None, None, None),
    "rope": RopeConfig(10000.0),
    "query_scalar": 8.0,
}
CONFIGS = {
    "plain": {},
    "all windows": {"windows": (9, 9, 9)},
    "some windows": {"windows": (5, None, 150), "local_rope": RopeConfig(100.0)},
    "softcap": {"attention_softcap": 5.0, "windows": (None, 7, None)},
    "ungrouped": {"kv_heads": 4},
    "learned positions": {"rope": None},
}


def build(**changes) -> Decoder:
    torch.manual_seed(0)
    model = Decoder(ModelConfig(**{**BASE, **changes})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=1.5 / parameter.shape[1] ** 0.5)
    return model


def expected_logits(model: Decoder, ids: np.ndarray) -> np.ndarray:
    """Of the whole sequence at once, without any cache."""
    with torch.inference_mode():
        positions = torch.arange(len(ids))[None]
        hidden = model(torch.from_numpy(ids)[None], positions, CausalAttend(model.config))
        return model.logits(hidden)[0].numpy()


def random_run(model: Decoder, runner: TorchRunner, seed: int, longest: int) -> None:
    """Random sequences in random chunks, scattered over blocks, several in each step."""
    print(f"seed {seed}")
    generator = np.random.default_rng(seed)
    free = list(generator.permutation(runner.blocks))
    sequences = []
    for number in range(6):
        ids = generator.integers(0, model.config.vocab_size, generator.integers(1, longest))
        need = -(-len(ids) // runner.block_size)
        if number % 2:  # side by side, where such a run is free
            starts = [
                b for b in range(runner.blocks - need) if set(range(b, b + need)) <= set(free)
            ]
            blocks = list(range(starts[0], starts[0] + need)) if starts else free[:need]
        else:
            blocks = free[:need]
        free = [block for block in free if block not in set(blocks)]
        sequences.append((ids, tuple(int(b) for b in blocks), expected_logits(model, ids)))
    done = [0] * len(sequences)
    while any(at < len(ids) for at, (ids, _, _) in zip(done, sequences, strict=True)):
        parts, checks = [], []
        for number in generator.permutation(len(sequences)):
            ids, blocks, expected = sequences[number]
            start = done[number]
            if start == len(ids) or generator.random() < 0.3:
                continue
            count = 1 if generator.random() < 0.5 else int(generator.integers(1, longest))
            part = ids[start : start + count]
            wanted = ["none", "last", "all"][generator.integers(3)]
            parts.append(Slice(tuple(part.tolist()) if number % 2 else part, start, blocks, wanted))
            end = done[number] = start + len(part)
            low = {"none": end, "last": end - 1, "all": start}[wanted]
            checks.append(expected[low:end])
        if parts:
            found = runner.run(StepBatch(tuple(parts)))
            for logits, expected in zip(found, checks, strict=True):
                assert logits.dtype == np.float32
                np.testing.assert_allclose(logits, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("seed", [1, 2])
def test_logits_equal_those_of_whole_sequences(name, seed):
    model = build(**CONFIGS[name])
    random_run(model, TorchRunner(model, blocks=64, block_size=4), seed, longest=40)


@pytest.mark.parametrize("name", ["plain", "some windows", "softcap"])
def test_long_chunks_attend_in_parts(name, monkeypatch):
    monkeypatch.setattr(attention, "CHUNK_ROWS", 16)
    monkeypatch.setattr(attention, "_ALONE", 48)
    model = build(**CONFIGS[name])
    random_run(model, TorchRunner(model, blocks=200, block_size=8), seed=3, longest=200)


def test_a_step_can_be_repeated():
    model = build()
    runner = TorchRunner(model, blocks=8, block_size=4)
    batch = StepBatch((Slice((1, 2, 3, 4, 5, 6), 0, (3, 5), "all"),))
    first, second = runner.run(batch)[0], runner.run(batch)[0]
    assert np.array_equal(first, second)


def test_copied_blocks_hold_the_same_past():
    model = build()
    runner = TorchRunner(model, blocks=8, block_size=4)
    runner.run(StepBatch((Slice((1, 2, 3, 4, 5, 6), 0, (0, 1), "none"),)))
    runner.copy_blocks([(0, 4), (1, 6)])
    ours = runner.run(StepBatch((Slice((7,), 6, (4, 6), "last"),)))[0]
    np.testing.assert_allclose(
        ours, expected_logits(model, np.array([1, 2, 3, 4, 5, 6, 7]))[-1:], rtol=1e-3, atol=1e-4
    )


def test_no_logits_wanted_gives_empty_rows():
    runner = TorchRunner(build(), blocks=4, block_size=4)
    found = runner.run(StepBatch((Slice((1, 2), 0, (0,), "none"), Slice((3,), 0, (1,), "none"))))
    assert [rows.shape for rows in found] == [(0, 61), (0, 61)]


def test_sequences_of_like_length_go_together():
    lengths = [10, 11, 400, 390, 30, 12]
    single = [
        (row, attention.Places(np.zeros(1, np.int64), end, None)) for row, end in enumerate(lengths)
    ]
    groups = attention._by_length(single)
    assert [[row for row, _ in group] for group in groups] == [[2, 3], [0, 1, 4, 5]]


def test_nothing_of_other_places_leaks():
    model = build()
    runner = TorchRunner(model, blocks=16, block_size=4)
    with torch.inference_mode():
        for keys, values in runner._attention.cache.layers:
            keys.fill_(1e4)
            values.fill_(1e4)
    batch = StepBatch((Slice((5,), 0, (3,), "last"), Slice((5, 6, 7), 0, (9,), "last")))
    alone, longer = runner.run(batch)
    np.testing.assert_allclose(alone, expected_logits(model, np.array([5])), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        longer, expected_logits(model, np.array([5, 6, 7]))[-1:], rtol=1e-3, atol=1e-4
    )
