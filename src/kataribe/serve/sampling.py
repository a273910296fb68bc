"""The fields that chats and completions share, in Kataribe's own terms."""

from __future__ import annotations

from kataribe.base.errors import InputError
from kataribe.base.lm import (
    ChoiceFormat,
    GrammarFormat,
    JsonFormat,
    RegexFormat,
    ResponseFormat,
    Sampling,
    TextFormat,
)
from kataribe.serve.shapes.strict import Sampled, StructuredOutputs

_FIELD = "structured_outputs"


def sampling_of(body: Sampled, max_tokens: int | None) -> Sampling:
    """How tokens are drawn; raises `InputError` for what contradicts itself."""
    minimum = body.min_tokens or 0
    if max_tokens is not None and minimum > max_tokens:
        raise InputError(
            f"min_tokens is {minimum}, but the reply may have at most {max_tokens} tokens.",
            param="min_tokens",
        )
    return Sampling(
        temperature=body.temperature,
        top_k=body.top_k,
        top_p=body.top_p,
        min_p=body.min_p or 0.0,
        repetition_penalty=body.repetition_penalty,
        presence_penalty=body.presence_penalty or 0.0,
        frequency_penalty=body.frequency_penalty or 0.0,
        logit_bias={int(token): bias for token, bias in (body.logit_bias or {}).items()},
        max_tokens=max_tokens,
        min_tokens=minimum,
        ignore_eos=bool(body.ignore_eos),
    )


def stops_of(body: Sampled) -> tuple[str, ...]:
    """The strings that end the reply."""
    if body.stop is None:
        return ()
    return (body.stop,) if isinstance(body.stop, str) else tuple(body.stop)


def check_stream(body: Sampled) -> None:
    """Raises `InputError` for options of a stream that was not asked for."""
    if body.stream_options is not None and not body.stream:
        raise InputError(
            "stream_options needs stream: true. Add it, or leave stream_options out.",
            param="stream_options",
        )


def structured(option: StructuredOutputs | None) -> ResponseFormat:
    """The form that `structured_outputs` asks for."""
    if option is None:
        return TextFormat()
    given = option.model_dump(exclude_none=True, by_alias=True)
    if len(given) != 1:
        raise InputError(
            "structured_outputs takes exactly one of json, json_object, regex, choice and "
            f"grammar, but has {', '.join(given) or 'none'}.",
            param=_FIELD,
        )
    if option.json_ is not None:
        return JsonFormat(option.json_, param=_FIELD)
    if option.regex is not None:
        return RegexFormat(option.regex, param=_FIELD)
    if option.choice is not None:
        return ChoiceFormat(tuple(option.choice), param=_FIELD)
    if option.grammar is not None:
        return GrammarFormat(option.grammar, param=_FIELD)
    return JsonFormat(param=_FIELD)
