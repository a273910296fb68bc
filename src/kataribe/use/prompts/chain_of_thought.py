"""Chain of thought: reasons first, then the answer.

Wei et al. 2022, "Chain-of-thought prompting elicits reasoning in large language models"; without
examples Kojima et al. 2022, "Large language models are zero-shot reasoners".

The reply is reasons and a last line with the answer, in one call. Where the reply must have a form
(JSON, a choice), reasons have no room in it: then they are asked for first, streamed as reasoning,
and the second call answers in the form.
"""

from __future__ import annotations

from dataclasses import dataclass

from kataribe.base.errors import UnsupportedError
from kataribe.base.lm import LM, Request, TextFormat
from kataribe.use.prompts.calls import Work
from kataribe.use.prompts.technique import EVERYTHING, Technique


@dataclass(frozen=True, slots=True)
class ChainOfThoughtOptions:
    """How to think.

    Attributes:
        instruction: Said behind the question instead of the technique's own words; empty for
            those. It should ask for a last line that begins with "Answer:".
    """

    instruction: str = ""


class ChainOfThought(Technique):
    """Thinks step by step, then answers."""

    title = "chain-of-thought"
    carries = EVERYTHING

    def __init__(self, lm: LM, options: ChainOfThoughtOptions | None = None) -> None:
        super().__init__(lm)
        self.options = options or ChainOfThoughtOptions()

    def is_one_call(self, request: Request) -> bool:
        """Unless the reply must have a form."""
        return isinstance(request.response_format, TextFormat)

    async def answer(self, work: Work) -> None:
        """Reasons and answer in one reply, or one after the other."""
        if self.is_one_call(work.request):
            await work.relay(work.reply(self._thinking(work)))
            return
        if work.request.tools:
            raise UnsupportedError(
                f"{self.name} cannot both call tools and hold its reply to a form. Leave out "
                "tools or response_format.",
                param="response_format",
            )
        await work.step("think", "reasons first, then the reply in its form")
        first = work.wording.think_only.render({"question": work.question})
        thought = await work.ask(work.aside(first, "think"), heard=work.think)
        work.keep("thought about it, but gave no reply", "")
        then = work.wording.think_done.render(
            {"question": work.question, "reasoning": thought.text}
        )
        await work.relay(work.reply(then))

    def _thinking(self, work: Work) -> str:
        if self.options.instruction.strip():
            return f"{work.question}\n\n{self.options.instruction}"
        return work.wording.think.render({"question": work.question})
