"""Recipes that were put into the folder by hand and ask each other for ever, asked all the same."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kataribe.base.errors import InputError
from kataribe.base.lm import LM
from kataribe.base.settings import DEFAULT_MODEL, load_settings
from kataribe.base.workspace import Workspace
from kataribe.cli.all_models import AllModels
from kataribe.run.providers import ScriptedLM
from kataribe.run.providers.scripted_tokens import ScriptedTokenizer
from kataribe.serve.app import create_app
from kataribe.serve.models import ModelInfo
from kataribe.serve.settings import ServerSettings
from kataribe.use.assistants.book import Book

CIRCLE = {"one": "model: two", "two": "model: three", "three": "model: one"}
ROUTED = {"one": "router: {default: two}", "two": "system: x\nmodel: one"}


class Local:
    """Scripted models in the place of those of the machine."""

    def __init__(self, *names: str) -> None:
        self.models = {name: ScriptedLM("Hello.", name=name) for name in names}

    def names(self) -> list[ModelInfo]:
        return [ModelInfo(name, 1, "test", loaded=True, context_length=99) for name in self.models]

    @contextlib.asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[LM]:
        lm = self.models[name]
        lm.score = lm.inspector = None  # type: ignore[attr-defined]
        yield lm

    @contextlib.asynccontextmanager
    async def tokenizer(self, name: str) -> AsyncIterator[ScriptedTokenizer]:
        assert name in self.models
        yield ScriptedTokenizer()

    def metrics(self) -> list[Any]:
        return []


def models(home: Path, recipes: dict[str, str], *names: str, **settings: Any) -> AllModels:
    workspace = Workspace(home)
    workspace.assistants.mkdir(parents=True)
    for name, text in recipes.items():
        (workspace.assistants / f"{name}.yaml").write_text(text, encoding="utf-8")
    book = Book(workspace.assistants)
    return AllModels(Local(*names), book, load_settings(**settings), workspace)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def served(source: AllModels) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(source, ServerSettings())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8720") as http:
        yield http


CHAT = {"messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    ("recipes", "way"),
    [(CIRCLE, "one -> two -> three -> one"), (ROUTED, "one -> two -> one")],
)
async def test_a_circle_on_disk_is_named_to_who_asks_it(kataribe_home, recipes, way) -> None:
    async with served(models(kataribe_home, recipes, DEFAULT_MODEL)) as http:
        told = await http.post("/v1/chat/completions", json={**CHAT, "model": "one"})
        assert told.status_code == 400
        assert way in told.json()["error"]["message"]
        counted = await http.post("/tokenize", json={"model": "one", "prompt": "Hi"})
        assert counted.status_code == 400
        assert "would ask itself" in counted.json()["error"]["message"]
        fine = await http.post("/v1/chat/completions", json={**CHAT, "model": DEFAULT_MODEL})
        assert fine.status_code == 200


async def test_a_way_into_a_circle_is_one_too(kataribe_home) -> None:
    source = models(kataribe_home, {**CIRCLE, "zero": "model: one"}, DEFAULT_MODEL)
    with pytest.raises(InputError, match="one -> two -> three -> one"):
        async with source.lease("zero"):
            pass


async def test_an_assistant_that_takes_the_name_of_the_programs_own_model(kataribe_home) -> None:
    source = models(kataribe_home, {DEFAULT_MODEL: "system: Be brief."})
    with pytest.raises(InputError, match=f"{DEFAULT_MODEL} -> {DEFAULT_MODEL}"):
        async with source.lease(DEFAULT_MODEL):
            pass


async def test_a_model_of_this_machine_makes_no_circle(kataribe_home) -> None:
    source = models(kataribe_home, {"one": "model: two", "two": "model: one"}, "two")
    async with source.lease("one") as lm:
        assert lm.name == "one"


async def test_an_assistant_that_is_the_default_has_a_tokenizer(kataribe_home) -> None:
    recipes = {"mine": "system: Be brief."}
    source = models(kataribe_home, recipes, DEFAULT_MODEL, model="mine")
    async with served(source) as http:
        told = await http.post("/tokenize", json={"model": "mine", "prompt": "Hi"})
        assert told.status_code == 200, told.text
        assert told.json()["count"] == 2
        asked = {**CHAT, "model": "mine", "max_tokens": 5}
        counted = await http.post("/v1/messages/count_tokens", json=asked)
        assert counted.status_code != 500
