"""Calls of tools in plain text, for models that were never taught to call any.

Yao et al. 2023, "ReAct: synergizing reasoning and acting in language models".

An `LM` around an `LM`: a request with tools becomes words that show them, with the calls so far and
what they gave as actions and observations; an action that the model then writes comes out as a
call. So an agent around it is the same agent as around any other model: its limits, consent,
journal and working memory know nothing of it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

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
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
    text_of,
)
from kataribe.base.tool_calls import CallLimits
from kataribe.use.agents.turn import reply_parts
from kataribe.use.agents.working import AgentLimits
from kataribe.use.prompts.react_format import (
    OBSERVATION,
    STOPS,
    Act,
    Final,
    Heard,
    Unclear,
    acts_in,
    arguments_of,
    before_observation,
    read_turn,
    tools_shown,
)
from kataribe.use.prompts.registry import read_options
from kataribe.use.prompts.turns import last_turn
from kataribe.use.prompts.wordings import Wording, wording_for


def turn_limits(steps: int | None, react: Mapping[str, Any] | None) -> AgentLimits:
    """Limits of a turn.

    Args:
        steps: Most calls of the model; None for as many as is usual.
        react: ReAct's options by name, for a model that acts in plain text; None for one that
            calls tools itself. `most_steps` are turns before the one that must answer.

    Raises what reading the options does.
    """
    if react is None:
        return AgentLimits() if steps is None else AgentLimits(steps=steps)
    options = read_options("react", react)
    calls = CallLimits(characters=options.most_characters)
    own = options.most_steps + 1 if steps is None or "most_steps" in react else steps
    return AgentLimits(steps=own if steps is None else min(own, steps), calls=calls)


class InText:
    """An `LM` that calls tools: natively where its model does, else in plain text.

    Which of the two a model behind a server is, may show only when it is asked.

    Args:
        lm: The model.
        always: It acts in plain text even where it could call tools itself.
    """

    def __init__(self, lm: LM, *, always: bool = False) -> None:
        self._lm = lm
        self._is_wished = always
        self._in_text = always or not lm.capabilities.tools

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
        must be made, several replies, a picture for a model that sees none.
        """
        has_tools = bool(request.tools) or any(_is_of_tools(m) for m in messages_of(request))
        if not has_tools or not self._in_text:
            begun = False
            events = self._lm.stream(request)
            try:
                async for event in events:
                    begun = begun or not isinstance(event, Progress | Step)
                    yield event
                return
            except InputError as error:
                if begun or not has_tools or error.param != "tools":
                    raise
                self._in_text = True
            finally:
                await close_stream(events)
        self._check(request)
        newest = messages_of(request)[-2:]  # what the loop tells behind results is the user's
        if not self._is_wished and not any(map(_is_of_tools, newest)):
            yield Step("in text", f"{self.name} calls no tools itself, so it acts in plain text.")
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
        whole, telling = Finished(Message("assistant", ()), spent, "error"), _Telling()
        for is_last in (False, True):
            end: Finished | None = None
            events = Eased(self._lm, ("stop",)).stream(asked)
            try:
                async for event in events:
                    if isinstance(event, Finished):
                        end = event
                    elif isinstance(event, Progress | Step):
                        yield event
                    else:
                        for told in telling.take(event):
                            yield told
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
            telling = _Telling()
        for event in telling.rest(request, replace(whole, usage=spent)):
            yield event


class _Telling:
    """The events of a reply in ReAct's form: its answer's words as they come, the rest behind."""

    def __init__(self) -> None:
        self._heard = Heard()
        self._thought: list[str] = []
        self._told: str | None = None  # of the thoughts; None before any word is told
        self._citations: list[Citation] = []

    def take(self, event: Event) -> list[Event]:
        """What an event of the model tells the caller at once."""
        match event:
            case ReasoningDelta() if self._told is None:
                self._thought.append(event.text)
            case Citation():  # where it stands in the answer shows at the end
                self._citations.append(event)
            case TextDelta():
                words = self._heard.hear(event.text)
                if words and self._told is None:
                    self._told = _joined("".join(self._thought), self._heard.thought)
                    before: list[Event] = [ReasoningDelta(self._told)] if self._told else []
                    return [*before, TextDelta(words, tokens=event.tokens)]
                return [TextDelta(words, tokens=event.tokens)] if words else []
        return []

    def rest(self, request: Request, end: Finished) -> list[Event]:
        """What is still to be told, the end of the reply last."""
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
        thought = thought if self._told is None else self._told
        events: list[Event] = [ReasoningDelta(thought)] if thought and self._told is None else []
        more = text[len(self._heard.answer) :]
        events += [TextDelta(more)] if more else []
        events += _moved(self._citations, said, text)
        events += [ToolCallDelta(n, c.arguments, c.id, c.name) for n, c in enumerate(calls)]
        message = Message("assistant", reply_parts(thought, text, calls))
        reason = "tool_calls" if calls and end.reason == "stop" else end.reason
        return [*events, replace(end, message=message, reason=reason, logprobs=(), stop=None)]


def _moved(citations: Sequence[Citation], said: str, text: str) -> list[Citation]:
    """The citations of a reply that stand in the part of it that is its answer."""
    shift = said.find(text)
    moved = [replace(each, start=each.start - shift, end=each.end - shift) for each in citations]
    return [each for each in moved if shift >= 0 and 0 <= each.start <= each.end <= len(text)]


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
        prompt=_all_worded(messages),
        tools=(),
        tool_choice=ToolChoice(),
        parallel_tool_calls=True,
        stop=STOPS,
    )


def _all_worded(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Messages with calls and results as words.

    What the user says behind results stands in one message with them, which are the user's here:
    many templates take two of one speaker for an error.
    """
    worded: list[Message] = []
    for at, message in enumerate(messages):
        each = _worded(message)
        if each.role == "user" and at and messages[at - 1].role == "tool":
            before = worded.pop()
            each = Message("user", (*before.parts, TextPart("\n\n"), *each.parts))
        worded.append(each)
    return tuple(worded)


def _worded(message: Message) -> Message:
    """A message with calls and results as words; pictures of results stand behind theirs."""
    if message.role == "tool":
        return Message("user", _observed(message))
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


def _observed(message: Message) -> tuple[Part, ...]:
    found = [part for part in message.parts if isinstance(part, ToolResultPart)]
    alone = len(found) == 1
    parts: list[Part] = [TextPart(f"{OBSERVATION} " if alone else OBSERVATION)]
    for at, result in enumerate(found, 1):
        words = result.content if alone else f"\n{at}. {result.content}"
        if isinstance(last := parts[-1], TextPart):
            parts[-1] = TextPart(last.text + words)
        else:
            parts.append(TextPart(words))
        parts += result.images
    rest = (part for part in message.parts if not isinstance(part, ToolResultPart))
    return (*parts, *rest)


def _is_of_tools(message: Message) -> bool:
    return any(isinstance(part, ToolCallPart | ToolResultPart) for part in message.parts)
