"""A reply that begins with a call as JSON is that call, in whatever block and with any blanks."""

from __future__ import annotations

import dataclasses
import itertools
import json

import jsonschema
import llguidance
import numpy as np
import pytest

from kataribe.base.events import Finished, TextDelta, ToolCallDelta
from kataribe.base.lm import JsonFormat, Request, Sampling, TextFormat, ToolChoice, ToolSpec, reply
from kataribe.base.messages import ReasoningPart, TextPart, ToolCallPart, text_message, text_of
from kataribe.make.tokens.load import load_tokenizer
from kataribe.run.inference.constraint import Vocabulary, compile_constraint
from kataribe.run.inference.dialects import HERMES
from kataribe.run.inference.engine import Engine
from kataribe.run.inference.load import LoadOptions, load_local
from kataribe.run.inference.local import LocalLM
from kataribe.run.inference.reply_parser import ReplyParser
from kataribe.run.inference.tool_grammar import tool_format
from tests.run.inference.adversarial_tools import MANY
from tests.run.inference.dialect_writer import CLOCK, NAMED, TRIP, written
from tests.run.inference.test_local import GREEDY, HELLO, WEATHER, Typewriter
from tests.run.inference.test_tool_grammar import EOS, ByteTokens, accepts, matcher_of

TOOLS = (TRIP, CLOCK)
"""The name of the second begins that of the first."""

BARE = [name for name, dialect in NAMED.items() if dialect.reads_bare]
OSLO = {"city": "Oslo", "is_open": True}
TRIP_CALL, CLOCK_CALL = ("plan_trip", OSLO), ("plan", {})


def told(name: str, arguments: dict, key: str = "arguments", indent: str = "") -> str:
    """A call's object; only what stands around its arguments is indented."""
    if not indent:
        return f'{{"name": "{name}", "{key}": {json.dumps(arguments)}}}'
    return f'{{\n{indent}"name": "{name}",\n{indent}"{key}": {json.dumps(arguments)}\n}}'


TRIP_TEXT, CLOCK_TEXT = told(*TRIP_CALL), told(*CLOCK_CALL)
INDENTED = told(*TRIP_CALL, indent="  ")

CALLING = [
    (f"```json\n{INDENTED}\n```", [TRIP_CALL]),
    (f"```\n{INDENTED}\n```", [TRIP_CALL]),
    (f"```JSON\n{TRIP_TEXT}\n```", [TRIP_CALL]),
    (f"```json {TRIP_TEXT}```", [TRIP_CALL]),
    (f"\n\n  ```json\r\n{TRIP_TEXT}\r\n```\n", [TRIP_CALL]),
    (f"```json\n{told(*TRIP_CALL, key='parameters')}\n```", [TRIP_CALL]),
    (TRIP_TEXT, [TRIP_CALL]),
    (f" \t\n{INDENTED}\n", [TRIP_CALL]),
    (TRIP_TEXT.replace('"name": "', '"name":"', 1).replace(", ", ",", 1), [TRIP_CALL]),
    ('{ "name" :\n"plan" , "arguments" : {} }', [CLOCK_CALL]),
    (f"{{{CLOCK_TEXT}}}", [CLOCK_CALL]),
    (f"```json\n{{{CLOCK_TEXT}}}\n```", [CLOCK_CALL]),
    (f"[{CLOCK_TEXT}]", [CLOCK_CALL]),
    (f"[\n  {CLOCK_TEXT},\n  {TRIP_TEXT}\n]", [CLOCK_CALL, TRIP_CALL]),
    (f"```json\n[{TRIP_TEXT}, {CLOCK_TEXT}]\n```", [TRIP_CALL, CLOCK_CALL]),
    (f"{TRIP_TEXT}\n{CLOCK_TEXT}", [TRIP_CALL, CLOCK_CALL]),
    (f"{TRIP_TEXT}, {CLOCK_TEXT}", [TRIP_CALL, CLOCK_CALL]),
    (f"{{{TRIP_TEXT}}}\n{{{CLOCK_TEXT}}}", [TRIP_CALL, CLOCK_CALL]),
    (f"```json\n{TRIP_TEXT}\n{CLOCK_TEXT}\n```", [TRIP_CALL, CLOCK_CALL]),
    (
        f"```json\n{CLOCK_TEXT}\n```\n\n```json\n{INDENTED}\n```\n```\n{CLOCK_TEXT}\n```",
        [CLOCK_CALL, TRIP_CALL, CLOCK_CALL],
    ),
]
"""Replies and the calls in them."""

IN_WORDS = [
    '```json\n{\n  "name": "John",\n  "age": 30\n}\n```',
    '{"name": "John", "arguments": {}}',
    '{"name": "planner", "arguments": {}}',
    '{"name": "plan_", "arguments": {}}',
    '{"name": "Plan", "arguments": {}}',
    '{"name": 5}',
    '{"name": "pla',
    f'```json\n{{"arguments": {{}}, "name": "plan"}}\n```\n{CLOCK_TEXT}',
    '{"tool": "plan", "arguments": {}}',
    '```python\nprint({"name": "plan", "arguments": {}})\n```',
    f"```js\n{CLOCK_TEXT}\n```",
    f"```jsonc\n{CLOCK_TEXT}\n```",
    f"``` json\n{CLOCK_TEXT}\n```",
    f"``\n{CLOCK_TEXT}\n``",
    f"ツールを使います。\n```json\n{CLOCK_TEXT}\n```",
    f"\u3000{CLOCK_TEXT}",
    f"> {CLOCK_TEXT}",
    f"[[{CLOCK_TEXT}]]",
    "[1, 2, 3]",
    "```",
    "```json\n",
    "{",
    "  [ {\n",
    "{{ mustache }}",
]
"""Replies that begin otherwise."""

BROKEN = [
    "```json\n" + TRIP_TEXT,
    TRIP_TEXT + "\n```",
    f"```json\n{TRIP_TEXT}\n```\nThat is it.",
    TRIP_TEXT + " That is it.",
    '{"name": "plan"}',
    '{"name": "plan", "id": 3, "arguments": {}}',
    '{"name": "plan", "arguments": {"made": "up"}}',
    '{"name": "plan", "arguments": "{}"}',
    '{"name": "plan", "arguments": {}',
    '{"name": "plan_trip", "arguments": {"city": "Oslo"}}',
    '```json\n{"name": "plan", "arguments": {}}\n```\n```python\n```',
    f"[{TRIP_TEXT}, 5]",
    f"{CLOCK_TEXT} <tool_call>",
]
"""Replies that begin as such calls and go on as no call does."""


@pytest.fixture(scope="module")
def vocabulary():
    return llguidance.LLTokenizer(llguidance.TokenizerWrapper(ByteTokens()))


def form_of(dialect=HERMES, mode="auto", tools=TOOLS, **options):
    return tool_format(dialect, tools, ToolChoice(mode), TextFormat(), **options)


def read(text: str, size: int, *, dialect=HERMES, tools=TOOLS, **options):
    """The parser and its deltas, of a text in pieces of a size."""
    parser = ReplyParser(0, dialect, tuple(tools), **options)
    deltas = [
        delta for at in range(0, len(text), size) for delta in parser.push(text[at : at + size])
    ]
    return parser, deltas + parser.finish()


def meant(calls):
    return [(call.name, json.loads(call.arguments)) for call in calls]


def said(deltas) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def test_which_dialects_allow_it():
    assert {"HERMES", "PHI", "PHI_LIST", "GRANITE", "NEMOTRON", "MISTRAL"} == set(BARE)


@pytest.mark.parametrize("name", BARE)
@pytest.mark.parametrize(("text", "calls"), CALLING)
def test_what_models_write_passes_and_is_read(vocabulary, name, text, calls):
    assert accepts(vocabulary, form_of(NAMED[name]), text)
    for size in range(1, len(text) + 1):
        parser, deltas = read(text, size, dialect=NAMED[name])
        assert meant(parser.calls) == calls
        assert (said(deltas), len(parser.parts)) == ("", len(calls)), size
        for number, call in enumerate(parser.calls):
            own = [d for d in deltas if isinstance(d, ToolCallDelta) and d.call == number]
            assert (own[0].id, own[0].name) == (call.id, call.name)
            assert "".join(d.arguments for d in own) == call.arguments


@pytest.mark.parametrize("text", IN_WORDS)
def test_what_begins_otherwise_stays_words(vocabulary, text):
    assert accepts(vocabulary, form_of(), text)
    for size in range(1, len(text) + 1):
        parser, deltas = read(text, size)
        assert (said(deltas), parser.parts) == (text, (TextPart(text),)), size


@pytest.mark.parametrize("text", BROKEN)
def test_what_begins_as_a_call_must_be_one(vocabulary, text):
    assert not accepts(vocabulary, form_of(), text)


@pytest.mark.parametrize(
    ("around", "between"),
    [*itertools.product(("{}", "```\n{}\n```", "```json\n{}\n```"), ("", " ", "\n  ", "\r\n\t"))],
)
def test_blanks_may_stand_anywhere_between_signs(vocabulary, around, between):
    signs = ["{", '"name"', ":", '"plan"', ",", '"arguments"', ":", "{}", "}"]
    text = around.replace("{}", between.join(signs))
    assert accepts(vocabulary, form_of(), text)
    for size in (1, 2, 3, len(text)):
        parser, deltas = read(text, size)
        assert (meant(parser.calls), said(deltas)) == ([CLOCK_CALL], "")


@pytest.mark.parametrize("text", [f"```json\n{INDENTED}\n```", f"[{TRIP_TEXT}]"])
def test_half_a_head_is_text_and_half_a_call_is_none(text):
    begin = text.index("{", text.index("arguments"))
    for end in range(len(text) + 1):
        parser, deltas = read(text[:end], 3)
        if end <= begin:
            assert (said(deltas), parser.calls) == (text[:end], [])
        else:
            assert said(deltas) == ""
            assert parser.calls[0].arguments == text[begin : min(end, text.index("}") + 1)]


def test_arguments_are_passed_on_as_they_come():
    tool = ToolSpec("f", "", {"properties": {"a": {"type": "string"}}})
    parser = ReplyParser(0, HERMES, (tool,))
    assert parser.push('```json\n{"name": "f", "arguments":') == []
    named, begun = parser.push(' {"a": "')
    assert (named.name, begun.arguments) == ("f", '{"a": "')
    (delta,) = parser.push("once upon a time")
    assert delta.arguments == "once upon a time"


def test_words_are_passed_on_once_they_are_certain():
    parser = ReplyParser(0, HERMES, TOOLS)
    assert parser.push('```json\n{"name": "') == []
    assert said(parser.push("J")) == '```json\n{"name": "J'
    assert said(parser.push("ohn")) == "ohn"
    parser = ReplyParser(0, HERMES, TOOLS)
    assert said(parser.push("```py")) == "```py"


def test_what_a_free_model_writes_behind_a_call_is_not_lost():
    for text, left in (
        (f"```json\n{CLOCK_TEXT}\n```\nThat is it.", "That is it."),
        (f"```json\n{CLOCK_TEXT}\nThat is it.", "That is it."),
        (f"{CLOCK_TEXT}\n\nThat is it.", "That is it."),
        (f'{CLOCK_TEXT}\n{{"name": "other"}}', '{"name": "other"}'),
    ):
        for size in range(1, len(text) + 1):
            parser, deltas = read(text, size)
            assert (meant(parser.calls), said(deltas)) == ([CLOCK_CALL], left)
    text = f"{CLOCK_TEXT}\n" + written(HERMES, [TRIP_CALL, CLOCK_CALL])
    for size in range(1, len(text) + 1):
        parser, deltas = read(text, size)
        assert (meant(parser.calls), said(deltas)) == ([CLOCK_CALL, TRIP_CALL, CLOCK_CALL], "")


@pytest.mark.parametrize("opened", [False, True])
def test_a_thought_may_come_before(vocabulary, opened):
    thought = f"```json\n{TRIP_TEXT}\n```"
    text = ("" if opened else "<think>\n") + f"{thought}</think>\n\n```json\n{CLOCK_TEXT}\n```"
    assert accepts(vocabulary, form_of(thought="open" if opened else "may"), text)
    for size in (1, 2, 3, 7, len(text)):
        parser, deltas = read(text, size, thinks=True, thinking=opened)
        assert parser.parts[0] == ReasoningPart(thought)
        assert (meant(parser.calls), said(deltas)) == ([CLOCK_CALL], "")


def test_only_where_the_model_may_answer_in_words(vocabulary):
    text = f"```json\n{CLOCK_TEXT}\n```"
    assert not accepts(vocabulary, form_of(mode="required"), text)
    beside = tool_format(HERMES, TOOLS, ToolChoice(), JsonFormat({"type": "object"}))
    assert not accepts(vocabulary, beside, text)
    some = tool_format(HERMES, TOOLS, ToolChoice("auto", ("plan_trip",)), TextFormat())
    assert accepts(vocabulary, some, text), "a function that may not be called is a word"
    assert accepts(vocabulary, some, text + " and words.")
    parser, deltas = read(text, 3, bare=(TRIP,))
    assert (said(deltas), parser.calls) == (text, [])


def test_no_more_calls_than_allowed(vocabulary):
    for count, fits in ((1, True), (2, True), (3, False)):
        for text in (
            "\n".join([CLOCK_TEXT] * count),
            "\n".join([f"```json\n{CLOCK_TEXT}\n```"] * count),
        ):
            assert accepts(vocabulary, form_of(at_most=2), text) == fits
            assert accepts(vocabulary, form_of(at_most=1), text) == (count == 1)


def test_names_are_written_as_json_writes_them(vocabulary):
    tools = (ToolSpec("天気.今-日", ""), ToolSpec('a"b', ""))
    for tool in tools:
        name = json.dumps(tool.name, ensure_ascii=False)
        text = f'```json\n{{"name": {name}, "arguments": {{}}}}\n```'
        assert accepts(vocabulary, form_of(tools=tools), text)
        parser, _ = read(text, 2, tools=tools)
        assert meant(parser.calls) == [(tool.name, {})]


class Controls(ByteTokens):
    """Bytes, and the marks of Hermes as control tokens."""

    names = ("<tool_call>", "</tool_call>")

    def __init__(self):
        super().__init__()
        self.tokens += [b"\xff" + name.encode() for name in self.names]
        self.special_token_ids = tuple(range(EOS, EOS + 3))


def test_beside_control_tokens():
    vocabulary = llguidance.LLTokenizer(llguidance.TokenizerWrapper(Controls()))
    ids = {name: EOS + 1 + place for place, name in enumerate(Controls.names)}
    form = form_of(control_token=ids.get)
    for text, _ in CALLING:
        assert accepts(vocabulary, form, text)
    for text in IN_WORDS:
        assert accepts(vocabulary, form, text)
        matcher = matcher_of(vocabulary, form)
        call = [ids["<tool_call>"], *f"\n{CLOCK_TEXT}\n".encode(), ids["</tool_call>"]]
        tokens = [*text.encode(), *call]
        assert matcher.try_consume_tokens(tokens) == len(tokens)
        assert matcher.is_accepting()
    for text in BROKEN:
        assert not accepts(vocabulary, form, text)


@pytest.mark.parametrize("opening", ["```json\n{", "{", "[{", "```{{"])
@pytest.mark.parametrize("seed", range(6))
def test_whatever_follows_a_head_is_a_call(vocabulary, opening, seed):
    """Bytes drawn with equal chances, of all that are allowed."""
    matcher, rng = matcher_of(vocabulary, form_of(at_most=3)), np.random.default_rng(seed)
    out = bytearray(f'{opening}"name": "plan_trip"'.encode())
    assert matcher.try_consume_tokens(list(out)) == len(out)
    for _ in range(4000):
        packed = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        allowed = np.flatnonzero(np.unpackbits(packed, bitorder="little")[: EOS + 1])
        token = int(rng.choice(allowed))
        if token == EOS:
            break
        out.append(token)
        matcher.consume_token(token)
        if matcher.is_stopped():
            break
    assert matcher.is_accepting()
    parser, deltas = read(out.decode(), 1 + seed)
    assert said(deltas) == "", out.decode()
    assert 1 <= len(parser.calls) <= 3
    schemas = {TRIP.name: TRIP.parameters, CLOCK.name: {"maxProperties": 0}}
    for call in parser.calls:
        jsonschema.validate(json.loads(call.arguments), schemas[call.name])


@pytest.fixture(scope="module")
def tokenizer(smollm2_path):
    return load_tokenizer(smollm2_path)


@pytest.fixture(scope="module")
def words(tokenizer):
    """A model's vocabulary."""
    return Vocabulary(tokenizer)


def test_many_tools_are_not_too_many(words):
    constraint = compile_constraint(form_of(tools=MANY), words)
    for tool in (MANY[0], MANY[-1]):
        arguments = {f"value_{tool.name[7:].removesuffix('.set')}": 5, "unit": "度"}
        body = json.dumps(arguments, ensure_ascii=False)
        text = f'```json\n{{\n  "name": "{tool.name}",\n  "arguments": {body}\n}}\n```'
        state = constraint.start()
        for token in words.ids_of(text):
            assert state.mask()[token]
            state.advance(token)
        assert state.is_accepting


@pytest.mark.parametrize("text", [f"```json\n{INDENTED}\n```", f"[{TRIP_TEXT}, {CLOCK_TEXT}]"])
def test_there_is_a_way_home_from_every_place(words, text):
    state, endings = compile_constraint(form_of(), words).start(), words.endings
    for token in words.ids_of(text):
        way = endings.way(state, [words.ids_of('"')], 200)
        assert way is not None
        assert state.takes((*way, endings.end))
        state.advance(token)
    assert state.is_accepting


@pytest.fixture
def writes(tokenizer):
    engines = []

    def make(text: str, **options) -> LocalLM:
        runner = Typewriter(tokenizer.vocab_size, min(tokenizer.eos_ids))
        runner.script = tokenizer.encode(text, special=False)
        engine = Engine(runner, tokenizer, None)
        engines.append(engine)
        return LocalLM("typist", engine, tokenizer, context_length=1024, **options)

    yield make
    for engine in engines:
        engine.shutdown()


def fenced(city: str) -> str:
    return f"```json\n{told('get_weather', {'city': city}, indent='  ')}\n```"


@pytest.mark.parametrize("holds_calls", [True, False])
async def test_an_application_gets_a_call(writes, holds_calls):
    asked = Request(HELLO, GREEDY, (WEATHER,))
    lm = writes(fenced("Oslo"), holds_calls=holds_calls)
    events = [event async for event in lm.stream(asked)]
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.reason == "tool_calls"
    (call,) = end.message.parts
    assert isinstance(call, ToolCallPart)
    assert meant([call]) == [("get_weather", {"city": "Oslo"})]
    deltas = [event for event in events if isinstance(event, ToolCallDelta)]
    assert "".join(delta.arguments for delta in deltas) == call.arguments
    assert said(events) == ""


async def test_a_schema_for_the_reply_makes_it_the_reply(writes):
    text = told("get_weather", {"city": "Oslo"})
    form = JsonFormat({"type": "object", "properties": {"name": {}, "arguments": {}}})
    asked = Request(HELLO, GREEDY, (WEATHER,), response_format=form)
    end = await reply(writes(text), asked)
    assert (json.loads(text_of(end.message)), end.reason) == (json.loads(text), "stop")


async def test_functions_that_may_not_be_called_are_words(writes):
    other = dataclasses.replace(WEATHER, name="other")
    asked = Request(HELLO, GREEDY, (WEATHER, other), ToolChoice("auto", ("other",)))
    end = await reply(writes(fenced("Oslo")), asked)
    assert (text_of(end.message), end.reason) == (fenced("Oslo"), "stop")


async def test_a_limit_ends_such_a_call_whole(writes):
    asked = Request(HELLO, Sampling(temperature=0, max_tokens=70), (WEATHER,))
    end = await reply(writes(fenced("x" * 400)), asked)
    (call,) = end.message.parts
    assert set(json.loads(call.arguments)["city"]) == {"x"}
    assert (end.reason, end.usage.completion_tokens <= 70) == ("length", True)


async def test_a_limit_before_the_call_leaves_words(writes):
    for limit in range(1, 14):
        asked = Request(HELLO, Sampling(temperature=0, max_tokens=limit), (WEATHER,))
        end = await reply(writes(fenced("Oslo")), asked)
        assert fenced("Oslo").startswith(text_of(end.message))
        assert end.reason == "length"
        assert not [part for part in end.message.parts if isinstance(part, ToolCallPart)]


CALCULATOR = ToolSpec(
    "calculator",
    "Computes an arithmetic expression exactly.",
    {
        "type": "object",
        "properties": {"expression": {"type": "string"}},
        "required": ["expression"],
    },
)


@pytest.fixture(scope="module")
def coder(qwen_path):
    """Qwen2.5-Coder-1.5B, which writes its calls into code blocks."""
    model = load_local("coder", qwen_path, LoadOptions(4096, 8192))
    yield model.lm
    model.close(0.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("question", "name", "key", "value"),
    [
        ("What is 1234 * 5678? Use the calculator.", "calculator", "expression", "5678"),
        ("What is the weather in Osaka?", "get_weather", "city", "Osaka"),
        ("東京の天気を教えて", "get_weather", "city", ""),
        ("Write a haiku about the sea.", None, "", ""),
        ("Show me an example of a JSON object with a name and age.", None, "", ""),
    ],
)
async def test_a_model_that_writes_blocks_calls(coder, question, name, key, value):
    asked = Request((text_message("user", question),), GREEDY, (CALCULATOR, WEATHER))
    end = await reply(coder, asked)
    calls = [part for part in end.message.parts if isinstance(part, ToolCallPart)]
    if name is None:
        assert (calls, end.reason) == ([], "stop"), end
        assert text_of(end.message).strip()
        return
    assert end.reason == "tool_calls", end
    assert calls[0].name == name
    assert value in json.loads(calls[0].arguments)[key]
