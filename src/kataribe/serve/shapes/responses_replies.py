"""Answers of `/v1/responses`: whole, and event by event."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, RootModel

from kataribe.serve.shapes.replies import ChatTokenLogprob, FinishDetail
from kataribe.serve.shapes.strict import Outgoing

ItemStatus: TypeAlias = Literal["in_progress", "completed", "incomplete"]


class UrlAnnotation(Outgoing):
    """Characters `start_index` to `end_index` of the text rest on this source."""

    type: Literal["url_citation"]
    url: str
    title: str
    start_index: int
    end_index: int


class OutputText(Outgoing):
    """Words of the reply; `logprobs` (natural) where they were asked for."""

    type: Literal["output_text"]
    text: str
    annotations: list[UrlAnnotation]
    logprobs: list[ChatTokenLogprob]


class ReasoningText(Outgoing):
    """A thought."""

    type: Literal["reasoning_text"]
    text: str


class OutputMessage(Outgoing):
    """What the model says."""

    type: Literal["message"]
    id: str
    status: ItemStatus
    role: Literal["assistant"]
    content: list[OutputText]


class OutputReasoning(Outgoing):
    """What the model thought before; never in short, so `summary` is empty."""

    type: Literal["reasoning"]
    id: str
    status: ItemStatus
    summary: list[str] = Field(max_length=0)
    content: list[ReasoningText]
    encrypted_content: str | None = Field(
        None,
        description="What a hosted model's host needs with the thought when the item comes back: "
        "send it as it is. Models here need none.",
    )


class OutputFunctionCall(Outgoing):
    """A call that the model asks for: the JSON text of its arguments, as the model wrote it."""

    type: Literal["function_call"]
    id: str
    status: ItemStatus
    call_id: str
    name: str
    arguments: str


OutputItem: TypeAlias = Annotated[
    OutputMessage | OutputReasoning | OutputFunctionCall, Field(discriminator="type")
]


class InputTokensDetails(Outgoing):
    """Of the input's tokens."""

    cached_tokens: int = Field(description="Read from the cache of an earlier request.")
    cache_write_tokens: int = Field(
        description="Written by a host into its cache; models here tell none."
    )


class OutputTokensDetails(Outgoing):
    """Of the output's tokens."""

    reasoning_tokens: int = Field(description="Thoughts; 0 where the model does not count them.")


class ResponseUsage(Outgoing):
    """Tokens used."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class IncompleteDetails(Outgoing):
    """Why the reply was cut; `finish_detail` keeps the exact reason."""

    reason: Literal["max_output_tokens", "content_filter"]


class ResponseFailure(Outgoing):
    """Why the reply broke off."""

    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
    message: str
    param: str | None
    type: str


class ResponseObject(Outgoing):
    """The answer, with the request's fields as they were understood."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    model: str
    output: list[OutputItem]
    usage: ResponseUsage | None
    error: ResponseFailure | None
    incomplete_details: IncompleteDetails | None
    finish_detail: FinishDetail | None = Field(None, description="Extension.")
    instructions: str | None
    tools: list[dict[str, Any]]
    tool_choice: str | dict[str, Any]
    parallel_tool_calls: bool
    text: dict[str, Any]
    max_output_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_logprobs: int
    background: Literal[False]
    truncation: Literal["disabled"]
    previous_response_id: str | None
    reasoning: dict[str, Any] | None
    store: bool = Field(description="It is kept, and can be gone on from.")
    metadata: dict[str, str]
    service_tier: str | None
    safety_identifier: str | None
    prompt_cache_key: str | None
    user: str | None


class ResponseDeleted(Outgoing):
    """A response is kept no more."""

    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


class ResponseInputItems(Outgoing):
    """A page of the items that a response was asked with."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class _Event(Outgoing):
    sequence_number: int = Field(description="Counts the events of a stream from 0.")


class ResponseChanged(_Event):
    """The whole response: as it begins, while nothing is said yet, and as it ends."""

    type: Literal[
        "response.created",
        "response.in_progress",
        "response.completed",
        "response.incomplete",
        "response.failed",
    ]
    response: ResponseObject


class ItemChanged(_Event):
    """An item of the output begins, or is whole."""

    type: Literal["response.output_item.added", "response.output_item.done"]
    output_index: int
    item: OutputItem


class _Inside(_Event):
    item_id: str
    output_index: int


class _InsidePart(_Inside):
    content_index: int


class ContentPartChanged(_InsidePart):
    """A part of an item begins, or is whole."""

    type: Literal["response.content_part.added", "response.content_part.done"]
    part: Annotated[OutputText | ReasoningText, Field(discriminator="type")]


class OutputTextDelta(_InsidePart):
    """The next piece of the words."""

    type: Literal["response.output_text.delta"]
    delta: str
    logprobs: list[ChatTokenLogprob]


class OutputTextDone(_InsidePart):
    """All the words of a part."""

    type: Literal["response.output_text.done"]
    text: str
    logprobs: list[ChatTokenLogprob]


class AnnotationAdded(_InsidePart):
    """One more source of the words."""

    type: Literal["response.output_text.annotation.added"]
    annotation_index: int
    annotation: UrlAnnotation


class ReasoningTextDelta(_InsidePart):
    """The next piece of a thought."""

    type: Literal["response.reasoning_text.delta"]
    delta: str


class ReasoningTextDone(_InsidePart):
    """A whole thought."""

    type: Literal["response.reasoning_text.done"]
    text: str


class ArgumentsDelta(_Inside):
    """The next piece of a call's arguments."""

    type: Literal["response.function_call_arguments.delta"]
    delta: str


class ArgumentsDone(_Inside):
    """All arguments of a call."""

    type: Literal["response.function_call_arguments.done"]
    arguments: str


class ResponseStreamEvent(
    RootModel[
        Annotated[
            ResponseChanged
            | ItemChanged
            | ContentPartChanged
            | OutputTextDelta
            | OutputTextDone
            | AnnotationAdded
            | ReasoningTextDelta
            | ReasoningTextDone
            | ArgumentsDelta
            | ArgumentsDone,
            Field(discriminator="type"),
        ]
    ]
):
    """One event of a stream; its name is its `type`."""
