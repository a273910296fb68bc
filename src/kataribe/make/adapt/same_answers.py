"""Same model, same answer, for files: what was written is opened again and held to its origin.

The origin answers first and is let go; then the new file is opened, so that no more than one
model is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from kataribe.base.errors import FormatError
from kataribe.make.adapt.compare import compare_logits
from kataribe.make.model.decoder import Decoder
from kataribe.make.model.layers.attention import CausalAttend
from kataribe.make.model.reference import generate_reference
from kataribe.make.model.weights.checkpoint import Checkpoint, open_checkpoint
from kataribe.make.model.weights.loading import load_model

MOST_TOKENS = 128
"""Of each text; with 152,000 logits each they take 80 MB."""
NEW_TOKENS = 24
"""How far each text is continued greedily."""
TIE = 1e-4
"""Of two logits closer than this either is the likeliest."""


@dataclass(frozen=True)
class Limit:
    """What a form of weights may change.

    Attributes:
        divergence: Mean Kullback-Leibler divergence of next-token distributions, in nats.
        same_tokens: The likeliest token must be the same everywhere, but for ties.
    """

    divergence: float
    same_tokens: bool = False


LIMITS: Mapping[str, Limit] = {
    "F32": Limit(1e-6, same_tokens=True),
    "F16": Limit(1e-4),
    "BF16": Limit(5e-3),
    "Q8_0": Limit(0.01),
    "Q4_0": Limit(0.6),
}
"""By kind of the matrices; docs/export.md has what was measured."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model says: for each sequence its logits, float32 (tokens, vocab_size)."""

    sequences: tuple[tuple[int, ...], ...]
    logits: tuple[Tensor, ...]


@dataclass(frozen=True)
class Checked:
    """How far a new file is from its origin.

    Attributes:
        tokens: Positions compared.
        divergence: Mean divergence of next-token distributions from the origin's, in nats.
        worst_divergence: The largest of any position.
        agreement: Share of positions with the same likeliest token.
        other_tokens: Positions where another token is the likeliest, ties left out.
        limit: What was allowed.
    """

    tokens: int
    divergence: float
    worst_divergence: float
    agreement: float
    other_tokens: int
    limit: Limit


def ask(checkpoint: Checkpoint, prompts: Sequence[Sequence[int]]) -> Answers:
    """The origin's answers: every prompt, cut to `MOST_TOKENS`, with its greedy continuation."""
    model = load_model(checkpoint)
    context = checkpoint.config.context_length
    room = max(1, min(MOST_TOKENS, context // 2))
    new = min(NEW_TOKENS, context - room)
    sequences = tuple(
        (*prompt[:room], *generate_reference(model, list(prompt[:room]), new))
        for prompt in prompts
        if prompt
    )
    return Answers(sequences, tuple(_logits(model, sequences)))


def check_answers(expected: Answers, path: Path, kind: str) -> Checked:
    """Opens what was written and compares.

    Raises `FormatError` with figures and limits where the new file is too far from its origin.
    """
    model = load_model(open_checkpoint(path))
    tokens = other = 0
    total = worst = same = 0.0
    for ours, theirs in zip(expected.logits, _logits(model, expected.sequences), strict=True):
        if ours.shape != theirs.shape:
            raise FormatError(
                f"What was written has {theirs.shape[1]} logits a token, its origin "
                f"{ours.shape[1]}. Nothing was kept."
            )
        difference = compare_logits(ours, theirs)
        tokens += difference.tokens
        total += difference.divergence * difference.tokens
        same += difference.agreement * difference.tokens
        worst = max(worst, difference.worst_divergence)
        other += _other_tokens(ours, theirs)
    found = Checked(tokens, total / tokens, worst, same / tokens, other, LIMITS[kind])
    _hold(found, kind)
    return found


def _hold(found: Checked, kind: str) -> None:
    if not found.divergence <= found.limit.divergence:  # a NaN is beyond every limit
        raise FormatError(
            f"As {kind} the model changes too much: its next-token distributions move by "
            f"{found.divergence:.3g} nats on average over {found.tokens} tokens (at most "
            f"{found.limit.divergence:g}). Nothing was kept. Choose a kind with more bits."
        )
    if found.limit.same_tokens and found.other_tokens:
        raise FormatError(
            f"As {kind} the likeliest token differs at {found.other_tokens} of {found.tokens} "
            "places (at most 0). Nothing was kept: it is not the same model."
        )


def _other_tokens(expected: Tensor, found: Tensor) -> int:
    chosen = found.argmax(-1, keepdim=True)
    behind = expected.max(-1, keepdim=True).values - expected.gather(-1, chosen)
    return int((behind > TIE).sum())


def _logits(model: Decoder, sequences: Sequence[Sequence[int]]) -> Iterator[Tensor]:
    for sequence in sequences:
        with torch.inference_mode():
            ids = torch.tensor([list(sequence)])
            positions = torch.arange(len(sequence))[None]
            yield model.logits(model(ids, positions, CausalAttend(model.config)))[0].float()
