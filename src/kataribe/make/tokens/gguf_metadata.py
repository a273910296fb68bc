"""What GGUF metadata say about a tokenizer, checked and with llama.cpp's defaults filled in.

Keys and defaults: `src/llama-vocab.cpp` of llama.cpp and docs/gguf.md of ggml.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from kataribe.base.errors import FormatError
from kataribe.make.tokens.ends import END_TEXTS, known_ends
from kataribe.make.tokens.pretokenizers import pre_tokenizer

KINDS = ("gpt2", "llama", "bert", "t5")
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
"""`tokenizer.ggml.token_type`."""

_DEFAULT_IDS: Mapping[str, Mapping[str, int]] = {
    "gpt2": {},
    "llama": {"bos": 1, "eos": 2, "unknown": 0},
    "bert": {"bos": 101, "unknown": 100, "seperator": 102, "padding": 0},
    "t5": {"eos": 1, "unknown": 2, "padding": 0},
}
_NAMES = {"bos": "bos_token", "eos": "eos_token", "unknown": "unk_token", "padding": "pad_token"}


@dataclass(frozen=True)
class Tokens:
    """A GGUF file's tokenizer before it is built.

    Attributes:
        file: The file's name, for messages.
        kind: One of `KINDS`.
        pre: The rule that cuts words, for `gpt2`.
        pieces: By id.
        scores: By id; zeros where the file has none.
        types: By id, llama.cpp's numbers.
        merges: As in the file.
        metadata: All of the file's, for what only some kinds read.
    """

    file: str
    kind: str
    pre: str | None
    pieces: Sequence[str]
    scores: Sequence[float]
    types: Sequence[int]
    merges: Sequence[str]
    metadata: Mapping[str, Any]

    @cached_property
    def ids(self) -> dict[str, int]:
        """Piece to id."""
        return {piece: index for index, piece in enumerate(self.pieces)}

    @cached_property
    def control(self) -> frozenset[int]:
        """Tokens that people never write: declared so, unknown, or known to end replies."""
        declared = self._of_types(CONTROL, UNKNOWN)
        ends = {self.ids[text] for text in END_TEXTS if text in self.ids}
        return declared | ends

    @cached_property
    def user_defined(self) -> frozenset[int]:
        """Tokens that are found in a text before anything else happens to it."""
        return self._of_types(USER_DEFINED) - self.control

    @cached_property
    def mergeable(self) -> frozenset[int]:
        """Tokens that merging may produce."""
        return self._of_types(NORMAL, USER_DEFINED, UNUSED) - self.control

    @cached_property
    def bos_id(self) -> int | None:
        """Begins a text (`[CLS]` for `bert`)."""
        if self.kind == "bert":
            return self.special_id("bos", "cls")
        return self.special_id("bos")

    @property
    def pad_id(self) -> int | None:
        """Fills up batches."""
        return self.special_id("padding")

    @property
    def unknown_id(self) -> int | None:
        """Stands for what the vocabulary cannot write."""
        return self.special_id("unknown")

    @cached_property
    def eos_ids(self) -> frozenset[int]:
        """Every token that ends a reply."""
        named = {self.special_id(name) for name in ("eos", "eot", "eom")}
        known = known_ends({self.pieces[each]: each for each in self.control})
        return known | {each for each in named if each is not None}

    @cached_property
    def prefix(self) -> tuple[int, ...]:
        """What the file puts before a text."""
        default = self.kind in ("llama", "bert")
        if self.kind == "gpt2":
            default = pre_tokenizer(self.pre).add_bos
        return self._around("bos", default=default, token=self.bos_id)

    @cached_property
    def suffix(self) -> tuple[int, ...]:
        """What the file puts after a text."""
        if self.kind == "bert":
            return self._around("sep", default=True, token=self.special_id("seperator", "sep"))
        return self._around("eos", default=self.kind == "t5", token=self.special_id("eos"))

    @property
    def add_space_prefix(self) -> bool:
        """A space is put before every stretch of text."""
        default = self.kind in ("llama", "t5")
        return self.kind in ("llama", "t5") and self.flag("add_space_prefix", default=default)

    @property
    def normalizes(self) -> bool:
        """A text is rewritten before anything else (only files of SentencePiece's own say so)."""
        charsmap = self.metadata.get("tokenizer.ggml.precompiled_charsmap")
        written = charsmap is not None and len(charsmap) > 0
        return written or self.flag("remove_extra_whitespaces", default=False)

    @cached_property
    def lstrip(self) -> frozenset[int]:
        """Tokens that swallow the white space before them."""
        mask = self.ids.get("<mask>")
        if mask is None or not str(self.pre).startswith("jina-v2"):
            return frozenset()
        return frozenset({mask})

    @cached_property
    def rstrip(self) -> frozenset[int]:
        """Tokens that swallow the white space after them (Phi-3's; GGUF has no key for it)."""
        name = str(self.metadata.get("general.name", "")).lower()
        if "phi-3" not in name and "phi3" not in name:
            return frozenset()
        kept = {self.ids.get(text) for text in ("<unk>", "<s>", "<|endoftext|>")}
        swallowing = (self.control | self.user_defined) - kept
        return frozenset(swallowing | ({self.ids["</s>"]} if "</s>" in self.ids else set()))

    @property
    def chat_template(self) -> str | None:
        """The chat template's source."""
        return _optional_text(self.metadata, "tokenizer.chat_template")

    @property
    def tool_template(self) -> str | None:
        """A second template's source, for chats with tools."""
        return _optional_text(self.metadata, "tokenizer.chat_template.tool_use")

    def names(self) -> dict[str, str]:
        """The special tokens that chat templates name."""
        found = {name: self.special_id(key) for key, name in _NAMES.items()}
        return {name: self.pieces[index] for name, index in found.items() if index is not None}

    def flag(self, name: str, *, default: bool) -> bool:
        """A yes or no of the file's."""
        value = self.metadata.get(f"tokenizer.ggml.{name}", default)
        if not isinstance(value, bool | np.bool_):
            raise FormatError(f"{self.file}: tokenizer.ggml.{name} is {value!r}, not yes or no.")
        return bool(value)

    def special_id(self, *names: str) -> int | None:
        """The id of a named token; an id outside of the vocabulary counts as absent."""
        for name in names:
            value = self.metadata.get(f"tokenizer.ggml.{name}_token_id")
            if isinstance(value, int) and 0 <= value < len(self.pieces):
                return int(value)
        default = _DEFAULT_IDS[self.kind].get(names[0])
        return default if default is None or default < len(self.pieces) else None

    def _of_types(self, *types: int) -> frozenset[int]:
        return frozenset(index for index, each in enumerate(self.types) if each in types)

    def _around(self, name: str, *, default: bool, token: int | None) -> tuple[int, ...]:
        if not self.flag(f"add_{name}_token", default=default):
            return ()
        if token is None:
            raise FormatError(
                f"{self.file} asks for a {name.upper()} token around texts but names none."
            )
        return (token,)


def read_tokens(file: str, metadata: Mapping[str, Any]) -> Tokens:
    """Reads and checks the tokenizer's metadata.

    Raises:
        FormatError: There is none, its kind is unknown, or its parts do not fit together.
    """
    kind = metadata.get("tokenizer.ggml.model")
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise FormatError(
            f"{file} has a tokenizer of kind {kind!r} (tokenizer.ggml.model); Kataribe builds "
            f"{known}. Use a model with one of these, or its Hugging Face folder."
        )
    pieces = [
        piece or f"[EMPTY_{index}]"
        for index, piece in enumerate(_texts(file, metadata, "tokens", required=True))
    ]
    if len(set(pieces)) != len(pieces):
        twice, _ = Counter(pieces).most_common(1)[0]
        raise FormatError(f"{file} has the token {twice!r} twice. The file is damaged.")
    return Tokens(
        file=file,
        kind=str(kind),
        pre=_optional_text(metadata, "tokenizer.ggml.pre"),
        pieces=pieces,
        scores=_numbers(file, metadata, "scores", len(pieces), 0.0),
        types=_numbers(file, metadata, "token_type", len(pieces), NORMAL),
        merges=_texts(file, metadata, "merges", required=kind == "gpt2"),
        metadata=metadata,
    )


def _texts(file: str, metadata: Mapping[str, Any], name: str, *, required: bool) -> list[str]:
    value = metadata.get(f"tokenizer.ggml.{name}")
    if value is None and not required:
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise FormatError(f"{file} has no list of texts in tokenizer.ggml.{name}.")
    if not value and name == "tokens":
        raise FormatError(f"{file} has an empty vocabulary (tokenizer.ggml.tokens).")
    return value


def _numbers(
    file: str, metadata: Mapping[str, Any], name: str, count: int, default: float
) -> list[Any]:
    value = metadata.get(f"tokenizer.ggml.{name}")
    if value is None:
        return [default] * count
    array = np.asarray(value)
    if array.ndim != 1 or array.dtype.kind not in "iuf" or len(array) < count:
        raise FormatError(
            f"{file} has {array.size} numbers in tokenizer.ggml.{name} for {count} tokens."
        )
    return list(array[:count].tolist())


def _optional_text(metadata: Mapping[str, Any], key: str) -> str | None:
    value = metadata.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise FormatError(f"The file's {key} is {type(value).__name__}, not a text.")
    return value or None
