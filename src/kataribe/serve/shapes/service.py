"""Models, health and errors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from kataribe.serve.shapes.strict import Outgoing


class Model(Outgoing):
    """A model that can be asked for."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    max_model_len: int | None = Field(
        description="Extension: tokens of prompt and reply together; null when not known yet."
    )
    loaded: bool = Field(description="Extension: in memory now.")
    use: Literal["write", "embed", "classify"] = Field(
        description="Extension: what can be asked of it: text, vectors of texts, or labels."
    )


class ModelList(Outgoing):
    """Every model."""

    object: Literal["list"] = "list"
    data: list[Model]


class Health(Outgoing):
    """How the server is; 503 unless it is ready."""

    status: Literal["loading", "ready", "stopping"]
    detail: str
    version: str


class ErrorDetail(Outgoing):
    """What is wrong and, where one field is to blame, which."""

    message: str
    type: str
    code: str | None
    param: str | None


class ErrorResponse(Outgoing):
    """Every error has this shape."""

    error: ErrorDetail
