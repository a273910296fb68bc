"""What the families' files have in common: words for the nonlinearity, layers, heads."""

from __future__ import annotations

from collections.abc import Mapping

from kataribe.base.errors import FormatError
from kataribe.make.model.configs.config import MAX_LAYERS, Activation
from kataribe.make.model.configs.fields import Fields

ACTIVATIONS: Mapping[str, Activation] = {
    "silu": "silu",
    "swish": "silu",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_accurate": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "relu2": "relu2",
}
"""Names in config.json; the four of the tanh approximation differ in rounding only."""
ACTIVATION_NAMES: Mapping[Activation, str] = {
    "silu": "silu",
    "gelu": "gelu",
    "gelu_tanh": "gelu_pytorch_tanh",
    "relu": "relu",
    "relu2": "relu2",
}


def read_layers(fields: Fields, name: str) -> int:
    """The number of layers; `FormatError` for one that nobody could mean."""
    layers = fields.integer(name)
    if not 1 <= layers <= MAX_LAYERS:
        raise FormatError(f"{fields.source}: {name} is {layers}; possible are 1 to {MAX_LAYERS}.")
    return layers


def share(fields: Fields, hidden: int, heads: int) -> int:
    """Values per head, where the file gives none."""
    if heads < 1 or hidden % heads:
        raise FormatError(
            f"{fields.source}: {hidden} values cannot be divided among {heads} heads, and no "
            "head_dim is given."
        )
    return hidden // heads


def read_activation(fields: Fields, name: str) -> Activation:
    """The nonlinearity that the setting `name` names."""
    word = fields.text(name)
    if word not in ACTIVATIONS:
        raise FormatError(
            f"{fields.source}: {name} is {word!r:.60}; known are {', '.join(ACTIVATIONS)}."
        )
    return ACTIVATIONS[word]
