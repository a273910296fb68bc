"""Facts of models with recurrent layers, which keep a state of each sequence beside any cache."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from kataribe.base.errors import FormatError
from kataribe.run.catalog.cards import ModelFacts, TensorGroup

UNBOUNDED = 32_768
"""Context where a file says none, as `make.model.families.recurrent` has it; a test compares."""

_MAMBA = {
    "state_size": 16, "expand": 2, "conv_kernel": 4, "max_position_embeddings": UNBOUNDED,
    "vocab_size": 50280, "hidden_size": 768, "num_hidden_layers": 32,
}  # fmt: skip
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "mamba": _MAMBA,
    "mamba2": _MAMBA | {
        "vocab_size": 32768, "hidden_size": 4096, "num_hidden_layers": 64, "state_size": 128,
        "num_heads": 128, "head_dim": 64, "n_groups": 8,
    },
    "jamba": {
        "vocab_size": 65536, "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
        "max_position_embeddings": 262144, "num_experts": 16, "expert_layer_period": 2,
        "expert_layer_offset": 1, "attn_layer_period": 8, "attn_layer_offset": 4,
        "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2,
    },
    "kataribe": {},
}  # fmt: skip


def recurrent_facts(
    config: Mapping[str, Any],
    family: str,
    groups: tuple[TensorGroup, ...],
    size: int | None,
    where: str,
) -> ModelFacts:
    """Facts of a parsed config.json of one of `layout.RECURRENT`.

    Raises `FormatError` for what is no number, or none that a model can have.
    """
    words = _Words({**_DEFAULTS[family], **config}, where)
    if family == "kataribe":
        return _own(words, groups, size)
    hidden, layers = words.whole("hidden_size"), words.whole("num_hidden_layers")
    sizes = {
        "mamba": _mamba, "mamba2": _mamba2, "jamba": _jamba,
    }[family](words, hidden, layers)  # fmt: skip
    return ModelFacts(
        family=family,
        layers=layers,
        hidden_size=hidden,
        vocab_size=words.whole("vocab_size"),
        context_length=words.whole("max_position_embeddings"),
        groups=groups,
        file_bytes=size,
        **sizes,
    )


def _mamba(words: _Words, hidden: int, layers: int) -> dict[str, int]:
    width = words.product("expand", hidden)
    values = width * (words.whole("conv_kernel") - 1 + words.whole("state_size"))
    return _without_attention(width) | {"state_bytes": 4 * layers * values}


def _mamba2(words: _Words, hidden: int, layers: int) -> dict[str, int]:
    width, states = words.product("expand", hidden), words.whole("state_size")
    convolved = width + 2 * words.whole("n_groups") * states
    values = convolved * (words.whole("conv_kernel") - 1) + width * states
    return _without_attention(width) | {"state_bytes": 4 * layers * values}


def _without_attention(width: int) -> dict[str, int]:
    return {
        "heads": 0, "kv_heads": 0, "head_dim": 0, "intermediate_size": width, "cache_layers": 0,
    }  # fmt: skip


def _jamba(words: _Words, hidden: int, layers: int) -> dict[str, int]:
    period, offset = words.whole("attn_layer_period"), words.count("attn_layer_offset")
    attending = sum(layer % period == offset for layer in range(layers))
    heads = words.whole("num_attention_heads")
    if hidden % heads:
        raise FormatError(f"{words.where}: {hidden} values cannot be divided by {heads} heads.")
    width = words.product("mamba_expand", hidden)
    values = width * (words.whole("mamba_d_conv") - 1 + words.whole("mamba_d_state"))
    return {
        "heads": heads,
        "kv_heads": words.count("num_key_value_heads") or heads,
        "head_dim": hidden // heads,
        "intermediate_size": max(words.whole("intermediate_size"), width),
        "cache_layers": attending,
        "state_bytes": 4 * (layers - attending) * values,
    }


def _own(words: _Words, groups: tuple[TensorGroup, ...], size: int | None) -> ModelFacts:
    """Kataribe's own layout: the fields of its configuration."""
    hidden, layers = words.whole("hidden_size"), words.whole("layers")
    mixers = words.texts("mixers") or ["attention"] * layers
    context, state = words.whole("context_length"), 0
    widest = words.count("intermediate_size")
    if "mamba" in mixers:
        spec = words.table("mamba")
        width = spec.whole("width")
        widest = max(widest, width)
        values = width * (spec.whole("kernel") - 1 + spec.whole("states"))
        state += mixers.count("mamba") * values
    if "mamba2" in mixers:
        spec = words.table("mamba2")
        width, states = spec.whole("heads") * spec.whole("head_dim"), spec.whole("states")
        widest = max(widest, width)
        convolved = width + 2 * spec.whole("groups") * states
        values = convolved * (spec.whole("kernel") - 1) + width * states
        state += mixers.count("mamba2") * values
    if "hyena" in mixers:  # keeps all that it reads: as much as a full context
        spec = words.table("hyena")
        order = spec.whole("order")
        values = (order + 1) * (spec.whole("kernel") - 1) + (order - 1) * context
        state += mixers.count("hyena") * hidden * values
    return ModelFacts(
        family="kataribe",
        layers=layers,
        hidden_size=hidden,
        heads=words.count("heads"),
        kv_heads=words.count("kv_heads"),
        head_dim=words.count("head_dim"),
        intermediate_size=max(widest, 1),
        vocab_size=words.whole("vocab_size"),
        context_length=context,
        groups=groups,
        file_bytes=size,
        cache_layers=mixers.count("attention"),
        state_bytes=4 * state,
    )


class _Words:
    """Numbers out of settings that a stranger wrote."""

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values = values
        self.where = where

    def whole(self, name: str) -> int:
        """A whole number above 0."""
        return int(self._number(name, lambda value: value == int(value) > 0, "whole, above 0"))

    def count(self, name: str) -> int:
        """A whole number of at least 0; 0 where there is none."""
        if self._values.get(name) is None:
            return 0
        return int(self._number(name, lambda value: value == int(value) >= 0, "whole, at least 0"))

    def product(self, name: str, hidden: int) -> int:
        """So many times the model's width, in whole values."""
        return int(self._number(name, lambda value: value * hidden >= 1, "above 0") * hidden)

    def texts(self, name: str) -> list[str]:
        """A list of words; empty where there is none."""
        value = self._values.get(name) or []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise FormatError(
                f"{self.where} has {name} = {value!r:.60}; a list of words is needed."
            )
        return value

    def table(self, name: str) -> _Words:
        """Settings of a table."""
        value = self._values.get(name)
        if not isinstance(value, Mapping):
            raise FormatError(f"{self.where} has {name} = {value!r:.60}; an object is needed.")
        return _Words(value, f"{self.where}, {name}")

    def _number(self, name: str, fits: Callable[[float], bool], wanted: str) -> float:
        value: Any = self._values.get(name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or value >= 1 << 31 or not fits(value):
            raise FormatError(
                f"{self.where} has {name} = {value!r:.60}; a number that is {wanted}, is needed."
            )
        return float(value)
