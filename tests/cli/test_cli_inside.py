"""Attention views beside the models in memory, over a real catalogue."""

from __future__ import annotations

import asyncio

import pytest

from kataribe.base.errors import NotFoundError, UnavailableError, UnsupportedError
from kataribe.base.inside import Inspectable
from kataribe.base.lm import Request, Sampling, reply
from kataribe.base.messages import text_message
from kataribe.base.settings import load_settings
from kataribe.base.workspace import Workspace
from kataribe.cli.inside_here import AttentionHere, ShelfWithViews, ViewName
from kataribe.cli.models_here import LocalModels
from kataribe.cli.shelf import CatalogShelf
from kataribe.run.catalog.catalog import Catalog
from kataribe.run.inference.residents import Residents

HELLO = Request((text_message("user", "hi"),), sampling=Sampling(max_tokens=3))


@pytest.fixture
def opened(kataribe_home, pico_path):
    """The models, their residents and attention, as the server wires them."""
    catalog = Catalog(Workspace(kataribe_home))
    catalog.import_(pico_path, as_name="pico")
    shelf = CatalogShelf(catalog, load_settings(model="pico"))
    views = ShelfWithViews(shelf)
    made = []

    def make(budget: int = 2**30):
        residents = Residents(views, budget=budget)
        made.append(residents)
        return LocalModels(shelf, residents), residents, AttentionHere(views, residents)

    yield make
    for residents in made:
        residents.close(0.0)


async def test_a_view_stands_beside_its_model_and_leaves_alone(opened, monkeypatch):
    models, residents, attention = opened()
    async with models.lease("pico") as lm:
        assert isinstance(lm, Inspectable)
        await reply(lm, HELLO)
        weights = await attention.weights("pico", (1, 5, 6, 7), 0, 0, 3)
    assert sum(weights) == pytest.approx(1.0, abs=1e-6)
    assert {each.name for each in residents.ps()} == {"pico", "pico (attention)"}
    assert {sample.labels["model"] for sample in models.metrics()} == {"pico"}
    assert [info.name for info in models.names()] == ["pico"]
    monkeypatch.setattr("kataribe.cli.inside_here.IDLE_SECONDS", 0.01)
    await attention.weights("pico", (1, 5, 6, 7), 0, 0, 2)
    for _ in range(1500):
        if len(residents.ps()) == 1:
            break
        await asyncio.sleep(0.02)
    assert [each.name for each in residents.ps()] == ["pico"]


async def test_a_view_cannot_be_asked_for_by_its_name(opened):
    models, _, attention = opened()
    await attention.weights("pico", (1, 5), 0, 0, 1)
    with pytest.raises(NotFoundError):
        async with models.lease("pico (attention)"):
            pass
    with pytest.raises(NotFoundError):
        models.load("pico (attention)")


async def test_a_view_keeps_to_the_budget(opened):
    _, residents, attention = opened(budget=1000)
    with pytest.raises(UnavailableError, match="memory budget"):
        await attention.weights("pico", (1, 5), 0, 0, 1)
    assert residents.ps() == ()


async def test_what_is_too_large_is_refused_with_the_limit(opened, monkeypatch):
    _, _, attention = opened()
    shape = await attention.shape("pico")
    assert (shape.layers, shape.heads, shape.shown) == (2, 4, True)
    with pytest.raises(UnsupportedError, match="2,048"):
        await attention.weights("pico", (1,) * 2049, 0, 0, 1)
    monkeypatch.setattr("kataribe.cli.inside_here.MOST_PARAMETERS", 10)
    assert not (await attention.shape("pico")).shown
    with pytest.raises(UnsupportedError, match="at most 10"):
        await attention.weights("pico", (1, 5), 0, 0, 1)
    with pytest.raises(NotFoundError):
        await attention.shape("absent")


def test_the_estimate_of_a_view_is_counted(opened):
    _, residents, _ = opened()
    shelf = residents._shelf
    name = ViewName("pico (attention)")
    parameters = sum(tensor.size_bytes for tensor in _checkpoint(shelf, name).tensors.values())
    assert shelf.memory(name) > parameters  # float32 files: as many bytes, and queries and keys


def _checkpoint(shelf, name):
    from kataribe.make.model.weights.checkpoint import open_checkpoint

    return open_checkpoint(shelf._shelf.plan("pico").path)
