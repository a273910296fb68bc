"""Vectors and labels of texts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from kataribe.serve.shapes.strict import Incoming, Outgoing, Positive, TokenId

EMBEDDING_UNSUPPORTED = {
    "prompt": "the prompts that a model knows are its own; name one by input_type.",
    "prompt_name": "name the kind of text by input_type: query or passage.",
    "task": "name the kind of text by input_type: query or passage.",
    "truncate": "texts that are too long are refused, never cut.",
    "truncate_prompt_tokens": "texts that are too long are refused, never cut.",
    "normalize": "vectors have the length that the model's own settings give them, mostly 1.",
}
"""Fields of other servers' APIs that are known and not served, with the reason."""
CLASSIFY_UNSUPPORTED = {
    name: EMBEDDING_UNSUPPORTED[name] for name in ("truncate", "truncate_prompt_tokens")
} | {"activation": "labels come with probabilities, by the model's own kind of problem."}

MOST_INPUTS = 2048
"""Texts of one call, as in OpenAI's API."""
Ids = Annotated[list[TokenId], Field(min_length=1)]
Name = Annotated[str, Field(min_length=1, max_length=256)]


class EmbeddingRequest(Incoming):
    """Texts to turn into vectors."""

    model: Name = Field(description="A name that /v1/models lists.")
    input: (
        str
        | Annotated[list[str], Field(min_length=1)]
        | Ids
        | Annotated[list[Ids], Field(min_length=1)]
    ) = Field(
        description=f"A text, several texts (at most {MOST_INPUTS}), token ids, or several lists "
        "of token ids. Ids go in as they are, with begin and end tokens of your own and without "
        "the prompt of their kind. A text of more tokens than the model reads is refused, never "
        "cut."
    )
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="base64: the numbers' little-endian float32 bytes."
    )
    dimensions: Positive | None = Field(
        None, description="Must be the model's own number: none here was trained to be cut."
    )
    input_type: Literal["query", "passage"] | None = Field(
        None,
        description="Extension: for models that tell questions from what answers them. When "
        "absent, the model's own default.",
    )
    user: str | None = Field(None, description="Passed on; does not change the answer.")


class EmbeddingItem(Outgoing):
    """The vector of one text."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class EncoderUsage(Outgoing):
    """Tokens that were read, prompts and begin and end tokens included."""

    prompt_tokens: int
    total_tokens: int


class ClassifyUsage(EncoderUsage):
    """The same in vLLM's shape: nothing is written, and nothing comes out of a cache."""

    completion_tokens: Literal[0] = 0
    prompt_tokens_details: None = None


class EmbeddingList(Outgoing):
    """One vector for each text, in order."""

    object: Literal["list"] = "list"
    model: str
    data: list[EmbeddingItem]
    usage: EncoderUsage


class ClassifyRequest(Incoming):
    """Texts to label (vLLM's shape)."""

    model: Name = Field(description="A name that /v1/models lists.")
    input: str | Annotated[list[str], Field(min_length=1)] = Field(
        description=f"A text or several, at most {MOST_INPUTS}."
    )
    user: str | None = Field(None, description="Passed on; does not change the answer.")


class Span(Outgoing):
    """Extension: a labelled part of a text, as characters from `start` up to `end`."""

    label: str
    score: float
    start: int
    end: int
    text: str


class Classified(Outgoing):
    """What one text was labelled. A tagger fills `spans`, any other model the rest."""

    index: int
    label: str | None = Field(description="The likeliest; null for a tagger.")
    probs: list[float] = Field(
        description="Of all labels in the model's order; a regression's own numbers."
    )
    num_classes: int
    labels: list[str] = Field(description="Extension: all labels, in the order of `probs`.")
    spans: list[Span] | None = None


class ClassifyResponse(Outgoing):
    """The labels of each text, in order."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[Classified]
    usage: ClassifyUsage
