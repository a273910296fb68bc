"""The slow reference: one sequence, a contiguous cache, float32, one token after the other.

Nothing here is clever, so that whatever is clever elsewhere can be compared with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from kataribe.base.errors import ContextLengthError, InputError
from kataribe.make.model.decoder import Decoder
from kataribe.make.model.layers.attention import CachedAttend

Sampler: TypeAlias = Callable[[Tensor, Sequence[int]], int]
"""(logits (vocab_size,) float32, ids so far with the prompt) -> the next id."""


def greedy(logits: Tensor, ids: Sequence[int]) -> int:  # noqa: ARG001
    """The likeliest token; of equals the first."""
    return int(logits.argmax())


def generate_reference(
    model: Decoder,
    ids: Sequence[int],
    max_tokens: int,
    *,
    eos_ids: Collection[int] = frozenset(),
    sampler: Sampler = greedy,
) -> list[int]:
    """Continues `ids` by at most `max_tokens` ids, the end token included when one comes.

    Args:
        model: In any type; the cache takes the embedding's.
        ids: The prompt, at least one token.
        max_tokens: Most new tokens.
        eos_ids: Tokens after which nothing comes.
        sampler: Chooses each token.

    Raises:
        ContextLengthError: Prompt and new tokens do not fit the model's context.
        InputError: The prompt is empty or holds an id that the model does not have.
    """
    config = model.config
    if not ids or not all(0 <= token < config.vocab_size for token in ids):
        raise InputError(
            f"A prompt needs at least one token, each from 0 to {config.vocab_size - 1}."
        )
    if len(ids) + max_tokens > config.context_length:
        raise ContextLengthError(len(ids), config.context_length, reply_tokens=max_tokens)
    device = next(model.parameters()).device
    attend = CachedAttend(
        config, len(ids) + max_tokens, dtype=model.embed(_row(ids[:1], device)).dtype, device=device
    )
    reply: list[int] = []
    fresh = list(ids)
    while len(reply) < max_tokens:
        with torch.inference_mode():
            positions = torch.arange(attend.length, attend.length + len(fresh), device=device)
            hidden = model(_row(fresh, device), positions[None], attend)  # (1, fresh, hidden_size)
            logits = model.logits(hidden[0, -1])  # (vocab_size,)
        token = sampler(logits, [*ids, *reply])
        reply.append(token)
        if token in eos_ids:
            break
        fresh = [token]
    return reply


def _row(ids: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor([list(ids)], dtype=torch.int64, device=device)
