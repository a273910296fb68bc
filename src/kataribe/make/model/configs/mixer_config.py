"""What a recurrent or convolutional layer is, in plain frozen values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from kataribe.base.errors import FormatError
from kataribe.make.model.configs.checks import count, finite, one_of

Activation: TypeAlias = Literal["silu", "gelu", "gelu_tanh", "relu", "relu2"]

MOST_FILTER_LAYERS = 16
"""Of a Hyena filter's network; four are usual."""


@dataclass(frozen=True)
class MambaSpec:
    """Mamba-1: a selective state space (Gu and Dao 2023).

    Attributes:
        width: Channels inside the layer, usually twice the model's.
        states: Numbers that each channel keeps.
        kernel: Tokens that the short convolution sees.
        step_rank: Width through which the step sizes are computed.
        conv_bias: The convolution has a bias.
        bias: The projections in and out have biases.
        norms: Step, B and C are normed (Jamba; Lieber et al. 2024).
        activation: Follows the convolution; the gate is always silu.
    """

    width: int
    states: int
    kernel: int
    step_rank: int
    conv_bias: bool = True
    bias: bool = False
    norms: bool = False
    activation: Activation = "silu"

    def __post_init__(self) -> None:
        for name in ("width", "states", "kernel", "step_rank"):
            count(f"mamba {name}", getattr(self, name))
        for name in ("conv_bias", "bias", "norms"):
            _flag(f"mamba {name}", getattr(self, name))
        one_of("mamba activation", self.activation, get_args(Activation))

    @property
    def state_values(self) -> int:
        """Numbers that a layer keeps of a sequence: its last inputs, and its states."""
        return self.width * (self.kernel - 1 + self.states)


@dataclass(frozen=True)
class Mamba2Spec:
    """Mamba-2: state space duality (Dao and Gu 2024).

    Attributes:
        heads: Each has a decay and a step size of its own.
        head_dim: Channels of each head.
        states: Numbers that each channel keeps.
        groups: Groups of heads that share B and C; the norm before the output is over the
            channels of one group.
        kernel: Tokens that the short convolution sees.
        conv_bias: The convolution has a bias.
        bias: The projections in and out have biases.
        step_limits: Step sizes are cut to this range.
        activation: Follows the convolution; the gate is always silu.
    """

    heads: int
    head_dim: int
    states: int
    groups: int
    kernel: int
    conv_bias: bool = True
    bias: bool = False
    step_limits: tuple[float, float] = (0.0, math.inf)
    activation: Activation = "silu"

    def __post_init__(self) -> None:
        for name in ("heads", "head_dim", "states", "groups", "kernel"):
            count(f"mamba2 {name}", getattr(self, name))
        count("mamba2 heads * head_dim", self.width)
        for name in ("conv_bias", "bias"):
            _flag(f"mamba2 {name}", getattr(self, name))
        if self.heads % self.groups:
            raise FormatError(
                f"mamba2 heads is {self.heads} and groups {self.groups}; heads must be a multiple."
            )
        low, high = self.step_limits
        if not 0 <= low < high:
            raise FormatError(
                f"mamba2 step_limits is {self.step_limits}; the first must be at least 0 and "
                "below the second."
            )
        one_of("mamba2 activation", self.activation, get_args(Activation))

    @property
    def width(self) -> int:
        """Channels inside the layer."""
        return self.heads * self.head_dim

    @property
    def convolved(self) -> int:
        """Channels of the short convolution: the inputs, B and C."""
        return self.width + 2 * self.groups * self.states

    @property
    def state_values(self) -> int:
        """Numbers that a layer keeps of a sequence: its last inputs, and its states."""
        return self.convolved * (self.kernel - 1) + self.width * self.states


@dataclass(frozen=True)
class HyenaSpec:
    """Hyena: gated long convolutions with implicit filters (Poli et al. 2023).

    Attributes:
        order: Gates in a row; between them are `order` - 1 long convolutions.
        kernel: Tokens that the short convolution of all projections sees.
        features: Numbers that say a position to the filters' network: its share of the context,
            and sines and cosines; odd.
        filter_width: Width of the filters' network.
        filter_layers: Layers of that width after the first.
        frequency: Initial frequency of the network's sines.
        fast_decay: The fastest channel's filter has fallen to 1 % after this share of the context.
        slow_decay: The same of the slowest.
    """

    order: int = 2
    kernel: int = 3
    features: int = 33
    filter_width: int = 64
    filter_layers: int = 2
    frequency: float = 1.0
    fast_decay: float = 0.3
    slow_decay: float = 1.5

    def __post_init__(self) -> None:
        for name in ("order", "kernel", "features", "filter_width", "filter_layers"):
            count(f"hyena {name}", getattr(self, name))
        if self.filter_layers > MOST_FILTER_LAYERS:
            raise FormatError(
                f"hyena filter_layers is {self.filter_layers}; at most {MOST_FILTER_LAYERS}."
            )
        if self.order < 2:
            raise FormatError(f"hyena order is {self.order}; at least 2 are needed.")
        if self.features < 3 or self.features % 2 == 0:
            raise FormatError(f"hyena features is {self.features}; it must be odd, at least 3.")
        for name in ("frequency", "fast_decay", "slow_decay"):
            finite(f"hyena {name}", getattr(self, name), above=0.0)


def _flag(name: str, value: bool) -> None:
    if type(value) is not bool:
        raise FormatError(f"{name} is {value!r}; it must be true or false.")
