"""What the model says on its way: a few tokens after fixed prompts, by the slow reference."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kataribe.make.model.decoder import Decoder
from kataribe.make.model.reference import generate_reference

TEMPERATURE = 0.8
TOP = 40


@dataclass(frozen=True)
class Prompt:
    """A text and its ids."""

    text: str
    ids: tuple[int, ...]


def draw_samples(
    model: Decoder, prompts: Sequence[Prompt], tokens: int, *, ends: Collection[int], seed: int
) -> list[list[int]]:
    """Up to `tokens` ids after each prompt, drawn with a seed of their own.

    Prompts that leave no room in the context are shortened at their beginning.
    """
    room = model.config.context_length
    found = []
    for number, prompt in enumerate(prompts):
        generator = torch.Generator().manual_seed(seed + number)

        def draw(logits: Tensor, ids: Sequence[int], dice: torch.Generator = generator) -> int:  # noqa: ARG001
            # On the processor, where the dice lie: the same on every device but for rounding.
            best, which = torch.topk(logits.cpu() / TEMPERATURE, min(TOP, len(logits)))
            return int(which[torch.multinomial(best.softmax(0), 1, generator=dice)])

        length = min(tokens, room - 1)
        ids = prompt.ids[-(room - length) :]
        found.append(generate_reference(model, ids, length, eos_ids=ends, sampler=draw))
    return found
