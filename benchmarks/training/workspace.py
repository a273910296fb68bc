"""A workspace of the benchmark's own, with corpus and tokenizer, and Kataribe's command in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kataribe.base.workspace import Workspace
from kataribe.make.tokens.load import load_tokenizer
from kataribe.make.tokens.token_data import TokenData
from kataribe.make.tokens.token_writer import make_token_data
from kataribe.make.training.runs import RunFolder, open_run

CORPUS = "text"


@dataclass(frozen=True)
class Place:
    """Where the benchmark trains.

    Attributes:
        home: KATARIBE_HOME.
        source: What the corpus is made from: `stdlib`, a folder, ...; see `kataribe corpus make`.
        pieces: Size of the tokenizer's vocabulary.
    """

    home: Path
    source: str = "stdlib"
    pieces: int = 4096

    @property
    def workspace(self) -> Workspace:
        """Its paths."""
        return Workspace(self.home)

    @property
    def corpus(self) -> str:
        """The corpus' name, which its source is part of."""
        return f"{CORPUS}-{Path(self.source).name}"

    @property
    def tokenizer(self) -> str:
        """The tokenizer's name."""
        return f"{self.corpus}-{self.pieces}"

    def kataribe(self, *words: object, log: str = "training-kataribe.log") -> str:
        """Runs a command in this workspace; gives what it prints.

        Raises `RuntimeError` with the end of what it said where it fails.
        """
        command = [sys.executable, "-m", "kataribe", *map(str, words)]
        environ = {**os.environ, "KATARIBE_HOME": str(self.home)}
        with (self.home.parent / log).open("a", encoding="utf-8") as notes:
            print("$ kataribe", *words, file=notes, flush=True)
            done = subprocess.run(
                command, env=environ, stdout=subprocess.PIPE, stderr=notes, text=True, check=False
            )
        if done.returncode:
            raise RuntimeError(
                f"kataribe {' '.join(map(str, words))} ended with {done.returncode}; what it said "
                f"is in {self.home.parent / log}."
            )
        return done.stdout

    def prepare(self) -> TokenData:
        """Corpus, tokenizer and tokens, made where they are not there yet."""
        self.home.mkdir(parents=True, exist_ok=True)
        if not (self.workspace.corpora / self.corpus).exists():
            self.kataribe("corpus", "make", self.corpus, self.source)
        where = self.workspace.tokenizers / self.tokenizer
        if not where.exists():
            words = ("tokenizer", "train", self.tokenizer, self.corpus, "--size", self.pieces)
            self.kataribe(*words)
        tokens = load_tokenizer(where)
        corpus = self.workspace.corpora / self.corpus
        return make_token_data(corpus, tokens, self.workspace.datasets)

    def pretrain(self, name: str, *words: object) -> tuple[RunFolder, dict[str, Any]]:
        """`kataribe train pretrain` to its end: the run and its result.json. A model of that name
        that an earlier benchmark made gives way."""
        if (self.workspace.models / name).exists():
            self.kataribe("models", "rm", name, "--yes")
        told = self.kataribe(
            "train", "pretrain", self.corpus, "--tokenizer", self.tokenizer, "--name", name,
            *words, "--json",
        )  # fmt: skip
        found: dict[str, Any] = json.loads(told)
        return open_run(self.workspace.runs / found["run"]), found
