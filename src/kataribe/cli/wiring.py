"""Where catalogue, models in memory and server are put together; nowhere else."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kataribe.serve.settings import ServerSettings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from kataribe.base.lm import LM
    from kataribe.base.settings import Settings
    from kataribe.base.workspace import Workspace
    from kataribe.cli.models_here import LocalModels

log = logging.getLogger("kataribe.cli")


def server_settings(settings: Settings) -> ServerSettings:
    """What the server needs of the settings."""
    return ServerSettings(
        host=settings.host, port=settings.port, key=settings.key, default_model=settings.model
    )


@contextlib.contextmanager
def open_app(settings: Settings, workspace: Workspace) -> Iterator[FastAPI]:
    """The HTTP application over the models of the workspace; frees them at the end."""
    from kataribe.serve.app import create_app

    with _open_models(settings, workspace) as models:
        yield create_app(models, server_settings(settings))


@contextlib.contextmanager
def open_local(settings: Settings, workspace: Workspace) -> Iterator[LM]:
    """The settings' model, loaded in this process."""
    from kataribe.cli.shelf import CatalogShelf
    from kataribe.run.catalog.catalog import Catalog

    shelf = CatalogShelf(Catalog(workspace), settings)
    model = shelf.load(shelf.resolve(settings.model))
    try:
        yield model.lm
    finally:
        model.close(0.0)


@contextlib.contextmanager
def _open_models(settings: Settings, workspace: Workspace) -> Iterator[LocalModels]:
    from kataribe.cli.models_here import LocalModels
    from kataribe.cli.shelf import CatalogShelf
    from kataribe.run.catalog.catalog import Catalog
    from kataribe.run.inference.residents import Residents

    shelf = CatalogShelf(Catalog(workspace), settings)
    models = LocalModels(shelf, Residents(shelf, budget=shelf.budget))
    # The first question should not have to wait for the load; who asks earlier waits for this one.
    threading.Thread(target=_warm_up, args=(models, settings.model), daemon=True).start()
    try:
        yield models
    finally:
        models.close()


def _warm_up(models: LocalModels, name: str) -> None:
    try:
        models.load(name, hold=False)
        log.info("%s is loaded.", name)
    except Exception as error:  # told in the log; whoever asks for the model hears it again
        log.warning("%s is not loaded: %s", name, error)
