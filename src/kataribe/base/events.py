"""Events: what an `LM` says while it answers.

Every event belongs to one choice (`index`, 0 to n - 1). Each choice ends with exactly one
`Finished`, which holds the whole reply; nothing of that choice follows it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from kataribe.base.messages import Message

FinishReason: TypeAlias = Literal[
    "stop",  # the model ended its turn, or a stop string was met
    "length",  # max_tokens or the context was reached: the reply is cut
    "tool_calls",  # the model wants tools called
    "approval",  # a tool needs the user's consent before it runs
    "content_filter",  # a guard closed the reply
    "repetition",  # a guard stopped a loop
    "deadline",  # the request's time was over
    "budget",  # the request's money or tokens were spent
    "cancelled",  # whoever asked went away
    "error",  # the reply broke off; an error was raised or said beside it
]


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One token of the text with its natural log-probability.

    `token` is its text (with replacement characters where it is a part of a character), `raw`
    its exact bytes, `top` the likeliest tokens at its place, likeliest first. `logprob` is None
    only for the first token of an echoed prompt, which nothing predicts.
    """

    token_id: int
    token: str
    raw: bytes
    logprob: float | None
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that one choice used.

    Of the prompt's, `cached_tokens` were read from the KV cache, and `cache_write_tokens` were
    written to one for later requests, which some hosts charge for.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def numbers(self) -> list[int]:
        """As journals keep them; `Usage(*numbers)` reads them back."""
        return [
            self.prompt_tokens,
            self.completion_tokens,
            self.cached_tokens,
            self.cache_write_tokens,
        ]

    def __add__(self, other: Usage) -> Usage:
        """Both together."""
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
        )

    def __sub__(self, other: Usage) -> Usage:
        """What this one has more than the other."""
        return Usage(
            self.prompt_tokens - other.prompt_tokens,
            self.completion_tokens - other.completion_tokens,
            self.cached_tokens - other.cached_tokens,
            self.cache_write_tokens - other.cache_write_tokens,
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """What the request waits for now.

    `queued`: `done` is the place in the queue (1 is next) of `total` waiting. `loading`: bytes of
    the model. `reading`: prompt tokens read. `total` is None where nobody knows it.
    """

    stage: Literal["queued", "loading", "reading"]
    done: int
    total: int | None
    index: int = 0


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of the reply: whole characters only.

    `tokens`: how many the choice has drawn up to here; 0 where the model does not say.
    """

    text: str
    index: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """The next piece of what the model thinks before it answers; `tokens` as in `TextDelta`."""

    text: str
    index: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Sealed:
    """The seal of the thought that was just told (see `ReasoningPart`), which ends here.

    With `alone` it belongs to no words: it stands by itself before what comes next.
    """

    seal: str
    index: int = 0
    alone: bool = False


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """The next piece of a tool call.

    `call` counts the calls of this choice from 0. The first delta of a call carries `id` and
    `name`; every delta carries a further piece of the JSON text of the arguments (may be empty).
    """

    call: int
    arguments: str
    id: str | None = None
    name: str | None = None
    index: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What a technique or an agent does now, in a word (`name`) and a line (`detail`).

    `call` is an id that a call of a tool shares with what came of it. `content` is what the line
    tells of, in full, where the line is shorter: a call's arguments as JSON, a result's words.
    `tokens`: how many were read and drawn for the choice up to here; 0 where nobody says.
    """

    name: str
    detail: str
    index: int = 0
    call: str = ""
    content: str = ""
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Citation:
    """A source of what was said: `start:end` of the reply's text rests on `source`."""

    source: str
    start: int
    end: int
    quote: str = ""
    index: int = 0


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of one choice: its whole reply, what it used and why it ended.

    `message` has everything the deltas carried, joined. `logprobs` covers the reply's tokens when
    they were asked for (and the prompt's before them when it was echoed). `detail` says in a line
    what a guard or a limit saw, when one ended the reply. `stop` is the request's stop string that
    ended it; None where none did, or the model does not say which.
    """

    message: Message
    usage: Usage
    reason: FinishReason
    index: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()
    detail: str = ""
    stop: str | None = None


Event: TypeAlias = (
    Progress | TextDelta | ReasoningDelta | Sealed | ToolCallDelta | Step | Citation | Finished
)
