"""The scripted `LM`: says what a test or an example tells it to, the same way every time.

    lm = ScriptedLM("Hello.")                          # always the same words
    lm = ScriptedLM(["first", "second"])               # one per request, then an error
    lm = ScriptedLM(lambda request: f"n={request.n}")  # from the request
    lm = ScriptedLM(Reply(calls=(Call("weather", {"city": "Tokyo"}),)))
    lm = ScriptedLM(Reply("half a rep", error=ProviderError("gone"), fail_after=2))

It honours what decides where a text ends and how much of it there is (`stop`, `max_tokens`, `n`,
`echo`, `score_only`, `logprobs`, `parallel_tool_calls`, the context length and its capabilities).
What only changes which words are likely (temperature, seed, penalties, a response format) cannot
change a script; it is recorded in `requests` for the test to look at.

Its tokens are the bytes of UTF-8 (`ScriptedTokenizer`), so a Japanese character is three tokens
and a limit can fall inside one, as with a real model.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from kataribe.base.abilities import check_abilities, messages_of
from kataribe.base.errors import ContextLengthError, InputError, KataribeError
from kataribe.base.events import (
    Citation,
    Event,
    Finished,
    FinishReason,
    Progress,
    ReasoningDelta,
    Sealed,
    Step,
    TextDelta,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from kataribe.base.lm import Capabilities, Request
from kataribe.base.messages import (
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
)
from kataribe.run.providers.scripted_tokens import ScriptedTokenizer, logprobs_of

EVERYTHING = Capabilities(
    context_length=4096,
    tools=True,
    images=True,
    audio=True,
    logprobs=True,
    structured_output=True,
    raw_prompt=True,
    verbosity=True,
)
"""What a scripted model can do unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call: `arguments` as a dictionary, or as the JSON text that the model writes."""

    name: str
    arguments: Mapping[str, Any] | str = "{}"
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What one choice says.

    Attributes:
        text: Its words.
        reasoning: What it thinks before them.
        seal: The seal of its thought (see `ReasoningPart`), or one without a thought.
        calls: Tools that it calls after them.
        reason: Why it ends; None lets the text, the calls and the limits decide.
        detail: The line beside the reason.
        progress: Sent before anything else (once per request, by its first choice).
        steps: Sent after the progress.
        citations: Sent after the words.
        pieces: How the words arrive; None cuts before each word. They must join to `text`.
        delay: Seconds before the first event.
        pace: Seconds before each further event.
        error: Raised instead of the event number `fail_after`.
        fail_after: How many events come before the error; 0 raises before any.
        cached_tokens: Tokens of the prompt that count as read from a cache.
        cache_write_tokens: Tokens of the prompt that count as written to one.
    """

    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    reason: FinishReason | None = None
    detail: str = ""
    progress: tuple[Progress, ...] = ()
    steps: tuple[Step, ...] = ()
    citations: tuple[Citation, ...] = ()
    pieces: tuple[str, ...] | None = None
    delay: float = 0.0
    pace: float = 0.0
    error: Exception | None = None
    fail_after: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    seal: str = ""

    def __post_init__(self) -> None:
        if self.pieces is not None and "".join(self.pieces) != self.text:
            raise InputError("The pieces of a scripted reply must join to its text.")


Line: TypeAlias = str | Reply | Exception | Sequence[str | Reply]
"""What a request is answered with: words, a reply, an error, or one of the first two per choice."""

Script: TypeAlias = Line | Callable[[Request], Line]


class ScriptedLM:
    """A deterministic `LM` for tests and examples, which records what it was asked.

    Attributes:
        requests: Every request, in order of arrival.
        running: Streams that are open now.
        abandoned: Streams that were closed before they ended.
    """

    def __init__(
        self,
        script: Script = "Hello.",
        *,
        name: str = "scripted",
        capabilities: Capabilities = EVERYTHING,
        repeat: bool = False,
    ) -> None:
        """Reads nothing yet: the script is looked at when a request comes.

        Args:
            script: One line for every request, a list of lines (one per request), or a function
                from the request to a line.
            name: The name it is asked for by.
            capabilities: What it can do; anything else is refused.
            repeat: A list begins again when it is used up, which is an error otherwise.
        """
        self.requests: list[Request] = []
        self.running = 0
        self.abandoned = 0
        self.tokenizer = ScriptedTokenizer()
        self._name = name
        self._capabilities = capabilities
        self._script = script
        self._repeat = repeat

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return self._capabilities

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """Answers by the script; raises what the script raises, and what limits refuse."""
        self.requests.append(request)
        self.running += 1
        try:
            check_abilities(self._name, self._capabilities, request)
            choices = self._choices(request)
            prompt = self._read(request)
            for index, reply in enumerate(choices):
                async for event in _perform(_Choice(reply, index, request, prompt)):
                    yield event
        except (GeneratorExit, asyncio.CancelledError):
            self.abandoned += 1
            raise
        finally:
            self.running -= 1

    def _choices(self, request: Request) -> list[Reply]:
        line = self._line(request)
        if isinstance(line, Exception):
            raise line
        if isinstance(line, str | Reply):
            replies = [line] * request.n
        else:
            replies = [line[index % len(line)] for index in range(request.n)]
        return [Reply(reply) if isinstance(reply, str) else reply for reply in replies]

    def _line(self, request: Request) -> Line:
        script = self._script
        if callable(script):
            return script(request)
        if not isinstance(script, list):
            return script
        turn = len(self.requests) - 1
        if self._repeat:
            turn %= len(script)
        if turn >= len(script):
            raise KataribeError(
                f"The script of {self._name} has {len(script)} lines, and this is request "
                f"{turn + 1}. Add lines, or pass repeat=True."
            )
        line: Line = script[turn]
        return line

    def _read(self, request: Request) -> tuple[int, ...]:
        ids = prompt_ids(request, self.tokenizer)
        limit = self._capabilities.context_length
        wanted = 0 if request.score_only else request.sampling.max_tokens or 0
        if len(ids) + wanted > limit:
            raise ContextLengthError(len(ids), limit, reply_tokens=wanted)
        return ids


def prompt_ids(request: Request, tokenizer: ScriptedTokenizer) -> tuple[int, ...]:
    """The tokens that a scripted model counts as its prompt.

    A chat is its messages' words, each message begun by one token.
    """
    if isinstance(request.prompt, str):
        return tuple(tokenizer.encode(request.prompt))
    messages = messages_of(request)
    if not messages:
        ids = tuple(part for part in request.prompt if isinstance(part, int))
        for token in ids:
            tokenizer.token_bytes(token)
        return ids
    return tuple(tokenizer.chat_ids(messages))


@dataclass(frozen=True, slots=True)
class _Choice:
    reply: Reply
    index: int
    request: Request
    prompt: tuple[int, ...]


async def _perform(choice: _Choice) -> AsyncIterator[Event]:
    reply = choice.reply
    for events, event in enumerate(_events(choice)):
        if reply.error is not None and events == reply.fail_after:
            await asyncio.sleep(reply.pace if events else reply.delay)
            raise reply.error
        # Even a pause of nothing lets others run, so that streams interleave as real ones do.
        await asyncio.sleep(reply.pace if events else reply.delay)
        yield event


def _events(choice: _Choice) -> Iterator[Event]:
    reply, index, request = choice.reply, choice.index, choice.request
    if index == 0:
        yield from reply.progress
    yield from reply.steps
    if reply.reasoning:
        yield ReasoningDelta(reply.reasoning, index)
    if reply.seal:
        yield Sealed(reply.seal, index, alone=not reply.reasoning)
    said, cut, tokens = _limited(reply.text, request)
    echoed: tuple[TokenLogprob, ...] = ()
    echo = ""
    if request.echo:
        echo = ScriptedTokenizer().decode(choice.prompt)
        echoed = logprobs_of(choice.prompt, request.logprobs, first_is_known=False)
        yield TextDelta(echo, index, echoed)
    spoken = logprobs_of(tokens, request.logprobs)
    yield from _deltas(said, reply, index, spoken)
    yield from reply.citations
    calls = _calls(reply, request) if cut is None else ()
    for place, call in enumerate(calls):
        half = len(call.arguments) // 2
        yield ToolCallDelta(place, "", call.id, call.name, index)
        yield ToolCallDelta(place, call.arguments[:half], index=index)
        yield ToolCallDelta(place, call.arguments[half:], index=index)
    thought = ReasoningPart(reply.reasoning, reply.seal)
    parts: list[Part] = [thought] if reply.reasoning or reply.seal else []
    parts += [TextPart(echo + said)] if echo + said else []
    parts += calls
    yield Finished(
        Message("assistant", tuple(parts)),
        _usage(choice, len(tokens), calls),
        reply.reason or cut or ("tool_calls" if calls else "stop"),
        index,
        echoed + spoken,
        reply.detail,
        _met(reply.text, request) if cut == "stop" and reply.reason is None else None,
    )


def _usage(choice: _Choice, spoken: int, calls: Sequence[ToolCallPart]) -> Usage:
    reply = choice.reply
    written = len(reply.reasoning.encode()) + sum(len(call.arguments.encode()) for call in calls)
    cached = reply.cached_tokens, reply.cache_write_tokens
    return Usage(len(choice.prompt), spoken + written, *cached)


def _limited(text: str, request: Request) -> tuple[str, FinishReason | None, tuple[int, ...]]:
    if request.score_only:
        return "", "length", ()
    met: FinishReason | None = None
    stop = _met(text, request)
    if stop is not None:
        text, met = text[: text.find(stop)], "stop"
    ids = text.encode()
    limit = request.sampling.max_tokens
    if limit is not None and len(ids) > limit:
        # A limit inside a character leaves its bytes unsaid: text is whole characters only.
        ids, met = ids[:limit], "length"
        text = ids.decode("utf-8", "ignore")
    return text, met, tuple(ids)


def _met(text: str, request: Request) -> str | None:
    """The stop string that comes first in the text."""
    found = [stop for stop in request.stop if stop in text]
    return min(found, key=text.find, default=None)


def _deltas(
    said: str, reply: Reply, index: int, spoken: tuple[TokenLogprob, ...]
) -> Iterator[TextDelta]:
    pieces = re.findall(r"\s*\S+|\s+$", said) if reply.pieces is None else list(reply.pieces)
    place = 0
    used = 0
    written = 0  # a byte is a token
    for piece in pieces:
        shown = said[place : place + len(piece)]
        place += len(piece)
        if not shown:
            return
        last = place >= len(said)
        size = len(spoken) - used if last else len(shown.encode())
        written += len(shown.encode())
        yield TextDelta(shown, index, spoken[used : used + size], written)
        used += size


def _calls(reply: Reply, request: Request) -> tuple[ToolCallPart, ...]:
    calls = reply.calls if request.parallel_tool_calls else reply.calls[:1]
    return tuple(
        ToolCallPart(
            call.id or f"call_{place}",
            call.name,
            call.arguments
            if isinstance(call.arguments, str)
            else json.dumps(call.arguments, ensure_ascii=False),
        )
        for place, call in enumerate(calls)
    )
