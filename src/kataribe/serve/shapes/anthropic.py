"""Requests of `/v1/messages`, in the shapes of Anthropic's Messages API."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag

from kataribe.serve.shapes.strict import Count, Incoming, OnlyFalse, Positive, Stop

UNSUPPORTED = {
    "container": "no code is run here for a request.",
    "context_management": "nothing is dropped or summarised behind your back.",
    "diagnostics": "this server gives none.",
    "inference_geo": "models run where this server has them.",
    "mcp_servers": "this server calls no tools; give them in tools and answer their calls.",
    "output_format": "it was replaced by output_config.format; use that.",
    "speed": "models here have one speed.",
    "user_profile_id": "no profiles of users are kept here.",
    "workspace_id": "this server is one workspace.",
}
"""Fields of Anthropic's API that are known and not served, with the reason."""

_OF_EARLIER = "Of an earlier reply; does not change the answer."
_IS_CACHED = "Does not change the answer: what can be cached is cached without being told."

AnyToolName: TypeAlias = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,128}$")]


class AnthropicCacheControl(Incoming):
    """A wish that the prompt up to here is cached."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


Cached: TypeAlias = Annotated[AnthropicCacheControl | None, Field(description=_IS_CACHED)]


class AnthropicText(Incoming):
    """Words."""

    type: Literal["text"]
    text: str
    cache_control: Cached = None
    citations: list[dict[str, Any]] | None = Field(None, description=_OF_EARLIER)


class AnthropicImageData(Incoming):
    """A picture's bytes in base64."""

    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


class AnthropicImageUrl(Incoming):
    """A picture's address, which a hosted model fetches."""

    type: Literal["url"]
    url: str = Field(min_length=1)


class AnthropicImage(Incoming):
    """A picture."""

    type: Literal["image"]
    source: Annotated[AnthropicImageData | AnthropicImageUrl, Field(discriminator="type")]
    cache_control: Cached = None


class AnthropicToolUse(Incoming):
    """A call that the model asked for in an earlier turn."""

    type: Literal["tool_use"]
    id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    input: dict[str, Any]
    cache_control: Cached = None


class AnthropicPlainText(Incoming):
    """A document's text."""

    type: Literal["text"]
    media_type: Literal["text/plain"]
    data: str


class AnthropicParts(Incoming):
    """A document that came in parts."""

    type: Literal["content"]
    content: (
        str
        | Annotated[
            list[Annotated[AnthropicText | AnthropicImage, Field(discriminator="type")]],
            Field(min_length=1),
        ]
    )


def _source_kind(source: Any) -> str | None:
    kind = source.get("type") if isinstance(source, dict) else getattr(source, "type", None)
    return kind if isinstance(kind, str) else None


AnthropicDocumentSource: TypeAlias = Annotated[
    Annotated[AnthropicPlainText, Tag("text")] | Annotated[AnthropicParts, Tag("content")],
    Discriminator(
        _source_kind,
        custom_error_type="document_source",
        custom_error_message="a document's source is text (text/plain) or content; PDFs and "
        "uploaded files are not read here, so send their text",
    ),
]


class AnthropicCitationsOption(Incoming):
    """Whether the reply says where in a document its words are from."""

    enabled: OnlyFalse | None = Field(
        None, description="Models here do not cite by themselves; only false is taken."
    )


class AnthropicDocument(Incoming):
    """A document of text, which the model reads between marks with its title."""

    type: Literal["document"]
    source: AnthropicDocumentSource
    title: str | None = None
    context: str | None = Field(None, description="About the document; read before its text.")
    citations: AnthropicCitationsOption | None = None
    cache_control: Cached = None


class AnthropicToolResult(Incoming):
    """What a tool answered; pictures are for models that see."""

    type: Literal["tool_result"]
    tool_use_id: str = Field(min_length=1)
    content: (
        str
        | list[
            Annotated[
                AnthropicText | AnthropicImage | AnthropicDocument, Field(discriminator="type")
            ]
        ]
        | None
    ) = None
    is_error: bool | None = None
    cache_control: Cached = None


class AnthropicThinking(Incoming):
    """What the model thought in an earlier turn."""

    type: Literal["thinking"]
    thinking: str
    signature: str = Field(description="As it came; only who gave it can read it.")


class AnthropicRedacted(Incoming):
    """What came in the place of a thought that was not shown."""

    type: Literal["redacted_thinking"]
    data: str = Field(description="As it came; only who gave it can read it.")


AnthropicUserBlock: TypeAlias = Annotated[
    AnthropicText | AnthropicImage | AnthropicDocument | AnthropicToolResult,
    Field(discriminator="type"),
]
AnthropicAssistantBlock: TypeAlias = Annotated[
    AnthropicText | AnthropicThinking | AnthropicRedacted | AnthropicToolUse,
    Field(discriminator="type"),
]
AnthropicTexts: TypeAlias = str | Annotated[list[AnthropicText], Field(min_length=1)]


class AnthropicUserMessage(Incoming):
    """What a person says or shows, after what tools answered."""

    role: Literal["user"]
    content: str | Annotated[list[AnthropicUserBlock], Field(min_length=1)]


class AnthropicAssistantMessage(Incoming):
    """What the model said; as the last message, the beginning of the reply."""

    role: Literal["assistant"]
    content: str | Annotated[list[AnthropicAssistantBlock], Field(min_length=1)]


class AnthropicSystemMessage(Incoming):
    """What the model is told on the way."""

    role: Literal["system"]
    content: AnthropicTexts


AnthropicMessageIn: TypeAlias = Annotated[
    AnthropicUserMessage | AnthropicAssistantMessage | AnthropicSystemMessage,
    Field(discriminator="role"),
]


class AnthropicTool(Incoming):
    """A tool that the model may call; `input_schema` is a JSON schema of an object."""

    name: AnyToolName
    description: str | None = None
    input_schema: dict[str, Any]
    type: Literal["custom"] | None = None
    strict: bool | None = Field(
        None, description="Passed on to hosted models; models here are always strict."
    )
    cache_control: Cached = None
    eager_input_streaming: bool | None = Field(
        None, description="Does not change the answer: arguments always come as they are written."
    )


class _MayCall(Incoming):
    disable_parallel_tool_use: bool | None = Field(
        None, description="true allows at most one call in a turn."
    )


class AnthropicAuto(_MayCall):
    """The model may call tools."""

    type: Literal["auto"]


class AnthropicAny(_MayCall):
    """The model must call a tool."""

    type: Literal["any"]


class AnthropicNamed(_MayCall):
    """The model must call this tool."""

    type: Literal["tool"]
    name: AnyToolName


class AnthropicNone(Incoming):
    """The model must not call tools."""

    type: Literal["none"]


AnthropicToolChoice: TypeAlias = Annotated[
    AnthropicAuto | AnthropicAny | AnthropicNamed | AnthropicNone, Field(discriminator="type")
]


class _Thinks(Incoming):
    display: Literal["summarized"] | None = Field(
        None, description="Does not change the answer: thoughts are told as the model shows them."
    )


class AnthropicThinks(_Thinks):
    """The model thinks before it answers, where it can, as long as it sees fit."""

    type: Literal["adaptive"]


class AnthropicThinksWithin(_Thinks):
    """The model thinks before it answers, where it can, within a budget."""

    type: Literal["enabled"]
    budget_tokens: Positive = Field(
        description="Kept by hosted models whose host has such a limit; models here know none and "
        "think as long as they see fit, within max_tokens."
    )


class AnthropicThinksNot(Incoming):
    """The model answers at once, where it can."""

    type: Literal["disabled"]


class AnthropicJsonFormat(Incoming):
    """JSON of a schema."""

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(
        alias="schema",
        description="Its titles and descriptions are not shown to the model: tell it in a message "
        "what the fields mean.",
    )


class AnthropicOutputConfig(Incoming):
    """What form the reply has."""

    format: AnthropicJsonFormat | None = None
    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = Field(
        None, description="For hosted models that have such a dial; models here have none."
    )


class AnthropicMetadata(Incoming):
    """About the request."""

    user_id: str | None = Field(None, description="Passed on; does not change the answer.")


class AnthropicConversation(Incoming):
    """What messages and the counting of their tokens share."""

    FORMS: ClassVar = {
        "tool_choice": '{"type": "auto"}, {"type": "any"}, {"type": "tool", "name": ...} or '
        '{"type": "none"}',
        "thinking": '{"type": "adaptive"}, {"type": "enabled", "budget_tokens": ...} or '
        '{"type": "disabled"}',
    }

    model: str = Field(min_length=1, max_length=256, description="A name that /v1/models lists.")
    messages: list[AnthropicMessageIn] = Field(min_length=1)
    system: AnthropicTexts | None = None
    tools: list[AnthropicTool] | None = Field(None, max_length=512)
    tool_choice: AnthropicToolChoice | None = None
    thinking: (
        Annotated[
            AnthropicThinks | AnthropicThinksWithin | AnthropicThinksNot,
            Field(discriminator="type"),
        ]
        | None
    ) = Field(
        None,
        description="For models that can both think and not (whose chat template knows "
        "enable_thinking, and hosted ones); others answer as ever.",
    )
    output_config: AnthropicOutputConfig | None = None
    cache_control: Cached = None


class AnthropicRequest(AnthropicConversation):
    """A conversation to continue."""

    max_tokens: Positive = Field(description="Thoughts count, too.")
    stop_sequences: list[Stop] | None = Field(
        None, max_length=64, description="Each ends the reply and is not part of it."
    )
    temperature: float | None = Field(None, ge=0, le=1)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: Count | None = Field(None, description="0 for all tokens.")
    stream: bool | None = None
    metadata: AnthropicMetadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = Field(
        None, description="Does not change the answer."
    )


class AnthropicCountRequest(AnthropicConversation):
    """A conversation whose tokens are counted."""
