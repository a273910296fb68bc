"""The loop: it learns, repeats itself exactly, and goes on where it was, bit for bit."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from kataribe.make.training.checkpoints import fill, load_weights
from kataribe.make.training.config import LoopConfig
from kataribe.make.training.session import carry_out
from tests.make.training.toys import loop, new_run, setup, tiny_config


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def trained(
    root: Path, config: LoopConfig
) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    run = new_run(root, config)
    ended = carry_out(run, setup(config))
    assert ended.progress.step == config.steps
    return weights(ended.model), [untimed(line) for line in run.metrics()]


def untimed(line: dict[str, float]) -> dict[str, float]:
    return {name: line[name] for name in line if name not in ("time", "tokens_per_second")}


def same(one: dict[str, torch.Tensor], two: dict[str, torch.Tensor]) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("optimiser", ["muon", "adamw"])
def test_it_learns(tmp_path: Path, optimiser: str) -> None:
    config = loop(steps=60, optimiser=optimiser, eval_every=30)
    _, lines = trained(tmp_path, config)
    assert lines[-1]["valid_loss"] < 0.6 * lines[0]["loss"]
    assert lines[-1]["bits_per_byte"] == pytest.approx(
        lines[-1]["valid_loss"] / torch.log(torch.tensor(2.0)).item() / 2.0
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_two_runs_are_equal_bit_for_bit(tmp_path: Path, precision: str) -> None:
    config = loop(precision=precision)
    one, two = trained(tmp_path, config), trained(tmp_path, config)
    assert same(one[0], two[0])
    assert one[1] == two[1]
    other = trained(tmp_path, dataclasses.replace(config, seed=8))
    assert not same(one[0], other[0])


@pytest.mark.parametrize("optimiser", ["muon", "adamw"])
def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path: Path, optimiser: str) -> None:
    config = loop(optimiser=optimiser)
    whole, lines = trained(tmp_path, config)
    run = new_run(tmp_path, config)
    begun = setup(config)

    def tell(figures: object) -> None:
        if isinstance(figures, dict) and figures["step"] == 3:
            run.ask_to_stop()

    ended = carry_out(run, begun, tell=tell)
    assert (ended.stopped, ended.progress.step, run.info.state) == ("a stop file", 4, "stopped")
    assert [step for step, _ in run.checkpoints()] == [2, 4]
    ended = carry_out(run, setup(config))
    assert not ended.stopped
    assert same(weights(ended.model), whole)
    assert [untimed(line) for line in run.metrics()][-2:] == lines[-2:]


def test_passes_add_up_to_the_large_batch(tmp_path: Path) -> None:
    large, _ = trained(tmp_path, loop(steps=3, micro_tokens=10_000, optimiser="adamw"))
    small, _ = trained(tmp_path, loop(steps=3, micro_tokens=1, optimiser="adamw"))
    for name, value in large.items():
        torch.testing.assert_close(small[name], value, rtol=1e-4, atol=1e-5)


def test_recomputing_changes_nothing(tmp_path: Path) -> None:
    plain, _ = trained(tmp_path, loop(steps=3))
    again, _ = trained(tmp_path, loop(steps=3, recompute=True))
    assert same(plain, again)


def test_gemmas_norms_come_back_exactly(tmp_path: Path) -> None:
    config = loop(steps=4, checkpoint_every=2)
    gemma = tiny_config(
        family="gemma3", post_norms=True, activation="gelu_tanh", embedding_scale=4.0,
        local_rope=None,
    )  # fmt: skip
    run = new_run(tmp_path, config)
    ended = carry_out(run, setup(config, gemma))
    other = setup(config, gemma)
    with torch.no_grad():
        for value in other.model.parameters():
            value.zero_()
    load_weights(run.checkpoints()[-1][1], other.model)
    assert same(weights(other.model), weights(ended.model))
    with pytest.raises(Exception, match="belongs to another model"):
        fill(other.model, {})
