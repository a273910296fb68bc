"""The file that carries a person's things: one JSON document, one line for each conversation.

Line 1 begins the document and holds preferences and facts, every line after it holds one
conversation, then one attachment, then one job, then one prompt, and the last one closes it. So it
can be written and read line by line, however large it is, and any JSON reader takes it whole, too.
What was deleted is not in it, nor sessions and keys: they belong to the machine.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    JsonValue,
    StringConstraints,
)

from kataribe.store.facts import LONGEST, MOST
from kataribe.store.job_log import Level
from kataribe.store.jobs import JobState
from kataribe.store.prompt_answers import MOST as MOST_ANSWERS
from kataribe.store.prompts import LONGEST as LONGEST_PROMPT
from kataribe.store.prompts import LONGEST_NAME, LONGEST_NOTE, MOST_VERSIONS

FORMAT = "kataribe-export"
VERSION = 5
READABLE = (1, 2, 3, 4, 5)
"""Versions that are understood; 1 had no jobs, 1 and 2 no facts, those before 4 no steps, and those
before 5 no prompts."""

MOST_STEPS = 2_001
"""Steps of one message, with the one that counts the others."""

MOST_MESSAGES = 100_000
"""Messages of one conversation."""

LONGEST_LINE = 256 * 1024**2
"""Bytes of one line: a conversation without its attachments."""

_LARGEST = 2**53


def _without_nul(words: str) -> str:
    """Models have said NUL; nobody sees it, and no conversation is refused for it."""
    return words.replace("\0", "")


Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-z]{16,32}$")]
# Wider than what can be said today: what a Kataribe has kept must come in again, however it came.
Short = Annotated[str, StringConstraints(max_length=4096, pattern=r"^[^\x00]*$")]
Words = Annotated[str, StringConstraints(max_length=64_000_000), AfterValidator(_without_nul)]
When = Annotated[float, Field(ge=0, le=1e11)]
Seconds = Annotated[float, Field(ge=0, le=1e11)]
Whole = Annotated[int, Field(ge=0, le=_LARGEST)]


class Strict(BaseModel):
    """Unknown fields and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class Sampling(Strict):
    """How replies are drawn, as conversations take it."""

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(ge=0.01, le=10)] | None = None
    max_tokens: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None


class Asked(Strict):
    """What a reply was asked for with, or what was merged into a question."""

    sampling: Sampling | None = None
    beginning: Words | None = None
    system: Words | None = None
    sources: list[Id] | None = None
    blind: bool | None = None


class Wanted(Strict):
    """What a waiting message was sent with."""

    models: Annotated[list[Short], Field(max_length=64)] | None = None
    sampling: Sampling | None = None
    attachments: Annotated[list[Id], Field(max_length=1600)] | None = None
    parent: Id | None = None
    root: bool | None = None
    blind: bool | None = None


class Failure(Strict):
    """Why a reply failed."""

    code: Short
    message: Words


class Step(Strict):
    """What a technique or an agent did for a reply."""

    name: Short
    line: Short
    content: Words
    left: Whole
    call: Short
    at: Seconds
    tokens: Whole


class WaitingCall(Strict):
    """A call that needed consent."""

    id: Short
    name: Short
    arguments: Words


class Consent(Strict):
    """A person's answer to a call."""

    approved: bool
    why: Words
    by: Literal["person", "always", "time"]


class Round(Strict):
    """What a reply asked its person for. It is a record: nothing that comes in runs a tool."""

    calls: Annotated[list[WaitingCall], Field(max_length=1000)]
    answers: dict[Short, Consent]
    asked_at: When
    until: When
    usage: Annotated[list[Whole], Field(min_length=3, max_length=3)]
    text: Words


class Message(Strict):
    """A message; see the table for its fields."""

    id: Id
    parent: Id | None
    role: Literal["user", "assistant"]
    state: Literal["sent", "done", "stopped", "failed", "interrupted"]
    text: Words
    reasoning: Words
    model: Short | None
    group: Id | None
    asked: Asked
    finish: Short | None
    detail: Words
    failure: Failure | None
    prompt_tokens: Whole | None
    cached_tokens: Whole | None
    completion_tokens: Whole | None
    first_after: Seconds | None
    took: Seconds | None
    rating: Literal[-1, 0, 1]
    remark: Words
    created_at: When
    steps: Annotated[list[Step], Field(max_length=MOST_STEPS), FailFast()] = []
    consents: Annotated[list[Round], Field(max_length=1000), FailFast()] = []


class Waiting(Strict):
    """A message in the queue."""

    id: Id
    text: Words
    asked: Wanted
    sources: list[Id]
    created_at: When


class Vote(Strict):
    """Which of the replies side by side was better."""

    id: Id
    group: Id
    winner: Id | None
    shown: list[Id]
    blind: bool
    created_at: When


class Conversation(Strict):
    """A conversation with its messages, oldest first: what a message follows stands above it."""

    id: Id
    title: Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]
    titled_by: Literal["model", "person"] | None
    folder: Annotated[str, StringConstraints(max_length=100, pattern=r"^[^\x00]*$")]
    pinned: bool
    model: Short | None
    system: Annotated[str, StringConstraints(max_length=200_000, pattern=r"^[^\x00]*$")]
    sampling: Sampling
    head: Id | None
    created_at: When
    updated_at: When
    messages: Annotated[list[Message], Field(max_length=MOST_MESSAGES), FailFast()]
    queue: Annotated[list[Waiting], Field(max_length=100), FailFast()]
    votes: Annotated[list[Vote], Field(max_length=MOST_MESSAGES), FailFast()]


class File(Strict):
    """An attachment; `data` is base64. `message`: the message or the waiting one it is beside."""

    id: Id
    conversation: Id
    message: Id
    name: Annotated[str, Field(min_length=1, max_length=255)]
    media_type: Annotated[str, Field(min_length=1, max_length=100)]
    data: Annotated[str, Field(max_length=14_000_000)]
    created_at: When


class LogLine(Strict):
    """What a job told of itself."""

    at: When
    level: Level
    line: Annotated[str, StringConstraints(max_length=5000), AfterValidator(_without_nul)]


class Job(Strict):
    """A job as its row tells it, with its log."""

    id: Id
    kind: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_-]{0,31}$")]
    title: Annotated[str, StringConstraints(max_length=200, pattern=r"^[^\x00]*$")]
    state: JobState
    params: dict[str, JsonValue]
    stage: Short
    done: Whole
    total: Whole | None
    unit: Short
    result: dict[str, JsonValue] | None
    failure: Failure | None
    attempts: Annotated[int, Field(ge=0, lt=2**31)]
    created_at: When
    started_at: When | None
    ended_at: When | None
    log: Annotated[list[LogLine], FailFast()]


class PromptAnswer(Strict):
    """What a version was answered with; `conversation`: where the reply is that it is."""

    id: Id
    conversation: Id | None
    message: Id | None
    model: Short
    technique: dict[str, JsonValue] | None
    given: dict[Short, Words]
    text: Words
    finish: Short
    detail: Words
    prompt_tokens: Whole | None
    cached_tokens: Whole | None
    completion_tokens: Whole | None
    took: Seconds | None
    created_at: When


class PromptVersion(Strict):
    """A version of a prompt, with its answers, oldest first."""

    id: Id
    number: Annotated[int, Field(ge=1, le=MOST_VERSIONS)]
    text: Annotated[
        str, StringConstraints(min_length=1, max_length=LONGEST_PROMPT, pattern=r"^[^\x00]*$")
    ]
    variables: list[Short]
    note: Annotated[str, StringConstraints(max_length=LONGEST_NOTE, pattern=r"^[^\x00]*$")]
    created_at: When
    answers: Annotated[list[PromptAnswer], Field(max_length=MOST_ANSWERS), FailFast()]


class Prompt(Strict):
    """A prompt with all versions, numbered from 1 without a gap."""

    id: Id
    name: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME)]
    created_at: When
    changed_at: When
    versions: Annotated[
        list[PromptVersion], Field(min_length=1, max_length=MOST_VERSIONS), FailFast()
    ]


class Fact(Strict):
    """What models were told to remember of the person."""

    id: Id
    text: Annotated[
        str, StringConstraints(min_length=1, max_length=LONGEST), AfterValidator(_without_nul)
    ]
    source: Short | None
    created_at: When
    changed_at: When
    assistant: Short | None = None


class Beginning(Strict):
    """What stands before the first conversation."""

    format: Literal["kataribe-export"]
    version: int
    made_at: When
    made_by: Short
    preferences: dict[str, Any]
    facts: Annotated[list[Fact], Field(max_length=MOST), FailFast()] = []
