"""The sampler in its slow, readable form: whole sorts in float64. Tests hold `sampler` to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kataribe.base.lm import Sampling


def adjusted_reference(
    logits: NDArray[np.float32],
    sampling: Sampling,
    prompt: Sequence[int],
    reply: Sequence[int],
    allowed: NDArray[np.bool_] | None = None,
) -> NDArray[np.float64]:
    """Logits `(vocab,)` after bias, penalties and constraint."""
    row = logits.astype(np.float64)
    for token, bias in sampling.logit_bias.items():
        row[token] += bias
    penalty = 1.0 if sampling.repetition_penalty is None else sampling.repetition_penalty
    for token in set(prompt) | set(reply):
        row[token] = row[token] / penalty if row[token] > 0 else row[token] * penalty
    for token in reply:
        row[token] -= sampling.frequency_penalty
    for token in set(reply):
        row[token] -= sampling.presence_penalty
    if allowed is not None:
        row[~allowed] = -np.inf
    return row


def probabilities_reference(row: NDArray[np.float64], sampling: Sampling) -> NDArray[np.float64]:
    """With what probability each token is drawn, from adjusted logits `(vocab,)`."""
    temperature = 1.0 if sampling.temperature is None else sampling.temperature
    order = np.argsort(-row, kind="stable")
    result = np.zeros_like(row)
    if temperature == 0.0:
        result[order[0]] = 1.0
        return result
    weights = np.exp((row[order] - row[order[0]]) / temperature)
    if sampling.top_k:
        weights[sampling.top_k :] = 0.0
    weights /= weights.sum()
    if sampling.top_p is not None and sampling.top_p < 1.0:
        before = np.cumsum(weights) - weights
        weights[before >= sampling.top_p] = 0.0
    weights[weights < sampling.min_p * weights[0]] = 0.0
    result[order] = weights / weights.sum()
    return result
