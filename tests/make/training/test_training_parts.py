"""The loop's parts against slow references that one can read."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from kataribe.base.errors import InputError
from kataribe.make.model.layers.attention import CausalAttend
from kataribe.make.training import cross_entropy
from kataribe.make.training.block_attention import (
    UNSEEN,
    attend_by_blocks,
    attend_by_fused_blocks,
)
from kataribe.make.training.config import Optimisation
from kataribe.make.training.cross_entropy import linear_cross_entropy
from kataribe.make.training.fast_view import fast_view
from kataribe.make.training.fresh import fresh_decoder
from kataribe.make.training.optimisers import Muon, Optimisers, divide, orthogonalise
from kataribe.make.training.packed import PackedAttend
from kataribe.make.training.schedules import share_at
from kataribe.make.training.trainee import blocks
from tests.make.training.toys import tiny_config


@pytest.mark.parametrize(("softcap", "compiled"), [(None, False), (None, True), (3.0, False)])
def test_the_heads_loss_is_pytorchs(
    monkeypatch: pytest.MonkeyPatch, softcap: float | None, *, compiled: bool
) -> None:
    fused: list[int] = []

    def plain(logits: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        fused.append(len(logits))
        return cross_entropy._plain_losses(logits, *rest)

    monkeypatch.setattr(cross_entropy, "_compiled_losses", lambda: plain)
    monkeypatch.setattr(cross_entropy, "CHUNK_VALUES", 3 * 11)
    monkeypatch.setattr(cross_entropy, "FUSED_VALUES", 3 * 11)
    monkeypatch.setattr(cross_entropy, "BLOCK_VALUES", 7 * 11)
    torch.manual_seed(1)
    hidden = torch.randn(17, 5, requires_grad=True)
    weight = torch.randn(11, 5, requires_grad=True)
    targets = torch.randint(0, 11, (17,))
    targets[[2, 9, 10]] = -100
    logits = hidden @ weight.T
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    wanted = functional.cross_entropy(logits, targets, reduction="sum")
    (0.5 * wanted).backward()
    grads = hidden.grad, weight.grad
    hidden.grad = weight.grad = None
    found = linear_cross_entropy(hidden, weight, targets, softcap, compiled=compiled)
    assert fused == ([3, 3, 3, 3] if compiled else [])  # of 14; 7 a block, of which one is left
    (0.5 * found).backward()
    torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(hidden.grad, grads[0])
    torch.testing.assert_close(weight.grad, grads[1])
    with torch.no_grad():
        torch.testing.assert_close(linear_cross_entropy(hidden, weight, targets, softcap), wanted)
    nothing = linear_cross_entropy(hidden, weight, torch.full((17,), -100), softcap)
    assert nothing.item() == 0.0


def test_products_of_the_head_have_few_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library keeps every shape that it was given, so they are rounded up."""
    monkeypatch.setattr(cross_entropy, "ROUND", 8)
    shapes: set[tuple[int, ...]] = set()

    class Watched(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if func in (torch.mm, torch.Tensor.matmul, torch.Tensor.__matmul__):
                shapes.add((*args[0].shape, *args[1].shape))
            return func(*args, **(kwargs or {}))

    hidden = torch.randn(24, 5, requires_grad=True)
    weight = torch.randn(11, 5, requires_grad=True)
    targets = torch.randint(0, 11, (24,))
    with Watched():
        for count in range(1, 17):
            linear_cross_entropy(hidden[:count], weight, targets[:count]).backward()
    assert len(shapes) == 2 * 3  # 8 or 16 places: logits, to hidden vectors, to the weight
    few, many = hidden[:3].detach(), hidden[:11].detach()
    exact = functional.cross_entropy(many @ weight.T, targets[:11], reduction="sum")
    torch.testing.assert_close(linear_cross_entropy(many, weight, targets[:11]), exact)
    exact = functional.cross_entropy(few @ weight.T, targets[:3], reduction="sum")
    torch.testing.assert_close(linear_cross_entropy(few, weight, targets[:3]), exact)


def slow_adamw(
    value: torch.Tensor, gradients: list[torch.Tensor], how: Optimisation, decay: float
) -> torch.Tensor:
    """Loshchilov and Hutter 2019, algorithm 2."""
    mean, square = torch.zeros_like(value), torch.zeros_like(value)
    for step, gradient in enumerate(gradients, 1):
        value = value - how.learning_rate * decay * value
        mean = how.beta1 * mean + (1 - how.beta1) * gradient
        square = how.beta2 * square + (1 - how.beta2) * gradient**2
        direction = mean / (1 - how.beta1**step)
        size = (square / (1 - how.beta2**step)).sqrt() + how.epsilon
        value = value - how.learning_rate * direction / size
    return value


def slow_muon(
    value: torch.Tensor, gradients: list[torch.Tensor], how: Optimisation
) -> torch.Tensor:
    """Jordan et al. 2024 with the scale of Liu et al. 2025, one matrix at a time, in float32."""
    average = torch.zeros_like(value)
    for gradient in gradients:
        average = how.momentum * average + (1 - how.momentum) * gradient
        ahead = how.momentum * average + (1 - how.momentum) * gradient
        x = ahead / ahead.norm()
        x = x.T if x.shape[0] > x.shape[1] else x
        for _ in range(5):
            square = x @ x.T
            x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
        x = x.T if value.shape[0] > value.shape[1] else x
        value = value * (1 - how.learning_rate * how.weight_decay)
        value = value - how.learning_rate * 0.2 * math.sqrt(max(value.shape)) * x
    return value


def test_optimisers_are_the_slow_ones() -> None:
    torch.manual_seed(2)
    shapes = {
        "embed.weight": (9, 4), "blocks.0.mlp.up.weight": (6, 4),
        "blocks.0.mlp.down.weight": (4, 6),
        "blocks.1.mlp.up.weight": (6, 4), "norm.weight": (4,), "head.weight": (9, 4),
    }  # fmt: skip
    named = {name: torch.nn.Parameter(torch.randn(shape)) for name, shape in shapes.items()}
    before = {name: value.detach().clone() for name, value in named.items()}
    how = Optimisation(learning_rate=0.1, weight_decay=0.2)
    inner, matrices, vectors = divide(named, how)
    assert [len(inner), len(matrices), len(vectors)] == [3, 2, 1]
    optimiser = Optimisers(named, how)
    gradients: dict[str, list[torch.Tensor]] = {name: [] for name in named}
    for _ in range(3):
        for name, value in named.items():
            value.grad = torch.randn(value.shape)
            gradients[name].append(value.grad.clone())
        assert optimiser.step(1.0) == 0.1
    for name, value in named.items():
        if name.startswith("blocks"):
            wanted = slow_muon(before[name], gradients[name], how)
            # Orthogonal matrices to bfloat16: 8 bits.
            torch.testing.assert_close(value.detach(), wanted, rtol=0.05, atol=0.02)
            assert (value.detach() - before[name]).abs().max() > 0.05
        else:
            decay = 0.0 if value.dim() < 2 else how.weight_decay
            wanted = slow_adamw(before[name], gradients[name], how, decay)
            torch.testing.assert_close(value.detach(), wanted, rtol=1e-4, atol=1e-5)


def test_orthogonal_matrices_keep_their_directions() -> None:
    torch.manual_seed(3)
    matrix = torch.randn(12, 5)
    found = orthogonalise(matrix)
    left, sizes, right = torch.linalg.svd(matrix, full_matrices=False)
    inside = left.T @ found @ right.T
    assert sizes.min() > 0
    diagonal = inside.diagonal()
    assert diagonal.min() > 0.6
    assert diagonal.max() < 1.3
    assert (inside - torch.diag_embed(diagonal)).abs().max() < 0.05
    torch.testing.assert_close(orthogonalise(matrix.T), found.T)


def test_muon_is_for_matrices_inside_only() -> None:
    model = fresh_decoder(tiny_config(tied=False), 0)
    inner, _, _ = divide(dict(model.named_parameters()), Optimisation())
    names = {id(value): name for name, value in model.named_parameters()}
    assert all(names[id(each)].startswith("blocks.") for each in inner)
    assert len(inner) == 2 * 7
    optimiser = Optimisers(dict(model.named_parameters()), Optimisation())
    assert any(isinstance(each, Muon) for each in optimiser._all)


@pytest.mark.parametrize(
    ("schedule", "shape", "expected"),
    [
        ("wsd", "linear", [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]),
        ("wsd", "sqrt", [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 0.5, 1 - 0.5**0.5, 1 - 0.75**0.5]),
        ("constant", "linear", [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_schedules(schedule: str, shape: str, expected: list[float]) -> None:
    how = Optimisation(
        schedule=schedule,
        decay_shape=shape,
        warmup=2,
        decay_share=0.3,  # type: ignore[arg-type]
    )
    assert [share_at(step, 10, how) for step in range(10)] == pytest.approx(expected)


def test_cosine_falls_to_its_share() -> None:
    how = Optimisation(schedule="cosine", warmup=0, final_share=0.1)
    found = [share_at(step, 1000, how) for step in range(1000)]
    assert found == sorted(found, reverse=True)
    assert found[0] == pytest.approx(1.0, abs=0.01)
    assert found[-1] == pytest.approx(0.1, abs=0.01)
    assert found[499] == pytest.approx(0.55, abs=0.01)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("window", [None, 5])
def test_packed_rows_see_their_own_document(
    monkeypatch: pytest.MonkeyPatch, *, compiled: bool, window: int | None
) -> None:
    monkeypatch.setattr("kataribe.make.training.block_attention.BLOCK", 4)
    torch.manual_seed(4)
    config = tiny_config(windows=(window, window))
    documents = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2, 2, -1], [0] * 10])
    q = torch.randn(2, 10, 4, 8)
    k, v = torch.randn(2, 10, 2, 8), torch.randn(2, 10, 2, 8)
    found = PackedAttend(config, documents, compiled=compiled)(0, q, k, v)
    whole = CausalAttend(config)
    for row, start, end in ((0, 0, 3), (0, 3, 7), (0, 7, 9), (1, 0, 10)):
        part = (slice(row, row + 1), slice(start, end))
        torch.testing.assert_close(found[part], whole(0, q[part], k[part], v[part]))
    assert bool(found.isfinite().all())


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("fused", [False, True])
def test_blocks_of_attention_have_the_gradients_of_the_whole(
    monkeypatch: pytest.MonkeyPatch, *, packed: bool, fused: bool
) -> None:
    monkeypatch.setattr("kataribe.make.training.block_attention.BLOCK", 4)
    torch.manual_seed(6)
    q, k, v = (torch.randn(2, 3, 10, 4, dtype=torch.float64, requires_grad=True) for _ in range(3))
    documents = torch.tensor([[0] * 4 + [1] * 6, [0] * 10])
    visible = torch.ones(10, 10, dtype=torch.bool).tril()[None, None]
    if packed:
        visible = visible & (documents[:, None, :, None] == documents[:, None, None])
    unseen = ~visible if packed else None
    added = torch.where(visible, 0.0, UNSEEN).bfloat16()

    def attend(*qkv: torch.Tensor) -> torch.Tensor:
        if fused:
            return attend_by_fused_blocks(*qkv, 0.3, added)
        return attend_by_blocks(*qkv, 0.3, unseen)

    whole = functional.scaled_dot_product_attention(q, k, v, visible, scale=0.3)
    found = attend(q, k, v)
    torch.testing.assert_close(found, whole)
    above = torch.randn_like(whole)
    exact = torch.autograd.grad(whole, (q, k, v), above)
    for ours, theirs in zip(torch.autograd.grad(found, (q, k, v), above), exact, strict=True):
        torch.testing.assert_close(ours, theirs)
    half = [each.detach().bfloat16().requires_grad_() for each in (q, k, v)]
    rounded = attend(*half)
    grads = torch.autograd.grad(rounded, half, above.bfloat16())
    for ours, theirs in zip(grads, exact, strict=True):
        assert ours.dtype == torch.bfloat16
        torch.testing.assert_close(ours.double(), theirs, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("compiled", [False, True])
def test_scores_with_a_softcap_are_capped_in_packed_rows(*, compiled: bool) -> None:
    torch.manual_seed(5)
    config = tiny_config(attention_softcap=2.0)
    q, k = 9 * torch.randn(1, 6, 4, 8), torch.randn(1, 6, 2, 8)
    found = PackedAttend(config, torch.zeros(1, 6, dtype=torch.int), compiled=compiled)(0, q, k, k)
    torch.testing.assert_close(found, CausalAttend(config)(0, q, k, k))
    plain = CausalAttend(tiny_config())(0, q, k, k)
    assert (found - plain).abs().max() > 0.1


def test_a_fast_view_shares_its_weights() -> None:
    model = fresh_decoder(tiny_config(), 0)
    view = fast_view(model, rounded=True)
    assert [id(each) for each in view.parameters()] == [id(each) for each in model.parameters()]
    assert view.head.weight is view.embed.weight is model.embed.weight
    assert len(blocks(view)) == 2
    assert view.blocks[0] is not model.blocks[0]
    ids = torch.randint(0, 40, (2, 9))
    positions = torch.arange(9).expand(2, -1)
    plain = model(ids, positions, CausalAttend(model.config))
    fast = view(ids, positions, CausalAttend(model.config))
    assert fast.dtype == torch.bfloat16
    torch.testing.assert_close(fast.float(), plain, rtol=0.1, atol=0.1)
    fast.float().square().sum().backward()
    assert model.embed.weight.grad is not None
    assert model.embed.weight.grad.dtype == torch.float32


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"optimiser": "sgd"}, "optimiser is 'sgd'; it can be muon or adamw"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be above 0 and at most 10"),
        ({"beta1": 1.0}, "below 1"),
        ({"warmup": -1}, "whole number of at least 0"),
        ({"clip": float("nan")}, "clip is nan"),
    ],
)
def test_settings_out_of_range(values: dict[str, float | str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Optimisation(**values)  # type: ignore[arg-type]
