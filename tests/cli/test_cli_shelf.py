"""The wiring: how models are planned, loaded and shown, within the settings."""

from __future__ import annotations

import contextlib

import pytest
import torch

from kataribe.base.errors import BusyError, NotFoundError
from kataribe.base.lm import Request, Sampling, reply
from kataribe.base.messages import text_message
from kataribe.base.settings import load_settings
from kataribe.base.workspace import Workspace
from kataribe.cli import wiring
from kataribe.cli.models_here import LocalModels
from kataribe.cli.shelf import CatalogShelf
from kataribe.make.model.configs.encoder_config import EncoderConfig
from kataribe.make.model.encoder import Encoder
from kataribe.make.model.weights.encoder_loading import save_encoder
from kataribe.run.catalog.cards import Card
from kataribe.run.catalog.catalog import Catalog
from kataribe.run.catalog.fit import Wish, read_runs
from kataribe.run.inference import load as load_module
from kataribe.run.inference.residents import Residents
from kataribe.serve.models import MetricsSource, ModelControl
from tests.make.tokens import trained
from tests.source_models import make_source_model


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


def test_a_context_that_memory_does_not_allow_is_shortened_unless_it_was_asked_for(catalog):
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
    assert tight.context % 256 == 0
    assert 0.99 * budget * 2**30 < tight.memory <= budget * 2**30
    assert shelf_of(catalog, memory=budget, ctx=1048576).plan("long").context == 1048576


@pytest.mark.parametrize("memory", [None, 0.5, 0.02])
def test_fit_predicts_the_very_plan_that_is_loaded(catalog, memory):
    shelf = shelf_of(catalog, memory=memory)
    plan = shelf.plan("pico")
    budget = None if memory is None else int(memory * 2**30)
    found = catalog.fit("pico", Wish(budget=budget))
    assert (found.ctx, found.cache_tokens) == (plan.context, plan.cache_tokens)
    assert found.full.needed - found.full.runtime == plan.memory
    assert found.memory_budget == shelf.budget
    with wiring.open_local(load_settings(model="pico", memory=memory), catalog.workspace) as lm:
        assert lm.capabilities.context_length == found.ctx


@pytest.fixture
def encoder_path(tmp_path):
    torch.manual_seed(1)
    config = EncoderConfig(
        family="bert", vocab_size=1280, hidden_size=16, layers=1, heads=2, intermediate_size=32,
        context_length=64, head="none", pooler=False,
    )  # fmt: skip
    save_encoder(Encoder(config), tmp_path / "bert", trained.folder("wordpiece"))
    return tmp_path / "bert"


@pytest.fixture
def source_path(tmp_path):
    make_source_model("t5", tmp_path / "t5")
    return tmp_path / "t5"


@pytest.mark.parametrize("kind", ["encoder", "source"])
def test_what_is_no_decoder_is_planned_in_what_it_is_loaded_in(catalog, kind, request):
    catalog.import_(request.getfixturevalue(f"{kind}_path"), as_name="other")
    auto, wide = (shelf_of(catalog, precision=each).plan("other") for each in ("auto", "float32"))
    assert wide.precision == "float32"
    for packed in ("int8", "int4"):
        shelf = shelf_of(catalog, precision=packed)
        assert shelf.plan("other") == auto
        assert shelf.plan("pico").precision == packed
        shelf.load("other").close(0.0)


async def test_the_queue_that_is_set_is_an_encoders_too(catalog, encoder_path):
    catalog.import_(encoder_path, as_name="other")
    model = shelf_of(catalog, queue=1).load("other")
    try:
        full = pytest.raises(BusyError, match="1 requests wait for other already")
        with model.thread.request(), model.thread.request(), full:
            await model.embedder.embed(["cat"])
    finally:
        model.close(0.0)


def test_the_queue_that_is_set_is_a_decoders_too(catalog, monkeypatch):
    monkeypatch.setenv("KATARIBE_QUEUE", "1")
    model = shelf_of(catalog).load("pico")
    try:
        engine = model.engine
        free = engine.limits.running  # places that wait for nobody
        full = pytest.raises(BusyError, match="1 requests wait already and the queue holds 1")
        with contextlib.ExitStack() as held:
            for _ in range(free + 1):
                held.enter_context(engine.reserve())
            with full:
                engine.reserve()
    finally:
        model.close(0.0)


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


def runs_of(catalog, name="pico"):
    return read_runs(catalog.workspace.models / name)


def test_a_run_that_ends_is_measured_and_fit_compares(cli, catalog):
    assert cli("ask", "--local", "-m", "pico", "-t", "0", "-n", "40", "tell " * 130).code == 0
    (run,) = runs_of(catalog)
    assert (run.precision, run.ctx) == ("auto", 512)
    assert 300 < run.cache_tokens <= 512
    assert run.peak_bytes > 2**27
    seen = catalog.fit("pico").observed
    assert seen.memory_off == pytest.approx(seen.predicted_bytes / run.peak_bytes - 1)
    said = cli("models", "fit", "pico").out
    assert "last run  predicted" in said
    assert "measured" in said
    assert f"{seen.memory_off:+.0%}" in said


async def ask(models, name, prompt, tokens):
    sampling = Sampling(temperature=0, max_tokens=tokens, ignore_eos=True)
    async with models.lease(name) as lm:
        return await reply(lm, Request((text_message("user", prompt),), sampling))


async def test_the_server_keeps_what_a_run_took_when_a_model_goes(catalog):
    shelf = shelf_of(catalog)
    models = LocalModels(shelf, Residents(shelf, budget=shelf.budget))
    try:
        first = await ask(models, "pico", "a b c d " * 50, 60)
        models.unload("pico")
    finally:
        models.close()
    (run,) = runs_of(catalog)
    written = first.usage.prompt_tokens + first.usage.completion_tokens
    assert written - 16 <= run.cache_tokens <= written + 16
    assert run.prefill > 0
    assert run.decode > 0


async def test_a_process_with_several_models_says_nothing_of_one(catalog):
    catalog.import_(catalog.path_of("pico"), as_name="other")
    shelf = shelf_of(catalog)
    models = LocalModels(shelf, Residents(shelf, budget=shelf.budget))
    try:
        await ask(models, "pico", "hi", 5)
        await ask(models, "other", "hi", 5)
    finally:
        models.close()
    assert runs_of(catalog) == runs_of(catalog, "other") == ()


def test_a_model_that_never_answered_has_no_run(catalog):
    with wiring.open_local(load_settings(model="pico"), catalog.workspace):
        pass
    assert runs_of(catalog) == ()


async def test_a_record_that_cannot_be_kept_stops_nothing(catalog, caplog):
    shelf = shelf_of(catalog)
    model = shelf.load("pico")
    sampling = Sampling(temperature=0, max_tokens=3)
    await reply(model.lm, Request((text_message("user", "hi"),), sampling))
    catalog.remove("pico")
    model.close(0.0)
    model.close(0.0)
    assert "is not kept" in caplog.text


def test_sampling_follows_the_bytes_not_the_name(catalog, monkeypatch):
    """A known file keeps what its makers recommend, whatever it is called here."""
    (file,) = catalog.installed()[0].card.files
    card = Card("known", "Known", "pypi:known==1", sha256=file.sha256, sampling={"top_p": 0.5})
    monkeypatch.setattr("kataribe.run.catalog.cards.built_in_cards", lambda: {"known": card})
    load, seen = load_module.load_local, []

    def watched(name, path, options, progress):
        seen.append(options.sampling)
        return load(name, path, options, progress)

    monkeypatch.setattr(load_module, "load_local", watched)
    shelf_of(catalog).load("pico").close(0.0)
    assert seen == [Sampling(top_p=0.5)]
