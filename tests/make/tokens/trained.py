"""Small tokenizers of every kind, trained once for all tests."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from kataribe.make.tokens import Tokenizer, load_tokenizer
from kataribe.make.tokens.kinds import Kind, TokenizerPlan
from kataribe.make.tokens.train import save_tokenizer, train_tokenizer
from tests.make.tokens import small_corpus

SIZE = 1200
_PLACE = tempfile.TemporaryDirectory(prefix="kataribe-test-")


@cache
def folder(kind: Kind) -> Path:
    """A folder with a mask token and twenty sentinels."""
    path = Path(_PLACE.name) / kind
    plan = TokenizerPlan(kind, SIZE, mask=True, sentinels=20)
    inner, training = train_tokenizer(small_corpus.texts(), plan)
    save_tokenizer(path, inner, training, {"corpus": "small"})
    return path


@cache
def tokenizer(kind: Kind) -> Tokenizer:
    """The same, opened."""
    return load_tokenizer(folder(kind))
