"""What agents meet at hosts: odd streams of calls, pictures from tools, wishes to think."""

from __future__ import annotations

import json

import pytest
from asking import ASK, check_protocol, events_of, model_at
from host_server import Answer, host
from official_bodies import check_body
from speaking import SPEAK, Said, unnamed

from kataribe.base.errors import UnsupportedError
from kataribe.base.events import Citation
from kataribe.base.lm import JsonFormat, Request, Thinking, reply_sync
from kataribe.base.messages import (
    ImagePart,
    Message,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    from_json,
    text_message,
    to_json,
)

WORDS = Said(pieces=("Yes.",))
DONE = b"data: [DONE]\n\n"
OPEN = {"type": "object", "properties": {"city": {"type": "string"}}}
CLOSED = {**OPEN, "required": ["city"], "additionalProperties": False}
PNG = ImagePart("image/png", b"png")


def asked(wire: str, request: Request, **fields) -> dict:
    """The body that the host is sent; one for the wire's own host is as its package wants it."""
    with host(Answer(SPEAK[wire](WORDS))) as server:
        reply_sync(model_at(server, wire, **fields), request)
        body = server.received[0].body
    if "host" not in fields:
        check_body(wire, body)
    return body


def delta(reason: str | None = None, **said) -> bytes:
    return unnamed({"choices": [{"index": 0, "delta": said, "finish_reason": reason}]})


def piece(index: int, arguments: str, id_: str | None = None, name: str | None = None) -> bytes:
    function = {"arguments": arguments, **({"name": name} if name else {})}
    call = {"index": index, "function": function, **({"id": id_} if id_ else {})}
    return delta(tool_calls=[call])


async def calls_of(*pieces: bytes) -> list[tuple[str, str, str]]:
    with host(Answer([*pieces, delta("tool_calls"), DONE])) as server:
        (end,) = check_protocol(await events_of(model_at(server, "chat")))
    return [
        (part.id, part.name, part.arguments)
        for part in end.message.parts
        if isinstance(part, ToolCallPart)
    ]


TWO = [("a", "f", '{"x": 1}'), ("b", "g", '{"y": 2}')]


async def test_a_new_id_under_the_same_number_is_a_new_call():
    whole = [piece(0, arguments, id_, name) for id_, name, arguments in TWO]
    assert await calls_of(*whole) == TWO
    in_pieces = [
        piece(0, '{"x"', "a", "f"), piece(0, ": 1}"), piece(0, '{"y"', "b", "g"), piece(0, ": 2}"),
    ]  # fmt: skip
    assert await calls_of(*in_pieces) == TWO
    by_id = [
        piece(0, '{"x"', "a", "f"), piece(0, '{"y"', "b", "g"),
        piece(0, ": 1}", "a"), piece(0, ": 2}", "b"),
    ]  # fmt: skip
    assert await calls_of(*by_id) == TWO


async def test_ids_that_come_with_every_piece_begin_no_new_call():
    same = [piece(0, '{"x"', "a", "f"), piece(0, ": 1}", "a", "f")]
    assert await calls_of(*same) == TWO[:1]
    other = [piece(0, '{"x"', "a", "f"), piece(0, ": 1}", "z")]  # without a name it is no call
    assert await calls_of(*other) == TWO[:1]


async def test_a_note_that_is_no_address_is_passed_over():
    cited = {"url": "https://x", "title": "X", "start_index": 0, "end_index": 2}
    notes = [
        {"type": "file_citation", "file_citation": {"file_id": "f"}},
        {"type": "url_citation", "url_citation": cited},
        {"type": "yet_unknown"},
    ]
    pieces = [delta(content="It"), delta(annotations=notes), delta("stop"), DONE]
    with host(Answer(pieces)) as server:
        events = await events_of(model_at(server, "chat"))
    check_protocol(events)
    assert [e for e in events if isinstance(e, Citation)] == [Citation("https://x", 0, 2, "X")]


@pytest.mark.parametrize(("schema", "strict"), [(OPEN, False), (CLOSED, True)])
def test_only_a_schema_that_hosts_can_enforce_is_strict(schema, strict):
    request = Request(ASK.prompt, response_format=JsonFormat(schema, "place"))
    assert asked("chat", request)["response_format"]["json_schema"]["strict"] is strict
    assert asked("responses", request)["text"]["format"]["strict"] is strict


def test_white_space_alone_is_no_block_for_anthropic():
    call = ToolCallPart("1", "f", "{}")
    turns = (
        text_message("system", "\n"),
        text_message("user", "hi"),
        Message("assistant", (TextPart("\n\n"), call)),
        Message("tool", (ToolResultPart("1", "x"),)),
    )
    body = asked("anthropic", Request(turns))
    assert "system" not in body
    assert [block["type"] for block in body["messages"][1]["content"]] == ["tool_use"]


SHOWN = (
    text_message("user", "Look."),
    Message("assistant", (ToolCallPart("1", "f", "{}"), ToolCallPart("2", "g", "{}"))),
    Message("tool", (ToolResultPart("1", "seen", images=(PNG,)),)),
    Message("tool", (ToolResultPart("2", "heard"),)),
    text_message("user", "And?"),
)


def test_pictures_of_tools_reach_each_host():
    chat = asked("chat", Request(SHOWN))["messages"]
    assert [turn["role"] for turn in chat] == [
        "user", "assistant", "tool", "tool", "user", "user",
    ]  # fmt: skip
    words, picture = chat[4]["content"]
    assert "(1)" in words["text"]  # answers of tools are words there; their pictures come after
    assert picture["image_url"]["url"] == "data:image/png;base64,cG5n"
    first = asked("responses", Request(SHOWN))["input"][3]
    assert [part["type"] for part in first["output"]] == ["input_text", "input_image"]
    results = asked("anthropic", Request(SHOWN))["messages"][2]["content"]
    assert [block["type"] for block in results[0]["content"]] == ["text", "image"]
    assert results[1]["content"] == "heard"
    parts = asked("gemini", Request(SHOWN))["contents"][2]["parts"]
    assert [next(iter(part)) for part in parts] == [
        "functionResponse", "inlineData", "functionResponse", "text",
    ]  # fmt: skip


def test_a_picture_says_how_closely_to_look():
    close = ImagePart("image/png", b"png", detail="low")
    turn = (Message("user", (close, PNG)),)
    low, plain = asked("chat", Request(turn))["messages"][0]["content"]
    assert (low["image_url"]["detail"], "detail" in plain["image_url"]) == ("low", False)
    content = asked("responses", Request(turn))["input"][0]["content"]
    assert [part["detail"] for part in content] == ["low", "auto"]


@pytest.mark.parametrize("message", [*SHOWN, Message("user", (ImagePart("a/b", b"", detail="x"),))])
def test_what_is_new_in_messages_is_kept_as_json(message):
    assert from_json(json.loads(json.dumps(to_json(message)))) == message


def wish(**fields) -> Request:
    return Request(ASK.prompt, thinking=Thinking(**fields))


def test_wishes_to_think_in_the_words_of_each_host():
    on, off = wish(wanted=True), wish(wanted=False)
    hard, within = wish(wanted=True, effort="high"), wish(wanted=True, tokens=2048)
    assert asked("anthropic", on)["thinking"]["type"] == "adaptive"
    assert asked("anthropic", off)["thinking"] == {"type": "disabled"}
    assert asked("anthropic", hard)["output_config"] == {"effort": "high"}
    budget = asked("anthropic", within)["thinking"]
    assert (budget["type"], budget["budget_tokens"]) == ("enabled", 2048)
    assert asked("responses", on)["reasoning"] == {"summary": "auto"}
    assert asked("responses", off)["reasoning"] == {"effort": "none"}
    assert asked("responses", hard)["reasoning"] == {"summary": "auto", "effort": "high"}
    quick = asked("responses", wish(wanted=False, effort="minimal"))
    assert quick["reasoning"] == {"effort": "minimal"}
    settings = asked("gemini", within)["generationConfig"]["thinkingConfig"]
    assert settings == {"includeThoughts": True, "thinkingBudget": 2048}


def test_a_wish_to_think_is_refused_by_no_host():
    for request in (wish(wanted=True, effort="high"), wish(wanted=False)):
        body = asked("chat", request)
        assert not body.keys() & {"chat_template_kwargs", "reasoning_effort"}
    vllm = asked("chat", wish(wanted=False), host="vllm")
    assert vllm["chat_template_kwargs"] == {"enable_thinking": False}
    kataribe = [
        asked("chat", request, host="kataribe").get("reasoning_effort")
        for request in (wish(wanted=True), wish(wanted=False), wish(wanted=True, effort="low"))
    ]
    assert kataribe == ["medium", "none", "low"]
    with pytest.raises(UnsupportedError):  # what is said of the template is more than a wish
        asked("chat", Request(ASK.prompt, template={"enable_thinking": True}))


@pytest.mark.parametrize("verbosity", ["low", "high"])
def test_verbosity_goes_to_hosts_that_have_the_dial(verbosity):
    request = Request(ASK.prompt, verbosity=verbosity)
    assert asked("chat", request)["verbosity"] == verbosity
    assert asked("chat", request, host="kataribe")["verbosity"] == verbosity
    assert asked("responses", request)["text"] == {"verbosity": verbosity}
    formed = Request(ASK.prompt, verbosity=verbosity, response_format=JsonFormat(CLOSED))
    text = asked("responses", formed)["text"]
    assert (text["verbosity"], text["format"]["type"]) == (verbosity, "json_schema")
    assert "verbosity" not in asked("chat", ASK)
    assert "text" not in asked("responses", ASK)


@pytest.mark.parametrize(
    ("wire", "fields"),
    [("chat", {"host": "vllm"}), ("chat", {"host": "ollama"}), ("anthropic", {}), ("gemini", {})],
)
def test_verbosity_is_refused_where_hosts_have_no_dial(wire, fields):
    with pytest.raises(UnsupportedError, match="no dial for verbosity") as refused:
        asked(wire, Request(ASK.prompt, verbosity="low"), **fields)
    assert refused.value.param == "verbosity"
