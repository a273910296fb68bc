"""`tokenizers` as a measured program: encodes a corpus' texts by its batch call on two threads.

Arguments: the corpus' file, tokenizer.json, texts of a call (0: all in one), `encode` or `whole`.
`encode` counts the calls alone, with all texts in memory before; `whole` is the same work as ours:
it reads the file and writes ids, call by call.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from measured import measured
from tokenizers import Tokenizer


def texts(corpus: Path) -> Iterator[str]:
    """The texts of the file."""
    with corpus.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["text"]


def calls(found: Iterator[str], size: int) -> Iterator[list[str]]:
    """Texts for one call after the other."""
    while some := list(islice(found, size or None)):
        yield some


def main() -> None:
    """Encodes and prints what it took."""
    corpus, file, size, what = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    tokenizer = Tokenizer.from_file(file)
    tokenizer.encode_batch(["warm"], add_special_tokens=False)
    batches = list(calls(texts(corpus), size)) if what == "encode" else calls(texts(corpus), size)
    with measured() as told:
        tokens = 0
        target = None if what == "encode" else corpus.with_suffix(".peer.bin").open("wb")
        for batch in batches:
            found = tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            tokens += sum(map(len, found)) if target is None else 0
            if target is not None:
                for one in found:
                    tokens += len(one)
                    np.array(one.ids, np.uint16).tofile(target)
        if target is not None:
            target.close()
        told["tokens"] = tokens


if __name__ == "__main__":
    main()
