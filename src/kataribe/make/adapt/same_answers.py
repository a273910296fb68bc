"""Same model, same answer, for files: what was written is opened again and held to its origin.

The origin answers first and is let go; then the new file is opened, so that no more than one
model is in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from kataribe.base.errors import FormatError
from kataribe.make.adapt.compare import Difference, compare_logits
from kataribe.make.model.attention import CausalAttend
from kataribe.make.model.checkpoint import Checkpoint, open_checkpoint
from kataribe.make.model.loading import load_model
from kataribe.make.model.reference import generate_reference

MOST_TOKENS = 128
"""Of each text: 152,000 logits for 10 of them are 0.8 GB."""
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
    "Q4_0": Limit(0.5),
}
"""By kind of the matrices; docs/export.md has what was measured."""


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model says: logits (tokens, vocab_size) of all sequences, one after the other."""

    sequences: tuple[tuple[int, ...], ...]
    logits: Tensor


@dataclass(frozen=True)
class Checked:
    """How far a new file is from its origin.

    Attributes:
        difference: Of logits.
        limit: What was allowed.
        other_tokens: Positions where another token is the likeliest, ties left out.
    """

    difference: Difference
    limit: Limit
    other_tokens: int


def ask(checkpoint: Checkpoint, prompts: Sequence[Sequence[int]]) -> Answers:
    """The origin's answers: every prompt, cut to `MOST_TOKENS`, with its greedy continuation."""
    model = load_model(checkpoint)
    config = checkpoint.config
    room = min(MOST_TOKENS, config.context_length // 2)
    new = min(NEW_TOKENS, config.context_length - room)
    sequences = tuple(
        (*prompt[:room], *generate_reference(model, list(prompt[:room]), new))
        for prompt in prompts
        if prompt
    )
    return Answers(sequences, _logits(model, sequences))


def check_answers(expected: Answers, path: Path, kind: str) -> Checked:
    """Opens what was written and compares.

    Raises `FormatError` with figures and limits where the new file is too far from its origin.
    """
    checkpoint = open_checkpoint(path)
    found = _logits(load_model(checkpoint), expected.sequences)
    if found.shape != expected.logits.shape:
        raise FormatError(
            f"What was written has {found.shape[1]} logits a token, its origin "
            f"{expected.logits.shape[1]}."
        )
    difference = compare_logits(expected.logits, found)
    checked = Checked(difference, LIMITS[kind], _other_tokens(expected.logits, found))
    if not difference.divergence <= checked.limit.divergence:  # a NaN is beyond every limit
        raise FormatError(
            f"As {kind} the model changes too much: its next-token distributions move by "
            f"{difference.divergence:.3g} nats on average over {difference.tokens} tokens (at most "
            f"{checked.limit.divergence:g}). Choose a kind with more bits."
        )
    if checked.limit.same_tokens and checked.other_tokens:
        raise FormatError(
            f"As {kind} the likeliest token differs at {checked.other_tokens} of "
            f"{difference.tokens} places, where none may. The file is not the model."
        )
    return checked


def _other_tokens(expected: Tensor, found: Tensor) -> int:
    chosen = found.argmax(-1, keepdim=True)
    behind = expected.max(-1, keepdim=True).values - expected.gather(-1, chosen)
    return int((behind > TIE).sum())


@torch.inference_mode()
def _logits(model: torch.nn.Module, sequences: Sequence[Sequence[int]]) -> Tensor:
    rows = []
    for sequence in sequences:
        ids = torch.tensor([list(sequence)])
        positions = torch.arange(len(sequence))[None]
        rows.append(model.logits(model(ids, positions, CausalAttend(model.config)))[0])
    return torch.cat(rows).float()
