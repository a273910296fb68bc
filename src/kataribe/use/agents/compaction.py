"""Working memory: when a conversation fills the context, its older part becomes a summary.

The system text and the newest turns stay word for word, and so does the user's newest message,
whatever was done since. A call of a tool is never parted from its result. The model that sums up is
told to keep names, numbers and open tasks, and what it has left out of these is added from the
words themselves. All of it is said in a step; the conversation as the user has it is not touched.

How full the context is, may only be known roughly. Where a model refuses messages as too long that
were thought to fit, what it says of them counts from then on, and it is asked once more.
"""

from __future__ import annotations

import bisect
import hashlib
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from kataribe.base.abilities import messages_of
from kataribe.base.errors import ContextLengthError, InputError
from kataribe.base.events import Event, Finished, Progress, Step, Usage
from kataribe.base.lm import (
    LM,
    Capabilities,
    Prompt,
    Request,
    close_stream,
)
from kataribe.base.messages import (
    Message,
    text_message,
    to_json,
)
from kataribe.use.agents.counting import rough_tools
from kataribe.use.agents.cutting import Cut, is_question, line_of, shortened, task_in
from kataribe.use.agents.kept_words import left_out
from kataribe.use.agents.summaries import Summaries
from kataribe.use.agents.summary_writing import BESIDE, SummaryWriter

Count = Callable[[Sequence[Message]], int]
"""Tokens of messages as the model reads them."""

PIECE = 0.5
"""Most of the summing model's context that one piece of a long conversation may have."""


MORE = 1.05
"""Counted beyond what was too little, since further messages may hold more tokens a byte."""

MOST_SCALE = 4.0
"""Three bytes count as one token, and no token is shorter than a byte. What is beyond that was no
text (a picture), and others' chats are not to be summed up for it."""

LESS = 0.9
"""So much of messages that a model found too long, without more words, is taken for its context."""

MOST_REFUSED = 12
"""How often a model may refuse messages as too long, made shorter each time, for one request."""

SHARE = 10
"""A summary has at most one such part of the summing model's context."""


@dataclass(frozen=True, slots=True)
class CompactionOptions:
    """When and how the older part is summed up.

    Attributes:
        fill: Share of the context that the messages may have before.
        turns: Newest turns of the user that stay word for word, fewer where they do not fit.
        summary: Most tokens of the summary, and of what is added to it; never more than a tenth of
            the context of the model that writes it.
    """

    fill: float = 0.75
    turns: int = 3
    summary: int = 400

    def __post_init__(self) -> None:
        if not 0 < self.fill <= 1:
            raise InputError(f"fill is {self.fill}, but must be above 0 and at most 1.")
        for name in ("turns", "summary"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, but must be at least 1.")


@dataclass(slots=True)
class _Summed:
    """What came of summing up.

    `told` says so; `cut` is the end of a call that a limit ended; `note` says of a summary that it
    is not what was asked for.
    """

    text: str = ""
    note: str = ""
    told: Step | None = None
    spent: Usage = field(default_factory=lambda: Usage(0, 0))
    cut: Finished | None = None
    refused: int = 0


class Compacting:
    """An `LM` whose conversations may be longer than its context.

    Args:
        lm: Who answers.
        count: Tokens of messages.
        options: When and how.
        summariser: Who sums up; None for `lm` itself.
        summaries: What is remembered beyond this object.
    """

    def __init__(
        self,
        lm: LM,
        count: Count,
        options: CompactionOptions | None = None,
        summariser: LM | None = None,
        summaries: Summaries | None = None,
    ) -> None:
        self._lm = lm
        self._count_exactly = count
        self._options = options or CompactionOptions()
        self._summariser = summariser or lm
        self._writer = SummaryWriter(self._summariser, self._size)
        self._summaries = summaries or Summaries()

    @property
    def name(self) -> str:
        """The name of who answers."""
        return self._lm.name

    @property
    def capabilities(self) -> Capabilities:
        """What that can do."""
        return self._lm.capabilities

    async def stream(self, request: Request) -> AsyncGenerator[Event, None]:
        """Answers, after summing up where that is needed; the end's usage counts that too.

        Where a limit ends the summing up, that is the end of the reply.
        """
        spent = Usage(0, 0)
        refused: list[Prompt] = []
        problem: InputError | None = None
        while True:
            summed = _Summed()
            asked = await self._shorter(request, summed)
            if problem is not None and asked.prompt in refused:
                raise problem  # it cannot be made shorter
            if summed.told is not None:
                yield summed.told
            spent += summed.spent
            if summed.cut is not None:
                for event in _ended(request, summed.cut, spent):
                    yield event
                return
            begun = False
            events = self._lm.stream(asked)
            try:
                async for event in events:
                    begun = begun or not isinstance(event, Progress | Step)
                    if isinstance(event, Finished) and event.index == 0:
                        event = replace(event, usage=event.usage + spent)
                    yield event
                return
            except InputError as error:
                is_last = begun or len(refused) >= MOST_REFUSED
                if is_last or not self._learn(error, asked, self._lm):
                    raise
                problem = error
                refused.append(asked.prompt)
            finally:
                await close_stream(events)

    async def _shorter(self, request: Request, summed: _Summed) -> Request:
        """The request with a summary, where it needs one and can have one."""
        messages = messages_of(request)
        if not messages or self._count(messages) <= self._room(request):
            return request
        known = self._known(messages, request)
        if known is not None:
            return replace(request, prompt=known)
        cut = self._where(messages, self._room(request))
        if cut is None:
            return request
        if not await self._sum_up(messages, cut, request, summed):
            return await self._shorter(request, summed)  # everything is longer than was thought
        if not summed.text and summed.cut is None:
            summed.told = Step("not compacted", summed.note)
            return request  # all of it may fit yet; else it is refused with its length
        shorter = shortened(messages, cut, summed.text)
        before, after = self._count(messages), self._count(shorter)
        if summed.cut is None:
            summed.told = Step(
                "compacted",
                f"{cut.at} older messages became a summary: {before:,} tokens before, "
                f"{after:,} now. {summed.note}".rstrip(),
            )
        return replace(request, prompt=shorter)

    def _learn(self, error: InputError, asked: Request, lm: LM) -> bool:
        """Takes in that a model found messages too long that seemed to fit; False: it did not.

        Where it says how long they are and what it holds, both count from then on. Where it says
        nothing (a server whose context nobody knows), its context is taken to be shorter.
        """
        messages = messages_of(asked)
        if error.code != ContextLengthError.code or not messages:
            return False
        thought = self._count(messages) + self._tools(asked)
        if not isinstance(error, ContextLengthError):
            self._summaries.contexts[lm.name] = int(thought * LESS)
            return True
        is_shorter, is_longer = error.limit < self._context(lm), error.prompt_tokens > thought
        if is_shorter:
            self._summaries.contexts[lm.name] = error.limit
        if is_longer:
            scale = self._scale * MORE * error.prompt_tokens / thought
            self._summaries.scales[self.name] = min(scale, MOST_SCALE)
        return is_shorter or is_longer

    def _context(self, lm: LM) -> int:
        known = lm.capabilities.context_length
        return min(known, self._summaries.contexts.get(lm.name, known))

    @property
    def _summary(self) -> int:
        return min(self._options.summary, max(1, self._context(self._summariser) // SHARE))

    @property
    def _scale(self) -> float:
        return self._summaries.scales.get(self.name, 1.0)

    def _count(self, messages: Sequence[Message]) -> int:
        return int(self._count_exactly(messages) * self._scale)

    def _tools(self, request: Request) -> int:
        return int(rough_tools(request.tools) * self._scale)

    def _room(self, request: Request) -> int:
        context = self._context(self._lm)
        wanted = request.sampling.max_tokens or 0
        most = min(int(self._options.fill * context), context - wanted)
        return max(1, most - self._tools(request))

    def _known(self, messages: Sequence[Message], request: Request) -> tuple[Message, ...] | None:
        """The messages behind the longest summary that is remembered of them, where that fits."""
        digests = self._digests(messages, request)
        for at in range(len(messages), 0, -1):
            summary = self._summaries.find(digests[at])
            if summary is not None:
                shorter = shortened(messages, Cut(at, task_in(messages, at)), summary)
                return shorter if self._count(shorter) <= self._room(request) else None
        return None

    def _where(self, messages: Sequence[Message], room: int) -> Cut | None:
        """The least that must be summed up; None where nothing can be."""
        asked = [at for at, message in enumerate(messages) if is_question(message)]
        system = 1 if messages[0].role == "system" else 0
        for at in asked[-self._options.turns :]:
            cut = Cut(at, None)
            if at > system and self._fits(messages, cut, room):
                return cut
        if not asked:
            return None
        task = asked[-1]
        # What was done since the newest question: a result stays with its call.
        starts = [n for n in range(task + 2, len(messages)) if messages[n].role == "assistant"]
        if not starts:
            return Cut(task, None) if task > system else None
        first = bisect.bisect_left(
            starts, x=True, key=lambda at: self._fits(messages, Cut(at, task), room)
        )
        # Where nothing fits, as much as can be; what is left is refused with its length.
        return Cut(starts[min(first, len(starts) - 1)], task)

    def _fits(self, messages: Sequence[Message], cut: Cut, room: int) -> bool:
        left = self._count(shortened(messages, cut, ""))
        return left + 2 * self._summary <= room

    async def _sum_up(
        self, messages: Sequence[Message], cut: Cut, request: Request, summed: _Summed
    ) -> bool:
        """A summary of what is cut, beginning from the newest one that is remembered.

        False where its model has shown that messages are to be counted higher.
        """
        summed.text = summed.note = ""
        digests = self._digests(messages, request)
        start = 1 if messages[0].role == "system" else 0
        for at in range(cut.at, start, -1):
            known = self._summaries.find(digests[at])
            if known is not None:
                start, summed.text = at, known
                break
        old = messages[start : cut.at]
        for piece in self._pieces([line_of(message) for message in old]):
            question = self._writer.question(summed.text, piece, self._summary, request.context)
            try:
                written = await self._writer.write(question, self._context(self._summariser))
            except InputError as error:
                summed.refused += 1
                if summed.refused > MOST_REFUSED or not self._learn(
                    error, question, self._summariser
                ):
                    raise
                return False
            summed.spent += written.usage
            summed.cut, summed.note = written.cut, written.note or summed.note
            if not written.text:
                summed.text = ""  # half a summary is none
                return True
            kept = left_out(f"{summed.text}\n{piece}", written.text, self._summary, self._size)
            summed.text = "\n".join(part for part in (written.text, kept) if part)
        self._summaries.keep(digests[cut.at], summed.text)
        return True

    def _digests(self, messages: Sequence[Message], request: Request) -> list[str]:
        """At place n: what the first n messages are recognised by, for whom and by whom they are.

        A system text is in no summary, and may say other things in the next request (facts about
        the person), so it does not count.
        """
        begin = json.dumps([self._summariser.name, request.context.user])
        digests = [hashlib.sha256(begin.encode()).hexdigest()]
        for at, message in enumerate(messages):
            told = json.dumps(to_json(message), sort_keys=True)
            digest = hashlib.sha256(f"{digests[-1]}\n{told}".encode()).hexdigest()
            digests.append(digests[-1] if at == 0 and message.role == "system" else digest)
        return digests

    def _size(self, text: str) -> int:
        return self._count([text_message("user", text)])

    def _pieces(self, lines: Sequence[str]) -> list[str]:
        """The lines in pieces that the summing model can read, long lines cut into several."""
        context = self._context(self._summariser)
        # Beside a piece stand the order, the summary before it with what was added to it, and room
        # for the new one.
        beside = self._size(BESIDE) + 3 * self._summary
        most = max(1, min(int(PIECE * context), context - beside))
        pieces: list[str] = []
        piece = ""
        waiting = list(reversed(lines))
        while waiting:
            line = waiting.pop()
            longer = f"{piece}\n{line}" if piece else line
            if self._size(longer) <= most:
                piece = longer
            elif piece:
                pieces.append(piece)
                piece = ""
                waiting.append(line)
            elif len(line) < 2:
                piece = line  # it cannot be cut; the model refuses it with its length
            else:
                half = len(line) // 2
                waiting += [line[half:], line[:half]]
        return [*pieces, piece] if piece else pieces


def _ended(request: Request, end: Finished, spent: Usage) -> Iterator[Event]:
    """The end of every choice of a request that was not even begun."""
    for index in range(request.n):
        used = Usage(0, 0) if index else spent
        message = Message("assistant", ())
        yield Finished(message, used, end.reason, index, detail=end.detail)
