"""Zero-shot: the bare question, or an instruction and the question.

Brown et al. 2020, "Language models are few-shot learners", which measures it as the base.

It is the base that every other technique is measured against, and what an instruction that was
searched for becomes (see `automatic`).
"""

from __future__ import annotations

from dataclasses import dataclass

from kataribe.base.lm import LM
from kataribe.use.prompts.calls import Work
from kataribe.use.prompts.technique import EVERYTHING, Technique


@dataclass(frozen=True, slots=True)
class ZeroShotOptions:
    """How to ask.

    Attributes:
        instruction: Said before each question; empty for the bare question.
    """

    instruction: str = ""


class ZeroShot(Technique):
    """Asks once, and carries all that a request can say."""

    title = "zero-shot"
    carries = EVERYTHING
    asks_once = True

    def __init__(self, lm: LM, options: ZeroShotOptions | None = None) -> None:
        super().__init__(lm)
        self.options = options or ZeroShotOptions()

    async def answer(self, work: Work) -> None:
        """The question as it is, or behind the instruction."""
        if not self.options.instruction.strip():
            await work.relay(work.request)
            return
        text = work.wording.instructed.render(
            {"instruction": self.options.instruction, "question": work.question}
        )
        await work.relay(work.reply(text))
