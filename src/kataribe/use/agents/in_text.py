"""Calls of tools in plain text, for models that were never taught to call any.

Yao et al. 2023, "ReAct: synergizing reasoning and acting in language models".

An `LM` around an `LM`: a request with tools becomes words that show them, with the calls so far and
what they gave as actions and observations; an action that the model then writes comes out as a
call. So an agent around it is the same agent as around any other model: its limits, consent,
journal and working memory know nothing of it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from kataribe.base.abilities import check_abilities, messages_of
from kataribe.base.easing import Eased
from kataribe.base.errors import InputError, KataribeError, UnsupportedError
from kataribe.base.events import (
    Citation,
    Event,
    Finished,
    Progress,
    ReasoningDelta,
    Step,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from kataribe.base.lm import LM, Capabilities, Request, ToolChoice, close_stream
from kataribe.base.messages import (
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
    text_of,
)
from kataribe.use.agents.turn import reply_parts
from kataribe.use.prompts.react_format import (
    OBSERVATION,
    STOPS,
    Act,
    Final,
    Unclear,
    acts_in,
    arguments_of,
    before_observation,
    read_turn,
    tools_shown,
)
from kataribe.use.prompts.turns import last_turn
from kataribe.use.prompts.wordings import Wording, wording_for


class InText:
    """An `LM` that calls tools: natively where its model does, else in plain text.

    Which of the two a model behind a server is, may show only when it is asked.
    """

    def __init__(self, lm: LM) -> None:
        self._lm = lm
        self._in_text = not lm.capabilities.tools

    @property
    def name(self) -> str:
        """The model's."""
        return self._lm.name

    @property
    def capabilities(self) -> Capabilities:
        """The model's, with tools; words that stand for calls can be held to no other form."""
        able = self._lm.capabilities
        if not self._in_text:
            return able
        return replace(able, tools=True, structured_output=False, logprobs=False, raw_prompt=False)

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """Answers, or calls tools of the request; one without any passes as it is.

        Raises `UnsupportedError` for what words cannot carry: stop strings, a form, a call that
        must be made, several replies.
        """
        has_tools = bool(request.tools) or any(
            isinstance(part, ToolCallPart | ToolResultPart)
            for message in messages_of(request)
            for part in message.parts
        )
        if not has_tools or not self._in_text:
            begun = False
            events = self._lm.stream(request)
            try:
                async for event in events:
                    begun = begun or not isinstance(event, Progress | Step)
                    yield event
                return
            except InputError as error:
                if begun or error.param != "tools":
                    raise
                self._in_text = True
            finally:
                await close_stream(events)
        self._check(request)
        async with aclosing(self._acting(request)) as acting:
            async for event in acting:
                yield event

    def _check(self, request: Request) -> None:
        check_abilities(self.name, self.capabilities, request)
        required = request.tool_choice.mode in ("required", "function")
        wanted = {"stop": request.stop, "tool_choice": required, "n": request.n != 1}
        for field in (each for each, is_wanted in wanted.items() if is_wanted):
            raise UnsupportedError(
                f"{self.name} calls tools in plain text, which has no place for {field}. Leave "
                f"{field} out, or ask a model that calls tools itself.",
                param=field,
            )

    async def _acting(self, request: Request) -> AsyncGenerator[Event, None]:
        """Asks in words; of what is neither action nor answer the model is reminded once."""
        wording = _wording(request)
        asked, spent = _in_words(request, wording), Usage(0, 0)
        whole = Finished(Message("assistant", ()), spent, "error")
        for is_last in (False, True):
            end: Finished | None = None
            events = Eased(self._lm, ("stop",)).stream(asked)
            try:
                async for event in events:
                    if isinstance(event, Finished):
                        end = event
                    elif isinstance(event, Progress | Step | Citation):
                        yield event
            finally:
                await close_stream(events)
            if end is None:
                raise KataribeError(f"{self.name} sent no end of its reply; its stream broke off.")
            whole, spent = end, spent + end.usage
            said, is_cut = text_of(end.message), end.reason not in ("stop", "length")
            unclear = isinstance(read_turn(said), Unclear)
            if is_last or is_cut or not unclear or not request.tools or not _may_call(request):
                break
            reminder = text_message("user", f"{OBSERVATION} {wording.react_reminder}")
            written = text_message("assistant", said.strip() or "Thought:")
            asked = replace(asked, prompt=(*messages_of(asked), written, reminder))
        for event in _told(request, replace(whole, usage=spent)):
            yield event


def _told(request: Request, end: Finished) -> list[Event]:
    """The events of a reply that was written in ReAct's form."""
    said = text_of(end.message)
    thought = "".join(p.text for p in end.message.parts if isinstance(p, ReasoningPart))
    text = before_observation(said)
    calls: tuple[ToolCallPart, ...] = ()
    match read_turn(said):
        case Final(before, final):
            thought, text = _joined(thought, before), final
        case Act(before) if _may_call(request) and end.reason in ("stop", "length"):
            thought, text = _joined(thought, before), ""
            calls = _calls(request, acts_in(said)[0])
    events: list[Event] = [ReasoningDelta(thought)] if thought else []
    events += [TextDelta(text)] if text else []
    events += [ToolCallDelta(n, c.arguments, c.id, c.name) for n, c in enumerate(calls)]
    message = Message("assistant", reply_parts(thought, text, calls))
    reason = "tool_calls" if calls and end.reason == "stop" else end.reason
    return [*events, replace(end, message=message, reason=reason, logprobs=(), stop=None)]


def _joined(*thoughts: str) -> str:
    return "\n".join(each for each in thoughts if each)


def _calls(request: Request, acts: Sequence[Act]) -> tuple[ToolCallPart, ...]:
    """Actions as calls; of what cannot be read as arguments, whoever runs them tells the model."""
    specs = {spec.name: spec for spec in request.tools}
    calls: list[ToolCallPart] = []
    for act in acts if request.parallel_tool_calls else acts[:1]:
        arguments = act.given
        if act.name in specs:
            try:
                read = arguments_of(act, specs[act.name])
            except InputError:
                pass
            else:
                arguments = json.dumps(read, ensure_ascii=False)
        calls.append(ToolCallPart(f"act_{len(calls)}", act.name, arguments))
    return tuple(calls)


def _may_call(request: Request) -> bool:
    return request.tool_choice.mode != "none"


def _wording(request: Request) -> Wording:
    messages = messages_of(request)
    turn = last_turn(messages, "a model that calls tools in text")
    return wording_for(turn.question, map(text_of, turn.before))


def _in_words(request: Request, wording: Wording) -> Request:
    """The request without tools: the newest question shows them, and what they gave is words."""
    messages = messages_of(request)
    turn = last_turn(messages, "a model that calls tools in text")
    if request.tools and _may_call(request):
        names = set(request.tool_choice.names) or {spec.name for spec in request.tools}
        specs = [spec for spec in request.tools if spec.name in names]
        values = {
            "tools": tools_shown(specs),
            "names": ", ".join(spec.name for spec in specs),
            "question": turn.question,
        }
        messages = turn.asking(wording.react.render(values))
    return replace(
        request,
        prompt=tuple(_worded(message) for message in messages),
        tools=(),
        tool_choice=ToolChoice(),
        parallel_tool_calls=True,
        stop=STOPS,
    )


def _worded(message: Message) -> Message:
    """A message with calls and results as words."""
    if message.role == "tool":
        found = [part for part in message.parts if isinstance(part, ToolResultPart)]
        if len(found) == 1:
            return text_message("user", f"{OBSERVATION} {found[0].content}")
        lines = [f"{at}. {part.content}" for at, part in enumerate(found, 1)]
        return text_message("user", "\n".join((OBSERVATION, *lines)))
    if not any(isinstance(part, ToolCallPart) for part in message.parts):
        return message
    lines = []
    for part in message.parts:
        if isinstance(part, ReasoningPart):
            lines.append(f"Thought: {part.text}")
        elif isinstance(part, TextPart):
            lines.append(part.text)
        elif isinstance(part, ToolCallPart):
            lines.append(f"Action: {part.name}\nAction Input: {part.arguments}")
    return text_message("assistant", "\n".join(lines))
