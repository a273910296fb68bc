"""The slow reference of encoder-decoders: one source, contiguous caches, one token after another.

Nothing here is clever, so that whatever is clever elsewhere can be compared with it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from kataribe.base.errors import ContextLengthError, InputError
from kataribe.make.model.encoder_decoder import EncoderDecoder
from kataribe.make.model.layers.source_attention import CachedTarget
from kataribe.make.model.reference import Sampler, greedy


def generate_from_source(
    model: EncoderDecoder,
    source: Sequence[int],
    max_tokens: int,
    *,
    start: Sequence[int] = (),
    eos_ids: Collection[int] = frozenset(),
    sampler: Sampler = greedy,
) -> list[int]:
    """What the model writes for a source: at most `max_tokens` ids, the end token included.

    Args:
        model: In any type.
        source: At least one token; an end token, where the model wants one, is the caller's.
        max_tokens: Most new tokens.
        start: What the target begins with, no part of the reply; the model's start token if empty.
        eos_ids: Tokens after which nothing comes.
        sampler: Chooses each token; it is given the target so far, the start included.

    Raises:
        ContextLengthError: Source, or start and new tokens, do not fit the model.
        InputError: The source is empty, or an id is none of the model's.
    """
    config = model.config
    begin = list(start) or [config.start_id]
    for name, ids in (("source", source), ("start", begin)):
        if not ids or not all(0 <= token < config.vocab_size for token in ids):
            raise InputError(
                f"A {name} needs at least one token, each from 0 to {config.vocab_size - 1}."
            )
    if config.bounded and len(source) > config.source_length:
        raise ContextLengthError(len(source), config.source_length)
    # The last token that is written is never read.
    if config.bounded and len(begin) + max_tokens - 1 > config.target_length:
        raise ContextLengthError(len(begin), config.target_length, reply_tokens=max_tokens)
    device = next(model.parameters()).device
    reply: list[int] = []
    fresh = begin
    with torch.inference_mode():
        looked_at = model.look_at(model.encode(_row(source, device)))
        attend = CachedTarget(config, looked_at, len(begin) + max_tokens)
        while len(reply) < max_tokens:
            positions = torch.arange(attend.length, attend.length + len(fresh), device=device)
            hidden = model.decode(_row(fresh, device), positions[None], attend)
            token = sampler(model.logits(hidden[0, -1]), [*begin, *reply])
            reply.append(token)
            if token in eos_ids:
                break
            fresh = [token]
    return reply


def _row(ids: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor([list(ids)], dtype=torch.int64, device=device)
