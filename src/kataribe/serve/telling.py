"""Replies in Kataribe's own terms to OpenAI's chat shapes: whole, and chunk by chunk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from kataribe.base.events import (
    Citation,
    Event,
    Finished,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from kataribe.base.messages import ReasoningPart, ToolCallPart, text_of
from kataribe.serve.reasoning_details import details_of
from kataribe.serve.shapes.replies import (
    Annotation,
    CalledFunction,
    ChatChoice,
    ChatCompletion,
    ChatLogprobs,
    ChatTokenLogprob,
    CompletionUsage,
    FinishDetail,
    FinishReason,
    PromptTokensDetails,
    ReasoningDetail,
    ReplyMessage,
    ToolCall,
    TopLogprob,
    UrlCitation,
)
from kataribe.serve.shapes.strict import Outgoing

REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "approval": "tool_calls",
    # What was cut before its end says so with the one word that clients know for it.
    "repetition": "length",
    "deadline": "length",
    "budget": "length",
    "cancelled": "length",
}
"""Kataribe's reasons in OpenAI's four words; `finish_detail` keeps the exact one."""


def reason_of(event: Finished) -> FinishReason:
    """OpenAI's word for why the reply ended."""
    return REASONS[event.reason]


def detail_of(event: Finished) -> FinishDetail | None:
    """The exact reason, where OpenAI's words do not say it or there is more to say."""
    if event.reason == REASONS[event.reason] and not event.detail:
        return None
    return FinishDetail(reason=event.reason, detail=event.detail)


def usage_of(prompts: Sequence[Sequence[Finished]]) -> CompletionUsage:
    """Tokens of all choices; a prompt counts once, however many choices answer it."""
    firsts = [choices[0].usage for choices in prompts]
    return added(firsts, [one.usage for choices in prompts for one in choices])


def added(firsts: Iterable[Usage], every: Iterable[Usage]) -> CompletionUsage:
    """The sum of the prompts (`firsts`) and of all the choices' replies (`every`)."""
    heads = list(firsts)
    prompt = sum(usage.prompt_tokens for usage in heads)
    replies = sum(usage.completion_tokens for usage in every)
    return CompletionUsage(
        prompt_tokens=prompt,
        completion_tokens=replies,
        total_tokens=prompt + replies,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=sum(usage.cached_tokens for usage in heads),
            cache_write_tokens=sum(usage.cache_write_tokens for usage in heads),
        ),
    )


def chat_completion(
    head: dict[str, Any],
    choices: Sequence[Finished],
    citations: dict[int, list[Citation]],
    *,
    logprobs: bool,
) -> ChatCompletion:
    """The whole answer; `head` has its id, its time and its model."""
    return ChatCompletion(
        **head,
        choices=[_choice(one, citations.get(one.index, []), logprobs) for one in choices],
        usage=usage_of([choices]),
    )


def _choice(one: Finished, citations: list[Citation], logprobs: bool) -> ChatChoice:
    calls = [part for part in one.message.parts if isinstance(part, ToolCallPart)]
    thought = [part.text for part in one.message.parts if isinstance(part, ReasoningPart)]
    return ChatChoice(
        index=one.index,
        message=ReplyMessage(
            content=text_of(one.message) or (None if calls else ""),
            reasoning_content="".join(thought) or None,
            reasoning_details=[ReasoningDetail(**entry) for entry in details_of(one.message.parts)]
            or None,
            tool_calls=[_call(call) for call in calls] or None,
            annotations=[_annotation(citation) for citation in citations] or None,
        ),
        logprobs=ChatLogprobs(content=token_logprobs(one.logprobs)) if logprobs else None,
        finish_reason=reason_of(one),
        finish_detail=detail_of(one),
    )


def _call(part: ToolCallPart) -> ToolCall:
    return ToolCall(id=part.id, function=CalledFunction(name=part.name, arguments=part.arguments))


def _annotation(citation: Citation) -> Annotation:
    return Annotation(
        url_citation=UrlCitation(
            url=citation.source,
            title=citation.quote or citation.source,
            start_index=citation.start,
            end_index=citation.end,
        )
    )


def token_logprobs(tokens: Sequence[TokenLogprob]) -> list[ChatTokenLogprob]:
    """Log-probabilities as OpenAI's newer shapes have them."""
    return [
        ChatTokenLogprob(
            token=token.token,
            bytes=list(token.raw),
            logprob=token.logprob or 0.0,
            top_logprobs=[
                TopLogprob(token=top.token, bytes=list(top.raw), logprob=top.logprob or 0.0)
                for top in token.top
            ],
        )
        for token in tokens
    ]


def first_chunk(head: dict[str, Any], index: int) -> dict[str, Any]:
    """The chunk that opens a choice."""
    return _chunk(head, index, {"role": "assistant", "content": ""})


def chunk_of(head: dict[str, Any], event: Event, *, logprobs: bool) -> dict[str, Any] | None:
    """The chunk for an event; None for one that has no words for the client.

    A plain dictionary and no model: a busy server writes thousands of these in a second. The
    tests hold each to `ChatCompletionChunk`.
    """
    match event:
        case TextDelta(text, index, tokens):
            chunk = _chunk(head, index, {"content": text})
            if logprobs:
                content = [token.model_dump() for token in token_logprobs(tokens)]
                chunk["choices"][0]["logprobs"] = {"content": content, "refusal": None}
            return chunk
        case ReasoningDelta(text, index):
            return _chunk(head, index, {"reasoning_content": text})
        case ToolCallDelta():
            return _chunk(head, event.index, {"tool_calls": [_piece(event)]})
        case Citation():
            cited = _annotation(event).model_dump()
            return _chunk(head, event.index, {"annotations": [cited]})
        case Finished():
            chunk = _chunk(head, event.index, {}, reason_of(event))
            detail = detail_of(event)
            if detail is not None:
                chunk["choices"][0]["finish_detail"] = detail.model_dump()
            return chunk
        case _:
            return None


def details_chunk(
    head: dict[str, Any], index: int, details: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The chunk for seals of thoughts."""
    return _chunk(head, index, {"reasoning_details": details})


def usage_chunk(head: dict[str, Any], usage: CompletionUsage) -> dict[str, Any]:
    """The last chunk of a stream with `include_usage`."""
    return {**head, "choices": [], "usage": usage.model_dump()}


def _chunk(
    head: dict[str, Any], index: int, delta: dict[str, Any], reason: FinishReason | None = None
) -> dict[str, Any]:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
    return {**head, "choices": [choice]}


def _piece(event: ToolCallDelta) -> dict[str, Any]:
    if event.id is None:
        return {"index": event.call, "function": {"arguments": event.arguments}}
    return {
        "index": event.call,
        "id": event.id,
        "type": "function",
        "function": {"name": event.name, "arguments": event.arguments},
    }


def lean(answer: Outgoing) -> bytes:
    """The answer's JSON; extensions that say nothing are left out, OpenAI's nulls stay."""
    value = answer.model_dump(mode="json")
    for choice in value.get("choices", ()):
        _drop_null(choice, "finish_detail")
        message = choice.get("message", {})
        for field in ("reasoning_content", "reasoning_details", "tool_calls", "annotations"):
            _drop_null(message, field)
        for detail in message.get("reasoning_details", ()):
            for field in ("text", "signature", "data", "id"):
                _drop_null(detail, field)
    return to_bytes(value)


def to_bytes(value: Any) -> bytes:
    """Compact UTF-8 JSON. What UTF-8 cannot hold becomes a replacement character."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _drop_null(value: dict[str, Any], field: str) -> None:
    if value.get(field) is None:
        value.pop(field, None)
