"""Recurrent layers: fast forms against slow ones, and the same answer however they are cut."""

from __future__ import annotations

import math

import pytest
import torch

from kataribe.make.model.configs.mixer_config import HyenaSpec, Mamba2Spec, MambaSpec
from kataribe.make.model.layers import hyena, mamba, mamba2, selective_scan, state_space_dual
from kataribe.make.model.layers.hyena import Hyena, convolution_reference, long_convolution
from kataribe.make.model.layers.mamba import Mamba
from kataribe.make.model.layers.mamba2 import Mamba2
from kataribe.make.model.layers.recurrence import ShortConvolution, beginnings

HIDDEN, LENGTH = 10, 37
BUILD = {
    "mamba": lambda: Mamba(MambaSpec(12, 5, 4, 3), HIDDEN, 0, 1e-5),
    "mamba norms": lambda: Mamba(MambaSpec(12, 5, 3, 3, norms=True, bias=True), HIDDEN, 0, 1e-5),
    "mamba2": lambda: Mamba2(Mamba2Spec(6, 4, 5, 3, 4), HIDDEN, 0, 1e-5),
    "mamba2 limits": lambda: Mamba2(
        Mamba2Spec(4, 3, 5, 1, 1, step_limits=(0.3, 0.9), bias=True), HIDDEN, 0, 1e-5
    ),
    "hyena": lambda: Hyena(HyenaSpec(features=5, filter_width=8), HIDDEN, 0, 64),
    "hyena 4": lambda: Hyena(
        HyenaSpec(order=4, kernel=1, features=3, filter_width=8, filter_layers=1), HIDDEN, 0, 64
    ),
}


def build(name):
    torch.manual_seed(3)
    layer = BUILD[name]()
    with torch.no_grad():
        for part in layer.parameters():
            part.add_(0.4 * torch.randn(part.shape))
    return layer


class Keeping:
    """A past for rows of one length that says which tokens are the first of their document."""

    def __init__(self, fresh=None):
        self.state = None
        self.fresh = fresh

    def recur(self, layer, x, recurrence):
        state = recurrence.start(len(x), x) if self.state is None else self.state
        out, self.state = recurrence.advance(x, state, self.fresh)
        return out


def inputs(rows=2, seed=4):
    return torch.randn(rows, LENGTH, HIDDEN, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("chunks", [[1] * LENGTH, [5, 1, 1, 17, 2, 11], [36, 1]])
@pytest.mark.parametrize("name", BUILD)
def test_reading_in_parts_is_reading_at_once(name, chunks):
    layer, x = build(name), inputs()
    with torch.no_grad():
        whole = Keeping()
        expected = layer(x, whole)
        assert expected.std() > 0.1
        past = Keeping()
        parts = [layer(part, past) for part in x.split(chunks, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), expected, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(past.state, whole.state, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BUILD)
def test_documents_of_a_row_do_not_know_of_each_other(name):
    layer, x = build(name), inputs()
    cuts = [[0, 1, 9, 30], [0, 17, 18, 36]]
    fresh = torch.zeros(2, LENGTH, dtype=torch.bool)
    for row, starts in enumerate(cuts):
        fresh[row, starts] = True
    past = Keeping(fresh)
    with torch.no_grad():
        packed = layer(x, past)
        for row, starts in enumerate(cuts):
            for low, high in zip(starts, [*starts[1:], LENGTH], strict=True):
                alone = Keeping()
                expected = layer(x[row : row + 1, low:high], alone)
                torch.testing.assert_close(
                    packed[row : row + 1, low:high], expected, rtol=1e-4, atol=1e-5
                )
        ours, theirs = past.state[-1][1:], alone.state[-1]  # the last document of the last row
    if layer.fixed:
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    else:  # what lies before it is kept as nothing
        torch.testing.assert_close(ours[:, -1:], theirs, rtol=1e-4, atol=1e-5)
        assert not ours[:, :-1].any()
    torch.testing.assert_close(past.state[0][1:], alone.state[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", BUILD)
def test_a_document_that_goes_on_in_the_next_part_keeps_its_past_alone(name):
    layer, x = build(name), inputs()
    fresh = torch.zeros(2, LENGTH, dtype=torch.bool)
    fresh[0, 7], fresh[1, 20] = True, True
    with torch.no_grad():
        expected = layer(x, Keeping(fresh))
        past, parts = Keeping(), []
        for low, high in ((0, 12), (12, 25), (25, LENGTH)):
            past.fresh = fresh[:, low:high]
            parts.append(layer(x[:, low:high], past))
    torch.testing.assert_close(torch.cat(parts, dim=1), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["mamba", "mamba norms", "mamba2", "mamba2 limits", "hyena"])
def test_outputs_and_gradients_are_those_of_the_slow_form(name, packed, monkeypatch):
    fresh = torch.rand(2, LENGTH, generator=torch.Generator().manual_seed(1)) < 0.15
    monkeypatch.setattr(selective_scan, "PORTION_VALUES", 2 * 12 * 5 * 7)
    monkeypatch.setattr(state_space_dual, "CHUNK", 8)
    found = []
    for slow in (False, True):
        if slow:
            monkeypatch.setattr(mamba, "selective_scan", selective_scan.scan_reference)
            monkeypatch.setattr(mamba2, "dual_scan", state_space_dual.dual_reference)
            monkeypatch.setattr(hyena, "long_convolution", convolution_reference)
        layer = build(name)
        x = inputs().requires_grad_()
        past = Keeping(fresh if packed else None)
        out = layer(x, past)
        loss = out.sin().sum() + past.state[-1].cos().sum()
        loss.backward()
        found.append([out.detach(), x.grad, *(part.grad for part in layer.parameters())])
    for fast, slow in zip(*found, strict=True):
        assert (fast - slow).abs().max() <= 1e-4 * slow.abs().max()


def _scan_inputs(rows=2, seq=23, channels=3, states=4):
    draw = torch.Generator().manual_seed(8)

    def random(*shape):
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    return [
        random(rows, seq, channels),
        random(rows, seq, channels).exp(),
        -random(channels, states).exp(),
        random(rows, seq, states),
        random(rows, seq, states),
        random(rows, channels, states),
    ]


@pytest.mark.parametrize("portion", [1, 2 * 3 * 4 * 5, 1 << 19])
@pytest.mark.parametrize("packed", [False, True])
def test_the_selective_scan_with_a_state_before_it(portion, packed, monkeypatch):
    monkeypatch.setattr(selective_scan, "PORTION_VALUES", portion)
    fresh = torch.rand(2, 23, generator=torch.Generator().manual_seed(2)) < 0.2
    found = []
    for scan in (selective_scan.selective_scan, selective_scan.scan_reference):
        given = [part.clone().requires_grad_() for part in _scan_inputs()]
        y, h = scan(*given, fresh if packed else None)
        (y.sin().sum() + h.cos().sum()).backward()
        found.append([y.detach(), h.detach(), *(part.grad for part in given)])
    for fast, slow in zip(*found, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-10, atol=1e-10)


def test_the_selective_scan_passes_the_numerical_check_of_its_gradients(monkeypatch):
    monkeypatch.setattr(selective_scan, "PORTION_VALUES", 1 * 2 * 2 * 2)
    given = [part.requires_grad_() for part in _scan_inputs(1, 5, 2, 2)]
    fresh = torch.tensor([[False, False, True, False, False]])
    assert torch.autograd.gradcheck(
        lambda *parts: selective_scan.selective_scan(*parts, fresh), given
    )


@pytest.mark.parametrize("chunk", [1, 5, 64])
@pytest.mark.parametrize("packed", [False, True])
def test_the_dual_scan_with_a_state_before_it(chunk, packed, monkeypatch):
    monkeypatch.setattr(state_space_dual, "CHUNK", chunk)
    draw = torch.Generator().manual_seed(9)

    def random(*shape):
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    fresh = torch.rand(2, 23, generator=draw) < 0.2
    inputs = [random(2, 23, 6, 4), random(2, 23, 6).exp(), -random(6).exp(), random(2, 23, 3, 5)]
    inputs += [random(2, 23, 3, 5), random(2, 6, 4, 5)]
    found = []
    for scan in (state_space_dual.dual_scan, state_space_dual.dual_reference):
        given = [part.clone().requires_grad_() for part in inputs]
        y, h = scan(*given, fresh if packed else None)
        (y.sin().sum() + h.cos().sum()).backward()
        found.append([y.detach(), h.detach(), *(part.grad for part in given)])
    for fast, slow in zip(*found, strict=True):
        torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-9)


def test_decays_that_leave_nothing_are_no_nan():
    x, _, _, b, c, h = (part.float() for part in _scan_inputs())
    step, a = torch.full_like(x, 1e4), torch.full((3, 4), -1e4)
    y, _ = selective_scan.selective_scan(x, step, a, b, c, h, None)
    assert y.isfinite().all()
    heads = torch.full((2, 23, 1), 1e4)
    y, _ = state_space_dual.dual_scan(
        x[:, :, None], heads, torch.tensor([-1e4]), b[:, :, None], c[:, :, None], h[:, None], None
    )
    assert y.isfinite().all()


@pytest.mark.parametrize("earlier", [0, 9])
def test_the_long_convolution_is_the_direct_one(earlier):
    draw = torch.Generator().manual_seed(5)
    x, before = torch.randn(2, 20, 3, generator=draw), torch.randn(2, earlier, 3, generator=draw)
    taps = torch.randn(earlier + 20, 3, generator=draw)
    for fresh in (None, torch.rand(2, 20, generator=draw) < 0.2, torch.ones(2, 20) > 0):
        torch.testing.assert_close(
            long_convolution(x, before, taps, fresh),
            convolution_reference(x, before, taps, fresh),
            rtol=1e-4,
            atol=1e-5,
        )


def test_filters_are_computed_anew_when_a_parameter_changes():
    layer, x = build("hyena"), inputs()
    with torch.no_grad():
        before = layer(x, Keeping())
        assert torch.equal(layer(x, Keeping()), before)
        layer.filter.frequency.mul_(1.5)
        after = layer(x, Keeping())
    assert not torch.allclose(before, after, atol=1e-3)
    torch.testing.assert_close(layer(x, Keeping()).detach(), after)  # with gradients: not kept


def test_the_short_convolution_is_that_of_torch():
    torch.manual_seed(1)
    ours = ShortConvolution(6, 4, bias=True)
    x = torch.randn(2, 9, 6)
    expected = torch.nn.functional.conv1d(
        torch.nn.functional.pad(x.transpose(1, 2), (3, 0)), ours.weight, ours.bias, groups=6
    )
    out, window = ours.advance(x, ours.start(2, x))
    torch.testing.assert_close(out, expected.transpose(1, 2))
    torch.testing.assert_close(window, x[:, -3:].transpose(1, 2))


def test_where_rows_begin_anew():
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 0], [1, 0, 1, 1]])
    documents = torch.tensor([[0, 0, 0, 1], [0, 1, 1, -1], [0, 0, 0, 0]])
    assert beginnings(None, None) is None
    assert beginnings(mask[1:2], documents[2:]) is None
    assert beginnings(mask, None).int().tolist() == [[0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 1, 0]]
    assert beginnings(None, documents).int().tolist() == [[0, 0, 0, 1], [0, 1, 0, 1], [0] * 4]
    assert beginnings(mask, documents).int().tolist() == [
        [0, 0, 1, 1], [0, 1, 0, 1], [0, 0, 1, 0]
    ]  # fmt: skip


def test_first_values_are_those_of_the_papers():
    torch.manual_seed(0)
    layer = Mamba(MambaSpec(64, 8, 4, 3), HIDDEN, 0, 1e-5)
    steps = torch.nn.functional.softplus(layer.step.bias)
    assert mamba.STEP_RANGE[0] * 0.999 < steps.min()
    assert steps.max() < mamba.STEP_RANGE[1] * 1.001
    torch.testing.assert_close(layer.A_log.exp(), torch.arange(1.0, 9).expand(64, 8))
    two = Mamba2(Mamba2Spec(6, 4, 5, 3, 4), HIDDEN, 0, 1e-5)
    torch.testing.assert_close(two.A_log.exp(), torch.arange(1.0, 7))
    decays = hyena.Filters(HyenaSpec(), 7, 100)
    with torch.no_grad():
        decays.last.weight.fill_(1.0)
        shape = decays(100)[:, 0] / decays(100)[:, 0, :1]
    # At the end of the context the fastest channel has fallen to 1 % 1 / 0.3 times.
    ratio = 0.01 ** (1 / 0.3) / 0.01 ** (1 / 1.5)
    assert math.isclose(shape[-1, -1].item(), ratio, rel_tol=1e-3)
