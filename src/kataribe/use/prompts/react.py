"""ReAct: thinking and acting in turns, in plain text.

Yao et al. 2023, "ReAct: synergizing reasoning and acting in language models".

For models that were never taught to call tools, and for seeing what one thinks: it writes a thought
and an action, is cut there, is given what the tool says, and goes on until it writes the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from kataribe.base.errors import InputError, KataribeError
from kataribe.base.events import FinishReason
from kataribe.base.lm import LM, Request, Tool
from kataribe.base.messages import Message, text_message, text_of
from kataribe.use.prompts.calls import Said, Work
from kataribe.use.prompts.ranges import within
from kataribe.use.prompts.react_format import (
    STOPS,
    Act,
    Final,
    Unclear,
    answer_behind,
    answer_start,
    arguments_of,
    before_observation,
    read_turn,
    thought_in,
    tools_shown,
    unknown_tool,
)
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

    def __init__(self, lm: LM, tools: Sequence[Tool], options: ReActOptions | None = None) -> None:
        """Raises `InputError` for no tools, or two of the same name."""
        super().__init__(lm)
        self.options = options or ReActOptions()
        self.tools: Mapping[str, Tool] = {tool.spec.name: tool for tool in tools}
        if not tools:
            raise InputError("ReAct acts with tools. Give it at least one.", param="tools")
        if len(self.tools) != len(tools):
            raise InputError("Two tools have the same name. Rename one.", param="tools")

    async def answer(self, work: Work) -> None:
        """Turns until the answer, or until no step is left."""
        heard: list[Message] = []
        was_unclear = False
        for number in range(1, self.options.most_steps + 1):
            answer = _Answer(work)
            said = await work.ask(self._request(work, heard, number), heard=answer.hear)
            turn = read_turn(said.text)
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
                    observation = await self._act(work, turn, f"act_{number}")
            was_unclear = isinstance(turn, Unclear)
            heard += _turns(said, observation)
            work.keep(*_so_far(number, heard))
        await self._end_without(work, heard)

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

    async def _act(self, work: Work, act: Act, id_: str) -> str:
        """Uses a tool; what goes wrong is told to the model, which can mend it."""
        if act.thought:
            await work.step("thought", act.thought)
        await work.step("action", f"{act.name} {act.given}", id_)
        tool = self.tools.get(act.name)
        try:
            if tool is None:
                observation = unknown_tool(act.name, list(self.tools))
            else:
                observation = await work.in_time(tool.call(arguments_of(act, tool.spec)))
        except KataribeError as error:
            observation = f"Error: {error.message}"
        observation = self._cut(observation)
        await work.step("observation", observation, id_)
        return observation

    def _cut(self, observation: str) -> str:
        most = self.options.most_characters
        if len(observation) <= most:
            return observation
        return f"{observation[:most]}\n[{len(observation) - most} more characters are left out]"

    async def _end_without(self, work: Work, heard: list[Message]) -> None:
        """No step is left: the model answers with what it has, and the end says so."""
        most = self.options.most_steps
        await work.step("limit", f"{most} steps are over; the answer is what was found until then")
        last = (*heard[:-1], _also(heard[-1], work.wording.react_last))
        said = await work.ask(self._request(work, last, most + 1))
        turn = read_turn(said.text)
        text = turn.text if isinstance(turn, Final) else said.text.strip()
        await work.say(text or _so_far(most, heard)[1])
        await work.end("length", f"The limit of {most} steps ended it before an answer.")


class _Answer:
    """Says the words of the final answer while a turn is still being written."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._text = ""
        self._start: int | None = None
        self._is_told = False

    async def hear(self, text: str) -> None:
        """The next words of a turn; what stands behind "Final Answer:" is said at once."""
        self._text += text
        if self._start is None and (":" in text or "：" in text):
            self._start = answer_start(self._text)
        if self._start is None:
            return
        words = answer_behind(self._text, self._start)
        # Stars alone may be the end of a bold "**Final Answer:**" that is only half there.
        if words.strip("*_") and len(words) > len(self._work.said):
            await self._tell(thought_in(self._text[: self._start]))
            await self._work.say(words[len(self._work.said) :])

    async def finish(self, final: Final, reason: FinishReason) -> None:
        """The rest of the answer, and the end."""
        await self._tell(final.thought)
        rest = final.text[len(self._work.said) :]
        if rest:
            await self._work.say(rest)
        await self._work.end(reason)

    async def _tell(self, thought: str) -> None:
        if thought and not self._is_told:
            await self._work.step("thought", thought)
        self._is_told = True


def _turns(said: Said, observation: str) -> list[Message]:
    written = before_observation(said.text) or "Thought:"
    return [
        text_message("assistant", written),
        text_message("user", f"Observation: {observation}"),
    ]


def _also(message: Message, text: str) -> Message:
    return Message(message.role, (*message.parts, *text_message("user", f"\n\n{text}").parts))


def _so_far(number: int, heard: Sequence[Message]) -> tuple[str, str]:
    """What was found in so many steps: a line, and the transcript."""
    transcript = "\n".join(text_of(message) for message in heard)
    return f"{number} steps: {transcript}", transcript
