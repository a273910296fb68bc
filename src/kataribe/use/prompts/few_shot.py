"""Few-shot: worked examples before the question.

Brown et al. 2020, "Language models are few-shot learners".

Examples are shown as turns of a conversation, behind the system text: a question of the user, an
answer of the assistant. Which ones and in what order is `example_choice`'s.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pydantic import ConfigDict

from kataribe.base.encoders import told_kind
from kataribe.base.errors import InputError
from kataribe.base.lm import LM
from kataribe.base.messages import text_message
from kataribe.use.prompts.calls import Work
from kataribe.use.prompts.example_choice import Choice, Order, diverse, nearest, ordered, unit
from kataribe.use.prompts.ranges import within
from kataribe.use.prompts.technique import EVERYTHING, Technique

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kataribe.base.encoders import Embedder, Embedding


@dataclass(frozen=True, slots=True)
class Example:
    """A question and the answer that is wanted for it."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # a misspelt key in a recipe is told

    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class FewShotOptions:
    """What to show.

    Attributes:
        examples: To choose from.
        count: How many are shown; all where there are fewer.
        choice: `fixed` takes the first ones, `similar` the nearest to the question, `diverse` near
            ones that are unlike each other. The last two need an embedder.
        order: `given` is the order of `examples`; `nearest-last` puts the example that is nearest
            to the question right before it, where models heed it most.
        relevance: For `diverse`: 1 is `similar`, 0 looks at the question no more.
    """

    examples: tuple[Example, ...]
    count: int = 4
    choice: Choice = "fixed"
    order: Order | None = None
    relevance: float = 0.5

    def __post_init__(self) -> None:
        if not self.examples:
            raise InputError(
                "Few-shot has no examples to show. Give at least one.", param="examples"
            )
        for at, example in enumerate(self.examples, 1):
            if not example.question.strip() or not example.answer.strip():
                raise InputError(
                    f"Example {at} of {len(self.examples)} has an empty question or answer. Fill "
                    "it in or leave it out.",
                    param="examples",
                )
        within("count", self.count, 1, 100)
        within("relevance", self.relevance, 0, 1)
        if self.choice == "fixed" and self.order not in (None, "given"):
            raise InputError(
                f"order is {self.order}, which needs vectors of the examples. Choose `similar` or "
                "`diverse`, or leave the order as given.",
                param="order",
            )

    @property
    def shown_order(self) -> Order:
        """The order, where none was said: as given for fixed examples, else nearest last."""
        return self.order or ("given" if self.choice == "fixed" else "nearest-last")


class FewShot(Technique):
    """Shows examples, asks once, and carries all that a request can say."""

    title = "few-shot"
    carries = EVERYTHING
    asks_once = True

    def __init__(
        self, lm: LM, options: FewShotOptions, *, embedder: Embedder | None = None
    ) -> None:
        """Raises `InputError` where the choice needs an embedder and there is none."""
        super().__init__(lm)
        if options.choice != "fixed" and embedder is None:
            raise InputError(
                f"Choosing {options.choice} examples needs an embedder. Give one, or show fixed "
                "examples.",
                param="choice",
            )
        self.options = options
        self._embedder = embedder
        self._vectors: NDArray[np.float32] | None = None
        self._lock = asyncio.Lock()

    async def answer(self, work: Work) -> None:
        """Chooses, shows, asks."""
        places = await self._places(work)
        examples = self.options.examples
        numbers = ", ".join(str(at + 1) for at in places)
        told = f"{len(places)} of {len(examples)}, {self.options.choice}"
        await work.step("examples", f"{told}, {self.options.shown_order}: {numbers}")
        turns = tuple(
            message
            for at in places
            for message in (
                text_message("user", examples[at].question),
                text_message("assistant", examples[at].answer),
            )
        )
        await work.relay(replace(work.request, prompt=work.turn.beginning_with(turns)))

    async def _places(self, work: Work) -> list[int]:
        options = self.options
        count = min(options.count, len(options.examples))
        if self._embedder is None or options.choice == "fixed":
            return list(range(count))
        examples = await self._embedded(self._embedder, work)
        found = await work.in_time(self._embed(self._embedder, (work.question,)))
        similarity = examples @ unit(found.vectors)[0]
        if options.choice == "similar":
            places = nearest(similarity, count)
        else:
            places = diverse(similarity, examples @ examples.T, count, options.relevance)
        return ordered(places, similarity, options.shown_order)

    async def _embedded(self, embedder: Embedder, work: Work) -> NDArray[np.float32]:
        """Vectors of all examples' questions, made once. (examples, dimensions)."""
        async with self._lock:
            if self._vectors is None:
                questions = tuple(example.question for example in self.options.examples)
                made = await work.in_time(self._embed(embedder, questions))
                self._vectors = unit(made.vectors)
                await work.step(
                    "embedding", f"{len(questions)} examples, {made.tokens} tokens, once"
                )
            return self._vectors

    async def _embed(self, embedder: Embedder, texts: tuple[str, ...]) -> Embedding:
        # Questions are compared with questions, so both are of one kind.
        return await embedder.embed(texts, told_kind(embedder, "query"))
