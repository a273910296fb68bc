"""Writes token data: a corpus goes through the tokenizer in batches and onto the disk."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from array import array
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from kataribe.base.errors import InputError, NotFoundError
from kataribe.files.atomic import storage_error, sync_folder, write_atomic
from kataribe.make.tokens.apart import Apart
from kataribe.make.tokens.corpus_files import CorpusFiles, Progress, read_texts
from kataribe.make.tokens.document_marks import document_marks
from kataribe.make.tokens.fingerprint import tokenizer_sha256
from kataribe.make.tokens.token_data import META, DataMeta, SplitMeta, TokenData
from kataribe.make.tokens.tokenizer import Tokenizer

_BATCH_CHARACTERS = 1 << 17
_BATCH_TEXTS = 1024
_WORKERS = 3  # one may wait for the interpreter while two cores encode
_AHEAD = 4
"""Batches under way. The library's encodings take some hundred bytes a token while they live, so
these bounds keep a process at a few tens of MB, whatever the corpus."""


def make_token_data(
    corpus: Path,
    tokenizer: Tokenizer,
    datasets: Path,
    progress: Progress | None = None,
) -> TokenData:
    """A corpus as tokens, from `datasets/KEY`; made where it is not there yet.

    The key comes from the contents of both, so a changed corpus or tokenizer makes new data. Only
    one process makes them; others that want the same wait and open what it made. Memory is that
    of the longest document, not of the corpus.

    Args:
        corpus: A corpus' folder, or a file (see `CorpusFiles.find`).
        tokenizer: Whose ids.
        datasets: The folder for `KEY`; created when it is not there.
        progress: Told bytes of the corpus' files read, and in all.

    Raises:
        InputError: The corpus has no text, or texts for training and for validation at once; the
            tokenizer has no token that ends one.
        FormatError: The corpus' file is damaged (as are token data that lie there already).
        StorageError: The disk is full or cannot be written; nothing half-made remains.
    """
    files = CorpusFiles.find(corpus)
    sums = files.sha256(), tokenizer_sha256(tokenizer)
    key = f"{files.name}-{hashlib.sha256(''.join(sums).encode()).hexdigest()[:16]}"
    target = datasets / key
    try:
        datasets.mkdir(parents=True, exist_ok=True)
        with FileLock(datasets / f".{key}.lock"):
            with contextlib.suppress(NotFoundError):
                return TokenData.open(target, tokenizer=tokenizer)
            with _folder_beside(target) as part:
                _write(files, tokenizer, part, sums, progress)
    except OSError as error:
        raise storage_error(f"{target} cannot be written", error) from error
    return TokenData.open(target, verify=False)


@contextlib.contextmanager
def _folder_beside(target: Path) -> Iterator[Path]:
    """A folder that becomes `target` when the block ends well, and vanishes when it does not."""
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a process that was killed
    part.mkdir()
    try:
        yield part
        sync_folder(part)
        shutil.rmtree(target, ignore_errors=True)  # there without its last file: no data
        part.rename(target)
        sync_folder(target.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(
    files: CorpusFiles,
    tokenizer: Tokenizer,
    folder: Path,
    sums: tuple[str, str],
    progress: Progress | None,
) -> None:
    marks = document_marks(tokenizer)
    sizes = {split: path.stat().st_size for split, path in files.splits.items()}
    meta = DataMeta(sums[1], sums[0], files.name, tokenizer.vocab_size, marks, {})
    splits: dict[str, SplitMeta] = {}
    before = 0
    apart = Apart(files.splits.get("valid", folder).name, files.splits["train"].name)
    watch = {"valid": apart.valid, "train": apart.train}
    for split, path in sorted(files.splits.items(), reverse=True):  # valid first, as Apart needs it

        def told(done: int, _: int, before: int = before) -> None:
            if progress is not None:
                progress(before + done, sum(sizes.values()))

        with _SplitWriter(folder, split) as writer:
            for texts, ids in encoded(watch[split](read_texts(path, told)), tokenizer, meta):
                writer.add(texts, ids)
            splits[split] = writer.finish()
        before += sizes[split]
    if splits["train"].documents == 0:
        raise InputError(
            f"The corpus {files.name} has no text for training: of "
            f"{splits['train'].empty} documents none has any. Make it from more sources."
        )
    splits = dict(sorted(splits.items()))
    whole = DataMeta(sums[1], sums[0], files.name, tokenizer.vocab_size, marks, splits)
    write_atomic(folder / META, whole.to_json())


def encoded(
    texts: Iterable[str], tokenizer: Tokenizer, meta: DataMeta
) -> Iterator[tuple[list[str], list[NDArray[Any]]]]:
    """Batches of texts with their ids, in order; threads encode while others are read.

    Ids come as they are kept: between the marks and in the type of `meta`. Of a text without any
    token there are none.
    """
    begin, end = meta.marks.begin, [meta.marks.end] if meta.marks.writes_end else []
    # An array of the standard library takes a list in a third of numpy's time.
    code = {2: "H", 4: "I"}[meta.dtype.itemsize]

    def kept(ids: list[int]) -> NDArray[Any]:
        whole = array(code, [begin, *ids, *end] if ids else [])
        return np.frombuffer(whole, whole.typecode).astype(meta.dtype, copy=False)

    def encode(batch: list[str]) -> list[NDArray[Any]]:
        return [kept(ids) for ids in tokenizer.encode_texts(batch)]

    waiting: deque[tuple[list[str], Future[list[NDArray[Any]]]]] = deque()
    with ThreadPoolExecutor(_WORKERS, "tokens") as pool:
        try:
            for batch in _batches(texts):
                waiting.append((batch, pool.submit(encode, batch)))
                if len(waiting) > _AHEAD:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text)
        if characters >= _BATCH_CHARACTERS or len(batch) >= _BATCH_TEXTS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


class _SplitWriter:
    """Writes the two files of a split, counting and summing as it goes."""

    def __init__(self, folder: Path, split: str) -> None:
        self._bin = _Summed(folder / f"{split}.bin")
        self._idx = _Summed(folder / f"{split}.idx")
        self._tokens = self._documents = self._bytes = self._empty = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bin.close()
        self._idx.close()

    def add(self, texts: list[str], ids: list[NDArray[Any]]) -> None:
        """Appends documents."""
        for text, found in zip(texts, ids, strict=True):
            if len(found) == 0:
                self._empty += 1
                continue
            self._idx.write(self._tokens.to_bytes(8, "little"))
            self._bin.write(found.tobytes())
            self._tokens += len(found)
            self._documents += 1
            self._bytes += len(text) if text.isascii() else len(text.encode())

    def finish(self) -> SplitMeta:
        """Brings both files to the disk."""
        sums = self._bin.finish(), self._idx.finish()
        return SplitMeta(self._tokens, self._documents, self._bytes, self._empty, *sums)


class _Summed:
    """A file with the checksum of what was written."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb", buffering=1 << 20)
        self._digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Appends."""
        self._file.write(data)
        self._digest.update(data)

    def finish(self) -> str:
        """The checksum, once everything is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self.close()
        return self._digest.hexdigest()

    def close(self) -> None:
        """Lets go of the file; what a full disk did not take is nobody's any more."""
        with contextlib.suppress(OSError):
            self._file.close()
