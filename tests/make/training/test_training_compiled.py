"""What PyTorch's compiler makes of a model in training is the same model."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from kataribe.make.tokens.batches import Batch
from kataribe.make.training import block_attention, cross_entropy
from kataribe.make.training.causal import causal_loss
from kataribe.make.training.config import Work
from kataribe.make.training.fresh import fresh_decoder
from kataribe.make.training.loop import backward
from kataribe.make.training.objective import StepData
from kataribe.make.training.trainee import Trainee
from tests.make.training.toys import tiny_config


@pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch's compiler needs a C++ compiler")
@pytest.mark.filterwarnings("ignore")  # of the compiler's own parts about each other
@pytest.mark.parametrize("recompute", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_compiled_model_has_the_loss_and_gradients_of_the_plain_one(
    monkeypatch: pytest.MonkeyPatch, *, recompute: bool
) -> None:
    cross_entropy._compiled_losses.cache_clear()
    monkeypatch.setattr(block_attention, "BLOCK", 8)
    monkeypatch.setattr(cross_entropy, "FUSED_VALUES", 16 * 40)  # two chunks of the 32 places
    random = np.random.default_rng(7)
    documents = np.repeat([[0, 0, 1, 1], [0, 1, 2, 2]], 4, axis=1).astype(np.int32)
    batch = Batch(
        ids=random.integers(0, 40, (2, 16)),
        targets=random.integers(0, 40, (2, 16)),
        positions=np.array([[*range(8), *range(8)], [*range(4), *range(4), *range(8)]]),
        documents=documents,
    )
    found = {}
    for compile_ in ("off", "on"):
        model = fresh_decoder(tiny_config(vocab_size=40, layers=1, windows=(None,)), 0)
        work = Work(precision="float32", compile=compile_, recompute=recompute)  # type: ignore[arg-type]
        trainee = Trainee(model, causal_loss, work)
        loss = backward(trainee.module, StepData([batch], batch.taught, batch.filled), 0.1)
        found[compile_] = (
            float(loss),
            {name: value.grad for name, value in trainee.named.items()},
            cross_entropy._compiled_losses.cache_info().currsize,
        )
    assert found["off"][2] == 0
    assert found["on"][2] == 1  # the head's loss was compiled, too
    assert found["on"][0] == pytest.approx(found["off"][0], rel=1e-5)
    for name, gradient in found["off"][1].items():
        torch.testing.assert_close(found["on"][1][name], gradient, rtol=1e-3, atol=1e-5)
