"""What can be asked of each kind of training; the commands' flags are these fields. No PyTorch."""

from __future__ import annotations

import re
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


@dataclass(frozen=True)
class FromText:
    """What masking and denoising ask alike.

    Attributes:
        corpus: Name of a corpus of the workspace, or a path.
        tokenizer: Name or path; with `base`, the base's.
        base: A model to go on with, by name or path.
        width: Hidden size of a new model, a multiple of 64.
        layers: Blocks of a new model, of each stack where it has two.
        context: Tokens of a row.
        tokens: Tokens to learn from; None for four times the corpus.
        batch_tokens: Tokens of a step.
        seed: Decides first weights, order and what is hidden.
    """

    corpus: str
    tokenizer: str | None = None
    base: str | None = None
    width: int = 256
    layers: int = 6
    context: int = 256
    tokens: int | None = None
    batch_tokens: int = 16384
    seed: int = 0

    def __post_init__(self) -> None:
        whole("context", self.context, least=8, most=1 << 20)
        whole("batch_tokens", self.batch_tokens, least=self.context)
        whole("layers", self.layers, least=1, most=512)
        if self.width % 64 or self.width < 64:
            raise InputError(f"width is {self.width}; it must be a multiple of 64.", param="width")
        if self.base is None and self.tokenizer is None:
            raise InputError("A new model needs a tokenizer (--tokenizer NAME).", param="tokenizer")


@dataclass(frozen=True)
class Masking(FromText):
    """Hidden words.

    Attributes:
        tokenizer: Name or path; it needs a mask token.
        base: An encoder to go on with, by name or path.
    """


@dataclass(frozen=True)
class Denoising(FromText):
    """Gaps.

    Attributes:
        tokenizer: Name or path; it needs sentinels (extra_id_0, ...).
        base: An encoder-decoder to go on with, by name or path.
        context: Tokens of a source.
        batch_tokens: Tokens of sources of a step.
    """

    layers: int = 4


@dataclass(frozen=True)
class Labelling:
    """What is asked for.

    Attributes:
        examples: JSON lines: text and label for classes; words and tags, or text and spans, for
            tagging. A file, or a folder with train.jsonl and, held out, valid.jsonl.
        base: The encoder to go on from, by name or path.
        labels: The labels that there may be; none for those of the data.
        epochs: How often each example is seen.
        batch_rows: Examples of a step.
        context: Tokens of a row; None for the base's context.
        too_long: What becomes of longer texts: refuse, drop or cut.
        held_out: Share of examples that is held out where there is no valid.jsonl.
        seed: Decides the head's first weights, and the order.
    """

    examples: str
    base: str | None = None
    labels: tuple[str, ...] = ()
    epochs: float = 3.0
    batch_rows: int = 16
    context: int | None = None
    too_long: str = "refuse"
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        _tuned(self)


@dataclass(frozen=True)
class Embedding:
    """What is asked for.

    Attributes:
        pairs: JSON lines of query and passage: a file, or a folder with train.jsonl and, held
            out, valid.jsonl.
        base: The encoder to go on from, by name or path.
        epochs: How often each pair is seen.
        batch_rows: Pairs of a step; each must be told from all others of it.
        context: Tokens of a text; None for the base's context.
        too_long: What becomes of longer texts: refuse, drop or cut.
        held_out: Share of pairs that is held out where there is no valid.jsonl.
        seed: Decides the order.
    """

    pairs: str
    base: str | None = None
    epochs: float = 3.0
    batch_rows: int = 32
    context: int | None = None
    too_long: str = "refuse"
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        _tuned(self)
        whole("batch_rows", self.batch_rows, least=2)


@dataclass(frozen=True)
class Distilling:
    """What is asked for.

    Attributes:
        corpus: Text to learn on: name of a corpus of the workspace, or a path.
        teacher: The model to learn from, by name or path; its tokenizer is the student's.
        base: A student to go on with; None for a new one.
        size: Parameters of a new student, such as 5M.
        tokens: Tokens to learn from; None for once over the corpus.
        context: Tokens of a row.
        batch_tokens: Tokens of a step.
        temperature: Softens what both think, before they are compared.
        share: Of the teacher's opinion; the rest is the text's.
        seed: Decides first weights and order.
    """

    corpus: str
    teacher: str | None = None
    base: str | None = None
    size: str | None = None
    tokens: int | None = None
    context: int = 256
    batch_tokens: int = 8192
    temperature: float = 2.0
    share: float = 0.7
    seed: int = 0

    def __post_init__(self) -> None:
        if self.teacher is None:
            raise InputError("Say which model to learn from (--teacher NAME).", param="teacher")
        if (self.base is None) == (self.size is None):
            raise InputError(
                "Say either how large a new student should be (--size 5M) or which model to go on "
                "with (--base NAME).",
                param="size",
            )
        whole("context", self.context, least=8, most=1 << 20)
        whole("batch_tokens", self.batch_tokens, least=self.context)
        number("temperature", self.temperature, above=0.0, most=100.0)
        number("share", self.share, least=0.0, most=1.0)


@dataclass(frozen=True)
class TextDistilling:
    """What is asked for.

    Attributes:
        questions: What the teacher is asked: JSON lines of messages (an assistant's words at their
            end are left out) or of a prompt. A file, or a folder with train.jsonl and, held out,
            valid.jsonl; by name in the workspace's corpora, or by path.
        teacher: Who answers, by name.
        at: Address of an OpenAI-compatible server that has the teacher, such as
            http://127.0.0.1:8000; it gets the key in OPENAI_API_KEY, where there is one. None for
            a model of this machine.
        base: The student to tune on the answers, by name or path; None only writes them down.
        data: Name of the answers among the corpora; None for the questions' with the teacher's.
        answers: How often each prompt is answered.
        temperature: Of the teacher; 0 takes its likeliest token.
        top_p: Of the teacher; only its likeliest tokens up to this probability.
        max_tokens: Most tokens of an answer; one that is longer is cut and left out.
        at_once: Prompts in the air.
        held_out: Share of prompts that is held out where there is no valid.jsonl.
        epochs: How often the student sees each answer.
        context: Tokens of a row; None for the student's context.
        batch_tokens: Tokens of a step.
        too_long: What becomes of conversations longer than a row: refuse, drop or cut.
        seed: Decides the teacher's dice, what is held out, order and samples.
    """

    questions: str
    teacher: str | None = None
    at: str | None = None
    base: str | None = None
    data: str | None = None
    answers: int = 1
    temperature: float = 0.7
    top_p: float | None = None
    max_tokens: int = 512
    at_once: int = 4
    held_out: float = 0.05
    epochs: float = 3.0
    context: int | None = None
    batch_tokens: int = 16384
    too_long: str = "refuse"
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.teacher:
            raise InputError("Say which model answers (--teacher NAME).", param="teacher")
        if self.at is not None and "@" in _host(self.at):
            raise InputError(
                "at holds a user or a password, and it is written down with the answers and in "
                "their card. Take them out of the address, and put a key into OPENAI_API_KEY.",
                param="at",
            )
        if self.at is not None and not self.at.startswith(("http://", "https://")):
            raise InputError(
                f"at is {self.at!r}; it must be an address such as http://127.0.0.1:8000.",
                param="at",
            )
        whole("answers", self.answers, least=1, most=1000)
        number("temperature", self.temperature, least=0.0, most=2.0)
        if self.top_p is not None:
            number("top_p", self.top_p, above=0.0, most=1.0)
        if self.answers > 1 and not self.temperature:
            raise InputError(
                f"answers is {self.answers}, but at temperature 0 all of them are the same. Take "
                "one (--answers 1), or let the teacher vary (--temperature 0.7).",
                param="answers",
            )
        whole("max_tokens", self.max_tokens, least=1, most=1 << 20)
        whole("at_once", self.at_once, least=1, most=1024)
        number("held_out", self.held_out, least=0.0, below=1.0)
        whole("seed", self.seed, least=0, most=2**31 - 1)
        if self.base is not None:
            self.instruction("")

    def instruction(self, chats: str) -> Instruction:
        """What is asked of the student, with these answers; checks it."""
        return Instruction(
            chats, self.base, epochs=self.epochs, context=self.context,
            batch_tokens=self.batch_tokens, too_long=self.too_long, seed=self.seed,
        )  # fmt: skip


def _host(address: str) -> str:
    """What of an address names a server, and who asks it; the whole where it has no scheme."""
    return re.split("[/?#]", address.partition("://")[2] or address)[0]


def _tuned(asked: Labelling | Embedding) -> None:
    if asked.base is None:
        raise InputError("Say which encoder to go on from (--base NAME).", param="base")
    choice("too_long", asked.too_long, ("refuse", "drop", "cut"))
    number("epochs", asked.epochs, above=0.0, most=1000.0)
    number("held_out", asked.held_out, least=0.0, below=1.0)
    whole("batch_rows", asked.batch_rows, least=1)
