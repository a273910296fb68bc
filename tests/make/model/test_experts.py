"""Mixtures of experts: fast form against slow form, routes, and the load-balance loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint as recomputed
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from kataribe.base.errors import FormatError, InputError
from kataribe.make.model.configs.config import ExpertsConfig
from kataribe.make.model.decoder import Decoder
from kataribe.make.model.families import config_from_hf
from kataribe.make.model.layers.attention import CausalAttend
from kataribe.make.model.layers.experts import (
    Experts,
    Routes,
    choose,
    load_balance_loss,
    mix,
    mix_slowly,
)
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.model.weights.loading import load_model
from tests.parity.tiny import BASE, FAMILY_SETTINGS, build, padding, random_ids

SPEC = ExpertsConfig(count=6, per_token=2, width=8, layers=(True,))


def tiny(folder: Path, family: str, **changes: Any) -> tuple[Any, Decoder]:
    theirs = build(family, 81, **changes)
    theirs.save_pretrained(folder)
    return theirs, load_model(open_checkpoint(folder))


def routed(model: Decoder, ids: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Routes]:
    routes = Routes()
    positions = torch.arange(ids.shape[1]).expand(ids.shape)
    hidden = model(ids, positions, CausalAttend(model.config, mask), routes)
    return model.logits(hidden), routes


@pytest.mark.parametrize("tokens", [1, 2, 37])
@pytest.mark.parametrize("per_token", [1, 3, 6])
def test_grouped_equals_the_loop_over_experts(tokens: int, per_token: int) -> None:
    generator = torch.Generator().manual_seed(tokens)
    experts = [torch.nn.Linear(10, 10) for _ in range(6)]
    rows = torch.randn(tokens, 10, generator=generator)
    logits = torch.randn(tokens, 6, generator=generator)
    weights, chosen = choose(replace(SPEC, per_token=per_token), logits)
    fast = mix(rows, weights, chosen, experts)
    torch.testing.assert_close(fast, mix_slowly(rows, weights, chosen, experts))
    with torch.inference_mode():  # where experts without tokens are passed over
        assert torch.equal(mix(rows, weights, chosen, experts), fast)


def test_gradients_of_both_forms_are_equal() -> None:
    generator = torch.Generator().manual_seed(3)
    experts = torch.nn.ModuleList(torch.nn.Linear(10, 10) for _ in range(6))
    logits = torch.randn(9, 6, generator=generator, requires_grad=True)
    found = []
    for form in (mix, mix_slowly):
        rows = torch.randn(9, 10, generator=generator.manual_seed(4), requires_grad=True)
        form(rows, *choose(SPEC, logits), list(experts)).square().sum().backward()
        taken = [rows, logits, *experts.parameters()]
        found.append([value.grad.clone() for value in taken if value.grad is not None])
        for value in taken:
            value.grad = None
    assert len(found[0]) == len(found[1]) == 2 + 12
    for fast, slow in zip(*found, strict=True):
        torch.testing.assert_close(fast, slow)


def test_a_forgotten_expert_has_a_gradient_all_the_same() -> None:
    """Else processes of a distributed run would wait for each other for ever."""
    experts = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(6))
    chosen = torch.tensor([[1, 2], [2, 1]])
    mix(torch.randn(2, 4), torch.ones(2, 2), chosen, list(experts)).sum().backward()
    for number, expert in enumerate(experts):
        assert expert.weight.grad is not None
        assert bool(expert.weight.grad.any()) == (number in (1, 2))


def test_normalised_shares_are_the_softmax_over_the_chosen() -> None:
    logits = torch.randn(20, 6, generator=torch.Generator().manual_seed(5))
    one = choose(replace(SPEC, normalized=True), logits)
    other = choose(replace(SPEC, scoring="topk_softmax"), logits)
    assert torch.equal(one[1], other[1])
    torch.testing.assert_close(one[0], other[0])
    assert (choose(SPEC, logits)[0].sum(-1) < 0.999).any()


@pytest.mark.parametrize("side", ["", "left"])
@pytest.mark.parametrize("family", ["mixtral", "qwen2moe", "qwen3moe"])
def test_load_balance_loss_is_that_of_transformers(tmp_path: Path, family: str, side: str) -> None:
    theirs, ours = tiny(tmp_path, family)
    ids = random_ids(82)
    mask, positions = padding(side, *ids.shape)
    out = theirs(
        input_ids=ids, attention_mask=mask.long(), position_ids=positions,
        output_router_logits=True,
    )  # fmt: skip
    spec = ours.config.experts
    assert spec is not None
    routes = Routes()
    ours(ids, positions, CausalAttend(ours.config, mask if side else None), routes)
    assert list(routes.logits) == [i for i, sparse in enumerate(spec.layers) if sparse]
    loss = load_balance_loss(routes, spec, mask)
    torch.testing.assert_close(loss, out.aux_loss, rtol=1e-5, atol=1e-5)
    same = load_balancing_loss_func(
        tuple(routes.logits.values()), spec.count, spec.per_token, mask.long()
    )
    torch.testing.assert_close(loss, same, rtol=1e-5, atol=1e-5)
    if side:
        assert (loss - load_balance_loss(routes, spec)).abs() > 1e-4
    loss.backward()
    out.aux_loss.backward()
    got, wanted = ours.embed.weight.grad, theirs.model.embed_tokens.weight.grad
    torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-6)


def test_an_even_router_costs_least_and_a_stuck_one_most() -> None:
    even, stuck = Routes(), Routes()
    even.logits[0] = torch.eye(6).repeat(4, 1) * 20 + torch.eye(6).roll(1, 1).repeat(4, 1) * 20
    stuck.logits[0] = torch.tensor([[9.0, 9.0, 0, 0, 0, 0]]).expand(24, 6) * 5
    assert load_balance_loss(even, SPEC) == pytest.approx(2.0, rel=1e-4)
    assert load_balance_loss(stuck, SPEC) == pytest.approx(6.0, rel=1e-4)
    with pytest.raises(InputError, match="no experts"):
        load_balance_loss(Routes(), SPEC)


def test_recomputing_a_block_takes_nothing_down_twice(tmp_path: Path) -> None:
    _, model = tiny(tmp_path, "mixtral")
    ids = random_ids(83)
    losses, gradients = [], []
    for again in (False, True):
        model.zero_grad()
        forwards = [block.forward for block in model.blocks]
        if again:
            for block, forward in zip(model.blocks, forwards, strict=True):
                block.forward = lambda *args, inner=forward: recomputed(
                    inner, *args, use_reentrant=False
                )
        logits, routes = routed(model, ids)
        assert model.config.experts is not None
        loss = logits.logsumexp(-1).mean() + load_balance_loss(routes, model.config.experts)
        loss.backward()
        losses.append(loss.detach())
        gradients.append(model.blocks[1].mlp.router.weight.grad.clone())
    assert torch.equal(*losses)
    torch.testing.assert_close(*gradients)


def test_routers_are_float32_in_every_model(tmp_path: Path) -> None:
    build("qwen2moe", 84).save_pretrained(tmp_path)
    model = load_model(open_checkpoint(tmp_path), dtype=torch.bfloat16)
    experts = model.blocks[0].mlp
    assert isinstance(experts, Experts)
    assert experts.router.weight.dtype == torch.float32
    assert experts.experts[0].down.weight.dtype == torch.bfloat16
    logits, routes = routed(model, random_ids(85))
    assert routes.logits[0].dtype == logits.dtype == torch.float32


def test_the_coefficient_is_the_files(tmp_path: Path) -> None:
    settings = {"model_type": "mixtral", **BASE, **FAMILY_SETTINGS["mixtral"]}
    for value in (0.001, 0.02, 0.0):
        config = config_from_hf({**settings, "router_aux_loss_coef": value})
        assert config.experts is not None
        assert config.experts.balance == value


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"num_experts_per_tok": 9}, "9 of 5 experts"),
        ({"num_experts_per_tok": 0}, "per_token is 0"),
        ({"num_local_experts": 0}, "count is 0"),
        ({"num_local_experts": 1 << 40}, "count is"),
        ({"router_aux_loss_coef": -1.0}, "balance"),
    ],
)
def test_impossible_mixtures_are_refused(changes: dict[str, Any], word: str) -> None:
    settings = {"model_type": "mixtral", **BASE, **FAMILY_SETTINGS["mixtral"]}
    with pytest.raises(FormatError, match=word):
        config_from_hf({**settings, **changes})


def test_what_contradicts_itself_is_refused() -> None:
    settings = {"model_type": "mixtral", **BASE, **FAMILY_SETTINGS["mixtral"]}
    config = config_from_hf(settings)
    with pytest.raises(FormatError, match="2 entries for 4 layers"):
        replace(config, experts=replace(SPEC, layers=(True, False)))
    with pytest.raises(FormatError, match="No layer has experts"):
        replace(SPEC, layers=(False, False))
    with pytest.raises(FormatError, match="add up to one"):
        replace(SPEC, scoring="topk_softmax", normalized=True)
    with pytest.raises(FormatError, match="gated"):
        replace(config, gated=False)
