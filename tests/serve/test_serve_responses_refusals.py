"""What `/v1/responses` refuses, with the field that it names."""

from __future__ import annotations

import base64

import pytest

from kataribe.base.lm import Capabilities
from kataribe.run.providers import ScriptedLM
from tests.serve.conftest import inside, source_of
from tests.serve.responses_suite import WEATHER_TOOL
from tests.serve.test_serve_refusals import LM, shared

PATH = "/v1/responses"


def hello(**fields) -> dict:
    return {"model": "scripted", "input": "hi", **fields}


def items(*given) -> dict:
    return {"input": list(given)}


def user(content) -> dict:
    return items({"role": "user", "content": content})


def file(data: bytes | None = None, **fields) -> dict:
    if data is not None:
        fields["file_data"] = base64.b64encode(data).decode()
    return user([{"type": "input_file", **fields}])


def form(value) -> dict:
    return {"text": {"format": value}}


CALL = {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}
ANSWER = {"type": "function_call_output", "call_id": "a", "output": "x"}
SEE = [{"type": "input_image", "image_url": "ftp://x"}]

WRONG = [
    ({"temprature": 1}, "temprature", "mean temperature?"),
    ({"max_tokens": 1}, "max_tokens", "Unknown field"),
    ({"previous_response_id": "resp_1"}, "previous_response_id", "are kept"),
    ({"conversation": "conv_1"}, "conversation", "no conversation is kept"),
    ({"prompt": {"id": "p"}}, "prompt", "no prompts are kept"),
    ({"reasoning": {"effort": "lots"}}, "reasoning.effort", "'none'"),
    ({"context_management": []}, "context_management", "nothing is dropped"),
    ({"max_tool_calls": 0}, "max_tool_calls", "1"),
    ({"moderation": {"model": "m"}}, "moderation", "moderates nothing"),
    ({"background": True}, "background", "only false"),
    ({"background": 0}, "background", "boolean"),
    ({"truncation": "auto"}, "truncation", "'disabled'"),
    ({"include": ["reasoning.text"]}, "include[0]", "logprobs"),
    ({"top_logprobs": 3}, "top_logprobs", "include"),
    ({"stream_options": {"include_obfuscation": False}}, "stream_options", "stream: true"),
    ({"temperature": 2.1}, "temperature", "2"),
    ({"top_p": 0}, "top_p", "0"),
    ({"max_output_tokens": 0}, "max_output_tokens", "1"),
    ({"input": []}, "input", "1"),
    ({"input": None}, "input", ""),
    ({"input": 5}, "input", ""),
    (items({"type": "item_reference", "id": "x"}), "input[0]", "are kept"),
    (items({"type": "web_search_call"}), "input[0]", "function_call_output"),
    (items(5), "input[0]", "an item is"),
    (items({"role": "robot", "content": "x"}), "input[0].role", "'user'"),
    (items({"type": "reasoning", "summary": []}), "input", "none with words"),
    (
        items({"type": "reasoning", "summary": [], "encrypted_content": 5}),
        "input[0].encrypted_content",
        "string",
    ),
    (items(ANSWER), "input[0].call_id", "'a'"),
    (items(ANSWER, CALL), "input[0].call_id", "no earlier"),
    (items({**CALL, "arguments": {}}), "input[0].arguments", "string"),
    (items({**CALL, "nam": "f"}), "input[0].nam", "Unknown"),
    (user(SEE), "input[0].content[0].image_url", "http"),
    (user([{**SEE[0], "file_id": "f"}]), "input[0].content[0].file_id", "Unknown"),
    (file(file_id="f"), "input[0].content[0].file_id", "keeps no files"),
    (file(file_url="https://x"), "input[0].content[0].file_url", "fetches no files"),
    (file(), "input[0].content[0].file_data", "no file in it"),
    (file(file_data="%%%"), "input[0].content[0].file_data", "not base64"),
    (file(file_data="data:text/plain,hi"), "input[0].content[0].file_data", "data:TYPE;base64"),
    (file(file_data="data:text/plain;base64,"), "input[0].content[0].file_data", "is empty"),
    (
        file(b"%PDF-1.7 x", filename="a.pdf"),
        "input[0].content[0].file_data",
        "a.pdf (10 bytes) is a PDF",
    ),
    (file("日本語".encode("shift_jis")), "input[0].content[0].file_data", "no text in UTF-8"),
    (file(b"a\0b"), "input[0].content[0].file_data", "control characters"),
    (file(b"x", detail="huge"), "input[0].content[0].detail", "'auto'"),
    (
        items(CALL, {**ANSWER, "output": [{"type": "input_file", "file_id": "f"}]}),
        "input[1].output[0].file_id",
        "keeps no files",
    ),
    (user([]), "input[0].content", "1"),
    (
        items({"role": "system", "content": [{**SEE[0], "image_url": "https://x"}]}),
        "input[0].content[0]",
        "words only",
    ),
    ({"tool_choice": "required"}, "tool_choice", "needs tools"),
    ({"tools": [WEATHER_TOOL, WEATHER_TOOL]}, "tools[1].name", "'weather'"),
    ({"tools": [{**WEATHER_TOOL, "parameters": {"type": "array"}}]}, "tools[0].parameters", "obj"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type", "function"),
    (
        {"tools": [WEATHER_TOOL], "tool_choice": {"type": "function", "name": "cook"}},
        "tool_choice",
        "'cook'",
    ),
    (
        {
            "tools": [WEATHER_TOOL],
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "cook"}],
            },
        },
        "tool_choice.tools",
        "'cook'",
    ),
    (
        {"tools": [WEATHER_TOOL], "tool_choice": {"type": "custom", "name": "x"}},
        "tool_choice",
        '{"type": "function", "name": ...}',
    ),
    (form({"type": "xml"}), "text.format", "has the type 'xml', but must be"),
    (form({"type": "json_schema", "name": "x"}), "text.format.schema", "required"),
    ({"text": {"verbosity": "lots"}}, "text.verbosity", "'medium'"),
]


@pytest.mark.parametrize(("fields", "param", "words"), WRONG)
async def test_wrong_field_is_named(fields, param, words):
    LM.requests.clear()
    async with shared() as http:
        for stream in ({}, {} if "stream_options" in fields else {"stream": True}):
            answer = await http.post(PATH, json=hello(**{**stream, **fields}))
            error = answer.json()["error"]
            assert (answer.status_code, error["param"]) == (400, param), error
            assert error["type"] == "invalid_request_error"
            assert words in error["message"]
    assert not LM.requests


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (
            {
                **user([{"type": "input_image", "image_url": "https://example.org/a.png"}]),
                "instructions": "Look.",
            },
            "input[0].content",
        ),
        ({"tools": [WEATHER_TOOL]}, "tools"),
        ({"include": ["message.output_text.logprobs"]}, "include"),
        (form({"type": "json_object"}), "text.format"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"input": "x" * 200}, "input"),
    ],
)
async def test_what_the_model_cannot_do_is_refused_in_the_calls_own_words(fields, param):
    lm = ScriptedLM(capabilities=Capabilities(context_length=100))
    async with inside(source_of(lm)) as http:
        error = (await http.post(PATH, json=hello(**fields))).json()["error"]
    assert error["param"] == param
    for name in ("messages[", "response_format"):
        assert name not in error["message"]


async def test_null_is_as_good_as_absent():
    taken = ("previous_response_id", "reasoning", "prompt", "instructions", "tools", "text")
    async with inside(source_of(ScriptedLM("Yes."))) as http:
        answer = await http.post(PATH, json=hello(**dict.fromkeys(taken)))
    assert answer.status_code == 200, answer.text
