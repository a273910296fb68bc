"""Same model, same answer: how far a changed model's logits are from those of its origin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kataribe.base.errors import FormatError
from kataribe.make.model.decoder import Decoder
from kataribe.make.model.layers.attention import CausalAttend


@dataclass(frozen=True)
class Difference:
    """Logits of two models over the same tokens.

    Attributes:
        tokens: Positions compared.
        agreement: Share of them where both take the same next token.
        divergence: Mean Kullback-Leibler divergence of the changed model's next-token
            distribution from the reference's, in nats.
        worst_divergence: The largest of any position.
        relative_error: Norm of the difference of centred logits over the norm of the reference's.
    """

    tokens: int
    agreement: float
    divergence: float
    worst_divergence: float
    relative_error: float


@dataclass(frozen=True)
class Tolerance:
    """What a change may do at most.

    Attributes:
        divergence: Mean divergence in nats.
        agreement: Least share of equal next tokens.
    """

    divergence: float
    agreement: float

    def check(self, difference: Difference, what: str) -> None:
        """Raises `FormatError` with both figures where the difference is beyond this."""
        if difference.divergence <= self.divergence and difference.agreement >= self.agreement:
            return  # a NaN passes neither
        raise FormatError(
            f"{what} changes the model too much: mean divergence {difference.divergence:.4g} nats "
            f"(at most {self.divergence:g}), same next token at {difference.agreement:.1%} of "
            f"{difference.tokens} positions (at least {self.agreement:.0%}). Use a higher "
            "precision."
        )


TOLERANCES = {
    "float32": Tolerance(1e-6, 0.999),
    "bfloat16": Tolerance(0.01, 0.93),
    "repacked": Tolerance(0.01, 0.93),
    "int8": Tolerance(0.02, 0.92),
    "int4": Tolerance(0.3, 0.70),
}
"""Per precision, against the same weights in float32. `repacked` are a file's own 4-bit
blocks: there only bfloat16 arithmetic and scales differ; `int4` rounds ordinary weights."""


@torch.inference_mode()
def compare_models(
    reference: Decoder, changed: Decoder, ids: Sequence[Sequence[int]]
) -> Difference:
    """Runs both over the sequences `ids`, each from its own beginning.

    `reference` is meant to be in float32. Needs no cache, so it compares the models alone.
    """
    pairs = [(_logits(reference, sequence), _logits(changed, sequence)) for sequence in ids]
    return compare_logits(
        torch.cat([first for first, _ in pairs]), torch.cat([second for _, second in pairs])
    )


def compare_logits(reference: Tensor, changed: Tensor) -> Difference:
    """The same for float32 logits (tokens, vocab_size) that are at hand."""
    expected, found = reference.double(), changed.double()
    log_p, log_q = expected.log_softmax(-1), found.log_softmax(-1)
    divergence = (log_p.exp() * (log_p - log_q)).sum(-1)  # (tokens,)
    expected = expected - expected.mean(-1, keepdim=True)
    found = found - found.mean(-1, keepdim=True)
    return Difference(
        tokens=reference.shape[0],
        agreement=float((expected.argmax(-1) == found.argmax(-1)).double().mean()),
        divergence=float(divergence.mean()),
        worst_divergence=float(divergence.max()),
        relative_error=float((found - expected).norm() / expected.norm()),
    )


def _logits(model: Decoder, sequence: Sequence[int]) -> Tensor:
    device = next(model.parameters()).device
    ids = torch.tensor([sequence], device=device)
    positions = torch.arange(len(sequence), device=device)[None]
    hidden = model(ids, positions, CausalAttend(model.config))
    return model.logits(hidden)[0].cpu()
