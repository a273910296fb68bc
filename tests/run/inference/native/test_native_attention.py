"""Long sequences: thousands of tokens, with and without a window."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from native_models import Agreement, Reference, agreement, make, row_errors
from native_small import blocks_for, native, one

from kataribe.make.model.weights.checkpoint import Checkpoint
from kataribe.run.inference.native.library import Library

CONTEXT = 16384
SMALL = {
    "num_hidden_layers": 1,
    "num_attention_heads": 3,
    "num_key_value_heads": 1,
    "max_position_embeddings": CONTEXT,
}
GEMMA = {
    "layer_types": ["sliding_attention", "full_attention"],
    "num_hidden_layers": 2,
    "sliding_window": 500,
}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "everything before": ("llama", {}),
    "a window of 17": ("mistral", {"sliding_window": 17}),
    "a window of 1000": ("mistral", {"sliding_window": 1000}),
    "both": ("gemma3", GEMMA),
}


def by_chunks(
    library: Library, checkpoint: Checkpoint, ids: np.ndarray, chunk: int, **settings: Any
) -> np.ndarray:
    """Logits of a sequence read in chunks, over blocks in no order."""
    count = blocks_for(len(ids))
    blocks = np.random.default_rng(2).permutation(count + 5)[:count]
    with closing(
        native(library, checkpoint, blocks=count + 5, context=CONTEXT, **settings)
    ) as runner:
        parts = [
            runner.run(one(ids[start : start + chunk], start, blocks))[0]
            for start in range(0, len(ids), chunk)
        ]
    return np.concatenate(parts)


@pytest.mark.parametrize("name", MODELS)
def test_thousands_of_tokens(library: Library, tmp_path: Path, name: str) -> None:
    family, changes = MODELS[name]
    checkpoint = make(tmp_path, family, **{**SMALL, **changes})
    ids = np.random.default_rng(1).integers(1, 96, 1700)
    found = by_chunks(library, checkpoint, ids, 500)
    near = agreement(found[None], Reference(checkpoint, context=CONTEXT).logits(ids[None]))
    print(near)
    assert near.worst <= Agreement.WORST
    # With two layers nearly every row has seen a value that was rounded to the other side.
    assert near.equal >= (0.5 if checkpoint.config.layers == 1 else 0.01)


def test_twelve_thousand_tokens(library: Library, tmp_path: Path) -> None:
    checkpoint = make(tmp_path, "llama", **SMALL)
    ids = np.random.default_rng(1).integers(1, 96, 12_001)
    found = by_chunks(library, checkpoint, ids, 4096)
    reference = Reference(checkpoint, context=CONTEXT, rounds=False).logits(ids[None])[0]
    assert row_errors(found, reference).max() <= 0.1
    for fifth in np.array_split(np.arange(len(ids)), 5):  # as good at the end as at the start
        assert np.corrcoef(found[fifth].ravel(), reference[fifth].ravel())[0, 1] >= 0.9997


@pytest.mark.parametrize("window", [None, 100, 1000])
def test_one_token_far_on_sees_what_a_chunk_sees(
    library: Library, tmp_path: Path, window: int | None
) -> None:
    checkpoint = make(tmp_path, "mistral", **SMALL, sliding_window=window)
    ids = np.random.default_rng(3).integers(1, 96, 3007)
    whole = by_chunks(library, checkpoint, ids, len(ids))
    with closing(native(library, checkpoint, blocks=200, context=CONTEXT, threads=3)) as runner:
        runner.run(one(ids[:3000], 0, range(190), "none"))
        for at in range(3000, 3007):
            assert np.array_equal(
                runner.run(one(ids[at : at + 1], at, range(190)))[0][0], whole[at]
            )
