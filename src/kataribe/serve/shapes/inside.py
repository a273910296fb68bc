"""Looking inside a reply: its tokens, what else they might have been, what the model was given."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from kataribe.serve.shapes.strict import Count, Incoming, Outgoing

Kind = Annotated[
    Literal["text", "bytes", "control"],
    Field(description="Whole characters; a part of one, shown as <0xE3>; a control token."),
]


class Alternative(Outgoing):
    """A token that might have stood here; `logprob` is natural, of the unchanged distribution."""

    id: int
    piece: str
    kind: Kind
    logprob: float


class TokenShown(Outgoing):
    """A token of the reply. `start` is where it begins in `Inside.text`, in characters."""

    id: int
    piece: str
    kind: Kind
    shown: str = Field(description="The characters that begin in it; joined they are the text.")
    start: int
    whole: bool = Field(description="It begins where a character begins.")
    logprob: float
    rank: int = Field(description="1: nothing was likelier.")
    entropy: float = Field(description="Of the whole distribution, in bits.")
    top: list[Alternative]


class Drawn(Outgoing):
    """How the reply was drawn: what was asked for, and the model's own defaults beside it."""

    temperature: float
    top_k: int
    top_p: float
    min_p: float


class Inside(Outgoing):
    """A reply from inside, computed anew by its model."""

    model: str
    prompt_text: str = Field(description="Exactly what the model read, template applied.")
    prompt_marks: list[tuple[int, int]] = Field(
        description="[start, end) of control tokens in `prompt_text`, in characters."
    )
    prompt_tokens: int
    prompt_exact: bool = Field(
        description="As many tokens as were counted when the reply was written; else what is set "
        "for the conversation or its model has changed since."
    )
    text: str = Field(description="What the reply's tokens spell, thoughts and marks included.")
    words_from: int = Field(description="Where in `text` the words begin, in characters.")
    begun: str = Field(description="Words before them that the model was given to go on from.")
    tokens: list[TokenShown] = Field(description="From `start` on; the last may end the reply.")
    start: int
    total: int = Field(description="Tokens that can be shown in all.")
    exact: bool = Field(description="The text came back token for token; else it was cut anew.")
    drawn: Drawn
    layers: int
    heads: int
    parameters: int = Field(description="0: not known here.")
    attention: bool = Field(description="The model is small enough to show attention.")
    attention_parameters: int = Field(description="Most parameters of a model that shows it.")
    attention_tokens: int = Field(description="Most tokens of prompt and reply that show it.")


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
    kind: Kind
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
    """How much one token looks at each up to itself; the weights add up to 1."""

    pieces: list[str]
    shown: list[str] = Field(description="The characters that begin in each piece.")
    weights: list[Annotated[float, Field(ge=0, le=1.0001)]]
    prompt_tokens: int = Field(description="So many of the pieces are the prompt's.")
    layer: int
    head: int
