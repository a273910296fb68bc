"""The official client against a real server on loopback."""

from __future__ import annotations

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from kataribe.base.errors import BusyError, ProviderError, UnavailableError
from kataribe.base.lm import JsonFormat, Request
from kataribe.run.providers import Call, Reply, ScriptedLM
from tests.serve.conftest import live_server, source_of
from tests.serve.openai_suite import (
    FORM_CHECKS,
    QUESTION,
    TEXT_CHECKS,
    TOOL_CHECKS,
    check_async,
)


def plausible(request: Request) -> Reply:
    """What a good model would do with the suite's questions."""
    if request.tools and request.tool_choice.mode != "none":
        return Reply(calls=(Call("weather", {"city": "東京"}), Call("weather", {"city": "Kyoto"})))
    if isinstance(request.response_format, JsonFormat):
        return Reply('{"name": "Kyoto"}')
    return Reply(" Tokyo 東京 is it.")


@pytest.fixture(scope="module")
def server():
    with live_server(source_of(ScriptedLM(plausible))) as live:
        yield live


@pytest.fixture
def client(server):
    with OpenAI(base_url=f"{server.url}/v1", api_key="unused-key", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("check", TEXT_CHECKS + TOOL_CHECKS + FORM_CHECKS)
def test_suite(client, check):
    check(client, "scripted")


async def test_suite_async(server):
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="unused-key") as client:
        await check_async(client, "scripted")


def test_wrong_key(live, opened):
    server = live(ScriptedLM(), key="open-sesame")
    left = opened(OpenAI(base_url=f"{server.url}/v1", api_key="shut-sesame", max_retries=0))
    with pytest.raises(openai.AuthenticationError) as wrong:
        left.models.list()
    assert wrong.value.code == "invalid_api_key"
    right = opened(OpenAI(base_url=f"{server.url}/v1", api_key="open-sesame", max_retries=0))
    assert right.models.list().data[0].id == "scripted"


def test_busy_says_when(live, opened):
    lm = ScriptedLM([BusyError("The queue is full.", retry_after=1.2), "now"])
    server = live(lm)
    client = opened(OpenAI(base_url=f"{server.url}/v1", api_key="unused-key", max_retries=0))
    with pytest.raises(openai.RateLimitError) as busy:
        client.chat.completions.create(model="scripted", messages=QUESTION, stream=True)
    assert busy.value.response.headers["retry-after"] == "2"
    assert client.chat.completions.create(model="scripted", messages=QUESTION).choices


def test_client_tries_again(live, opened):
    lm = ScriptedLM([BusyError("The queue is full.", retry_after=0.1), "now"])
    server = live(lm)
    client = opened(OpenAI(base_url=f"{server.url}/v1", api_key="unused-key", max_retries=1))
    answer = client.chat.completions.create(model="scripted", messages=QUESTION)
    assert answer.choices[0].message.content == "now"
    assert len(lm.requests) == 2


def test_unavailable_and_upstream(live, opened):
    lm = ScriptedLM([UnavailableError("No memory.", retry_after=5), ProviderError("Gone.")])
    server = live(lm)
    client = opened(OpenAI(base_url=f"{server.url}/v1", api_key="unused-key", max_retries=0))
    for status in (503, 502):
        with pytest.raises(openai.InternalServerError) as error:
            client.chat.completions.create(model="scripted", messages=QUESTION)
        assert error.value.status_code == status


def test_error_in_the_middle_reaches_the_client(live, opened):
    server = live(
        ScriptedLM(Reply("one two three", error=ProviderError("It broke."), fail_after=2))
    )
    client = opened(OpenAI(base_url=f"{server.url}/v1", api_key="unused-key", max_retries=0))
    stream = client.chat.completions.create(model="scripted", messages=QUESTION, stream=True)
    seen = []
    with pytest.raises(openai.APIError, match="It broke"):
        seen.extend(chunk.choices[0].delta.content for chunk in stream)
