"""Whether a model can do what a request asks; what it cannot do is refused, never ignored."""

from __future__ import annotations

from dataclasses import replace

from kataribe.base.errors import UnsupportedError
from kataribe.base.lm import LEAVABLE, Capabilities, Request, TextFormat
from kataribe.base.messages import AudioPart, ImagePart, Message, ToolResultPart


def check_abilities(name: str, able: Capabilities, request: Request) -> None:
    """Returns when the model called `name` can do all that `request` asks.

    Raises `UnsupportedError` naming the model, the field and the way out.
    """
    if request.tools and not able.tools:
        raise UnsupportedError(
            f"{name} cannot call tools. Leave out tools, or ask a model whose chat template has "
            "them.",
            param="tools",
        )
    if request.logprobs is not None and not able.logprobs:
        raise UnsupportedError(
            f"{name} gives no log-probabilities. Leave out logprobs.", param="logprobs"
        )
    if not isinstance(request.response_format, TextFormat) and not able.structured_output:
        raise UnsupportedError(
            f"{name} cannot hold its reply to a form. Leave out response_format.",
            param="response_format",
        )
    check_verbosity(name, able, request)
    for field in sorted(able.lacks):
        if is_asked(request, field):
            raise UnsupportedError(
                f"{name} takes no {field}. Leave {field} out, or ask a model that has it.",
                param=field,
            )
    messages = messages_of(request)
    if not messages and not able.raw_prompt:
        raise UnsupportedError(
            f"{name} answers chats only and cannot continue a bare prompt. Send messages.",
            param="prompt",
        )
    for place, message in enumerate(messages):
        for part in message.parts:
            _check_part(name, able, part, f"messages[{place}].content")


def check_verbosity(name: str, able: Capabilities, request: Request) -> None:
    """Raises `UnsupportedError` where less or more is asked of a model without such a dial."""
    if request.verbosity is not None and not able.verbosity:
        raise UnsupportedError(
            f"{name} has no dial for verbosity, which is {request.verbosity!r}. Leave it out and "
            "ask for a short or a long reply in words, or ask a model that has it.",
            param="verbosity",
        )


def messages_of(request: Request) -> tuple[Message, ...]:
    """The messages of a chat; an empty tuple for a raw prompt (text or token ids)."""
    if isinstance(request.prompt, str):
        return ()
    return tuple(part for part in request.prompt if isinstance(part, Message))


def is_asked(request: Request, field: str) -> bool:
    """Whether a request asks for one of `LEAVABLE`, or has a wish about `thinking`."""
    match field:
        case "thinking":
            return request.thinking is not None
        case "stop":
            return bool(request.stop)
        case "seed":
            return request.seed is not None
        case "temperature":
            return request.sampling.temperature is not None
    raise ValueError(f"{field} is none of {', '.join(sorted(LEAVABLE))}.")


def without(request: Request, field: str) -> Request:
    """The request that does not ask for one of `LEAVABLE`, or has no wish about `thinking`."""
    match field:
        case "thinking":
            return replace(request, thinking=None)
        case "stop":
            return replace(request, stop=())
        case "seed":
            return replace(request, seed=None)
        case "temperature":
            return replace(request, sampling=replace(request.sampling, temperature=None))
    raise ValueError(f"{field} is none of {', '.join(sorted(LEAVABLE))}.")


def _check_part(name: str, able: Capabilities, part: object, param: str) -> None:
    shows = isinstance(part, ImagePart) or (isinstance(part, ToolResultPart) and part.images)
    if shows and not able.images:
        raise UnsupportedError(
            f"{name} reads text only, and {param} has an image. Leave the image out, or ask a "
            "model that sees.",
            param=param,
        )
    if isinstance(part, AudioPart) and not able.audio:
        raise UnsupportedError(
            f"{name} reads text only, and {param} has audio. Leave the audio out, or ask a model "
            "that hears.",
            param=param,
        )
