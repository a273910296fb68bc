"""The catalogue as the shelf that models are loaded from, within the settings."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from kataribe.base.lm import Capabilities, Sampling

if TYPE_CHECKING:
    from pathlib import Path

    from kataribe.base.settings import Settings
    from kataribe.run.catalog.cards import ModelFacts
    from kataribe.run.catalog.catalog import Catalog
    from kataribe.run.inference.load import LocalModel
    from kataribe.run.inference.residents import LoadProgress

WISHED_CACHE = 32_768
"""Tokens that the KV cache should hold for all replies together: 64 conversations of 500 tokens.
Its memory is taken from the system only as it fills."""

SMALLEST_CONTEXT = 512
"""Under this many tokens a model is not worth loading."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a model will be loaded: tokens of context and cache, bytes of memory."""

    path: Path
    context: int
    cache_tokens: int
    memory: int
    chats: bool


class CatalogShelf:
    """Loads the models of a catalogue; remembers what it has read of their headers."""

    def __init__(self, catalog: Catalog, settings: Settings) -> None:
        self.catalog = catalog
        self._settings = settings
        self._plans: dict[tuple[Path, int], Plan] = {}
        self._lock = threading.Lock()
        self.budget = _budget(settings)

    def resolve(self, name: str) -> str:
        """The name of an installed model; `NotFoundError` says how to get it, or near names."""
        found = self.catalog.resolve(name)
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

    def load(self, name: str, progress: LoadProgress | None = None) -> LocalModel:
        """Brings the model into memory."""
        from kataribe.run.inference.load import LoadOptions, Precision, load_local

        plan = self.plan(name)
        options = LoadOptions(
            context=plan.context,
            cache_tokens=plan.cache_tokens,
            precision=cast(Precision, self._settings.precision),
            device=self._settings.device,
            threads=self._settings.threads,
            queue=self._settings.queue,
            sampling=_recommended(name, plan.path),
        )
        return load_local(name, plan.path, options, progress)

    def plan(self, name: str) -> Plan:
        """How the model will be loaded, from its header; the header is read once."""
        from kataribe.run.catalog.facts import read_facts

        path = self.catalog.path_of(name)
        key = (path, path.stat().st_mtime_ns)
        with self._lock:
            if key not in self._plans:
                self._plans[key] = self._make_plan(path, read_facts(path))
            return self._plans[key]

    def _make_plan(self, path: Path, facts: ModelFacts) -> Plan:
        """The whole context where memory allows, half of it and so on where it does not.

        The cache holds more than one context where that takes at most a quarter of the budget.
        """
        from kataribe.run.catalog.memory import kv_bytes_per_token, predict_memory

        context = self._settings.ctx or facts.context_length
        per_token = kv_bytes_per_token(facts, self._settings.precision)
        wished = min(WISHED_CACHE, self.budget // 4 // per_token)
        while True:
            cache = max(context, wished)
            need = predict_memory(facts, self._settings.precision, context, cache_tokens=cache)
            memory = need.needed - need.runtime
            fits = memory <= self.budget or self._settings.ctx is not None
            if fits or context // 2 < SMALLEST_CONTEXT:
                return Plan(path, context, cache, memory, _has_template(path))
            context //= 2


def _recommended(name: str, path: Path) -> Sampling | None:
    """Sampling that the card names, for files that cannot say it themselves (GGUF)."""
    from kataribe.run.catalog.cards import built_in_cards

    card = built_in_cards().get(name)
    if card is None or card.file != path.name or not card.sampling:
        return None
    return Sampling(**cast("Any", dict(card.sampling)))


def _budget(settings: Settings) -> int:
    """Bytes that loaded models may take together."""
    from kataribe.run.catalog.fit import BUDGET
    from kataribe.run.catalog.machine import memory_limit

    return int(settings.memory * 2**30) if settings.memory else int(BUDGET * memory_limit())


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
