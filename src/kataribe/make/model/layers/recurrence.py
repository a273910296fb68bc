"""What recurrent layers share: states, where sequences begin anew, and the short convolution.

A recurrent layer computes along the sequence in one place only, its `Recurrence`; all else in it
looks at each token alone. So, as attention hands q, k and v to an `attend` that owns the past, a
recurrent layer hands its inputs and its recurrence to a `recur`, which owns the states: it cuts
the rows of a step into sequences, and says where each begins. See `past`.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional

State: TypeAlias = tuple[Tensor, ...]
"""All that a layer keeps of what it has read, each tensor (sequences, ...)."""


class Recurrence(Protocol):
    """A layer's computation along sequences."""

    @property
    def fixed(self) -> bool:
        """States are equally large however much has been read, so that some can be stacked."""
        ...

    def start(self, rows: int, like: Tensor) -> State:
        """The states of `rows` sequences of which nothing has been read, where `like` lies."""
        ...

    def advance(self, x: Tensor, state: State, fresh: Tensor | None) -> tuple[Tensor, State]:
        """Reads on.

        Args:
            x: (rows, seq, width).
            state: What is kept of what comes before; it is not changed.
            fresh: (rows, seq), true at tokens before which nothing counts; None for nowhere.

        Returns:
            (rows, seq, out width), and the state after the last token.
        """
        ...


def beginnings(mask: Tensor | None, documents: Tensor | None) -> Tensor | None:
    """(batch, seq): where a row begins anew; None where none does but at its start.

    `mask` is true at real tokens: what stands at padding does not reach the tokens behind it.
    `documents` are numbers of the documents that are packed into a row.
    """
    fresh = None
    if mask is not None:
        real = mask.bool()
        fresh = real & ~functional.pad(real, (1, 0), value=True)[:, :-1]
    if documents is not None:
        changed = functional.pad(documents[:, 1:] != documents[:, :-1], (1, 0), value=False)
        fresh = changed if fresh is None else fresh | changed
    return fresh if fresh is not None and bool(fresh.any()) else None


class ShortConvolution(nn.Module):
    """Each channel convolved with its last `kernel` values, which its state keeps all but one of.

    Its weight is (channels, 1, kernel), the newest token's last. Weight and state are float32 in
    every model: they are small, and rounding them costs more time than it saves.
    """

    def __init__(self, channels: int, kernel: int, *, bias: bool) -> None:
        super().__init__()
        self.kernel = kernel
        self.weight = nn.Parameter(torch.empty(channels, 1, kernel))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None
        nn.init.uniform_(self.weight, -(kernel**-0.5), kernel**-0.5)

    def start(self, rows: int, like: Tensor) -> Tensor:
        """(rows, channels, kernel - 1) of nothing."""
        return torch.zeros(rows, self.weight.shape[0], self.kernel - 1, device=like.device)

    def advance(
        self, x: Tensor, state: Tensor, fresh: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """float32 (rows, seq, channels) from the same, and the new state; see `Recurrence`."""
        seq, reach = x.shape[1], self.kernel - 1
        before = torch.cat([state.transpose(1, 2), x.float()], dim=1)  # (rows, reach + seq, c)
        taps = self.weight[:, 0].T  # (kernel, channels)
        out = before[:, reach:] * taps[reach]
        begun = None if fresh is None else fresh.cumsum(1)
        for back in range(1, reach + 1):
            part = before[:, reach - back : reach - back + seq] * taps[reach - back]
            if begun is not None:
                part = part * _reaches(begun, back)[..., None]
            out = out + part
        if self.bias is not None:
            out = out + self.bias
        kept = before[:, seq:]
        if begun is not None:  # what comes before the last beginning is forgotten
            alive = functional.pad(begun, (reach, 0))[:, seq:] == begun[:, -1:]
            kept = kept * alive[..., None]
        return out, kept.transpose(1, 2)


def _reaches(begun: Tensor, back: int) -> Tensor:
    """(rows, seq): whether the token `back` before each belongs to the same beginning."""
    earlier = functional.pad(begun, (back, 0))[:, : begun.shape[1]]
    return earlier == begun


class Float32Linear(nn.Module):
    """x weight^T + bias in float32; its parameters stay float32 in every model, and unpacked.

    For small matrices on which a lot depends.
    """

    def __init__(self, inward: int, outward: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outward, inward))
        nn.init.uniform_(self.weight, -(inward**-0.5), inward**-0.5)
        self.bias = nn.Parameter(torch.zeros(outward)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """float32 (..., outward) from (..., inward)."""
        return functional.linear(x.float(), self.weight, self.bias)


def accepted(linear: nn.Module, x: Tensor, dtype: torch.dtype) -> Tensor:
    """Numbers as a matrix multiplies them: in its type, or `dtype` where it is a packed one."""
    if isinstance(linear, nn.Linear):
        dtype = linear.weight.dtype
    return x.to(dtype).contiguous()
