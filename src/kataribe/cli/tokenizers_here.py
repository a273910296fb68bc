"""The tokenizers of a workspace, as the server shows and compares them."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from kataribe.base.errors import KataribeError, NotFoundError, UnavailableError
from kataribe.make.tokens import load_tokenizer
from kataribe.make.tokens.corpus_files import CorpusFiles
from kataribe.make.tokens.kinds import TokenizerPlan
from kataribe.make.tokens.shown import shown_pieces
from kataribe.make.tokens.train import read_card
from kataribe.serve.shapes.tokenizers import (
    CompareTokenizers,
    Piece,
    Pieces,
    TokenizerShown,
)

if TYPE_CHECKING:
    from kataribe.base.workspace import Workspace
    from kataribe.make.tokens.tokenizer import Tokenizer
    from kataribe.store.job_work import Reporter
    from kataribe.store.jobs import Job

LOOK = 0.5
"""Seconds between two looks at the process."""


class TokenizersHere:
    """A `TokenizersSource` over `Workspace.tokenizers`."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def tokenizers(self) -> Sequence[TokenizerShown]:
        """See `TokenizersSource`."""
        folder = self._workspace.tokenizers
        return [_shown(path.parent) for path in sorted(folder.glob("[!.]*/tokenizer.json"))]

    def corpora(self) -> Sequence[str]:
        """See `TokenizersSource`."""
        folder = self._workspace.corpora
        return sorted(path.parent.name for path in folder.glob("[!.]*/train.jsonl"))

    def cut(self, name: str, text: str) -> Pieces:
        """See `TokenizersSource`."""
        path = self._workspace.tokenizers / name
        if Path(name).name != name or not (path / "tokenizer.json").is_file():
            known = ", ".join(each.name for each in self.tokenizers()) or "none"
            raise NotFoundError(f"There is no tokenizer {name!r}; there is {known}.", param="names")
        tokenizer = _opened(path, (path / "tokenizer.json").stat().st_mtime_ns)
        ids = tokenizer.encode_texts([text])[0]
        return Pieces(
            name=name,
            bytes_per_token=len(text.encode()) / len(ids) if ids else None,
            returns=tokenizer.decode(ids) == text,
            pieces=[Piece(**vars(piece)) for piece in shown_pieces(tokenizer, ids)],
        )

    def comparing(self, wanted: CompareTokenizers) -> tuple[str, ...]:
        """See `TokenizersSource`."""
        folder = self._workspace.corpora / wanted.corpus
        if wanted.corpus not in self.corpora():
            known = ", ".join(self.corpora()) or "none"
            raise NotFoundError(
                f"There is no corpus {wanted.corpus!r}; there is {known}.", param="corpus"
            )
        CorpusFiles.find(folder)
        for kind in wanted.kinds:
            for size in wanted.sizes:
                TokenizerPlan(kind, size)
        return (
            "tokenizer", "compare", wanted.corpus, "--json",
            "--kinds", ",".join(wanted.kinds),
            "--sizes", ",".join(str(size) for size in wanted.sizes),
            "--text", wanted.text,
        )  # fmt: skip


class Comparisons:
    """The `Work` of jobs that compare tokenizers; their result is the comparison.

    In a process of its own: a trainer holds all words of a corpus, and cannot be told to stop.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def run(self, job: Job, reporter: Reporter) -> Mapping[str, Any]:
        """Compares from the beginning; a few minutes are all that is lost by a pause."""
        with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as told:
            process = subprocess.Popen(  # noqa: S603  our own command; its words were checked
                [sys.executable, "-m", "kataribe", *job.params["command"]],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=told,
                env={**os.environ, "KATARIBE_HOME": str(self._workspace.root)},
            )
            try:
                while process.poll() is None:
                    reporter.progress("comparing", 0)
                    try:
                        process.wait(LOOK)
                    except subprocess.TimeoutExpired:
                        continue
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
            if process.returncode:
                raise UnavailableError(_last(told) or f"It ended with code {process.returncode}.")
            said.seek(0)
            found: dict[str, Any] = json.load(said)
            return found

    def discard(self, job: Job) -> None:
        """It leaves nothing."""


@functools.lru_cache(maxsize=8)
def _opened(path: Path, changed: int) -> Tokenizer:
    """A tokenizer as it was at that time; opening a large one takes half a second."""
    del changed
    return load_tokenizer(path)


def _shown(path: Path) -> TokenizerShown:
    try:
        card, problem = read_card(path), ""
    except KataribeError as error:
        card, problem = {}, error.message
    plan = card.get("plan") or {}
    return TokenizerShown(
        name=path.name,
        kind=plan.get("kind"),
        pieces=card.get("pieces"),
        corpus=card.get("corpus"),
        problem=problem,
    )


def _last(file: IO[bytes]) -> str:
    """The last line that a program wrote."""
    file.seek(0)
    lines = file.read().decode(errors="replace").splitlines()
    return next((line.strip()[:500] for line in reversed(lines) if line.strip()), "")
