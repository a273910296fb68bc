"""Token data made by hand, without a tokenizer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kataribe.make.tokens.document_marks import DocumentMarks
from kataribe.make.tokens.token_data import DataMeta, SplitMeta, TokenData


def write(
    folder: Path,
    documents: Sequence[Sequence[int]],
    marks: DocumentMarks | None = None,
    vocab_size: int = 1000,
) -> TokenData:
    """A folder with these texts as `train`; the marks are put around them."""
    marks = marks or DocumentMarks(1, 1)
    rows = [[marks.begin, *ids, *([marks.end] if marks.writes_end else [])] for ids in documents]
    flat = np.array([each for row in rows for each in row])
    starts = np.cumsum([0, *map(len, rows)])[:-1]
    meta = DataMeta("0" * 64, "1" * 64, "made", vocab_size, marks, {})
    folder.mkdir()
    (folder / "train.bin").write_bytes(flat.astype(meta.dtype).tobytes())
    (folder / "train.idx").write_bytes(starts.astype("<i8").tobytes())
    sums = [
        hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("train.bin", "train.idx")
    ]
    split = SplitMeta(len(flat), len(rows), 3 * len(flat), 0, *sums)
    meta = DataMeta("0" * 64, "1" * 64, "made", vocab_size, marks, {"train": split})
    (folder / "meta.json").write_text(meta.to_json(), "utf-8")
    return TokenData.open(folder)
