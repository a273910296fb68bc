"""`python -m benchmarks.prompting PROBLEMS.jsonl --model NAME`: techniques on GSM8K's problems.

Every technique is asked the same problems, one at a time, so that seconds are those of one person
who waits; only what a technique itself asks side by side (paths, thoughts) is computed together.
All of it takes over two hours on two cores. `--at-once 4` works on four problems side by side: the
engine computes them in common steps, and the table says that its seconds are not those of one
person. Answers go to a file of JSON lines as they come; the same command goes on where it was
stopped. Problem after problem, not technique after technique: a run that is stopped early has
compared all techniques on fewer problems.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.choosing import parts_of
from benchmarks.inference.peers import CACHE
from benchmarks.models_here import opened, path_of
from benchmarks.prompting import report
from benchmarks.prompting.answered import Row, Rows
from benchmarks.prompting.problems import Problem, digest, drawn, read_problems
from benchmarks.prompting.techniques import AUTOMATIC, NAMES, built, searched
from benchmarks.sections import DOCS, put
from benchmarks.side_by_side import side_by_side
from kataribe.base.errors import InputError
from kataribe.base.events import Usage
from kataribe.base.lm import LM, Request, Sampling, reply
from kataribe.base.messages import text_message, text_of
from kataribe.use.prompts.answers import final_answer
from kataribe.use.prompts.calls import derived_seed


@dataclass(frozen=True)
class Asked:
    """What is compared.

    Attributes:
        names: The techniques.
        problems: What they are asked.
        others: Problems for examples; none of those that are asked.
        max_tokens: Of each inner call.
        seed: Of each problem's request, together with its place.
        at_once: Problems side by side.
    """

    names: Sequence[str]
    problems: Sequence[Problem]
    others: Sequence[Problem]
    max_tokens: int
    seed: int
    at_once: int = 1


async def measure(lm: LM, asked: Asked, rows: Rows, say: Callable[[str], None]) -> None:
    """Asks what has no row yet."""
    if AUTOMATIC in asked.names and rows.instruction is None:
        found = await searched(lm, asked.others, lambda name, line: say(f"{name}: {line}"))
        told = {
            "score": found.score.mean,
            "base": found.base.mean,
            "held_out": len(found.held_out),
            "prompt_tokens": found.usage.prompt_tokens,
            "completion_tokens": found.usage.completion_tokens,
        }
        rows.keep_instruction(found.instruction, told)
    techniques = {
        name: built(name, lm, asked.others, rows.instruction or "") for name in asked.names
    }
    gate = asyncio.Semaphore(asked.at_once)

    async def one(number: int, problem: Problem) -> None:
        async with gate:
            for name, technique in techniques.items():
                if (name, problem.place) in rows.rows:
                    continue
                row = await answered(name, technique, problem, asked)
                rows.add(row)
                said = "right" if row.right else f"{row.answer or 'nothing'}, not {row.gold}"
                say(f"{number} of {len(asked.problems)}, {name}: {said}, {row.seconds:.1f} s")

    await side_by_side(one(number, problem) for number, problem in enumerate(asked.problems, 1))


async def answered(name: str, lm: LM, problem: Problem, asked: Asked) -> Row:
    """One reply. A problem that does not fit the model's context is answered wrong."""
    request = Request(
        (text_message("user", problem.question),),
        Sampling(temperature=0, max_tokens=asked.max_tokens),
        seed=derived_seed(asked.seed, problem.place),
    )
    failure, said, reason, used = "", "", "error", Usage(0, 0)
    begun = time.monotonic()
    try:
        end = await reply(lm, request)
    except InputError as error:
        failure = error.message
    else:
        said, reason, used = text_of(end.message), end.reason, end.usage
    taken = time.monotonic() - begun
    answer = final_answer(said, "number")
    normal = "" if answer is None else answer.normal
    return Row(
        technique=name,
        place=problem.place,
        right=normal == problem.gold,
        answer=normal,
        gold=problem.gold,
        prompt_tokens=used.prompt_tokens,
        completion_tokens=used.completion_tokens,
        cached_tokens=used.cached_tokens,
        seconds=taken,
        reason=reason,
        failure=failure,
        reply=said,
    )


def main() -> None:
    """Measures and tells."""
    asks = argparse.ArgumentParser(description=__doc__)
    asks.add_argument("problems", type=Path, help="GSM8K as JSON lines: question, answer")
    asks.add_argument("--model", default="qwen2.5-coder-1.5b", help="a name, or a file or folder")
    asks.add_argument("--count", type=int, default=50)
    asks.add_argument("--seed", type=int, default=0)
    asks.add_argument("--techniques", type=parts_of(NAMES), default=NAMES)
    asks.add_argument("--max-tokens", type=int, default=400, help="of each inner call")
    asks.add_argument("--context", type=int, default=4096)
    asks.add_argument("--at-once", type=int, default=1, help="problems side by side")
    asks.add_argument("--answers", type=Path, default=CACHE / "prompting.jsonl")
    asks.add_argument("--docs", action="store_true", help="write the table into docs/ too")
    options = asks.parse_args()
    problems, others = drawn(read_problems(options.problems), options.count, options.seed)
    path = path_of(options.model)
    head = {
        "format": 2,
        "model": path.stem,
        "problems": digest(options.problems),
        "count": options.count,
        "seed": options.seed,
        "max_tokens": options.max_tokens,
        "context": options.context,
        "at_once": options.at_once,
    }
    rows = Rows(options.answers, head)
    asked = Asked(
        options.techniques, problems, others, options.max_tokens, options.seed, options.at_once
    )
    with opened(path, options.context, max(8, 4 * options.at_once) * options.context) as local:
        asyncio.run(measure(local.lm, asked, rows, lambda line: print(line, flush=True)))
    said = report.text(rows.rows, options.techniques, options.at_once)
    print(f"\n{said}\n\nanswers in {rows.path}")
    if options.docs:
        put(DOCS / "prompts.md", "prompting", said)


if __name__ == "__main__":
    main()
