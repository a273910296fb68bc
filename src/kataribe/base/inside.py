"""Looking inside a reply: the protocol of models that can show it, and what they show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, runtime_checkable

from kataribe.base.lm import Request, Sampling
from kataribe.base.messages import Message

PieceKind: TypeAlias = Literal[
    "text",  # whole characters
    "bytes",  # a part of a character (or bytes that are none)
    "control",  # a control token, which people do not read
]


@dataclass(frozen=True, slots=True)
class Piece:
    """A token as it can be shown: its text, or for bytes alone `<0xE3><0x81>`."""

    id: int
    text: str
    kind: PieceKind


@dataclass(frozen=True, slots=True)
class Said:
    """A reply as it is kept.

    Attributes:
        message: Its words, thoughts and calls.
        begun: Words at its beginning that the model was given and went on from.
        ended: The model ended it itself, with an end token.
        tokens: How many it drew, where that was counted; the end token is one of them.
    """

    message: Message
    begun: str = ""
    ended: bool = False
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Laid:
    """A reply cut into its model's tokens, behind what the model was given.

    Attributes:
        ids: Of prompt and reply, the end token left out.
        prompt: How many of them are the prompt's.
        pieces: One for each of `ids`.
        shown: For each of `ids`, the characters that begin in it: joined they are the whole text,
            and a token that only goes on with a character has none.
        given: The prompt as text, control tokens written out.
        marks: Where in `given` control tokens stand: beginning and end, in characters.
        text: What the reply's tokens spell, thoughts and their marks included.
        words_from: Where in `text` the reply's own words begin.
        starts: For each token of the reply, where in `text` it begins (characters).
        whole: For each token of the reply, whether it begins where a character does.
        ended: The model ended the reply itself: one more place can be shown than it has tokens.
        exact: The tokens are the drawn ones, as far as can be known: they spell the kept text,
            and are as many as were counted.
    """

    ids: tuple[int, ...]
    prompt: int
    pieces: tuple[Piece, ...]
    shown: tuple[str, ...]
    given: str
    marks: tuple[tuple[int, int], ...]
    text: str
    words_from: int
    starts: tuple[int, ...]
    whole: tuple[bool, ...]
    ended: bool
    exact: bool

    @property
    def places(self) -> int:
        """Tokens of the reply, with the one that ended it."""
        return len(self.ids) - self.prompt + self.ended


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token that might have stood at a place; `logprob` is natural."""

    piece: Piece
    logprob: float


@dataclass(frozen=True, slots=True)
class TokenInside:
    """A token of a reply under the model's own distribution.

    Attributes:
        piece: What stands there.
        start: Where it begins in `Laid.text`.
        whole: It begins where a character begins.
        logprob: Natural.
        rank: 1 where nothing was likelier.
        entropy: Of the whole distribution, in bits.
        top: The likeliest tokens, likeliest first.
    """

    piece: Piece
    start: int
    whole: bool
    logprob: float
    rank: int
    entropy: float
    top: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True)
class Share:
    """A token's probability in the model's distribution, and in what sampling draws from."""

    piece: Piece
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Weighing:
    """What sampling makes of a distribution.

    `shares`: the likeliest before. `alive`: how many of `vocabulary` can be drawn.
    """

    shares: tuple[Share, ...]
    alive: int
    vocabulary: int


class Inspector(Protocol):
    """Shows the distributions behind a model's replies."""

    async def lay_out(self, request: Request, said: Said) -> Laid:
        """Cuts a reply into tokens; `request` is what it was the reply to."""
        ...

    async def look(self, laid: Laid, start: int, count: int) -> tuple[TokenInside, ...]:
        """Up to `count` places of a reply from `start` on, computed anew."""
        ...

    async def weigh(self, laid: Laid, position: int, sampling: Sampling, most: int) -> Weighing:
        """What `sampling` makes of the distribution at a place; the `most` likeliest tokens.

        Temperature, top-k, top-p and min-p count; what is None is neutral.
        """
        ...

    async def drawn(self, sampling: Sampling) -> Sampling:
        """The same with the model's own defaults where it leaves something open."""
        ...


@runtime_checkable
class Inspectable(Protocol):
    """Whatever lets one look inside."""

    async def inspector(self) -> Inspector:
        """What shows its replies; may wait until the model is loaded."""
        ...


@dataclass(frozen=True, slots=True)
class AttentionShape:
    """What there is to see of a model's attention.

    `parameters` of the model; of models with more than `most_parameters`, and of more than
    `most_tokens` of prompt and reply together, nothing is shown.
    """

    layers: int
    heads: int
    parameters: int
    most_parameters: int
    most_tokens: int

    @property
    def shown(self) -> bool:
        """The model is small enough."""
        return 0 < self.parameters <= self.most_parameters


class AttentionSource(Protocol):
    """Whatever can compute attention weights of models that it knows by name."""

    async def shape(self, model: str) -> AttentionShape:
        """What there is to see; raises `NotFoundError`."""
        ...

    async def weights(
        self, model: str, ids: tuple[int, ...], layer: int, head: int, looking: int
    ) -> tuple[float, ...]:
        """How much token `looking` of `ids` looks at each token up to itself; the sum is 1.

        Raises `UnsupportedError` for a model or a text that is too large, `InputError` for a
        layer or head that is not there, `UnavailableError` where memory does not allow it.
        """
        ...
