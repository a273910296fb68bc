"""An assistant's tools: consent, limits and words, in every way that a model may call them."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lending import Shelf, around, end, question, scripted, told

from kataribe.base.errors import InputError
from kataribe.base.lm import Capabilities, Request
from kataribe.base.messages import Message, ToolCallPart, text_of
from kataribe.run.providers.scripted import Call, Reply, ScriptedLM
from kataribe.use.agents.approvals import approve, refuse
from kataribe.use.assistants.compose import composed
from kataribe.use.assistants.recipe import recipe_of

NO_TOOLS = Capabilities(context_length=4096)

WRITES = {"path": "a.txt", "text": "x"}
IN_TEXT = f"Thought: write.\nAction: write_file\nAction Input: {json.dumps(WRITES)}\n"


def writing(*, calls: bool = True, refuses: bool = False) -> ScriptedLM:
    """A model that wants to write a file, then is done."""

    def script(request: Request) -> str | Reply | Exception:
        if request.tools and refuses:
            return InputError("This model takes no tools.", param="tools")
        told = request.prompt[-1]
        assert isinstance(told, Message)
        if told.role == "tool" or text_of(told).startswith("Observation:"):
            return "Final Answer: Done."
        return Reply(calls=(Call("write_file", WRITES),)) if request.tools else IN_TEXT

    able = Capabilities(context_length=4096, tools=calls or refuses)
    return scripted(script, capabilities=able)


WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "native": ({}, {}),
    "in text": ({}, {"calls": False}),
    "a host that refuses": ({}, {"refuses": True}),
    "react": ({"technique": "react"}, {}),
    "react in text": ({"technique": "react"}, {"calls": False}),
    "guards inside": ({"guards": {"standard": True, "personal": True}}, {"calls": False}),
    "router": ({"router": {"default": "plain"}}, {"calls": False}),
    "router to a host": ({"router": {"default": "plain"}}, {"refuses": True}),
    "an assistant's": ({"model": "inner"}, {"calls": False}),
}


@pytest.mark.parametrize("way", WAYS)
async def test_no_tool_runs_without_the_consent_that_it_needs(way: str, tmp_path: Path) -> None:
    changes, able = WAYS[way]
    shelf, written = Shelf(plain=writing(**able)), tmp_path / "a.txt"
    options = {"folder": str(tmp_path), "write": True}
    acts = {"tools": [{"name": "files", "options": options}]}
    there, asked = around(shelf, tmp_path), question("Write it.")
    async with AsyncExitStack() as stack:
        recipe = {**changes, **acts}
        if "model" in changes:
            inner = composed("inner", recipe_of(acts, "inner.yaml"), there)
            shelf.models["inner"] = await stack.enter_async_context(inner)
            recipe = changes
        made = composed("helper", recipe_of(recipe, "helper.yaml"), there)
        lm = await stack.enter_async_context(made)
        for answer in (refuse, approve):
            waits = end([event async for event in lm.stream(asked)])
            assert (waits.reason, written.exists()) == ("approval", False)
            (call,) = [part for part in waits.message.parts if isinstance(part, ToolCallPart)]
            assert (call.name, json.loads(call.arguments)) == ("write_file", WRITES)
            then = replace(asked, prompt=(*asked.prompt, waits.message, answer(call)))
            found = end([event async for event in lm.stream(then)])
            assert text_of(found.message).endswith("Done.")
            assert written.exists() == (answer is approve)


@pytest.mark.parametrize(
    ("recipe", "steps_taken"),
    [
        ({"limits": {"steps": 3}}, 3),
        ({"limits": {"steps": 12}}, 12),
        ({}, 9),
        ({"technique": {"name": "react", "options": {"most_steps": 4}}}, 5),
        ({"technique": "react", "limits": {"steps": 10}}, 10),
        ({"technique": {"name": "react", "options": {"most_steps": 4}}, "limits": {"steps": 9}}, 5),
    ],
)
async def test_limits_of_steps_reach_a_model_that_acts_in_text(
    recipe: dict[str, Any], steps_taken: int, tmp_path: Path
) -> None:
    numbers = iter(range(100))

    def script(request: Request) -> str:
        if "No tool can be called" in text_of(request.prompt[-1]):  # type: ignore[arg-type]
            return "Final Answer: So far."
        return f"Action: calculator\nAction Input: 6 * {next(numbers)}"

    lm = scripted(script, capabilities=NO_TOOLS)
    recipe = {"tools": ["calculator"], **recipe}
    events = await told(recipe, around(Shelf(plain=lm), tmp_path), question("?"))
    assert len(lm.requests) == steps_taken
    assert (end(events).reason, text_of(end(events).message)) == ("budget", "So far.")


async def test_a_long_observation_is_cut_as_react_s_options_say(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x" * 3000, encoding="utf-8")
    tool = {"name": "files", "options": {"folder": str(tmp_path)}, "approval": "always"}
    react = {"name": "react", "options": {"most_characters": 500}}
    lm = scripted(['Action: read_file\nAction Input: {"path": "a.txt"}', "Final Answer: x"])
    recipe = {"tools": [tool], "technique": react}
    await told(recipe, around(Shelf(plain=lm), tmp_path), question("?"))
    observed = text_of(lm.requests[1].prompt[-1])  # type: ignore[arg-type]
    assert 300 < len(observed) < 700
