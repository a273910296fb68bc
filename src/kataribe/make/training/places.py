"""Where corpora, tokenizers and models lie, and whether they fit together."""

from __future__ import annotations

from pathlib import Path

from kataribe.base.errors import InputError
from kataribe.base.workspace import Workspace
from kataribe.make.model.weights.opened import AnyConfig
from kataribe.make.tokens.fingerprint import tokenizer_sha256
from kataribe.make.tokens.load import load_tokenizer
from kataribe.make.tokens.tokenizer import Tokenizer


def check_fit(config: AnyConfig, tokenizer: Tokenizer) -> None:
    """Raises `InputError` with both sizes where a tokenizer has ids that the model has not."""
    if tokenizer.vocab_size > config.vocab_size:
        raise InputError(
            f"The tokenizer has {tokenizer.vocab_size:,} tokens, but the model's embedding only "
            f"{config.vocab_size:,} rows. Take the model's own tokenizer, or train a new model."
        )


def find_tokenizer(workspace: Workspace, name: str) -> Path:
    """A tokenizer's folder, by its name in the workspace or by path."""
    return _found(workspace.tokenizers / name, name, "tokenizer", "tokenizer list")


def find_corpus(workspace: Workspace, name: str) -> Path:
    """A corpus' folder or file, by its name in the workspace or by path."""
    return _found(workspace.corpora / name, name, "corpus", "corpus list")


def find_model(workspace: Workspace, name: str) -> Path:
    """A model's folder, by its name in the workspace, by path, or by the run that made it."""
    return _found(workspace.models / name, name, "model", "models list --here")


def _found(here: Path, name: str, kind: str, listing: str) -> Path:
    for path in (here, Path(name).expanduser()):
        if path.exists():
            return path.absolute()
    raise InputError(
        f"There is no {kind} {name!r}, neither in the workspace nor as a path. "
        f"`kataribe {listing}` shows those that there are.",
        param=kind,
    )


def check_own_tokenizer(base: Path, tokenizer: Tokenizer) -> None:
    """Raises `InputError` for another tokenizer than the model's own: its ids mean other pieces."""
    if not (base / "tokenizer.json").is_file():
        return
    own = load_tokenizer(base)
    if tokenizer_sha256(own) != tokenizer_sha256(tokenizer):
        raise InputError(
            f"The tokenizer ({tokenizer.vocab_size:,} tokens) is not the one that {base.name} was "
            f"made with ({own.vocab_size:,} tokens), so its ids would mean other pieces. Leave "
            "--tokenizer out, or train a new model.",
            param="tokenizer",
        )


def check_same_tokenizer(tokenizer: Tokenizer, sha256: str, folder: Path) -> None:
    """Raises `InputError` where a tokenizer was changed since the run began."""
    found = tokenizer_sha256(tokenizer)
    if found != sha256:
        raise InputError(
            f"The tokenizer at {folder} was changed since the run began (sha256 {sha256[:12]} "
            f"then, {found[:12]} now). Put it back, or start a new run."
        )
