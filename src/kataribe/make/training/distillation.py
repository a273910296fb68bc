"""Distillation: a small model learns what a large one thinks of every next token."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from kataribe.base.errors import InputError
from kataribe.make.model.decoder import Decoder
from kataribe.make.tokens.batches import IGNORED, Batch
from kataribe.make.training.causal import causal_loss, decoder_hidden
from kataribe.make.training.config import number
from kataribe.make.training.devices import tensors

CHUNK = 256
"""Places whose logits, of both models, exist at a time."""


class Distillation:
    """The loss of a student beside its teacher (Hinton et al. 2015): a `Loss`.

    share * T^2 * KL(teacher || student), both at temperature T, and (1 - share) * the usual loss;
    T^2 keeps gradients as large whatever T is.

    Args:
        teacher: With the student's vocabulary.
        temperature: T.
        share: Of the teacher; the rest is the text's.
    """

    def __init__(self, teacher: Decoder, temperature: float, share: float) -> None:
        number("temperature", temperature, above=0.0, most=100.0)
        number("share", share, least=0.0, most=1.0)
        self._teacher = teacher.eval().requires_grad_(requires_grad=False)
        self._temperature, self._share = temperature, share

    def __call__(self, model: nn.Module, part: Batch, *, compiled: bool) -> Tensor:
        """See `Objective.loss`; without gradients, where models are judged, the usual loss."""
        if not torch.is_grad_enabled() or not self._share:
            return causal_loss(model, part, compiled=compiled)
        assert isinstance(model, Decoder)
        device = model.embed.weight.device
        self._teacher.to(device)
        wanted = part.targets.reshape(-1)
        targets, taught = tensors(device, wanted, np.flatnonzero(wanted != IGNORED))
        student = decoder_hidden(model, part, compiled=compiled).flatten(0, 1)[taught]
        with torch.no_grad():
            teacher = decoder_hidden(self._teacher, part, compiled=False).flatten(0, 1)[taught]
        total = student.new_zeros((), dtype=torch.float32)
        for start in range(0, len(taught), CHUNK):
            some = slice(start, start + CHUNK)
            # Logits are computed again on the way back, so that one chunk of them exists.
            total = total + checkpoint(
                self._part, model, student[some], teacher[some], targets[taught][some],
                use_reentrant=False,
            )  # fmt: skip
        return total

    def _part(self, model: Decoder, student: Tensor, teacher: Tensor, targets: Tensor) -> Tensor:
        said = model.logits(student)  # (places, vocab_size)
        with torch.no_grad():
            known = self._teacher.logits(teacher) / self._temperature
        hard = functional.cross_entropy(said, targets, reduction="sum")
        soft = functional.kl_div(
            functional.log_softmax(said / self._temperature, dim=-1),
            functional.log_softmax(known, dim=-1),
            reduction="sum",
            log_target=True,
        )
        return self._share * self._temperature**2 * soft + (1 - self._share) * hard


def check_teacher(student_size: int, teacher_size: int) -> None:
    """Raises `InputError` where the two do not speak of the same tokens."""
    if student_size != teacher_size:
        raise InputError(
            f"The teacher has {teacher_size:,} tokens, but the student {student_size:,}: logits "
            "can be compared only token by token. Train the student with the teacher's tokenizer.",
            param="teacher",
        )
