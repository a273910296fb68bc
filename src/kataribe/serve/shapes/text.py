"""Completions of bare prompts, and tokens."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from kataribe.serve.shapes.chat import ToolDefinition
from kataribe.serve.shapes.messages import ChatMessage
from kataribe.serve.shapes.replies import CompletionUsage, FinishDetail
from kataribe.serve.shapes.strict import Count, Incoming, Outgoing, Ranks, Sampled, TokenId

UNSUPPORTED = {
    "best_of": "ask for n choices and choose among them.",
    "guided_choice": "use structured_outputs.choice.",
    "guided_grammar": "use structured_outputs.grammar.",
    "guided_json": "use structured_outputs.json.",
    "guided_regex": "use structured_outputs.regex.",
    "suffix": "models here continue a prompt and cannot fill a gap.",
}
"""Fields of OpenAI's API that are known and not served, with the reason."""

Ids: TypeAlias = Annotated[list[TokenId], Field(min_length=1)]
PromptOption: TypeAlias = (
    str
    | Ids
    | Annotated[list[str], Field(min_length=1)]
    | Annotated[list[Ids], Field(min_length=1)]
)


class CompletionRequest(Sampled):
    """A prompt to continue, without a chat template."""

    prompt: PromptOption = Field(
        description="A text, several texts, token ids, or several lists of token ids."
    )
    max_tokens: Count | None = Field(
        None, description="16 when absent, as in OpenAI's API. 0 only with echo."
    )
    echo: bool | None = Field(
        None, description="The prompt comes first in the text, with its log-probabilities."
    )
    logprobs: Ranks | None = Field(None, description="How many likeliest tokens beside each token.")


class CompletionLogprobs(Outgoing):
    r"""Log-probabilities (natural), one entry per token.

    The first token of an echoed prompt has none. A token that is only a part of a character is
    written as `bytes:` and its bytes, such as `bytes:\xe3\x81`.
    """

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int] = Field(description="Where each token begins in the choice's text.")


class CompletionChoice(Outgoing):
    """One continuation; `index` counts through all prompts, n choices for each."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: Literal["stop", "length", "content_filter"] | None
    finish_detail: FinishDetail | None = None


class Completion(Outgoing):
    """Continuations; in a stream, what is new of them."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: CompletionUsage | None = None


class TokenizeTextRequest(Incoming):
    """A text to turn into ids."""

    model: str | None = Field(None, min_length=1, description="The server's default when absent.")
    prompt: str
    add_special_tokens: bool = Field(
        default=True, description="Begin with the model's begin token, where it has that habit."
    )
    return_token_strs: bool | None = None


class TokenizeChatRequest(Incoming):
    """A conversation to turn into ids through the model's chat template."""

    model: str | None = Field(None, min_length=1, description="The server's default when absent.")
    messages: list[ChatMessage] = Field(min_length=1)
    tools: list[ToolDefinition] | None = Field(None, max_length=512)
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    add_special_tokens: bool = Field(
        default=False,
        description="Puts the begin token in front of what the chat template wrote, which usually "
        "has it; without, the ids are those that a chat is answered from.",
    )
    chat_template_kwargs: dict[str, Any] | None = None
    return_token_strs: bool | None = None


class TokenizeResponse(Outgoing):
    """The ids of a text."""

    count: int
    max_model_len: int | None
    tokens: list[int]
    token_strs: list[str] | None = Field(
        None, description="The vocabulary's pieces, such as \u0120world or \u2581world."
    )


class DetokenizeRequest(Incoming):
    """Ids to turn into text."""

    model: str | None = Field(None, min_length=1, description="The server's default when absent.")
    tokens: list[TokenId]


class DetokenizeResponse(Outgoing):
    """The text of ids."""

    prompt: str
