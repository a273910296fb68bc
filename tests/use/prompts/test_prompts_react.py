"""ReAct: thoughts, actions, observations, and what a model may do wrong on the way."""

from __future__ import annotations

import asyncio
import dataclasses
import time

import pytest
from technique_events import (
    Metered,
    Multiply,
    asked,
    end,
    events_and_error,
    events_of,
    question,
    steps,
    words,
)

from kataribe.base.errors import InputError, ProviderError
from kataribe.base.events import TextDelta
from kataribe.base.lm import Context, ToolSpec
from kataribe.base.messages import text_of
from kataribe.base.tool_calls import CallLimits, asking
from kataribe.run.providers import Reply, ScriptedLM
from kataribe.run.providers.scripted import EVERYTHING
from kataribe.use.prompts.react import ReAct, ReActOptions
from kataribe.use.prompts.react_format import (
    Act,
    Final,
    Unclear,
    acts_in,
    arguments_of,
    read_turn,
    tools_shown,
)

ACT = 'Thought: I multiply.\nAction: multiply\nAction Input: {"a": 6, "b": 7}\n'
FINAL = "Thought: Clear now.\nFinal Answer: It is 42, surely."


class Told:
    """A tool that says what it is told to, or raises it."""

    def __init__(self, answer: str | Exception, name: str = "look", parameters=None) -> None:
        self.spec = ToolSpec(name, "Looks.", parameters or {})
        self.answer = answer
        self.calls: list[dict] = []

    async def call(self, arguments):
        self.calls.append(dict(arguments))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Hanging(Told):
    """A tool that never answers; it says when it was stopped."""

    cancelled = False

    async def call(self, arguments):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.cancelled = True
            raise


async def test_it_acts_observes_and_answers():
    tool = Multiply()
    scripted = ScriptedLM([ACT + "Observation: 41\nFinal Answer: 41", FINAL])
    inner = Metered(scripted)
    events = await events_of(ReAct(inner, [tool]))
    assert tool.calls == [{"a": 6, "b": 7}]
    assert steps(events) == [
        "thought: I multiply.",
        'action: multiply {"a": 6, "b": 7}',
        "observation: 42",
        "thought: Clear now.",
    ]
    assert words(events) == "It is 42, surely."
    assert end(events).usage == inner.usage
    first, second = scripted.requests
    assert first.stop == ("Observation:", "Observation：")
    assert [message.role for message in second.prompt] == ["user", "assistant", "user"]
    assert text_of(second.prompt[1]) == ACT.strip()  # what was made up is cut off
    assert text_of(second.prompt[2]) == "Observation: 42"
    assert "multiply" in text_of(first.prompt[0])
    assert '"required": ["a", "b"]' in text_of(first.prompt[0])


async def test_the_final_answer_streams_word_by_word_and_nothing_else_does():
    pieces = ("Thou", "ght: x\nFin", "al An", "swer", ":", " It", " is", "\n\n", "42", " .", "  ")
    inner = ScriptedLM(Reply("".join(pieces), pieces=pieces))
    events = await events_of(ReAct(inner, [Multiply()]))
    deltas = [event.text for event in events if isinstance(event, TextDelta)]
    assert deltas == ["It", " is", "\n\n42", " ."]
    assert [type(event).__name__ for event in events][:2] == ["Step", "TextDelta"]


async def test_stars_around_the_keyword_are_not_part_of_the_answer():
    pieces = ("**Final Answer:", "*", "*", " **42", "**")
    inner = ScriptedLM(Reply("".join(pieces), pieces=pieces))
    assert words(await events_of(ReAct(inner, [Multiply()]))) == "**42**"


async def test_an_unknown_tool_bad_arguments_and_a_failing_tool_are_told_to_the_model():
    inner = ScriptedLM(
        [
            "Action: multiplie\nAction Input: {}",
            "Action: multiply\nAction Input: six by seven",
            "Action: look\nAction Input: {}",
            FINAL,
        ]
    )
    gone = Told(ProviderError("The page is gone."))
    events = await events_of(ReAct(inner, [Multiply(), gone]))
    unknown, form, failed = steps(events, "observation")
    assert "no tool 'multiplie'. Did you mean multiply?" in unknown
    assert 'Write its arguments as {"a": "...", "b": "..."}' in form
    assert failed == "Error: The page is gone."
    assert asked(inner)[3] == "Observation: Error: The page is gone."
    assert words(events) == "It is 42, surely."


async def test_a_long_observation_is_cut_and_says_so():
    inner = ScriptedLM(["Action: look", FINAL])
    lm = ReAct(inner, [Told("x" * 5000)], ReActOptions(most_characters=100))
    await events_of(lm)
    told = asked(inner)[1]
    assert told.startswith(f"Observation: {'x' * 75}\n[4,900 of 5,000 characters left out here.")
    assert told.endswith(f"]\n{'x' * 25}")


async def test_binary_is_not_shown():
    inner = ScriptedLM(["Action: look", FINAL])
    await events_of(ReAct(inner, [Told("PNG\0\1\2" * 100)]))
    assert "binary data, 600 characters" in asked(inner)[1]


async def test_a_tool_that_hangs_is_given_up_and_the_model_goes_on():
    hanging = Hanging("", "wait")
    inner = ScriptedLM(["Action: wait", FINAL])
    lm = ReAct(inner, [hanging], limits=CallLimits(seconds=0.05))
    events = await events_of(lm)
    assert "wait did not answer within 0.05 s" in asked(inner)[1]
    assert hanging.cancelled
    assert (words(events), end(events).reason) == ("It is 42, surely.", "stop")


async def test_a_tool_that_breaks_in_its_own_way_is_told_of():
    inner = ScriptedLM(["Action: look", FINAL])
    await events_of(ReAct(inner, [Told(ZeroDivisionError("by nothing"))]))
    assert asked(inner)[1] == "Observation: Error: look failed with ZeroDivisionError: by nothing"


async def test_the_same_call_again_and_again_is_told_then_ended():
    tool = Multiply()
    inner = ScriptedLM([ACT] * 5 + ["Final Answer: 42, I think."])
    events = await events_of(ReAct(inner, [tool], ReActOptions(most_steps=20)))
    assert len(tool.calls) == 3
    assert "made this call 3 times with the same result" in asked(inner)[4]
    assert "No tool can be used any more." in asked(inner)[5]
    assert (words(events), end(events).reason) == ("42, I think.", "repetition")
    assert "same call again and again" in end(events).detail


async def test_calls_that_bring_something_new_may_go_on():
    told = Told("")
    numbers = iter(range(100))

    async def call(arguments):
        told.calls.append(arguments)
        return f"line {next(numbers)}"

    told.call = call
    inner = ScriptedLM(["Action: look"] * 7 + [FINAL])
    assert end(await events_of(ReAct(inner, [told]))).reason == "stop"
    assert len(told.calls) == 7


async def test_actions_that_follow_each_other_are_done_side_by_side():
    tool, look = Multiply(), Told("a hill")
    both = f"{ACT}Action: look\nAction Input: {{}}\nThought: It is 41.\nAction: multiply"
    inner = ScriptedLM([both, FINAL])
    events = await events_of(ReAct(inner, [tool, look]))
    assert (len(tool.calls), len(look.calls)) == (1, 1)
    assert asked(inner)[1] == "Observation: \n1. multiply: 42\n2. look: a hill"
    written = text_of(inner.requests[1].prompt[1])
    assert written == f"{ACT}Action: look\nAction Input: {{}}"  # not what goes by no result
    assert len(steps(events, "action")) == 2


async def test_tools_learn_for_whom_they_run():
    seen = []

    class Who(Told):
        async def call(self, arguments):
            seen.append(asking.get())
            return "you"

    for name in ("ann", "bob"):
        lm = ReAct(ScriptedLM(["Action: look", FINAL]), [Who("")])
        await events_of(lm, question(context=Context(user=name)))
    assert [context.user for context in seen] == ["ann", "bob"]
    assert asking.get() is None


async def test_a_model_that_takes_no_stop_strings_is_asked_without():
    able = dataclasses.replace(EVERYTHING, lacks=frozenset({"stop"}))
    inner = ScriptedLM([f"{ACT}Observation: 41\nFinal Answer: 41", FINAL], capabilities=able)
    events = await events_of(ReAct(inner, [Multiply()]))
    assert words(events) == "It is 42, surely."
    assert [request.stop for request in inner.requests] == [(), ()]
    assert asked(inner)[1] == "Observation: 42"


async def test_the_limit_on_steps_ends_with_what_was_found():
    inner = ScriptedLM([ACT, ACT, "Final Answer: Probably 42."])
    events = await events_of(ReAct(inner, [Multiply()], ReActOptions(most_steps=2)))
    assert words(events) == "Probably 42."
    assert end(events).reason == "length"
    assert "limit of 2 steps" in end(events).detail
    assert steps(events, "limit")
    last = asked(inner)[-1]
    assert last.startswith("Observation: 42\n\nNo tool can be used any more.")


@pytest.mark.parametrize(
    ("said", "reply"), [("It may be 42.", "It may be 42."), ("", "Observation: 42"), (ACT, ACT)]
)
async def test_a_model_that_does_not_answer_in_the_end_is_shown_as_it_is(said, reply):
    inner = ScriptedLM([ACT, said])
    events = await events_of(ReAct(inner, [Multiply()], ReActOptions(most_steps=1)))
    assert reply.strip() in words(events)
    assert end(events).reason == "length"


async def test_words_in_no_form_are_an_answer_the_second_time():
    inner = ScriptedLM(["It is 42.", "It is 42, I said."])
    events = await events_of(ReAct(inner, [Multiply()]))
    assert asked(inner)[1].startswith("Observation: This is neither an action nor an answer.")
    assert words(events) == "It is 42, I said."
    assert end(events).reason == "stop"


async def test_silence_goes_on_to_the_limit():
    inner = ScriptedLM("")
    events = await events_of(ReAct(inner, [Multiply()], ReActOptions(most_steps=3)))
    assert len(inner.requests) == 4
    assert end(events).reason == "length"


async def test_a_tool_that_hangs_ends_at_the_deadline_with_what_was_found():
    hanging = Hanging("", "wait")
    inner = ScriptedLM([ACT, "Action: wait"])
    context = Context(deadline=time.monotonic() + 1.0)
    events = await events_of(ReAct(inner, [Multiply(), hanging]), question(context=context))
    assert end(events).reason == "deadline"
    assert "Observation: 42" in words(events)
    assert hanging.cancelled


async def test_an_error_of_the_model_passes_after_what_was_found_was_told():
    inner = ScriptedLM([ACT, ProviderError("gone")])
    events, error = await events_and_error(ReAct(inner, [Multiply()]), question())
    assert isinstance(error, ProviderError)
    assert "Observation: 42" in steps(events, "so far")[0]


@pytest.mark.parametrize(
    ("text", "turn"),
    [
        (ACT, Act("I multiply.", "multiply", '{"a": 6, "b": 7}')),
        ("Action: search[Tokyo]", Act("", "search", "Tokyo")),
        ('Action: search("Tokyo")', Act("", "search", '"Tokyo"')),
        ("**Action:** `look`\n**Action Input:** {}", Act("", "look", "{}")),
        ("Action：look\nAction Input：{}\nThought: next", Act("", "look", "{}")),
        (
            'Action: look\nAction Input: {\n "a": 1\n}\nObservation: x\nFinal Answer: y',
            Act("", "look", '{\n "a": 1\n}'),
        ),
        ("Action: look\nAction Input: {}\nFinal Answer: y", Act("", "look", "{}")),
        (FINAL, Final("Clear now.", "It is 42, surely.")),
        ("Final Answer: a\nAction: look", Final("", "a\nAction: look")),
        ("final answer: **42**", Final("", "**42**")),
        ("**Final Answer:** 42", Final("", "42")),
        ("**Final Answer**: 42", Final("", "42")),
        ("Final Answer:", Unclear("Final Answer:")),
        ("I say: Final Answer: 42", Unclear("I say: Final Answer: 42")),
        ("", Unclear("")),
        ("Observation: made up", Unclear("")),
    ],
)
def test_turns_are_read(text, turn):
    assert read_turn(text) == turn


@pytest.mark.parametrize(
    ("text", "names", "written"),
    [
        ("Action: a\nAction Input: 1\nAction: b\nAction Input: 2", ["a 1", "b 2"], None),
        ("Action: a[1]\nAction: b[2]\n", ["a 1", "b 2"], "Action: a[1]\nAction: b[2]"),
        ("Action: a\nAction: b\nAction Input: 2", ["a ", "b 2"], None),
        (
            "Action: a\nAction Input: 1\nThought: 5.\nAction: b",
            ["a 1"],
            "Action: a\nAction Input: 1",
        ),
        ("Action: a\nFinal Answer: 4\nAction: b", ["a "], "Action: a"),
    ],
)
def test_actions_that_are_asked_for_together(text, names, written):
    acts, read = acts_in(text)
    assert [f"{act.name} {act.given}" for act in acts] == names
    assert read == (text if written is None else written)


CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
NUMBER = {"type": "object", "properties": {"n": {"type": "number"}}}


@pytest.mark.parametrize(
    ("given", "parameters", "arguments"),
    [
        ('{"city": "Tokyo"}', CITY, {"city": "Tokyo"}),
        ('```json\n{"city": "Tokyo"}\n```', CITY, {"city": "Tokyo"}),
        ('"Tokyo"', CITY, {"city": "Tokyo"}),
        ("Tokyo", CITY, {"city": "Tokyo"}),
        ("123", CITY, {"city": "123"}),
        ("123", NUMBER, {"n": 123}),
        ("", NUMBER, {}),
        ("", {}, {}),
    ],
)
def test_arguments(given, parameters, arguments):
    assert arguments_of(Act("", "t", given), ToolSpec("t", "", parameters)) == arguments


@pytest.mark.parametrize(("given", "parameters"), [("", CITY), ("x", Multiply.spec.parameters)])
def test_arguments_in_no_form(given, parameters):
    with pytest.raises(InputError, match="no JSON object"):
        arguments_of(Act("", "t", given), ToolSpec("t", "", parameters))


def test_tools_are_shown_with_their_schema():
    shown = tools_shown([ToolSpec("look", "Looks\n  around."), Multiply.spec])
    assert shown.splitlines()[:2] == [
        "- look: Looks around.",
        '  arguments: {"type": "object", "properties": {}}',
    ]


def test_it_needs_tools_with_names_of_their_own():
    with pytest.raises(InputError, match="at least one"):
        ReAct(ScriptedLM(), [])
    with pytest.raises(InputError, match="same name"):
        ReAct(ScriptedLM(), [Told("a"), Told("b")])
