"""A decoder without values: shapes and modules to be filled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.decoder import Decoder

_DRAWS = frozenset({nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_, nn.init.ones_})


def skeleton(config: ModelConfig) -> Decoder:
    """The decoder on PyTorch's `meta` device: it takes no memory and draws no random numbers."""
    with torch.device("meta"), Undrawn():
        return Decoder(config)


class Undrawn(TorchFunctionMode):
    """Leaves out the drawing of first values, which would be thrown away.

    On `meta` it costs more than a whole load: 1.1 s, most of it for importing decompositions.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """`func`, unless it draws: then its tensor as it is."""
        given = kwargs or {}
        if func in _DRAWS:
            return given["tensor"] if "tensor" in given else args[0]
        return func(*args, **given)
