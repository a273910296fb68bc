"""The official clients understand the tests' hosts, which proves the hosts right."""

from __future__ import annotations

import asyncio
import base64
import warnings
from collections.abc import Iterator

import pytest
from asking import events_of, model_at
from host_server import Answer, HostServer, host, refusal
from speaking import SIGNATURE, SPEAK, Said, anthropic, chat, gemini, responses

SAID = Said(
    pieces=("It is ", "晴れ."),
    thoughts=("Let me ", "see."),
    calls=(("call_1", "weather", {"city": "Tokyo"}), ("call_2", "clock", {})),
    written=3,
)
KEY = "a-key-of-the-test"


@pytest.fixture
def spoken(request: pytest.FixtureRequest) -> Iterator[HostServer]:
    with host(Answer(request.param)) as server:
        yield server


@pytest.mark.parametrize("spoken", [chat(SAID, SAID)], indirect=True, ids=["chat"])
def test_openai_reads_chat_completions(spoken: HostServer) -> None:
    from openai import OpenAI

    with (
        OpenAI(base_url=spoken.url + "/v1", api_key=KEY, max_retries=0) as client,
        client.chat.completions.stream(
            model="m", messages=[{"role": "user", "content": "hi"}], n=2
        ) as stream,
    ):
        whole = stream.get_final_completion()
    for choice in whole.choices:
        assert choice.message.content == "It is 晴れ."
        assert choice.message.reasoning_content == "Let me see."
        calls = [(call.id, call.function.name, call.function.arguments)
                 for call in choice.message.tool_calls]  # fmt: skip
        assert calls == [("call_1", "weather", '{"city": "Tokyo"}'), ("call_2", "clock", "{}")]
        assert choice.finish_reason == "tool_calls"
    assert whole.usage.prompt_tokens_details.cached_tokens == 5
    assert spoken.received[0].path == "/v1/chat/completions"
    assert spoken.received[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("spoken", [responses(SAID)], indirect=True, ids=["responses"])
def test_openai_reads_responses(spoken: HostServer) -> None:
    from openai import OpenAI

    with (
        OpenAI(base_url=spoken.url + "/v1", api_key=KEY, max_retries=0) as client,
        client.responses.stream(model="m", input="hi") as stream,
    ):
        whole = stream.get_final_response()
    assert whole.output_text == "It is 晴れ."
    assert [item.type for item in whole.output] == [
        "reasoning",
        "message",
        "function_call",
        "function_call",
    ]
    assert whole.output[0].encrypted_content == SIGNATURE
    assert whole.usage.input_tokens_details.cache_write_tokens == 3
    assert spoken.received[0].path == "/v1/responses"


@pytest.mark.parametrize("spoken", [anthropic(SAID)], indirect=True, ids=["anthropic"])
def test_anthropic_reads_messages(spoken: HostServer) -> None:
    from anthropic import Anthropic

    with (
        Anthropic(base_url=spoken.url, api_key=KEY, max_retries=0) as client,
        client.messages.stream(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]
        ) as stream,
    ):
        whole = stream.get_final_message()
    thought, text, weather, clock = whole.content
    assert (thought.thinking, thought.signature) == ("Let me see.", SIGNATURE)
    assert text.text == "It is 晴れ."
    assert (weather.name, weather.input, clock.input) == ("weather", {"city": "Tokyo"}, {})
    assert whole.stop_reason == "tool_use"
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (12, 9)
    received = spoken.received[0]
    assert received.path == "/v1/messages"
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.headers["anthropic-version"] == "2026-10-21"


@pytest.mark.parametrize("spoken", [gemini(SAID)], indirect=True, ids=["gemini"])
def test_google_reads_generated_content(spoken: HostServer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the package's own making
        from google import genai

    client = genai.Client(api_key=KEY, http_options={"base_url": spoken.url})
    chunks = list(client.models.generate_content_stream(model="m", contents="hi"))
    client.close()
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
    assert "".join(part.text for part in parts if part.thought) == "Let me see."
    assert "".join(p.text for p in parts if p.text and not p.thought) == "It is 晴れ."
    calls = [part for part in parts if part.function_call]
    assert [part.function_call.name for part in calls] == ["weather", "clock"]
    assert calls[0].thought_signature == base64.b64decode(SIGNATURE)
    assert chunks[-1].candidates[0].finish_reason == "STOP"
    assert chunks[-1].usage_metadata.cached_content_token_count == 5
    received = spoken.received[0]
    assert received.path == "/v1/models/m:streamGenerateContent?alt=sse"
    assert received.headers["x-goog-api-key"] == KEY


def test_the_clients_know_the_hosts_refusals() -> None:
    from anthropic import Anthropic, RateLimitError
    from openai import AuthenticationError, OpenAI

    wrong = {
        "error": {"message": "No.", "type": "invalid_request_error", "code": "invalid_api_key"}
    }
    slow = {"type": "error", "error": {"type": "rate_limit_error", "message": "Slowly."}}
    turn = {"role": "user", "content": "hi"}
    with host(refusal(401, wrong)) as server:
        client = OpenAI(base_url=server.url, api_key=KEY, max_retries=0)
        with client, pytest.raises(AuthenticationError):
            client.chat.completions.create(model="m", messages=[turn])
    with host(refusal(429, slow, retry_after="7")) as server:
        other = Anthropic(base_url=server.url, api_key=KEY, max_retries=0)
        with other, pytest.raises(RateLimitError):
            other.messages.create(model="m", max_tokens=9, messages=[turn])


@pytest.mark.parametrize("wire", ["chat", "responses", "anthropic", "gemini"])
async def test_our_headers_are_those_of_the_official_client(wire: str) -> None:
    """The same path, the same place for the key, the same version of the API."""
    with host(Answer(SPEAK[wire](SAID))) as server:
        await asyncio.to_thread(OFFICIAL[wire], server.url)
        await events_of(model_at(server, wire, key=KEY))
    official, ours = server.received
    assert ours.path == official.path
    for header in ("authorization", "x-goog-api-key", "anthropic-version"):
        assert ours.headers.get(header) == official.headers.get(header), header


def _chat(url: str) -> None:
    from openai import OpenAI

    with OpenAI(base_url=url + "/v1", api_key=KEY, max_retries=0) as client:
        list(client.chat.completions.create(model="m", messages=[TURN], stream=True))


def _responses(url: str) -> None:
    from openai import OpenAI

    with OpenAI(base_url=url + "/v1", api_key=KEY, max_retries=0) as client:
        list(client.responses.create(model="m", input="hi", stream=True))


def _anthropic(url: str) -> None:
    from anthropic import Anthropic

    with Anthropic(base_url=url, api_key=KEY, max_retries=0) as client:
        list(client.messages.create(model="m", max_tokens=9, messages=[TURN], stream=True))


def _gemini(url: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the package's own making
        from google import genai

    client = genai.Client(api_key=KEY, http_options={"base_url": url})
    list(client.models.generate_content_stream(model="m", contents="hi"))
    client.close()


TURN = {"role": "user", "content": "hi"}
OFFICIAL = {"chat": _chat, "responses": _responses, "anthropic": _anthropic, "gemini": _gemini}
