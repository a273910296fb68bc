"""`kataribe eval`: held-out questions, answered and scored; two models with an interval."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kataribe.cli import options

if TYPE_CHECKING:
    from kataribe.prove.evals.asking import Result
    from kataribe.prove.evals.intervals import Interval
    from kataribe.prove.evals.questions import Question


def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.")],
    questions: Annotated[
        str,
        typer.Option(
            "--on", help="Conversations: a corpus of the workspace (what it holds out), or a file."
        ),
    ],
    base: Annotated[
        str | None, typer.Option("--base", help="Another model, to compare with.")
    ] = None,
    most: Annotated[
        int, typer.Option("--most", min=1, help="Most questions; always the same ones.")
    ] = 200,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", "-n", min=1, help="Most tokens of an answer.")
    ] = 96,
    shown: Annotated[
        int, typer.Option("--show", min=0, help="Print so many questions with their answers.")
    ] = 0,
    local: options.Local = False,
    as_json: options.Json = False,
) -> None:
    """Ask a model held-out questions and score its answers; with --base, say who is better.

    Scores run from 0 to 1: exact answers, words in common (token_f1), characters in common (chrf).
    Differences are given with the interval that holds 95 % of 10,000 paired resamples.
    """
    from kataribe.cli.output import emit_json
    from kataribe.prove.evals.questions import read_questions

    asked = read_questions(_place(questions), most)
    results = [
        _ask(name, asked, max_tokens, local=local)
        for name in ([base, model] if base is not None else [model])
    ]
    if as_json:
        emit_json(_told(asked, results, shown))
    else:
        _show(asked, results, shown)


def _place(questions: str) -> Path:
    from kataribe.base.workspace import Workspace

    path = Path(questions).expanduser()
    return path if path.exists() else Workspace.locate().corpora / questions


def _ask(name: str, asked: list[Question], max_tokens: int, *, local: bool) -> Result:
    import asyncio

    from kataribe.base.settings import load_settings
    from kataribe.cli.answering import open_lm
    from kataribe.cli.output import Waiting
    from kataribe.prove.evals.asking import answer_all

    with open_lm(load_settings(model=name), local=local) as lm, Waiting() as waiting:
        return asyncio.run(
            answer_all(
                lm,
                asked,
                max_tokens=max_tokens,
                told=lambda done: waiting.show(f"{name}: {done} of {len(asked)} answered"),
            )
        )


def _told(asked: list[Question], results: list[Result], shown: int) -> dict[str, Any]:
    from kataribe.base.messages import text_of
    from kataribe.prove.evals.scores import SCORES

    def bounds(found: Interval) -> dict[str, float]:
        return {"mean": found.mean, "low": found.low, "high": found.high}

    told: dict[str, Any] = {
        "questions": len(asked),
        "models": [
            {
                "name": each.name,
                "ended_by_itself": each.ended,
                **{name: bounds(each.mean(name)) for name in SCORES},
            }
            for each in results
        ],
        "samples": [
            {
                "question": text_of(question.prompt[-1]),
                "wanted": question.wanted,
                "answers": {each.name: each.answers[at].text for each in results},
            }
            for at, question in enumerate(asked[:shown])
        ],
    }
    if len(results) == 2:
        told["difference"] = {name: bounds(results[1].above(results[0], name)) for name in SCORES}
    return told


def _show(asked: list[Question], results: list[Result], shown: int) -> None:
    from kataribe.base.messages import text_of
    from kataribe.cli.output import say, table
    from kataribe.prove.evals.scores import SCORES

    def words(found: Interval) -> str:
        return f"{found.mean:.3f} ({found.low:.3f} to {found.high:.3f})"

    for at, question in enumerate(asked[:shown]):
        say(f"Q: {text_of(question.prompt[-1])}\n   wanted: {question.wanted}")
        for each in results:
            say(f"   {each.name}: {each.answers[at].text}")
    rows = [
        (each.name, *(words(each.mean(name)) for name in SCORES), f"{each.ended:.1%}")
        for each in results
    ]
    if len(results) == 2:
        better = (words(results[1].above(results[0], name)) for name in SCORES)
        gained = results[1].ended - results[0].ended
        rows.append(("difference", *better, f"{100 * gained:+.1f} points"))
    table((f"{len(asked)} QUESTIONS", *map(str.upper, SCORES), "ENDED BY ITSELF"), rows)
