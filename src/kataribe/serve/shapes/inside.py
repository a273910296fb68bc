"""Looking inside a reply: its tokens, what else they might have been, what the model was given."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from kataribe.serve.shapes.strict import Count, Incoming, Outgoing


class Alternative(Outgoing):
    """A token that might have stood here; `logprob` is natural, of the unchanged distribution."""

    id: int
    piece: str
    logprob: float


class TokenShown(Outgoing):
    """A token of the reply. `start` is where it begins in the reply's text, in characters."""

    id: int
    piece: str
    start: int
    logprob: float
    rank: int = Field(description="1: nothing was likelier.")
    entropy: float = Field(description="Of the whole distribution, in bits.")
    top: list[Alternative]


class Inside(Outgoing):
    """A reply from inside, computed anew by its model."""

    model: str
    prompt_text: str = Field(description="Exactly what the model read, template applied.")
    prompt_tokens: int
    tokens: list[TokenShown]
    exact: bool = Field(description="The text came back token for token; else it was cut anew.")
    layers: int
    heads: int
    attention: bool = Field(description="The model is small enough to show attention.")


class Weigh(Incoming):
    """Which distribution, and what sampling does to it."""

    position: Count
    temperature: float = Field(1, ge=0, le=2)
    top_k: Count = 0
    top_p: float = Field(1, gt=0, le=1)
    min_p: float = Field(0, ge=0, le=1)


class Weighed(Outgoing):
    """A token before and after: probabilities; 0 after means that it cannot be drawn."""

    id: int
    piece: str
    before: float
    after: float


class WeighedList(Outgoing):
    """The likeliest, by their probability before; `alive` can still be drawn at all."""

    data: list[Weighed]
    alive: int
    vocabulary: int


class Attend(Incoming):
    """Which layer and head; both count from 0."""

    layer: Count
    head: Count
    position: Count = Field(description="The token of the reply that looks back.")


class Attention(Outgoing):
    """How much one token looks at each before it; the weights add up to 1."""

    pieces: list[str]
    weights: list[Annotated[float, Field(ge=0, le=1.0001)]]
    layer: int
    head: int
