"""Prompts and techniques as `/studio/api` takes and gives them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from kataribe.serve.shapes.chat import TechniqueChoice
from kataribe.serve.shapes.conversations import Id, ModelName, SamplingChoice
from kataribe.serve.shapes.strict import Incoming, Outgoing, Positive, Repeats

PromptName = Annotated[str, Field(min_length=1, max_length=64)]
PromptText = Annotated[
    str, Field(min_length=1, max_length=200_000, description="{{name}} is a variable.")
]
VersionNote = Annotated[str, Field(max_length=200)]
Values = Annotated[
    dict[str, str], Field(max_length=500, description="Values of the variables, by name.")
]


class NewPrompt(Incoming):
    """Make a prompt; its text is version 1."""

    name: PromptName
    text: PromptText
    note: VersionNote = ""


class NewVersion(Incoming):
    """What a prompt says from now on; the newest version's own words make no new one."""

    text: PromptText
    note: VersionNote = ""


class PromptChange(Incoming):
    """Another name; versions and answers stay."""

    name: PromptName


class RenderPrompt(Incoming):
    """See what a template says with these values, before anybody is asked."""

    text: PromptText
    variables: Values = Field(default_factory=dict)


class LinkReply(Incoming):
    """A reply of a conversation that answers a version of the prompt."""

    message: Id
    version: Positive


class RunPrompt(Incoming):
    """Ask a model with a kept prompt, or with a text; exactly one of `prompt` and `text`."""

    prompt: Id | None = Field(None, description="Id of a prompt; the answers are kept with it.")
    version: Positive | None = Field(None, description="Left out: the newest.")
    text: PromptText | None = Field(None, description="A template that is not kept.")
    variables: Values = Field(default_factory=dict)
    system: str = Field("", max_length=200_000)
    model: ModelName | None = Field(None, description="Left out: the default model.")
    technique: TechniqueChoice | None = None
    tools: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(
        default_factory=list, max_length=16, description="Of the server's, for react."
    )
    sampling: SamplingChoice | None = None
    repeats: Repeats = Field(1, description="How many answers; each has an index from 0.")


class PromptVersion(Outgoing):
    """What a prompt says, or once said."""

    number: int
    text: str
    variables: list[str]
    note: str
    answers: int = Field(description="How many are kept.")
    created_at: float


class PromptSummary(Outgoing):
    """A prompt in the list, with its newest version."""

    id: str
    name: str
    latest: int
    text: str
    variables: list[str]
    note: str
    created_at: float
    changed_at: float
    deleted: bool


class PromptList(Outgoing):
    """The one that was changed last first."""

    object: Literal["list"] = "list"
    data: list[PromptSummary]


class PromptShown(Outgoing):
    """A prompt with all versions, the first one first."""

    summary: PromptSummary
    versions: list[PromptVersion]


class PromptDifference(Outgoing):
    """What changed between two versions: a unified diff, empty where they say the same."""

    old: int
    new: int
    diff: str


class Rendered(Outgoing):
    """What a template says; where a value is missing or unknown, `problem` says which."""

    text: str | None
    variables: list[str] = Field(description="In the order in which they first stand.")
    problem: str


class PromptUsage(Outgoing):
    """Tokens of an answer, with all inner calls."""

    prompt: int | None
    cached: int | None
    completion: int | None


class PromptAnswer(Outgoing):
    """Something that a version was answered with."""

    key: int = Field(description="Pass that of the last answer as `before` for more.")
    id: str
    version: int
    model: str
    technique: TechniqueUsed | None
    variables: dict[str, str]
    text: str
    finish: str
    detail: str
    usage: PromptUsage
    took: float | None = Field(description="Seconds.")
    message: str | None = Field(description="The reply of a conversation that it is.")
    conversation: str | None = Field(description="In which it stands.")
    created_at: float


class TechniqueUsed(Outgoing):
    """A technique with the options that were given."""

    name: str
    options: dict[str, Any]


class PromptAnswerList(Outgoing):
    """Newest first."""

    object: Literal["list"] = "list"
    data: list[PromptAnswer]


class TechniqueOption(Outgoing):
    """An option of a technique; `schema` is a JSON schema."""

    name: str
    schema_: dict[str, Any] = Field(alias="schema")
    needed: bool
    default: Any
    about: str


class TechniqueShown(Outgoing):
    """A technique; `needs` is what it cannot work without, empty for a model alone."""

    name: str
    about: str
    paper: str
    needs: str
    options: list[TechniqueOption]


class TechniqueList(Outgoing):
    """From cheap to dear; `tools`: those of the server that react may be given."""

    object: Literal["list"] = "list"
    data: list[TechniqueShown]
    tools: list[str]


class RunEvent(Outgoing):
    """What a run streams. Which fields are there depends on `type`.

    `progress`: stage, done, total. `step`: name, detail, and as in `ReplyStep` content, call and
    tokens. `reasoning` and `delta`: text. `answer`: the whole text, finish, detail, usage, took,
    dollars, and the id under which it is kept (null where it is not). `end`: nothing more comes.
    `error`: error, and nothing more comes.
    """

    type: Literal["progress", "step", "reasoning", "delta", "answer", "end", "error"]
    index: int | None = Field(None, description="Which of the repeats.")
    stage: str | None = None
    done: int | None = None
    total: int | None = None
    name: str | None = None
    detail: str | None = None
    content: str | None = None
    call: str | None = None
    tokens: int | None = None
    text: str | None = None
    finish: str | None = None
    usage: PromptUsage | None = None
    took: float | None = None
    dollars: float | None = Field(None, description="US dollars; null where no price is known.")
    answer: str | None = None
    error: dict[str, Any] | None = None
