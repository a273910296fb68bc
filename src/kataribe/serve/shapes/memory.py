"""What assistants remember of a person, as `/studio/api/facts` takes and gives it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from kataribe.serve.shapes.strict import Incoming, Outgoing


class FactChange(Incoming):
    """What a fact says instead."""

    text: Annotated[str, Field(min_length=1, max_length=4000)]


class FactSource(Outgoing):
    """The conversation in which a fact was said."""

    id: str
    title: str


class FactShown(Outgoing):
    """Something that assistants remember."""

    id: str
    text: str
    source: FactSource | None = Field(description="Null where it is gone, or was never known.")
    assistant: str | None = Field(description="Who was told it.")
    created_at: float
    changed_at: float


class FactList(Outgoing):
    """All that is remembered; without a search the newest first, else the likeliest."""

    object: Literal["list"] = "list"
    data: list[FactShown]
    on: bool = Field(description="The preference `memory`: false switches memory off.")
    total: int = Field(description="Facts in all.")
    most: int = Field(description="As many are kept at most.")


class FactsGone(Outgoing):
    """How many were deleted for good."""

    deleted: int
