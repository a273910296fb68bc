"""Streaming gives the words of the whole, and never half a character."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kataribe.base.errors import InputError
from kataribe.make.tokens import StreamDecoder, Tokenizer, load_tokenizer
from tests.make.tokens import vocabularies
from tests.make.tokens.hard_texts import TEXTS, random_texts

KINDS = ("byte-level", "sentencepiece", "sentencepiece without prefix", "words")


@cache
def tokenizer_of(kind: str, folder: Path) -> Tokenizer:
    path = folder / f"{kind}.gguf"
    if kind == "byte-level":
        return load_tokenizer(vocabularies.write_byte_level(path, "gpt-2"))
    if kind == "words":
        return load_tokenizer(vocabularies.write_words(path))
    prefix = kind == "sentencepiece"
    return load_tokenizer(vocabularies.write_sentencepiece(path, add_space_prefix=prefix))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stream")


def streamed(tokenizer: Tokenizer, ids: list[int], **options: bool) -> list[str]:
    stream = StreamDecoder(tokenizer, **options)
    return [*(stream.push(token_id) for token_id in ids), stream.finish()]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(data=st.data(), skip=st.booleans(), continues=st.booleans())
def test_pieces_join_to_the_whole(
    kind: str, folder: Path, data: st.DataObject, skip: bool, continues: bool
) -> None:
    tokenizer = tokenizer_of(kind, folder)
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocab_size + 5), max_size=60))
    kept = [each for each in ids if not (skip and tokenizer.is_special(each))]
    whole = b"".join(map(tokenizer.token_bytes, kept))
    if tokenizer.strips_leading_space and not continues:
        whole = whole.removeprefix(b" ")
    parts = streamed(tokenizer, ids, skip_special=skip, continues=continues)
    assert "".join(parts) == whole.decode(errors="replace")
    assert "".join(parts) == tokenizer.decode(ids, skip_special=skip, continues=continues)


@pytest.mark.parametrize("kind", KINDS[:3])
def test_no_piece_shows_half_a_character(kind: str, folder: Path) -> None:
    tokenizer = tokenizer_of(kind, folder)
    for text in (*TEXTS, *random_texts(11, 200)):
        if "▁" in text or "\ufffd" in text or "\n\n" in text:
            continue  # after "\n\n", a user-defined token, the file's rule adds a space again
        parts = streamed(tokenizer, tokenizer.encode(text, special=False, add_bos=False))
        assert "".join(parts) == text
        assert not any("\ufffd" in part for part in parts)


def test_bytes_of_the_tokens_are_the_bytes_of_the_text(folder: Path) -> None:
    for kind in KINDS[:3]:
        tokenizer = tokenizer_of(kind, folder)
        known = tokenizer.vocabulary_bytes(tokenizer.vocab_size + 64)
        assert len(known) == tokenizer.vocab_size + 64
        assert set(known[tokenizer.vocab_size :]) == {b""}
        for text in TEXTS:
            if "▁" in text or "\n\n" in text:
                continue
            ids = tokenizer.encode(text, special=False, add_bos=False)
            added = b" " if tokenizer.strips_leading_space and text else b""
            assert b"".join(known[each] for each in ids) == added + text.encode()


def test_ids_that_cannot_be(folder: Path) -> None:
    tokenizer = tokenizer_of("byte-level", folder)
    assert tokenizer.token_bytes(tokenizer.vocab_size) == b""
    with pytest.raises(InputError, match="negative"):
        tokenizer.token_bytes(-1)


def test_special_tokens_show_unless_skipped(folder: Path) -> None:
    tokenizer = tokenizer_of("byte-level", folder)
    ids = tokenizer.encode("hello<|im_end|> there")
    assert tokenizer.decode(ids) == "hello<|im_end|> there"
    assert tokenizer.decode(ids, skip_special=True) == "hello there"
