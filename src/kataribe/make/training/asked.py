"""What can be asked of each kind of training; the commands' flags are these fields. No PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

from kataribe.base.errors import InputError
from kataribe.make.training.config import choice, number, whole


@dataclass(frozen=True)
class Pretraining:
    """What is asked for.

    Attributes:
        corpus: Name of a corpus of the workspace, or a path.
        tokenizer: Name of a tokenizer of the workspace, or a path; with `base`, the base's.
        size: Parameters, such as 10M; the dial chooses the rest.
        minutes: Time to train; the dial chooses the size too.
        tokens: Tokens to learn from, in place of the dial's choice.
        context: Tokens of a row, and of the model's context.
        layers: Blocks, in place of the dial's choice.
        width: Hidden size, a multiple of 64, in place of the dial's choice.
        batch_tokens: Tokens of a step, in place of the dial's choice.
        base: A model to go on from, by name or path.
        seed: Decides first weights, order and samples.
    """

    corpus: str
    tokenizer: str | None = None
    size: str | None = None
    minutes: float | None = None
    tokens: int | None = None
    context: int = 512
    layers: int | None = None
    width: int | None = None
    batch_tokens: int | None = None
    base: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        whole("context", self.context, least=8, most=1 << 20)
        if self.minutes is not None:
            number("minutes", self.minutes, above=0.0, most=60 * 24 * 365)
        for name in ("tokens", "batch_tokens"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), least=self.context)
        if self.base is None and self.tokenizer is None:
            raise InputError(
                "A new model needs a tokenizer (--tokenizer NAME); train one with `kataribe "
                "tokenizer train`.",
                param="tokenizer",
            )
        if not any((self.size, self.minutes, self.tokens, self.width, self.base)):
            raise InputError(
                "Say how large the model should be (--size 10M) or how long to train "
                "(--minutes 30).",
                param="size",
            )


@dataclass(frozen=True)
class Instruction:
    """What is asked for.

    Attributes:
        chats: Conversations: a file of JSON lines, or a folder with train.jsonl and, held out,
            valid.jsonl; by name in the workspace's corpora, or by path.
        base: The model to go on from, by name or path.
        tokenizer: In place of the base's own; it must have a chat template.
        epochs: How often each conversation is seen.
        context: Tokens of a row; None for the base's context.
        batch_tokens: Tokens of a step.
        too_long: What becomes of conversations longer than a row: refuse, drop or cut.
        held_out: Share of conversations that is held out where there is no valid.jsonl.
        seed: Decides order and samples.
    """

    chats: str
    base: str | None = None
    tokenizer: str | None = None
    epochs: float = 3.0
    context: int | None = None
    batch_tokens: int = 16384
    too_long: str = "refuse"
    held_out: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if self.base is None:
            raise InputError("Say which model to go on from (--base NAME).", param="base")
        choice("too_long", self.too_long, ("refuse", "drop", "cut"))
        number("epochs", self.epochs, above=0.0, most=1000.0)
        number("held_out", self.held_out, least=0.0, below=1.0)
        whole("batch_tokens", self.batch_tokens, least=8)
        if self.context is not None:
            whole("context", self.context, least=8, most=1 << 20)
