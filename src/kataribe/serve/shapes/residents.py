"""Models in memory: what `/studio/api/models/...` takes and gives."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from kataribe.serve.shapes.strict import Incoming, Outgoing

Name = Annotated[str, Field(min_length=1, max_length=256)]


class LoadRequest(Incoming):
    """Bring a model into memory."""

    model: Name
    hold: bool = Field(default=True, description="Keep it until it is unloaded.")


class UnloadRequest(Incoming):
    """Let a model go."""

    model: Name
    force: bool = Field(default=False, description="Even while it answers; its replies break off.")


class LoadedModel(Outgoing):
    """A model in memory. Memory is an estimate in bytes, `idle` in seconds."""

    name: str
    state: Literal["loading", "ready"]
    memory: int
    held: bool
    leases: int = Field(description="Requests that it answers now.")
    idle: float


class LoadedModels(Outgoing):
    """The models in memory, most recently used first."""

    object: Literal["list"] = "list"
    data: list[LoadedModel]
