"""The wiring: how models are planned, loaded and shown, within the settings."""

from __future__ import annotations

import pytest

from kataribe.base.errors import NotFoundError
from kataribe.base.lm import Request, Sampling, reply
from kataribe.base.messages import text_message
from kataribe.base.settings import load_settings
from kataribe.base.workspace import Workspace
from kataribe.cli import wiring
from kataribe.cli.models_here import LocalModels
from kataribe.cli.shelf import CatalogShelf
from kataribe.run.catalog.catalog import Catalog
from kataribe.run.inference.residents import Residents
from kataribe.serve.models import MetricsSource, ModelControl


@pytest.fixture
def catalog(kataribe_home, pico_path) -> Catalog:
    found = Catalog(Workspace(kataribe_home))
    found.import_(pico_path, as_name="pico")
    return found


def shelf_of(catalog: Catalog, **flags) -> CatalogShelf:
    return CatalogShelf(catalog, load_settings(model="pico", **flags))


def test_a_plan_takes_the_models_own_context(catalog):
    plan = shelf_of(catalog).plan("pico")
    assert (plan.context, plan.chats) == (512, True)
    assert plan.cache_tokens >= plan.context
    assert 0 < plan.memory < 100 * 2**20
    assert shelf_of(catalog, ctx=64).plan("pico").context == 64


def test_a_context_that_memory_does_not_allow_is_halved_unless_it_was_asked_for(catalog):
    whole = shelf_of(catalog).plan("pico")
    catalog.import_(whole.path, as_name="long")
    config = catalog.path_of("long") / "config.json"
    config.write_text(
        config.read_text().replace(
            '"max_position_embeddings": 512', '"max_position_embeddings": 1048576'
        )
    )
    roomy = shelf_of(catalog).plan("long")
    assert roomy.context == 1048576
    budget = roomy.memory / 2**30 / 3
    tight = shelf_of(catalog, memory=budget).plan("long")
    assert tight.context in (262144, 131072)
    assert tight.memory <= budget * 2**30
    assert shelf_of(catalog, memory=budget, ctx=1048576).plan("long").context == 1048576


def test_the_budget_is_the_setting_or_a_share_of_the_machine(catalog):
    assert shelf_of(catalog, memory=2).budget == 2 * 2**30
    assert shelf_of(catalog).budget > 2**28


def test_the_header_is_read_once(catalog, monkeypatch):
    shelf = shelf_of(catalog)
    first = shelf.plan("pico")
    monkeypatch.setattr("kataribe.run.catalog.facts.read_facts", None)
    assert shelf.plan("pico") is first
    assert shelf.memory("pico") == first.memory
    assert shelf.capabilities("pico").context_length == 512


def test_what_is_not_here_is_told_with_the_way_to_get_it(catalog):
    shelf = shelf_of(catalog)
    with pytest.raises(NotFoundError, match="models pull smollm2-135m"):
        shelf.resolve("smollm2-135m")
    with pytest.raises(NotFoundError, match="pico"):
        shelf.resolve("picco")
    assert shelf.resolve("PICO") == "pico"


async def test_the_server_sees_the_models_of_this_machine(catalog):
    shelf = shelf_of(catalog)
    models = LocalModels(shelf, Residents(shelf, budget=shelf.budget))
    assert isinstance(models, ModelControl)
    assert isinstance(models, MetricsSource)
    try:
        (info,) = models.names()
        assert (info.name, info.loaded, info.context_length) == ("pico", False, 512)
        assert info.created > 1_700_000_000
        async with models.tokenizer("pico") as tokenizer:
            assert tokenizer.decode(tokenizer.encode("語り部 tells")) == "語り部 tells"
        assert not models.in_memory(), "a tokenizer needs no weights"
        request = Request((text_message("user", "hi"),), Sampling(temperature=0, max_tokens=5))
        async with models.lease("pico") as lm:
            finished = await reply(lm, request)
        assert finished.usage.completion_tokens <= 5
        assert models.names()[0].loaded
        samples = {sample.name: sample for sample in models.metrics()}
        assert samples["generated_tokens_total"].value >= 1
        assert samples["generated_tokens_total"].labels == {"model": "pico"}
        models.unload("pico")
        assert not models.in_memory()
    finally:
        models.close()


def test_a_model_opened_here_answers(catalog, kataribe_home):
    with wiring.open_local(load_settings(model="pico"), Workspace(kataribe_home)) as lm:
        assert lm.name == "pico"
        assert lm.capabilities == shelf_of(catalog).capabilities("pico")


def test_ask_loads_the_model_itself_when_no_server_runs(cli, catalog):
    done = cli("ask", "-m", "pico", "-t", "0", "-n", "5", "tell me")
    assert done.code == 0, done.err
    again = cli("ask", "-m", "pico", "-t", "0", "-n", "5", "tell me")
    assert done.out == again.out
    missing = cli("ask", "hello")
    assert missing.code == 3
    assert "kataribe models pull smollm2-135m" in missing.err
