"""How fast each pair of a head turns, and every way these families stretch that to longer contexts.

In float32, whatever the model's type: in bfloat16 neighbouring positions beyond a few hundred
would fall together.
"""

from __future__ import annotations

import math

import numpy as np

from kataribe.files.ggml_groups import Floats
from kataribe.make.model.configs.config import RopeConfig


def inverse_frequencies(rope: RopeConfig, head_dim: int, length: int) -> Floats:
    """Radians per position, float32 (head_dim / 2,), for a sequence of `length` tokens."""
    exponents = np.arange(0, head_dim, 2, dtype=np.float32) / np.float32(head_dim)
    match rope.kind:
        case "dynamic":
            return 1.0 / _powers(_dynamic_theta(rope, head_dim, length), exponents)
        case "longrope":
            factors = rope.long_factors if length > _original(rope) else rope.short_factors
            return 1.0 / (np.array(factors, dtype=np.float32) * _powers(rope.theta, exponents))
        case "yarn":
            return _yarn(rope, head_dim, _powers(rope.theta, exponents))
        case "llama3":
            return _llama3(rope, 1.0 / _powers(rope.theta, exponents))
        case _:  # default, linear (Chen et al. 2023)
            return 1.0 / _powers(rope.theta, exponents) / rope.factor


def _dynamic_theta(rope: RopeConfig, head_dim: int, length: int) -> float:
    """Dynamic NTK-aware scaling (bloc97, emozilla 2023): the base grows with the sequence."""
    original = _original(rope)
    stretch = rope.factor * max(length, original) / original - (rope.factor - 1)
    return float(rope.theta * stretch ** (head_dim / (head_dim - 2)))


def _yarn(rope: RopeConfig, head_dim: int, wavelengths: Floats) -> Floats:
    """YaRN (Peng et al. 2023), equation 23: fast dimensions as they are, slow ones stretched."""

    def dimension(turns: float) -> float:
        """Which dimension turns so often within the original context."""
        ratio = _original(rope) / (turns * 2 * math.pi)
        return head_dim * math.log(ratio) / (2 * math.log(rope.theta))

    low, high = dimension(rope.beta_fast), dimension(rope.beta_slow)
    if rope.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, head_dim - 1)
    if low == high:
        high += 0.001  # no division by zero
    steps = np.arange(head_dim // 2, dtype=np.float32)
    stretched = np.clip((steps - np.float32(low)) / np.float32(high - low), 0, 1)
    slow, fast = 1.0 / (rope.factor * wavelengths), 1.0 / wavelengths
    found: Floats = slow * stretched + fast * (1 - stretched)
    return found


def _llama3(rope: RopeConfig, frequencies: Floats) -> Floats:
    """Llama 3.1: short waves as they are, long ones stretched, a smooth way between."""
    turns = _original(rope) * frequencies / (2 * math.pi)  # within the original context
    span = rope.high_freq_factor - rope.low_freq_factor
    kept = np.clip((turns - np.float32(rope.low_freq_factor)) / np.float32(span), 0, 1)
    found: Floats = (1 - kept) * frequencies / rope.factor + kept * frequencies
    return found


def _original(rope: RopeConfig) -> int:
    assert rope.original_context is not None, "RopeConfig checks it"
    return rope.original_context


def _powers(base: float, exponents: Floats) -> Floats:
    """float32: base ** exponents."""
    powers: Floats = np.power(np.float32(base), exponents, dtype=np.float32)
    return powers
