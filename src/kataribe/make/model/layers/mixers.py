"""The layers that stand beside attention: which one a layer is, and what it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from torch import nn

from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.layers.hyena import Hyena
from kataribe.make.model.layers.mamba import Mamba
from kataribe.make.model.layers.mamba2 import Mamba2

RecurrentMixer: TypeAlias = Mamba | Mamba2 | Hyena


def build_mixer(config: ModelConfig, layer: int) -> RecurrentMixer:
    """The layer that mixes tokens in layer `layer`, which is none of attention."""
    match config.mixers[layer]:
        case "mamba":
            assert config.mamba is not None, "the configuration checks it"
            return Mamba(config.mamba, config.hidden_size, layer, config.norm_eps)
        case "mamba2":
            assert config.mamba2 is not None, "the configuration checks it"
            return Mamba2(config.mamba2, config.hidden_size, layer, config.norm_eps)
        case _:
            assert config.hyena is not None, "the configuration checks it"
            return Hyena(config.hyena, config.hidden_size, layer, config.context_length)


def recurrent_mixers(model: nn.Module) -> Iterator[RecurrentMixer]:
    """A model's recurrent layers, the first one first."""
    return (part for part in model.modules() if isinstance(part, RecurrentMixer))


def own_values(mixer: RecurrentMixer) -> Iterator[nn.Parameter]:
    """Parameters of a mixer that are no matrices between tokens' vectors.

    Their first values say how long is remembered what; they are not to be drawn like matrices.
    """
    linears = [part for part in mixer.modules() if isinstance(part, nn.Linear)]
    matrices = {id(part) for linear in linears for part in linear.parameters()}
    return (part for part in mixer.parameters() if id(part) not in matrices)
