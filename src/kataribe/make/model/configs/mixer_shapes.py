"""The parameters of recurrent layers and their shapes, in the order of `named_parameters()`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from kataribe.make.model.configs.config import ModelConfig
from kataribe.make.model.configs.mixer_config import HyenaSpec, Mamba2Spec, MambaSpec

_Named: TypeAlias = Iterator[tuple[str, tuple[int, ...]]]


def mixer_shapes(config: ModelConfig, layer: int) -> _Named:
    """Of the mixer of a layer that does not attend, without what stands before their names."""
    match config.mixers[layer]:
        case "mamba":
            assert config.mamba is not None, "the configuration checks it"
            return _mamba(config.mamba, config.hidden_size)
        case "mamba2":
            assert config.mamba2 is not None, "the configuration checks it"
            return _mamba2(config.mamba2, config.hidden_size)
        case _:
            assert config.hyena is not None, "the configuration checks it"
            return _hyena(config.hyena, config.hidden_size)


def _mamba(spec: MambaSpec, hidden: int) -> _Named:
    yield "A_log", (spec.width, spec.states)
    yield "D", (spec.width,)
    yield from _linear("input", 2 * spec.width, hidden, bias=spec.bias)
    yield from _convolution(spec.width, spec.kernel, bias=spec.conv_bias)
    yield from _linear("select", spec.step_rank + 2 * spec.states, spec.width, bias=False)
    yield from _linear("step", spec.width, spec.step_rank, bias=True)
    if spec.norms:
        yield "step_norm.weight", (spec.step_rank,)
        yield "b_norm.weight", (spec.states,)
        yield "c_norm.weight", (spec.states,)
    yield from _linear("output", hidden, spec.width, bias=spec.bias)


def _mamba2(spec: Mamba2Spec, hidden: int) -> _Named:
    for name in ("dt_bias", "A_log", "D"):
        yield name, (spec.heads,)
    inward = spec.width + spec.convolved + spec.heads
    yield from _linear("input", inward, hidden, bias=spec.bias)
    yield from _convolution(spec.convolved, spec.kernel, bias=spec.conv_bias)
    yield "norm.weight", (spec.width,)
    yield from _linear("output", hidden, spec.width, bias=spec.bias)


def _hyena(spec: HyenaSpec, hidden: int) -> _Named:
    inward = (spec.order + 1) * hidden
    yield from _linear("input", inward, hidden, bias=True)
    yield from _convolution(inward, spec.kernel, bias=True)
    yield "filter.frequency", (spec.filter_width,)
    yield "filter.bias", (spec.order - 1, hidden)
    for layer in range(spec.filter_layers + 1):
        before = spec.filter_width if layer else spec.features
        yield from _linear(f"filter.layers.{layer}", spec.filter_width, before, bias=True)
    filters = (spec.order - 1) * hidden
    yield from _linear("filter.last", filters, spec.filter_width, bias=False)
    yield from _linear("output", hidden, hidden, bias=True)


def _convolution(channels: int, kernel: int, *, bias: bool) -> _Named:
    yield "conv.weight", (channels, 1, kernel)
    if bias:
        yield "conv.bias", (channels,)


def _linear(name: str, rows: int, columns: int, *, bias: bool) -> _Named:
    yield f"{name}.weight", (rows, columns)
    if bias:
        yield f"{name}.bias", (rows,)
