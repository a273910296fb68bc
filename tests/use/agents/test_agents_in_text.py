"""Models that call no tools are agents all the same, in plain text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kataribe.base.errors import InputError, KataribeError, UnsupportedError
from kataribe.base.events import ReasoningDelta, TextDelta
from kataribe.base.lm import JsonFormat, Request, ToolChoice, ToolSpec
from kataribe.base.messages import (
    ImagePart,
    Message,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
    text_of,
)
from kataribe.base.tool_calls import call_tool
from kataribe.run.providers.scripted import EVERYTHING, Reply, ScriptedLM
from kataribe.use.agents.approvals import approve
from kataribe.use.agents.in_text import InText
from kataribe.use.agents.loop import Agent, AgentOptions
from kataribe.use.agents.turn import Turn
from kataribe.use.agents.turns import FolderTurns, turn_of
from kataribe.use.agents.working import AgentLimits
from tests.use.agents.parts import (
    QUESTION,
    Plain,
    calls,
    calls_of,
    going_on,
    listen,
    results,
    steps,
    times,
)

MUTE = replace(EVERYTHING, tools=False, context_length=100_000)
ACT = 'Thought: I multiply.\nAction: times\nAction Input: {"a": 6, "b": 7}\n'
FINAL = "Thought: Clear now.\nFinal Answer: It is 42."
TOOLS = (ToolSpec("times", "Multiplies.", {"type": "object"}),)


def mute(script: Any, **changes: Any) -> ScriptedLM:
    return ScriptedLM(script, capabilities=replace(MUTE, **changes))


def agent(lm: ScriptedLM, *tools: Plain, **options: Any) -> Agent:
    return Agent(InText(lm), tools, call_tool, AgentOptions(**options))


def turns(request: Request) -> list[tuple[str, str]]:
    return [(message.role, text_of(message)) for message in request.prompt]  # type: ignore[union-attr]


async def test_it_acts_observes_and_answers():
    model = mute([f"{ACT}Observation: 41\nFinal Answer: 41", FINAL])
    tool = times()
    events, end = await listen(agent(model, tool))
    assert tool.calls == [{"a": 6, "b": 7}]
    assert (text_of(end.message), end.reason) == ("It is 42.", "stop")
    assert steps(events, "result") == ["times: 42"]
    first, second = (turns(request) for request in model.requests)
    assert "- times: Does times." in first[0][1]
    assert [role for role, _ in second] == ["user", "assistant", "user"]
    assert second[1][1] == 'Thought: I multiply.\nAction: times\nAction Input: {"a": 6, "b": 7}'
    assert second[2][1] == "Observation: 42"
    assert all(request.tools == () for request in model.requests)
    assert model.requests[0].stop == ("Observation:", "Observation：")


async def test_usage_counts_every_call():
    model = mute([ACT, FINAL])
    _, end = await listen(agent(model, times()))
    again = mute([ACT, FINAL])
    alone = [(await listen(again, request))[1].usage for request in model.requests]
    assert end.usage.prompt_tokens == sum(usage.prompt_tokens for usage in alone)


async def test_several_actions_are_several_calls():
    other = Plain("look", lambda: "a hill")
    model = mute([f"{ACT}Action: look\nAction Input: {{}}", FINAL])
    await listen(agent(model, times(), other))
    assert turns(model.requests[1])[-1] == ("user", "Observation:\n1. 42\n2. a hill")


async def test_wrong_tools_and_arguments_are_told_to_the_model():
    script = ["Action: time\nAction Input: {}", "Action: times\nAction Input: six by 7", FINAL]
    model = mute(script)
    _, end = await listen(agent(model, times()))
    assert "Did you mean times?" in turns(model.requests[1])[-1][1]
    assert "are no JSON" in turns(model.requests[2])[-1][1]
    assert end.reason == "stop"


async def test_consent_is_asked_for_in_text_too():
    tool = times()
    model = mute([ACT, FINAL])
    made = agent(model, tool, approve=lambda _: "ask")
    _, end = await listen(made)
    assert (end.reason, tool.calls) == ("approval", [])
    _, end = await listen(made, going_on(QUESTION, end, approve(*calls_of(end))))
    assert (text_of(end.message), len(tool.calls)) == ("It is 42.", 1)


async def test_words_in_no_form_are_asked_for_once_more_then_they_are_the_answer():
    model = mute(["I know it.", "It is 42."])
    _, end = await listen(agent(model, times()))
    assert turns(model.requests[1])[1] == ("assistant", "I know it.")
    assert "neither an action nor an answer" in turns(model.requests[1])[2][1]
    assert text_of(end.message) == "It is 42."


async def test_the_last_step_is_for_the_answer():
    model = mute([ACT, "Final Answer: 42, surely."])
    _, end = await listen(agent(model, times(), limits=AgentLimits(steps=2)))
    assert (end.reason, text_of(end.message)) == ("budget", "42, surely.")
    assert "No tool can be called any more" in turns(model.requests[1])[-1][1]


async def test_a_model_that_calls_tools_itself_is_asked_to():
    model = ScriptedLM([calls(("times", {"a": 6, "b": 7})), "42."])
    _, end = await listen(agent(model, times()))
    assert text_of(end.message) == "42."
    assert model.requests[0].tools[0].name == "times"
    assert results(model.requests[1])[0].content == "42"


async def test_one_that_says_no_only_when_it_is_asked_acts_in_text():
    def script(request: Request) -> str | Reply | Exception:
        if request.tools:
            return InputError("This model has no tools.", param="tools")
        return FINAL if "Observation: 42" in turns(request)[-1][1] else ACT

    model = ScriptedLM(script, capabilities=replace(EVERYTHING, context_length=100_000))
    _, end = await listen(agent(model, times()))
    assert text_of(end.message) == "It is 42."
    assert len(model.requests) == 3  # the refusal is remembered


async def test_a_request_without_tools_passes_as_it_is():
    model = mute("Hello.")
    request = replace(QUESTION, response_format=JsonFormat(), stop=("#",), seed=3)
    await listen(InText(model), request)
    assert model.requests == [request]


async def test_a_broken_stream_is_an_error():
    class Broken(ScriptedLM):
        async def stream(self, request: Request):  # type: ignore[no-untyped-def, override]
            return
            yield

    with pytest.raises(KataribeError, match="stream broke off"):
        await listen(InText(Broken(capabilities=MUTE)), replace(QUESTION, tools=TOOLS))


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"stop": ("#",)}, "stop"),
        ({"n": 2}, "n"),
        ({"tool_choice": ToolChoice("required")}, "tool_choice"),
        ({"response_format": JsonFormat()}, "response_format"),
    ],
)
async def test_what_words_cannot_carry_is_refused(change, param):
    model = mute("x")
    with pytest.raises(UnsupportedError) as caught:
        await listen(InText(model), replace(QUESTION, tools=TOOLS, **change))
    assert caught.value.param == param
    assert model.requests == []


async def test_thoughts_of_a_reasoning_model_stay_with_its_calls():
    model = mute([Reply(ACT, reasoning="Six sevens?"), FINAL])
    await listen(agent(model, times()))
    said = turns(model.requests[1])[1][1]
    assert said.startswith("Thought: Six sevens?\nI multiply.\nAction: times")


async def test_the_answer_s_words_come_while_they_are_written():
    said = "Thought: I know.\nFinal Answer: It is 42, surely."
    model = mute([Reply(said, pieces=tuple(said))])
    events, end = await listen(InText(model), replace(QUESTION, tools=TOOLS))
    told = [event.text for event in events if isinstance(event, TextDelta)]
    assert len(told) > 3
    assert "".join(told) == text_of(end.message) == "It is 42, surely."
    (thought,) = [event for event in events if isinstance(event, ReasoningDelta)]
    assert thought.text == "I know."


async def test_what_a_model_makes_up_as_a_tool_s_words_is_never_told():
    class Deaf(ScriptedLM):
        """Heeds no stop strings."""

        async def stream(self, request: Request):  # type: ignore[no-untyped-def, override]
            async for event in super().stream(replace(request, stop=())):
                yield event

    said = "Final Answer: It is 42.\nObservation: and 43"
    model = Deaf([Reply(said, pieces=tuple(said))], capabilities=MUTE)
    _, end = await listen(InText(model), replace(QUESTION, tools=TOOLS))
    assert text_of(end.message) == "It is 42."


async def test_it_is_said_once_a_turn_that_a_model_acts_in_text():
    events, _ = await listen(agent(mute([ACT, FINAL]), times()))
    assert len(steps(events, "in text")) == 1
    wished = InText(mute([ACT, FINAL]), always=True)
    events, _ = await listen(Agent(wished, [times()], call_tool))
    assert steps(events, "in text") == []


async def test_one_that_could_call_tools_acts_in_text_where_that_is_wished():
    model = ScriptedLM([ACT, FINAL], capabilities=replace(EVERYTHING, context_length=100_000))
    tool = times()
    _, end = await listen(Agent(InText(model, always=True), [tool], call_tool))
    assert (text_of(end.message), len(tool.calls)) == ("It is 42.", 1)
    assert all(request.tools == () for request in model.requests)


PICTURE = ImagePart("image/png", b"a picture")
LOOKS = replace(QUESTION, tools=(ToolSpec("look", "Looks.", {"type": "object"}),))


@pytest.mark.parametrize("in_text", [False, True])
async def test_pictures_of_a_caller_s_tool_reach_the_model(tmp_path: Path, in_text: bool):
    act = "Action: look\nAction Input: {}"
    script = [act, FINAL] if in_text else [calls(("look", {})), "It is 42."]
    model = mute(script) if in_text else ScriptedLM(script)
    options = AgentOptions(turns=FolderTurns(tmp_path))
    _, end = await listen(Agent(InText(model), [times()], call_tool, options), LOOKS)
    (call,) = calls_of(end)
    found = Message("tool", (ToolResultPart(call.id, "A hill.", images=(PICTURE,)),))
    # Another process goes on with the turn, from its journal.
    again = Agent(InText(model), [times()], call_tool, options)
    _, end = await listen(again, going_on(LOOKS, end, found))
    assert text_of(end.message) == "It is 42."
    newest = model.requests[1].prompt[-1]
    if in_text:
        assert newest == Message("user", (TextPart("Observation: A hill."), PICTURE))
    else:
        assert results(model.requests[1])[0].images == (PICTURE,)
    with options.turns.open(turn_of(call.id) or "", new=False) as journal:
        assert journal is not None
        assert Turn(journal).results[0][1].images == (PICTURE,)


async def test_pictures_stand_behind_the_words_of_their_result():
    other = ImagePart("image/png", b"another")
    asked = (
        *QUESTION.prompt,
        Message("assistant", (ToolCallPart("1", "look", "{}"), ToolCallPart("2", "look", "{}"))),
        Message(
            "tool",
            (
                ToolResultPart("1", "A hill.", images=(PICTURE,)),
                ToolResultPart("2", "A lake.", images=(other,)),
            ),
        ),
        text_message("user", "And now?"),
    )
    model = mute(FINAL)
    await listen(InText(model), replace(LOOKS, prompt=asked))  # type: ignore[arg-type]
    (*_, newest) = model.requests[0].prompt
    shown = [TextPart("Observation:\n1. A hill."), PICTURE, TextPart("\n2. A lake."), other]
    assert newest.parts[:4] == tuple(shown)  # type: ignore[union-attr]
    assert text_of(newest).endswith("And now?")  # type: ignore[arg-type]
    assert [m.role for m in model.requests[0].prompt] == ["user", "assistant", "user"]  # type: ignore[union-attr]


async def test_a_picture_that_cannot_be_shown_is_refused_by_its_place():
    model = mute(["Action: look\nAction Input: {}", FINAL], images=False)
    made = Agent(InText(model), [times()], call_tool)
    _, end = await listen(made, LOOKS)
    (call,) = calls_of(end)
    found = Message("tool", (ToolResultPart(call.id, "A hill.", images=(PICTURE,)),))
    with pytest.raises(UnsupportedError, match=r"messages\[2\].content has an image"):
        await listen(made, going_on(LOOKS, end, found))
    words = Message("tool", (ToolResultPart(call.id, "A hill."),))
    _, end = await listen(made, going_on(LOOKS, end, words))  # nothing is lost
    assert text_of(end.message) == "It is 42."
