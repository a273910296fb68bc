"""A local model as an `LM`: messages to token ids, the engine's tokens to words and tool calls."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeGuard, cast

from kataribe.base.abilities import check_verbosity
from kataribe.base.aside import aside
from kataribe.base.errors import UnsupportedError
from kataribe.base.events import (
    Event,
    Finished,
    Progress,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    Usage,
)
from kataribe.base.inside import Inspector
from kataribe.base.lm import (
    Capabilities,
    Prompt,
    Request,
    Sampling,
    Score,
    TextFormat,
    ToolSpec,
)
from kataribe.base.messages import AudioPart, ImagePart, Message, TextPart, text_of
from kataribe.make.tokens.tokenizer import Tokenizer
from kataribe.run.inference.constraint import Constraint, Vocabulary, compile_constraint
from kataribe.run.inference.conversation import chat_ids, template_dialect, template_variables
from kataribe.run.inference.dialects import THINK, UNTHINK, ToolDialect
from kataribe.run.inference.engine import Engine
from kataribe.run.inference.inspection import Inspection
from kataribe.run.inference.reply_parser import ReplyParser
from kataribe.run.inference.requests import Ended, Generated, GenerationRequest, PromptScored
from kataribe.run.inference.tool_grammar import Thought, bare_tools, check_room, form_of


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """A request made ready for the engine, and how its reply is to be read.

    The tools in `bare` may be called without the dialect's marks. Of an echoed text, the first
    `unseen` tokens are no part: the tokenizer put them in front.
    """

    generation: GenerationRequest
    dialect: ToolDialect | None
    tools: tuple[ToolSpec, ...]
    bare: tuple[ToolSpec, ...]
    thinks: bool
    thinking: bool
    echoed: str
    unseen: int


class LocalLM:
    """A model on this machine; an `Inspectable` `LM` and a `Scorer`.

    Args:
        name: The name it is asked for by.
        engine: Where its tokens are computed; this object does not close it.
        tokenizer: Its tokenizer.
        context_length: Tokens of prompt and reply together.
        vocab_size: Columns of the model's logits, where they are more than the tokenizer's ids.
        defaults: Sampling that its makers recommend; fills what a request leaves open.
        holds_calls: Replies with tools are held to their form. False only to measure what that
            is worth (`benchmarks/calling`).
    """

    def __init__(
        self,
        name: str,
        engine: Engine,
        tokenizer: Tokenizer,
        *,
        context_length: int,
        vocab_size: int | None = None,
        defaults: Sampling | None = None,
        holds_calls: bool = True,
    ) -> None:
        self._name = name
        self._holds_calls = holds_calls
        self._engine = engine
        self._tokenizer = tokenizer
        self._context_length = context_length
        self._defaults = defaults or Sampling()
        self._vocab_size = vocab_size
        template = tokenizer.chat_template
        self._thinks = template is not None and UNTHINK in template.source

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        return self._name

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        return local_capabilities(
            self._context_length, chats=self._tokenizer.chat_template is not None
        )

    @cached_property
    def _dialect(self) -> ToolDialect | None:
        """How it writes calls; a template is rendered to know, so only when first needed."""
        template = self._tokenizer.chat_template
        return template_dialect(template) if template else None

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        """The tokens as constraints need them; takes a second, so only when first needed."""
        return Vocabulary(self._tokenizer, self._vocab_size)

    async def stream(self, request: Request) -> AsyncIterator[Event]:
        """Answers, event by event; see `LM.stream`."""
        with self._engine.reserve() as place:
            # Templates, long prompts and grammars take their time; the event loop has others.
            plan = await aside(_length(request.prompt), self._plan, request)
            stream = self._engine.submit(plan.generation, place)
        choices = [_Choice(index, plan) for index in range(request.n)]
        async with aclosing(stream) as events:
            if request.echo and not plan.generation.scores_prompt:
                for choice in choices:
                    yield choice.echo(())
            async for event in events:
                match event:
                    case Progress():
                        yield event
                    case PromptScored():
                        scores = self._in_echo(event.logprobs, plan.unseen)
                        for choice in choices:
                            yield choice.echo(scores)
                    case Generated():
                        for delta in choices[event.index].read(event):
                            yield delta
                    case Ended():
                        for last in choices[event.index].end(event):
                            yield last

    async def score(self, prompt: str, continuations: Sequence[str]) -> tuple[Score, ...]:
        """Log-likelihoods of continuations, each tokenised together with the prompt.

        A continuation's tokens are those of the whole text behind as many as the prompt alone has;
        blanks at the end of the prompt count with the continuation, as evaluation harnesses do.
        """
        return tuple([await self._score(prompt, continuation) for continuation in continuations])

    async def _score(self, prompt: str, continuation: str) -> Score:
        with self._engine.reserve() as place:
            generation = await aside(len(prompt), self._to_score, prompt, continuation)
            stream = self._engine.submit(generation, place)
        scored: tuple[TokenLogprob, ...] = ()
        async with aclosing(stream) as events:
            async for event in events:
                if isinstance(event, PromptScored):
                    scored = event.logprobs
        greedy = all(token.top and token.top[0].token_id == token.token_id for token in scored)
        return Score(sum(token.logprob or 0.0 for token in scored), len(scored), greedy)

    def _to_score(self, prompt: str, continuation: str) -> GenerationRequest:
        kept = prompt.rstrip()
        limit = self._engine.context_length
        whole = self._tokenizer.encode_prompt(prompt + continuation, limit=limit)
        before = len(self._tokenizer.encode_prompt(kept)) if kept else 0
        ids = tuple(whole)
        if before == 0:  # the first token can only be predicted from a beginning of text
            start = self._tokenizer.bos_id
            if start is None:
                start = min(self._tokenizer.eos_ids, default=0)
            if ids[:1] != (start,):
                ids = (start, *ids)
            before = 1
        return GenerationRequest(ids, logprobs=1, echo=True, score_only=True, score_from=before)

    async def inspector(self) -> Inspector:
        """Shows the distributions behind its replies."""
        return self._inspection

    @cached_property
    def _inspection(self) -> Inspection:
        return Inspection(self._engine, self._tokenizer, self._encode, self._fill)

    def _plan(self, request: Request) -> RequestPlan:
        raw = not is_chat(request.prompt)
        check_verbosity(self._name, self.capabilities, request)
        if request.echo and not raw:
            raise UnsupportedError(
                "echo repeats a bare prompt; a chat has none. Use /v1/completions.", param="echo"
            )
        dialect = self._dialect_for(request)
        ids, opened = self._encode(request)
        thinks = not raw and self._thinks and isinstance(request.response_format, TextFormat)
        thought: Thought = "none" if not thinks else "open" if opened else "may"
        constraint = self._constraint(request, dialect, thought)
        if constraint is not None and constraint.least is not None:
            check_room(request, len(ids), constraint.least, self._engine.context_length)
        echoed, unseen = self._echoed(request.prompt, ids) if request.echo else ("", 0)
        generation = GenerationRequest(
            ids=ids,
            sampling=self._fill(request.sampling),
            stop=request.stop,
            seed=request.seed,
            n=request.n,
            logprobs=request.logprobs,
            echo=request.echo,
            score_only=request.score_only,
            constraint=constraint,
            deadline=request.context.deadline,
            skip_special=dialect is None,
            continues=raw or request.continue_last,
        )
        opened = thinks and opened
        bare = bare_tools(request)
        return RequestPlan(generation, dialect, request.tools, bare, thinks, opened, echoed, unseen)

    def _echoed(self, prompt: Prompt, ids: tuple[int, ...]) -> tuple[str, int]:
        """The prompt's words as they were sent, and how many ids in front are none of them."""
        if not isinstance(prompt, str):
            return self._tokenizer.decode(ids), 0
        return prompt, len(ids) - len(self._tokenizer.encode(prompt, add_bos=False))

    def _in_echo(self, scores: tuple[TokenLogprob, ...], unseen: int) -> tuple[TokenLogprob, ...]:
        """The prompt's tokens with the bytes that they have in its echo."""
        shown = list(scores)
        for place in range(unseen):
            shown[place] = dataclasses.replace(shown[place], raw=b"")
        first = next((place for place, score in enumerate(shown) if score.raw), None)
        if first is not None and self._tokenizer.strips_leading_space:
            bare = shown[first].raw.removeprefix(b" ")
            shown[first] = dataclasses.replace(shown[first], raw=bare)
        return tuple(shown)

    def _dialect_for(self, request: Request) -> ToolDialect | None:
        """How the reply may call tools; None where it may not."""
        if not request.tools or request.tool_choice.mode == "none":
            return None
        if self._dialect is None:
            raise UnsupportedError(
                f"{self._name} is a base model without a chat template, so it cannot be "
                "given tools.",
                param="tools",
            )
        return self._dialect

    def _constraint(
        self, request: Request, dialect: ToolDialect | None, thought: Thought
    ) -> Constraint | None:
        wanted = request.response_format
        if dialect is not None and self._holds_calls:
            wanted = form_of(request, dialect, thought, self._tokenizer.special_id)
        if isinstance(wanted, TextFormat):
            return None
        return compile_constraint(wanted, self._vocabulary)

    def _encode(self, request: Request) -> tuple[tuple[int, ...], bool]:
        """The prompt's ids, and whether it ends inside a thought that it opened."""
        prompt = request.prompt
        if isinstance(prompt, str):
            limit = self._engine.context_length
            return tuple(self._tokenizer.encode_prompt(prompt, limit=limit)), False
        if not is_chat(prompt):
            return cast(tuple[int, ...], prompt), False
        template = self._tokenizer.chat_template
        if template is None:
            raise UnsupportedError(
                f"{self._name} is a base model without a chat template: it continues text "
                "(/v1/completions), it does not hold a conversation.",
                param="messages",
            )
        messages = checked_messages(prompt, self._name)
        ids = chat_ids(
            self._tokenizer,
            messages,
            tools=request.tools if request.tool_choice.mode != "none" else (),
            continue_last=request.continue_last,
            variables=template_variables(self._tokenizer, request),
            limit=self._engine.context_length,
        )
        opened = self._thinks and self._tokenizer.decode(ids[-8:]).rstrip().endswith(THINK)
        return tuple(ids), opened

    def _fill(self, sampling: Sampling) -> Sampling:
        """What the request leaves open, from the model's own defaults."""
        names = ("temperature", "top_k", "top_p", "repetition_penalty")
        open_ = {
            name: getattr(self._defaults, name) for name in names if getattr(sampling, name) is None
        }
        return dataclasses.replace(sampling, **open_)


@dataclass(slots=True)
class _Choice:
    """Collects one choice on its way out."""

    index: int
    plan: RequestPlan
    parser: ReplyParser = field(init=False)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    echoed: bool = False
    drawn: int = 0

    def __post_init__(self) -> None:
        plan = self.plan
        self.parser = ReplyParser(
            self.index, plan.dialect, plan.tools, plan.thinks, plan.thinking, plan.bare
        )

    def echo(self, scores: tuple[TokenLogprob, ...]) -> TextDelta:
        """The prompt as the first delta, with its log-probabilities."""
        self.echoed = True
        self.logprobs.extend(scores)
        return TextDelta(self.plan.echoed, self.index, scores)

    def read(self, event: Generated) -> list[Event]:
        """The deltas of newly certain text; log-probabilities travel with the words."""
        self.logprobs.extend(event.logprobs)
        self.drawn += len(event.ids)
        deltas: list[Event] = [self._counted(delta) for delta in self.parser.push(event.text)]
        if not event.logprobs:
            return deltas
        for at, delta in enumerate(deltas):
            if isinstance(delta, TextDelta):
                deltas[at] = dataclasses.replace(delta, logprobs=event.logprobs)
                return deltas
        return [*deltas, TextDelta("", self.index, event.logprobs, self.drawn)]

    def _counted(self, delta: Event) -> Event:
        if isinstance(delta, TextDelta | ReasoningDelta):
            return dataclasses.replace(delta, tokens=self.drawn)
        return delta

    def end(self, event: Ended) -> list[Event]:
        """What was held back, then the whole reply."""
        # Time may be over before the prompt was scored; the echo belongs to the reply all the same.
        events: list[Event] = [self.echo(())] if self.plan.echoed and not self.echoed else []
        events += self.parser.finish()
        parts = self.parser.parts
        if self.plan.echoed:
            said = "".join(part.text for part in parts if isinstance(part, TextPart))
            parts = (TextPart(self.plan.echoed + said),)
        reason = event.reason
        if reason == "stop" and self.parser.calls:
            reason = "tool_calls"
        usage = Usage(event.prompt_tokens, len(event.ids), event.cached_tokens)
        message = Message("assistant", parts)
        finished = Finished(
            message,
            usage,
            reason,
            self.index,
            tuple(self.logprobs),
            event.detail,
            event.stop if reason == "stop" and isinstance(event.stop, str) else None,
        )
        return [*events, finished]


def local_capabilities(context_length: int, *, chats: bool = True) -> Capabilities:
    """What any text model here can do."""
    return Capabilities(
        context_length,
        tools=chats,
        logprobs=True,
        structured_output=True,
        raw_prompt=True,
    )


def is_chat(prompt: Prompt) -> TypeGuard[tuple[Message, ...]]:
    """A prompt is a conversation, not a text or ids."""
    return isinstance(prompt, tuple) and bool(prompt) and isinstance(prompt[0], Message)


def _length(prompt: Prompt) -> int:
    """About how many characters (or tokens) there are to be worked on."""
    if not is_chat(prompt):
        return len(prompt)
    return sum(len(text_of(message)) for message in prompt)


def checked_messages(messages: Sequence[Message], name: str) -> tuple[Message, ...]:
    """The messages; `UnsupportedError` for images or sound in them."""
    for message in messages:
        for part in message.parts:
            if isinstance(part, ImagePart | AudioPart):
                kind = "images" if isinstance(part, ImagePart) else "audio"
                raise UnsupportedError(
                    f"{name} reads text only, not {kind}. Choose a model that does, or leave "
                    f"the {kind} out.",
                    param="messages",
                )
    return tuple(messages)
