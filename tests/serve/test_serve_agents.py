"""What agents and their clients send beyond questions: wishes, documents, pictures of tools."""

from __future__ import annotations

import base64
from functools import partial

import pytest
from anthropic import Anthropic
from openai import BadRequestError, OpenAI

from kataribe.base.events import Usage
from kataribe.base.lm import Capabilities, Thinking
from kataribe.base.messages import (
    ImagePart,
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
    text_of,
)
from kataribe.run.providers import Reply, ScriptedLM
from kataribe.serve.models import ModelInfo
from tests.serve.conftest import Source, inside, live_server, source_of

PNG = base64.b64encode(b"\x89PNG").decode()
QUESTION = [{"role": "user", "content": "hi"}]


def openai_at(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="unused-key", max_retries=0)


def anthropic_at(url: str) -> Anthropic:
    return Anthropic(base_url=url, api_key="unused-key", max_retries=0)


@pytest.fixture(scope="module")
def lm() -> ScriptedLM:
    return ScriptedLM()


@pytest.fixture(scope="module")
def url(lm: ScriptedLM):
    with live_server(source_of(lm)) as live:
        yield live.url


def test_all_that_agents_send_with_a_response_is_taken(url: str, lm: ScriptedLM) -> None:
    with openai_at(url) as client:
        answer = client.responses.create(
            model="scripted",
            input="hi",
            reasoning={"effort": "high", "summary": "auto"},
            include=["reasoning.encrypted_content"],
            text={"verbosity": "medium"},
            truncation="disabled",
            parallel_tool_calls=True,
            tool_choice="auto",
            service_tier="auto",
            metadata={"a": "b"},
            prompt_cache_key="k",
            prompt_cache_retention="24h",
            safety_identifier="s",
            max_tool_calls=3,
            store=False,
        )
    assert answer.reasoning.effort == "high"
    assert lm.requests[-1].thinking == Thinking(wanted=True, effort="high")
    assert lm.requests[-1].logprobs is None
    assert lm.requests[-1].template == {}


@pytest.mark.parametrize(("said", "asked"), [("low", "low"), ("medium", None), ("high", "high")])
def test_verbosity_goes_to_models_that_have_the_dial(url: str, lm: ScriptedLM, said, asked) -> None:
    with openai_at(url) as client:
        answer = client.responses.create(model="scripted", input="hi", text={"verbosity": said})
        client.chat.completions.create(model="scripted", messages=QUESTION, verbosity=said)
    assert answer.text.verbosity == said
    assert [request.verbosity for request in lm.requests[-2:]] == [asked, asked]


def test_a_model_without_the_dial_refuses_all_but_the_usual() -> None:
    plain = ScriptedLM(capabilities=Capabilities(4096))
    with live_server(source_of(plain)) as live, openai_at(live.url) as client:
        respond = partial(client.responses.create, model="scripted", input="hi")
        chat = partial(client.chat.completions.create, model="scripted", messages=QUESTION)
        respond(text={"verbosity": "medium"})
        chat(verbosity="medium")
        with pytest.raises(BadRequestError, match=r"no dial for .*verbosity") as refused:
            respond(text={"verbosity": "low"})
        assert refused.value.param == "text.verbosity"
        with pytest.raises(BadRequestError, match=r"no dial for .*verbosity") as refused:
            chat(verbosity="high")
        assert refused.value.param == "verbosity"
    assert len(plain.requests) == 2


def test_a_text_file_is_read_between_marks(url: str, lm: ScriptedLM) -> None:
    words = "氏名,点\n青木,9\n"
    data = base64.b64encode(words.encode()).decode()
    asked = [
        {
            "type": "input_file",
            "filename": "tests/点.csv",
            "file_data": f"data:text/csv;base64,{data}",
        },
        {"type": "input_text", "text": "Who is best?"},
    ]
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    output = [{"type": "input_file", "file_data": data, "detail": "low"}]
    with openai_at(url) as client:
        client.responses.create(model="scripted", input=[{"role": "user", "content": asked}])
        client.responses.create(
            model="scripted",
            input=[call, {"type": "function_call_output", "call_id": "c", "output": output}],
        )
    told = text_of(lm.requests[-2].prompt[0])
    assert told == f"<document>\n<title>点.csv</title>\n{words}\n</document>\nWho is best?"
    [result] = lm.requests[-1].prompt[-1].parts
    assert result.content == f"<document>\n{words}\n</document>\n"


@pytest.mark.parametrize(
    ("effort", "wanted"),
    [("none", False), ("minimal", False), ("low", True), ("medium", True), ("xhigh", True)],
)
def test_effort_is_a_wish_to_think_or_not(
    url: str, lm: ScriptedLM, effort: str, wanted: bool
) -> None:
    with openai_at(url) as client:
        client.responses.create(model="scripted", input="hi", reasoning={"effort": effort})
        client.chat.completions.create(model="scripted", messages=QUESTION, reasoning_effort=effort)
    for request in lm.requests[-2:]:
        assert request.thinking == Thinking(wanted=wanted, effort=effort)


@pytest.mark.parametrize(
    ("fields", "thinking"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, Thinking(wanted=False)),
        ({"thinking": {"type": "adaptive", "display": "summarized"}}, Thinking(wanted=True)),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            Thinking(wanted=True, tokens=1024),
        ),
        ({"output_config": {"effort": "low"}}, Thinking(effort="low")),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}},
            Thinking(wanted=True, effort="max"),
        ),
    ],
)
def test_thinking_of_the_messages_door(url: str, lm: ScriptedLM, fields, thinking) -> None:
    with anthropic_at(url) as client:
        client.messages.create(model="scripted", max_tokens=2000, messages=QUESTION, **fields)
    assert lm.requests[-1].thinking == thinking


def test_how_closely_a_picture_is_looked_at_goes_along(url: str, lm: ScriptedLM) -> None:
    address = f"data:image/png;base64,{PNG}"
    images = [
        {"type": "input_image", "image_url": address, "detail": detail}
        for detail in ("low", "high", "auto")
    ]
    chat = [
        {"type": "image_url", "image_url": {"url": address, "detail": detail}}
        for detail in ("low", "high", "auto")
    ]
    with openai_at(url) as client:
        client.responses.create(model="scripted", input=[{"role": "user", "content": images}])
        client.chat.completions.create(
            model="scripted", messages=[{"role": "user", "content": chat}]
        )
    for request in lm.requests[-2:]:
        assert [part.detail for part in request.prompt[0].parts] == ["low", "high", ""]


CALL = {"type": "tool_use", "id": "1", "name": "f", "input": {}}


def shown(*blocks: dict) -> list[dict]:
    result = {"type": "tool_result", "tool_use_id": "1", "content": list(blocks)}
    return [
        *QUESTION,
        {"role": "assistant", "content": [CALL]},
        {"role": "user", "content": [result]},
    ]


PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
PLAIN = {"type": "text", "media_type": "text/plain", "data": "Once upon a time."}
DOCUMENT = {"type": "document", "source": PLAIN, "title": "A tale", "context": "Old."}
READ = (
    "<document>\n<title>A tale</title>\n<context>Old.</context>\nOnce upon a time.\n</document>\n"
)


def test_documents_of_text_are_read_between_marks(url: str, lm: ScriptedLM) -> None:
    parts = {"type": "content", "content": [{"type": "text", "text": "One."}, PICTURE]}
    content = [DOCUMENT, {"type": "document", "source": parts}, {"type": "text", "text": "So?"}]
    with anthropic_at(url) as client:
        client.messages.create(
            model="scripted", max_tokens=99, messages=[{"role": "user", "content": content}]
        )
    (message,) = lm.requests[-1].prompt
    before = message.parts[: message.parts.index(ImagePart("image/png", b"\x89PNG"))]
    assert "".join(part.text for part in before) == f"{READ}<document>\nOne."
    assert message.parts[-2:] == (TextPart("\n</document>\n"), TextPart("So?"))


def test_a_tool_shows_pictures_and_documents(url: str, lm: ScriptedLM) -> None:
    with anthropic_at(url) as client:
        client.messages.create(
            model="scripted",
            max_tokens=99,
            messages=shown({"type": "text", "text": "Here: "}, PICTURE, DOCUMENT),
        )
    picture = ImagePart("image/png", b"\x89PNG")
    assert lm.requests[-1].prompt[-1] == Message(
        "tool", (ToolResultPart("1", f"Here: {READ}", images=(picture,)),)
    )
    items = [
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {
            "type": "function_call_output",
            "call_id": "1",
            "output": [
                {"type": "input_text", "text": "Here: "},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"},
            ],
        },
    ]
    with openai_at(url) as client:
        client.responses.create(model="scripted", input=items)
    assert lm.requests[-1].prompt == (
        Message("assistant", (ToolCallPart("1", "f", "{}"),)),
        Message("tool", (ToolResultPart("1", "Here: ", images=(picture,)),)),
    )


async def test_a_model_that_cannot_see_says_where_the_picture_is():
    blind = ScriptedLM(capabilities=Capabilities(context_length=1000, tools=True))
    body = {"model": "scripted", "max_tokens": 9, "messages": shown(PICTURE)}
    async with inside(source_of(blind)) as http:
        error = (await http.post("/v1/messages", json=body)).json()["error"]
    assert error["details"]["param"] == "messages[2].content[0].content"
    assert "reads text only" in error["message"]


@pytest.mark.parametrize(
    "source",
    [
        {"type": "base64", "media_type": "application/pdf", "data": "aaaa"},
        {"type": "url", "url": "https://example.org/a.pdf"},
        {"type": "file", "file_id": "f"},
    ],
)
async def test_documents_that_nobody_reads_are_refused_by_their_place(source):
    content = [{"type": "text", "text": "x"}, {"type": "document", "source": source}]
    body = {"model": "scripted", "max_tokens": 9}
    async with inside(source_of(ScriptedLM())) as http:
        answer = await http.post(
            "/v1/messages", json={**body, "messages": [{"role": "user", "content": content}]}
        )
    error = answer.json()["error"]
    assert (answer.status_code, error["details"]["param"]) == (
        400,
        "messages[0].content[1].source",
    )
    assert "PDFs and uploaded files are not read" in error["message"]


def test_redacted_thoughts_go_back_as_they_came(url: str, lm: ScriptedLM) -> None:
    said = [{"type": "redacted_thinking", "data": "secret"}, {"type": "text", "text": "b"}]
    with anthropic_at(url) as client:
        client.messages.create(
            model="scripted",
            max_tokens=99,
            messages=[*QUESTION, {"role": "assistant", "content": said}, *QUESTION],
        )
    assert lm.requests[-1].prompt[1].parts == (ReasoningPart("", "secret"), TextPart("b"))


def test_a_refusal_of_an_earlier_reply_is_its_words(url: str, lm: ScriptedLM) -> None:
    said = {"type": "message", "role": "assistant", "content": [
        {"type": "refusal", "refusal": "No."}]}  # fmt: skip
    with openai_at(url) as client:
        client.responses.create(model="scripted", input=[*QUESTION, said, *QUESTION])
    assert lm.requests[-1].prompt[1] == text_message("assistant", "No.")


async def test_tokens_of_an_assistant_are_not_counted():
    class WithAssistant(Source):
        def names(self):
            info = {"loaded": False, "context_length": None, "is_assistant": True}
            return [*super().names(), ModelInfo("helper", 1, "assistant", **info)]

    body = {"messages": QUESTION}
    async with inside(WithAssistant({"scripted": ScriptedLM()})) as http:
        plain = await http.post("/v1/messages/count_tokens", json={**body, "model": "scripted"})
        refused = await http.post("/v1/messages/count_tokens", json={**body, "model": "helper"})
    assert plain.json() == {"input_tokens": 3}
    error = refused.json()["error"]
    assert (refused.status_code, error["details"]["param"]) == (400, "model")
    assert "helper is an assistant" in error["message"]


def test_what_hosts_wrote_to_their_caches_is_told() -> None:
    lm = ScriptedLM(Reply("Yes.", cached_tokens=1, cache_write_tokens=1))
    with live_server(source_of(lm)) as live:
        with anthropic_at(live.url) as client:
            message = client.messages.create(model="scripted", max_tokens=9, messages=QUESTION)
        with openai_at(live.url) as client:
            response = client.responses.create(model="scripted", input="hi")
            chat = client.chat.completions.create(model="scripted", messages=QUESTION)
    used = message.usage
    assert (used.input_tokens, used.cache_read_input_tokens) == (1, 1)
    assert used.cache_creation_input_tokens == 1
    assert response.usage.input_tokens_details.cache_write_tokens == 1
    assert chat.usage.prompt_tokens_details.cache_write_tokens == 1
    assert Usage(3, 4, 1, 1).prompt_tokens == response.usage.input_tokens
