"""The techniques as they are compared: each with what it needs to have a fair chance at sums."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from benchmarks.prompting.problems import Problem
from kataribe.base.errors import InputError
from kataribe.base.lm import LM, ToolSpec
from kataribe.prove.evals.intervals import paired_share_difference, share
from kataribe.use.prompts.answers import same_answer
from kataribe.use.prompts.automatic import AutomaticOptions, Found, Judging, find_instruction
from kataribe.use.prompts.numbers_in_text import normal_form
from kataribe.use.prompts.registry import TECHNIQUES, Parts, technique
from kataribe.use.prompts.retrieval import Passage, Search
from kataribe.use.prompts.zero_shot import ZeroShot, ZeroShotOptions

AUTOMATIC = "automatic"
NAMES = (*TECHNIQUES, AUTOMATIC)
SHOWN = 4
"""Worked examples that few-shot shows, and passages that retrieval does."""
SEARCHED = AutomaticOptions(candidates=4, max_tokens=400)
EXAMPLES_TO_SEARCH = 16
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "self-consistency": {"paths": 5, "answers": "number", "at_once": 5},
    "tree-of-thoughts": {"breadth": 1, "branches": 2, "depth": 3},
    "chaining": {"most_steps": 3},
    "retrieval": {"most": SHOWN},
}
_OPERATORS: Mapping[type[ast.AST], Callable[..., Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


def built(name: str, lm: LM, others: Sequence[Problem], instruction: str) -> LM:
    """A technique around `lm`; `others` are problems that are not asked."""
    if name == AUTOMATIC:
        return ZeroShot(lm, ZeroShotOptions(instruction))
    options = dict(OPTIONS.get(name, {}))
    if name == "few-shot":
        options["examples"] = [each.worked for each in others[:SHOWN]]
    return technique(name, lm, options, Parts(search=solved(others), tools=[Calculator()]))


async def searched(lm: LM, others: Sequence[Problem], told: Callable[[str, str], None]) -> Found:
    """The instruction that automatic prompt engineering finds on problems that are not asked."""
    judging = Judging(share, paired_share_difference, is_right)
    # Others than few-shot's, so that no technique sees more than it should.
    known = [each.worked for each in others[SHOWN : SHOWN + EXAMPLES_TO_SEARCH]]
    return await find_instruction(lm, known, judging, SEARCHED, told=told)


def is_right(reply: str, wanted: str) -> bool:
    """The same number at the end."""
    return same_answer(reply, wanted, "number")


def solved(problems: Sequence[Problem]) -> Search:
    """A search for solved problems with most words in common, rare words counting more."""
    bags = [set(_words(each.question)) for each in problems]
    seen = Counter(word for bag in bags for word in bag)
    weight = {word: math.log(len(bags) / count) + 0.1 for word, count in seen.items()}

    async def search(query: str, most: int) -> list[Passage]:
        asked = set(_words(query))

        def near(at: int) -> float:
            return sum(weight[word] for word in asked & bags[at])

        best = sorted(range(len(bags)), key=lambda at: (-near(at), at))[: min(most, SHOWN)]
        return [
            Passage(f"{problems[at].question}\n{problems[at].worked.answer}",
                    f"solved problem {problems[at].place}")
            for at in best
        ]  # fmt: skip

    return search


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


class Calculator:
    """Sums of numbers with + - * / and brackets, exactly; for ReAct."""

    spec = ToolSpec(
        "calculator",
        "Computes an expression such as (3 + 4) * 2 / 7.",
        {
            "type": "object",
            "properties": {"expression": {"type": "string"}},
            "required": ["expression"],
        },
    )

    async def call(self, arguments: Mapping[str, Any]) -> str:
        """The result; `InputError` for anything that is no such expression."""
        text = str(arguments.get("expression", "")).replace(",", "").replace("$", "")
        if len(text) > 200:
            raise InputError("The expression has more than 200 characters. Compute less at once.")
        try:
            return normal_form(_value(ast.parse(text.strip(), mode="eval").body))
        except (SyntaxError, ValueError, ZeroDivisionError, RecursionError) as error:
            raise InputError(f"{text!r} cannot be computed: {error}.") from None


def _value(node: ast.AST) -> Fraction:
    match node:
        case ast.Constant(int() | float() as number) if not isinstance(number, bool):
            return Fraction(str(number))
        case ast.BinOp(left, sign, right) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_value(left), _value(right))
        case ast.UnaryOp(sign, operand) if type(sign) in _OPERATORS:
            return _OPERATORS[type(sign)](_value(operand))
    raise ValueError("only numbers, + - * / and brackets are known")
