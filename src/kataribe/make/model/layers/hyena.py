"""The Hyena layer: gated long convolutions whose filters a small network makes (Poli et al. 2023).

A sequence is read whole in seq log(seq) steps by Fourier transform. To write one token more, all
tokens before it are weighed anew: as much work and as much memory for each token as attention
needs, with no short cut here. So it is for training and for reading, not for long replies.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from kataribe.base.errors import ContextLengthError
from kataribe.make.model.configs.mixer_config import HyenaSpec
from kataribe.make.model.layers.past import Past
from kataribe.make.model.layers.recurrence import Float32Linear, ShortConvolution, State, accepted

_FALLEN = math.log(0.01)
"""To what a filter has fallen at the end of its decay."""


class Hyena(nn.Module):
    """Projects to gates and values, convolves short, then gates and convolves long in turn.

    With gates x[0] .. x[order - 1] and v: v = filter(v * x[i]) for i from the last to 1, and then
    v * x[0]. A `Recurrence`: what is computed along the sequence is float32 in every model.
    """

    fixed = False

    def __init__(self, spec: HyenaSpec, hidden_size: int, layer: int, context: int) -> None:
        super().__init__()
        self.layer, self.spec, self.width = layer, spec, hidden_size
        inward = (spec.order + 1) * hidden_size
        self.input = nn.Linear(hidden_size, inward)
        self.conv = ShortConvolution(inward, spec.kernel, bias=True)
        self.filter = Filters(spec, hidden_size, context)
        self.output = nn.Linear(hidden_size, hidden_size)

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """(..., hidden_size) to the same."""
        read = past.recur(self.layer, self.input(accepted(self.input, x, x.dtype)), self)
        out: Tensor = self.output(accepted(self.output, read, x.dtype))
        return out.to(x.dtype)

    def start(self, rows: int, like: Tensor) -> State:
        """The window, and what each long convolution was given: (rows, 0, order - 1, width)."""
        given = torch.zeros(rows, 0, self.spec.order - 1, self.width, device=like.device)
        return self.conv.start(rows, like), given

    def advance(self, x: Tensor, state: State, fresh: Tensor | None) -> tuple[Tensor, State]:
        """float32 (rows, seq, width) from (rows, seq, (order + 1) * width); see `Recurrence`."""
        short, window = self.conv.advance(x, state[0], fresh)
        *gates, v = torch.split(short, self.width, dim=-1)
        filters = self.filter(state[1].shape[1] + x.shape[1])  # (length, order - 1, width)
        given = []
        for number, gate in enumerate(reversed(gates[1:])):
            v = v * gate
            given.append(v)
            bias = self.filter.bias[number]
            v = long_convolution(v, state[1][:, :, number], filters[:, number], fresh) + v * bias
        kept = torch.cat([state[1], torch.stack(given, dim=2)], dim=1)
        if fresh is not None:
            kept = kept * _since_last(fresh, kept.shape[1])[..., None, None]
        return v * gates[0], (window, kept)


class Filters(nn.Module):
    """The long filters: a network of sines from positions to taps, times a decay by channel."""

    def __init__(self, spec: HyenaSpec, width: int, context: int) -> None:
        super().__init__()
        self.spec, self.width, self.context = spec, width, context
        widths = [spec.features, *[spec.filter_width] * (spec.filter_layers + 1)]
        self.layers = nn.ModuleList(
            Float32Linear(before, after) for before, after in pairwise(widths)
        )
        self.frequency = nn.Parameter(torch.full((spec.filter_width,), spec.frequency))
        self.last = Float32Linear(spec.filter_width, (spec.order - 1) * width, bias=False)
        self.bias = nn.Parameter(torch.ones(spec.order - 1, width))
        self._kept: tuple[tuple[int, ...], Tensor] | None = None

    def forward(self, length: int) -> Tensor:
        """(length, order - 1, width): taps for the token itself, the one before it, and so on.

        Without gradients they are computed once for the whole context and kept until a parameter
        changes.
        """
        if length > self.context:
            raise ContextLengthError(length, self.context)
        if torch.is_grad_enabled():
            return self._compute(length)
        versions = tuple(
            number
            for part in self.parameters()
            for number in (id(part), part.data_ptr(), _age(part))
        )
        if self._kept is None or self._kept[0] != versions:
            self._kept = versions, self._compute(self.context)
        return self._kept[1][:length]

    def _compute(self, length: int) -> Tensor:
        device = self.frequency.device
        positions = torch.arange(length, device=device, dtype=torch.float32)
        share = positions / max(1, self.context - 1)  # (length,)
        bands = (self.spec.features - 1) // 2
        rates = torch.linspace(1e-4, max(bands - 1, 1e-4), bands, device=device)
        angles = 2 * math.pi / self.context * positions[:, None] * rates
        x = torch.cat([share[:, None], angles.cos(), -angles.sin()], dim=-1)
        for layer in self.layers:
            x = torch.sin(self.frequency * layer(x))
        taps = self.last(x).unflatten(-1, (-1, self.width))  # (length, order - 1, width)
        fast, slow = -_FALLEN / self.spec.fast_decay, -_FALLEN / self.spec.slow_decay
        decays = torch.linspace(slow, fast, self.width, device=device)
        out: Tensor = taps * torch.exp(-share[:, None, None] * decays)
        return out


def long_convolution(x: Tensor, before: Tensor, taps: Tensor, fresh: Tensor | None) -> Tensor:
    """(rows, seq, width): each channel of x, and of what came before it, convolved with its taps.

    Args:
        x: (rows, seq, width).
        before: (rows, earlier, width).
        taps: (earlier + seq, width).
        fresh: (rows, seq), true where what came before is forgotten; None for nowhere.
    """
    if fresh is not None:
        return _by_document(x, before, taps, fresh)
    seq = x.shape[1]
    whole = torch.cat([before, x], dim=1) if before.shape[1] else x
    if seq == 1:
        return (whole * taps.flip(0)).sum(1, keepdim=True)
    size = whole.shape[1] + taps.shape[0]
    heard = torch.fft.rfft(whole, n=size, dim=1) * torch.fft.rfft(taps, n=size, dim=0)
    found: Tensor = torch.fft.irfft(heard, n=size, dim=1)
    return found[:, whole.shape[1] - seq : whole.shape[1]]


def convolution_reference(x: Tensor, before: Tensor, taps: Tensor, fresh: Tensor | None) -> Tensor:
    """The same, token by token."""
    whole = torch.cat([before, x], dim=1)
    earlier = before.shape[1]
    outputs = []
    for at in range(x.shape[1]):
        end = earlier + at + 1
        heard = whole[:, :end] * taps[:end].flip(0)
        if fresh is not None:
            heard = heard * _since_last(fresh[:, : at + 1], end)[..., None]
        outputs.append(heard.sum(1))
    return torch.stack(outputs, dim=1)


def _by_document(x: Tensor, before: Tensor, taps: Tensor, fresh: Tensor) -> Tensor:
    """Each document as a row of its own, filled up behind its end, where nothing is heard of it."""
    rows, seq, width = x.shape
    earlier = before.shape[1]
    begun = functional.pad(fresh, (earlier, 0)).cumsum(1)  # (rows, earlier + seq)
    whole = torch.cat([before, x], dim=1)
    first = functional.pad(begun[:, 1:] != begun[:, :-1], (1, 0), value=True)
    number = first.flatten().cumsum(0) - 1  # of each token's document, (rows * (earlier + seq),)
    starts = first.flatten().nonzero()[:, 0]
    place = torch.arange(number.numel(), device=x.device) - starts[number]
    longest = int(place.max()) + 1
    apart = x.new_zeros(len(starts), longest, width)
    apart = apart.index_put((number, place), whole.flatten(0, 1))
    heard = long_convolution(apart, apart[:, :0], taps[:longest], None)[number, place]
    return heard.view(rows, earlier + seq, width)[:, earlier:]


def _since_last(fresh: Tensor, length: int) -> Tensor:
    """(rows, length): whether each of the last `length` tokens stands after the last beginning."""
    begun = functional.pad(fresh, (length - fresh.shape[1], 0)).cumsum(1)
    return begun == begun[:, -1:]


def _age(part: Tensor) -> int:
    """How often a parameter was changed; 0 where it is not counted."""
    return 0 if part.is_inference() else part._version
