"""Generated knowledge: what the model knows about the question first, the answer after.

Liu et al. 2022 ("Generated knowledge prompting for commonsense reasoning") draw several statements,
answer once with each and take the answer that the model is surest of. Chat models do not say how
sure they are, so here one answer is written with all statements before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from kataribe.base.lm import LM
from kataribe.use.prompts.calls import Work, one_line
from kataribe.use.prompts.ranges import within
from kataribe.use.prompts.running import AT_ONCE, together
from kataribe.use.prompts.technique import Carries, Technique


@dataclass(frozen=True, slots=True)
class GeneratedKnowledgeOptions:
    """How much to recall.

    Attributes:
        statements: That are drawn, each by a call of its own.
        temperature: Of the statements, where the request says 0 or nothing; at 0 all are the same.
        at_once: Most statements at a time.
    """

    statements: int = 3
    temperature: float = 0.7
    at_once: int = AT_ONCE

    def __post_init__(self) -> None:
        within("statements", self.statements, 1, 50)
        within("temperature", self.temperature, 0, 2)
        within("at_once", self.at_once, 1, 64)


class GeneratedKnowledge(Technique):
    """Draws statements, then answers with them; the answer streams."""

    title = "generated-knowledge"
    carries = Carries(response_format=True, logprobs=True, stop=True)

    def __init__(self, lm: LM, options: GeneratedKnowledgeOptions | None = None) -> None:
        self.options = options or GeneratedKnowledgeOptions()
        super().__init__(lm, at_once=self.options.at_once)

    async def answer(self, work: Work) -> None:
        """Statements side by side, each a step; equal ones count once."""
        text = work.wording.know.render({"question": work.question})
        found: dict[int, str] = {}

        async def recall(place: int) -> None:
            request = work.aside(text, "know", place, temperature=self.options.temperature)
            found[place] = one_line((await work.ask(request)).text)
            work.keep(f"{len(found)} statements: {_listed(found)}", "")
            await work.step("knowledge", found[place] or "nothing came")

        await together(recall(place) for place in range(self.options.statements))
        knowledge = _listed(found)
        if not knowledge:
            await work.relay(work.request)
            return
        then = work.wording.know_done.render({"question": work.question, "knowledge": knowledge})
        await work.relay(work.reply(then))


def _listed(found: dict[int, str]) -> str:
    """The statements in the order of their places, not of their coming."""
    statements = dict.fromkeys(found[place] for place in sorted(found) if found[place])
    return "\n".join(f"- {each}" for each in statements)
