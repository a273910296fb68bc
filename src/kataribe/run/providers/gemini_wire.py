"""Google Gemini's generateContent: a request to its body, and its chunks to events.

The shapes are those of https://ai.google.dev/api/generate-content. A part may come with a thought
signature, which has to go back on the same part; it travels as a thought without words, sealed,
that stands before that part. Thoughts that are shown are parts with words of their own.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from kataribe.base.errors import InputError, ProviderError
from kataribe.base.events import Event, Finished, FinishReason, TokenLogprob, Usage
from kataribe.base.lm import JsonFormat, Request, Thinking, ToolSpec
from kataribe.base.messages import (
    AudioPart,
    ImagePart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from kataribe.run.providers.gathering import (
    OWN_CALL,
    Gathering,
    make_seal,
    open_seal,
    shared_usage,
)
from kataribe.run.providers.sse import ServerEvent
from kataribe.run.providers.wires import (
    Asked,
    Letter,
    Wire,
    arguments_object,
    broke_off,
    fields,
    offered_tools,
    parsed,
    refuse_part,
    schema_of,
    split_system,
)

CARRIES = fields(
    "temperature top_k top_p presence_penalty frequency_penalty max_tokens stop seed n logprobs "
    "tools tool_choice json_object json_schema images audio template.enable_thinking"
)

_SHOWN = Message("user", ())
"""What a tool shows stands beside its answer, as a picture of the user's does."""

_FILTERED = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MODEL_ARMOR",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "LANGUAGE",
    }
)


def write(asked: Asked) -> Letter:
    """The body for a request, of which `check_carried` has looked at every field."""
    request = asked.request
    messages = [part for part in request.prompt if isinstance(part, Message)]
    first, rest = split_system(messages)
    names = {
        part.id: part.name
        for message in messages
        for part in message.parts
        if isinstance(part, ToolCallPart)
    }
    system = [
        part for place, message in enumerate(first) for part in _parts(asked, place, message, names)
    ]
    body: dict[str, Any] = {"contents": _contents(asked, rest, names)}
    if system:
        body["systemInstruction"] = {"parts": system}
    settings = {**_sampling(request), **_form(request), **_thinking(request)}
    if settings:
        body["generationConfig"] = settings
    if request.tools:
        tools = [_tool(tool) for tool in offered_tools(request)]
        body["tools"] = [{"functionDeclarations": tools}]
        body["toolConfig"] = {"functionCallingConfig": _choice(request)}
    path = asked.model if "/" in asked.model else f"models/{asked.model}"
    return Letter(f"/{quote(path)}:streamGenerateContent?alt=sse", body)


def headers(key: str | None) -> Mapping[str, str]:
    """The key in its own header: in the address it would end up in logs."""
    return {"x-goog-api-key": key} if key else {}


def _sampling(request: Request) -> dict[str, Any]:
    sampling = request.sampling
    wanted = {
        "temperature": sampling.temperature,
        "topK": sampling.top_k or None,  # 0 is for all tokens, which is what its absence means
        "topP": sampling.top_p,
        "presencePenalty": sampling.presence_penalty or None,
        "frequencyPenalty": sampling.frequency_penalty or None,
        "maxOutputTokens": sampling.max_tokens,
        "stopSequences": list(request.stop) or None,
        "seed": request.seed,
        "candidateCount": request.n if request.n > 1 else None,
        "responseLogprobs": True if request.logprobs is not None else None,
        "logprobs": request.logprobs or None,
    }
    return {field: value for field, value in wanted.items() if value is not None}


def _form(request: Request) -> dict[str, Any]:
    match request.response_format:
        case JsonFormat(schema) if schema is None:
            return {"responseMimeType": "application/json"}
        case JsonFormat(schema) if schema is not None:
            return {"responseMimeType": "application/json", "responseJsonSchema": dict(schema)}
        case _:
            return {}


def _thinking(request: Request) -> dict[str, Any]:
    wish = request.thinking or Thinking()
    wanted = request.template.get("enable_thinking", wish.wanted)
    if wanted is None:
        return {}
    if not wanted:
        return {"thinkingConfig": {"thinkingBudget": 0}}
    budget = {} if wish.tokens is None else {"thinkingBudget": wish.tokens}
    return {"thinkingConfig": {"includeThoughts": True, **budget}}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    found: dict[str, Any] = {"name": tool.name, "parametersJsonSchema": schema_of(tool)}
    return {**found, "description": tool.description} if tool.description else found


def _choice(request: Request) -> dict[str, Any]:
    choice = request.tool_choice
    if choice.mode in ("required", "function"):
        names = {"allowedFunctionNames": list(choice.names)} if choice.names else {}
        return {"mode": "ANY", **names}
    return {"mode": choice.mode.upper()}


def _contents(
    asked: Asked, messages: Sequence[tuple[int, Message]], names: Mapping[str, str]
) -> list[dict[str, Any]]:
    contents: list[dict[str, Any]] = []
    for place, message in messages:
        if message.role == "system":
            raise refuse_part(
                asked, place, "the system's words in the middle", "Put them before all others."
            )
        role = "model" if message.role == "assistant" else "user"
        parts = _parts(asked, place, message, names)
        if not parts:
            raise InputError(
                f"messages[{place}] has nothing that {asked.name} can be sent: no words, picture "
                "or call of a tool. Leave the message out.",
                param=f"messages[{place}].content",
            )
        if contents and contents[-1]["role"] == role:
            contents[-1]["parts"] += parts
        else:
            contents.append({"role": role, "parts": parts})
    return contents


def _parts(
    asked: Asked, place: int, message: Message, names: Mapping[str, str]
) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    signature: str | None = None  # for the part that comes next
    for part in message.parts:
        if isinstance(part, ReasoningPart):
            sealed = open_seal(part.seal, asked.name)
            if isinstance(sealed, str) and part.text:
                thought = {"text": part.text, "thought": True, "thoughtSignature": sealed}
                parts.append(thought)
            elif isinstance(sealed, str):
                signature = sealed
            continue
        if isinstance(part, TextPart) and not part.text:
            continue
        one = _part(asked, place, message, part, names)
        if signature is not None:
            one["thoughtSignature"], signature = signature, None
        parts.append(one)
        if isinstance(part, ToolResultPart):
            parts += [_part(asked, place, _SHOWN, image, names) for image in part.images]
    if signature is not None:
        parts.append({"text": "", "thoughtSignature": signature})
    return parts


def _part(
    asked: Asked, place: int, message: Message, part: Part, names: Mapping[str, str]
) -> dict[str, Any]:
    match message.role, part:
        case "user" | "assistant" | "system", TextPart(text):
            return {"text": text}
        case "user", ImagePart(media_type, data, url) if data is None:
            known = {} if media_type.endswith("*") else {"mimeType": media_type}
            return {"fileData": {"fileUri": url, **known}}
        case "user", ImagePart(media_type, bytes() as data) | AudioPart(media_type, data):
            encoded = base64.b64encode(data).decode("ascii")
            return {"inlineData": {"mimeType": media_type, "data": encoded}}
        case "assistant", ToolCallPart(id, name, arguments):
            call = {"name": name, "args": arguments_object(arguments)}
            return {"functionCall": {**_id(id), **call}}
        case "tool", ToolResultPart(call_id, content, is_error):
            if call_id not in names:
                raise InputError(
                    f"messages[{place}] answers the tool call {call_id!r}, which no message before "
                    f"it made, and {asked.name} has to be told the tool's name. Send that message.",
                    param=f"messages[{place}].content",
                )
            response = {"error" if is_error else "output": content}
            answer = {"name": names[call_id], "response": response}
            return {"functionResponse": {**_id(call_id), **answer}}
        case _:
            what = f"a {type(part).__name__} of the {message.role}"
            raise refuse_part(asked, place, what, "Leave it out.")


def _id(call: str) -> dict[str, str]:
    """The id of a call, unless the host gave none and it is ours."""
    return {} if call.startswith(OWN_CALL) else {"id": call}


class GeminiReader:
    """Chunks of candidates to events; nothing marks their end but the end of the stream."""

    def __init__(self, asked: Asked) -> None:
        self.done = False
        self._name = asked.name
        self._choices = [Gathering(index) for index in range(asked.request.n)]
        self._details = [""] * asked.request.n
        self._blocked: str | None = None
        self._usage = Usage(0, 0)

    def read(self, event: ServerEvent) -> Sequence[Event]:
        """What a chunk says."""
        chunk = parsed(event, self._name)
        if chunk.get("usageMetadata"):
            self._usage = _usage(chunk["usageMetadata"])
        feedback = chunk.get("promptFeedback") or {}
        if feedback.get("blockReason"):
            why = feedback.get("blockReasonMessage") or feedback["blockReason"]
            self._blocked = f"The host's filter refused the prompt: {why}."
        said: list[Event] = []
        for candidate in chunk.get("candidates") or ():
            said += self._read_candidate(candidate)
        return said

    def _read_candidate(self, candidate: Mapping[str, Any]) -> list[Event]:
        index = candidate.get("index") or 0
        gathered = self._choices[index]
        said: list[Event] = []
        parts = (candidate.get("content") or {}).get("parts") or ()
        logprobs = _logprobs(candidate.get("logprobsResult") or {})
        for part in parts:
            said += self._read_part(gathered, part, logprobs)
            if "text" in part and not part.get("thought"):
                logprobs = ()
        if candidate.get("finishReason"):
            gathered.reason = candidate["finishReason"]
            self._details[index] = str(candidate.get("finishMessage") or "")
        return said

    def _read_part(
        self, gathered: Gathering, part: Mapping[str, Any], logprobs: Sequence[TokenLogprob]
    ) -> list[Event]:
        signature = part.get("thoughtSignature")
        seal = make_seal(self._name, signature) if signature else ""
        if part.get("thought"):
            said = gathered.think(part.get("text") or "")
            return said + gathered.seal(seal) if seal else said
        marked = gathered.mark(seal) if seal else []
        return marked + self._read_shown(gathered, part, logprobs)

    def _read_shown(
        self, gathered: Gathering, part: Mapping[str, Any], logprobs: Sequence[TokenLogprob]
    ) -> list[Event]:
        """A part that is no thought."""
        if "functionCall" in part:
            call, key = part["functionCall"], gathered.calls
            said = gathered.call(key, call.get("id"), call.get("name"))
            whole = json.dumps(call.get("args") or {}, ensure_ascii=False)
            return said + gathered.arguments(key, whole)
        if "text" in part:
            return gathered.say(part["text"], logprobs)
        if part.get("thoughtSignature"):
            return []
        raise ProviderError(
            f"{self._name} sent a part of the kind {', '.join(part) or 'nothing'!r:.80}, which was "
            "not asked for and cannot be shown. What came before it is whole."
        )

    def end(self) -> Sequence[Event]:
        """The closing events of all candidates."""
        if self._blocked is not None:
            return self.cut("content_filter", self._blocked)
        if any(choice.reason is None for choice in self._choices):
            raise broke_off(self._name)
        shares = shared_usage(self._usage, self._choices)
        return [
            self._finished(choice, usage)
            for choice, usage in zip(self._choices, shares, strict=True)
        ]

    def _finished(self, choice: Gathering, usage: Usage) -> Finished:
        word, detail = str(choice.reason), self._details[choice.index]
        if word == "STOP":
            return choice.finished(usage, "stop")
        if word == "MAX_TOKENS":
            return choice.finished(usage, "length")
        if word in _FILTERED:
            detail = detail or f"The host's filter closed the reply: {word}."
            return choice.finished(usage, "content_filter", detail)
        raise ProviderError(
            f"{self._name} ended its reply with {word!r:.40}. {detail}".rstrip()
            + " What was said until then is kept; ask again."
        )

    def cut(self, reason: FinishReason, detail: str) -> Sequence[Event]:
        """The closing events as things stand."""
        shares = shared_usage(self._usage, self._choices)
        return [
            choice.finished(usage, reason, detail)
            for choice, usage in zip(self._choices, shares, strict=True)
        ]


def _usage(found: Mapping[str, Any]) -> Usage:
    """Gemini counts thoughts apart from the reply; both are paid as its output."""
    said = int(found.get("candidatesTokenCount") or 0) + int(found.get("thoughtsTokenCount") or 0)
    cached = int(found.get("cachedContentTokenCount") or 0)
    return Usage(int(found.get("promptTokenCount") or 0), said, cached)


def _logprobs(found: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    chosen = found.get("chosenCandidates") or ()
    rivals = found.get("topCandidates") or [{}] * len(chosen)
    return tuple(
        _token(token, tuple(_token(top) for top in tops.get("candidates") or ()))
        for token, tops in zip(chosen, rivals, strict=True)
    )


def _token(found: Mapping[str, Any], top: tuple[TokenLogprob, ...] = ()) -> TokenLogprob:
    text = found.get("token") or ""
    probability = float(found["logProbability"])
    return TokenLogprob(int(found.get("tokenId", -1)), text, text.encode(), probability, top)


def wire() -> Wire:
    """The wire, as `hosted` knows it."""
    return Wire(CARRIES, write, GeminiReader, headers)
