"""What answers cost: what `/studio/api/costs` gives."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from kataribe.serve.shapes.strict import Outgoing


class CostShown(Outgoing):
    """What was used on a day, by a model or altogether."""

    day: str | None = Field(description="Of the server's calendar; null where all days are one.")
    model: str | None = Field(description="Who answered; null where all models are one.")
    prompt_tokens: int = Field(description="Tokens read.")
    cached_tokens: int = Field(description="So many of them came from a cache.")
    completion_tokens: int = Field(description="Tokens drawn.")
    calls: int = Field(description="Calls of models.")
    dollars: float = Field(description="US dollars, as far as prices are known.")
    unpriced: int = Field(description="Calls whose price nobody knows; `dollars` is then a least.")


class Costs(Outgoing):
    """What the person's requests used, the newest day first."""

    object: Literal["list"] = "list"
    data: list[CostShown]
