"""Comparing tokenizers: the figures are those of the plain way to count them."""

from __future__ import annotations

import re

import pytest

from kataribe.base.errors import InputError
from kataribe.make.tokens.compare import CompareOptions, compare_kinds, measure, parted
from kataribe.make.tokens.kinds import KINDS, Kind
from kataribe.make.tokens.sample import sample_documents
from kataribe.make.tokens.scripts import SCRIPTS, script_of
from kataribe.make.tokens.shown import shown_pieces
from tests.make.tokens import small_corpus, trained


@pytest.mark.parametrize("kind", KINDS)
def test_measures_are_those_of_the_plain_way(kind: Kind) -> None:
    tokenizer = trained.tokenizer(kind)
    held = small_corpus.documents()[::12]
    found = measure("x", tokenizer, sample_documents(held, 10**6), "猫 cat")
    ids = [tokenizer.encode(text, special=False, add_bos=False) for text, _ in held]
    assert found.tokens == sum(map(len, ids))
    size = sum(len(text.encode()) for text, _ in held)
    assert found.bytes_per_token == size / found.tokens
    ordinary = set(range(tokenizer.vocab_size)) - tokenizer.special_ids
    assert found.used == len({each for row in ids for each in row} & ordinary) / len(ordinary)
    lines = [line for text, _ in held for line in text.splitlines(keepends=True)]
    same = [tokenizer.decode(tokenizer.encode_texts([line])[0]) == line for line in lines]
    assert found.round_trip == sum(same) / len(lines)
    if kind != "wordpiece":
        assert found.round_trip == 1
    english = [index for index, (_, language) in enumerate(held) if language == "en"]
    (told,) = [each for each in found.languages if each.of == "en"]
    characters = sum(len(held[index][0]) for index in english)
    words = sum(len(re.findall(r"\w+", held[index][0])) for index in english)
    tokens = sum(len(ids[index]) for index in english)
    assert told.characters == characters
    assert told.per_character == pytest.approx(tokens / characters)
    assert told.per_word == pytest.approx(tokens / words)
    (told,) = [each for each in found.languages if each.of == "ja"]
    assert told.per_word is None
    assert "".join(each.text for each in found.shown).strip() != ""


@pytest.mark.parametrize("kind", KINDS)
def test_scripts_share_the_tokens_that_cover_them(kind: Kind) -> None:
    tokenizer = trained.tokenizer(kind)
    held = small_corpus.documents()[::12]
    found = measure("x", tokenizer, sample_documents(held, 10**6))
    tokens = dict.fromkeys(SCRIPTS, 0.0)
    characters = dict.fromkeys(SCRIPTS, 0)
    for text, _ in held:
        for each in text:
            characters[script_of(each)] += 1
        for _, start, end in tokenizer.encode_spans(text):
            covered = text[start : max(end, start + 1)]
            for each in covered:
                tokens[script_of(each)] += 1 / max(1, end - start)
    assert {each.of: each.characters for each in found.scripts} == {
        name: count for name, count in characters.items() if count
    }
    for each in found.scripts:
        assert each.per_character == pytest.approx(tokens[each.of] / each.characters), each.of


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("aZéＡ", "latin"), ("漢々〇", "kanji"), ("あゞ", "hiragana"), ("アｱー", "katakana"),
        ("한", "hangul"), ("Ж", "cyrillic"), ("λ", "greek"), ("ع", "arabic"), ("ש", "hebrew"),
        ("ไ", "thai"), ("न", "devanagari"), ("1１٣", "digits"), ("。+😀", "signs"),
        (" \n\u3000", "blanks"), ("\x00\ufffe", "other"),
    ],
)  # fmt: skip
def test_scripts_of_characters(text: str, script: str) -> None:
    assert [script_of(each) for each in text] == [script] * len(text)


def test_all_kinds_are_trained_at_all_sizes_on_other_text_than_they_are_measured_on() -> None:
    documents = small_corpus.documents()
    training = [text for text, _ in parted(documents, held=False, every=4)]
    held = list(parted(documents, held=True, every=4))
    assert len(training) + len(held) == len(documents)
    told: list[str] = []
    training = training[::3]
    options = CompareOptions(sizes=(600, 900), held_out_bytes=20_000, text="東京")
    found = compare_kinds(training, held, options, told.append)
    assert [row.name for row in found.rows] == told
    assert told == [f"{kind}-{size}" for kind in KINDS for size in (600, 900)]
    assert found.trained_on == found.of == sum(len(text.encode()) for text in training)
    assert 0 < found.held_out <= 20_000
    for small, big in zip(found.rows[::2], found.rows[1::2], strict=True):
        assert small.pieces < big.pieces
        assert small.bytes_per_token < big.bytes_per_token
        assert all(row.shown for row in (small, big))
    with pytest.raises(InputError, match="no text"):
        compare_kinds([], held, options)
    with pytest.raises(InputError, match="no text"):
        compare_kinds(training, [], options)


def test_half_characters_are_shown_as_their_bytes() -> None:
    tokenizer = trained.tokenizer("bpe")
    pieces = shown_pieces(tokenizer, [*tokenizer.encode_texts(["🫠a"])[0], 3])
    assert [each.text for each in pieces][-2:] == ["a", "<|im_end|>"]
    assert pieces[-1].special
    assert pieces[0].text.startswith("<F0")
