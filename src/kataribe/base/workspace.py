"""The workspace: the one folder where Kataribe keeps what people own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Workspace:
    """Paths below `root` (`KATARIBE_HOME`, default `~/.kataribe`). Nothing is created by asking."""

    root: Path

    @classmethod
    def locate(cls) -> Workspace:
        """The workspace that the environment names."""
        home = os.environ.get("KATARIBE_HOME")
        return cls(Path(home).expanduser() if home else Path.home() / ".kataribe")

    @property
    def config(self) -> Path:
        """`kataribe.toml`."""
        return self.root / "kataribe.toml"

    @property
    def models(self) -> Path:
        """One folder per model."""
        return self.root / "models"

    @property
    def corpora(self) -> Path:
        """One folder per corpus: documents as JSON lines, split for training and validation."""
        return self.root / "corpora"

    @property
    def tokenizers(self) -> Path:
        """One folder per tokenizer, in Hugging Face layout."""
        return self.root / "tokenizers"

    @property
    def datasets(self) -> Path:
        """Corpora as token ids, made once for each pair of corpus and tokenizer."""
        return self.root / "datasets"

    @property
    def runs(self) -> Path:
        """One folder per training run: its plan, metrics, samples and checkpoints."""
        return self.root / "runs"

    @property
    def assistants(self) -> Path:
        """Recipes: one YAML file per assistant."""
        return self.root / "assistants"

    @property
    def agents(self) -> Path:
        """Runs of autonomous work: a journal of each, as JSON lines."""
        return self.root / "agents"

    @property
    def turns(self) -> Path:
        """Turns of agents that wait for somebody's consent: one journal each."""
        return self.root / "turns"

    @property
    def mcp(self) -> Path:
        """`mcp.json`: the MCP servers whose tools assistants may use."""
        return self.root / "mcp.json"

    @property
    def downloads(self) -> Path:
        """Unfinished downloads, continued by the next try."""
        return self.root / "downloads"

    @property
    def database(self) -> Path:
        """`kataribe.db`: conversations, people, jobs."""
        return self.root / "kataribe.db"

    @property
    def traces(self) -> Path:
        """`traces.db`: what calls took and cost, apart, so that writing it holds up no chat."""
        return self.root / "traces.db"

    @property
    def serving(self) -> Path:
        """A lock that the one process holds which answers and works for this workspace."""
        return self.root / "serving.lock"

    @property
    def running(self) -> Path:
        """A small JSON file that tells where this workspace's server listens, while one does."""
        return self.root / "running.json"
