"""Answers of `/v1/messages`: whole, event by event, and errors."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, RootModel

from kataribe.serve.shapes.replies import FinishDetail
from kataribe.serve.shapes.strict import Outgoing

StopReason: TypeAlias = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "refusal"]


class AnthropicCitation(Outgoing):
    """The words rest on this source."""

    type: Literal["web_search_result_location"]
    url: str
    title: str
    cited_text: str
    encrypted_index: Literal[""]


class AnthropicTextBlock(Outgoing):
    """Words of the reply."""

    type: Literal["text"]
    text: str
    citations: list[AnthropicCitation] | None = None


class AnthropicThinkingBlock(Outgoing):
    """What the model thought."""

    type: Literal["thinking"]
    thinking: str
    signature: str = Field(
        description="What a hosted model's host needs with the thought when the message comes "
        "back: send it as it is. Empty for models here, which need none."
    )


class AnthropicRedactedBlock(Outgoing):
    """What a hosted model's host needs when the message comes back, without a thought to show."""

    type: Literal["redacted_thinking"]
    data: str = Field(description="Send it back as it is.")


class AnthropicToolUseBlock(Outgoing):
    """A call that the model asks for."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


AnthropicBlock: TypeAlias = Annotated[
    AnthropicTextBlock | AnthropicThinkingBlock | AnthropicRedactedBlock | AnthropicToolUseBlock,
    Field(discriminator="type"),
]


class AnthropicOutputDetails(Outgoing):
    """Of the output's tokens."""

    thinking_tokens: int = Field(description="Thoughts; 0 where the model does not count them.")


class AnthropicUsage(Outgoing):
    """Tokens used; the prompt's are `input_tokens` and those of the two caches together."""

    input_tokens: int = Field(description="Of the prompt, those that no cache has to do with.")
    cache_read_input_tokens: int = Field(
        description="Of the prompt, those from the cache of an earlier request."
    )
    cache_creation_input_tokens: int = Field(
        description="Of the prompt, those that a host wrote into its cache; models here tell none."
    )
    output_tokens: int
    output_tokens_details: AnthropicOutputDetails


class AnthropicRefusal(Outgoing):
    """Why a guard closed the reply."""

    type: Literal["refusal"]
    category: None
    explanation: str | None


class AnthropicMessage(Outgoing):
    """The whole reply."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[AnthropicBlock]
    stop_reason: StopReason | None
    stop_sequence: str | None
    stop_details: AnthropicRefusal | None
    finish_detail: FinishDetail | None = Field(None, description="Extension.")
    usage: AnthropicUsage


class AnthropicCount(Outgoing):
    """How long a prompt is."""

    input_tokens: int


class AnthropicErrorDetails(Outgoing):
    """What programs read of an error."""

    error_code: str
    param: str | None = Field(description="The field that is to blame. Extension.")


class AnthropicError(Outgoing):
    """What went wrong."""

    type: Literal[
        "invalid_request_error",
        "authentication_error",
        "permission_error",
        "not_found_error",
        "request_too_large",
        "rate_limit_error",
        "timeout_error",
        "api_error",
        "overloaded_error",
    ]
    message: str
    details: AnthropicErrorDetails


class AnthropicErrorResponse(Outgoing):
    """An error, as an answer and as the last event of a stream."""

    type: Literal["error"]
    error: AnthropicError
    request_id: str


class MessageStart(Outgoing):
    """The reply begins; its usage is what is known then."""

    type: Literal["message_start"]
    message: AnthropicMessage


class MessagePing(Outgoing):
    """A sign of life."""

    type: Literal["ping"]


class _OfBlock(Outgoing):
    index: int


class BlockStart(_OfBlock):
    """A block begins; nothing is in it yet."""

    type: Literal["content_block_start"]
    content_block: AnthropicBlock


class TextPiece(Outgoing):
    """More words."""

    type: Literal["text_delta"]
    text: str


class ThinkingPiece(Outgoing):
    """More of a thought."""

    type: Literal["thinking_delta"]
    thinking: str


class SignaturePiece(Outgoing):
    """The signature of a thought, which is whole."""

    type: Literal["signature_delta"]
    signature: str


class InputPiece(Outgoing):
    """More of the JSON text of a call's input."""

    type: Literal["input_json_delta"]
    partial_json: str


class CitationPiece(Outgoing):
    """One more source of the words."""

    type: Literal["citations_delta"]
    citation: AnthropicCitation


class BlockDelta(_OfBlock):
    """A block grows."""

    type: Literal["content_block_delta"]
    delta: Annotated[
        TextPiece | ThinkingPiece | SignaturePiece | InputPiece | CitationPiece,
        Field(discriminator="type"),
    ]


class BlockStop(_OfBlock):
    """A block is whole."""

    type: Literal["content_block_stop"]


class MessageEnd(Outgoing):
    """Why the reply ended."""

    stop_reason: StopReason
    stop_sequence: str | None
    stop_details: AnthropicRefusal | None
    finish_detail: FinishDetail | None = Field(None, description="Extension.")


class MessageDelta(Outgoing):
    """The reply has ended; its usage is final."""

    type: Literal["message_delta"]
    delta: MessageEnd
    usage: AnthropicUsage


class MessageStop(Outgoing):
    """The stream has ended."""

    type: Literal["message_stop"]


class AnthropicStreamEvent(
    RootModel[
        Annotated[
            MessageStart
            | MessagePing
            | BlockStart
            | BlockDelta
            | BlockStop
            | MessageDelta
            | MessageStop
            | AnthropicErrorResponse,
            Field(discriminator="type"),
        ]
    ]
):
    """One event of a stream; its name is its `type`."""
