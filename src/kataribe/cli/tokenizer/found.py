"""Where a corpus or a tokenizer lies that was named on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kataribe.base.errors import InputError, NotFoundError
from kataribe.base.workspace import Workspace

if TYPE_CHECKING:
    from kataribe.make.tokens.corpus_files import CorpusFiles


def corpus_path(name: str) -> Path:
    """A corpus of the workspace by name, or a folder or file anywhere."""
    here = Workspace.locate().corpora / name
    if _is_name(name) and here.is_dir():
        return here
    path = Path(name).expanduser()
    if path.exists():
        return path
    known = _names(Workspace.locate().corpora)
    raise NotFoundError(
        f"There is no corpus called {name} and no file of that name; there are {known}. "
        "`kataribe corpus make` makes one."
    )


def corpus_files(name: str) -> CorpusFiles:
    """The files of such a corpus."""
    from kataribe.make.tokens.corpus_files import CorpusFiles

    return CorpusFiles.find(corpus_path(name))


def tokenizer_path(name: str) -> Path:
    """A tokenizer or a model of the workspace by name, or a folder or file anywhere."""
    workspace = Workspace.locate()
    if _is_name(name):
        here = workspace.tokenizers / name
        if (here / "tokenizer.json").is_file():
            return here
        model = workspace.models / name
        if model.is_dir():
            return next(iter(sorted(model.glob("*.gguf"))), model)
    path = Path(name).expanduser()
    if path.exists():
        return path
    raise NotFoundError(
        f"There is no tokenizer or model called {name}, and no folder or file of that name; "
        f"tokenizers are {_names(workspace.tokenizers)}. `kataribe tokenizer train` makes one."
    )


def new_tokenizer_path(name: str) -> Path:
    """Where a tokenizer of a new name will lie; `InputError` for what is no name."""
    if not _is_name(name):
        raise InputError(
            f"{name!r} is no name for a tokenizer: use letters, digits, dots, hyphens and "
            "underscores, beginning with a letter or digit.",
            param="name",
        )
    return Workspace.locate().tokenizers / name


def _is_name(name: str) -> bool:
    plain = name.replace(".", "").replace("-", "").replace("_", "")
    return plain.isalnum() and name[0].isalnum() and len(name) <= 100


def _names(folder: Path) -> str:
    if not folder.is_dir():
        return "none yet"
    found = sorted(each.name for each in folder.iterdir() if not each.name.startswith("."))
    return ", ".join(found[:20]) or "none yet"
