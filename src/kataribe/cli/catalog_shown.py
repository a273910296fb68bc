"""The catalogue as the studio's models page sees it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kataribe.base.errors import BusyError, KataribeError, NotFoundError
from kataribe.cli.fit_words import fit_words
from kataribe.serve.catalog_source import Pulling
from kataribe.serve.shapes.catalog import CatalogModel, FitShown, TermsShown, Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from kataribe.base.settings import Settings
    from kataribe.cli.models_here import LocalModels
    from kataribe.run.catalog.cards import ModelFacts
    from kataribe.run.catalog.catalog import Catalog, Entry
    from kataribe.run.catalog.fit import Fit, Run, Wish
    from kataribe.run.catalog.machine import Machine


class ShownCatalog:
    """A `CatalogSource` over the catalogue, the shelf and the models in memory.

    Safe to use from several threads. Headers of models that are here are read once.
    """

    def __init__(self, catalog: Catalog, models: LocalModels, settings: Settings) -> None:
        self._catalog = catalog
        self._shelf = models.shelf
        self._models = models
        self._settings = settings
        self._facts: dict[tuple[Path, int], ModelFacts] = {}
        self._lock = threading.Lock()

    def models(self) -> Sequence[CatalogModel]:
        """All of them, what is here first."""
        machine, loaded = self._machine(), self._loaded()
        found = [self._shown(entry, machine, loaded) for entry in self._catalog.entries()]
        return sorted(found, key=lambda model: not model.installed)

    def model(self, name: str) -> CatalogModel:
        """One of them; `NotFoundError` with near names."""
        return self._shown(self._catalog.show(name), self._machine(), self._loaded())

    def fit(self, name: str) -> FitShown:
        """What to expect of it here."""
        found = self._fit(self._catalog.show(name), machine := self._machine())
        memory = None if found.memory is None else found.memory.needed
        return FitShown(
            verdict=found.verdict,
            context=found.ctx or None,
            memory=memory,
            memory_available=machine.available,
            disk=found.download,
            disk_available=found.disk_free,
            prefill=found.prefill,
            decode=found.decode,
            words=fit_words(found),
        )

    def frees(self, name: str) -> int:
        """Bytes that removing it frees."""
        return self._catalog.frees(name)

    def pulling(self, model: str, *, accept_terms: bool, as_name: str | None) -> Pulling:
        """What a download would bring."""
        card = self._catalog.wanted(model, as_name=as_name)
        return Pulling(model, accept_terms, as_name, card.name)

    def remove(self, name: str) -> int:
        """Unloads an idle model, removes it and tells the bytes freed."""
        resolved = self._catalog.resolve(name)
        freed = self._catalog.frees(resolved)
        state = {model.name: model.state for model in self._models.in_memory()}.get(resolved)
        if state == "loading":
            raise BusyError(
                f"{resolved} is being loaded, so it cannot be removed. Wait until it is there.",
                retry_after=5,
                param="model",
            )
        if state is not None:
            with contextlib.suppress(NotFoundError):  # it went meanwhile
                self._models.unload(resolved)
        self._catalog.remove(resolved)
        return freed

    def _loaded(self) -> frozenset[str]:
        return frozenset(model.name for model in self._models.in_memory())

    def _machine(self) -> Machine:
        """This machine; what idle models take counts as free, because they make room."""
        from kataribe.run.catalog.machine import look_at

        machine = look_at(self._catalog.workspace)
        idle = sum(m.memory for m in self._models.in_memory() if not (m.held or m.leases))
        return replace(machine, available=min(machine.available + idle, machine.memory))

    def _shown(self, entry: Entry, machine: Machine, loaded: frozenset[str]) -> CatalogModel:
        here, card = entry.installed, entry.card
        told = here or card
        assert told is not None  # an entry is here or has a card
        chats = self._chats(entry)
        known = self._known_facts(entry)
        terms = card.terms if card is not None else None
        return CatalogModel(
            name=entry.name,
            title=told.title,
            family=told.family,
            task=self._task(entry, chats),
            languages=list(told.languages),
            licence=told.licence,
            terms=None if terms is None else TermsShown(name=terms.name, url=terms.url),
            parameters=told.parameters or (known.parameters if known else None),
            context_length=told.context_length or (known.context_length if known else None),
            size=here.size if here is not None else card.download_bytes if card else None,
            download=0 if here is not None else card.download_bytes if card else None,
            source=told.source,
            summary=told.note,
            summary_ja=card.note_ja if card is not None and card.note == told.note else "",
            installed=here is not None,
            loaded=entry.name in loaded,
            chats=chats,
            problem=entry.problem,
            verdict=self._verdict(entry, machine, loaded),
            job=None,
        )

    def _verdict(self, entry: Entry, machine: Machine, loaded: frozenset[str]) -> Verdict:
        if entry.problem:
            return "unknown"
        found = self._fit(entry, machine)
        if entry.name in loaded and found.verdict == "does_not_fit":
            return "fits"  # it is there: what it takes is not free because it takes it
        return found.verdict

    def _fit(self, entry: Entry, machine: Machine) -> Fit:
        from kataribe.run.catalog.fit import fit_model, read_runs

        facts = self._known_facts(entry)
        runs: tuple[Run, ...] = ()
        download: int | None = 0
        if entry.installed is not None:
            runs = read_runs(self._catalog.workspace.models / entry.name)
        elif entry.card is not None:
            download = entry.card.download_bytes
        return fit_model(
            entry.name, facts, machine, self._wish(facts), download=download, runs=runs
        )

    def _wish(self, facts: ModelFacts | None) -> Wish:
        """As whoever loads it here asks for it: a context beyond a model's own becomes its own."""
        from kataribe.cli.shelf import computes_natively
        from kataribe.run.catalog.fit import Wish

        asked = self._settings.ctx
        if asked is not None and facts is not None:
            asked = min(asked, facts.context_length)
        return Wish(
            self._settings.precision,
            asked,
            self._shelf.budget,
            native=computes_natively(self._settings),
        )

    def _known_facts(self, entry: Entry) -> ModelFacts | None:
        """Sizes and weights from the files, read once, or from the card; None: nobody knows."""
        if entry.installed is None:
            return entry.card.facts if entry.card is not None else None
        if entry.problem:
            return None

        with contextlib.suppress(KataribeError, OSError):
            return self._read_facts(self._catalog.path_of(entry.name))
        return None

    def _read_facts(self, path: Path) -> ModelFacts:
        from kataribe.run.catalog.facts import read_facts

        key = (path, path.stat().st_mtime_ns)
        with self._lock:
            if key not in self._facts:
                self._facts[key] = read_facts(path)
            return self._facts[key]

    def _chats(self, entry: Entry) -> bool | None:
        """Whether it converses: its chat template says so, or before the download its card."""
        if entry.installed is not None and not entry.problem:
            with contextlib.suppress(KataribeError, OSError):
                return self._shelf.plan(entry.name).chats
        told = entry.installed or entry.card
        return None if told is None or told.kind is None else told.kind == "chat"

    def _task(self, entry: Entry, chats: bool | None) -> str:
        """What it is for: as its files or its card say, else by whether it converses.

        Empty: nobody knows.
        """
        if entry.installed is not None and not entry.problem:
            with contextlib.suppress(KataribeError, OSError):
                if (use := self._shelf.plan(entry.name).use) != "write":
                    return use
        cards = [card for card in (entry.installed, entry.card) if card is not None]
        told = [card.task for card in cards] + [card.kind for card in cards]
        by_template = None if chats is None else "chat" if chats else "base"
        found = next((word for word in (*told, by_template) if word), "")
        return "embed" if found == "embedding" else found
