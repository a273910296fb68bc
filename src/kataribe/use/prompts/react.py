"""ReAct: thinking and acting in turns, in plain text.

Yao et al. 2023, "ReAct: synergizing reasoning and acting in language models".

For models that were never taught to call tools, and for seeing what one thinks: it writes a thought
and an action, is cut there, is given what the tool says, and goes on until it writes the answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from kataribe.base.errors import InputError
from kataribe.base.events import FinishReason
from kataribe.base.lm import LM, Request, Tool
from kataribe.base.messages import Message, ToolCallPart, ToolResultPart, text_message, text_of
from kataribe.base.tool_calls import (
    MOST_REPEATS,
    MOST_TOLD,
    CallLimits,
    Repeats,
    asked_by,
    call_tool,
    failed,
    not_again,
)
from kataribe.use.prompts.calls import Work
from kataribe.use.prompts.ranges import within
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
from kataribe.use.prompts.running import together
from kataribe.use.prompts.technique import Carries, Technique


@dataclass(frozen=True, slots=True)
class ReActOptions:
    """How long it may act.

    Attributes:
        most_steps: Turns of the model before it must answer with what it has.
        most_characters: Of one observation; what is longer is cut, and says by how much.
    """

    most_steps: int = 8
    most_characters: int = 4000

    def __post_init__(self) -> None:
        within("most_steps", self.most_steps, 1, 100)
        within("most_characters", self.most_characters, 100, 1_000_000)


class ReAct(Technique):
    """Thinks, acts and observes with tools of its own; the words of the final answer stream."""

    title = "react"
    carries = Carries()

    def __init__(
        self,
        lm: LM,
        tools: Sequence[Tool],
        options: ReActOptions | None = None,
        *,
        limits: CallLimits | None = None,
    ) -> None:
        """What it acts with; every call is made, so tools that need consent are an agent's.

        Args:
            lm: The model.
            tools: At least one.
            options: See there.
            limits: Of the calls; an observation is never longer than the options say.

        Raises `InputError` for no tools, or two of the same name.
        """
        super().__init__(lm)
        self.options = options or ReActOptions()
        most = self.options.most_characters
        self.limits = replace(limits or CallLimits(), characters=most)
        self.tools: Mapping[str, Tool] = {tool.spec.name: tool for tool in tools}
        if not tools:
            raise InputError("ReAct acts with tools. Give it at least one.", param="tools")
        if len(self.tools) != len(tools):
            raise InputError("Two tools have the same name. Rename one.", param="tools")

    async def answer(self, work: Work) -> None:
        """Turns until the answer, or until no step is left."""
        heard: list[Message] = []
        acting = _Acting(work, self)
        was_unclear = False
        for number in range(1, self.options.most_steps + 1):
            answer = _Answer(work)
            said = await work.ask(self._request(work, heard, number), heard=answer.hear)
            written, turn = before_observation(said.text), read_turn(said.text)
            match turn:
                case Final():
                    await answer.finish(turn, said.finished.reason)
                    return
                case Unclear(text) if was_unclear and text:
                    await answer.finish(Final("", text), said.finished.reason)
                    return
                case Unclear():
                    observation = work.wording.react_reminder
                case Act():
                    acts, written = acts_in(said.text)
                    observation = await acting.observe(acts, number)
            was_unclear = isinstance(turn, Unclear)
            heard += _turns(written, observation)
            work.keep(*_so_far(number, heard))
            if acting.told >= MOST_TOLD:
                await self._end_without(work, heard, number, _AGAIN)
                return
        most = self.options.most_steps
        end: _End = ("length", f"The limit of {most} steps ended it before an answer.")
        await self._end_without(work, heard, most, end)

    def _request(self, work: Work, heard: Sequence[Message], number: int) -> Request:
        specs = [tool.spec for tool in self.tools.values()]
        values = {
            "tools": tools_shown(specs),
            "names": ", ".join(self.tools),
            "question": work.question,
        }
        text = work.wording.react.render(values)
        asked = work.aside(text, "step", number)
        begun = work.turn.asking(text)
        return replace(asked, prompt=(*begun, *heard), stop=STOPS)

    async def _end_without(self, work: Work, heard: list[Message], number: int, end: _End) -> None:
        """No step is left: the model answers with what it has, and the end says so."""
        await work.step("limit", f"{end[1]} What was found until then is the answer.")
        last = (*heard[:-1], _also(heard[-1], work.wording.react_last))
        said = await work.ask(self._request(work, last, number + 1))
        turn = read_turn(said.text)
        text = turn.text if isinstance(turn, Final) else before_observation(said.text)
        await work.say(text or _so_far(number, heard)[1])
        await work.end(*end)


_End: TypeAlias = tuple[FinishReason, str]
_AGAIN: _End = ("repetition", "The model made the same call again and again.")


class _Acting:
    """The calls of one choice; what goes wrong is told to the model, which can mend it.

    Attributes:
        told: How often the model was told that it repeats a call.
    """

    def __init__(self, work: Work, react: ReAct) -> None:
        self.told = 0
        self._work = work
        self._tools = react.tools
        self._limits = react.limits
        self._repeats = Repeats()

    async def observe(self, acts: Sequence[Act], number: int) -> str:
        """What the actions of a turn give, side by side, in their order."""
        if acts[0].thought:
            await self._work.step("thought", acts[0].thought)
        ids = [f"act_{number}", *(f"act_{number}_{more}" for more in range(2, len(acts) + 1))]
        gate = asyncio.Semaphore(self._limits.at_once)

        async def one(place: int) -> str:
            if place >= self._limits.most:
                return f"Error: more than {self._limits.most} actions at once; this was not done."
            async with gate:
                return await self._act(acts[place], ids[place])

        found = await together(one(place) for place in range(len(acts)))
        if len(found) == 1:
            return found[0]
        lines = [f"{at + 1}. {acts[at].name}: {each}" for at, each in enumerate(found)]
        return "\n".join(("", *lines))

    async def _act(self, act: Act, id_: str) -> str:
        await self._work.step("action", f"{act.name} {act.given}", id_)
        result = await self._called(act, id_)
        await self._work.step("observation", result.content, id_)
        return result.content

    async def _called(self, act: Act, id_: str) -> ToolResultPart:
        call, tool = ToolCallPart(id_, act.name, "{}"), self._tools.get(act.name)
        if tool is not None:
            try:
                written = json.dumps(arguments_of(act, tool.spec), ensure_ascii=False)
            except InputError as error:
                return failed(call, error.message)
            call = replace(call, arguments=written)
        if (times := self._repeats.times(call)) >= MOST_REPEATS:
            self.told += 1
            return not_again(call, times)
        with asked_by(self._work.request.context):
            result = await self._work.in_time(
                call_tool(tuple(self._tools.values()), call, self._limits)
            )
        self._repeats.note(call, result)
        return result


class _Answer:
    """Says the words of the final answer while a turn is still being written."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._heard = Heard()
        self._is_told = False

    async def hear(self, text: str) -> None:
        """The next words of a turn; what stands behind "Final Answer:" is said at once."""
        if words := self._heard.hear(text):
            await self._tell(self._heard.thought)
            await self._work.say(words)

    async def finish(self, final: Final, reason: FinishReason) -> None:
        """The rest of the answer, and the end."""
        await self._tell(final.thought)
        rest = final.text[len(self._heard.answer) :]
        if rest:
            await self._work.say(rest)
        await self._work.end(reason)

    async def _tell(self, thought: str) -> None:
        if thought and not self._is_told:
            await self._work.step("thought", thought)
        self._is_told = True


def _turns(written: str, observation: str) -> list[Message]:
    return [
        text_message("assistant", written or "Thought:"),
        text_message("user", f"{OBSERVATION} {observation}"),
    ]


def _also(message: Message, text: str) -> Message:
    return Message(message.role, (*message.parts, *text_message("user", f"\n\n{text}").parts))


def _so_far(number: int, heard: Sequence[Message]) -> tuple[str, str]:
    """What was found in so many steps: a line, and the transcript."""
    transcript = "\n".join(text_of(message) for message in heard)
    return f"{number} steps: {transcript}", transcript
