"""Tree of thoughts: several next steps are thought of, the best are followed.

Yao et al. 2023, "Tree of thoughts: deliberate problem solving with large language models".

Breadth-first search as in the paper's game of 24: at each level every kept thought is gone on from
several times (drawn, each by a call of its own), a judge scores each new thought, the best few are
kept. A small model judges badly; the judge may be another, better one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kataribe.base.lm import LM, Sampling
from kataribe.use.prompts.answers import has_answer
from kataribe.use.prompts.calls import Work
from kataribe.use.prompts.numbers_in_text import numbers_in
from kataribe.use.prompts.ranges import within
from kataribe.use.prompts.running import AT_ONCE, together
from kataribe.use.prompts.technique import Carries, Technique
from kataribe.use.prompts.thought_tree import Thought, Tree, in_steps

_SCORE = re.compile(r"(?:score|点数|スコア)\s*\**\s*[:：]\s*(.*)", re.IGNORECASE)
_OF_TEN = re.compile(r"\s*[/／]\s*10\b")


@dataclass(frozen=True, slots=True)
class TreeOfThoughtsOptions:
    """How big the tree is. It takes up to 2 x breadth x branches x depth + 1 calls.

    Attributes:
        breadth: Thoughts that are kept at each level.
        branches: Thoughts that are drawn from each kept one.
        depth: Levels, at most; a kept thought that is the best and has the answer ends the search.
        temperature: Of the thoughts, where the request says 0 or nothing; at 0 all are the same.
        at_once: Most calls at a time.
    """

    breadth: int = 2
    branches: int = 3
    depth: int = 3
    temperature: float = 0.7
    at_once: int = AT_ONCE

    def __post_init__(self) -> None:
        within("breadth", self.breadth, 1, 10)
        within("branches", self.branches, 1, 10)
        within("depth", self.depth, 1, 10)
        within("temperature", self.temperature, 0, 2)
        within("at_once", self.at_once, 1, 64)


class TreeOfThoughts(Technique):
    """Searches a tree of steps, then writes the answer along the best path; the answer streams.

    A last step called `tree` has the whole tree as JSON (`thought_tree.tree_from_json`).
    """

    title = "tree-of-thoughts"
    carries = Carries(response_format=True, logprobs=True, stop=True)

    def __init__(
        self, lm: LM, options: TreeOfThoughtsOptions | None = None, *, judge: LM | None = None
    ) -> None:
        """`judge` scores thoughts; the inner model itself where none is given."""
        self.options = options or TreeOfThoughtsOptions()
        super().__init__(lm, at_once=self.options.at_once)
        self.judge = judge or lm

    async def answer(self, work: Work) -> None:
        """Level by level, then the answer."""
        tree = Tree(())
        level: Sequence[str] = ("",)
        for _ in range(self.options.depth):
            new = await together(
                self._judged(work, tree, parent, branch)
                for parent in level
                for branch in range(1, self.options.branches + 1)
            )
            kept = best(new, self.options.breadth)
            ids = {thought.id for thought in kept}
            new = [replace(each, is_kept=each.id in ids) for each in new]
            tree = Tree((*tree.thoughts, *new))
            await work.step("kept", ", ".join(f"{each.id} ({each.score:g})" for each in kept))
            path = tree.path_to(_leaf(tree).id)
            work.keep(f"the best steps so far: {in_steps(path)}", in_steps(path))
            level = [each.id for each in kept if not each.is_answer]
            if not level or kept[0].is_answer:
                break
        path = tree.path_to(_leaf(tree).id)
        tree = replace(tree, chosen=tuple(thought.id for thought in path))
        await work.step("tree", tree.to_json())
        values = {"question": work.question, "steps": in_steps(path)}
        await work.relay(work.reply(work.wording.thought_done.render(values)))

    async def _judged(self, work: Work, tree: Tree, parent: str, branch: int) -> Thought:
        """One new thought under `parent`, with its score."""
        id_ = f"{parent}.{branch}".lstrip(".")
        path = tree.path_to(parent)
        values = {"question": work.question, "steps": in_steps(path) or work.wording.nothing}
        text = work.wording.thought.render(values)
        said = await work.ask(
            work.aside(text, "thought", id_, temperature=self.options.temperature)
        )
        thought = Thought(id_, parent, said.text.strip(), is_answer=has_answer(said.text))
        await work.step("thought", f"{id_}: {thought.text}")
        values["steps"] = in_steps((*path, thought))
        asked = work.aside(work.wording.thought_judge.render(values), "judge", id_)
        limits = Sampling(temperature=0, max_tokens=work.request.sampling.max_tokens)
        verdict = await work.ask(replace(asked, sampling=limits), lm=self.judge)
        score = score_in(verdict.text)
        await work.step("judge", f"{id_}: {'no score' if score is None else f'{score:g}'}")
        return replace(thought, score=score or 0.0)


def best(thoughts: Sequence[Thought], breadth: int) -> list[Thought]:
    """The thoughts with the highest scores, best first; of equal ones the earlier.

    A thought in the same words as an earlier one under the same parent is left out.
    """
    seen: set[tuple[str, str]] = set()
    distinct = []
    for thought in thoughts:
        words = (thought.parent, " ".join(thought.text.split()))
        if words not in seen:
            seen.add(words)
            distinct.append(thought)
    return sorted(distinct, key=lambda thought: -thought.score)[:breadth]


def score_in(verdict: str) -> float | None:
    """The judge's number, 1 to 10: behind the last "Score:", else the last one; None without."""
    plain = _OF_TEN.sub("", verdict)
    marked = _SCORE.findall(plain)
    behind = numbers_in(marked[-1]) if marked else []
    found = next(iter(behind or numbers_in(plain)[::-1]), None)
    try:
        score = float(found.normal) if found else 0.0
    except ValueError:  # a fraction without end
        return None
    return score if 1 <= score <= 10 else None


def _leaf(tree: Tree) -> Thought:
    """Where the chosen path ends: the best of kept answers and the last level's kept thoughts."""
    kept = [thought for thought in tree.thoughts if thought.is_kept]
    answers = [thought for thought in kept if thought.is_answer]
    depth = max(thought.id.count(".") for thought in kept)
    last = [thought for thought in kept if thought.id.count(".") == depth]
    return max((*answers, *last), key=lambda thought: thought.score)  # of equals, an answer
