"""Encoder-decoders behind `kataribe up`: by name, with the official client, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from test_up import PATIENCE, Server

from kataribe.base.workspace import Workspace
from kataribe.cli.opening import open_catalog
from tests.source_models import TEXTS, make_source_model, their_reply

KINDS = ("t5", "bart")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, Any]]]:
    home = tmp_path_factory.mktemp("sources")
    models: dict[str, tuple[Path, Any]] = {}
    catalog = open_catalog(Workspace(home))
    for kind in KINDS:
        folder = tmp_path_factory.mktemp(kind)
        models[kind] = folder, make_source_model(kind, folder)
        catalog.import_(folder, as_name=kind, link=True)
    server = Server(home, "--model", "t5", "--precision", "float32")
    yield server, models
    if server.process.poll() is None:
        server.stop()


@pytest.fixture(scope="module")
def client(made: tuple[Server, dict[str, Any]]) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{made[0].url}/v1", api_key="none", timeout=PATIENCE, max_retries=5
    ) as opened:
        yield opened


@pytest.mark.parametrize("kind", KINDS)
def test_words_in_and_words_out(made: Any, client: openai.OpenAI, kind: str) -> None:
    folder, theirs = made[1][kind]
    wanted = their_reply(folder, theirs, TEXTS[0], 12)
    done = client.completions.create(model=kind, prompt=TEXTS[0], max_tokens=12)
    assert done.choices[0].text == wanted
    assert done.usage is not None
    assert done.usage.completion_tokens <= 12
    streamed = client.completions.create(model=kind, prompt=TEXTS[0], max_tokens=12, stream=True)
    assert "".join(part.choices[0].text for part in streamed if part.choices) == wanted


@pytest.mark.parametrize("kind", KINDS)
def test_one_message_of_a_chat_is_the_source(made: Any, client: openai.OpenAI, kind: str) -> None:
    folder, theirs = made[1][kind]
    wanted = their_reply(folder, theirs, f"summarize: {TEXTS[5]}", 12)
    messages: Any = [
        {"role": "system", "content": "summarize:"},
        {"role": "user", "content": TEXTS[5]},
    ]
    done = client.chat.completions.create(model=kind, messages=messages, max_tokens=12)
    assert done.choices[0].message.content == wanted
    streamed = client.chat.completions.create(
        model=kind, messages=messages, max_tokens=12, stream=True
    )
    parts = [part.choices[0].delta.content or "" for part in streamed if part.choices]
    assert "".join(parts) == wanted


def test_what_does_not_go_is_a_400_that_says_why(made: Any, client: openai.OpenAI) -> None:
    turns: Any = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    with pytest.raises(openai.BadRequestError, match="knows nothing of earlier turns"):
        client.chat.completions.create(model="t5", messages=turns)
    tool: Any = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    with pytest.raises(openai.BadRequestError, match="tools"):
        client.chat.completions.create(model="t5", messages=turns[:1], tools=[tool])
    with pytest.raises(openai.BadRequestError, match="at most 64") as caught:
        client.completions.create(model="bart", prompt="x" * 100)
    assert caught.value.code == "context_length_exceeded"
    with pytest.raises(openai.BadRequestError, match="predicts none of its tokens"):
        client.completions.create(model="t5", prompt="a", echo=True, logprobs=1)


@pytest.mark.slow
def test_the_command_line_asks_them_too(made: Any) -> None:
    server, models = made
    done = server.run("ask", "--model", "bart", "-n", "12", TEXTS[1])
    assert done.returncode == 0, done.stderr
    folder, theirs = models["bart"]
    assert their_reply(folder, theirs, TEXTS[1], 12).strip() in done.stdout.decode()
