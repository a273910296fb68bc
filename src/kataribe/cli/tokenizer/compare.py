"""`kataribe tokenizer compare`: kinds and sizes side by side on held-out text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from kataribe.cli import options

if TYPE_CHECKING:
    from kataribe.make.tokens.compare import Comparison, Fertility
    from kataribe.make.tokens.corpus_files import CorpusFiles
    from kataribe.make.tokens.kinds import Kind


def compare(
    corpus: Annotated[
        str, typer.Argument(metavar="CORPUS", help="A corpus' name, or a folder or file.")
    ],
    kinds: Annotated[
        str, typer.Option("--kinds", help="Which, parted by commas.")
    ] = "bpe,wordpiece,unigram",
    sizes: Annotated[
        str, typer.Option("--sizes", help="Vocabularies, parted by commas.")
    ] = "4096,16384,32768",
    text: Annotated[
        str, typer.Option("--text", help="Show the pieces of this text for each.")
    ] = "",
    megabytes: Annotated[
        float, typer.Option("--megabytes", help="The most text to train each on.")
    ] = 8.0,
    as_json: options.Json = False,
) -> None:
    """Train all kinds at several sizes, and measure them on text that none has seen.

    Measured on the corpus' validation part, or on every 20th document where it has none.
    """
    from kataribe.cli.output import Waiting, emit_json
    from kataribe.cli.tokenizer.found import corpus_files
    from kataribe.make.tokens.compare import CompareOptions, compare_kinds

    asked = CompareOptions(_kinds(kinds), _sizes(sizes), int(megabytes * 1e6), text=text)
    files = corpus_files(corpus)
    with Waiting() as line:
        found = compare_kinds(
            _texts(files), _held_out(files), asked, lambda name: line.show(f"Training {name}")
        )
    if as_json:
        emit_json(asdict(found))
    else:
        _print(found, text)


def _texts(files: CorpusFiles) -> Iterator[str]:
    from kataribe.make.tokens.compare import parted
    from kataribe.make.tokens.corpus_files import read_texts, read_texts_with_language

    if "valid" in files.splits:
        yield from read_texts(files.splits["train"])
        return
    for each, _ in parted(read_texts_with_language(files.splits["train"]), held=False):
        yield each


def _held_out(files: CorpusFiles) -> Iterator[tuple[str, str]]:
    from kataribe.make.tokens.compare import parted
    from kataribe.make.tokens.corpus_files import read_texts_with_language

    if "valid" in files.splits:
        return read_texts_with_language(files.splits["valid"])
    return parted(read_texts_with_language(files.splits["train"]), held=True)


def _kinds(words: str) -> tuple[Kind, ...]:
    from kataribe.base.errors import InputError
    from kataribe.make.tokens.kinds import KINDS

    asked = [word.strip() for word in words.split(",") if word.strip()]
    unknown = [word for word in asked if word not in KINDS]
    if unknown or not asked:
        raise InputError(
            f"--kinds {words!r} cannot be; take some of {', '.join(KINDS)}.", param="kinds"
        )
    return tuple(kind for kind in KINDS if kind in asked)


def _sizes(words: str) -> tuple[int, ...]:
    from kataribe.base.errors import InputError

    try:
        found = sorted({int(word) for word in words.split(",")})
    except ValueError:
        raise InputError(
            f"--sizes {words!r} cannot be; give numbers such as 4096,16384.", param="sizes"
        ) from None
    return tuple(found)


def _print(found: Comparison, text: str) -> None:
    from kataribe.cli.output import note, say, size, table
    from kataribe.cli.tokenizer.coloured import print_pieces

    part = "" if found.trained_on == found.of else f" (a sample of {size(found.of)})"
    note(f"Trained on {size(found.trained_on)}{part}, measured on {size(found.held_out)}.")
    heads = ("TOKENIZER", "PIECES", "BYTES/TOKEN", "ROUND TRIP", "USED", "TRAINED", "ENCODES")
    rows = [
        (
            each.name,
            f"{each.pieces:,}",
            f"{each.bytes_per_token:.2f}",
            f"{each.round_trip:.1%}",
            f"{each.used:.0%}",
            f"{each.train_seconds:.1f} s" if each.train_seconds is not None else "",
            f"{each.encode_mb_per_second:.1f} MB/s",
        )
        for each in found.rows
    ]
    table(heads, rows)
    if not found.rows:
        return
    first = found.rows[0]
    say("")
    say("Tokens for a character, and in brackets for a word, by language:")
    names = tuple(each.of for each in first.languages)
    table(("TOKENIZER", *names), [(r.name, *_fertilities(r.languages)) for r in found.rows])
    say("")
    say("Tokens for a character, by script:")
    names = tuple(each.of for each in first.scripts)
    table(("TOKENIZER", *names), [(r.name, *_fertilities(r.scripts)) for r in found.rows])
    for each in found.rows if text else ():
        say("")
        say(f"{each.name}: {len(each.shown)} tokens")
        print_pieces(each.shown)


def _fertilities(each: Sequence[Fertility]) -> tuple[str, ...]:
    return tuple(
        f"{f.per_character:.2f}" + (f" ({f.per_word:.2f})" if f.per_word is not None else "")
        for f in each
    )
