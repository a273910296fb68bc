"""What the API refuses, with the status, the code and the field that it names."""

from __future__ import annotations

import base64
import json
from contextlib import asynccontextmanager

import httpx
import pytest

from kataribe.base.lm import Capabilities
from kataribe.base.messages import ImagePart, TextPart
from kataribe.run.providers import ScriptedLM
from kataribe.serve.app import create_app
from kataribe.serve.settings import ServerSettings
from tests.serve.conftest import WEATHER, hello, inside, source_of

CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
PLAIN = Capabilities(context_length=100)


def user(content) -> dict:
    return {"messages": [{"role": "user", "content": content}]}


def picture(url: str) -> dict:
    return user([{"type": "image_url", "image_url": {"url": url}}])


def choose(choice, **more) -> dict:
    return {"tools": [WEATHER], "tool_choice": choice, **more}


def named(name: str) -> dict:
    return {"type": "function", "function": {"name": name}}


def shaped(parameters) -> dict:
    return {"tools": [{"type": "function", "function": {"name": "f", "parameters": parameters}}]}


WRONG = [
    ({"temprature": 1}, "temprature", "unknown_field", "mean temperature?"),
    ({"max_token": 1}, "max_token", "unknown_field", "mean max_tokens?"),
    ({"messages": [{"role": "user", "contents": "x"}]}, "messages[0].contents", None, "content"),
    (
        user([{"type": "text", "text": "x", "txt": "y"}]),
        "messages[0].content[0].txt",
        "unknown_field",
        "mean text?",
    ),
    (user([{"type": "text", "text": 5}]), "messages[0].content[0].text", None, "is 5: "),
    (user([{"type": "text"}]), "messages[0].content[0].text", "missing_field", "required"),
    ({"audio": {"voice": "x"}}, "audio", "unsupported", "text"),
    ({"prediction": {}}, "prediction", "unsupported", "predicted"),
    ({"web_search_options": {}}, "web_search_options", "unsupported", "web"),
    ({"functions": []}, "functions", "unsupported", "tools"),
    ({"function_call": "auto"}, "function_call", "unsupported", "tool_choice"),
    ({"reasoning_effort": "lots"}, "reasoning_effort", None, "'none'"),
    ({"guided_json": {}}, "guided_json", "unsupported", "structured_outputs"),
    ({"modalities": ["audio"]}, "modalities[0]", None, "text"),
    ({"temperature": 2.1}, "temperature", None, "2"),
    ({"temperature": "1"}, "temperature", None, "number"),
    ({"temperature": True}, "temperature", None, "number"),
    ({"top_p": 0}, "top_p", None, "0"),
    ({"top_k": -1}, "top_k", None, "0"),
    ({"min_p": 1.5}, "min_p", None, "1"),
    ({"repetition_penalty": 0}, "repetition_penalty", None, "0"),
    ({"repetition_penalty": 1e-300}, "repetition_penalty", None, "0.01"),
    ({"presence_penalty": -3}, "presence_penalty", None, "-2"),
    ({"frequency_penalty": 3}, "frequency_penalty", None, "2"),
    ({"max_tokens": 0}, "max_tokens", None, "1"),
    ({"max_tokens": 2**40}, "max_tokens", None, "2147483648"),
    ({"max_tokens": 4, "max_completion_tokens": 5}, "max_tokens", None, "both"),
    ({"max_tokens": 4, "min_tokens": 5}, "min_tokens", None, "5"),
    ({"n": 0}, "n", None, "1"),
    ({"n": 129}, "n", None, "128"),
    ({"n": 1.5}, "n", None, "integer"),
    ({"seed": 2**63}, "seed", None, ""),
    ({"stop": ""}, "stop", None, "1 character"),
    ({"stop": ["x"] * 17}, "stop", None, "16"),
    ({"logit_bias": {"a": 1}}, "logit_bias.a", None, "pattern"),
    ({"logit_bias": {"1": 101}}, "logit_bias.1", None, "100"),
    ({"top_logprobs": 2}, "top_logprobs", None, "logprobs: true"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", None, "20"),
    ({"stream_options": {"include_usage": True}}, "stream_options", None, "stream: true"),
    (
        {"stream": True, "stream_options": {"include_obfuscation": True}},
        "stream_options.include_obfuscation",
        None,
        "False",
    ),
    ({"messages": []}, "messages", None, "1"),
    ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0]", None, "'robot'"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_field", "required"),
    ({"messages": [{"role": "user", "content": []}]}, "messages[0].content", None, "1"),
    ({"messages": [{"role": "assistant"}]}, "messages[0].content", None, "tool_calls"),
    (user([{"type": "file", "file": {}}]), "messages[0].content[0]", None, "'file'"),
    (picture("ftp://x"), "messages[0].content[0].image_url.url", None, "http"),
    (picture("data:image/png;base64,%%"), "messages[0].content[0].image_url.url", None, "base64"),
    (picture("data:text/html;base64,aaaa"), "messages[0].content[0].image_url.url", None, "image"),
    ({"tool_choice": "auto"}, "tool_choice", None, "needs tools"),
    ({"tool_choice": "none"}, "tool_choice", None, "needs tools"),
    ({"tools": [], "tool_choice": "required"}, "tool_choice", None, "needs tools"),
    ({"parallel_tool_calls": False}, "parallel_tool_calls", None, "needs tools"),
    ({"tools": [WEATHER, WEATHER]}, "tools[1].function.name", None, "'weather'"),
    (choose(named("cook")), "tool_choice", None, "'cook'"),
    (
        choose(
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [named("cook")]},
            }
        ),
        "tool_choice.allowed_tools.tools",
        None,
        "weather",
    ),
    (choose("sometimes"), "tool_choice", None, "required"),
    (choose("sometimes"), "tool_choice", None, 'is "sometimes", but must be'),
    (choose({}), "tool_choice", None, '"function": {"name"'),
    (choose({"name": "weather"}), "tool_choice", None, '"allowed_tools": {"mode"'),
    (choose(5), "tool_choice", None, "is 5, but must be"),
    (choose({"type": "tool"}), "tool_choice", None, "has the type 'tool', but must be"),
    (choose({"type": "function"}), "tool_choice.function", "missing_field", "required"),
    (choose({"type": "function", "function": {"name": 5}}), "tool_choice.function.name", None, "5"),
    ({"response_format": "json"}, "response_format", None, "json_schema"),
    (shaped({"type": "array", "items": {}}), "tools[0].function.parameters", None, "'f'"),
    (shaped({"type": ["string", "null"]}), "tools[0].function.parameters", None, "an object"),
    (shaped({"enum": ["a"]}), "tools[0].function.parameters", None, "an object"),
    (
        shaped({"anyOf": [{"type": "string"}, {"const": 1}]}),
        "tools[0].function.parameters",
        None,
        "",
    ),
    ({"temperature": 2.5}, "temperature", None, "is 2.5: "),
    ({"n": 500}, "n", None, "is 500: "),
    ({"max_tokens": -7}, "max_tokens", None, "is -7: "),
    ({"top_k": "many"}, "top_k", None, 'is "many": '),
    ({"logit_bias": {"7": -101}}, "logit_bias.7", None, "is -101: "),
    ({"stop": ["a", 5]}, "stop[1]", None, "is 5: "),
    ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0].type", None, "function"),
    ({"tools": [named("has space")]}, "tools[0].function.name", None, "pattern"),
    (
        {"messages": [{"role": "tool", "content": "x", "tool_call_id": "b"}]},
        "messages[0].tool_call_id",
        None,
        "'b'",
    ),
    (
        {
            "messages": [
                {"role": "tool", "content": "x", "tool_call_id": "a"},
                {"role": "assistant", "tool_calls": [CALL]},
            ]
        },
        "messages[0].tool_call_id",
        None,
        "no earlier",
    ),
    (
        {
            "messages": [
                {"role": "assistant", "tool_calls": [CALL]},
                {"role": "tool", "content": "x", "tool_call_id": "a", "name": "g"},
            ]
        },
        "messages[1].name",
        None,
        "'f'",
    ),
    (
        {"messages": [{"role": "user", "content": "x", "name": "Ann"}]},
        "messages[0].name",
        "unsupported",
        "content",
    ),
    ({"model": "x" * 257}, "model", None, "256"),
    ({"continue_final_message": True}, "continue_final_message", None, "assistant"),
    ({"response_format": {"type": "xml"}}, "response_format", None, "'xml'"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x"}}},
        "response_format.json_schema.schema",
        "unsupported",
        "json_object",
    ),
    (
        {"response_format": {"type": "json_object"}, "structured_outputs": {"regex": "a"}},
        "structured_outputs",
        None,
        "both",
    ),
    ({"structured_outputs": {}}, "structured_outputs", None, "exactly one"),
    (
        {"structured_outputs": {"regex": "a", "grammar": "b"}},
        "structured_outputs",
        None,
        "exactly one",
    ),
]


LM = ScriptedLM()
APP = create_app(source_of(LM), ServerSettings(default_model="scripted"))


@asynccontextmanager
async def shared():
    """A client of one application for many tests: building one takes a while."""
    transport = httpx.ASGITransport(APP)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        yield http


@pytest.mark.parametrize(("fields", "param", "code", "words"), WRONG)
async def test_wrong_field_is_named(fields, param, code, words):
    LM.requests.clear()
    async with shared() as http:
        for stream in ({}, {} if "stream_options" in fields else {"stream": True}):
            answer = await http.post("/v1/chat/completions", json=hello(**{**stream, **fields}))
            error = answer.json()["error"]
            assert (answer.status_code, error["param"]) == (400, param), error
            assert error["type"] == "invalid_request_error"
            assert code in (None, error["code"])
            assert words in error["message"]
    assert not LM.requests


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (picture("data:image/png;base64,aaaa"), "messages[0].content"),
        (
            user([{"type": "input_audio", "input_audio": {"data": "aaaa", "format": "wav"}}]),
            "messages[0].content",
        ),
        ({"tools": [WEATHER]}, "tools"),
        ({"logprobs": True}, "logprobs"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"structured_outputs": {"choice": ["a"]}}, "response_format"),
    ],
)
async def test_what_the_model_cannot_do_is_refused(fields, param):
    lm = ScriptedLM(capabilities=PLAIN)
    async with inside(source_of(lm)) as http:
        answer = await http.post("/v1/chat/completions", json=hello(**fields))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "unsupported", param)
    assert "scripted" in error["message"]
    assert not lm.requests


async def test_prompt_longer_than_the_context_says_both_counts():
    lm = ScriptedLM(capabilities=Capabilities(context_length=50, raw_prompt=True))
    async with inside(source_of(lm)) as http:
        chat = await http.post("/v1/chat/completions", json=hello(**user("x" * 60)))
        bare = await http.post("/v1/completions", json={"model": "scripted", "prompt": "x" * 60})
    for answer, param in ((chat, "messages"), (bare, "prompt")):
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (400, "context_length_exceeded")
        assert error["param"] == param
        assert "50 tokens" in error["message"]
        assert "6" in error["message"]


NESTED = b'{"model":"scripted","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
SURROGATE = b'{"model":"scripted","messages":[{"role":"user","content":"\\ud83d"}]}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"{'model': 1}",
        b'{"model": NaN}',
        b"\xff\xfe",
        NESTED,
        b'{"a":' * 50_000,
        SURROGATE,
        b'{"chat_template_kwargs": {"x": "\\udc00"}}',
    ],
    ids=range(11),
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions", "/tokenize"])
async def test_malformed_json(path, body):
    async with shared() as http:
        answer = await http.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "invalid_json"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=shift_jis"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
async def test_wrong_content_type(headers):
    async with shared() as http:
        answer = await http.post(
            "/v1/chat/completions", content=json.dumps(hello()), headers=headers
        )
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "unsupported_media_type"


async def test_nul_and_any_other_character_reach_the_model_unchanged():
    lm = ScriptedLM(lambda request: request.prompt[0].parts[0].text)
    text = "\0 \x1b \u2028 日本 🎌 \ufffe"
    async with inside(source_of(lm)) as http:
        answer = await http.post("/v1/chat/completions", json=hello(**user(text)))
    assert answer.json()["choices"][0]["message"]["content"] == text


async def test_fields_that_cannot_change_the_answer_are_taken():
    taken = {
        "user": "u",
        "metadata": {"a": "b"},
        "store": True,
        "service_tier": "auto",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "modalities": ["text"],
        "audio": None,
        "functions": None,
        "n": 2.0,
    }
    lm = ScriptedLM()
    async with inside(source_of(lm)) as http:
        answer = await http.post("/v1/chat/completions", json=hello(**taken))
    assert answer.status_code == 200
    assert len(answer.json()["choices"]) == 2
    assert lm.requests[0].context.user == "u"


@pytest.mark.parametrize("fields", [{"x" * 1_000_000: 1}, {"tool_choice": "x" * 1_000_000}])
async def test_an_error_does_not_send_back_what_was_sent(fields):
    async with inside(source_of(ScriptedLM())) as http:
        answer = await http.post("/v1/chat/completions", json=hello(**fields))
    assert answer.status_code == 400
    assert len(answer.content) < 5000


async def test_an_unknown_kind_of_events_is_refused():
    async with inside(source_of(ScriptedLM())) as http:
        headers = {"X-Kataribe-Events": "everything"}
        answer = await http.post("/v1/chat/completions", json=hello(), headers=headers)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "X-Kataribe-Events")


async def test_images_reach_a_model_that_sees():
    lm = ScriptedLM()
    png = base64.b64encode(b"\x89PNG").decode()
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png}"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]
    async with inside(source_of(lm)) as http:
        answer = await http.post("/v1/chat/completions", json=hello(**user(content)))
    assert answer.status_code == 200
    assert lm.requests[0].prompt[0].parts == (
        TextPart("What is this?"),
        ImagePart("image/png", b"\x89PNG"),
        ImagePart("image/*", url="https://example.org/a.png"),
    )


async def test_unknown_paths_and_methods():
    async with inside(source_of(ScriptedLM())) as http:
        for path in ("/v1/nothing", "/api/tags", "/studio/api/nothing", "/docs/nothing"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
        answer = await http.get("/v1/chat/completions")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert answer.json()["error"]["code"] == "method_not_allowed"


async def test_unexpected_error_shows_a_number_and_no_insides(caplog):
    lm = ScriptedLM(ZeroDivisionError("secret inside"))
    async with inside(source_of(lm)) as http:
        answer = await http.post("/v1/chat/completions", json=hello())
    assert answer.status_code == 500
    assert "secret" not in answer.text
    number = answer.headers["x-request-id"]
    assert number in answer.json()["error"]["message"]
    assert any(number in line.getMessage() and line.exc_info for line in caplog.records)


def test_body_over_the_limit_is_refused_unread(live):
    server = live(ScriptedLM(), max_body_bytes=100_000)
    sent = 0

    def endless():
        nonlocal sent
        for _ in range(200):
            sent += 1_000_000
            yield b" " * 1_000_000

    kind = {"content-type": "application/json"}
    with httpx.Client(base_url=server.url) as http:
        chunked = http.post("/v1/chat/completions", content=endless(), headers=kind)
        long = http.post(
            "/v1/chat/completions",
            content=endless(),
            headers={**kind, "content-length": "200000000"},
        )
    for answer in (chunked, long):
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "body_too_long"
        assert "100000 bytes" in answer.json()["error"]["message"]
    assert ServerSettings().max_body_bytes == 32 * 1024 * 1024


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"properties": {"a": {}}},
        {"type": ["object", "null"], "properties": {"a": {}}},
        {"anyOf": [{"type": "null"}, {"type": "object"}]},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "object"}}},
    ],
)
async def test_parameters_that_may_be_an_object_are_taken(parameters):
    async with inside(source_of(ScriptedLM("Yes."))) as http:
        answer = await http.post("/v1/chat/completions", json=hello(**shaped(parameters)))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/models"),
        ("GET", "/models/scripted"),
        ("POST", "/chat/completions"),
        ("POST", "/completions"),
    ],
)
async def test_an_address_without_v1_says_what_was_meant(method, path):
    async with shared() as http:
        for accept in ("application/json", "*/*"):
            answer = await http.request(method, path, json={}, headers={"accept": accept})
            assert answer.status_code == 404
            message = answer.json()["error"]["message"]
            assert f"Did you mean /v1{path}?" in message
            assert "base URL of this API ends in /v1" in message


async def test_addresses_that_are_nowhere_get_no_such_hint():
    async with shared() as http:
        for path in ("/chats", "/v1/chat", "/v1/v1/models"):
            answer = await http.post(path, json={})
            assert "See /docs" in answer.json()["error"]["message"]


async def test_a_browser_gets_the_studios_page_for_the_same_address(tmp_path):
    (tmp_path / "index.html").write_text("<html>studio</html>")
    app = create_app(source_of(LM), ServerSettings(studio=tmp_path))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost"
    ) as http:
        browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
        page = await http.get("/models", headers=browser)
        assert (page.status_code, page.text) == (200, "<html>studio</html>")
        assert (await http.get("/models")).status_code == 404
        assert (await http.get("/chat/abc")).text == "<html>studio</html>"
