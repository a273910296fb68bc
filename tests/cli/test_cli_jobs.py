"""Downloads as jobs over the real catalogue, the models page's source, and `kataribe jobs`."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import threading
import time
from pathlib import Path

import pytest

from kataribe.base.errors import BusyError, InputError, NotFoundError
from kataribe.base.settings import load_settings
from kataribe.base.workspace import Workspace
from kataribe.cli.catalog_shown import ShownCatalog
from kataribe.cli.models_here import LocalModels
from kataribe.cli.pull_jobs import KIND, Downloads
from kataribe.cli.running import leave_note
from kataribe.cli.shelf import CatalogShelf
from kataribe.run.catalog.cards import built_in_cards
from kataribe.run.catalog.catalog import Catalog
from kataribe.run.inference.residents import Residents
from kataribe.run.providers import ScriptedLM
from kataribe.serve.rooms import Rooms
from kataribe.serve.settings import ServerSettings
from kataribe.store import jobs as rows
from kataribe.store.database import Store
from kataribe.store.jobs import NewJob
from kataribe.store.tables import LOCAL
from kataribe.store.workers import Workers
from kataribe.use.chats.chats import Chats
from tests.run.catalog.catalog_tiny import FakeHub, serve
from tests.serve.conftest import live_server, source_of


class Gated(Catalog):
    """Real downloads that wait wherever they report, until the gate is open."""

    gate = threading.Event()

    def pull(self, name, progress, *arguments, **named):
        def tell(told):
            while not self.gate.wait(0.01):
                progress(told)
            progress(told)

        return super().pull(name, tell, *arguments, **named)


@pytest.fixture
def workspace(kataribe_home):
    return Workspace(kataribe_home)


@pytest.fixture
def hub(monkeypatch, pico_path, tmp_path):
    """A hub that has `me/pico`, a model that can be opened."""
    for name in ("HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    fake = FakeHub(files={"me/pico": {p.name: p.read_bytes() for p in pico_path.iterdir()}})
    server = serve(fake)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("kataribe.run.catalog.hub.PAUSE_SECONDS", 0.01)
    yield fake
    server.shutdown()
    server.server_close()


@pytest.fixture
def gate(monkeypatch):
    monkeypatch.setattr(Gated, "gate", threading.Event())
    return Gated.gate


@pytest.fixture
def store(workspace):
    store = Store(workspace.database)
    yield store
    store.close()


@pytest.fixture
def pool(workspace, store, gate):
    with Workers(store, {KIND: Downloads(Gated(workspace), store)}) as pool:
        yield pool


def pulling(model="hf:me/pico", name="pico", **more):
    params = {"model": model, "accept_terms": False, "as_name": None, "name": name, **more}
    return NewJob(KIND, name, {**params, "folder": name.casefold()}, same=("folder",))


def until(pool, job, *states):
    end = time.monotonic() + 30
    while (found := pool.get(LOCAL, job.id)).state not in states:
        assert time.monotonic() < end, found
        time.sleep(0.01)
    return found


def until_progress(pool, job):
    end = time.monotonic() + 30
    while not pool.get(LOCAL, job.id).progress.stage:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_download_is_paused_goes_on_and_is_there(pool, workspace, hub, gate):
    job = pool.add(LOCAL, pulling())
    until_progress(pool, job)
    pool.ask(LOCAL, job.id, "pause")
    until(pool, job, "paused")
    assert (workspace.downloads / "pico").is_dir(), "what arrived is kept"
    assert not Catalog(workspace).is_installed("pico")
    gate.set()
    pool.ask(LOCAL, job.id, "run")
    done = until(pool, job, "done", "failed")
    assert (done.state, done.result, done.failure) == ("done", {"name": "pico"}, None)
    assert done.progress.done == done.progress.total > 0
    assert done.progress.unit == "bytes"
    assert Catalog(workspace).is_installed("pico")
    lines = [line.line for line in pool.lines(LOCAL, job.id)]
    assert lines[-1].startswith("pico is here: ")
    assert "Downloading: model.safetensors" in lines


def test_a_cancelled_download_leaves_no_byte(pool, workspace, hub, gate):
    job = pool.add(LOCAL, pulling())
    until_progress(pool, job)
    pool.ask(LOCAL, job.id, "cancel")
    until(pool, job, "cancelled")
    assert not (workspace.downloads / "pico").exists()
    assert not Catalog(workspace).is_installed("pico")


def test_cancelling_one_of_two_downloads_of_a_model_leaves_the_other_its_bytes(
    pool, workspace, hub, gate
):
    first = pool.add(LOCAL, pulling())
    until_progress(pool, first)
    pool.ask(LOCAL, first.id, "pause")
    until(pool, first, "paused")
    second = pool.add(LOCAL, NewJob(KIND, "pico", dict(pulling().params)))
    pool.ask(LOCAL, second.id, "cancel")
    until(pool, second, "cancelled")
    assert (workspace.downloads / "pico").is_dir()


def no_space(*_):
    return 10


@pytest.mark.parametrize(
    ("trouble", "code", "words"),
    [
        ("terms", "terms_not_accepted", "Gemma"),
        ("checksum", "checksum_mismatch", "model.safetensors"),
        ("network", "download_failed", "127.0.0.1"),
        ("disk", "storage_error", "GB free"),
        ("gone", "not_found", "no such model"),
    ],
)
def test_what_goes_wrong_is_the_jobs_failure(
    pool, workspace, hub, gate, monkeypatch, trouble, code, words
):
    gate.set()
    model = "hf:me/pico"
    match trouble:
        case "terms":
            hub.licence = "gemma"
        case "checksum":
            hub.spoil = lambda path, content: (
                b"\0" * len(content) if path.endswith(".safetensors") else content
            )
        case "network":
            monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        case "disk":
            monkeypatch.setattr("kataribe.run.catalog.pulling.disk_free", no_space)
        case "gone":
            model = "hf:me/nothing"
    job = pool.add(LOCAL, pulling(model))
    found = until(pool, job, "done", "failed")
    assert found.failure is not None
    assert found.failure.code == code
    assert words in found.failure.message
    assert pool.lines(LOCAL, job.id)[-1].level == "error"
    assert not Catalog(workspace).is_installed("pico")


def test_a_failed_download_goes_on_where_it_stopped(pool, workspace, hub, gate, monkeypatch):
    gate.set()
    address = os.environ["HF_ENDPOINT"]
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    job = pool.add(LOCAL, pulling())
    until(pool, job, "failed")
    monkeypatch.setenv("HF_ENDPOINT", address)
    pool.ask(LOCAL, job.id, "run")
    assert until(pool, job, "done", "failed").state == "done"


@pytest.fixture
def shown(workspace, pico_path):
    """The models page's source over `pico` (a copy) and `linked` (links)."""
    catalog = Catalog(workspace)
    catalog.import_(pico_path, as_name="pico")
    catalog.import_(pico_path, as_name="linked", link=True)
    settings = load_settings()
    shelf = CatalogShelf(catalog, settings)
    models = LocalModels(shelf, Residents(shelf, budget=shelf.budget, queue=4))
    source = ShownCatalog(catalog, models, settings)
    yield source, models
    models.close()


def test_the_whole_catalogue_is_shown_what_is_here_first(shown):
    source, _ = shown
    models = source.models()
    assert [model.name for model in models[:2]] == ["linked", "pico"]
    assert {model.name for model in models[2:]} == set(built_in_cards())
    by_name = {model.name: model for model in models}
    assert by_name["qwen2.5-coder-1.5b"].task == "code"
    assert by_name["gpt2"].task == "base"
    assert by_name["e5-small"].task == "embed"
    # The words that the studio has for them, in both languages.
    assert {model.task for model in models} <= {"chat", "code", "base", "embed"}
    assert by_name["tinyswallow-1.5b"].languages == ["ja"]
    assert by_name["gemma-3-270m"].terms.url.startswith("https://")
    assert by_name["smollm2-135m"].download == 98_362_432
    pico = by_name["pico"]
    assert (pico.installed, pico.download, pico.verdict) == (True, 0, "fits")
    assert (pico.context_length, pico.chats, pico.task) == (512, True, "chat")
    assert {model.verdict for model in models} <= {
        "fits", "fits_with_less_context", "does_not_fit",
    }  # fmt: skip


def test_what_a_card_says_it_says_in_japanese_too(shown, workspace):
    source, _ = shown
    japanese = re.compile("[ぁ-ん]")
    for model in source.models():
        assert bool(japanese.search(model.summary_ja)) == (model.summary != ""), model.name
        assert not japanese.search(model.summary)
    assert sum(model.summary_ja != "" for model in source.models()) == 9
    # What is here speaks by its own card, of which nobody wrote anything in Japanese.
    folder = workspace.models / "gpt2"
    shutil.copytree(workspace.models / "pico", folder)
    (folder / "card.json").write_text("{", "utf-8")
    damaged = source.model("gpt2")
    assert ("damaged" in damaged.summary, damaged.summary_ja) == (True, "")


def test_what_does_not_fit_says_so_in_the_list_and_on_the_card(shown, monkeypatch):
    source, _ = shown
    monkeypatch.setattr("kataribe.run.catalog.machine.disk_free", no_space)
    far = source.model("SmolLM2-135M")
    assert (far.name, far.verdict) == ("smollm2-135m", "does_not_fit")
    fit = source.fit("smollm2-135m")
    assert fit.words[0].startswith("smollm2-135m does not fit. The download takes")
    assert (fit.disk, fit.disk_available) == (98_362_432, 10)
    assert source.model("pico").verdict == "fits", "it is here: nothing is to be fetched"


def test_a_model_whose_files_are_gone_tells_its_problem(shown, workspace):
    source, _ = shown
    (workspace.models / "linked" / "config.json").unlink()
    (workspace.models / "linked" / "config.json").symlink_to("/nowhere")
    broken = source.model("linked")
    assert (broken.installed, broken.verdict) == (True, "unknown")
    assert "gone" in broken.problem
    assert source.remove("linked") >= 0


def test_removing_frees_what_is_not_linked(shown, workspace):
    source, _ = shown
    folder = workspace.models / "pico"
    own = sum(path.stat().st_size for path in folder.iterdir())
    assert source.frees("pico") == own > 100_000
    assert source.frees("linked") < 20_000, "its card, and links"
    assert source.frees("gpt2") == 0
    assert source.remove("PICO") == own
    assert not folder.exists()
    with pytest.raises(NotFoundError, match="not here"):
        source.remove("gpt2")


async def test_a_model_that_answers_stays_and_an_idle_one_is_unloaded_first(shown):
    source, models = shown
    await asyncio.to_thread(models.load, "pico", hold=True)
    async with models.lease("pico"):
        assert source.model("pico").loaded
        with pytest.raises(BusyError, match="answers 1"):
            source.remove("pico")
    assert source.remove("pico") > 0
    assert models.in_memory() == ()


def test_what_a_download_would_bring(shown):
    source, _ = shown
    for model, as_name, name in [
        ("GPT2", None, "gpt2"),
        ("hf:me/Big:q4.gguf", None, "q4"),
        ("hf:me/Big", "mine", "mine"),
        ("pico", None, "pico"),
    ]:
        assert source.pulling(model, accept_terms=False, as_name=as_name).name == name
    with pytest.raises(NotFoundError, match="Did you mean gpt2"):
        source.pulling("gpt3", accept_terms=False, as_name=None)
    for model, as_name in [("hf:me", None), ("gpt2", "../up"), ("ftp:x", None)]:
        with pytest.raises(InputError):
            source.pulling(model, accept_terms=False, as_name=as_name)


def test_the_command_lists_shows_and_steers_without_a_server(cli, store):
    with store.writing() as tx:
        job = rows.add_job(tx, LOCAL, pulling())
        rows.claim(tx, job.id)
        rows.keep_progress(tx, job.id, rows.Progress("downloading", 5_000_000, 10_000_000, "bytes"))
        rows.recover_jobs(tx)
    listed = cli("jobs", "list")
    assert listed.code == 0
    assert listed.out.split("\t")[:4] == [job.id, "waiting", "download", "pico"]
    assert "downloading: 5 MB of 10 MB" in listed.out
    assert json.loads(cli("jobs", "list", "--json").out)[0]["id"] == job.id
    paused = cli("jobs", "pause", job.id[:6])
    assert (paused.code, paused.out) == (0, "pico is paused.\n")
    resumed = cli("jobs", "resume", job.id)
    assert resumed.out == "pico is waiting.\n"
    assert "kataribe up" in resumed.err
    assert cli("jobs", "cancel", job.id).out == "pico is cancelling.\n"
    refused = cli("jobs", "pause", job.id)
    assert refused.code == 2
    assert "cannot be paused" in refused.err
    with store.writing() as tx:
        rows.cancelled(tx, job.id)
    assert cli("jobs", "list").out == ""
    assert "cancelled" in cli("jobs", "list", "--all").out
    shown = json.loads(cli("jobs", "show", job.id, "--json").out)
    assert (shown["state"], shown["log"]) == ("cancelled", [])
    assert "cancelled" in cli("jobs", "show", job.id).out


@pytest.mark.parametrize("key", [None, "a-long-key"])
def test_the_command_goes_through_the_running_server(
    cli, workspace, store, hub, gate, monkeypatch, key
):
    source = source_of(ScriptedLM(["hi"]))
    pool = Workers(store, {KIND: Downloads(Gated(workspace), store)})
    rooms = Rooms(store, Chats(store, source, "scripted"), jobs=pool)
    with (
        live_server(source, ServerSettings(key=key), rooms=rooms) as live,
        leave_note(workspace, live.url),
    ):
        if key is not None:
            assert cli("jobs", "list").code == 5
            monkeypatch.setenv("KATARIBE_KEY", key)
        job = pool.add(LOCAL, pulling())
        until_progress(pool, job)
        assert cli("jobs", "pause", job.id[:5]).out.startswith("pico is paus")
        until(pool, job, "paused")
        assert "\tpaused\t" in cli("jobs", "list").out
        gate.set()
        assert cli("jobs", "resume", job.id).err == ""
        until(pool, job, "done")
        assert "pico is here" in cli("jobs", "show", job.id).out


def test_the_command_asks_wrongly(cli, store):
    with store.writing() as tx:
        for name in ("a", "b"):
            rows.add_job(tx, LOCAL, pulling(name=name))
    assert cli("jobs", "pause", "nothing").code == 3
    assert cli("jobs", "list", "--user", "nobody").code == 3
    assert cli("jobs", "show", "").code == 3


def test_the_command_without_a_database_says_what_to_do(cli, workspace):
    done = cli("jobs", "list")
    assert done.code == 3
    assert "kataribe up" in done.err
    assert not Path(workspace.database).exists(), "asking makes nothing"
