"""Chat requests."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from kataribe.serve.shapes.messages import ChatMessage
from kataribe.serve.shapes.strict import Effort, Incoming, Positive, Ranks, Sampled, Verbosity

UNSUPPORTED = {
    "audio": "replies are text.",
    "function_call": "it was replaced by tool_choice; use that.",
    "functions": "they were replaced by tools; use those.",
    "guided_choice": "use structured_outputs.choice.",
    "guided_grammar": "use structured_outputs.grammar.",
    "guided_json": "use response_format or structured_outputs.json.",
    "guided_regex": "use structured_outputs.regex.",
    "moderation": "this server moderates nothing by itself.",
    "prediction": "replies are not predicted.",
    "prompt_cache_options": "the prefix cache needs no options.",
    "web_search_options": "this server does not search the web.",
}
"""Fields of OpenAI's API that are known and not served, with the reason."""

Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_.-]{1,64}$")]


STRICT_FORM = (
    "Does not change the answer: models here are always strict, and of hosted models strictness is "
    "asked wherever their API can enforce the schema (every object closed, all of its properties "
    "required), else they follow it as well as they can."
)


class FunctionDefinition(Incoming):
    """A function that the model may call; `parameters` is a JSON schema of an object."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = Field(
        None, description="Without, or without properties, the function takes no arguments."
    )
    strict: bool | None = Field(
        None,
        description="Passed on to hosted models where their API can enforce the schema; models "
        "here are always strict.",
    )


class ToolDefinition(Incoming):
    """A tool; functions are the only kind."""

    type: Literal["function"]
    function: FunctionDefinition


class FunctionName(Incoming):
    """The name of one of the request's functions."""

    name: Name


class NamedTool(Incoming):
    """One of the request's tools."""

    type: Literal["function"]
    function: FunctionName


class AllowedToolSet(Incoming):
    """Which tools, and whether one must be called."""

    mode: Literal["auto", "required"]
    tools: list[NamedTool] = Field(min_length=1)


class AllowedTools(Incoming):
    """Only some of the request's tools may be called."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedToolSet


ToolChoiceOption: TypeAlias = (
    Literal["none", "auto", "required"]
    | Annotated[NamedTool | AllowedTools, Field(discriminator="type")]
)


class TextResponseFormat(Incoming):
    """Free text."""

    type: Literal["text"]


class JsonObjectResponseFormat(Incoming):
    """Any JSON object."""

    type: Literal["json_object"]


class SchemaDefinition(Incoming):
    """A JSON schema with a name. Models here always follow it, also without `strict`."""

    # The form is held by allowing only tokens that fit, not by words in the prompt. So whatever
    # only describes it, here or inside the schema, cannot change the answer; clients that make
    # schemas from classes send it all the same, and refusing would lock them out.
    name: Name = Field(description="Does not change the answer.")
    schema_: dict[str, Any] | None = Field(
        None,
        alias="schema",
        description="Its titles and descriptions are not shown to the model: tell it in a message "
        "what the fields mean.",
    )
    description: str | None = Field(
        None,
        description="Does not change the answer; tell the model in a message what it shall write.",
    )
    strict: bool | None = Field(None, description=STRICT_FORM)


class JsonSchemaResponseFormat(Incoming):
    """JSON of a schema."""

    type: Literal["json_schema"]
    json_schema: SchemaDefinition


ResponseFormatOption: TypeAlias = Annotated[
    TextResponseFormat | JsonObjectResponseFormat | JsonSchemaResponseFormat,
    Field(discriminator="type"),
]


class TechniqueChoice(Incoming):
    """A technique with options."""

    name: str = Field(min_length=1, max_length=64)
    options: dict[str, Any] = Field(default_factory=dict, max_length=100)


class ChatCompletionRequest(Sampled):
    """A conversation to continue."""

    FORMS: ClassVar = {
        "tool_choice": '"none", "auto", "required", {"type": "function", "function": {"name": '
        '...}} or {"type": "allowed_tools", "allowed_tools": {"mode": ..., "tools": [...]}}',
        "response_format": '{"type": "text"}, {"type": "json_object"} or '
        '{"type": "json_schema", "json_schema": {"name": ..., "schema": ...}}',
        "technique": 'a name such as "chain-of-thought", or {"name": ..., "options": {...}}',
    }

    messages: list[ChatMessage] = Field(min_length=1)
    logprobs: bool | None = None
    top_logprobs: Ranks | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    tools: list[ToolDefinition] | None = Field(None, max_length=512)
    tool_choice: ToolChoiceOption | None = None
    parallel_tool_calls: bool | None = Field(
        None, description="false allows at most one call in a turn."
    )
    response_format: ResponseFormatOption | None = None
    chat_template_kwargs: dict[str, Any] | None = Field(
        None, description="Extension: variables for the chat template, such as enable_thinking."
    )
    reasoning_effort: Effort | None = Field(
        None,
        description="With `none` and `minimal` models that can do both answer at once, with any "
        "other they think first; models that never think answer as ever.",
    )
    verbosity: Verbosity | None = Field(
        None,
        description="`low` and `high` go to hosted models that have such a dial; others refuse "
        "them. `medium` is what every model says anyway.",
    )
    technique: Annotated[str, Field(min_length=1, max_length=64)] | TechniqueChoice | None = Field(
        None,
        description="Extension: how the model is asked, by name (`chain-of-thought`) or as "
        '{"name": ..., "options": {...}}; /studio/api/techniques lists them. One reply at a time.',
    )
    continue_final_message: bool | None = Field(
        None, description="Extension: go on from the last message, which is the assistant's."
    )
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, max_length=1)] | None = None
    metadata: dict[str, str] | None = Field(None, description="Does not change the answer.")
    store: bool | None = Field(None, description="Does not change the answer.")
    service_tier: str | None = Field(None, description="Does not change the answer.")
    safety_identifier: str | None = Field(None, description="Does not change the answer.")
    prompt_cache_retention: str | None = Field(None, description="Does not change the answer.")
    prompt_cache_key: str | None = Field(None, description="Does not change the answer.")
