"""The official client against multilingual-e5-small behind the whole server: nothing scripted."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from kataribe.base.errors import TextLengthError
from kataribe.base.settings import load_settings
from kataribe.base.workspace import Workspace
from kataribe.cli.app import run
from kataribe.cli.encoding import CommandEmbedder
from kataribe.cli.wiring import open_app, open_everything
from kataribe.run.catalog.catalog import Catalog
from kataribe.serve.ports import listen
from kataribe.serve.server import serve_async
from kataribe.use.prompts.passages import by_meaning
from kataribe.use.prompts.retrieval import Passage

MODEL = "e5-small"
PATIENCE = 120  # seconds; machines may be busy, and no test asserts a time
PASSAGES = [
    "Mount Fuji is the highest mountain of Japan.",
    "The cat sleeps on the warm roof.",
    "東京都は日本の首都である。",
]
QUESTION = "日本で一番高い山は何ですか。"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, e5_path: Path, pico_path: Path) -> Path:
    found: Path = tmp_path_factory.mktemp("home")
    (found / "models").mkdir()
    (found / "models" / MODEL).symlink_to(e5_path)
    Catalog(Workspace(found)).import_(pico_path, as_name="pico", link=True)
    return found


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KATARIBE_HOME", str(home))
        settings = load_settings(model=MODEL)
    listening = listen("127.0.0.1", 0)
    began, urls, apps = threading.Event(), [], []

    def ready(address: str) -> None:
        urls.append(address)
        began.set()

    def serve() -> None:
        with open_app(settings, Workspace(home)) as app:
            apps.append(app)
            asyncio.run(serve_async(app, listening, 5.0, ready=ready))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert began.wait(PATIENCE)
        yield urls[0]
    finally:
        apps[0].state.desk.lifecycle.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive()


@pytest.fixture
def client(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key="none", timeout=PATIENCE, max_retries=0) as found:
        yield found


def nearest(question: Any, passages: Any) -> int:
    return int((np.asarray(passages) @ np.asarray(question)).argmax())


def test_the_client_finds_the_passage(client: OpenAI) -> None:
    passages = client.embeddings.create(
        model=MODEL, input=PASSAGES, extra_body={"input_type": "passage"}
    )
    question = client.embeddings.create(
        model=MODEL, input=QUESTION, extra_body={"input_type": "query"}
    )
    vectors = [entry.embedding for entry in passages.data]
    assert [entry.index for entry in passages.data] == [0, 1, 2]
    assert nearest(question.data[0].embedding, vectors) == 0
    assert passages.usage.prompt_tokens == passages.usage.total_tokens > 20
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_floats_are_the_numbers_of_base64(client: OpenAI) -> None:
    plain, packed = [
        client.embeddings.create(model=MODEL, input=PASSAGES, encoding_format=form)
        for form in ("float", "base64")
    ]
    unsaid = client.embeddings.create(model=MODEL, input=PASSAGES)  # the client decodes base64
    for one, other, third in zip(plain.data, packed.data, unsaid.data, strict=True):
        assert len(one.embedding) == 384
        assert np.array_equal(np.float32(one.embedding), np.float32(third.embedding))
        assert isinstance(other.embedding, str | list)


async def test_the_asynchronous_client(url: str) -> None:
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", timeout=PATIENCE) as client:
        asked = [client.embeddings.create(model=MODEL, input=text) for text in PASSAGES]
        apart = [answer.data[0].embedding for answer in await asyncio.gather(*asked)]
        together = await client.embeddings.create(model=MODEL, input=PASSAGES)
    for one, other in zip(apart, together.data, strict=True):
        assert np.dot(one, other.embedding) > 0.9999


def test_it_is_listed_and_told_from_chat_models(client: OpenAI) -> None:
    listed = {model.id: model for model in client.models.list()}
    assert {MODEL, "pico"} <= set(listed)
    assert listed[MODEL].max_model_len == 512  # type: ignore[attr-defined]
    with pytest.raises(openai.BadRequestError, match=r"makes vectors.*cannot chat.*pico"):
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
    with pytest.raises(openai.BadRequestError, match="continues text, so it makes no vectors"):
        client.embeddings.create(model="pico", input="x")
    with pytest.raises(openai.BadRequestError, match=r"makes vectors of texts.*gives no labels"):
        client.post("/classify", body={"model": MODEL, "input": "x"}, cast_to=object)
    with pytest.raises(openai.BadRequestError, match="at most 512"):
        client.embeddings.create(model=MODEL, input="word " * 3000)
    with pytest.raises(openai.NotFoundError, match="There are"):
        client.embeddings.create(model="nobody", input="x")


@pytest.mark.parametrize("where", ["server", "command"])
async def test_a_question_is_told_from_passages(
    where: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same prompt before both, a text that asks alike would be nearer than the answer."""
    monkeypatch.setenv("KATARIBE_HOME", str(home))
    question = "有給休暇は何日ありますか。"
    known = [
        Passage("夏休みは何日ありますか。", "other"),
        Passage("社員には年に二十日の有給が与えられる。", "answer"),
    ]

    async def search(_query: str, _most: int) -> list[Passage]:
        return known

    settings = load_settings(model="pico")
    with open_everything(settings, Workspace(home)) as models:
        embedder = models.around().embedder
        if where == "command":
            embedder = CommandEmbedder(settings, local=True)
        assert embedder is not None
        found = await by_meaning(search, embedder)(question, 1)
        assert [each.source for each in found] == ["answer"]
        texts = (question, *(each.text for each in known))
        alike = (await embedder.embed(texts)).vectors
    assert nearest(alike[0], alike[1:]) == 0


@pytest.fixture
def without_prompts(tmp_path: Path, e5_path: Path) -> Path:
    folder = tmp_path / "models" / MODEL
    folder.mkdir(parents=True)
    for path in e5_path.iterdir():
        if path.name != "config_sentence_transformers.json":
            (folder / path.name).symlink_to(path)
    return tmp_path


async def test_one_without_prompts_is_asked_without_kinds(
    without_prompts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KATARIBE_HOME", str(without_prompts))
    embedder = CommandEmbedder(load_settings(), local=True)
    plain = await embedder.embed(["東京"])
    assert np.array_equal((await embedder.embed(["東京"], "query")).vectors, plain.vectors)
    with pytest.raises(TextLengthError):  # any other refusal is told
        await embedder.embed(["word " * 3000], "query")


def test_the_terminal(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KATARIBE_HOME", str(home))
    assert run(["embed", "--local", "--json", "--query", QUESTION]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["model"], told["kind"]) == (MODEL, "query")
    assert len(told["data"][0]["embedding"]) == 384
    assert run(["embed", "--local", *PASSAGES]) == 0
    assert "Likeness" in capsys.readouterr().out
    assert run(["embed", "--query", "--passage", "x"]) == 2
    assert "exclude each other" in capsys.readouterr().err
    assert run(["embed", "--local", "--model", "pico", "x"]) == 2
    assert "pico makes no vectors" in capsys.readouterr().err
    assert run(["classify", "--local", "--model", MODEL, "x"]) == 2
    assert "gives no labels" in capsys.readouterr().err
