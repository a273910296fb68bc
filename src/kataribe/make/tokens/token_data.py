"""Corpora as token ids on disk: memory-mapped, so that any size opens at once.

A folder holds, for each split, `train.bin` (flat little-endian uint16, or uint32 for vocabularies
beyond 65,536) and `train.idx` (int64, where each document starts), and `meta.json`, which is
written last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kataribe.base.errors import FormatError, InputError, NotFoundError, StorageError
from kataribe.files.checksum import verify_sha256
from kataribe.make.tokens.document_marks import DocumentMarks
from kataribe.make.tokens.fingerprint import tokenizer_sha256
from kataribe.make.tokens.tokenizer import Tokenizer

FORMAT = 1
META = "meta.json"
START_BYTES = 8
WIDE_FROM = 65_536
"""Vocabularies above this take four bytes for a token."""


@dataclass(frozen=True)
class SplitMeta:
    """What is known of a split.

    Attributes:
        tokens: Tokens, marks of documents included.
        documents: Documents.
        text_bytes: Bytes of the texts in UTF-8: what bits per byte are counted by.
        empty: Documents without a text, which were left out.
        bin_sha256: Checksum of the ids' file.
        idx_sha256: Checksum of the starts' file.
    """

    tokens: int
    documents: int
    text_bytes: int
    empty: int
    bin_sha256: str
    idx_sha256: str

    def __post_init__(self) -> None:
        for name in ("tokens", "documents", "text_bytes", "empty"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 0:
                raise FormatError(f"{name} of token data is {getattr(self, name)!r}, not a count.")


@dataclass(frozen=True)
class DataMeta:
    """What `meta.json` says.

    Attributes:
        tokenizer_sha256: `fingerprint.tokenizer_sha256` of the tokenizer.
        corpus_sha256: Checksum of the corpus' files.
        corpus: The corpus' name, for people.
        vocab_size: The tokenizer's; every id is below it.
        marks: Tokens around documents.
        splits: By name, `train` and where the corpus has one `valid`.
    """

    tokenizer_sha256: str
    corpus_sha256: str
    corpus: str
    vocab_size: int
    marks: DocumentMarks
    splits: Mapping[str, SplitMeta]

    def __post_init__(self) -> None:
        if not 0 <= max(self.marks.begin, self.marks.end) < self.vocab_size:
            raise FormatError(
                f"Documents are marked by {self.marks.begin} and {self.marks.end}, but the "
                f"vocabulary has {self.vocab_size} tokens."
            )

    @property
    def dtype(self) -> np.dtype[Any]:
        """How ids are stored."""
        return np.dtype("<u2" if self.vocab_size <= WIDE_FROM else "<u4")

    def to_json(self) -> str:
        """The file's text."""
        return json.dumps({"format": FORMAT, **asdict(self)}, ensure_ascii=False, indent=1) + "\n"


class TokenData:
    """An opened folder of token data."""

    def __init__(self, path: Path, meta: DataMeta) -> None:
        self.path = path
        self.meta = meta
        self._tokens: dict[str, NDArray[np.unsignedinteger[Any]]] = {}
        self._starts: dict[str, NDArray[np.int64]] = {}

    @classmethod
    def open(
        cls, path: Path, *, tokenizer: Tokenizer | None = None, verify: bool = True
    ) -> TokenData:
        """Opens a folder after checking it.

        Args:
            path: `datasets/KEY`.
            tokenizer: The one that the data have to have been made with.
            verify: Checks the files' sums too, which reads all of them (about 1 GB/s).

        Raises:
            NotFoundError: There is no token data at the path, or it was never finished.
            FormatError: It is damaged, or written by another version.
            InputError: It was made with another tokenizer.
        """
        data = cls(path, read_meta(path))
        for split in data.meta.splits:
            data._check_sizes(split)
            if verify:
                known = data.meta.splits[split]
                verify_sha256(path / f"{split}.bin", known.bin_sha256)
                verify_sha256(path / f"{split}.idx", known.idx_sha256)
            data._check_starts(split)
        if tokenizer is not None:
            data.check_tokenizer(tokenizer)
        return data

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that there are."""
        return tuple(self.meta.splits)

    def tokens(self, split: str) -> NDArray[np.unsignedinteger[Any]]:
        """All ids of a split, mapped from the file: (tokens,), uint16 or uint32."""
        known = self._split(split)
        if split not in self._tokens:
            path = self.path / f"{split}.bin"
            self._tokens[split] = (
                np.memmap(path, self.meta.dtype, "r", shape=(known.tokens,))
                if known.tokens
                else np.zeros(0, self.meta.dtype)  # nothing cannot be mapped
            )
        return self._tokens[split]

    def starts(self, split: str) -> NDArray[np.int64]:
        """Where each document starts, mapped from the file: (documents,), int64, rising."""
        known = self._split(split)
        if split not in self._starts:
            path = self.path / f"{split}.idx"
            self._starts[split] = (
                np.memmap(path, "<i8", "r", shape=(known.documents,))
                if known.documents
                else np.zeros(0, np.int64)
            )
        return self._starts[split]

    def text_bytes(self, split: str) -> int:
        """Bytes of text (UTF-8) that the split's ids stand for."""
        return self._split(split).text_bytes

    def check_tokenizer(self, tokenizer: Tokenizer) -> None:
        """Raises `InputError` unless the data were made with this tokenizer."""
        size = tokenizer.vocab_size
        if size != self.meta.vocab_size:
            raise InputError(
                f"The token data at {self.path} were made with a tokenizer of "
                f"{self.meta.vocab_size} tokens, but this one has {size}. Make them anew with "
                "this tokenizer, or take the one they were made with."
            )
        found = tokenizer_sha256(tokenizer)
        if found != self.meta.tokenizer_sha256:
            raise InputError(
                f"The token data at {self.path} were made with another tokenizer of {size} tokens "
                f"(sha256 {self.meta.tokenizer_sha256[:12]}, this one has {found[:12]}). Make "
                "them anew with this tokenizer, or take the one they were made with."
            )

    def _split(self, split: str) -> SplitMeta:
        known = self.meta.splits.get(split)
        if known is None:
            raise NotFoundError(
                f"The token data at {self.path} have no split {split!r}; they have "
                f"{', '.join(self.meta.splits)}."
            )
        return known

    def _check_sizes(self, split: str) -> None:
        known = self.meta.splits[split]
        wanted = {
            f"{split}.bin": known.tokens * self.meta.dtype.itemsize,
            f"{split}.idx": known.documents * START_BYTES,
        }
        for name, size in wanted.items():
            try:
                found = (self.path / name).stat().st_size
            except OSError as error:
                raise FormatError(
                    f"{self.path / name} is missing. Remove {self.path} and make it anew."
                ) from error
            if found != size:
                raise FormatError(
                    f"{self.path / name} has {found:,} bytes, but {META} says {size:,}. The file "
                    f"was cut short or changed; remove {self.path} and make it anew."
                )

    def _check_starts(self, split: str) -> None:
        starts, tokens = self.starts(split), self.meta.splits[split].tokens
        if len(starts) == 0:
            fits = tokens == 0
        else:
            rising = bool((starts[1:] > starts[:-1]).all())
            fits = rising and starts[0] == 0 and int(starts[-1]) < tokens
        if not fits:
            raise FormatError(
                f"{self.path / f'{split}.idx'} does not divide {tokens:,} tokens into documents. "
                f"Remove {self.path} and make it anew."
            )


def read_meta(path: Path) -> DataMeta:
    """What a folder of token data says about itself; the errors of `TokenData.open`."""
    file = path / META
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        raise NotFoundError(
            f"There is no token data at {path}: {META} is missing, which is written last."
        ) from None
    except UnicodeDecodeError as error:
        raise FormatError(f"{file} is not UTF-8: {error}.") from error
    except OSError as error:
        raise StorageError(f"{file} cannot be read: {error}.") from error
    try:
        value = json.loads(text)
        found = value.get("format")
    except (ValueError, AttributeError, RecursionError) as error:
        raise FormatError(f"{file} holds no JSON object. Make the data anew.") from error
    if found != FORMAT:
        age = "an older" if isinstance(found, int) and found < FORMAT else "another"
        raise FormatError(
            f"{path} holds token data in format {found!r}, written by {age} version of Kataribe; "
            f"this one reads format {FORMAT}. Remove the folder and make it anew."
        )
    try:
        return DataMeta(
            tokenizer_sha256=str(value["tokenizer_sha256"]),
            corpus_sha256=str(value["corpus_sha256"]),
            corpus=str(value["corpus"]),
            vocab_size=int(value["vocab_size"]),
            marks=DocumentMarks(int(value["marks"]["begin"]), int(value["marks"]["end"])),
            splits={str(k): SplitMeta(**v) for k, v in value["splits"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(
            f"{file} lacks or garbles what it has to say ({error!r}). Make the data anew."
        ) from error
