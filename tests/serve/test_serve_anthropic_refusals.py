"""What `/v1/messages` and its counting refuse: in Anthropic's shape, with the field."""

from __future__ import annotations

import pytest

from kataribe.base.lm import Capabilities
from kataribe.run.providers import ScriptedLM
from kataribe.serve.settings import ServerSettings
from kataribe.serve.shapes.anthropic_replies import AnthropicErrorResponse
from tests.serve.anthropic_suite import WEATHER_TOOL
from tests.serve.conftest import inside, source_of
from tests.serve.test_serve_refusals import LM, shared

PATH = "/v1/messages"
COUNT = f"{PATH}/count_tokens"


def hello(**fields) -> dict:
    asked = {"model": "scripted", "max_tokens": 50}
    return {**asked, "messages": [{"role": "user", "content": "hi"}], **fields}


def user(*blocks) -> dict:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def said(*blocks) -> dict:
    return {"role": "assistant", "content": list(blocks)}


def picture(**source) -> dict:
    return {"type": "image", "source": source}


TEXT = {"type": "text", "text": "x"}
CALL = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "a", "content": "x"}
PLAIN = {"type": "text", "media_type": "text/plain", "data": "x"}
PLACE = "messages[0].content"

SHARED = [
    ({"mesages": []}, "mesages", "mean messages?"),
    ({"container": "c"}, "container", "no code"),
    ({"mcp_servers": []}, "mcp_servers", "calls no tools"),
    ({"context_management": {}}, "context_management", "nothing is dropped"),
    ({"inference_geo": "eu"}, "inference_geo", "where this server"),
    ({"output_format": {}}, "output_format", "output_config.format"),
    ({"output_config": {"effort": "lots"}}, "output_config.effort", "'low'"),
    ({"output_config": {"format": {"type": "text"}}}, "output_config.format.type", "json_schema"),
    ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens", "required"),
    ({"thinking": {"type": "adaptive", "display": "omitted"}}, "thinking.display", "'summarized'"),
    ({"messages": []}, "messages", "1"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0]", "'robot'"),
    ({"messages": [{"role": "user"}]}, PLACE, "required"),
    (user(), PLACE, "1"),
    (user({"type": "document", "source": {}}), f"{PLACE}[0].source", "PDFs"),
    (user(CALL), f"{PLACE}[0]", "'tool_use'"),
    (user({**TEXT, "txt": "x"}), f"{PLACE}[0].txt", "Unknown"),
    (user(RESULT), f"{PLACE}[0].tool_use_id", "'a'"),
    (user(picture(type="base64", media_type="image/png", data="%%")), f"{PLACE}[0].source.data",
     "base64"),
    (user(picture(type="base64", media_type="text/html", data="aaaa")),
     f"{PLACE}[0].source.media_type", "image/png"),
    (user(picture(type="url", url="ftp://x")), f"{PLACE}[0].source.url", "http"),
    (user(picture(type="file", file_id="f")), f"{PLACE}[0].source", "'file'"),
    ({"messages": [said(CALL), {"role": "user", "content": [TEXT, RESULT]}]},
     "messages[1].content[1]", "first"),
    ({"messages": [said(CALL), {"role": "user", "content": [
        {**RESULT, "content": [{"type": "search_result", "source": "x"}]}]}]},
     "messages[1].content[0].content[0]", "'search_result'"),
    (user({"type": "document", "citations": {"enabled": True}, "source": PLAIN}),
     f"{PLACE}[0].citations.enabled", "only false"),
    ({"messages": [said({"type": "redacted_thinking"})]}, f"{PLACE}[0].data", "requ"),
    ({"messages": [said({"type": "thinking", "thinking": "x"})]}, f"{PLACE}[0].signature", "requ"),
    ({"messages": [said({**CALL, "input": "{}"})]}, f"{PLACE}[0].input", "dictionary"),
    ({"messages": [said(CALL)]}, PLACE, "tool's result"),
    ({"system": []}, "system", "1"),
    ({"system": [CALL]}, "system[0].type", "'text'"),
    ({"tools": [{"name": "f"}]}, "tools[0].input_schema", "required"),
    ({"tools": [{"name": "has space", "input_schema": {}}]}, "tools[0].name", "pattern"),
    ({"tools": [{"name": "f", "input_schema": {"type": "array"}}]}, "tools[0].input_schema", "ob"),
    ({"tools": [WEATHER_TOOL, WEATHER_TOOL]}, "tools[1].name", "'weather'"),
    ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type", "custom"),
    ({"tool_choice": {"type": "auto"}}, "tool_choice", "needs tools"),
    ({"tools": [WEATHER_TOOL], "tool_choice": "auto"}, "tool_choice", '{"type": "auto"}'),
    ({"tools": [WEATHER_TOOL], "tool_choice": {"type": "required"}}, "tool_choice", "'required'"),
    ({"tools": [WEATHER_TOOL], "tool_choice": {"type": "tool", "name": "cook"}},
     "tool_choice.name", "weather"),
]  # fmt: skip

ASKING = [
    ({"max_tokens": None}, "max_tokens", ""),
    ({"max_tokens": 0}, "max_tokens", "1"),
    ({"temperature": 1.1}, "temperature", "1"),
    ({"top_p": 0}, "top_p", "0"),
    ({"top_k": -1}, "top_k", "0"),
    ({"stop_sequences": [""]}, "stop_sequences[0]", "1"),
    ({"stop_sequences": "END"}, "stop_sequences", "list"),
    ({"service_tier": "priority"}, "service_tier", "'auto'"),
    ({"n": 2}, "n", "Unknown"),
]


def check(answer, param: str, words: str) -> None:
    body = answer.json()
    assert answer.status_code == 400, body
    AnthropicErrorResponse.model_validate(body, strict=True)
    assert body["error"]["type"] == "invalid_request_error"
    assert body["error"]["details"]["param"] == param, body
    assert words in body["error"]["message"]
    assert body["request_id"] == answer.headers["request-id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(("fields", "param", "words"), SHARED + ASKING)
async def test_wrong_field_is_named(fields, param, words):
    LM.requests.clear()
    async with shared() as http:
        for stream in ({}, {"stream": True}):
            check(await http.post(PATH, json=hello(**stream, **fields)), param, words)
    assert not LM.requests


@pytest.mark.parametrize(("fields", "param", "words"), SHARED)
async def test_wrong_field_is_named_when_tokens_are_counted(fields, param, words):
    body = hello(**fields)
    del body["max_tokens"]
    async with shared() as http:
        check(await http.post(COUNT, json=body), param, words)


async def test_what_is_missing_or_of_the_other_call_is_named():
    async with shared() as http:
        body = hello()
        check(await http.post(COUNT, json=body), "max_tokens", "Unknown")
        del body["max_tokens"]
        check(await http.post(PATH, json=body), "max_tokens", "required")


SYSTEM = {"system": "Look."}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({**user(picture(type="url", url="https://example.org/a.png")), **SYSTEM}, PLACE),
        ({"tools": [WEATHER_TOOL]}, "tools"),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {}}}},
            "output_config.format",
        ),
        (user({"type": "text", "text": "x" * 200}), "messages"),
    ],
)
async def test_what_the_model_cannot_do_is_refused_in_the_calls_own_words(fields, param):
    lm = ScriptedLM(capabilities=Capabilities(context_length=100))
    async with inside(source_of(lm)) as http:
        answer = await http.post(PATH, json=hello(**fields))
    check(answer, param, "")
    assert "response_format" not in answer.json()["error"]["message"]


async def test_both_counts_of_a_prompt_that_is_too_long():
    lm = ScriptedLM(capabilities=Capabilities(context_length=100))
    async with inside(source_of(lm)) as http:
        answer = await http.post(PATH, json=hello(max_tokens=99))
    check(answer, "messages", "3 tokens and asks for 99 more")
    assert "100 tokens" in answer.json()["error"]["message"]


OTHERWISE = [
    ("POST", PATH, {}, b"{", 400, "invalid_request_error", "invalid_json"),
    ("POST", PATH, {"content-type": "text/plain"}, b"{}", 415, "invalid_request_error", None),
    ("POST", PATH, {"host": "evil.org"}, b"{}", 421, "invalid_request_error", "foreign_host"),
    ("POST", PATH, {"origin": "http://a.b"}, b"{}", 403, "permission_error", "foreign_origin"),
    ("POST", PATH, {}, b" " * 2000, 413, "request_too_large", "body_too_long"),
    ("GET", PATH, {}, b"", 405, "invalid_request_error", "method_not_allowed"),
    ("POST", f"{PATH}/batches", {}, b"{}", 404, "not_found_error", "not_found"),
    ("POST", "/v1/messagesx", {}, b"{}", 404, None, "not_found"),
]


@pytest.mark.parametrize(
    ("method", "path", "headers", "content", "status", "kind", "code"), OTHERWISE
)
async def test_every_refusal_below_the_path_has_anthropics_shape(
    method, path, headers, content, status, kind, code
):
    sent = {"content-type": "application/json", "anthropic-version": "2023-06-01", **headers}
    async with inside(source_of(LM), ServerSettings(max_body_bytes=1000)) as http:
        answer = await http.request(method, path, headers=sent, content=content)
    assert answer.status_code == status
    if kind is None:
        assert answer.json()["error"]["code"] == code
        return
    body = answer.json()
    AnthropicErrorResponse.model_validate(body, strict=True)
    assert body["error"]["type"] == kind
    assert code in (None, body["error"]["details"]["error_code"])


async def test_a_model_that_is_not_there():
    async with inside(source_of(LM)) as http:
        for path in (PATH, COUNT):
            body = hello(model="nobody")
            if path == COUNT:
                del body["max_tokens"]
            answer = await http.post(path, json=body)
            error = answer.json()["error"]
            assert (answer.status_code, error["type"]) == (404, "not_found_error")
            assert error["details"] == {"error_code": "model_not_found", "param": "model"}


async def test_null_is_as_good_as_absent():
    taken = ("system", "tools", "tool_choice", "thinking", "metadata", "container", "output_config")
    async with inside(source_of(ScriptedLM("Yes."))) as http:
        answer = await http.post(PATH, json=hello(**dict.fromkeys(taken)))
    assert answer.status_code == 200, answer.text


async def test_a_base_url_that_ends_in_v1_says_so():
    async with inside(source_of(LM)) as http:
        answer = await http.post("/v1/v1/messages", json=hello())
    assert answer.status_code == 404
    message = answer.json()["error"]["message"]
    assert "Did you mean /v1/messages?" in message
    assert "without it" in message
