"""Calls are whole, whatever the model would rather write and however few tokens it may use."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest

from kataribe.base.errors import ContextLengthError, InputError
from kataribe.base.events import Finished, ReasoningDelta, ToolCallDelta
from kataribe.base.lm import Request, Sampling, TextFormat, ToolChoice, reply
from kataribe.base.messages import ReasoningPart, ToolCallPart, text_message, text_of
from kataribe.make.tokens.load import load_tokenizer
from kataribe.make.tokens.templates import ChatTemplate
from kataribe.run.inference.argument_schemas import arguments_of
from kataribe.run.inference.constraint import Vocabulary, compile_constraint
from kataribe.run.inference.dialects import HERMES
from kataribe.run.inference.engine import Engine
from kataribe.run.inference.load import LoadOptions, load_local
from kataribe.run.inference.local import LocalLM
from kataribe.run.inference.reply_parser import ReplyParser
from kataribe.run.inference.requests import EngineLimits
from kataribe.run.inference.tool_grammar import tool_format
from tests.run.inference.adversarial_tools import LONG, MANY, NESTED, NOTHING, SETS, TREE
from tests.run.inference.dialect_writer import CALLS, NAMED, TRIP, written
from tests.run.inference.test_local import GREEDY, HELLO, WEATHER, Typewriter

CALLED = ToolChoice("required")
THINKING = (
    "{%- for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>"
    "{% endfor %}<|im_start|>assistant\n{# </think> #}"
)


@pytest.fixture(scope="module")
def tokenizer(smollm2_path):
    return load_tokenizer(smollm2_path)


@pytest.fixture(scope="module")
def vocabulary(tokenizer):
    return Vocabulary(tokenizer)


def checked(calls, tools) -> int:
    """Fails unless every call names one of the tools and has arguments of its schema."""
    schemas = {tool.name: arguments_of(tool) for tool in tools}
    for call in calls:
        jsonschema.validate(json.loads(call.arguments), schemas[call.name])
    return len(calls)


def random_reply(constraint, tokenizer, limit: int, seed: int) -> tuple[str, bool]:
    """Tokens drawn with equal chances, of all that are allowed: an endless temperature."""
    rng, state = np.random.default_rng(seed), constraint.start()
    homeward, ids = constraint.homeward(state), []
    while len(ids) < limit:
        allowed = np.flatnonzero(state.mask())
        token = homeward.taken(int(rng.choice(allowed)), limit - len(ids))
        if token in tokenizer.eos_ids:
            break
        ids.append(token)
        state.advance(token)
        if state.is_finished:
            break
    return tokenizer.decode(ids, skip_special=False), state.is_accepting


def compiled(dialect, tools, vocabulary, **options):
    form = tool_format(dialect, tools, CALLED, TextFormat(), **options)
    return compile_constraint(form, vocabulary)


@pytest.mark.parametrize("dialect", NAMED)
@pytest.mark.parametrize("tools", ["nested", "tree", "long"])
def test_random_replies_end_within_any_limit_that_holds_a_call(
    dialect, tools, tokenizer, vocabulary
):
    told = NAMED[dialect]
    if told.notation is not None and tools == "long" and told.notation.bare:
        pytest.skip("bare strings and patterns are told apart elsewhere")
    constraint = compiled(told, SETS[tools], vocabulary)
    assert constraint.least is not None
    for seed in range(4):
        for more in (0, 1, 7, 60, 400):
            text, is_whole = random_reply(constraint, tokenizer, constraint.least + more, seed)
            parser = ReplyParser(0, told, SETS[tools])
            parser.push(text)
            parser.finish()
            assert is_whole, text
            assert checked(parser.calls, SETS[tools]), text


@pytest.mark.parametrize("dialect", NAMED)
def test_there_is_a_way_home_from_every_place_of_a_call(dialect, tokenizer, vocabulary):
    told = NAMED[dialect]
    constraint = compile_constraint(
        tool_format(told, (TRIP,), ToolChoice(), TextFormat()), vocabulary
    )
    state, endings = constraint.start(), vocabulary.endings
    closers = [vocabulary.ids_of(text) for text in ('"', "\n</parameter>", "</arg_value>\n")]
    ids = vocabulary.tokenizer.tokenize_str(written(told, CALLS[:1]))
    for place, token in enumerate(ids):
        way = endings.way(state, [*closers, vocabulary.ids_of("<escape>")], 200)
        if way is None and '<|"|>' in written(told, CALLS[:1]):
            way = endings.way(state, [vocabulary.ids_of('<|"|>')], 200)
        assert way is not None, vocabulary.tokenizer.decode_str(ids[:place])
        assert state.takes((*way, endings.end))
        state.advance(token)


def test_a_way_that_is_too_long_is_none(vocabulary):
    constraint = compiled(HERMES, (NESTED,), vocabulary)
    endings, closers = vocabulary.endings, [vocabulary.ids_of('"')]
    assert endings.way(constraint.start(), closers, constraint.least) is not None
    assert endings.way(constraint.start(), closers, constraint.least - 1) is None


def test_far_from_the_limit_everything_is_the_models(tokenizer, vocabulary):
    constraint = compiled(HERMES, (TRIP,), vocabulary)
    state = constraint.start()
    homeward = constraint.homeward(state)
    ids = vocabulary.tokenizer.tokenize_str(written(HERMES, CALLS[:1]))
    for place, token in enumerate(ids):
        assert homeward.taken(token, 5000 - place) == token
        state.advance(token)
    assert not homeward.has_changed


@pytest.fixture
def writes(tokenizer):
    engines = []

    def make(text: str, *, template: str | None = None, limits=None, **options) -> LocalLM:
        known = tokenizer if template is None else tokenizer.with_template(ChatTemplate(template))
        runner = Typewriter(known.vocab_size, min(known.eos_ids))
        runner.script = known.encode(text, special=False)
        engine = Engine(runner, known, limits)
        engines.append(engine)
        return LocalLM("typist", engine, known, context_length=1024, **options)

    yield make
    for engine in engines:
        engine.shutdown()


def call_of(city: str, name: str = "get_weather") -> str:
    return f'<tool_call>\n{{"name": "{name}", "arguments": {{"city": "{city}"}}}}\n</tool_call>'


async def collected(lm, request):
    events = [event async for event in lm.stream(request)]
    end = events[-1]
    assert isinstance(end, Finished)
    streamed: dict[int, list[str]] = {}
    for event in events:
        if isinstance(event, ToolCallDelta):
            known = streamed.setdefault(event.call, ["", "", ""])
            known[0] += event.id or ""
            known[1] += event.name or ""
            known[2] += event.arguments
    calls = [part for part in end.message.parts if isinstance(part, ToolCallPart)]
    assert [[call.id, call.name, call.arguments] for call in calls] == list(streamed.values())
    return end, calls, events


async def test_a_string_without_end_is_ended_at_the_limit_and_said(writes):
    lm = writes(call_of("x" * 400))
    asked = Request(HELLO, Sampling(temperature=0, max_tokens=60), (WEATHER,))
    end, calls, _ = await collected(lm, asked)
    assert checked(calls, (WEATHER,)) == 1
    assert set(json.loads(calls[0].arguments)["city"]) == {"x"}
    assert end.reason == "length"
    assert end.usage.completion_tokens <= 60
    assert "limit of tokens" in end.detail


async def test_a_call_that_just_fits_is_as_it_was_written(writes, tokenizer):
    text = call_of("Oslo")
    size = len(tokenizer.encode(text, special=False))
    for room, reason in ((size + 1, "tool_calls"), (size, "length"), (size - 1, "length")):
        asked = Request(HELLO, Sampling(temperature=0, max_tokens=room), (WEATHER,))
        end, calls, _ = await collected(writes(text), asked)
        assert checked(calls, (WEATHER,)) == 1
        assert (json.loads(calls[0].arguments)["city"] == "Oslo") == (room >= size)
        assert end.reason == reason


async def test_words_do_not_turn_into_half_a_call_at_the_limit(writes, tokenizer):
    words = "I will look that up."
    before = len(tokenizer.encode(words, special=False))
    asked = Request(HELLO, Sampling(temperature=0, max_tokens=before + 8), (WEATHER,))
    end, calls, _ = await collected(writes(words + call_of("Oslo")), asked)
    assert not calls
    # What announces calls is no token of this model; its beginning stays, as of any text.
    assert f"{words}<tool_call>".startswith(text_of(end.message))
    assert text_of(end.message).startswith(words)
    assert end.reason == "length"


async def test_a_plain_text_is_cut_as_ever(writes, tokenizer):
    asked = Request(HELLO, Sampling(temperature=0, max_tokens=5), (WEATHER,))
    words = "one two three four five six seven"
    end, calls, _ = await collected(writes(words), asked)
    assert (end.reason, end.detail, calls) == ("length", "", [])
    assert text_of(end.message) == "one two three four five"


async def test_a_limit_below_the_shortest_call_is_refused_with_both_numbers(writes):
    lm = writes(call_of("Oslo"))
    asked = Request(HELLO, Sampling(temperature=0, max_tokens=3), (WEATHER,), CALLED)
    with pytest.raises(InputError, match=r"max_tokens is 3, .* takes \d+ tokens") as caught:
        await reply(lm, asked)
    assert caught.value.param == "max_tokens"
    short = writes(call_of("Oslo"), limits=EngineLimits(context=200))
    with pytest.raises(ContextLengthError):
        await reply(short, Request(HELLO, tools=(LONG, TREE), tool_choice=CALLED))


@pytest.mark.parametrize("stop", ['"', "}", "Oslo", "</tool_call>", "name", "\n"])
async def test_stop_strings_end_words_but_no_call(writes, stop):
    asked = Request(HELLO, GREEDY, (WEATHER,), stop=(stop,))
    end, calls, _ = await collected(writes(call_of("Oslo")), asked)
    assert end.reason == "tool_calls"
    assert json.loads(calls[0].arguments) == {"city": "Oslo"}
    said = await reply(writes(f"I say {stop} and more."), asked)
    assert (text_of(said.message), said.stop) == ("I say ", stop)


@pytest.mark.parametrize("mode", ["auto", "required"])
@pytest.mark.parametrize("opened", [False, True])
async def test_a_model_may_think_before_it_calls(writes, mode, opened):
    thought = "I could say <tool_call> or [1] here.\n"
    text = ("" if opened else "<think>\n") + thought + "</think>\n\n" + call_of("Oslo")
    template = THINKING + ("<think>\n" if opened else "")
    asked = Request(HELLO, GREEDY, (WEATHER,), ToolChoice(mode))
    end, calls, events = await collected(writes(text, template=template), asked)
    assert json.loads(calls[0].arguments) == {"city": "Oslo"}
    assert end.message.parts[0] == ReasoningPart(thought.strip())
    assert end.reason == "tool_calls"
    assert any(isinstance(event, ReasoningDelta) for event in events)


@pytest.mark.parametrize("opened", [False, True])
async def test_a_thought_without_end_still_gives_the_call_that_is_required(writes, opened):
    text = ("" if opened else "<think>\n") + "Hm. " * 300
    template = THINKING + ("<think>\n" if opened else "")
    asked = Request(HELLO, Sampling(temperature=0, max_tokens=120), (WEATHER,), CALLED)
    end, calls, _ = await collected(writes(text, template=template), asked)
    assert checked(calls, (WEATHER,)) == 1
    assert end.reason == "length"
    assert end.message.parts[0].text.startswith("Hm. Hm.")


async def test_a_thinking_model_may_answer_in_words_or_call_at_once(writes):
    asked = Request(HELLO, GREEDY, (WEATHER,))
    end, calls, _ = await collected(writes("It is 5 < 6.", template=THINKING), asked)
    assert (text_of(end.message), calls) == ("It is 5 < 6.", [])
    end, calls, _ = await collected(writes(call_of("Oslo"), template=THINKING), asked)
    assert checked(calls, (WEATHER,)) == 1
    end, calls, _ = await collected(
        writes("<think>Yes.</think>\n\nIt is.", template=THINKING), asked
    )
    assert end.message.parts[0] == ReasoningPart("Yes.")
    assert text_of(end.message) == "It is."


async def test_a_benchmark_can_let_go_of_the_form(writes):
    text = '<tool_call>\n{"name": "get_weather", "arguments": {"town": 5}}\n</tool_call>'
    end, calls, _ = await collected(
        writes(text, holds_calls=False), Request(HELLO, GREEDY, (WEATHER,), CALLED)
    )
    assert json.loads(calls[0].arguments) == {"town": 5}
    assert end.reason == "tool_calls"
    end, calls, _ = await collected(writes(text), Request(HELLO, GREEDY, (WEATHER,), CALLED))
    assert checked(calls, (WEATHER,))


@pytest.fixture(scope="module")
def small(smollm2_path):
    """SmolLM2-135M, which was never taught to call tools."""
    model = load_local("small", smollm2_path, LoadOptions(8192, 32_768))
    yield model.lm
    model.close(0.0)


@pytest.mark.parametrize("tools", SETS)
@pytest.mark.parametrize("choice", ["auto", "required", "function"])
async def test_a_small_model_at_its_hottest_makes_no_malformed_call(small, tools, choice):
    offered = SETS[tools]
    names = (offered[-1].name,) if choice == "function" else ()
    count = 0
    for seed in range(1 if tools == "many" else 2):
        asked = Request(
            (text_message("user", "Please use a tool. 道具を使ってください。"),),
            Sampling(temperature=2.0, max_tokens=100),
            offered,
            ToolChoice(choice, names),
            seed=seed,
            n=4,
        )
        ends, streamed = {}, {}
        async for event in small.stream(asked):
            if isinstance(event, Finished):
                ends[event.index] = event
            elif isinstance(event, ToolCallDelta):
                known = streamed.setdefault((event.index, event.call), ["", ""])
                known[0] += event.name or ""
                known[1] += event.arguments
        assert len(ends) == 4
        for index, end in ends.items():
            calls = [part for part in end.message.parts if isinstance(part, ToolCallPart)]
            whole = {(index, place): [c.name, c.arguments] for place, c in enumerate(calls)}
            assert whole == {key: said for key, said in streamed.items() if key[0] == index}
            assert choice == "auto" or calls, end
            assert end.reason in ("stop", "tool_calls", "length")
            if names:
                assert {call.name for call in calls} == set(names)
            count += checked(calls, offered)
    assert count or choice == "auto"


async def test_one_call_at_most_where_parallel_calls_are_off(small):
    asked = Request(
        HELLO,
        Sampling(temperature=2.0, max_tokens=200),
        (NOTHING, *MANY[:2]),
        CALLED,
        parallel_tool_calls=False,
        seed=5,
    )
    _, calls, _ = await collected(small, asked)
    assert checked(calls, asked.tools) == 1
