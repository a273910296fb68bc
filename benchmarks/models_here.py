"""A model of this machine for a benchmark, by its name or by its place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks.inference.peers import CACHE
from kataribe.run.inference.load import LoadOptions, LocalModel, load_local


def path_of(model: str) -> Path:
    """Where the model lies: a file or folder, or a name of the catalogue, fetched when missing."""
    from kataribe.base.workspace import Workspace
    from kataribe.run.catalog.catalog import Catalog

    path = Path(model).expanduser()
    return path if path.exists() else Catalog(Workspace(CACHE.parent / "kataribe")).path_of(model)


@contextlib.contextmanager
def opened(path: Path, context: int, cache_tokens: int) -> Iterator[LocalModel]:
    """The model in memory."""
    local = load_local(path.stem, path, LoadOptions(context=context, cache_tokens=cache_tokens))
    try:
        yield local
    finally:
        local.close(0.0)
