"""How many tokens a text has at least, known without encoding it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers

from kataribe.make.tokens.pieces import byte_alphabet

_EVERY_BYTE = range(256)


class LeastTokens:
    """A bound that no text falls below; 0 where the tokenizer allows to prove none.

    Every token stands for a stretch of the text. So where nothing of the text is lost, and nothing
    shrinks it beforehand, it has at least as many tokens as the longest piece fits into it. That
    holds for byte-level BPE, and for SentencePiece's BPE with a token for every byte.

    Args:
        inner: The library's tokenizer.
        inner_ids: Ids that only `inner` has, and the ids that they stand for.
    """

    def __init__(
        self, inner: tokenizers.Tokenizer, inner_ids: Mapping[int, tuple[int, ...]]
    ) -> None:
        self._longest = 0  # bytes; 0 for a tokenizer that loses something
        self._lost = b""
        self._only_ascii = False
        steps = _steps(inner)
        if steps is None or not all(map(_keeps, steps)):
            return
        if not isinstance(inner.model, models.BPE):
            return
        kinds = {step.get("type") for step in steps}
        added = inner.get_added_tokens_decoder().values()
        if any(token.lstrip or token.rstrip for token in added):
            return  # it swallows the blanks around it, however many
        pieces = inner.get_vocab(with_added_tokens=False)
        if "ByteLevel" in kinds and "Replace" not in kinds:
            known = {each: byte for each, byte in byte_alphabet().items() if each in pieces}
            has = {byte for each, byte in known.items() if inner_ids.get(pieces[each], True)}
            lost = [byte for byte in _EVERY_BYTE if byte not in has]
            longest = max(map(len, pieces), default=0)  # a character of a piece is a byte
        elif "ByteLevel" not in kinds and _falls_back(inner.model, pieces, inner_ids):
            lost = []
            longest = max((len(piece.encode()) for piece in pieces), default=0)
        else:
            return
        self._lost = bytes(lost)
        self._only_ascii = "NFC" in kinds  # composing characters shortens a text, but no ASCII
        self._longest = max(longest, *(len(token.content.encode()) for token in added), 1)

    def of(self, text: str) -> int:
        """Tokens that the text has at least."""
        if not self._longest or (self._only_ascii and not text.isascii()):
            return 0
        kept = text.encode().translate(None, self._lost)
        return -(-len(kept) // self._longest)


def _steps(inner: tokenizers.Tokenizer) -> list[Mapping[str, Any]] | None:
    """What happens to a text before the model gets it; None for rules that cannot be read."""
    found: list[Mapping[str, Any]] = []
    for part in (inner.normalizer, inner.pre_tokenizer):
        if type(part) in (normalizers.Normalizer, pre_tokenizers.PreTokenizer):
            return None  # written in Python
        if part is not None:
            found += _unrolled(json.loads(part.__getstate__()))
    return found


def _unrolled(step: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if step.get("type") != "Sequence":
        yield step
        return
    for each in [*step.get("normalizers", ()), *step.get("pretokenizers", ())]:
        yield from _unrolled(each)


def _keeps(step: Mapping[str, Any]) -> bool:
    """Whether the step leaves every byte of the text there (but see NFC), or makes more of it."""
    match step.get("type"):
        case "ByteLevel" | "Digits" | "Metaspace" | "Prepend" | "NFC":
            return True
        case "Split":
            return step.get("behavior") != "Removed"
        case "Replace":
            old = step.get("pattern", {}).get("String")
            return old is not None and len(old.encode()) <= len(str(step.get("content")).encode())
    return False


def _falls_back(
    model: models.BPE, pieces: Mapping[str, int], inner_ids: Mapping[int, tuple[int, ...]]
) -> bool:
    """Whether every character that is no piece becomes tokens all the same."""
    whole = all(f"<0x{byte:02X}>" in pieces for byte in _EVERY_BYTE)
    return bool(model.byte_fallback) and whole and all(inner_ids.values())
