"""`python -m benchmarks.calling`: BFCL's questions, with calls held to their form and let go.

Each question is asked in the same words, greedily, and read by the same parser; only the form
differs: `free` is held to nothing, `auto` may answer in words or with whole calls, `required` must
call. Every question of these sets wants a call, so `required` is what an application would set.

Several questions are asked side by side, each in all its ways one after the other: its prompt is
read once. Answers go to a file of JSON lines as they come; the same command goes on where it was
stopped. `--limit N` takes the first N questions of each set.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.calling import bfcl, report
from benchmarks.calling.answered import Row, Rows
from benchmarks.calling.bfcl import Question
from benchmarks.choosing import parts_of
from benchmarks.inference.peers import CACHE
from benchmarks.models_here import opened, path_of
from benchmarks.sections import DOCS, put
from benchmarks.side_by_side import side_by_side
from kataribe.base.errors import ConstraintError, InputError
from kataribe.base.lm import LM, Request, Sampling, ToolChoice, reply
from kataribe.base.messages import ToolCallPart, text_of
from kataribe.run.inference.load import LocalModel
from kataribe.run.inference.local import LocalLM


@dataclass(frozen=True)
class Asked:
    """What is asked.

    Attributes:
        questions: All of them.
        arms: In which ways.
        max_tokens: Of each reply.
        at_once: Questions side by side.
    """

    questions: Sequence[Question]
    arms: Sequence[str]
    max_tokens: int
    at_once: int


async def measure(
    models: Mapping[str, LM], asked: Asked, rows: Rows, say: Callable[[str], None]
) -> None:
    """Asks what has no row yet. `models` has the one for each arm."""
    gate = asyncio.Semaphore(asked.at_once)
    done = 0

    async def one(question: Question) -> None:
        nonlocal done
        async with gate:
            for arm in asked.arms:
                if (arm, question.id) not in rows.rows:
                    rows.add(await answered(models[arm], arm, question, asked.max_tokens))
        done += 1
        say(f"{done} of {len(asked.questions)}: {question.id}")

    await side_by_side(map(one, asked.questions))


async def answered(lm: LM, arm: str, question: Question, max_tokens: int) -> Row:
    """One reply; what is refused counts as malformed and says why."""
    request = Request(
        question.messages,
        Sampling(temperature=0, max_tokens=max_tokens),
        question.tools,
        ToolChoice("required" if arm == "required" else "auto"),
    )
    begun = time.monotonic()
    try:
        end = await reply(lm, request)
    except (ConstraintError, InputError) as error:
        return Row(arm, question.kind, question.id, (), "", "error", 0, 0, 0, 0.0, error.message)
    parts = end.message.parts
    return Row(
        arm=arm,
        kind=question.kind,
        id=question.id,
        calls=[(part.name, part.arguments) for part in parts if isinstance(part, ToolCallPart)],
        text=text_of(end.message),
        reason=end.reason,
        prompt_tokens=end.usage.prompt_tokens,
        cached_tokens=end.usage.cached_tokens,
        completion_tokens=end.usage.completion_tokens,
        seconds=time.monotonic() - begun,
    )


def models_of(local: LocalModel, context: int) -> dict[str, LM]:
    """The model in each way; all of them compute in one engine."""
    free = LocalLM(
        local.lm.name, local.engine, local.tokenizer, context_length=context, holds_calls=False
    )
    return {"free": free, "auto": local.lm, "required": local.lm}


def main() -> None:
    """Measures and tells."""
    asks = argparse.ArgumentParser(description=__doc__)
    asks.add_argument("--model", default="qwen2.5-coder-1.5b", help="a name, or a file or folder")
    asks.add_argument("--sets", type=parts_of(bfcl.SETS), default=bfcl.SETS)
    asks.add_argument("--arms", type=parts_of(report.ARMS), default=tuple(report.ARMS))
    asks.add_argument("--limit", type=int, help="questions of each set; all without it")
    asks.add_argument("--at-once", type=int, default=8)
    asks.add_argument("--max-tokens", type=int, default=640, help="of each reply")
    asks.add_argument("--context", type=int, default=8192)
    asks.add_argument("--answers", type=Path, help="where the answers go")
    asks.add_argument("--docs", action="store_true", help="write the table into docs/ too")
    options = asks.parse_args()
    python = bfcl.environment()
    asked = Asked(
        [
            question
            for kind in options.sets
            for question in bfcl.questions(bfcl.data_folder(python), [kind])[: options.limit]
        ],
        options.arms,
        options.max_tokens,
        options.at_once,
    )
    path = path_of(options.model)
    head = {
        "format": 1,
        "model": path.stem,
        "data": bfcl.REQUIREMENT,
        "max_tokens": options.max_tokens,
        "context": options.context,
    }
    rows = Rows(options.answers or CACHE / f"calling-{path.stem}.jsonl", head)
    if any((arm, each.id) not in rows.rows for arm in asked.arms for each in asked.questions):
        with opened(path, options.context, 2 * options.at_once * 4096) as local:
            models = models_of(local, options.context)
            asyncio.run(measure(models, asked, rows, lambda line: print(line, flush=True)))
    judge = bfcl.Judge(python)
    try:
        said = report.text(path.stem, rows.rows, asked.questions, asked.arms, judge.verdict)
    finally:
        judge.close()
    print(f"\n{said}\n\nanswers in {rows.path}")
    if options.docs:
        put(DOCS / "tools.md", f"calling {path.stem}", said)


if __name__ == "__main__":
    main()
