"""All four wires: what a host says arrives as events, and what is asked arrives at the host."""

from __future__ import annotations

import json
import math

import pytest
from asking import ASK, KEY, WIRES, check_protocol, events_of, model_at
from host_server import Answer, host
from official_bodies import check_body
from speaking import SPEAK, Said, unnamed

from kataribe.base.errors import InputError, UnsupportedError
from kataribe.base.events import Citation, ReasoningDelta, TextDelta, ToolCallDelta, Usage
from kataribe.base.lm import (
    LM,
    ChoiceFormat,
    GrammarFormat,
    JsonFormat,
    RegexFormat,
    Request,
    Sampling,
    ToolChoice,
    ToolSpec,
    reply_sync,
)
from kataribe.base.messages import (
    AudioPart,
    ImagePart,
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    from_json,
    text_message,
    text_of,
    to_json,
)

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = ToolSpec("weather", "The weather of a city.", SCHEMA)
LOOSE = ToolSpec("clock", "", {"type": "object", "properties": {"zone": {"type": "string"}}})
WORDS = Said(pieces=("It ", "is ", "晴れ", "."), prompt=20, cached=5, used=9)
CALLS = Said(calls=(("call_1", "weather", {"city": "東京"}), ("call_2", "clock", {})))
THOUGHT = Said(pieces=("Yes.",), thoughts=("Is it? ", "It is."))


def asked(wire: str, request: Request, **fields) -> dict:
    """The body that the host is sent; one for the wire's own host is as its package wants it."""
    with host(Answer(SPEAK[wire](WORDS))) as server:
        reply_sync(model_at(server, wire, **fields), request)
        body = server.received[0].body
    if "host" not in fields:
        check_body(wire, body)
    return body


@pytest.mark.parametrize("wire", WIRES)
async def test_words_arrive_piece_by_piece(wire):
    with host(Answer(SPEAK[wire](WORDS))) as server:
        lm = model_at(server, wire)
        assert isinstance(lm, LM)
        events = await events_of(lm)
    (end,) = check_protocol(events)
    assert [e.text for e in events if isinstance(e, TextDelta)] == ["It ", "is ", "晴れ", "."]
    assert text_of(end.message) == "It is 晴れ."
    assert (end.reason, end.detail) == ("stop", "")
    assert end.usage == Usage(20, 9, 5)


@pytest.mark.parametrize("wire", WIRES)
async def test_calls_of_tools_arrive(wire):
    with host(Answer(SPEAK[wire](CALLS))) as server:
        events = await events_of(
            model_at(server, wire), Request(ASK.prompt, tools=(WEATHER, LOOSE))
        )
    (end,) = check_protocol(events)
    calls = [part for part in end.message.parts if isinstance(part, ToolCallPart)]
    assert [(call.id, call.name) for call in calls] == [("call_1", "weather"), ("call_2", "clock")]
    assert [json.loads(call.arguments) for call in calls] == [{"city": "東京"}, {}]
    assert end.reason == "tool_calls"
    assert sum(isinstance(event, ToolCallDelta) for event in events) >= 4


async def test_servers_that_number_no_calls_and_send_no_arguments_are_understood():
    """As older local servers do: each call whole, without a number, and no id."""

    def piece(*calls: dict, reason: str | None = None) -> bytes:
        return unnamed({"choices": [{"delta": {"tool_calls": calls}, "finish_reason": reason}]})

    whole = {"function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    empty = {"function": {"name": "clock", "arguments": ""}}
    pieces = [piece(whole), piece(empty, reason="stop"), b"data: [DONE]\n\n"]
    with host(Answer(pieces)) as server:
        events = await events_of(model_at(server, "chat", host="llamacpp"))
    (end,) = check_protocol(events)
    weather, clock = end.message.parts
    assert (weather.name, weather.arguments) == ("weather", '{"city": "Oslo"}')
    assert (clock.name, clock.arguments) == ("clock", "{}")
    assert weather.id != clock.id
    assert end.reason == "tool_calls"


async def test_a_refusal_is_words_that_the_host_filtered():
    refused = unnamed({"choices": [{"index": 0, "delta": {"refusal": "I will not."}}]})
    ended = unnamed({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    with host(Answer([refused, ended, b"data: [DONE]\n\n"])) as server:
        (end,) = check_protocol(await events_of(model_at(server, "chat")))
    assert (text_of(end.message), end.reason) == ("I will not.", "content_filter")


async def test_a_prompt_that_gemini_blocks_is_told_of():
    blocked = unnamed({"promptFeedback": {"blockReason": "SAFETY"}})
    with host(Answer([blocked])) as server:
        (end,) = check_protocol(await events_of(model_at(server, "gemini")))
    assert end.reason == "content_filter"
    assert "SAFETY" in end.detail


async def test_another_kataribe_tells_its_exact_reason_and_its_citations():
    cited = {"url": "file.txt", "title": "a quote", "start_index": 0, "end_index": 2}
    note = [{"type": "url_citation", "url_citation": cited}]
    exact = {"reason": "repetition", "detail": "three times the same"}
    pieces = [
        unnamed({"choices": [{"index": 0, "delta": {"content": "It is"}}]}),
        unnamed({"choices": [{"index": 0, "delta": {"annotations": note}}]}),
        unnamed(
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "length",
                          "finish_detail": exact}]}
        ),
        b"data: [DONE]\n\n",
    ]  # fmt: skip
    with host(Answer(pieces)) as server:
        events = await events_of(model_at(server, "chat", host="kataribe"))
    (end,) = check_protocol(events)
    assert (end.reason, end.detail) == ("repetition", "three times the same")
    assert Citation("file.txt", 0, 2, "a quote") in events


@pytest.mark.parametrize("wire", WIRES)
async def test_thoughts_arrive_before_words(wire):
    with host(Answer(SPEAK[wire](THOUGHT))) as server:
        events = await events_of(model_at(server, wire))
    (end,) = check_protocol(events)
    assert [type(event) for event in events if isinstance(event, TextDelta | ReasoningDelta)][
        -1
    ] is (TextDelta)
    thought = end.message.parts[0]
    assert isinstance(thought, ReasoningPart)
    # The parts of a summary are paragraphs.
    assert thought.text.replace("\n\n", "") == "Is it? It is."
    assert text_of(end.message) == "Yes."
    assert bool(thought.seal) == (wire in ("responses", "anthropic"))


@pytest.mark.parametrize(
    ("wire", "word", "reason"),
    [
        ("chat", "length", "length"),
        ("chat", "content_filter", "content_filter"),
        ("responses", "max_output_tokens", "length"),
        ("responses", "content_filter", "content_filter"),
        ("anthropic", "max_tokens", "length"),
        ("anthropic", "model_context_window_exceeded", "length"),
        ("anthropic", "stop_sequence", "stop"),
        ("anthropic", "refusal", "content_filter"),
        ("gemini", "MAX_TOKENS", "length"),
        ("gemini", "SAFETY", "content_filter"),
        ("gemini", "RECITATION", "content_filter"),
    ],
)
async def test_ends_have_their_reason(wire, word, reason):
    said = Said(pieces=("It is",), reason=word)
    with host(Answer(SPEAK[wire](said))) as server:
        (end,) = check_protocol(await events_of(model_at(server, wire)))
    assert end.reason == reason
    assert text_of(end.message) == "It is"


@pytest.mark.parametrize("wire", WIRES)
async def test_the_key_is_sent_in_a_header_and_never_in_the_address(wire):
    with host(Answer(SPEAK[wire](WORDS))) as server:
        lm = model_at(server, wire)
        await events_of(lm)
    received = server.received[0]
    assert any(KEY in value for value in received.headers.values())
    assert KEY not in received.path
    assert KEY not in json.dumps(received.body)
    assert KEY not in repr(lm)


@pytest.mark.parametrize("wire", WIRES)
async def test_n_choices_come_as_choices(wire):
    one, two = Said(pieces=("one",), used=4), Said(pieces=("two ", "two"), used=6)
    if wire in ("chat", "gemini"):
        answers = [Answer(SPEAK[wire](one, two))]
    else:
        answers = [Answer(SPEAK[wire](one)), Answer(SPEAK[wire](two))]
    with host(*answers) as server:
        lm = model_at(server, wire)
        events = await events_of(lm, Request(ASK.prompt, n=2))
    ends = check_protocol(events, choices=2)
    assert {text_of(end.message) for end in ends} == {"one", "two two"}
    assert sum(end.usage.completion_tokens for end in ends) == 10
    assert [end.usage.prompt_tokens for end in ends] == [20, 20]
    assert len(server.received) == len(answers)


async def test_choices_that_are_requests_of_their_own_have_their_own_seeds():
    with host(Answer(SPEAK["chat"](WORDS))) as server:
        lm = model_at(server, "chat", host="ollama")
        check_protocol(await events_of(lm, Request(ASK.prompt, n=3, seed=7)), choices=3)
    assert sorted(received.body["seed"] for received in server.received) == [7, 8, 9]
    assert all("n" not in received.body for received in server.received)


@pytest.mark.parametrize("wire", ["chat", "responses", "gemini"])
async def test_logprobs_arrive(wire):
    said = Said(pieces=("It", " is"), logprobs=True)
    with host(Answer(SPEAK[wire](said))) as server:
        events = await events_of(model_at(server, wire), Request(ASK.prompt, logprobs=2))
    (end,) = check_protocol(events)
    assert [token.token for token in end.logprobs] == ["It", " is"]
    assert all(math.isclose(token.logprob, -0.5) for token in end.logprobs)
    assert [top.token for top in end.logprobs[0].top] == ["It", "other"]
    assert end.logprobs[0].raw == b"It"


# --- what is asked ------------------------------------------------------------------------------

TURNS = (
    text_message("system", "Be brief."),
    Message("user", (TextPart("What is this? "), ImagePart("image/png", b"png"))),
    Message(
        "assistant", (TextPart("Wait."), ToolCallPart("call_1", "weather", '{"city": "Oslo"}'))
    ),
    Message("tool", (ToolResultPart("call_1", "rain"),)),
    text_message("user", "And now?"),
)


def test_chat_carries_a_conversation():
    body = asked("chat", Request(TURNS, tools=(WEATHER, LOOSE)))
    system, user, said, result, last = body["messages"]
    assert system == {"role": "system", "content": "Be brief."}
    assert user["content"] == [
        {"type": "text", "text": "What is this? "},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}},
    ]
    call = {"name": "weather", "arguments": '{"city": "Oslo"}'}
    assert said["content"] == "Wait."
    assert said["tool_calls"] == [{"id": "call_1", "type": "function", "function": call}]
    assert result == {"role": "tool", "tool_call_id": "call_1", "content": "rain"}
    assert last == {"role": "user", "content": "And now?"}
    weather, clock = (tool["function"] for tool in body["tools"])
    assert weather["parameters"] == SCHEMA
    assert weather["strict"] is True
    assert "strict" not in clock  # no host can hold arguments to an open schema
    assert body["stream_options"] == {"include_usage": True}


def test_responses_carries_a_conversation():
    body = asked("responses", Request(TURNS, tools=(WEATHER, LOOSE)))
    system, user, said, call, result, last = body["input"]
    assert (system["role"], last["role"]) == ("system", "user")
    assert user["content"][1]["image_url"] == "data:image/png;base64,cG5n"
    assert said == {"type": "message", "role": "assistant", "content": "Wait."}
    assert (call["type"], call["call_id"]) == ("function_call", "call_1")
    assert result == {"type": "function_call_output", "call_id": "call_1", "output": "rain"}
    assert [tool["strict"] for tool in body["tools"]] == [True, False]
    assert body["store"] is False


def test_anthropic_carries_a_conversation():
    body = asked("anthropic", Request(TURNS, tools=(WEATHER, LOOSE)))
    assert body["system"] == [{"type": "text", "text": "Be brief."}]
    user, said, after = body["messages"]
    source = {"type": "base64", "media_type": "image/png", "data": "cG5n"}
    assert user["content"][1] == {"type": "image", "source": source}
    assert said["content"][1] == {
        "type": "tool_use",
        "id": "call_1",
        "name": "weather",
        "input": {"city": "Oslo"},
    }
    # The answers of tools and the words after them are one turn of the user's.
    assert after["role"] == "user"
    assert [block["type"] for block in after["content"]] == ["tool_result", "text"]
    assert body["max_tokens"] == 32_000
    assert [tool.get("strict") for tool in body["tools"]] == [True, None]


def test_gemini_carries_a_conversation():
    body = asked("gemini", Request(TURNS, tools=(WEATHER, LOOSE)))
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    user, said, after = body["contents"]
    assert user["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": "cG5n"}}
    assert said["role"] == "model"
    assert said["parts"][1]["functionCall"] == {
        "id": "call_1",
        "name": "weather",
        "args": {"city": "Oslo"},
    }
    answer, words = after["parts"]
    assert answer["functionResponse"] == {
        "id": "call_1",
        "name": "weather",
        "response": {"output": "rain"},
    }
    assert words == {"text": "And now?"}
    declared = body["tools"][0]["functionDeclarations"]
    assert [tool["name"] for tool in declared] == ["weather", "clock"]


@pytest.mark.parametrize("wire", WIRES)
def test_an_image_may_be_an_address(wire):
    image = ImagePart("image/*", url="https://example.org/cat.png")
    body = asked(wire, Request((Message("user", (image,)),)))
    assert "https://example.org/cat.png" in json.dumps(body)


@pytest.mark.parametrize("wire", WIRES)
def test_a_failed_tool_is_told_of(wire):
    turns = (
        text_message("user", "hi"),
        Message("assistant", (ToolCallPart("call_1", "weather", "{}"),)),
        Message("tool", (ToolResultPart("call_1", "no such city", is_error=True),)),
    )
    body = asked(wire, Request(turns, tools=(WEATHER,)))
    said = json.dumps(body)
    assert "Error: no such city" in said or '"is_error": true' in said or '"error": "no su' in said


SAMPLING = Sampling(temperature=0.5, top_p=0.9, max_tokens=7)


def test_sampling_is_carried_by_each_wires_names():
    rest = {"sampling": SAMPLING, "seed": 3, "stop": ("END",)}
    chat = asked("chat", Request(ASK.prompt, **rest))
    assert (chat["temperature"], chat["top_p"], chat["max_completion_tokens"]) == (0.5, 0.9, 7)
    assert (chat["seed"], chat["stop"]) == (3, ["END"])
    local = asked("chat", Request(ASK.prompt, sampling=SAMPLING), host="vllm")
    assert local["max_tokens"] == 7
    responses = asked("responses", Request(ASK.prompt, sampling=SAMPLING))
    assert (responses["temperature"], responses["max_output_tokens"]) == (0.5, 7)
    anthropic = asked("anthropic", Request(ASK.prompt, sampling=SAMPLING, stop=("END",)))
    assert (anthropic["max_tokens"], anthropic["stop_sequences"]) == (7, ["END"])
    gemini = asked("gemini", Request(ASK.prompt, **rest))["generationConfig"]
    assert (gemini["maxOutputTokens"], gemini["topP"], gemini["seed"]) == (7, 0.9, 3)


async def test_sampling_is_asked_for_by_the_version_of_anthropics_api_that_has_it():
    with host(Answer(SPEAK["anthropic"](WORDS))) as server:
        lm = model_at(server, "anthropic")
        await events_of(lm)
        await events_of(lm, Request(ASK.prompt, sampling=Sampling(temperature=1.0)))
        await events_of(lm, Request(ASK.prompt, sampling=Sampling(max_tokens=5)))
    versions = [received.headers["anthropic-version"] for received in server.received]
    assert versions == ["2026-10-21", "2023-06-01", "2026-10-21"]


def test_local_servers_get_what_they_have_beyond_openai():
    more = Sampling(top_k=40, repetition_penalty=1.1)
    body = asked("chat", Request(ASK.prompt, sampling=more), host="llamacpp")
    assert (body["top_k"], body["repeat_penalty"]) == (40, 1.1)
    kataribe = asked(
        "chat",
        Request(ASK.prompt, sampling=more, response_format=ChoiceFormat(("yes", "no"))),
        host="kataribe",
    )
    assert kataribe["repetition_penalty"] == 1.1
    assert kataribe["structured_outputs"] == {"choice": ["yes", "no"]}
    prefilled = (*ASK.prompt, text_message("assistant", "It "))
    vllm = asked("chat", Request(prefilled, continue_last=True), host="vllm")
    assert (vllm["continue_final_message"], vllm["add_generation_prompt"]) == (True, False)


def test_a_schema_is_carried_by_each_wire():
    request = Request(ASK.prompt, response_format=JsonFormat(SCHEMA, "place"))
    form = asked("chat", request)["response_format"]
    assert form["json_schema"] == {"name": "place", "schema": SCHEMA, "strict": True}
    assert asked("responses", request)["text"]["format"]["schema"] == SCHEMA
    assert asked("anthropic", request)["output_config"]["format"] == {
        "type": "json_schema",
        "schema": SCHEMA,
    }
    settings = asked("gemini", request)["generationConfig"]
    assert settings["responseMimeType"] == "application/json"
    assert settings["responseJsonSchema"] == SCHEMA


@pytest.mark.parametrize(
    ("choice", "chat", "responses", "anthropic", "gemini"),
    [
        (
            ToolChoice("required"),
            "required",
            "required",
            {"type": "any"},
            {"mode": "ANY"},
        ),
        (ToolChoice("none"), "none", "none", {"type": "none"}, {"mode": "NONE"}),
        (
            ToolChoice("function", ("clock",)),
            {"type": "function", "function": {"name": "clock"}},
            {"type": "function", "name": "clock"},
            {"type": "tool", "name": "clock"},
            {"mode": "ANY", "allowedFunctionNames": ["clock"]},
        ),
    ],
)
def test_a_choice_of_tools_is_carried(choice, chat, responses, anthropic, gemini):
    request = Request(ASK.prompt, tools=(WEATHER, LOOSE), tool_choice=choice)
    assert asked("chat", request)["tool_choice"] == chat
    assert asked("responses", request)["tool_choice"] == responses
    assert asked("anthropic", request)["tool_choice"] == anthropic
    found = asked("gemini", request)["toolConfig"]["functionCallingConfig"]
    assert found == gemini


def test_some_of_the_tools_may_be_allowed():
    some = ToolChoice("auto", ("clock",))
    request = Request(ASK.prompt, tools=(WEATHER, LOOSE), tool_choice=some)
    assert asked("chat", request)["tool_choice"]["allowed_tools"]["mode"] == "auto"
    assert asked("responses", request)["tool_choice"]["tools"][0]["name"] == "clock"
    # Where a choice cannot be restricted, the other tools are not offered.
    local = asked("chat", request, host="vllm")
    assert [tool["function"]["name"] for tool in local["tools"]] == ["clock"]
    assert "tool_choice" not in local
    assert [tool["name"] for tool in asked("anthropic", request)["tools"]] == ["clock"]
    (declared,) = asked("gemini", request)["tools"]
    assert [tool["name"] for tool in declared["functionDeclarations"]] == ["clock"]


def test_one_call_at_a_time_is_asked_for():
    request = Request(ASK.prompt, tools=(WEATHER,), parallel_tool_calls=False)
    assert asked("chat", request)["parallel_tool_calls"] is False
    assert asked("responses", request)["parallel_tool_calls"] is False
    assert asked("anthropic", request)["tool_choice"]["disable_parallel_tool_use"] is True


@pytest.mark.parametrize(
    ("wire", "fields", "param"),
    [
        ("chat", {"sampling": Sampling(top_k=4)}, "top_k"),
        ("chat", {"sampling": Sampling(min_p=0.1)}, "min_p"),
        ("chat", {"sampling": Sampling(ignore_eos=True)}, "ignore_eos"),
        ("chat", {"template": {"enable_thinking": True}}, "template.enable_thinking"),
        ("chat", {"continue_last": True}, "continue_last"),
        ("chat", {"response_format": RegexFormat("a+")}, "response_format"),
        ("chat", {"response_format": GrammarFormat("start: /a/")}, "response_format"),
        ("responses", {"seed": 1}, "seed"),
        ("responses", {"stop": ("END",)}, "stop"),
        ("responses", {"sampling": Sampling(presence_penalty=1.0)}, "presence_penalty"),
        ("anthropic", {"seed": 1}, "seed"),
        ("anthropic", {"logprobs": 0}, "logprobs"),
        ("anthropic", {"response_format": JsonFormat()}, "response_format"),
        ("anthropic", {"sampling": Sampling(logit_bias={1: 2.0})}, "logit_bias"),
        ("gemini", {"tools": (WEATHER,), "parallel_tool_calls": False}, "parallel_tool_calls"),
        ("gemini", {"sampling": Sampling(min_tokens=3)}, "min_tokens"),
        ("gemini", {"response_format": ChoiceFormat(("a", "b"), "guided")}, "guided"),
    ],
)
async def test_what_a_wire_cannot_carry_is_refused_before_anything_is_sent(wire, fields, param):
    with host(Answer()) as server, pytest.raises(UnsupportedError) as caught:
        await events_of(model_at(server, wire), Request(ASK.prompt, **fields))
    assert caught.value.param == param
    assert f"{server.received}" == "[]"


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "prompt",
    [
        "a bare text",
        (1, 2, 3),
        (Message("assistant", (ImagePart("image/png", b"x"),)), *ASK.prompt),
        (Message("system", (ImagePart("image/png", b"x"),)), *ASK.prompt),
        (Message("tool", (TextPart("not a result"),)), *ASK.prompt),
    ],
)
async def test_prompts_that_no_wire_carries_are_refused(wire, prompt):
    with host(Answer()) as server, pytest.raises(UnsupportedError) as caught:
        await events_of(model_at(server, wire), Request(prompt))
    assert caught.value.param in ("prompt", "messages[0].content")
    assert server.received == []


async def test_more_that_is_refused():
    sound = Request((Message("user", (AudioPart("audio/wav", b"x"),)),))
    late = Request((*ASK.prompt, text_message("system", "Be brief."), *ASK.prompt))
    empty = Request((*ASK.prompt, Message("assistant", (ReasoningPart("hm"),)), *ASK.prompt))
    with host(Answer()) as server:
        with pytest.raises(UnsupportedError, match="audio"):
            await events_of(model_at(server, "anthropic"), sound)
        with pytest.raises(UnsupportedError, match=r"messages\[1\]"):
            await events_of(model_at(server, "gemini"), late)
        for wire in ("anthropic", "gemini"):
            with pytest.raises(InputError, match=r"messages\[1\] has nothing"):
                await events_of(model_at(server, wire), empty)
        for choice, tools, says in (
            (ToolChoice("required"), (), "no tools"),
            (ToolChoice("function", ("clock",)), (), "no tools"),
            (ToolChoice("function"), (WEATHER,), "names 0 tools"),
            (ToolChoice("auto", ("clock",)), (WEATHER,), "names clock, which is none"),
        ):
            with pytest.raises(InputError, match=says) as caught:
                await events_of(
                    model_at(server, "chat"), Request(ASK.prompt, tools=tools, tool_choice=choice)
                )
            assert caught.value.param == "tool_choice"
        for name in ("", "a//b", "../keys", "a/../b"):
            with pytest.raises(InputError, match="cannot be a model's name"):
                model_at(server, "gemini", model=name)
    assert server.received == []


# --- seals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", ["responses", "anthropic", "gemini"])
async def test_what_a_host_sealed_goes_back_to_the_same_model_only(wire):
    said = Said(
        pieces=("Well.",), thoughts=("Hm.",), calls=(("call_1", "weather", {"city": "Oslo"}),)
    )
    with host(Answer(SPEAK[wire](said))) as server:
        lm = model_at(server, wire)
        (end,) = check_protocol(await events_of(lm))
        message = from_json(to_json(end.message))  # as it would come back from a file
        turns = (*ASK.prompt, message, Message("tool", (ToolResultPart("call_1", "rain"),)))
        await events_of(lm, Request(turns, tools=(WEATHER,)))
        await events_of(model_at(server, wire, model="other"), Request(turns, tools=(WEATHER,)))
    own, other = server.received[1].body, server.received[2].body
    check_body(wire, own)
    check_body(wire, other)
    assert message == end.message
    if wire == "responses":
        thought = own["input"][1]
        assert (thought["type"], thought["summary"][0]["text"]) == ("reasoning", "Hm.")
        assert thought["encrypted_content"]
        assert "status" not in thought
        assert [item["type"] for item in other["input"]] == [
            "message", "message", "function_call", "function_call_output",
        ]  # fmt: skip
    elif wire == "anthropic":
        thought = own["messages"][1]["content"][0]
        assert (thought["type"], thought["thinking"]) == ("thinking", "Hm.")
        assert thought["signature"]
        assert other["messages"][1]["content"][0]["type"] == "text"
    else:
        words, call = own["contents"][1]["parts"]
        assert words == {"text": "Well."}
        assert call["thoughtSignature"]  # on the part that it came with
        assert "thoughtSignature" not in json.dumps(other)


async def test_thoughts_go_back_to_servers_that_read_them():
    turns = (
        *ASK.prompt,
        Message("assistant", (ReasoningPart("Hm."), TextPart("So."))),
        *ASK.prompt,
    )
    with host(Answer(SPEAK["chat"](WORDS))) as server:
        await events_of(model_at(server, "chat", host="kataribe"), Request(turns))
        await events_of(model_at(server, "chat"), Request(turns))
    local, openai = (received.body["messages"][1] for received in server.received)
    assert local["reasoning_content"] == "Hm."
    assert openai == {"role": "assistant", "content": "So."}


def test_thinking_is_asked_for_where_the_wire_has_a_word_for_it():
    on, off = ({"template": {"enable_thinking": wanted}} for wanted in (True, False))
    assert asked("anthropic", Request(ASK.prompt, **on))["thinking"]["type"] == "adaptive"
    assert asked("anthropic", Request(ASK.prompt, **off))["thinking"] == {"type": "disabled"}
    settings = asked("gemini", Request(ASK.prompt, **on))["generationConfig"]
    assert settings["thinkingConfig"] == {"includeThoughts": True}
    assert asked("responses", Request(ASK.prompt, **on))["reasoning"] == {"summary": "auto"}
    local = asked("chat", Request(ASK.prompt, **off), host="vllm")
    assert local["chat_template_kwargs"] == {"enable_thinking": False}
