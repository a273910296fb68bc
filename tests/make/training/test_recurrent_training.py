"""Recurrent layers in the loop: they learn, keep documents apart, begin with their own values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.configs.mixer_config import HyenaSpec, Mamba2Spec, MambaSpec
from kataribe.make.model.layers.mixers import own_values, recurrent_mixers
from kataribe.make.training.config import LoopConfig, Optimisation
from kataribe.make.training.fresh import fresh_decoder
from kataribe.make.training.optimisers import divide
from kataribe.make.training.packed import PackedAttend
from kataribe.make.training.session import carry_out
from tests.make.training.toys import loop, new_run, setup, tiny_config

MIXERS: dict[str, dict[str, Any]] = {
    "mamba": {"mamba": MambaSpec(width=32, states=4, kernel=4, step_rank=2)},
    "mamba2": {"mamba2": Mamba2Spec(heads=4, head_dim=8, states=4, groups=2, kernel=4)},
    "hyena": {"hyena": HyenaSpec(features=5, filter_width=8)},
}


def hybrid(mixer: str) -> ModelConfig:
    """A recurrent layer, then one of attention."""
    return tiny_config(family="kataribe", mixers=(mixer, "attention"), **MIXERS[mixer])


def train(root: Path, config: LoopConfig, mixer: str) -> Any:
    run = new_run(root, config)
    ended = carry_out(run, setup(config, hybrid(mixer)))
    return ended, list(run.metrics())


@pytest.mark.parametrize("mixer", MIXERS)
def test_recurrent_models_learn(tmp_path: Path, mixer: str) -> None:
    _, lines = train(tmp_path, loop(steps=40, eval_every=40), mixer)
    assert lines[-1]["valid_loss"] < 0.75 * lines[0]["loss"]


@pytest.mark.parametrize("mixer", MIXERS)
def test_recurrent_runs_repeat_bit_for_bit(tmp_path: Path, mixer: str) -> None:
    config = loop(precision="bfloat16", steps=4)
    (one, _), (two, _) = train(tmp_path, config, mixer), train(tmp_path, config, mixer)
    for name, value in one.model.named_parameters():
        assert torch.equal(value, two.model.get_parameter(name)), name


@pytest.mark.parametrize("mixer", MIXERS)
def test_packed_documents_are_apart(mixer: str) -> None:
    model = fresh_decoder(hybrid(mixer), 1).eval()
    ids = torch.randint(1, 40, (1, 12), generator=torch.Generator().manual_seed(2))
    documents = torch.tensor([[0] * 5 + [1] * 7])
    positions = torch.tensor([[*range(5), *range(7)]])
    with torch.no_grad():
        packed = model(ids, positions, PackedAttend(model.config, documents))
        for part in (slice(0, 5), slice(5, 12)):
            whole = PackedAttend(model.config, documents[:, part])
            alone = model(ids[:, part], positions[:, part], whole)
            torch.testing.assert_close(packed[:, part], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mixer", MIXERS)
def test_decays_and_filters_begin_with_their_own_values_and_do_not_decay(mixer: str) -> None:
    model = fresh_decoder(hybrid(mixer), 1)
    (layer,) = recurrent_mixers(model)
    torch.manual_seed(0)
    fresh = type(layer)(*_arguments(layer))  # type: ignore[arg-type]
    if mixer != "hyena":
        torch.testing.assert_close(layer.A_log, fresh.A_log)
        torch.testing.assert_close(layer.D, fresh.D)
    else:
        torch.testing.assert_close(layer.filter.bias, fresh.filter.bias)
    muon, matrices, vectors = divide(dict(model.named_parameters()), Optimisation())
    without = {id(part) for part in vectors}
    own = {id(part) for part in own_values(layer)}
    assert own <= without
    assert id(layer.input.weight) in {id(part) for part in (*muon, *matrices)}


def _arguments(layer: Any) -> tuple[Any, ...]:
    config = hybrid(type(layer).__name__.lower())
    last = config.context_length if hasattr(layer, "filter") else config.norm_eps
    return layer.spec, config.hidden_size, 0, last
