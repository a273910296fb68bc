"""The GGUF kinds with scores (`llama` and `t5`) out of a tokenizer.json."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np

from kataribe.base.errors import FormatError, UnsupportedError
from kataribe.make.tokens.folder import steps_of
from kataribe.make.tokens.pieces import SPACE_MARK

_UNRANKED = -1e6
"""The score of a piece that no merge makes: below every other."""


def sentencepiece_part(
    description: Mapping[str, Any], pieces: Mapping[int, str]
) -> tuple[dict[str, Any], int | None]:
    """Kind `llama`: merges become scores, since llama.cpp joins the best-scored piece first.

    Args:
        description: The tokenizer.json, a BPE with bytes for unknown characters.
        pieces: Id -> piece.

    Returns the keys and the unknown token's id.
    """
    model = description["model"]
    prefix = _metaspace(description)
    if model.get("ignore_merges"):
        raise UnsupportedError(
            "The tokenizer ignores its merges for whole words, which llama.cpp does only in "
            "byte-level ones. Export a Hugging Face folder."
        )
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(model["merges"]):
        left, right = merge.split(" ", 1) if isinstance(merge, str) else merge
        ranks.setdefault(left + right, rank)
    scores = np.full(1 + max(pieces), _UNRANKED, np.float32)
    for index, piece in pieces.items():
        if piece in ranks:
            scores[index] = -float(ranks[piece])
    part = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.add_space_prefix": prefix,
    }
    return part, model["vocab"].get(model.get("unk_token"))


def unigram_part(description: Mapping[str, Any], size: int) -> tuple[dict[str, Any], int | None]:
    """Kind `t5`: SentencePiece's unigram model, `size` tokens with the added ones."""
    model = description["model"]
    scores = np.zeros(size, np.float32)
    scores[: len(model["vocab"])] = [score for _, score in model["vocab"]]
    part: dict[str, Any] = {
        "tokenizer.ggml.model": "t5",
        "tokenizer.ggml.scores": scores,
        "tokenizer.ggml.add_space_prefix": _metaspace(description),
        "tokenizer.ggml.remove_extra_whitespaces": _squeezes(description),
    }
    charsmap = _charsmap(description)
    if charsmap:
        part["tokenizer.ggml.precompiled_charsmap"] = np.frombuffer(charsmap, np.uint8)
    return part, model.get("unk_id")


def _steps(description: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    normalizer, cutter = description.get("normalizer"), description.get("pre_tokenizer")
    return [*steps_of(normalizer), *steps_of(cutter)]


def _metaspace(description: Mapping[str, Any]) -> bool:
    """Whether a space is put before texts; spaces must become U+2581, and nothing else happen."""
    prefix = marked = False
    for step in _steps(description):
        match step.get("type"):
            case "Prepend" if step.get("prepend") == SPACE_MARK:
                prefix = True
            case "Replace" if _replaces(step, " ", SPACE_MARK):
                marked = True
            case "Metaspace" if step.get("replacement", SPACE_MARK) == SPACE_MARK:
                marked = True
                prefix = step.get("prepend_scheme", "always") != "never"
            case "Precompiled" | "Strip" | "Replace" if description["model"]["type"] == "Unigram":
                continue
            case kind:
                raise UnsupportedError(
                    f"The tokenizer changes texts by {kind}, which llama.cpp's tokenizers of "
                    "SentencePiece's kind do not. Export a Hugging Face folder."
                )
    if not marked:
        raise UnsupportedError(
            "The tokenizer leaves spaces as they are; llama.cpp's tokenizers of SentencePiece's "
            "kind write them as U+2581. Export a Hugging Face folder."
        )
    return prefix


def _replaces(step: Mapping[str, Any], old: str, new: str) -> bool:
    return step.get("pattern", {}).get("String") == old and step.get("content") == new


def _squeezes(description: Mapping[str, Any]) -> bool:
    """Runs of spaces become one: tokenizer.json says it as a replacement of `` {2,}``."""
    patterns = [step.get("pattern", {}).get("Regex") for step in _steps(description)]
    return any(pattern in (" {2,}", r"\s{2,}", " +") for pattern in patterns)


def _charsmap(description: Mapping[str, Any]) -> bytes:
    for step in steps_of(description.get("normalizer")):
        if step.get("type") == "Precompiled":
            try:
                return base64.b64decode(step.get("precompiled_charsmap") or "", validate=True)
            except (binascii.Error, ValueError) as error:
                raise FormatError(f"The tokenizer's charsmap is not base64: {error}.") from None
    return b""
