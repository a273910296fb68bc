"""Completion requests in OpenAI's shape to Kataribe's own terms, and back."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any

from kataribe.base.errors import InputError
from kataribe.base.events import Event, Finished, TextDelta, TokenLogprob
from kataribe.base.lm import Context, Prompt, Request, Sampling
from kataribe.base.messages import text_of
from kataribe.serve.sampling import check_stream, sampling_of, stops_of, structured
from kataribe.serve.shapes.text import (
    Completion,
    CompletionChoice,
    CompletionLogprobs,
    CompletionRequest,
)
from kataribe.serve.telling import detail_of, reason_of, usage_of

USUAL_TOKENS = 16
"""`max_tokens` where a request has none: OpenAI's default for this call."""


def completion_requests(body: CompletionRequest, max_prompts: int) -> list[Request]:
    """One request per prompt; raises `InputError` naming the field that cannot be."""
    check_stream(body)
    limit = USUAL_TOKENS if body.max_tokens is None else body.max_tokens
    if limit == 0 and not body.echo:
        raise InputError(
            "max_tokens is 0 and echo is off, so there is nothing to answer. Ask for at least 1 "
            "token, or set echo to score the prompt.",
            param="max_tokens",
        )
    if limit == 0 and body.min_tokens:
        raise InputError(
            f"min_tokens is {body.min_tokens}, but max_tokens is 0.", param="min_tokens"
        )
    prompts = prompts_of(body)
    if len(prompts) > max_prompts:
        raise InputError(
            f"prompt has {len(prompts)} prompts, but one call takes at most {max_prompts}. "
            "Send them in several calls.",
            param="prompt",
        )
    sampling = sampling_of(body, limit) if limit else Sampling()
    return [
        Request(
            prompt=prompt,
            sampling=sampling,
            response_format=structured(body.structured_outputs),
            stop=stops_of(body),
            seed=body.seed,
            n=body.n or 1,
            logprobs=body.logprobs,
            echo=bool(body.echo),
            score_only=limit == 0,
            context=Context(user=body.user),
        )
        for prompt in prompts
    ]


def prompts_of(body: CompletionRequest) -> list[Prompt]:
    """The prompts, each a text or a tuple of token ids."""
    if isinstance(body.prompt, str):
        return [body.prompt]
    ids: list[int] = []
    prompts: list[Prompt] = []
    for one in body.prompt:
        if isinstance(one, int):
            ids.append(one)  # the shape lets no list have both
        else:
            prompts.append(one if isinstance(one, str) else tuple(one))
    return prompts or [tuple(ids)]


def completion(
    head: dict[str, Any], prompts: Sequence[Sequence[Finished]], *, logprobs: bool
) -> Completion:
    """The whole answer: the choices of every prompt, in order."""
    choices = [
        CompletionChoice(
            index=index,
            text=text_of(one.message),
            logprobs=LogprobWriter().write(one.logprobs) if logprobs else None,
            finish_reason=_reason(one),
            finish_detail=detail_of(one),
        )
        for index, one in enumerate(one for choices in prompts for one in choices)
    ]
    return Completion(**head, choices=choices, usage=usage_of(prompts))


class PieceWriter:
    """Writes what is new of one choice of a stream."""

    def __init__(self, index: int, *, logprobs: bool) -> None:
        self._index = index
        self._logprobs = LogprobWriter() if logprobs else None

    def write(self, event: Event) -> dict[str, Any] | None:
        """The choice for an event; None for one without words."""
        choice: dict[str, Any] = {
            "index": self._index,
            "text": "",
            "logprobs": None,
            "finish_reason": None,
        }
        match event:
            case TextDelta(text, _, tokens):
                choice["text"] = text
                if self._logprobs is not None:
                    choice["logprobs"] = self._logprobs.write(tokens).model_dump()
            case Finished():
                choice["finish_reason"] = _reason(event)
                detail = detail_of(event)
                if detail is not None:
                    choice["finish_detail"] = detail.model_dump()
            case _:
                return None
        return choice


class LogprobWriter:
    """Log-probabilities in the legacy shape, whose offsets count characters of the choice's text.

    A token may end inside a character, so the offsets come from decoding the tokens' bytes as
    they arrive.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._place = 0

    def write(self, tokens: Sequence[TokenLogprob]) -> CompletionLogprobs:
        """The next tokens."""
        offsets = []
        for token in tokens:
            offsets.append(self._place)
            self._place += len(self._decoder.decode(token.raw))
        return CompletionLogprobs(
            tokens=[token_name(token) for token in tokens],
            token_logprobs=[token.logprob for token in tokens],
            top_logprobs=[_top(token) for token in tokens],
            text_offset=offsets,
        )


def token_name(token: TokenLogprob) -> str:
    """The token's text, or `bytes:` and its bytes where those are no whole characters."""
    try:
        token.raw.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token.raw)
    # A special token has no bytes in the text, but it has a name.
    return token.raw.decode("utf-8") or token.token


def _top(token: TokenLogprob) -> dict[str, float] | None:
    if token.logprob is None:
        return None
    # The token itself is always among them, so a reader can compare it with the likeliest.
    likely = {token_name(token): token.logprob}
    for top in token.top:
        name, logprob = token_name(top), top.logprob or 0.0
        likely[name] = max(logprob, likely.get(name, logprob))
    return likely


def _reason(event: Finished) -> Any:
    reason = reason_of(event)
    return "stop" if reason == "tool_calls" else reason
