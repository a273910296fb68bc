"""Messages as they come in."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from kataribe.serve.shapes.strict import Count, Detail, Incoming


class TextContent(Incoming):
    """Words."""

    type: Literal["text"]
    text: str


class ImageAddress(Incoming):
    """Where a picture is: a data: URL, or an address that a hosted model fetches."""

    url: str = Field(min_length=1)
    detail: Detail | None = Field(
        None, description="How closely it is looked at, by hosted models that have such a dial."
    )


class ImageContent(Incoming):
    """A picture."""

    type: Literal["image_url"]
    image_url: ImageAddress


class AudioData(Incoming):
    """Encoded sound."""

    data: str = Field(description="Base64.")
    format: Literal["wav", "mp3"]


class AudioContent(Incoming):
    """Sound."""

    type: Literal["input_audio"]
    input_audio: AudioData


_OF_CLIENT = "What the client made of the reply; does not change the answer."

UserContent: TypeAlias = Annotated[
    TextContent | ImageContent | AudioContent, Field(discriminator="type")
]
Texts: TypeAlias = str | Annotated[list[TextContent], Field(min_length=1)]


class SystemMessage(Incoming):
    """What the model is told before the conversation; `developer` means the same."""

    role: Literal["system", "developer"]
    content: Texts


class UserMessage(Incoming):
    """What a person says or shows."""

    role: Literal["user"]
    content: str | Annotated[list[UserContent], Field(min_length=1)]


class FunctionCall(Incoming):
    """A function's name and the JSON text of its arguments."""

    name: str = Field(min_length=1)
    arguments: str
    parsed_arguments: Any = Field(None, description=_OF_CLIENT)


class SentToolCall(Incoming):
    """A call that the model asked for in an earlier turn."""

    id: str = Field(min_length=1)
    type: Literal["function"]
    function: FunctionCall
    index: Count | None = Field(None, description=_OF_CLIENT)


class _Detail(Incoming):
    index: Count | None = Field(None, description="Does not change the answer.")
    format: str | None = Field(None, description="Does not change the answer.")


class ThoughtDetail(_Detail):
    """A thought with what its host needs when it comes back."""

    type: Literal["reasoning.text"]
    text: str | None = None
    signature: str | None = Field(None, description="As it came; only who gave it can read it.")
    id: str | None = Field(None, description="Does not change the answer.")


class EncryptedDetail(_Detail):
    """What a host needs when the message comes back: before a call, or before the words."""

    type: Literal["reasoning.encrypted"]
    data: str = Field(description="As it came; only who gave it can read it.")
    id: str | None = Field(None, description="The call that it belongs to.")


class AssistantMessage(Incoming):
    """What the model said or called in an earlier turn."""

    role: Literal["assistant"]
    content: Texts | None = None
    reasoning_content: str | None = Field(None, description="Extension: what it thought.")
    reasoning_details: (
        list[Annotated[ThoughtDetail | EncryptedDetail, Field(discriminator="type")]] | None
    ) = Field(None, description="Extension: the seals of a hosted model's thoughts, as they came.")
    refusal: None = None
    annotations: list[dict[str, Any]] | None = Field(
        None, description="Of an earlier reply; does not change the answer."
    )
    parsed: Any = Field(None, description=_OF_CLIENT)
    audio: None = None
    function_call: None = None
    tool_calls: list[SentToolCall] | None = None


class ToolMessage(Incoming):
    """What a tool answered."""

    role: Literal["tool"]
    content: Texts
    tool_call_id: str = Field(min_length=1)
    name: str | None = Field(None, description="The tool's name, as the call has it.")


ChatMessage: TypeAlias = Annotated[
    SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")
]
