"""`kataribe eval`: held-out questions, answered and scored; two models with an interval."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kataribe.cli import options

if TYPE_CHECKING:
    from kataribe.prove.evals.asking import Result
    from kataribe.prove.evals.kept import Kept
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
    results: Annotated[
        Path | None,
        typer.Option(
            "--results", help="Folder that keeps every answer [default: evals of the workspace]."
        ),
    ] = None,
    local: options.Local = False,
    as_json: options.Json = False,
) -> None:
    """Ask a model held-out questions and score its answers; with --base, say who is better.

    Scores run from 0 to 1: exact answers, words in common (token_f1), characters in common (chrf).
    Intervals are of 95 %, over the items that questions are about: for exact answers and turns
    that ended those of the score test (Wilson's, and Tango's for a difference), for the others the
    middle of 10,000 resamples, where there are 20 items. Differences are paired. A question that
    cannot be asked counts as failed. Every answer is kept as it comes: the same command goes on
    where a stopped one was.
    """
    from kataribe.cli.eval_shown import as_told, show
    from kataribe.cli.output import emit_json
    from kataribe.prove.evals.kept import Asked, kept
    from kataribe.prove.evals.questions import read_questions

    asked = read_questions(_place(questions), most)
    folder = results if results is not None else _evals()
    names = [base, model] if base is not None else [model]
    files = kept(
        folder, [Asked.of(name, _weights(name), asked, max_tokens) for name in names], asked
    )
    found = [
        _ask(name, asked, max_tokens, file, local=local)
        for name, file in zip(names, files, strict=True)
    ]
    if as_json:
        emit_json(as_told(found, shown))
    else:
        show(found, shown)


def _place(questions: str) -> Path:
    from kataribe.base.workspace import Workspace

    path = Path(questions).expanduser()
    return path if path.exists() else Workspace.locate().corpora / questions


def _evals() -> Path:
    from kataribe.base.workspace import Workspace

    return Workspace.locate().root / "evals"


def _ask(name: str, asked: list[Question], max_tokens: int, kept: Kept, *, local: bool) -> Result:
    import asyncio

    from kataribe.base.settings import load_settings
    from kataribe.cli.answering import open_lm
    from kataribe.cli.output import Waiting, note
    from kataribe.prove.evals.asking import Answer, answer_all

    done = len(kept.known)
    if done:
        note(f"{name}: going on after {done} of {len(asked)} answers in {kept.path}.")

    def keep(question: Question, answer: Answer) -> None:
        nonlocal done
        kept.add(question, answer)
        done += 1
        waiting.show(f"{name}: {done} of {len(asked)} answered")

    try:
        with open_lm(load_settings(model=name), local=local) as lm, Waiting() as waiting:
            return asyncio.run(
                answer_all(lm, asked, max_tokens=max_tokens, known=kept.known, told=keep)
            )
    except BaseException:
        if 0 < done < len(asked):
            note(f"{done} of {len(asked)} answers of {name} are kept; the same command goes on.")
        raise


def _weights(name: str) -> str:
    """What changes when a model of this name is made anew; empty for one that is not here."""
    from kataribe.base.errors import KataribeError
    from kataribe.base.workspace import Workspace
    from kataribe.run.catalog.catalog import Catalog

    try:
        path = Catalog(Workspace.locate()).path_of(name)
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        stats = [(file.name, file.stat()) for file in files]
    except (KataribeError, OSError):
        return ""
    return " ".join(f"{name}:{stat.st_size}:{stat.st_mtime_ns}" for name, stat in stats)
