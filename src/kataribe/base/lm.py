"""The protocols: whatever answers is an `LM` (what makes vectors or labels is in `encoders`).

A local model, a hosted one, a prompting technique, an agent, an assistant and a router are all
`LM`s, so each can be chatted with, served, traced, measured and compared in the same way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from kataribe.base.errors import InputError, KataribeError
from kataribe.base.events import Event, Finished
from kataribe.base.messages import Message, text_message

LEAST_REPETITION_PENALTY = 0.01
"""Logits are divided by it, and what is far smaller makes infinities of sound ones."""


LEAVABLE = frozenset({"stop", "seed", "temperature"})
"""Fields of a request without which a model still does what it is asked (see `base.easing`)."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do. A request for anything else is refused with `UnsupportedError`.

    Attributes:
        context_length: Tokens of prompt and reply together.
        tools: It can be given tools and call them.
        images: It reads image parts.
        audio: It reads audio parts.
        logprobs: It gives log-probabilities of tokens.
        structured_output: Its reply can be held to a JSON schema, regular expression or grammar.
        raw_prompt: It continues a bare text or token ids, without a chat template.
        verbosity: It has a dial for how much it says.
        location: Where it runs: on this machine, or on somebody else's.
        lacks: Those of `LEAVABLE` that it takes no word of; a request with one is refused.
    """

    context_length: int
    tools: bool = False
    images: bool = False
    audio: bool = False
    logprobs: bool = False
    structured_output: bool = False
    raw_prompt: bool = False
    verbosity: bool = False
    location: Literal["local", "hosted"] = "local"
    lacks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn.

    None means the model's own default (its `generation_config.json`), which for temperature,
    top_p, top_k and repetition_penalty is 1, 1, 0 and 1 where the model says nothing.

    Attributes:
        temperature: 0 takes the likeliest token; up to 2.
        top_k: Only the k likeliest; 0 for all.
        top_p: Only the smallest set with this probability (nucleus; Holtzman et al. 2020).
        min_p: Only tokens at least this fraction as likely as the likeliest (Nguyen et al. 2024).
        repetition_penalty: Divides logits of tokens seen in prompt or reply (Keskar et al. 2019);
            0.01 to 10.
        presence_penalty: Subtracted once from logits of tokens in the reply; -2 to 2.
        frequency_penalty: Subtracted per occurrence in the reply; -2 to 2.
        logit_bias: Added to logits, by token id; -100 to 100.
        max_tokens: Most tokens of the reply; None for all that the context leaves.
        min_tokens: The model cannot end its turn before this many.
        ignore_eos: The model's end tokens do not end the reply (for measurements).
    """

    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float = 0.0
    repetition_penalty: float | None = None
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    max_tokens: int | None = None
    min_tokens: int = 0
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        _within("temperature", self.temperature, 0.0, 2.0)
        _within("top_p", self.top_p, 0.0, 1.0, open_low=True)
        _within("top_k", self.top_k, 0, 2**31 - 1)
        _within("min_p", self.min_p, 0.0, 1.0)
        _within("repetition_penalty", self.repetition_penalty, LEAST_REPETITION_PENALTY, 10.0)
        _within("presence_penalty", self.presence_penalty, -2.0, 2.0)
        _within("frequency_penalty", self.frequency_penalty, -2.0, 2.0)
        _within("max_tokens", self.max_tokens, 1, 2**31 - 1)
        _within("min_tokens", self.min_tokens, 0, 2**31 - 1)
        for token, bias in self.logit_bias.items():
            _within(f"logit_bias[{token}]", bias, -100.0, 100.0)


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as a model sees it: `parameters` is a JSON schema of an object.

    `strict` asks that the arguments follow the schema exactly; local models always do.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    strict: bool = True


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether the model may (`auto`), must (`required`, `function`) or must not call tools.

    `names` restricts which: exactly one for `function`; empty for any of the request's.
    """

    mode: Literal["auto", "none", "required", "function"] = "auto"
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Thinking:
    """A wish that a model thinks before it answers, kept where the model can and as far as it can.

    Attributes:
        wanted: Whether it shall think; None leaves that to the model.
        effort: How much, in the words of hosts (`low`, `medium`, `high`, ...), for those that have
            such a dial; empty for the host's own.
        tokens: Most tokens of thoughts, for hosts that have such a limit; None for no limit.
    """

    wanted: bool | None = None
    effort: str = ""
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class TextFormat:
    """No constraint."""


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """The reply is JSON, of this schema when there is one (a dictionary in JSON Schema's terms).

    `param`, here and in the other forms: the field of the request that asked for it, for errors.
    """

    schema: Mapping[str, Any] | None = None
    name: str = "reply"
    param: str = field(default="response_format", compare=False)


@dataclass(frozen=True, slots=True)
class RegexFormat:
    """The whole reply matches this regular expression (Rust `regex` syntax)."""

    pattern: str
    param: str = field(default="response_format", compare=False)


@dataclass(frozen=True, slots=True)
class ChoiceFormat:
    """The whole reply is one of these texts."""

    choices: tuple[str, ...]
    param: str = field(default="response_format", compare=False)


@dataclass(frozen=True, slots=True)
class GrammarFormat:
    """The whole reply follows this grammar in Lark's notation (llguidance's dialect)."""

    grammar: str
    param: str = field(default="response_format", compare=False)


ResponseFormat: TypeAlias = TextFormat | JsonFormat | RegexFormat | ChoiceFormat | GrammarFormat


@dataclass(frozen=True, slots=True)
class Context:
    """Around a request: for whom, until when, within what. None of it changes the answer's words.

    `deadline` is `time.monotonic()` seconds; `budget` is money in US dollars; `steps` are calls of
    models and `tokens` those read and drawn, with all that the request causes; `trace` is a W3C
    traceparent.
    """

    user: str | None = None
    conversation: str | None = None
    deadline: float | None = None
    budget: float | None = None
    trace: str | None = None
    steps: int | None = None
    tokens: int | None = None


Prompt: TypeAlias = str | tuple[int, ...] | tuple[Message, ...]
"""Messages for a chat, or a raw prompt: text, or token ids. An empty tuple counts as token ids."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question to an `LM`.

    Attributes:
        prompt: Messages, or a raw text or token ids to continue.
        sampling: How tokens are drawn.
        tools: Tools that the model may call.
        tool_choice: Whether it may, must or must not.
        parallel_tool_calls: One turn may call several tools; False allows at most one call.
        response_format: What form the reply must have.
        stop: Strings that end the reply; they are not part of it.
        seed: Makes sampling repeat exactly on the same machine and model; None draws one. Where
            what runs beside it changes how sums are rounded (PyTorch below float32), it only draws
            alike.
        n: How many independent replies (choices).
        logprobs: None for none; else how many likeliest alternatives beside each token (0 to 20).
        echo: The prompt comes first in the reply (with its log-probabilities, when asked for);
            only for raw prompts.
        score_only: Only the echoed prompt is scored; no token is drawn.
        template: Extra variables for the chat template (for example `enable_thinking`).
        thinking: A wish that it thinks first, or does not; `enable_thinking` in `template` goes
            before it, and is refused where the model has no such variable.
        verbosity: Says less, or more, than it usually does; None for as much as usual.
        continue_last: The last message is the assistant's unfinished turn; go on from it.
        context: For whom, until when, within what.
    """

    prompt: Prompt
    sampling: Sampling = field(default_factory=Sampling)
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    parallel_tool_calls: bool = True
    response_format: ResponseFormat = field(default_factory=TextFormat)
    stop: tuple[str, ...] = ()
    seed: int | None = None
    n: int = 1
    logprobs: int | None = None
    echo: bool = False
    score_only: bool = False
    template: Mapping[str, Any] = field(default_factory=dict)
    thinking: Thinking | None = None
    verbosity: Literal["low", "high"] | None = None
    continue_last: bool = False
    context: Context = field(default_factory=Context)

    def __post_init__(self) -> None:
        _within("n", self.n, 1, 128)
        _within("logprobs", self.logprobs, 0, 20)
        if any(not stop for stop in self.stop):
            raise InputError("A stop string is empty; leave it out or give text.", param="stop")


@runtime_checkable
class LM(Protocol):
    """Whatever answers."""

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    def stream(self, request: Request) -> AsyncIterator[Event]:
        """Answers, event by event.

        Closing the iterator (`aclose`, or leaving an `aclosing` block) stops the work at once.
        Raises from `KataribeError`'s tree, before the first event where it can.
        """
        ...


@dataclass(frozen=True, slots=True)
class Score:
    """How likely a continuation was: the sum of its tokens' natural log-probabilities."""

    logprob: float
    tokens: int
    is_greedy: bool


@runtime_checkable
class Scorer(Protocol):
    """Whatever can say how likely given texts are."""

    async def score(self, prompt: str, continuations: Sequence[str]) -> tuple[Score, ...]:
        """The log-likelihood of each continuation of `prompt`, in order."""
        ...


@runtime_checkable
class Tool(Protocol):
    """Whatever a model may call."""

    @property
    def spec(self) -> ToolSpec:
        """How a model sees it."""
        ...

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """The tool's answer as text; raises from `KataribeError`'s tree."""
        ...


async def replies(lm: LM, request: Request) -> tuple[Finished, ...]:
    """The finished choices of a request, in order of their index."""
    finished: dict[int, Finished] = {}
    async for event in lm.stream(request):
        if isinstance(event, Finished):
            finished[event.index] = event
    if len(finished) != request.n:
        raise KataribeError(
            f"{lm.name} ended {len(finished)} of {request.n} choices; "
            "its stream broke the protocol."
        )
    return tuple(finished[index] for index in sorted(finished))


async def close_stream(events: object) -> None:
    """Ends a stream that somebody stops reading, so that what it holds is free at once.

    A bare iterator, which holds nothing, has no `aclose`.
    """
    aclose = getattr(events, "aclose", None)
    if aclose is not None:
        await aclose()


async def reply(lm: LM, request: Request) -> Finished:
    """The first finished choice of a request."""
    return (await replies(lm, request))[0]


def reply_sync(lm: LM, request: Request) -> Finished:
    """`reply` for scripts without an event loop."""
    return asyncio.run(reply(lm, request))


def ask(lm: LM, text: str, *, system: str | None = None) -> Finished:
    """Asks one question in words, synchronously."""
    question = text_message("user", text)
    if system is None:
        return reply_sync(lm, Request((question,)))
    return reply_sync(lm, Request((text_message("system", system), question)))


def _within(
    name: str, value: float | None, low: float, high: float, *, open_low: bool = False
) -> None:
    if value is None:
        return
    if not low <= value <= high or (open_low and value == low):  # also refuses NaN
        above = f"above {_number(low)}" if open_low else f"at least {_number(low)}"
        raise InputError(
            f"{name} is {_number(value)}, but must be {above} and at most {_number(high)}.",
            param=name.partition("[")[0],
        )


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"
