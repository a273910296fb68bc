"""The catalogue as the shelf that models are loaded from, within the settings."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from kataribe.base.errors import SettingsError
from kataribe.base.lm import Capabilities, Sampling

if TYPE_CHECKING:
    from pathlib import Path

    from kataribe.base.settings import Settings
    from kataribe.cli.measured import Measured
    from kataribe.files.gguf import GGUFFile
    from kataribe.run.catalog.cards import ModelFacts, Others
    from kataribe.run.catalog.catalog import Catalog
    from kataribe.run.inference.load import Precision
    from kataribe.run.inference.residents import LoadedModel, LoadProgress

log = logging.getLogger("kataribe.cli")

Use: TypeAlias = Literal["write", "embed", "classify"]
"""What a model is for: continuing text, making vectors, or giving labels."""


@dataclass(frozen=True, slots=True)
class Planned:
    """How a model will be loaded: tokens of context and cache, bytes of memory; precision; use."""

    path: Path
    context: int
    cache_tokens: int
    memory: int
    chats: bool
    precision: Precision
    use: Use = "write"


class CatalogShelf:
    """Loads the models of a catalogue; remembers what it has read of their headers."""

    def __init__(
        self,
        catalog: Catalog,
        settings: Settings,
        *,
        serves: bool = False,
        others: Others = dict,
    ) -> None:
        """Reads nothing yet; `others` are told where a name that no model has is near to one."""
        self.catalog = catalog
        self._others = others
        self._settings = settings
        self._serves = serves  # of this process, for what a run is compared with
        self._plans: dict[tuple[Path, int], Planned] = {}
        self._lock = threading.Lock()
        self._loads = 0
        self.budget = _budget(settings)

    def resolve(self, name: str) -> str:
        """The name of an installed model; `NotFoundError` says how to get it, or near names."""
        found = self.catalog.resolve(name, self._others)
        self.catalog.path_of(found)
        return found

    def memory(self, name: str) -> int:
        """Bytes that the model will take beside what the program takes anyway."""
        return self.plan(name).memory

    def capabilities(self, name: str) -> Capabilities:
        """What it will be able to do."""
        plan = self.plan(name)
        return Capabilities(
            plan.context,
            tools=plan.chats,
            logprobs=True,
            structured_output=True,
            raw_prompt=True,
        )

    def load(self, name: str, progress: LoadProgress | None = None) -> LoadedModel:
        """Brings the model into memory; one that writes keeps what it took and how fast it was."""
        if self.plan(name).use != "write":
            return self._load_encoder(name, progress)
        from kataribe.make.tokens.template_host import shared_host

        shared_host().start()  # beside the import of torch
        from kataribe.cli.measured import MeasuredModel
        from kataribe.run.inference.load import LoadOptions, load_local

        held = _open(self.catalog.path_of(name))  # shared by all who read it in what follows
        plan = self.plan(name)
        asked = self._settings.ctx
        if asked is not None and plan.context < asked:
            log.warning(
                "The context is set to %d tokens, but %s was made for %d and gets those.",
                asked,
                name,
                plan.context,
            )
        options = LoadOptions(
            context=plan.context,
            cache_tokens=plan.cache_tokens,
            precision=plan.precision,
            device=self._settings.device,
            threads=self._settings.threads,
            queue=self._settings.queue,
            sampling=self._recommended(name),
        )
        with self._lock:
            self._loads += 1
        model = load_local(name, plan.path, options, progress)
        del held
        return MeasuredModel(model, lambda measured: self._record(name, plan, measured))

    def _load_encoder(self, name: str, progress: LoadProgress | None) -> LoadedModel:
        from kataribe.run.inference.embedding.load import load_local_encoder

        with self._lock:
            self._loads += 1
        settings, plan = self._settings, self.plan(name)
        return load_local_encoder(
            name,
            plan.path,
            precision=plan.precision,
            device=settings.device,
            threads=settings.threads,
            queue=settings.queue,
            progress=progress,
        )

    def count_load(self) -> None:
        """Something beside the models was loaded: the peak of memory is not one model's alone."""
        with self._lock:
            self._loads += 1

    def check_context(self, name: str) -> None:
        """Raises `SettingsError` when the context that is set is longer than the model's own."""
        wanted = self._settings.ctx
        if wanted is not None and self.plan(name).context < wanted:
            raise SettingsError(
                f"The context is set to {wanted} tokens, but {name} was made for "
                f"{self.plan(name).context}. Set --ctx or KATARIBE_CTX to at most that.",
                param="ctx",
            )

    def plan(self, name: str) -> Planned:
        """How the model will be loaded, from its header; the header is read once."""
        from kataribe.run.catalog.facts import read_facts

        path = self.catalog.path_of(name)
        key = (path, path.stat().st_mtime_ns)
        with self._lock:
            if key not in self._plans:
                self._plans[key] = self._make_plan(path, read_facts(path))
            return self._plans[key]

    def _record(self, name: str, plan: Planned, measured: Measured) -> None:
        """Keeps what a run took, where the process's peak is this model's alone."""
        from kataribe.run.catalog.fit import Run
        from kataribe.run.catalog.machine import peak_memory

        peak = peak_memory()
        if self._loads != 1 or peak is None:
            return
        run = Run(
            plan.precision,
            plan.context,
            measured.cache_tokens,
            peak,
            prefill=measured.prefill,
            decode=measured.decode,
            places=plan.cache_tokens,
            native=computes_natively(self._settings),
            serves=self._serves,
        )
        self.catalog.record_run(name, run)

    def _recommended(self, name: str) -> Sampling | None:
        """Sampling that the card of its bytes names; a GGUF file cannot say it itself."""
        from kataribe.run.catalog.cards import card_of_bytes
        from kataribe.run.catalog.installed import read_installed

        files = read_installed(self.catalog.workspace, name).card.files
        card = card_of_bytes(file.sha256 for file in files)
        if card is None or not card.sampling:
            return None
        return Sampling(**cast("Any", dict(card.sampling)))

    def _make_plan(self, path: Path, facts: ModelFacts) -> Planned:
        from kataribe.run.catalog.layout import SOURCES
        from kataribe.run.catalog.memory import held_precision
        from kataribe.run.catalog.plan import plan_model

        asked = self._settings.ctx
        if asked is not None:
            asked = min(asked, facts.context_length)  # `load` says so
        precision = cast("Precision", held_precision(facts, self._settings.precision))
        plan = plan_model(
            facts,
            precision,
            asked,
            self.budget,
            native=computes_natively(self._settings),
        )
        use = "write" if facts.decodes else _use_of_encoder(path)
        chats = facts.decodes and facts.family not in SOURCES and _has_template(path)
        return Planned(path, plan.context, plan.cache_tokens, plan.memory, chats, precision, use)


def computes_natively(settings: Settings) -> bool:
    """The native runner is built here, and computes what it can."""
    from kataribe.run.inference.native.library import native_library
    from kataribe.run.inference.processors import on_processor

    return on_processor(settings.device) and native_library() is not None


def _use_of_encoder(path: Path) -> Use:
    from kataribe.make.model.families.encoder import encoder_from_hf
    from kataribe.make.model.weights.folder import read_json

    head = encoder_from_hf(read_json(path / "config.json")).head
    return "classify" if head in ("classify", "tag") else "embed"


def _open(path: Path) -> GGUFFile | None:
    """The file, where the model is one."""
    from kataribe.files.gguf import open_gguf

    return open_gguf(path) if path.is_file() else None


def _budget(settings: Settings) -> int:
    """Bytes that loaded models may take together."""
    from kataribe.run.catalog.plan import model_budget

    return model_budget(int(settings.memory * 2**30) if settings.memory else None)


def _has_template(path: Path) -> bool:
    """Whether the model comes with a chat template, seen without reading its vocabulary."""
    if path.is_file():
        from kataribe.files.gguf import open_gguf

        return "tokenizer.chat_template" in open_gguf(path).metadata
    if (path / "chat_template.jinja").is_file():
        return True
    try:
        return '"chat_template"' in (path / "tokenizer_config.json").read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
