"""Steps of a reply, and its person's consent to calls of tools, in the studio's routes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from kataribe.serve.shapes.strict import Incoming, Outgoing

CallId = Annotated[str, Field(min_length=1, max_length=64)]


class ReplyStep(Outgoing):
    """What a technique, an agent, a router or a guard did for a reply."""

    name: str = Field(description="A word, such as `thought`, `call`, `result` or `guard`.")
    line: str
    content: str = Field(description="The whole, where the line is shorter: text, or JSON.")
    left: int = Field(description="Characters of the content that are not kept.")
    call: str = Field(description="Shared by a call and what came of it; else empty.")
    at: float = Field(description="Seconds since asking.")
    tokens: int = Field(description="Read and drawn up to here; 0 where nobody says.")


class CallToAllow(Outgoing):
    """A call that a model wants to make."""

    id: str
    name: str
    arguments: str = Field(description="JSON as the model wrote it.")


class ConsentGiven(Outgoing):
    """How a call was answered."""

    approved: bool
    why: str = Field(description="What the person said to the model beside it.")
    by: Literal["person", "always", "time"] = Field(
        description="always: allowed in this conversation before; time: nobody answered."
    )


class ConsentRound(Outgoing):
    """Calls that needed consent at one time. Those without an answer still wait."""

    calls: list[CallToAllow]
    answers: dict[str, ConsentGiven] = Field(description="By the call's id.")
    asked_at: float
    until: float = Field(description="Then what is not answered counts as refused.")


class AllowedTool(Outgoing):
    """A tool that a model may use in this conversation without asking again."""

    model: str
    tool: str


class KeptTool(Incoming):
    """A tool that stays allowed."""

    model: str = Field(max_length=256)
    tool: str = Field(max_length=256)


class ConsentAnswer(Incoming):
    """An answer to one call."""

    call: CallId
    approved: bool
    why: str = Field("", max_length=2000, description="Words to the model.")


class GiveConsent(Incoming):
    """Answers to calls that wait. A reply that a restart cut off goes on with the last of them."""

    answers: list[ConsentAnswer] = Field(default_factory=list, max_length=128)
    always: bool = Field(
        default=False, description="The tools of allowed calls are not asked for here again."
    )
