"""Logits to labels: probabilities of classes, and spans out of what each token was called."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kataribe.base.encoders import Label
from kataribe.make.model.configs.encoder_config import Problem

_OUTSIDE = "O"


def text_labels(
    logits: NDArray[np.float32], names: Sequence[str], problem: Problem
) -> tuple[Label, ...]:
    """Every label of a text, from logits (labels,): by softmax, by sigmoids, or as they are."""
    scores = logits.astype(np.float64)
    if problem == "single":
        scores = _softmax(logits)
    elif problem == "multi":
        scores = 1 / (1 + np.exp(-scores))
    return tuple(Label(name, float(score)) for name, score in zip(names, scores, strict=True))


def spans_of(
    logits: NDArray[np.float32], places: Sequence[tuple[int, int]], names: Sequence[str]
) -> tuple[Label, ...]:
    """Spans from logits (tokens, labels) and each token's place in the text.

    Labels are read as BIO (Ramshaw and Marcus 1995): `B-X` begins a span of X, `I-X` continues
    one or begins it, `O` and added tokens are outside; a label without a prefix is as `I-`. A
    span's score is the mean probability of its tokens' labels.
    """
    chances = _softmax(logits)
    best = chances.argmax(axis=1)
    found: list[Label] = []
    scores: list[float] = []
    for token, (start, end) in enumerate(places):
        name = names[best[token]]
        if start == end:  # added by the tokenizer: nothing of the text
            continue
        begins, kind = (name[0] == "B", name[2:]) if name[:2] in ("B-", "I-") else (False, name)
        if name == _OUTSIDE:
            scores = []
            continue
        score = float(chances[token, best[token]])
        if scores and not begins and found[-1].name == kind:
            scores.append(score)
            found[-1] = Label(kind, sum(scores) / len(scores), found[-1].start, end)
        else:
            scores = [score]
            found.append(Label(kind, score, start, end))
    return tuple(found)


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = logits.astype(np.float64)
    shifted = np.exp(wide - wide.max(axis=-1, keepdims=True))
    chances: NDArray[np.float64] = shifted / shifted.sum(axis=-1, keepdims=True)
    return chances
