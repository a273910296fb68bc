"""Tokenizers compared on text that none of them was trained on."""

from __future__ import annotations

import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kataribe.make.tokens.kinds import KINDS, Kind, TokenizerPlan
from kataribe.make.tokens.load import load_tokenizer
from kataribe.make.tokens.sample import Sample, sample_documents, sample_texts
from kataribe.make.tokens.scripts import SCRIPTS, has_words, script_numbers
from kataribe.make.tokens.shown import ShownPiece, shown_pieces
from kataribe.make.tokens.tokenizer import Tokenizer
from kataribe.make.tokens.train import save_tokenizer, train_on

SIZES = (4096, 16384, 32768)
SAMPLE_BYTES = 8_000_000
HELD_OUT_BYTES = 1_000_000
_WORD = re.compile(r"\w+")
UNKNOWN_LANGUAGE = "?"


@dataclass(frozen=True)
class Fertility:
    """How many tokens a stretch of language takes.

    Attributes:
        of: The language, or the script.
        characters: Characters of it that were held out.
        per_character: Tokens for a character; one that stands for characters of several scripts
            counts for each by its share.
        per_word: Tokens for a word; None where no spaces part words.
    """

    of: str
    characters: int
    per_character: float
    per_word: float | None = None


@dataclass(frozen=True)
class Measured:
    """One tokenizer on the held-out text.

    Attributes:
        name: Its name; for a trained one kind and size.
        pieces: Its vocabulary.
        tokens: Tokens of the held-out text.
        bytes_per_token: Bytes (UTF-8) of text for a token: more is shorter.
        languages: By language.
        scripts: By script.
        round_trip: Share of lines that come back exactly.
        used: Share of its pieces, special tokens left out, that the text uses.
        train_seconds: How long it was trained; None for one that was there.
        encode_mb_per_second: Megabytes of text a second, in one call.
        shown: The pieces of the text that was asked for.
    """

    name: str
    pieces: int
    tokens: int
    bytes_per_token: float
    languages: tuple[Fertility, ...]
    scripts: tuple[Fertility, ...]
    round_trip: float
    used: float
    train_seconds: float | None
    encode_mb_per_second: float
    shown: tuple[ShownPiece, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Tokenizers side by side.

    Attributes:
        rows: By kind, then by size.
        trained_on: Bytes of text that each was trained on.
        of: Bytes of text that there were.
        held_out: Bytes that they were measured on.
    """

    rows: tuple[Measured, ...]
    trained_on: int
    of: int
    held_out: int


@dataclass(frozen=True)
class CompareOptions:
    """What to compare.

    Attributes:
        kinds: Kinds to train.
        sizes: Vocabularies of each.
        sample_bytes: The most text to train on.
        held_out_bytes: The most text to measure on.
        text: A text whose pieces are shown.
    """

    kinds: Sequence[Kind] = KINDS
    sizes: Sequence[int] = SIZES
    sample_bytes: int = SAMPLE_BYTES
    held_out_bytes: int = HELD_OUT_BYTES
    text: str = ""


def compare_kinds(
    training: Iterable[str],
    held_out: Iterable[tuple[str, str]],
    options: CompareOptions | None = None,
    told: Callable[[str], None] | None = None,
) -> Comparison:
    """Trains every kind at every size, and measures each.

    Args:
        training: Texts to train on.
        held_out: Other texts, each with its language ("" where nobody knows).
        options: Kinds, sizes and limits.
        told: Hears the name of each tokenizer before it is trained.

    Raises:
        InputError: There is no text on one of the two sides.
    """
    options = options or CompareOptions()
    sample = sample_texts(training, options.sample_bytes)
    held = sample_documents(held_out, options.held_out_bytes)
    rows: list[Measured] = []
    plans = [TokenizerPlan(kind, size) for kind in options.kinds for size in options.sizes]
    for plan in plans:
        name = f"{plan.kind}-{plan.vocab_size}"
        if told is not None:
            told(name)
        tokenizer, seconds = _trained(sample, plan)
        rows.append(measure(name, tokenizer, held, options.text, seconds))
    return Comparison(tuple(rows), sample.used_bytes, sample.text_bytes, held.used_bytes)


def parted(
    documents: Iterable[tuple[str, str]], *, held: bool, every: int = 20
) -> Iterator[tuple[str, str]]:
    """The documents to measure on (the first of every 20), or the others, to train on."""
    for index, document in enumerate(documents):
        if (index % every == 0) == held:
            yield document


def _trained(sample: Sample, plan: TokenizerPlan) -> tuple[Tokenizer, float]:
    """What others will open: written to a folder and read from it."""
    inner, training = train_on(sample, plan)
    with tempfile.TemporaryDirectory(prefix="kataribe-") as folder:
        path = Path(folder) / "tokenizer"
        save_tokenizer(path, inner, training)
        return load_tokenizer(path), training.seconds


def measure(
    name: str,
    tokenizer: Tokenizer,
    held_out: Sample,
    text: str = "",
    train_seconds: float | None = None,
) -> Measured:
    """What a tokenizer makes of a sample that it was not trained on."""
    texts = held_out.texts
    started = time.perf_counter()
    encoded = tokenizer.encode_texts(texts)
    taken = time.perf_counter() - started
    size = held_out.used_bytes
    tokens = sum(map(len, encoded))
    used = set().union(*map(set, encoded)) - tokenizer.special_ids
    languages, scripts = _fertilities(tokenizer, held_out)
    return Measured(
        name=name,
        pieces=tokenizer.vocab_size,
        tokens=tokens,
        bytes_per_token=size / max(1, tokens),
        languages=languages,
        scripts=scripts,
        round_trip=_round_trip(tokenizer, texts),
        used=len(used) / max(1, tokenizer.vocab_size - len(tokenizer.special_ids)),
        train_seconds=train_seconds,
        encode_mb_per_second=size / 1e6 / max(taken, 1e-9),
        shown=shown_pieces(tokenizer, tokenizer.encode_texts([text])[0]) if text else (),
    )


def _round_trip(tokenizer: Tokenizer, texts: Sequence[str]) -> float:
    lines = [line for text in texts for line in text.splitlines(keepends=True)]
    same = sum(
        tokenizer.decode(ids) == line
        for line, ids in zip(lines, tokenizer.encode_texts(lines), strict=True)
    )
    return same / max(1, len(lines))


@dataclass
class _Counts:
    tokens: float = 0.0
    characters: int = 0
    words: int = 0
    has_words: bool = True


def _fertilities(
    tokenizer: Tokenizer, held_out: Sample
) -> tuple[tuple[Fertility, ...], tuple[Fertility, ...]]:
    languages: dict[str, _Counts] = defaultdict(_Counts)
    tokens = np.zeros(len(SCRIPTS))
    characters = np.zeros(len(SCRIPTS), np.int64)
    for text, language in zip(held_out.texts, held_out.languages, strict=True):
        spans = np.array(tokenizer.encode_spans(text), np.int64).reshape(-1, 3)
        counts = languages[language or UNKNOWN_LANGUAGE]
        counts.tokens += len(spans)
        counts.characters += len(text)
        counts.words += len(_WORD.findall(text))
        counts.has_words = counts.has_words and has_words(text)
        numbers = script_numbers(text)
        characters += np.bincount(numbers, minlength=len(SCRIPTS))
        starts, ends = spans[:, 1], np.maximum(spans[:, 2], spans[:, 1] + 1)
        for index in np.unique(numbers).tolist():
            before = np.concatenate([[0], np.cumsum(numbers == index), [0]])
            before[-1] = before[-2]  # a token may end where nothing is: beyond the last character
            tokens[index] += ((before[ends] - before[starts]) / (ends - starts)).sum()
    by_language = (
        Fertility(
            name,
            each.characters,
            each.tokens / max(1, each.characters),
            each.tokens / max(1, each.words) if each.has_words else None,
        )
        for name, each in sorted(languages.items())
    )
    by_script = (
        Fertility(SCRIPTS[index], int(count), float(tokens[index]) / int(count))
        for index, count in enumerate(characters.tolist())
        if count
    )
    return tuple(by_language), tuple(by_script)
