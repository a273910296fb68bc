"""Same tokenizer, same ids: a changed form of a tokenizer held against its origin."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from tokenizers import models

from kataribe.base.errors import FormatError
from kataribe.base.messages import text_message
from kataribe.make.tokens.tokenizer import Tokenizer

_TEXTS = (
    "The capital of Japan is Tokyo, and it's where we'll meet; THEY'RE late, I'd say, o'clock!",
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。「東京都」は…！？〜ー",
    "ｶﾞｷﾞｸﾞ ﾊﾝｶｸ、全角ＡＢＣ１２３、㈱㌔㍻、々〆ゝヽ、髙﨑、𠮷野家",
    "def f(x: int) -> str:\n    return f'{x!r:>10}'  # comment\n\n\nclass A(B):\n\tpass\n",
    'for (int i=0;i<10;i++){\r\n\tprintf("%d\\n", a[i]);\r\n}\n/* ---- */ #define X_Y 0x1F',
    "1234567890 12 123 1,234.56 3.14159 0001 1e9 １２３４ v1.2.3 2026-11-21T23:59:59Z",
    "Ünïcödé ñandú Straße ΑΒΓ αβγ Привет мир İstanbul שלום مرحبا नमस्ते ไทย 한국어 中文，標點。",
    "👍👍🏽 👩‍👩‍👧‍👦 🇯🇵 ❤️ 1️⃣ ∑∫√∞ ≤≥ x² ½ Ⅷ ① €£¥ ←⇒ ■ 𝔘𝔫𝔦",
    " ", "  ", "\n", "\n\n\n", "\t\t", "\r\n", " \n ", "a  b   c    d", "  leading", "trailing  ",
    "line\r\nline\n\nline\r\rline", "a\n \n  \n   b", "x" + " " * 33 + "y", "\n" * 20,
    "\u00a0nbsp\u3000ideographic\u2003em\u2028ls\u0085nel", "\x00\x01\x1b[31m\x7f",
    "\ufffd\U0010ffff",
    "e\u0301 a\u0300\u0323 \u0301alone \u200dzwj\u200b \ufeffbom\u00adsoft", "a" * 300, "あ" * 200,
    "1" * 100, "=" * 90, "▁ ▁a", "<0x0A>", "Ġhello Ċ", "##ing", "'s'S's 're",
    "</p> <br/> &amp; {{x}}",
)  # fmt: skip
_RANDOM_TEXTS, _SEED = 300, 20


def probing_texts(tokenizer: Tokenizer, *, composed: bool = False) -> Iterator[str]:
    """Texts that tokenizers get wrong: scripts, spaces, lone bytes, and its own special tokens.

    The same for the same tokenizer. `composed` brings them to Unicode's composed form (NFC).
    """
    source = random.Random(_SEED)
    specials = sorted(tokenizer.pieces(sorted(tokenizer.special_ids)))
    pool = [text[at : at + 9] for text in _TEXTS for at in (0, len(text) // 2)]
    pool += [text for text in specials if text]

    def character() -> str:
        code = source.choice([source.randrange(1, 0x250), source.randrange(0x2000, 0xD800)])
        return chr(code)

    texts = [*_TEXTS, *(f"a{text} {text}{text}b\n{text}" for text in specials if text)]
    for _ in range(_RANDOM_TEXTS):
        parts = [
            source.choice(pool) if source.random() < 0.6 else character()
            for _ in range(source.randrange(1, 20))
        ]
        texts.append("".join(parts))
    for text in texts:
        yield unicodedata.normalize("NFC", text) if composed else text


def check_same_ids(
    before: Tokenizer, after: Tokenizer, texts: Iterable[str], *, what: str, unigram: bool = False
) -> int:
    """Compares the ids of every text, with and without special tokens and what stands around it.

    `unigram`: such a model may find two ways to write a text equally likely, the same pieces in
    another order; either is right then. And the library's finds control tokens in people's words,
    which the others do not, so texts with these are compared with special tokens only.

    Returns the number of ids compared. Raises `FormatError` with the first text that differs.
    """
    compared = 0
    names = [name for name in before.pieces(sorted(before.special_ids)) if name]
    for text in texts:
        has_special = unigram and any(name in text for name in names)
        for special, around in ((True, False), (False, False), (True, None)):
            if has_special and not special:
                continue
            ours = before.encode(text, special=special, add_bos=around)
            theirs = after.encode(text, special=special, add_bos=around)
            compared += len(ours)
            if ours != theirs and not (unigram and sorted(ours) == sorted(theirs)):
                raise _different(what, text, ours, theirs)
    if not before.eos_ids <= after.eos_ids:
        lost = sorted(before.eos_ids - after.eos_ids)
        raise FormatError(f"{what} would not end a reply at the tokens {lost}, as before.")
    return compared


def check_same_pieces(
    before: Tokenizer, after: Tokenizer, *, what: str, composed: bool = False, unigram: bool = False
) -> int:
    """Compares the vocabularies piece by piece, byte-level BPE's merges, and each piece's own ids.

    Every merge (or score) that makes a piece is used so at least once, the rarest too. Two merges
    in the wrong order are seen in few texts only, so the lists are compared themselves.
    `composed` and `unigram` as in `probing_texts` and `check_same_ids`.

    Returns the number of pieces. Raises `FormatError` with the first that differs.
    """
    known = range(before.vocab_size)
    controls = before.special_ids | after.special_ids  # which readers keep from people's words
    texts = []
    for index, ours, theirs in zip(known, before.pieces(known), after.pieces(known), strict=True):
        if index in controls:
            continue
        if ours and ours != theirs:
            raise FormatError(
                f"{what} has {theirs[:60]!r} for token {index}, where {ours[:60]!r} stood. Nothing "
                "was kept."
            )
        try:
            text = before.token_bytes(index).decode("utf-8")
        except UnicodeDecodeError:
            continue  # a piece of a character
        texts.append(unicodedata.normalize("NFC", text) if composed else text)
    _check_merges(before, after, what)
    pairs = zip(texts, before.encode_texts(texts), after.encode_texts(texts), strict=True)
    for text, ids, other in pairs:
        if ids != other and not (unigram and sorted(ids) == sorted(other)):
            raise _different(what, text, ids, other)
    return len(known)


def _check_merges(before: Tokenizer, after: Tokenizer, what: str) -> None:
    first, second = _merges(before), _merges(after)
    if first is None or second is None or first == second:
        return
    at = next((i for i, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]),
              min(len(first), len(second)))  # fmt: skip
    raise FormatError(
        f"{what} merges {second[at : at + 1]} at place {at} of {len(second):,}, where "
        f"{first[at : at + 1]} stood, of {len(first):,}. Nothing was kept."
    )


def _merges(tokenizer: Tokenizer) -> list[Any] | None:
    """In their order; None where they follow from scores, and texts show what they do."""
    inner = tokenizer._inner.model
    if not isinstance(inner, models.BPE) or inner.byte_fallback:
        return None
    model = json.loads(inner.__getstate__())
    return [pair.split(" ") if isinstance(pair, str) else pair for pair in model["merges"]]


def check_same_chat(before: Tokenizer, after: Tokenizer, *, what: str) -> bool:
    """Compares the ids of a short conversation.

    Returns whether the new form begins chats with the tokenizer's prefix where the old one does
    not (llama.cpp does so, see `Vocabulary.chat_adds_bos`). Raises `FormatError` for any other
    difference.
    """
    if before.chat_template is None:
        return False
    messages = [
        text_message("user", "語り部とは？ What is a storyteller?"),
        text_message("assistant", "One who recites."),
        text_message("user", "Thanks!"),
    ]
    ours, theirs = before.encode_chat(messages), after.encode_chat(messages)
    if ours == theirs:
        return False
    if (
        theirs[-len(ours) :] == ours
        and theirs == after.encode("")[: len(theirs) - len(ours)] + ours
    ):
        return True
    raise _different(what, "a conversation", ours, theirs)


def _different(what: str, text: str, ours: list[int], theirs: list[int]) -> FormatError:
    at = next(
        (i for i, pair in enumerate(zip(ours, theirs, strict=False)) if pair[0] != pair[1]),
        min(len(ours), len(theirs)),
    )
    return FormatError(
        f"{what} gives other ids for {text[:60]!r}: from place {at} on {theirs[at : at + 6]} where "
        f"{ours[at : at + 6]} stood. Nothing was kept. Export a Hugging Face folder."
    )
