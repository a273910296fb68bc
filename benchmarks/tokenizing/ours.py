"""Kataribe as a measured program: a corpus' file to token data on the disk, once.

Arguments: the corpus' file, the tokenizer's folder, where the data go. Everything is in the time:
reading JSON lines, checksums, encoding, writing.
"""

from __future__ import annotations

import sys
from pathlib import Path

from measured import measured

from kataribe.make.tokens.load import load_tokenizer
from kataribe.make.tokens.token_writer import make_token_data


def main() -> None:
    """Writes the data and prints what it took."""
    corpus, folder, target = map(Path, sys.argv[1:])
    tokenizer = load_tokenizer(folder)
    tokenizer.encode("warm")
    with measured() as told:
        data = make_token_data(corpus, tokenizer, target)
        told["tokens"] = len(data.tokens("train")) - len(data.starts("train"))


if __name__ == "__main__":
    main()
