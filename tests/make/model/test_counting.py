"""Counts against the thing itself: torch's parameters and torch's own counter of operations."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from kataribe.make.model.configs.counting import (
    active_parameters,
    cache_bytes_per_token,
    cache_tokens,
    flops_per_token,
    parameter_count,
    state_bytes,
)
from kataribe.make.model.layers.attention import CachedAttend, CausalAttend
from kataribe.make.model.weights.checkpoint import open_checkpoint
from kataribe.make.model.weights.loading import load_model
from tests.parity.tiny import CLASSES, build, random_ids


@pytest.mark.parametrize("family", CLASSES)
def test_counts_are_exact(tmp_path: Path, family: str) -> None:
    theirs = build(family, 91)
    theirs.save_pretrained(tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    config = checkpoint.config
    assert parameter_count(config) == theirs.num_parameters()
    model = load_model(checkpoint)
    for position in (0, 12):
        counted = _counted(model, position)
        full = position + 1
        seen = cache_tokens(config, full)
        # The plain cache multiplies with what the window hides, too.
        attending = config.mixers.count("attention")
        hidden = 4 * config.heads * config.head_dim * (attending * full - seen)
        plain = sum(_plain_products(config, mixer) for mixer in config.mixers)
        assert counted == flops_per_token(config, position) + hidden - 2 * plain
    cache = CachedAttend(config, 13)
    with torch.inference_mode():
        model(random_ids(93, 1, 13), torch.arange(13)[None], cache)
    kept = cache._keys.nbytes + cache._values.nbytes
    assert kept == 13 * cache_bytes_per_token(config, 4)
    held = sum(part.nbytes for state in cache.states.values() for part in state)
    assert held == state_bytes(config, 13)


def _plain_products(config, mixer: str) -> int:
    """Of one token, that are no product of matrices, so that torch does not count them."""
    if mixer == "mamba":  # the convolution, the decay of the states, and what comes to them
        return config.mamba.width * (config.mamba.kernel + 2 * config.mamba.states)
    if mixer == "mamba2":
        spec = config.mamba2
        return spec.convolved * spec.kernel + 2 * spec.heads * spec.head_dim * spec.states
    return 0


@pytest.mark.parametrize("family", ["mixtral", "qwen2moe", "qwen3moe", "llama", "bitnet", "jamba"])
def test_active_parameters_are_those_that_a_token_moves(tmp_path: Path, family: str) -> None:
    """A parameter takes part in a token's logits where its gradient is not nothing."""
    build(family, 94).save_pretrained(tmp_path)
    model = load_model(open_checkpoint(tmp_path))
    attend = CausalAttend(model.config)
    ids = random_ids(95, 1, 1)
    model.logits(model(ids, torch.zeros_like(ids), attend)).square().sum().backward()
    met = 0
    for name, value in model.named_parameters():
        assert value.grad is not None
        # Of the embedding one row is met, but all of it is the model's; one token alone gives
        # q and k no gradient, though they are met.
        # A state that nothing came into before gives what moves it none either.
        recurrent = family == "jamba" and ".experts." not in name
        if recurrent or bool(value.grad.any()) or ".project." in name or "_norm" in name:
            met += value.numel()
    assert met == active_parameters(model.config)
    if family in ("llama", "bitnet"):
        assert met == parameter_count(model.config)


def _counted(model: torch.nn.Module, position: int) -> int:
    config = model.config
    attend = CachedAttend(config, position + 1)
    ids = random_ids(92, 1, position + 1)
    with torch.inference_mode():
        if position:
            model(ids[:, :-1], torch.arange(position)[None], attend)
    plain = sdpa_kernel(SDPBackend.MATH)  # torch does not count its fused attention on the CPU
    with FlopCounterMode(display=False) as counter, torch.no_grad(), plain:
        model.logits(model(ids[:, -1:], torch.tensor([[position]]), attend))
    return int(counter.get_total_flops())


def test_the_cache_of_the_default_model(smollm2_path: Path) -> None:
    config = open_checkpoint(smollm2_path).config
    assert parameter_count(config) == 134_515_008
    assert cache_bytes_per_token(config) == 2 * 30 * 3 * 64 * 2
    assert cache_bytes_per_token(config, 4) == 2 * 30 * 3 * 64 * 4


def test_windows_bound_what_is_kept(tmp_path: Path) -> None:
    build("gemma3", 93).save_pretrained(tmp_path)
    config = open_checkpoint(tmp_path).config
    assert config.windows == (6, 6, None, 6)
    assert cache_tokens(config, 4) == 16
    assert cache_tokens(config, 100) == 118
