"""Every form of `tool_choice`: what the model is asked, and what the client gets for it."""

from __future__ import annotations

import json

import pytest

from kataribe.base.lm import Request, ToolChoice
from kataribe.run.providers import Call, Reply, ScriptedLM
from tests.serve.conftest import WEATHER, hello, inside, source_of

CLOCK = {"type": "function", "function": {"name": "clock"}}
STARS = {"type": "function", "function": {"name": "stars"}}


def chosen(name: str) -> dict:
    return {"type": "function", "function": {"name": name}}


def allowed(mode: str, *names: str) -> dict:
    tools = [chosen(name) for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def shy(request: Request) -> Reply:
    """Calls a tool only when it must: the first that it may."""
    return _call(request) if request.tool_choice.mode in ("required", "function") else WORDS


def eager(request: Request) -> Reply:
    """Calls a tool whenever it may: the first that it may."""
    return WORDS if request.tool_choice.mode == "none" else _call(request)


def _call(request: Request) -> Reply:
    names = request.tool_choice.names or tuple(tool.name for tool in request.tools)
    return Reply(calls=(Call(names[0], {}),))


WORDS = Reply("I just talk.")

FORMS = [  # tool_choice, what the model is asked, whom a shy and an eager one call
    (None, ToolChoice("auto"), None, "weather"),
    ("auto", ToolChoice("auto"), None, "weather"),
    ("required", ToolChoice("required"), "weather", "weather"),
    ("none", ToolChoice("none"), None, None),
    (chosen("clock"), ToolChoice("function", ("clock",)), "clock", "clock"),
    (allowed("auto", "stars", "clock"), ToolChoice("auto", ("stars", "clock")), None, "stars"),
    (allowed("required", "clock"), ToolChoice("required", ("clock",)), "clock", "clock"),
    (
        allowed("required", "stars", "clock", "stars"),
        ToolChoice("required", ("stars", "clock")),
        "stars",
        "stars",
    ),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("choice", "asked", "by_shy", "by_eager"), FORMS)
async def test_every_form_is_what_the_model_is_asked(choice, asked, by_shy, by_eager, stream):
    models = ScriptedLM(shy, name="shy"), ScriptedLM(eager, name="eager")
    body = hello(tools=[WEATHER, CLOCK, STARS], tool_choice=choice, stream=stream)
    async with inside(source_of(*models)) as http:
        for lm, called in zip(models, (by_shy, by_eager), strict=True):
            answer = await http.post("/v1/chat/completions", json={**body, "model": lm.name})
            assert answer.status_code == 200, answer.text
            (request,) = lm.requests
            assert request.tool_choice == asked
            assert [tool.name for tool in request.tools] == ["weather", "clock", "stars"]
            told = streamed(answer.text) if stream else whole(answer.json())
            words = None if called else "I just talk."
            assert told == (words, called, "tool_calls" if called else "stop")


def whole(body: dict) -> tuple:
    (choice,) = body["choices"]
    calls = choice["message"].get("tool_calls") or [{"function": {"name": None}}]
    (call,) = calls
    return choice["message"]["content"], call["function"]["name"], choice["finish_reason"]


def streamed(text: str) -> tuple:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    choices = [choice for line in lines for choice in json.loads(line)["choices"]]
    words = "".join(choice["delta"].get("content") or "" for choice in choices)
    calls = [call for choice in choices for call in choice["delta"].get("tool_calls") or ()]
    names = [call["function"]["name"] for call in calls if call["function"].get("name")]
    assert len(names) <= 1
    return words or None, names[0] if names else None, choices[-1]["finish_reason"]
