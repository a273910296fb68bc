"""Where catalogue, models in memory and server are put together; nowhere else."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from kataribe.base.errors import SettingsError
from kataribe.base.settings import DEFAULT_MODEL
from kataribe.serve.settings import ServerSettings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from kataribe.base.lm import LM
    from kataribe.base.settings import Settings
    from kataribe.base.workspace import Workspace
    from kataribe.cli.all_models import AllModels
    from kataribe.cli.inside_here import AttentionHere
    from kataribe.cli.models_here import LocalModels
    from kataribe.run.catalog.catalog import Catalog
    from kataribe.serve.costs_source import CostSource
    from kataribe.serve.lifecycle import Lifecycle
    from kataribe.serve.rooms import Rooms
    from kataribe.store.database import Store
    from kataribe.store.job_work import Work
    from kataribe.use.agents.turns import FolderTurns

log = logging.getLogger("kataribe.cli")


def server_settings(settings: Settings) -> ServerSettings:
    """What the server needs of the settings."""
    return ServerSettings(
        host=settings.host,
        port=settings.port,
        key=settings.key,
        allowed_hosts=settings.hosts,
        allowed_origins=settings.origins,
        default_model=settings.model,
    )


@contextlib.contextmanager
def open_app(settings: Settings, workspace: Workspace) -> Iterator[FastAPI]:
    """The HTTP application over the models of the workspace; frees them at the end.

    The default model begins to load; `/health` says so until it is there. Raises `SettingsError`
    when the context that is set is longer than this model's own.
    """
    from kataribe.cli.all_models import AllModels
    from kataribe.cli.behind import local_behind
    from kataribe.cli.metering import Meters, trace_store, writing
    from kataribe.serve.app import create_app
    from kataribe.serve.lifecycle import Lifecycle
    from kataribe.store.serving import holding
    from kataribe.use.agents.mcp.servers import Servers
    from kataribe.use.agents.memory import StoredFacts
    from kataribe.use.agents.turns import FolderTurns
    from kataribe.use.assistants.book import Book

    meters, traces = Meters(), trace_store(workspace)
    with (
        holding(workspace),
        open_store(workspace) as store,
        writing(meters, traces),
        _open_models(settings, workspace) as (models, attention),
    ):
        cycle = Lifecycle()
        cycle.at_stop(models.stop_loading)
        book, turns = Book(workspace.assistants), FolderTurns(workspace.turns)
        everything = AllModels(
            models,
            book,
            settings,
            workspace,
            StoredFacts(store),
            turns,
            servers=Servers(workspace.mcp),
            meters=meters,
        )
        here = {info.name for info in models.names()}
        behind = local_behind(settings.model, book, here.__contains__)
        if behind is not None:
            models.check_context(behind)
        rooms = _rooms(everything, store, turns, attention, traces)
        app = create_app(everything, server_settings(settings), cycle, rooms)
        # The first question should not have to wait for the load; who asks earlier waits for it.
        if behind is not None:
            cycle.loading(f"{behind} is loading")
            threading.Thread(target=_warm_up, args=(models, cycle, behind), daemon=True).start()
        app.state.is_loading = lambda: models.is_loading
        yield app


def _rooms(
    everything: AllModels,
    store: Store,
    turns: FolderTurns,
    attention: AttentionHere,
    traces: CostSource,
) -> Rooms:
    """What the studio's own calls work with."""
    from kataribe.cli.assistants_here import AssistantsHere
    from kataribe.cli.catalog_shown import ShownCatalog
    from kataribe.cli.encoding import EMBEDDER
    from kataribe.cli.mcp_here import McpHere
    from kataribe.cli.opening import open_catalog
    from kataribe.cli.prompting_here import PromptingHere
    from kataribe.cli.runs_here import RunsHere
    from kataribe.cli.tokenizers_here import TokenizersHere
    from kataribe.serve.rooms import Rooms
    from kataribe.store.workers import Workers
    from kataribe.use.chats.chats import Chats

    workspace, settings = everything.workspace, everything.settings
    catalog = open_catalog(workspace)
    return Rooms(
        store,
        Chats(
            store,
            everything,
            settings.model,
            forget=turns.forget_call,
            plain=everything.plain,
        ),
        sweeps=(turns.sweep_old,),
        jobs=Workers(store, _kinds(workspace, catalog, store)),
        catalog=ShownCatalog(catalog, everything.local, settings),
        attention=attention,
        training=RunsHere(workspace),
        tokenizers=TokenizersHere(workspace),
        prompting=PromptingHere(store, lambda: everything.embedder(EMBEDDER), everything.price),
        assistants=AssistantsHere(everything.book, everything.around, everything.names),
        costs=traces,
        mcp=None if everything.servers is None else McpHere(everything.servers),
    )


def _kinds(workspace: Workspace, catalog: Catalog, store: Store) -> dict[str, Work]:
    """What does each kind of job."""
    from kataribe.cli.pull_jobs import KIND, Downloads
    from kataribe.cli.tokenizers_here import Comparisons
    from kataribe.cli.training_jobs import TrainingJobs
    from kataribe.serve.tokenizers import KIND as COMPARING
    from kataribe.serve.training import KIND as TRAINING

    return {
        KIND: Downloads(catalog, store),
        TRAINING: TrainingJobs(workspace),
        COMPARING: Comparisons(workspace),
    }


@contextlib.contextmanager
def open_store(workspace: Workspace) -> Iterator[Store]:
    """The workspace's database, brought up to date."""
    from kataribe.store.database import Store

    store = Store(workspace.database)
    try:
        yield store
    finally:
        store.close()


@contextlib.contextmanager
def open_local(settings: Settings, workspace: Workspace) -> Iterator[LM]:
    """The settings' model in this process: loaded, if it is one of this machine.

    An assistant's models are loaded when it asks them; what assistants remember belongs to the
    server, so nothing is remembered here. What hosts and assistants use is written down.
    """
    from kataribe.base.references import parse_reference
    from kataribe.cli.all_models import Lent
    from kataribe.cli.shelf import CatalogShelf
    from kataribe.run.catalog.catalog import Catalog
    from kataribe.use.assistants.book import Book

    name, book = settings.model, Book(workspace.assistants)
    catalog = Catalog(workspace)
    is_here = any(model.name == name for model in catalog.installed())
    if parse_reference(name).provider is not None or (name in book.all() and not is_here):
        with open_everything(settings, workspace) as models:
            yield Lent(name, models)
        return
    shelf = CatalogShelf(catalog, settings, others=lambda: answering(settings, workspace))
    shelf.check_context(shelf.resolve(name))
    model = shelf.load(shelf.resolve(name))
    try:
        yield model.lm
    finally:
        model.close(0.0)


@contextlib.contextmanager
def open_everything(settings: Settings, workspace: Workspace) -> Iterator[AllModels]:
    """All models and assistants in this process, each loaded when it is asked; frees them.

    What assistants remember belongs to the server, so nothing is remembered here. What hosts and
    assistants use is written down.
    """
    from kataribe.cli.all_models import AllModels
    from kataribe.cli.metering import Meters, trace_store, writing
    from kataribe.run.catalog.catalog import Catalog
    from kataribe.use.agents.mcp.servers import Servers
    from kataribe.use.agents.turns import MemoryTurns
    from kataribe.use.assistants.book import Book

    here = {model.name for model in Catalog(workspace).installed()}
    # What loads models knows no assistants and no hosts.
    name = settings.model if settings.model in here else DEFAULT_MODEL
    inner = settings.model_copy(update={"model": name})
    meters = Meters()
    with (
        writing(meters, trace_store(workspace)),
        _open_models(inner, workspace) as (models, _),
    ):
        yield AllModels(
            models,
            Book(workspace.assistants),
            inner,
            workspace,
            turns=MemoryTurns(),
            servers=Servers(workspace.mcp),
            meters=meters,
        )


@contextlib.contextmanager
def _open_models(
    settings: Settings, workspace: Workspace
) -> Iterator[tuple[LocalModels, AttentionHere]]:
    from kataribe.cli.inside_here import AttentionHere, ShelfWithViews
    from kataribe.cli.models_here import LocalModels
    from kataribe.cli.shelf import CatalogShelf
    from kataribe.run.catalog.catalog import Catalog
    from kataribe.run.inference.residents import Residents

    shelf = CatalogShelf(
        Catalog(workspace),
        settings,
        serves=True,
        others=lambda: answering(settings, workspace),
    )
    views = ShelfWithViews(shelf)
    residents = Residents(views, budget=shelf.budget, queue=settings.queue)
    models = LocalModels(shelf, residents)
    try:
        yield models, AttentionHere(views, residents)
    finally:
        models.close()


def answering(settings: Settings, workspace: Workspace) -> dict[str, str]:
    """What answers beside the models of this machine, for errors that suggest near names.

    Assistants by their names; of hosts it is known what they are called and not what they have.
    """
    from kataribe.run.providers.hosts import parse_hosts
    from kataribe.use.assistants.book import Book

    hosts: Iterable[str] = ()
    with contextlib.suppress(SettingsError):  # told to whoever asks for a host
        hosts = parse_hosts(settings.providers)
    found = {name: f"{name}:MODEL" for name in hosts}
    return found | {name: name for name in Book(workspace.assistants).all()}


def _warm_up(models: LocalModels, cycle: Lifecycle, name: str) -> None:
    try:
        models.load(name, hold=False)
        cycle.ready()
        log.info("%s is loaded.", name)
    except Exception as error:  # told in the log; whoever asks for the model hears it again
        if cycle.state != "stopping":
            cycle.ready(f"{name} is not loaded: {error}")
            log.warning("%s is not loaded: %s", name, error)
