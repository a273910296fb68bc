"""Requests of `/v1/responses`: text or items, and how the answer shall be."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Discriminator, Field, Tag

from kataribe.serve.shapes.chat import (
    STRICT_FORM,
    FunctionDefinition,
    JsonObjectResponseFormat,
    Name,
    TextResponseFormat,
)
from kataribe.serve.shapes.strict import (
    Detail,
    Effort,
    Incoming,
    OnlyFalse,
    Positive,
    Ranks,
    Verbosity,
)

UNSUPPORTED = {
    "access_programs": "this server has no such programs.",
    "background_options": "a response is made while its client waits.",
    "context_management": "nothing is dropped or summarised behind your back.",
    "conversation": "no conversation is kept for this call; go on with previous_response_id, or "
    "send its items in input.",
    "image": "images are taken as they are.",
    "moderation": "this server moderates nothing by itself.",
    "prompt": "no prompts are kept here; send its words in instructions or input.",
    "prompt_cache_options": "the prefix cache needs no options.",
}
"""Fields of OpenAI's API that are known and not served, with the reason."""

LOGPROBS = "message.output_text.logprobs"
"""What `include` has where log-probabilities are asked for."""

Status: TypeAlias = Literal["in_progress", "completed", "incomplete"]
_OF_EARLIER = "Of an earlier reply; does not change the answer."


class InputText(Incoming):
    """Words."""

    type: Literal["input_text"]
    text: str


class InputImage(Incoming):
    """A picture: a data: URL, or an address that a hosted model fetches."""

    type: Literal["input_image"]
    image_url: str = Field(min_length=1)
    detail: Detail | None = Field(
        None, description="How closely it is looked at, by hosted models that have such a dial."
    )


class InputFile(Incoming):
    """A text file, in UTF-8: the model reads its words between `<document>` marks."""

    type: Literal["input_file"]
    file_data: str | None = Field(None, description="In base64, or a data: URL with it.")
    filename: str | None = Field(None, max_length=1000, description="The model is told it.")
    file_id: str | None = Field(None, description="Refused: no files are kept for this call.")
    file_url: str | None = Field(None, description="Refused: no addresses of files are fetched.")
    detail: Literal["auto", "low", "high"] | None = Field(
        None, description="Does not change the answer: of text there is only one rendering."
    )


InputContent: TypeAlias = Annotated[InputText | InputImage | InputFile, Field(discriminator="type")]


class InputMessage(Incoming):
    """What a person says or shows, or what the model is told (`system`, `developer`)."""

    type: Literal["message"] = "message"
    role: Literal["user", "system", "developer"]
    content: str | Annotated[list[InputContent], Field(min_length=1)]
    id: str | None = Field(None, description="Does not change the answer.")
    status: Status | None = Field(None, description="Does not change the answer.")


class SaidText(Incoming):
    """Words of an earlier reply."""

    type: Literal["output_text"]
    text: str
    annotations: list[dict[str, Any]] | None = Field(None, description=_OF_EARLIER)
    logprobs: list[dict[str, Any]] | None = Field(None, description=_OF_EARLIER)


class SaidRefusal(Incoming):
    """Words of an earlier reply that said no."""

    type: Literal["refusal"]
    refusal: str


class SaidMessage(Incoming):
    """What the model said in an earlier turn."""

    type: Literal["message"] = "message"
    role: Literal["assistant"]
    content: (
        str
        | Annotated[
            list[Annotated[SaidText | SaidRefusal, Field(discriminator="type")]],
            Field(min_length=1),
        ]
    )
    id: str | None = Field(None, description=_OF_EARLIER)
    status: Status | None = Field(None, description=_OF_EARLIER)
    phase: Literal["commentary", "final_answer"] | None = Field(None, description=_OF_EARLIER)


class FunctionCallItem(Incoming):
    """A call that the model asked for in an earlier turn."""

    type: Literal["function_call"]
    call_id: str = Field(min_length=1)
    name: str = Field(min_length=1)
    arguments: str
    id: str | None = Field(None, description=_OF_EARLIER)
    status: Status | None = Field(None, description=_OF_EARLIER)


class FunctionCallOutputItem(Incoming):
    """What a function answered."""

    type: Literal["function_call_output"]
    call_id: str = Field(min_length=1)
    output: str | Annotated[list[InputContent], Field(min_length=1)]
    id: str | None = Field(None, description="Does not change the answer.")
    status: Status | None = Field(None, description="Does not change the answer.")


class SummaryText(Incoming):
    """A thought in short."""

    type: Literal["summary_text"]
    text: str


class ThoughtText(Incoming):
    """A thought."""

    type: Literal["reasoning_text"]
    text: str


class ReasoningItem(Incoming):
    """What the model thought in an earlier turn; the summary counts where there is no content."""

    type: Literal["reasoning"]
    summary: list[SummaryText]
    content: list[ThoughtText] | None = None
    encrypted_content: str | None = Field(
        None, description="As it came; only who gave it can read it."
    )
    id: str | None = Field(None, description=_OF_EARLIER)
    status: Status | None = Field(None, description=_OF_EARLIER)


class ItemReference(Incoming):
    """An item of a response that was kept, by its id."""

    type: Literal["item_reference"] = "item_reference"
    id: str = Field(min_length=1)


def _kind(item: Any) -> str | None:
    if not isinstance(item, dict):
        return _kind_of(item)
    kind = item.get("type") or ("item_reference" if item.keys() == {"id"} else "message")
    if kind == "message" and item.get("role") == "assistant":
        return "said"
    return kind if isinstance(kind, str) else None


def _kind_of(item: Any) -> str | None:
    """The kind of an item that is read already."""
    kind = getattr(item, "type", None)
    return "said" if isinstance(item, SaidMessage) else kind


InputItem: TypeAlias = Annotated[
    Annotated[InputMessage, Tag("message")]
    | Annotated[SaidMessage, Tag("said")]
    | Annotated[FunctionCallItem, Tag("function_call")]
    | Annotated[FunctionCallOutputItem, Tag("function_call_output")]
    | Annotated[ReasoningItem, Tag("reasoning")]
    | Annotated[ItemReference, Tag("item_reference")],
    Discriminator(
        _kind,
        custom_error_type="item_kind",
        custom_error_message="an item is a message, function_call, function_call_output, "
        "reasoning or item_reference",
    ),
]


class FunctionTool(FunctionDefinition):
    """A function that the model may call; functions are the only kind of tools."""

    type: Literal["function"]


class FunctionChoice(Incoming):
    """One of the request's functions."""

    type: Literal["function"]
    name: Name


class AllowedFunctions(Incoming):
    """Only some of the request's functions may be called."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[FunctionChoice] = Field(min_length=1)


FunctionChoiceOption: TypeAlias = (
    Literal["none", "auto", "required"]
    | Annotated[FunctionChoice | AllowedFunctions, Field(discriminator="type")]
)


class JsonSchemaTextFormat(Incoming):
    """JSON of a schema. Models here always follow it, also without `strict`."""

    type: Literal["json_schema"]
    name: Name = Field(description="Does not change the answer.")
    schema_: dict[str, Any] = Field(
        alias="schema",
        description="Its titles and descriptions are not shown to the model: tell it in the input "
        "what the fields mean.",
    )
    description: str | None = Field(None, description="Does not change the answer.")
    strict: bool | None = Field(None, description=STRICT_FORM)


TextFormatOption: TypeAlias = Annotated[
    TextResponseFormat | JsonObjectResponseFormat | JsonSchemaTextFormat,
    Field(discriminator="type"),
]


class TextOptions(Incoming):
    """What form the reply's words have."""

    format: TextFormatOption | None = None
    verbosity: Verbosity | None = Field(
        None,
        description="`low` and `high` go to hosted models that have such a dial; others refuse "
        "them, so ask for short or long in instructions. `medium` is what every model says anyway.",
    )


class ReasoningOptions(Incoming):
    """How much the model thinks."""

    effort: Effort | None = Field(
        None,
        description="With `none` and `minimal` models that can do both answer at once, with any "
        "other they think first; hosts that have the dial get the word itself. Models that never "
        "think answer as ever.",
    )
    summary: Literal["auto", "concise", "detailed"] | None = Field(
        None, description="Does not change the answer: what a model shows of a thought is told."
    )
    generate_summary: Literal["auto", "concise", "detailed"] | None = Field(
        None, description="The old name of `summary`."
    )
    context: Literal["auto", "all_turns"] | None = Field(
        None, description="Thoughts of earlier turns go where the model's template has them."
    )
    mode: Literal["standard"] | None = None


Includable: TypeAlias = Literal[
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "message.input_image.image_url",
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
]
"""Log-probabilities are told where they are asked for. Seals of thoughts and addresses of pictures
always are, and of the calls of built-in tools there are none."""


class ResponsesStreamOptions(Incoming):
    """How a stream is told."""

    include_obfuscation: OnlyFalse | None = Field(
        None, description="Padding against traffic analysis is not offered; only false is taken."
    )


class ResponsesRequest(Incoming):
    """Text or items to answer."""

    FORMS: ClassVar = {
        "tool_choice": '"none", "auto", "required", {"type": "function", "name": ...} or '
        '{"type": "allowed_tools", "mode": ..., "tools": [...]}',
        "text.format": '{"type": "text"}, {"type": "json_object"} or '
        '{"type": "json_schema", "name": ..., "schema": ...}',
    }

    model: str = Field(min_length=1, max_length=256, description="A name that /v1/models lists.")
    input: str | Annotated[list[InputItem], Field(min_length=1)]
    instructions: str | None = Field(
        None, description="What the model is told before the input, as a system message."
    )
    tools: list[FunctionTool] | None = Field(None, max_length=512)
    tool_choice: FunctionChoiceOption | None = None
    parallel_tool_calls: bool | None = Field(
        None, description="false allows at most one call in a turn."
    )
    text: TextOptions | None = None
    max_output_tokens: Positive | None = Field(None, description="Thoughts count, too.")
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    reasoning: ReasoningOptions | None = None
    previous_response_id: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="Goes on from a response that was kept; its instructions are not taken over.",
    )
    include: list[Includable] | None = Field(
        None,
        description="Only `message.output_text.logprobs` changes what is told: the rest always is, "
        "or is of built-in tools, which are not here.",
    )
    top_logprobs: Ranks | None = Field(
        None, description="How many likeliest tokens beside each token, when logprobs are included."
    )
    stream: bool | None = None
    stream_options: ResponsesStreamOptions | None = None
    background: OnlyFalse | None = Field(
        None, description="A response is made while its client waits; only false is taken."
    )
    truncation: Literal["disabled"] | None = Field(
        None, description="Nothing is cut off: what is too long is an error with both counts."
    )
    metadata: dict[str, str] | None = Field(
        None, description="Comes back with the response; does not change the answer."
    )
    store: bool | None = Field(
        None,
        description="False keeps nothing. Else the response is kept for 30 days, the newest 1,000 "
        "of a person, where the server has a database; the response's own `store` says whether.",
    )
    max_tool_calls: Positive | None = Field(
        None, description="Does not change the answer: it counts built-in tools, and none are here."
    )
    prompt_cache_retention: str | None = Field(None, description="Does not change the answer.")
    service_tier: str | None = Field(None, description="Does not change the answer.")
    safety_identifier: str | None = Field(None, description="Does not change the answer.")
    prompt_cache_key: str | None = Field(None, description="Does not change the answer.")
    user: str | None = Field(None, description="Passed on; does not change the answer.")
