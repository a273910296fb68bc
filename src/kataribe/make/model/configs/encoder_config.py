"""What an encoder is, in plain frozen values: BERT and its kin differ in fields of this only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from kataribe.base.errors import FormatError
from kataribe.make.model.configs.config import MAX_LAYERS

EncoderFamily: TypeAlias = Literal["bert", "roberta", "xlm-roberta", "distilbert"]
Head: TypeAlias = Literal["none", "masked", "classify", "tag"]
EncoderActivation: TypeAlias = Literal["silu", "gelu", "gelu_tanh", "relu"]
HeadActivation: TypeAlias = EncoderActivation | Literal["tanh"]
Problem: TypeAlias = Literal["single", "multi", "regression"]

ENCODER_FAMILIES: tuple[EncoderFamily, ...] = get_args(EncoderFamily)
MAX_LABELS = 1 << 20
_MAX_VALUES = 1 << 31


@dataclass(frozen=True)
class EncoderConfig:
    """An encoder-only model (Devlin et al. 2019): every token sees every other, norms come last.

    Fields that `ModelConfig` has too mean the same.

    Attributes:
        family: Whose files it comes from; says how files are read and written, never how to
            compute.
        vocab_size: Rows of the embedding.
        hidden_size: Width of the stream and of the vectors.
        layers: Number of blocks.
        heads: Attention heads per layer; each has hidden_size / heads values.
        intermediate_size: Width inside the MLP.
        context_length: Most tokens of one text.
        position_offset: Rows of the position table before that of a text's first token (RoBERTa
            keeps one for each id up to its padding).
        token_types: Kinds of segments (first and second text of a pair); 0 for none.
        norm_eps: Added to the variance before the root.
        activation: Nonlinearity of the MLP.
        head: What stands on top: nothing, the words of masked places, one label or several for
            the text, one label for each token.
        head_activation: Nonlinearity between the two matrices of the head or the pooler.
        pooler: A dense layer on the first token's vector; a classifier always has it.
        labels: Names of the classes, in the order of the logits; empty without such a head.
        problem: What a classifier's logits are: `single` (a softmax), `multi` (sigmoids) or
            `regression` (the numbers themselves).
        tied: The masked head's matrix is the embedding's.
        padding_id: The token that fills up batches.
    """

    family: EncoderFamily
    vocab_size: int
    hidden_size: int
    layers: int
    heads: int
    intermediate_size: int
    context_length: int
    position_offset: int = 0
    token_types: int = 2
    norm_eps: float = 1e-12
    activation: EncoderActivation = "gelu"
    head: Head = "none"
    head_activation: HeadActivation = "tanh"
    pooler: bool = False
    labels: tuple[str, ...] = ()
    problem: Problem = "single"
    tied: bool = True
    padding_id: int = 0

    def __post_init__(self) -> None:
        for name, kind in (
            ("family", EncoderFamily),
            ("activation", EncoderActivation),
            ("head", Head),
            ("head_activation", HeadActivation),
            ("problem", Problem),
        ):
            known = _words(kind)
            if getattr(self, name) not in known:
                raise FormatError(
                    f"{name} is {getattr(self, name)!r}; known are {', '.join(known)}."
                )
        for name in ("vocab_size", "hidden_size", "layers", "heads", "intermediate_size",
                     "context_length"):  # fmt: skip
            _whole(name, getattr(self, name), least=1)
        for name in ("position_offset", "token_types", "padding_id"):
            _whole(name, getattr(self, name), least=0)
        if self.layers > MAX_LAYERS:
            raise FormatError(f"layers is {self.layers}; at most {MAX_LAYERS} are possible.")
        if self.hidden_size % self.heads:
            raise FormatError(
                f"hidden_size is {self.hidden_size}, which {self.heads} heads cannot share evenly."
            )
        if not 0.0 < self.norm_eps < 1.0:  # also refuses NaN
            raise FormatError(f"norm_eps is {self.norm_eps!r}; it must be above 0 and below 1.")
        if self.padding_id >= self.vocab_size:
            raise FormatError(
                f"padding_id is {self.padding_id}, outside the {self.vocab_size} tokens."
            )
        self._check_head()

    def _check_head(self) -> None:
        labelled = self.head in ("classify", "tag")
        if labelled != bool(self.labels):
            raise FormatError(
                f"A model whose head is {self.head!r} has {len(self.labels)} labels; it needs "
                + ("at least one." if labelled else "none.")
            )
        if len(self.labels) > MAX_LABELS or len(set(self.labels)) != len(self.labels):
            raise FormatError(
                f"labels must be at most {MAX_LABELS} different names; there are "
                f"{len(self.labels)}, {len(set(self.labels))} of them different."
            )
        if self.head == "classify" and not self.pooler:
            raise FormatError("A classifier needs a pooler.")
        if self.head in ("masked", "tag") and self.pooler:
            raise FormatError(f"A model whose head is {self.head!r} has no use for a pooler.")

    @property
    def head_dim(self) -> int:
        """Values per attention head."""
        return self.hidden_size // self.heads

    @property
    def position_rows(self) -> int:
        """Rows of the position table."""
        return self.context_length + self.position_offset


def _words(kind: object) -> tuple[str, ...]:
    """The words of a literal type, or of a union of such."""
    found: list[str] = []
    for part in get_args(kind):
        found.extend([part] if isinstance(part, str) else _words(part))
    return tuple(found)


def _whole(name: str, value: int, *, least: int) -> None:
    if type(value) is not int or not least <= value < _MAX_VALUES:
        raise FormatError(f"{name} is {value!r}; it must be a whole number from {least} to 2^31-1.")
