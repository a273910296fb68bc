"""Tokenizers as the metadata of a GGUF file: the way back of `gguf_tokenizer`.

llama.cpp names most of what a tokenizer does and knows what the names mean. What has no name, or
what llama.cpp would do otherwise, is refused: wrong ids would come without a word.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import tokenizers

from kataribe.base.errors import FormatError, UnsupportedError
from kataribe.files.gguf import open_gguf
from kataribe.make.tokens.ends import known_ends
from kataribe.make.tokens.folder import load_folder_tokenizer, read_inner, steps_of
from kataribe.make.tokens.gguf_metadata import BYTE, CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED
from kataribe.make.tokens.gguf_scores import (
    sentencepiece_part,
    unigram_part,
)
from kataribe.make.tokens.pieces import byte_of_piece
from kataribe.make.tokens.pretokenizer_names import pre_tokenizer_name
from kataribe.make.tokens.sentencepiece_file import read_sentencepiece
from kataribe.make.tokens.tokenizer import Tokenizer

Metadata: TypeAlias = dict[str, Any]

_ID_KEYS = {
    "bos_token": "bos", "unk_token": "unknown", "pad_token": "padding", "sep_token": "seperator",
    "cls_token": "cls", "mask_token": "mask",
}  # fmt: skip
"""Names of tokenizer_config.json -> of GGUF, llama.cpp's spelling included."""


@dataclass(frozen=True, eq=False)
class GGUFVocabulary:
    """A tokenizer as a GGUF file holds it.

    Attributes:
        metadata: The keys, `tokenizer.` before each.
        composes: The tokenizer brings texts to Unicode's composed form (NFC) first, and
            llama.cpp does not: ids are the same for texts that are in that form already.
    """

    metadata: Mapping[str, Any]
    composes: bool = False

    @property
    def is_unigram(self) -> bool:
        """It is a unigram model, which may find two ways to write a text equally likely."""
        return bool(self.metadata.get("tokenizer.ggml.model") == "t5")


def gguf_vocabulary(path: Path, rows: int) -> GGUFVocabulary:
    """The tokenizer of a model folder or a GGUF file for a model whose embedding has `rows`.

    Raises:
        UnsupportedError: llama.cpp has no such tokenizer; the message says what it lacks.
        FormatError: There is no tokenizer, a damaged one, or one of more tokens than `rows`.
    """
    if not path.is_dir():
        known = open_gguf(path).metadata
        return GGUFVocabulary({k: known[k] for k in known if k.startswith("tokenizer.")})
    folder = _Folder(path)
    if folder.tokenizer.vocab_size > rows:
        raise FormatError(
            f"The tokenizer of {path} has {folder.tokenizer.vocab_size} tokens, but the model's "
            f"embedding {rows} rows. They do not belong together."
        )
    if not (path / "tokenizer.json").exists() and (path / "tokenizer.model").exists():
        metadata: Metadata = read_sentencepiece(path / "tokenizer.model").metadata()
    else:
        metadata = _PARTS[folder.kind](folder)
    _fill_up(metadata, rows)
    metadata |= folder.specials() | folder.templates()
    return GGUFVocabulary(metadata, composes=folder.composes)


class _Folder:
    """A folder's tokenizer, and what of it every kind of GGUF tokenizer needs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tokenizer: Tokenizer = load_folder_tokenizer(path)

    @cached_property
    def _read(self) -> tuple[tokenizers.Tokenizer, Mapping[str, Any], dict[str, str]]:
        if (self.path / "tokenizer.json").exists() or (self.path / "vocab.json").exists():
            return read_inner(self.path)
        return tokenizers.Tokenizer(tokenizers.models.BPE()), {}, {}

    @property
    def description(self) -> Mapping[str, Any]:
        return self._read[1]

    @property
    def model(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.description.get("model") or {}
        return found

    @cached_property
    def kind(self) -> str:
        """A key of `_PARTS`."""
        if not self.description:
            return "SentencePiece"  # from the older file, tokenizer.model
        decoding = {str(step.get("type")) for step in steps_of(self.description.get("decoder"))}
        kind = str(self.model.get("type"))
        if kind == "BPE":
            kind = "SentencePiece" if self.model.get("byte_fallback") else "BPE"
        if kind == "WordPiece":
            raise UnsupportedError(
                "The tokenizer is of kind WordPiece. llama.cpp's gives other ids than BERT's for "
                "Korean, for keycaps and for words of more than 100 letters. Export a Hugging Face "
                "folder."
            )
        if kind not in _PARTS or (kind == "BPE" and "ByteLevel" not in decoding):
            raise UnsupportedError(
                f"The tokenizer is of kind {kind} and decodes by {', '.join(sorted(decoding))}; "
                f"GGUF files hold {', '.join(_PARTS)}. Export a Hugging Face folder."
            )
        return kind

    @property
    def composes(self) -> bool:
        steps = steps_of(self.description.get("normalizer"))
        return any(step.get("type") == "NFC" for step in steps)

    @cached_property
    def pieces(self) -> dict[int, str]:
        """Id -> piece, added tokens among them."""
        vocabulary = self._read[0].get_vocab(with_added_tokens=True)
        return {index: piece for piece, index in vocabulary.items()}

    @cached_property
    def added(self) -> Mapping[int, tokenizers.AddedToken]:
        """Tokens found before anything else; one that also takes white space is refused."""
        found = self._read[0].get_added_tokens_decoder()
        for token in found.values():
            flags = [flag for flag in ("lstrip", "rstrip", "single_word") if getattr(token, flag)]
            if flags:
                raise UnsupportedError(
                    f"The token {token.content!r} is found by the rule {flags[0]}, for which GGUF "
                    "has no key. Export a Hugging Face folder."
                )
        return found

    def type_of(self, index: int) -> int:
        """llama.cpp's kind of token."""
        token = self.added.get(index)
        if token is not None:
            return CONTROL if token.special else USER_DEFINED
        if index not in self.pieces:
            return UNUSED
        return NORMAL

    def specials(self) -> Metadata:
        """Ids of special tokens, and which of them stand around a text."""
        tokenizer = self.tokenizer
        names = self._read[2] or {}
        found: Metadata = {}
        for name, key in _ID_KEYS.items():
            index = tokenizer.special_id(names[name]) if name in names else None
            if index is not None:
                found[f"tokenizer.ggml.{key}_token_id"] = index
        if tokenizer.bos_id is not None:
            found["tokenizer.ggml.bos_token_id"] = tokenizer.bos_id
        found |= self._ends(tokenizer.special_id(names.get("eos_token", "")))
        return found | self._around(found)

    def _ends(self, named: int | None) -> Metadata:
        """llama.cpp takes token 11 for the end where a byte-level file names none."""
        ends = set(self.tokenizer.eos_ids)
        if not ends:
            raise UnsupportedError(
                "The tokenizer names no token that ends a text (eos_token), and llama.cpp would "
                "take one at random. Set eos_token in tokenizer_config.json."
            )
        first = named if named is not None else min(ends)
        control = {self.tokenizer.pieces([each])[0]: each for each in self.tokenizer.special_ids}
        others = sorted(ends - {first} - known_ends(control))
        keys = ("eot", "eom")
        if len(others) > len(keys):
            raise UnsupportedError(
                f"{len(ends)} tokens end a reply, of which GGUF can name three. Leave some out of "
                "eos_token_id in generation_config.json."
            )
        ids = {"eos": first, **dict(zip(keys, others, strict=False))}
        return {f"tokenizer.ggml.{key}_token_id": each for key, each in ids.items()}

    def _around(self, found: Metadata) -> Metadata:
        """Whether BOS stands before a text and EOS after it."""
        plain = self.tokenizer.encode("a", add_bos=False)
        whole = self.tokenizer.encode("a")
        at = len(whole) - len(plain)
        start = next(i for i in range(at + 1) if whole[i : i + len(plain)] == plain)
        ids = {name: found.get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos")}
        keys: Metadata = {}
        for name, ids_there in (("bos", whole[:start]), ("eos", whole[start + len(plain) :])):
            if ids_there not in ([], [ids[name]]):
                raise UnsupportedError(
                    f"The tokenizer puts the ids {ids_there} around texts, where GGUF can say no "
                    f"more than the {name.upper()} token {ids[name]}. Export a Hugging Face folder."
                )
            keys[f"tokenizer.ggml.add_{name}_token"] = bool(ids_there)
        return keys

    def templates(self) -> Metadata:
        """The chat template, and the one for tools where there are two."""
        template = self.tokenizer.chat_template
        if template is None:
            return {}
        found: Metadata = {"tokenizer.chat_template": template.source}
        if template.tool_source is not None:
            found["tokenizer.chat_template.tool_use"] = template.tool_source
            found["tokenizer.chat_templates"] = ["tool_use"]
        return found


def _fill_up(metadata: Metadata, rows: int) -> None:
    """A token for every row of the embedding: llama.cpp counts the one by the other."""
    pieces = metadata["tokenizer.ggml.tokens"]
    more = rows - len(pieces)
    pieces.extend(f"[PAD{index}]" for index in range(len(pieces), rows))
    types = np.asarray(metadata["tokenizer.ggml.token_type"], np.int32)
    metadata["tokenizer.ggml.token_type"] = np.append(types, np.full(more, UNUSED, np.int32))
    if "tokenizer.ggml.scores" in metadata:
        scores = np.asarray(metadata["tokenizer.ggml.scores"], np.float32)
        metadata["tokenizer.ggml.scores"] = np.append(scores, np.zeros(more, np.float32))


def _listed(folder: _Folder) -> Metadata:
    """Pieces and their types by id; an id that nobody has is filled up."""
    size = folder.tokenizer.vocab_size
    types = np.array([folder.type_of(index) for index in range(size)], np.int32)
    return {
        "tokenizer.ggml.tokens": [folder.pieces.get(i, f"[PAD{i}]") for i in range(size)],
        "tokenizer.ggml.token_type": types,
    }


def _byte_level(folder: _Folder) -> Metadata:
    """Kind `gpt2`: pieces in GPT-2's alphabet, and merges."""
    model = folder.model
    for name in ("continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(name):
            raise UnsupportedError(
                f"The tokenizer marks pieces by {name} {model[name]!r}, which llama.cpp's "
                "byte-level tokenizers do not. Export a Hugging Face folder."
            )
    unknown = [
        str(step.get("type"))
        for step in steps_of(folder.description.get("normalizer"))
        if step.get("type") != "NFC"
    ]
    if unknown:
        raise UnsupportedError(
            f"The tokenizer changes texts by {unknown[0]} before cutting them, which llama.cpp's "
            "byte-level tokenizers do not. Export a Hugging Face folder."
        )
    merges = [each if isinstance(each, str) else " ".join(each) for each in model["merges"]]
    name = pre_tokenizer_name(
        folder.description.get("pre_tokenizer"), ignore_merges=bool(model.get("ignore_merges"))
    )
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": name,
        **_listed(folder),
        "tokenizer.ggml.merges": merges,
    }


def _typed(folder: _Folder, part: Metadata, unknown: int | None) -> Metadata:
    """A scored kind: the unknown token and those of lone bytes have types of their own."""
    listed = _listed(folder)
    types = listed["tokenizer.ggml.token_type"]
    for index, piece in folder.pieces.items():
        if types[index] == NORMAL and byte_of_piece(piece) is not None:
            types[index] = BYTE
    if unknown is not None:
        types[unknown] = UNKNOWN
        listed["tokenizer.ggml.unknown_token_id"] = unknown
    return {**listed, **part}


def _sentencepiece(folder: _Folder) -> Metadata:
    part, unknown = sentencepiece_part(folder.description, folder.pieces)
    return _typed(folder, part, unknown)


def _unigram(folder: _Folder) -> Metadata:
    part, unknown = unigram_part(folder.description, folder.tokenizer.vocab_size)
    return _typed(folder, part, unknown)


_PARTS: Mapping[str, Callable[[_Folder], Metadata]] = {
    "BPE": _byte_level,
    "SentencePiece": _sentencepiece,
    "Unigram": _unigram,
}
