"""ReAct as plain text: how tools are shown, and what a model's turn says.

    Thought: I need the product.
    Action: calculator
    Action Input: {"expression": "6 * 7"}
    Observation: 42
    Thought: I know the answer now.
    Final Answer: 42

The paper's own form, `Action: search[Tokyo]`, is read as well: for a tool with one argument.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from kataribe.base.errors import InputError
from kataribe.base.lm import ToolSpec
from kataribe.use.prompts.json_in_text import last_json

OBSERVATION = "Observation:"
"""What begins the words of a tool."""

STOPS = (OBSERVATION, "Observation：")
"""Where a turn is cut: what follows is the tool's to say, and models like to invent it."""

_BEGIN = r"^[ \t>*_#]*"
_END = r"[ \t]*(?:\*\*|__)?[ \t]*[:：](?:\*\*|__)?[ \t]*"
_ANSWER = re.compile(rf"{_BEGIN}Final\s+Answer{_END}", re.IGNORECASE | re.MULTILINE)
_ACTION = re.compile(rf"{_BEGIN}Action{_END}(?P<name>.*)$", re.IGNORECASE | re.MULTILINE)
_INPUT = re.compile(rf"{_BEGIN}Action\s+Input{_END}", re.IGNORECASE | re.MULTILINE)
_THOUGHT = re.compile(rf"{_BEGIN}Thought{_END}", re.IGNORECASE | re.MULTILINE)
_IN_BRACKETS = re.compile(r"^(?P<name>[^\[\]()]+?)\s*[\[(](?P<given>.*)[\])]\s*$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Act:
    """A wish to use a tool; `given` is what stands as its input, as written."""

    thought: str
    name: str
    given: str


@dataclass(frozen=True, slots=True)
class Final:
    """The answer."""

    thought: str
    text: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """Neither an action nor an answer."""

    text: str


Turn: TypeAlias = Act | Final | Unclear


def read_turn(text: str) -> Turn:
    """What a model's turn says; what comes first counts, and what is made up behind it does not."""
    text = before_observation(text)
    answer = answer_start(text)
    if answer is not None:
        final = answer_behind(text, answer)
        return Final(thought_in(text[:answer]), final) if final else Unclear(text.strip())
    action = _ACTION.search(text)
    if not action:
        return Unclear(text.strip())
    return _act_at(text, action)[0]


def acts_in(text: str) -> tuple[tuple[Act, ...], str]:
    """The actions that a turn asks for together, and the turn up to the last of them.

    An action counts with the first where it follows at once. One behind a further thought does not:
    that thought goes by a result that was not there yet.
    """
    text = before_observation(text)
    acts: list[Act] = []
    end = 0
    while action := _ACTION.search(text, end):
        if acts and text[end : action.start()].strip():
            break
        act, end = _act_at(text, action)
        acts.append(act if not acts else replace(act, thought=""))
    return tuple(acts), text[:end].strip()


def _act_at(text: str, action: re.Match[str]) -> tuple[Act, int]:
    """An action, and where it ends."""
    name, given = action["name"].strip(" \t`*\"'"), ""
    start = end = action.end()
    another = _ACTION.search(text, start)
    following = _INPUT.search(text, start, another.start() if another else len(text))
    if following:
        given = _until_next(text[following.end() :])
        end = following.end() + len(given)
    elif bracketed := _IN_BRACKETS.match(name):
        name, given = bracketed["name"], bracketed["given"]
    return Act(thought_in(text[: action.start()]), name.strip(), given.strip()), end


def before_observation(text: str) -> str:
    """A turn without what a model that heeds no stop string made up as the tool's words."""
    return _cut(text).strip()


def _cut(text: str) -> str:
    for stop in STOPS:
        text = text.partition(stop)[0]
    return text


def _without_half_a_stop(text: str) -> str:
    """A text that goes on, without what may become words of a tool."""
    for stop in STOPS:
        for size in range(len(stop) - 1, 0, -1):
            if text.endswith(stop[:size]):
                return text[:-size]
    return text


def answer_start(text: str) -> int | None:
    """Where "Final Answer:" begins, unless there is none or an action comes before it."""
    action, answer = _ACTION.search(text), _ANSWER.search(text)
    if answer is None or (action is not None and action.start() < answer.start()):
        return None
    return answer.start()


def answer_behind(text: str, start: int) -> str:
    """The words behind the "Final Answer:" at `start`."""
    mark = _ANSWER.match(text, start)
    return "" if mark is None else text[mark.end() :].strip()


class Heard:
    """A turn while it is still being written, for the words of its final answer.

    Attributes:
        answer: Those words, as far as they have come.
    """

    def __init__(self) -> None:
        self.answer = ""
        self._text = ""
        self._start: int | None = None

    @property
    def thought(self) -> str:
        """The words before the answer."""
        return thought_in(self._text[: self._start])

    def hear(self, text: str) -> str:
        """The words of the answer that the next words of the turn add to it."""
        self._text += text
        if self._start is None and (":" in text or "：" in text):
            self._start = answer_start(self._text)
        if self._start is None:
            return ""
        words = answer_behind(_without_half_a_stop(_cut(self._text)), self._start)
        more = words[len(self.answer) :]
        # Stars alone may be the end of a bold "**Final Answer:**" that is only half there.
        if not words.strip("*_") or not more:
            return ""
        self.answer = words
        return more


def thought_in(text: str) -> str:
    """The words before an action or answer, without their keyword."""
    return _THOUGHT.sub("", text).strip()


def arguments_of(act: Act, spec: ToolSpec) -> dict[str, Any]:
    """The arguments of a call; `InputError` says what form they must have.

    Words that are no JSON object are taken as the one argument of a tool that has only one.
    """
    found = last_json(act.given)
    if found is not None and isinstance(found.value, dict):
        return found.value
    properties: Mapping[str, Any] = spec.parameters.get("properties", {})
    required: Sequence[str] = spec.parameters.get("required", ())
    names = list(required) if len(required) == 1 else list(properties)
    if not act.given and not required:
        return {}
    if len(names) == 1 and act.given:
        value = found.value if found is not None and found.is_all else act.given.strip("\"'`")
        wants_text = properties.get(names[0], {}).get("type") == "string"
        return {names[0]: act.given.strip("\"'`") if wants_text else value}
    raise InputError(
        f"The input of {spec.name} is no JSON object. Write its arguments as "
        f"{json.dumps(dict.fromkeys(properties, '...'), ensure_ascii=False)}."
    )


def tools_shown(specs: Sequence[ToolSpec]) -> str:
    """The tools as a prompt shows them: name, what it does, the JSON schema of its arguments."""
    return "\n".join(
        f"- {spec.name}: {' '.join(spec.description.split())}\n"
        f"  arguments: {json.dumps(_schema(spec), ensure_ascii=False)}"
        for spec in specs
    )


def _schema(spec: ToolSpec) -> Any:
    return dict(spec.parameters) or {"type": "object", "properties": {}}


def _until_next(text: str) -> str:
    """The input up to the next keyword, which a model may have gone on to."""
    found = (keyword.search(text) for keyword in (_ANSWER, _ACTION, _THOUGHT))
    return text[: min((match.start() for match in found if match), default=len(text))]
