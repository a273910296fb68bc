"""`kataribe assistants`, and assistants and hosted models beside the models of this machine."""

from __future__ import annotations

import contextlib
import json
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kataribe.base.encoders import Embedding
from kataribe.base.errors import AccessError, InputError, NotFoundError, UnsupportedError
from kataribe.base.lm import LM, Request, reply
from kataribe.base.messages import text_message, text_of
from kataribe.base.settings import DEFAULT_MODEL, load_settings
from kataribe.base.workspace import Workspace
from kataribe.cli.all_models import AllModels
from kataribe.cli.encoding import EMBEDDER
from kataribe.prove.ops.ledger import Branch, trees
from kataribe.run.providers import Call, Reply, ScriptedLM
from kataribe.serve.models import ModelInfo
from kataribe.use.assistants.book import Book
from kataribe.use.assistants.means import Lent


class Local:
    """Scripted models in the place of those of the machine."""

    def __init__(self, **models: ScriptedLM) -> None:
        self.models = models

    def names(self) -> list[ModelInfo]:
        return [ModelInfo(name, 1, "test", loaded=True, context_length=99) for name in self.models]

    @contextlib.asynccontextmanager
    async def lease(self, name: str) -> AsyncIterator[LM]:
        if name not in self.models:
            raise NotFoundError(f"There is no model {name!r}.")
        yield self.models[name]

    def load(self, name: str, *, hold: bool = True) -> str:
        return f"{name} {hold}"

    def tokenizer(self, name: str) -> str:
        return f"tokenizer of {name}"


@pytest.fixture
def everything(kataribe_home: Path):
    def build(local: Local, **settings: Any) -> AllModels:
        workspace = Workspace(kataribe_home)
        book = Book(workspace.assistants)
        return AllModels(local, book, load_settings(**settings), workspace)  # type: ignore[arg-type]

    return build


def question(text: str) -> Request:
    return Request((text_message("user", text),))


def test_the_list_has_the_ready_ones_and_ones_own(cli, kataribe_home):
    made = cli("assistants", "new", "tutor", "--system", "Teach.\nNever tell.")
    assert made.code == 0
    assert made.out.strip() == str(kataribe_home / "assistants" / "tutor.yaml")
    rows = [line.split("\t") for line in cli("assistants", "list").out.splitlines()]
    assert [row[:3] for row in rows if row[0] in ("translator", "tutor")] == [
        ["translator", "ready", "default"],
        ["tutor", "yours", "default"],
    ]
    told = {each["name"]: each for each in json.loads(cli("assistants", "list", "--json").out)}
    assert told["tutor"]["own"]
    assert told["research-agent"]["tools"] == ["web-page", "calculator", "clock", "units"]
    assert "Teach.\n  Never tell." in cli("assistants", "show", "tutor").out
    again = cli("assistants", "new", "tutor")
    assert again.code == 2
    assert "assistants edit tutor" in again.err


def test_what_does_not_hold_is_not_made(cli, kataribe_home, tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("sytem: x\n", encoding="utf-8")
    done = cli("assistants", "new", "mine", "--from", str(file))
    assert done.code == 2
    assert "mine.yaml has sytem, which no recipe has. Did you mean system?" in done.err
    assert not (kataribe_home / "assistants").exists()
    done = cli("assistants", "show", "transltor")
    assert done.code == 3
    assert "Did you mean translator" in done.err
    copied = cli("assistants", "new", "mine", "--like", "translator")
    assert copied.code == 0
    assert (kataribe_home / "assistants" / "mine.yaml").read_text(encoding="utf-8") == (
        Book(tmp_path).find("translator").text
    )
    assert cli("assistants", "rm", "mine", "--yes").code == 0
    assert cli("assistants", "rm", "translator", "--yes").code == 2


def editor(folder: Path, *lines: str) -> str:
    """A program in the place of an editor: a line of shell for each time that it is opened."""
    path = folder / "editor"
    turns = "\n".join(f"{n}) {line} ;;" for n, line in enumerate(lines))
    path.write_text(
        f"#!/bin/sh\nn=$(cat {folder}/n 2>/dev/null || echo 0)\necho $((n + 1)) > {folder}/n\n"
        f"case $n in\n{turns}\nesac\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_edit_keeps_what_was_typed_until_it_holds(cli, kataribe_home, tmp_path, monkeypatch):
    monkeypatch.delenv("VISUAL", raising=False)
    wrong, right = "printf 'sytem: Mine.' > $1", "sed -i s/sytem/system/ $1"
    monkeypatch.setenv("EDITOR", editor(tmp_path, wrong, right))
    done = cli("assistants", "edit", "translator", given=b"y\n")
    assert done.code == 0
    assert "Did you mean system?" in done.err
    kept = kataribe_home / "assistants" / "translator.yaml"
    assert kept.read_text(encoding="utf-8") == "system: Mine."
    monkeypatch.setenv("EDITOR", "true")
    assert "Nothing was changed" in cli("assistants", "edit", "translator").err
    monkeypatch.setenv("EDITOR", "no-such-editor-here")
    done = cli("assistants", "edit", "translator")
    assert done.code == 2
    assert "Name yours in EDITOR" in done.err


def test_a_router_learns_from_a_file(cli, kataribe_home, tmp_path):
    cli("assistants", "new", "router", "--from", str(written(tmp_path / "r.yaml", ROUTER)))
    animals = ["cats", "dogs", "cows", "bats"]
    lines = [{"prompt": f"What is {n} + {n}?", "model": "sums"} for n in range(10)]
    lines += [{"prompt": f"Where do {each} live?", "model": "zoo"} for each in animals]
    file = written(tmp_path / "e.jsonl", "\n".join(map(json.dumps, lines)))
    done = cli("assistants", "learn", "router", str(file))
    assert done.code == 0
    assert "14 examples, sums, zoo; right on 100%" in done.err
    assert "put `learned: router.learned.json`" in done.err
    assert "put `among: [zoo]`" in done.err
    assert (kataribe_home / "assistants" / "router.learned.json").exists()
    done = cli("assistants", "learn", "translator", str(file))
    assert done.code == 2
    assert "has no router" in done.err


ROUTER = "router: {default: sums}\n"


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_tools_are_listed_with_who_asks(cli):
    rows = dict(line.split("\t")[:2] for line in cli("assistants", "tools").out.splitlines())
    assert rows["calculator"] == "always"
    assert rows["python"] == "ask"


async def test_an_assistant_answers_under_its_name(everything):
    lm = ScriptedLM("Good morning.", name=DEFAULT_MODEL)
    models = everything(Local(**{DEFAULT_MODEL: lm}))
    assert {DEFAULT_MODEL, "translator"} <= {info.name for info in models.names()}
    told = await reply(Lent("translator", models.lease), question("おはようございます。"))
    assert text_of(told.message) == "Good morning."
    assert "You are a translator" in text_of(lm.requests[0].prompt[0])
    assert models.tokenizer("translator") == f"tokenizer of {DEFAULT_MODEL}"
    with pytest.raises(UnsupportedError, match="neither loaded nor let go"):
        models.load("translator")
    assert models.load(DEFAULT_MODEL) == f"{DEFAULT_MODEL} True"


async def test_an_assistant_as_the_default_model_does_not_ask_itself(everything):
    lm = ScriptedLM("Hello.", name=DEFAULT_MODEL)
    models = everything(Local(**{DEFAULT_MODEL: lm}), model="translator")
    assert (
        text_of((await reply(Lent("translator", models.lease), question("?"))).message) == "Hello."
    )


async def test_a_model_of_this_machine_goes_before_an_assistant_of_its_name(everything):
    models = everything(Local(translator=ScriptedLM("I am a model.", name="translator")))
    told = await reply(Lent("translator", models.lease), question("?"))
    assert text_of(told.message) == "I am a model."
    assert [info.name for info in models.names()].count("translator") == 1


async def test_models_at_hosts_need_a_known_host_and_its_key(everything, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    models = everything(Local())
    with pytest.raises(AccessError, match="OPENAI_API_KEY"):
        await reply(Lent("openai:gpt-5", models.lease), question("?"))
    with pytest.raises(NotFoundError, match="Did you mean openai"):
        await reply(Lent("opnai:gpt-5", models.lease), question("?"))
    with pytest.raises(UnsupportedError, match="keeps its tokenizer to itself"):
        models.tokenizer("openai:gpt-5")
    with pytest.raises(NotFoundError, match="'gone'"):
        await reply(Lent("gone", models.lease), question("?"))


async def test_a_broken_recipe_is_told_to_who_asks_for_it(everything, kataribe_home):
    folder = kataribe_home / "assistants"
    folder.mkdir()
    (folder / "broken.yaml").write_text("sytem: x", encoding="utf-8")
    models = everything(Local())
    assert "broken" in {info.name for info in models.names()}
    with pytest.raises(InputError, match=r"broken\.yaml has sytem"):
        await reply(Lent("broken", models.lease), question("?"))


def hand_written(home: Path, **recipes: str) -> None:
    (home / "assistants").mkdir(exist_ok=True)
    for name, text in recipes.items():
        written(home / "assistants" / f"{name}.yaml", text)


async def test_recipes_changed_by_hand_that_ask_each_other_for_ever_are_refused(
    everything, kataribe_home
):
    hand_written(
        kataribe_home,
        one="model: two",
        two="tools: [{name: model, options: {model: one}}]",
    )
    models = everything(Local(**{DEFAULT_MODEL: ScriptedLM("x", name=DEFAULT_MODEL)}))
    with pytest.raises(InputError, match="one would ask itself: one -> two -> one"):
        await reply(Lent("one", models.lease), question("?"))


async def test_a_model_that_is_asked_as_a_tool_counts_in_the_same_meter(everything, kataribe_home):
    """What the tool's model used stands under the tool's call, and in the whole of the request."""
    hand_written(
        kataribe_home,
        sums="title: Sums\nabout: {en: Knows sums.}\nmodel: small\nsystem: Only numbers.",
        boss="model: big\ntools: [{name: model, options: {model: sums}}]",
    )
    big = ScriptedLM([Reply(calls=(Call("ask_sums", {"question": "6*7"}),)), "42."], name="big")
    small = ScriptedLM("forty-two", name="small")
    models = everything(Local(big=big, small=small))
    assert text_of((await reply(Lent("boss", models.lease), question("?"))).message) == "42."
    assert big.requests[0].tools[0].description == (
        "Asks sums: Knows sums. It sees only the question."
    )
    assert [text_of(m) for m in small.requests[0].prompt] == ["Only numbers.", "6*7"]
    (root,) = trees(models.meters.ledger.spans())
    assert root.span.name == "boss"
    assert root.span.total.steps == 3
    assert root.span.total.completion_tokens >= len("forty-two") + len("42.")
    (tool,) = [each for each in below(root) if each.span.kind == "tool"]
    assert (tool.span.name, tool.span.total.steps) == ("ask_sums", 1)
    assert tool.span.total.completion_tokens == len("forty-two")
    assert {each.span.name for each in below(tool)} == {"sums", "small"}


def below(branch: Branch) -> list[Branch]:
    return [one for inner in branch.inner for one in (inner, *below(inner))]


async def test_recipes_are_read_aside_from_the_event_loop(kataribe_home):
    read = []

    class Noting(Book):
        def all(self):
            read.append(threading.get_ident())
            return super().all()

    hand_written(kataribe_home, sums="model: small\ntools: [calculator]\n")
    workspace = Workspace(kataribe_home)
    local = Local(small=ScriptedLM("Four.", name="small"))
    models = AllModels(local, Noting(workspace.assistants), load_settings(), workspace)  # type: ignore[arg-type]
    for name in ("sums", "small"):
        async with models.lease(name) as lm:
            assert text_of((await reply(lm, question("2 + 2?"))).message) == "Four."
    assert read
    assert threading.get_ident() not in read


class Letters:
    """Vectors of how often each letter is there."""

    name = "letters"
    dimensions = 26
    max_tokens = 99
    kinds = ()

    async def embed(self, texts, kind=None):
        assert kind is None
        rows = [[text.lower().count(chr(97 + at)) for at in range(26)] for text in texts]
        return Embedding(np.asarray(rows, dtype=np.float32), sum(map(len, texts)))


async def test_examples_are_chosen_with_the_embedder_of_the_workspace(everything, kataribe_home):
    class WithEmbedder(Local):
        @contextlib.asynccontextmanager
        async def embedder(self, name: str) -> AsyncIterator[Letters]:
            assert name == EMBEDDER
            yield Letters()

    examples = "[{question: zzz, answer: Z}, {question: aaa, answer: A}]"
    options = f"{{choice: similar, count: 1, examples: {examples}}}"
    hand_written(kataribe_home, near=f"technique: {{name: few-shot, options: {options}}}")
    lm = ScriptedLM("AA", name=DEFAULT_MODEL)
    models = everything(WithEmbedder(**{DEFAULT_MODEL: lm}))
    await reply(Lent("near", models.lease), question("aa?"))
    assert [text_of(m) for m in lm.requests[0].prompt] == ["aaa", "A", "aa?"]
    names = [span.name for span in models.meters.ledger.spans()]
    assert names.count("letters") == 2  # the examples once, the question
