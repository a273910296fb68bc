"""What the tests of all wires share: a model at the tests' host, and its events."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from host_server import HostServer

from kataribe.base.events import Event, Finished, ReasoningDelta, TextDelta, ToolCallDelta
from kataribe.base.lm import LM, Request
from kataribe.base.messages import (
    ReasoningPart,
    TextPart,
    ToolCallPart,
    text_message,
)
from kataribe.run.providers import HostedLM, Patience, known_hosts

KEY = "sk-the-secret-of-the-test"
QUICK = Patience(tries=3, first_wait=0.01, longest_wait=0.5, connect=2.0, idle=5.0)
WIRES = ("chat", "responses", "anthropic", "gemini")
HOST_OF = {
    "chat": "openai",
    "responses": "openai-responses",
    "anthropic": "anthropic",
    "gemini": "gemini",
}
ASK = Request((text_message("user", "hi"),))


def model_at(server: HostServer, wire: str, **fields: Any) -> HostedLM:
    """A model of that wire's best known host, which is the tests' server."""
    found = known_hosts()[fields.pop("host", HOST_OF[wire])]
    here = dataclasses.replace(found, address=server.url + "/v1")
    return HostedLM(here, fields.pop("model", "m"), **{"key": KEY, "patience": QUICK, **fields})


async def events_of(lm: LM, request: Request = ASK) -> list[Event]:
    return [event async for event in lm.stream(request)]


def check_protocol(events: Sequence[Event], choices: int = 1) -> list[Finished]:
    """Each choice ends once, nothing follows, and its message holds what its deltas carried."""
    closing: dict[int, Finished] = {}
    for event in events:
        assert event.index not in closing, "something follows the end"
        if isinstance(event, Finished):
            closing[event.index] = event
    assert sorted(closing) == list(range(choices))
    for index, finished in closing.items():
        own = [event for event in events if event.index == index]
        parts = finished.message.parts
        assert _joined(own, TextDelta) == _parts(parts, TextPart)
        assert _joined(own, ReasoningDelta) == _parts(parts, ReasoningPart)
        calls: dict[int, list[Any]] = {}
        for event in own:
            if isinstance(event, ToolCallDelta):
                if event.call not in calls:
                    assert event.id
                    assert event.name
                    calls[event.call] = [event.id, event.name, ""]
                calls[event.call][2] += event.arguments
        assert sorted(calls) == list(range(len(calls)))
        assert [tuple(call) for call in calls.values()] == [
            (part.id, part.name, part.arguments) for part in parts if isinstance(part, ToolCallPart)
        ]
        carried = tuple(
            lp for event in own if isinstance(event, TextDelta) for lp in event.logprobs
        )
        assert finished.logprobs == carried
    return [closing[index] for index in sorted(closing)]


def _joined(events: Sequence[Event], kind: type[Any]) -> str:
    return "".join(event.text for event in events if isinstance(event, kind))


def _parts(parts: Sequence[Any], kind: type[Any]) -> str:
    return "".join(part.text for part in parts if isinstance(part, kind))
