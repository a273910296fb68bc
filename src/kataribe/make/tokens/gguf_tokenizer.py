"""Tokenizers out of the metadata of GGUF files, giving llama.cpp's ids.

The kinds (`tokenizer.ggml.model`): `gpt2` (byte-level BPE), `llama` (SentencePiece, merged by
score), `bert` (WordPiece) and `t5` (SentencePiece's unigram model).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import AddedToken, models, normalizers
from tokenizers import Tokenizer as Inner

from kataribe.base.errors import FormatError
from kataribe.files.gguf import open_gguf
from kataribe.make.tokens.gguf_metadata import NORMAL, Tokens, read_tokens
from kataribe.make.tokens.gguf_words import bert_inner, sentencepiece_text, t5_inner
from kataribe.make.tokens.pieces import (
    SPACE_MARK,
    byte_alphabet,
    byte_level_bytes,
    byte_of_piece,
    sentencepiece_bytes,
)
from kataribe.make.tokens.pretokenizers import pre_tokenizer
from kataribe.make.tokens.refusals import Refusals
from kataribe.make.tokens.templates import ChatTemplate
from kataribe.make.tokens.tokenizer import Tokenizer, Vocabulary


def load_gguf_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a GGUF file, read from its metadata alone.

    Raises `FormatError` for a file without a tokenizer, of an unknown kind or rule, or whose
    parts contradict each other.
    """
    return build_tokenizer(read_tokens(path.name, open_gguf(path).metadata), chat_adds_bos=True)


def build_tokenizer(tokens: Tokens, *, chat_adds_bos: bool) -> Tokenizer:
    """The tokenizer that the metadata describe; `chat_adds_bos` as in `Vocabulary`."""
    lone = _lone_characters(tokens)
    with Refusals(tokens.file):
        inner = _BUILDERS[tokens.kind](tokens, lone)
        inner.no_truncation()
        inner.no_padding()
        _add_tokens(inner, tokens)
    return Tokenizer(
        Vocabulary(
            inner=inner,
            size=len(tokens.pieces),
            piece_bytes=_piece_bytes(tokens),
            special_texts={tokens.pieces[each]: each for each in tokens.control},
            bos_id=tokens.bos_id,
            pad_id=tokens.pad_id,
            eos_ids=tokens.eos_ids,
            inner_ids=_expansions(tokens, lone) | _renamed(inner, tokens),
            prefix=tokens.prefix,
            suffix=tokens.suffix,
            strips_leading_space=tokens.add_space_prefix or tokens.kind == "bert",
            chat_adds_bos=chat_adds_bos,
            chat_template=_chat_template(tokens),
            chat_names=tokens.names(),
        )
    )


def _lone_characters(tokens: Tokens) -> dict[str, int]:
    """Characters that merging must see although the vocabulary lacks them, with ids beyond it.

    The library drops or replaces such a character before it merges, so that its neighbours could
    join across it or a piece that contains it never comes about.
    """
    if tokens.kind == "gpt2":
        wanted = set(byte_alphabet())
    elif tokens.kind == "llama":
        wanted = {char for index in tokens.mergeable for char in tokens.pieces[index]}
    else:
        return {}
    lacking = sorted(wanted - tokens.ids.keys())
    return {char: len(tokens.pieces) + index for index, char in enumerate(lacking)}


def _expansions(tokens: Tokens, lone: Mapping[str, int]) -> dict[int, tuple[int, ...]]:
    """What such a character becomes after merging: its bytes' tokens, as far as there are any."""
    if tokens.kind == "gpt2":
        return dict.fromkeys(lone.values(), ())
    unknown = () if tokens.unknown_id is None else (tokens.unknown_id,)
    expansions: dict[int, tuple[int, ...]] = {}
    for char, index in lone.items():
        names = [f"<0x{byte:02X}>" for byte in char.encode()]
        whole = all(name in tokens.ids for name in names)
        expansions[index] = tuple(tokens.ids[name] for name in names) if whole else unknown
    return expansions


def _renamed(inner: Inner, tokens: Tokens) -> dict[int, tuple[int, ...]]:
    """Control tokens that the library numbers anew, because its model hides them."""
    if tokens.kind != "t5":
        return {}
    new = {inner.token_to_id(tokens.pieces[index]): index for index in tokens.control}
    return {inner_id: (index,) for inner_id, index in new.items() if inner_id is not None}


def score_merges(tokens: Tokens, lone: Iterable[str] = ()) -> list[tuple[str, str]]:
    """SentencePiece's merges: every way to make a piece out of two, best-scored piece first.

    llama.cpp joins, again and again, the neighbours whose joined piece has the highest score.
    That is BPE with the pairs ranked by that score. Control, unknown and byte tokens are left
    out, so that what people write never becomes one (llama.cpp would let it).
    """
    joined = [
        index
        for index, piece in enumerate(tokens.pieces)
        if len(piece) > 1 and index in tokens.mergeable
    ]
    scores = tokens.scores
    joined.sort(key=lambda index: -scores[index])
    known = {tokens.pieces[index] for index in tokens.mergeable}.union(lone)
    merges: list[tuple[str, str]] = []
    for index in joined:
        piece = tokens.pieces[index]
        for at in range(1, len(piece)):
            left, right = piece[:at], piece[at:]
            if left in known and right in known:
                merges.append((left, right))
    return merges


def _chat_template(tokens: Tokens) -> ChatTemplate | None:
    if tokens.chat_template is None:
        return None
    return ChatTemplate(tokens.chat_template, tokens.tool_template, tokens.names())


def _byte_level(tokens: Tokens, lone: Mapping[str, int]) -> Inner:
    rule = pre_tokenizer(tokens.pre)
    inner = Inner(
        models.BPE(
            vocab={**tokens.ids, **lone},
            merges=listed_merges(tokens),
            ignore_merges=rule.ignore_merges,
        )
    )
    inner.pre_tokenizer = rule.build()
    return inner


def listed_merges(tokens: Tokens) -> list[tuple[str, str]]:
    """The file's own merges; `FormatError` for one that its vocabulary does not hold."""
    merges: dict[tuple[str, str], None] = {}
    ids = tokens.ids
    for merge in tokens.merges:
        at = merge.find(" ", 1)
        left, right = merge[:at], merge[at + 1 :]
        if at < 0 or left not in ids or right not in ids or left + right not in ids:
            raise FormatError(
                f"{tokens.file} merges {merge!r}, which its vocabulary does not hold. "
                "The file is damaged or was badly converted; fetch it again."
            )
        merges.setdefault((left, right))  # of equal ones the first counts, as in llama.cpp
    return list(merges)


def _sentencepiece(tokens: Tokens, lone: Mapping[str, int]) -> Inner:
    unknown = tokens.unknown_id
    model = models.BPE(
        vocab={**tokens.ids, **lone},
        merges=score_merges(tokens, lone),
        unk_token=None if unknown is None else tokens.pieces[unknown],
        fuse_unk=True,
        byte_fallback=True,
    )
    inner = Inner(model)
    if tokens.normalizes:
        inner.normalizer = sentencepiece_text(tokens)
        return inner
    steps: list[Any] = [normalizers.Replace(" ", SPACE_MARK)]
    if tokens.add_space_prefix:
        steps.insert(0, normalizers.Prepend(SPACE_MARK))
    inner.normalizer = normalizers.Sequence(steps)
    return inner


def _add_tokens(inner: tokenizers.Tokenizer, tokens: Tokens) -> None:
    """Makes the library recognise whole tokens in a text before anything else happens to it."""

    def added(index: int, *, special: bool) -> AddedToken:
        return AddedToken(
            tokens.pieces[index],
            special=special,
            normalized=False,
            lstrip=index in tokens.lstrip,
            rstrip=index in tokens.rstrip,
        )

    inner.add_special_tokens([added(index, special=True) for index in sorted(tokens.control)])
    inner.add_tokens([added(index, special=False) for index in sorted(tokens.user_defined)])


def _piece_bytes(tokens: Tokens) -> Callable[[int], bytes]:
    # Not `tokens`: its metadata would keep the whole file mapped, and its merges in memory.
    literal = tokens.control | tokens.user_defined
    pieces, types, kind = tokens.pieces, tokens.types, tokens.kind
    mergeable = frozenset[int]() if kind == "gpt2" else tokens.mergeable

    def of(token_id: int) -> bytes:
        piece = pieces[token_id]
        if token_id in literal:
            return piece.encode()
        if kind == "gpt2":
            # Unused ones fill the vocabulary up ("[PAD151665]"); no text is made of them.
            return byte_level_bytes(piece) if types[token_id] == NORMAL else b""
        if token_id not in mergeable and byte_of_piece(piece) is None:
            return b""
        return sentencepiece_bytes(piece)

    return of


_BUILDERS: Mapping[str, Callable[[Tokens, Mapping[str, int]], Inner]] = {
    "gpt2": _byte_level,
    "llama": _sentencepiece,
    "bert": bert_inner,
    "t5": t5_inner,
}
