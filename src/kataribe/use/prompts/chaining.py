"""Chaining: first the plan, then the work.

Wang et al. 2023, "Plan-and-solve prompting"; Wu et al. 2022, "AI chains".

A task that is too big for one reply is cut into steps by the model itself (the plan), each step is
done by a call of its own that sees what the steps before it gave (a chain), and the last call
writes the whole answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kataribe.base.lm import LM
from kataribe.use.prompts.calls import Work
from kataribe.use.prompts.ranges import within
from kataribe.use.prompts.technique import Carries, Technique

_NUMBERED = re.compile(
    r"^[ \t>*_#]*(?:step\s*|手順\s*)?(?:\d{1,3}\s*[.):、．）：]|[①-⑳])[ \t*_]*(?P<step>\S.*)$",
    re.IGNORECASE | re.MULTILINE,
)
_BULLETED = re.compile(r"^[ \t]*[-*•・][ \t]*(?P<step>\S.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ChainingOptions:
    """How long the chain is.

    Attributes:
        most_steps: Of the plan. What a longer plan says beyond it becomes part of the last step.
    """

    most_steps: int = 5

    def __post_init__(self) -> None:
        within("most_steps", self.most_steps, 1, 50)


class Chaining(Technique):
    """Plans, does each step, writes the answer; the answer streams."""

    title = "chaining"
    carries = Carries(response_format=True, logprobs=True, stop=True)

    def __init__(self, lm: LM, options: ChainingOptions | None = None) -> None:
        super().__init__(lm)
        self.options = options or ChainingOptions()

    async def answer(self, work: Work) -> None:
        """The plan, the steps one after the other, the whole."""
        wording, question, most = work.wording, work.question, self.options.most_steps
        text = wording.plan.render({"question": question, "most": str(most)})
        plan = (await work.ask(work.aside(text, "plan"))).text.strip()
        await work.step("plan", plan)
        done: list[str] = []
        steps = steps_of(plan, most)
        for number, step in enumerate(steps, 1):
            work.keep(f"{number - 1} of {len(steps)} steps are done", "\n".join(done) or plan)
            values = {
                "question": question,
                "plan": plan,
                "done": "\n".join(done) or wording.nothing,
                "number": str(number),
                "step": step,
            }
            said = await work.ask(work.aside(wording.plan_step.render(values), "step", number))
            done.append(f"{number}. {said.text.strip()}")
            await work.step("work", f"{number} of {len(steps)}: {step}: {said.text}")
        work.keep(f"all {len(steps)} steps are done, but not put together", "\n".join(done))
        then = wording.plan_done.render({"question": question, "done": "\n".join(done) or plan})
        await work.relay(work.reply(then))


def steps_of(plan: str, most: int) -> list[str]:
    """The steps of a plan: its numbered lines, else its bulleted ones, else the plan as a whole.

    Steps beyond `most` are joined to the last one, so that nothing planned is lost.
    """
    found = [match["step"].strip(" \t*_") for match in _NUMBERED.finditer(plan)]
    found = found or [match["step"].strip(" \t*_") for match in _BULLETED.finditer(plan)]
    found = found or ([" ".join(plan.split())] if plan.strip() else [])
    if len(found) > most:
        found = [*found[: most - 1], "; ".join(found[most - 1 :])]
    return found
