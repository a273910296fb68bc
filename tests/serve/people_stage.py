"""A server with a database and two people in it: Taro, who owns things, and Hanako."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import sqlalchemy as sa

from kataribe.base.workspace import Workspace
from kataribe.cli.prompting_here import PromptingHere
from kataribe.cli.runs_here import RunsHere
from kataribe.run.providers import ScriptedLM
from kataribe.serve.app import create_app
from kataribe.serve.rooms import Rooms
from kataribe.serve.settings import ServerSettings
from kataribe.store import api_keys, people
from kataribe.store.database import Store
from kataribe.store.ids import now
from kataribe.store.passwords import hashed
from kataribe.store.workers import Workers
from kataribe.use.chats.chats import Chats
from tests.serve.conftest import Source, source_of

PASSWORD = "correct horse battery staple"
SECRET = "wasabimochi"
"""Stands in everything that Taro owns."""

ADDRESS = "http://localhost:8720"


@dataclass
class Stage:
    """A server without a socket, over a database that may have people."""

    store: Store
    source: Source
    settings: ServerSettings
    workspace: Workspace

    def __post_init__(self) -> None:
        chats = Chats(self.store, self.source, "scripted", titles=False)
        self.rooms = Rooms(
            store=self.store,
            chats=chats,
            jobs=Workers(self.store, {}),
            training=RunsHere(self.workspace),
            prompting=PromptingHere(self.store),
        )
        self.app = create_app(self.source, self.settings, rooms=self.rooms)

    @asynccontextmanager
    async def client(
        self, key: str | None = None, agent: str = "tests"
    ) -> AsyncIterator[httpx.AsyncClient]:
        """A client of its own, with its own cookies; `key` is sent with every request."""
        headers = {"user-agent": agent}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url=ADDRESS, headers=headers
        ) as http:
            yield http

    def add(self, name: str, password: str | None = None) -> people.Person:
        """An account; without a password nobody can sign in to it, and it costs no scrypt."""
        kept = "none" if password is None else hashed(password)
        with self.store.writing() as tx:
            return people.add(tx, name, kept, now())[0]

    def key_of(self, person: people.Person) -> str:
        """A new API key, already noted as used: using it once more then writes nothing."""
        with self.store.writing() as tx:
            key, words = api_keys.make(tx, person.id, "tests", now())
            api_keys.note_use(tx, key.id, now())
        return words

    def rows(self) -> dict[str, list[tuple]]:
        """All that the database holds."""
        with self.store.reading() as tx:
            names = sa.inspect(tx).get_table_names()
            return {
                name: sorted(map(tuple, tx.execute(sa.text(f'SELECT * FROM "{name}"'))), key=str)
                for name in names
            }


@contextmanager
def stage_in(folder: Path, *, key: str | None = None) -> Iterator[Stage]:
    """A server over a new database in `folder`."""
    store = Store(folder / "kataribe.db")
    try:
        source = source_of(ScriptedLM("Tokyo."))
        yield Stage(store, source, ServerSettings(key=key), Workspace(folder))
    finally:
        store.close()


async def sign_in(http: httpx.AsyncClient, name: str, password: str = PASSWORD) -> httpx.Response:
    return await http.post("/studio/api/sign-in", json={"name": name, "password": password})
