"""One door for every tokenizer file."""

from __future__ import annotations

from pathlib import Path

from kataribe.base.errors import FormatError, NotFoundError
from kataribe.make.tokens.folder import load_folder_tokenizer
from kataribe.make.tokens.gguf_tokenizer import load_gguf_tokenizer
from kataribe.make.tokens.tokenizer import Tokenizer


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a model: a GGUF file, or a folder in Hugging Face layout.

    Raises:
        NotFoundError: There is nothing at the path.
        FormatError: It is no tokenizer, or a damaged one, or of a kind that Kataribe has not.
        StorageError: It cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        return load_folder_tokenizer(path)
    if not path.exists():
        raise NotFoundError(f"There is no tokenizer at {path}: the path does not exist.")
    if path.suffix.lower() == ".gguf":
        return load_gguf_tokenizer(path)
    if path.name == "tokenizer.json":
        return load_folder_tokenizer(path.parent)
    raise FormatError(
        f"{path} is neither a GGUF file nor a folder with a tokenizer.json; give one of these."
    )
