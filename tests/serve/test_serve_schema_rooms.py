"""No request made from the document breaks the studio's own calls, with a database behind them.

They come to a server on a socket from a person who owns one of each thing, and every address made
by the document's rules is of these things, so that the calls get past "there is no such thing".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import schemathesis
from hypothesis import settings
from schemathesis import GenerationMode
from schemathesis.core.parameters import ParameterLocation

from kataribe.base.settings import Settings
from kataribe.base.workspace import Workspace
from kataribe.cli.assistants_here import AssistantsHere
from kataribe.cli.catalog_shown import ShownCatalog
from kataribe.cli.models_here import LocalModels
from kataribe.cli.runs_here import RunsHere
from kataribe.cli.shelf import CatalogShelf
from kataribe.cli.tokenizers_here import TokenizersHere
from kataribe.make.training.runs import RunInfo, create_run
from kataribe.run.catalog.catalog import Catalog
from kataribe.run.inference.residents import Residents
from kataribe.run.providers import ScriptedLM
from kataribe.serve import catalog, tokenizers, training
from kataribe.serve.app import openapi_document
from kataribe.serve.rooms import Rooms
from kataribe.serve.settings import ServerSettings
from kataribe.store import api_keys, attachments, conversations, facts, messages, people, queue
from kataribe.store.database import Store
from kataribe.store.ids import new_id, now
from kataribe.store.jobs import NewJob
from kataribe.store.messages import Message
from kataribe.store.passwords import hashed
from kataribe.store.queue import Item
from kataribe.store.workers import Workers
from kataribe.use.assistants.book import Book
from kataribe.use.assistants.compose import Around
from kataribe.use.chats.chats import Chats
from tests.serve.conftest import Live, live_server, source_of
from tests.serve.test_serve_schema import QUICK, hold

schema = schemathesis.openapi.from_dict(openapi_document()).include(path_regex="^/studio/api/")


class Idle:
    """Work that is done at once, and fetches nothing."""

    def run(self, job, reporter):
        return {}

    def discard(self, job):
        pass


@dataclass
class Home:
    """A server, a key of its only person, and how to give that person one of each thing."""

    live: Live
    rooms: Rooms
    shelf: CatalogShelf
    pico: Path
    person: people.Person
    key: str

    def things(self) -> dict[str, str]:
        """New things, by the names that they have in addresses."""
        owner, (talk, asked, said, waits) = self.person.id, (new_id() for _ in range(4))
        if not self.shelf.catalog.is_installed("pico"):
            self.shelf.catalog.import_(self.pico, as_name="pico", link=True)
        with self.rooms.store.writing() as tx:
            conversations.create(tx, owner, talk)
            messages.add(tx, owner, Message(asked, talk, None, "user", "sent", text="Recite"))
            reply = Message(said, talk, asked, "assistant", "done", text="語り部 tells",
                model="scripted", finish="stop")  # fmt: skip
            messages.add(tx, owner, reply)
            queue.put(tx, talk, Item(waits, "And then?"))
            file = attachments.keep(tx, owner, "a.txt", b"tales")
            key, _ = api_keys.make(tx, owner, "another", now())
            facts.clear(tx, owner)  # as many as there are examples would be too many
            fact = facts.add(tx, owner, "Likes tales.")
        job = self.rooms.jobs.add(owner, NewJob(catalog.KIND, "far", {"folder": "far"}))
        run = create_run(
            self.shelf.catalog.workspace.runs, RunInfo("tale", "pretrain", state="failed"), {}
        )
        return {
            "talk": talk, "message": said, "item": waits, "attachment": file.id, "key": key.id,
            "job": job.id, "run": run.id, "name": "pico", "fact": fact.id,
        }  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, pico_path: Path) -> Iterator[Home]:
    workspace = Workspace(tmp_path_factory.mktemp("home"))
    store, setting = Store(workspace.database), Settings()
    shelf = CatalogShelf(Catalog(workspace), setting)
    models = LocalModels(shelf, Residents(shelf, budget=shelf.budget))
    source = source_of(ScriptedLM("Tokyo."))
    book = Book(workspace.assistants)
    around = Around(source.lease, "scripted", workspace.assistants)
    kinds = (catalog.KIND, training.KIND, tokenizers.KIND)
    rooms = Rooms(
        store,
        Chats(store, source, "scripted", titles=False),
        jobs=Workers(store, {kind: Idle() for kind in kinds}),
        catalog=ShownCatalog(shelf.catalog, models, setting),
        training=RunsHere(workspace),
        tokenizers=TokenizersHere(workspace),
        assistants=AssistantsHere(book, lambda: around, source.names),
    )
    with store.writing() as tx:
        person, _ = people.add(tx, "taro", hashed("correct horse battery staple"), now())
        _, key = api_keys.make(tx, person.id, "tests", now())
    with live_server(source, ServerSettings(default_model="scripted"), rooms=rooms) as live:
        yield Home(live, rooms, shelf, pico_path, person, key)
    models.close()
    store.close()


def hold_at(case: schemathesis.Case, home: Home, things: dict[str, str]) -> None:
    place = case.meta.components.get(ParameterLocation.PATH)
    if place is not None and place.mode is GenerationMode.POSITIVE:
        case.path_parameters |= {
            name: things[name] for name in case.path_parameters if name in things
        }
    hold(case, base_url=home.live.url, headers={"Authorization": f"Bearer {home.key}"})


@pytest.fixture
def things(home: Home) -> dict[str, str]:
    return home.things()


@schema.parametrize()
@settings(QUICK, max_examples=3)
def test_no_request_breaks_the_studios_calls(case, home, things):
    hold_at(case, home, things)
