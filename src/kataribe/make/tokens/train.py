"""Trains tokenizers: the same texts give the same tokenizer, in the memory of a sample."""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, models, pre_tokenizers, trainers
from tokenizers import processors as after

from kataribe.base.errors import FormatError, InputError, NotFoundError
from kataribe.files.atomic import storage_error, sync_folder, write_atomic
from kataribe.make.tokens.kinds import (
    BERT_BEGIN,
    BERT_END,
    BERT_UNKNOWN,
    BPE_RULE,
    TokenizerPlan,
    untrained,
)
from kataribe.make.tokens.sample import Sample, sample_texts
from kataribe.make.tokens.unigram import train_unigram

CARD = "card.json"
SAMPLE_BYTES = 24_000_000
"""Of a bigger corpus every second, fourth, ... stretch is used, as far as it takes to stay below:
trainers hold every word that occurs, and Japanese has a new one in nearly every clause."""
LONGEST_PIECE = 32
"""Bytes of a byte-level piece (ten Japanese characters): longer ones are rules of one file."""
Told = Callable[[float], None]


@dataclass(frozen=True)
class Training:
    """How a tokenizer came about.

    Attributes:
        plan: What was asked for.
        pieces: The vocabulary that came out; a small corpus gives less than was asked for.
        documents: Documents read.
        text_bytes: Bytes of text read.
        used_bytes: Bytes that it was trained on.
        seconds: How long the training took, reading not counted.
    """

    plan: TokenizerPlan
    pieces: int
    documents: int
    text_bytes: int
    used_bytes: int
    seconds: float


def train_tokenizer(
    texts: Iterable[str],
    plan: TokenizerPlan,
    *,
    sample_bytes: int = SAMPLE_BYTES,
    told: Told | None = None,
) -> tuple[tokenizers.Tokenizer, Training]:
    """A tokenizer in the library's form, and how it came about.

    Args:
        texts: A corpus of any size; read once, and held as far as it is used.
        plan: Kind, size, special tokens.
        sample_bytes: The most that is used of it; what is used is spread over all of it.
        told: Hears the share of the training that is done, from 0 to 1.

    Raises:
        InputError: There is no text.
    """
    return train_on(sample_texts(texts, sample_bytes), plan, told)


def train_on(
    sample: Sample, plan: TokenizerPlan, told: Told | None = None
) -> tuple[tokenizers.Tokenizer, Training]:
    """As `train_tokenizer`, on a sample that was taken before."""
    started = time.perf_counter()
    told = told or (lambda _: None)
    if plan.kind == "unigram":
        inner = train_unigram(sample.texts, plan, told)
    elif plan.kind == "wordpiece":
        inner = _train_wordpiece(sample.texts, plan)
    else:
        inner = _train_bpe(sample.texts, plan)
    told(1.0)
    taken = time.perf_counter() - started
    size = inner.get_vocab_size()
    training = Training(
        plan, size, sample.documents, sample.text_bytes, sample.used_bytes, round(taken, 3)
    )
    return inner, training


def _train_bpe(texts: Sequence[str], plan: TokenizerPlan) -> tokenizers.Tokenizer:
    inner = untrained(plan)
    trainer = trainers.BpeTrainer(
        vocab_size=plan.vocab_size,
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        max_token_length=LONGEST_PIECE,
        special_tokens=_specials(plan),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    return inner


def _train_wordpiece(texts: Sequence[str], plan: TokenizerPlan) -> tokenizers.Tokenizer:
    """The library numbers letters inside words as it meets them, in an order drawn anew each time.

    So they are found first, and given to it in order as if they were special tokens.
    """
    letters = _letters(texts, (plan.vocab_size - len(plan.special_tokens)) // 4)
    first = _wordpiece(texts, plan, len(plan.special_tokens), letters, [])
    inside = sorted(piece for piece in first if piece.startswith("##"))
    vocabulary = _wordpiece(texts, plan, plan.vocab_size, letters, inside)
    inner = untrained(plan)
    inner.model = models.WordPiece(vocabulary, unk_token=BERT_UNKNOWN)
    inner.add_special_tokens(_specials(plan))
    around = [(each, vocabulary[each]) for each in (BERT_BEGIN, BERT_END)]
    inner.post_processor = after.TemplateProcessing(
        single=f"{BERT_BEGIN} $A {BERT_END}",
        pair=f"{BERT_BEGIN} $A {BERT_END} $B:1 {BERT_END}:1",
        special_tokens=around,
    )
    return inner


def _wordpiece(
    texts: Sequence[str],
    plan: TokenizerPlan,
    size: int,
    letters: Sequence[str],
    inside: Sequence[str],
) -> dict[str, int]:
    maker = untrained(plan)
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        initial_alphabet=list(letters),
        limit_alphabet=len(letters),
        special_tokens=[*_specials(plan), *inside],
        show_progress=False,
    )
    maker.train_from_iterator(texts, trainer)
    return dict(maker.get_vocab())


def _letters(texts: Sequence[str], most: int) -> list[str]:
    """The most frequent characters of words, so few that words have places beside them.

    Japanese has thousands; and of equally frequent ones the library would draw some by lot.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    known = [each for each in counts if each.isprintable() and not each.isspace()]
    return sorted(known, key=lambda each: (-counts[each], each))[:most]


def _specials(plan: TokenizerPlan) -> list[AddedToken]:
    return [AddedToken(each, normalized=False, special=True) for each in plan.special_tokens]


def save_tokenizer(
    folder: Path,
    inner: tokenizers.Tokenizer,
    training: Training,
    about: dict[str, Any] | None = None,
) -> None:
    """Writes a folder in Hugging Face layout with a card; wholly or not at all.

    Args:
        folder: Must not be there yet.
        inner: The trained tokenizer.
        training: What the card tells.
        about: More for the card: the corpus.

    Raises:
        InputError: There is something of that name.
        StorageError: It cannot be written.
    """
    plan = training.plan
    if folder.exists():
        raise InputError(
            f"There is a tokenizer at {folder} already; choose another name, or remove it first."
        )
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **plan.names,
        "additional_special_tokens": [
            each for each in plan.special_tokens if each not in plan.names.values()
        ],
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1_000_000_000,  # the model sets the limit
    }
    card = {
        "format": 1,
        "name": folder.name,
        "ggml_pre": BPE_RULE if plan.kind == "bpe" else None,
        **asdict(training),
        **(about or {}),
    }
    part = folder.with_name(f".{folder.name}.part")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        write_atomic(part / "tokenizer.json", inner.to_str(pretty=True))
        write_atomic(part / "tokenizer_config.json", _json(config))
        if plan.chat_template is not None:
            write_atomic(part / "chat_template.jinja", plan.chat_template)
        write_atomic(part / CARD, _json(card))
        part.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise storage_error(f"{folder} cannot be written", error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def read_card(folder: Path) -> dict[str, Any]:
    """What a tokenizer's folder says of how it came about; empty for one from elsewhere.

    Raises:
        NotFoundError: There is no tokenizer.
        FormatError: The card is damaged.
    """
    if not (folder / "tokenizer.json").is_file():
        raise NotFoundError(f"There is no tokenizer at {folder}.")
    path = folder / CARD
    if not path.is_file():
        return {}
    try:
        card = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise FormatError(f"{path} is not JSON: {error}.") from error
    if not isinstance(card, dict):
        raise FormatError(f"{path} holds {type(card).__name__}, not an object.")
    return card
