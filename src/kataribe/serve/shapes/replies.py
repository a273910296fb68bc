"""Chat replies: whole, and chunk by chunk."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from kataribe.serve.shapes.strict import Outgoing

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]


class PromptTokensDetails(Outgoing):
    """Of the prompt's tokens."""

    cached_tokens: int = Field(description="Read from the cache of an earlier request.")
    cache_write_tokens: int = Field(
        0, description="Written by a host into its cache; models here tell none."
    )


class CompletionUsage(Outgoing):
    """Tokens used by the request, all its choices together."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails


class FinishDetail(Outgoing):
    """Why a reply ended, where OpenAI's four reasons do not say it."""

    reason: str = Field(
        description="approval, repetition, deadline, budget, cancelled, or one of the four."
    )
    detail: str


class TopLogprob(Outgoing):
    """A likely token at this place."""

    token: str
    bytes: list[int]
    logprob: float


class ChatTokenLogprob(TopLogprob):
    """A token of the reply."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(Outgoing):
    """Log-probabilities (natural) of the reply's tokens."""

    content: list[ChatTokenLogprob]
    refusal: None = None


class CalledFunction(Outgoing):
    """A function's name and the JSON text of its arguments, as the model wrote it."""

    name: str
    arguments: str


class ToolCall(Outgoing):
    """A call that the model asks for."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class UrlCitation(Outgoing):
    """Characters `start_index` to `end_index` of the reply rest on this source."""

    url: str
    title: str
    start_index: int
    end_index: int


class Annotation(Outgoing):
    """A source of what was said."""

    type: Literal["url_citation"] = "url_citation"
    url_citation: UrlCitation


class ReasoningDetail(Outgoing):
    """What a hosted model's host needs with a thought or a call when the message comes back.

    `reasoning.text` is a thought with its signature; `reasoning.encrypted` stands before the call
    with that `id`, or before the words.
    """

    type: Literal["reasoning.text", "reasoning.encrypted"]
    index: int
    text: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None


_DETAILS = "Extension, with hosted models: send it back with the message as it is."


class ReplyMessage(Outgoing):
    """What the model says."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    reasoning_content: str | None = Field(None, description="Extension: what it thought.")
    reasoning_details: list[ReasoningDetail] | None = Field(None, description=_DETAILS)
    tool_calls: list[ToolCall] | None = None
    annotations: list[Annotation] | None = None


class ChatChoice(Outgoing):
    """One of the n replies."""

    index: int
    message: ReplyMessage
    logprobs: ChatLogprobs | None
    finish_reason: FinishReason
    finish_detail: FinishDetail | None = Field(None, description="Extension.")


class ChatCompletion(Outgoing):
    """The whole answer to a chat request."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: CompletionUsage


class FunctionDelta(Outgoing):
    """The next piece of a call; the first one names the function."""

    name: str | None = None
    arguments: str


class ToolCallPiece(Outgoing):
    """The next piece of call number `index`; the first one carries the id."""

    index: int
    id: str | None = None
    type: Literal["function"] | None = None
    function: FunctionDelta


class ChatDelta(Outgoing):
    """What is new."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    refusal: None = None
    reasoning_content: str | None = None
    reasoning_details: list[ReasoningDetail] | None = Field(None, description=_DETAILS)
    tool_calls: list[ToolCallPiece] | None = None
    annotations: list[Annotation] | None = None


class ChunkChoice(Outgoing):
    """What is new in one of the n replies."""

    index: int
    delta: ChatDelta
    logprobs: ChatLogprobs | None = None
    finish_reason: FinishReason | None
    finish_detail: FinishDetail | None = None


class ChatCompletionChunk(Outgoing):
    """One event of a stream; with `include_usage` the last has the usage and no choices."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: CompletionUsage | None = None
