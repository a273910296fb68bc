"""OpenAI's chat completions: their chunks to events; `chat_wire` writes what they answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kataribe.base.errors import ProviderError
from kataribe.base.events import Citation, Event, FinishReason, TokenLogprob, Usage
from kataribe.run.providers.gathering import Gathering, make_seal, shared_usage
from kataribe.run.providers.progress import progress_in
from kataribe.run.providers.sse import ServerEvent
from kataribe.run.providers.wires import Asked, broke_off, parsed

_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_EXACT: frozenset[FinishReason] = frozenset(
    {
        "approval",
        "repetition",
        "deadline",
        "budget",
        "cancelled",
        "stop",
        "length",
        "tool_calls",
        "content_filter",
    }
)
"""Reasons that another Kataribe tells exactly."""


class ChatReader:
    """Chunks of a chat completion to events; the usage comes last, so the closing events do too."""

    def __init__(self, asked: Asked) -> None:
        self.done = False
        self._name = asked.name
        self._seals = "reasoning_details" in asked.manner.adds
        self._choices = [Gathering(index) for index in range(asked.request.n)]
        self._details = [""] * asked.request.n
        self._exact: dict[int, FinishReason] = {}
        self._usage = Usage(0, 0)

    def read(self, event: ServerEvent) -> Sequence[Event]:
        """What a chunk says."""
        if event.data.strip() == "[DONE]":
            self.done = True
            return ()
        chunk = parsed(event, self._name)
        if event.event.startswith("kataribe."):
            return progress_in(event.event, chunk)
        if chunk.get("usage"):
            self._usage = usage_of(chunk["usage"])
        said: list[Event] = []
        for choice in chunk.get("choices") or ():
            said += self._read_choice(choice)
        return said

    def _read_choice(self, choice: Mapping[str, Any]) -> list[Event]:
        index = choice.get("index") or 0
        gathered = self._choices[index]
        delta = choice.get("delta") or {}
        said: list[Event] = []
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought:
            said += gathered.think(thought)
        for detail in (delta.get("reasoning_details") or ()) if self._seals else ():
            seal = make_seal(self._name, detail)
            is_thought = detail["type"] == "reasoning.text"
            said += gathered.seal(seal) if is_thought else gathered.mark(seal)
        logprobs = _logprobs(choice.get("logprobs"))
        if delta.get("content") or logprobs:
            said += gathered.say(delta.get("content") or "", logprobs)
        if delta.get("refusal"):
            said += gathered.say(delta["refusal"])
            self._exact[index] = "content_filter"
        for piece in delta.get("tool_calls") or ():
            said += _call_piece(gathered, piece)
        said += [
            _citation(each, index)
            for each in delta.get("annotations") or ()
            if isinstance(each.get("url_citation"), Mapping)  # files and other kinds have none
        ]
        gathered.reason = choice.get("finish_reason") or gathered.reason
        exact = choice.get("finish_detail")
        if exact and exact["reason"] in _EXACT:
            self._exact[index] = exact["reason"]
            self._details[index] = exact.get("detail") or ""
        return said

    def end(self) -> Sequence[Event]:
        """The closing events of all choices."""
        if any(choice.reason is None for choice in self._choices):
            raise broke_off(self._name)
        closing: list[Event] = []
        for choice, usage in zip(
            self._choices, shared_usage(self._usage, self._choices), strict=True
        ):
            assert choice.reason is not None
            reason, detail = self._reason(choice.index, choice.reason)
            if reason in ("stop", "tool_calls"):
                closing += choice.complete_calls()
            closing.append(choice.finished(usage, reason, detail))
        return closing

    def _reason(self, index: int, word: str) -> tuple[FinishReason, str]:
        if index in self._exact:
            return self._exact[index], self._details[index]
        if word == "error":
            raise ProviderError(f"{self._name} ended its reply with an error and gave no reason.")
        known = _REASONS.get(word)
        return (known, "") if known else ("stop", f"The host's word for the end is {word!r:.40}.")

    def cut(self, reason: FinishReason, detail: str) -> Sequence[Event]:
        """The closing events as things stand."""
        shares = shared_usage(self._usage, self._choices)
        return [
            choice.finished(usage, reason, detail)
            for choice, usage in zip(self._choices, shares, strict=True)
        ]


def _call_piece(gathered: Gathering, piece: Mapping[str, Any]) -> list[Event]:
    function = piece.get("function") or {}
    key = piece.get("index")
    if key is None:  # some servers number no calls and send each of them whole
        key = gathered.calls
    given, name = piece.get("id"), function.get("name")
    said: list[Event] = []
    if given and gathered.has_call(key) and gathered.id_of(key) != given:
        # Some servers send all calls under one number; others a new id with every piece of one.
        known = gathered.key_of(given)
        if known is not None:
            key = known
        elif name:
            said += gathered.call(key, given, name)
    if not gathered.has_call(key):
        said += gathered.call(key, given, name)
    return said + gathered.arguments(key, function.get("arguments") or "")


def _citation(annotation: Mapping[str, Any], index: int) -> Citation:
    cited = annotation["url_citation"]
    url, title = cited["url"], cited.get("title") or ""
    start, end = cited["start_index"], cited["end_index"]
    return Citation(url, start, end, "" if title == url else title, index)


def usage_of(found: Mapping[str, Any]) -> Usage:
    """OpenAI's usage: cached tokens are among the prompt's, thoughts among the reply's."""
    details = found.get("prompt_tokens_details") or {}
    return Usage(
        int(found["prompt_tokens"]),
        int(found.get("completion_tokens") or 0),
        int(details.get("cached_tokens") or 0),
        int(details.get("cache_write_tokens") or 0),
    )


def _logprobs(found: Mapping[str, Any] | None) -> tuple[TokenLogprob, ...]:
    if not found:
        return ()
    return tuple(token_logprob(token) for token in found.get("content") or ())


def token_logprob(token: Mapping[str, Any]) -> TokenLogprob:
    """A token with its likeliest rivals; hosts tell no ids, for which -1 stands."""
    text = token.get("token") or ""
    raw = token.get("bytes")
    return TokenLogprob(
        -1,
        text,
        text.encode("utf-8", "replace") if raw is None else bytes(raw),
        float(token["logprob"]),
        tuple(token_logprob(top) for top in token.get("top_logprobs") or ()),
    )
