"""What an evaluation found, as JSON and as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kataribe.base.messages import text_of
from kataribe.cli.output import note, say, table
from kataribe.prove.evals.asking import SAMPLING
from kataribe.prove.evals.intervals import LEAST_ITEMS, LEAST_PAIRS
from kataribe.prove.evals.scores import SCORES

if TYPE_CHECKING:
    from kataribe.prove.evals.asking import Result
    from kataribe.prove.evals.intervals import Interval

_MOST_REASONS = 3
"""Different reasons of failures that are told."""
_FEW = "too few items"


def as_told(results: Sequence[Result], shown: int) -> dict[str, Any]:
    """For programs: of each model, of each kind of question, and samples."""
    first = results[0]
    told = _part(results)
    if any(first.kinds):
        told["kinds"] = {
            kind: _part([each.of_kind(kind) for each in results]) for kind in first.kinds
        }
    told["samples"] = [
        {
            "question": text_of(question.prompt[-1]),
            "wanted": question.wanted,
            "answers": {each.name: each.answers[at].text for each in results},
        }
        for at, question in enumerate(first.questions[:shown])
    ]
    return told


def _part(results: Sequence[Result]) -> dict[str, Any]:
    """Of all questions, or those of one kind."""
    told: dict[str, Any] = {
        "questions": len(results[0].questions),
        "items": len(set(results[0].items)),
        "models": [
            {
                "name": each.name,
                "ended_by_itself": each.ended.mean,
                "ended_by_itself_interval": _bounds(each.ended),
                "asked_with": SAMPLING,
                "left_out": each.left_out,
                "failed": len(each.failures),
                "failures": dict(Counter(each.failures).most_common(_MOST_REASONS)),
                **{name: _bounds(each.mean(name)) for name in SCORES},
            }
            for each in results
        ],
    }
    if len(results) == 2:
        base, model = results
        told["difference"] = {
            **{name: _bounds(model.above(base, name)) for name in SCORES},
            "ended_by_itself": _bounds(model.ended_above(base)),
        }
    return told


def _bounds(found: Interval) -> dict[str, float | None]:
    """Bounds are null where there are too few items for any."""
    low, high = (found.low, found.high) if found.has_bounds else (None, None)
    return {"mean": found.mean, "low": low, "high": high}


def show(results: Sequence[Result], shown: int) -> None:
    """For people: some questions with their answers, a table of all, one by kind."""
    first = results[0]
    for at, question in enumerate(first.questions[:shown]):
        say(f"Q: {text_of(question.prompt[-1])}\n   wanted: {question.wanted}")
        for each in results:
            say(f"   {each.name}: {each.answers[at].text}")
    count, items = len(first.questions), len(set(first.items))
    headings = (*map(str.upper, SCORES), "ENDED BY ITSELF", "FAILED")
    asked = f"{count} QUESTIONS, {items} ITEMS"
    all_rows = rows = _rows(results)
    table((asked, *headings), rows)
    if len(first.kinds) > 1:
        rows = [
            (f"{kind or '-'} ({len(part[0].questions)})", *row)
            for kind in first.kinds
            for part in [[each.of_kind(kind) for each in results]]
            for row in _rows(part)
        ]
        table(("KIND", "MODEL", *headings), rows)
        all_rows = [*all_rows, *rows]
    if any(_FEW in cell for row in all_rows for cell in row):
        note(
            f"{_FEW}: bounds need at least {LEAST_ITEMS}, and those of a difference of exact "
            f"answers or of turns that ended {LEAST_PAIRS}."
        )
    for each in results:
        _note_sampling(each)
        for reason, times in Counter(each.failures).most_common(_MOST_REASONS):
            note(f"{each.name}: {times} of {count} questions failed: {reason}")


def _note_sampling(result: Result) -> None:
    """How answers were drawn: whoever compares models has to know where they differ in it."""
    count, left_out = len(result.questions), result.left_out
    used = [f"{name} {value}" for name, value in SAMPLING.items() if left_out.get(name, 0) < count]
    note(f"{result.name}: asked with {' and '.join(used) or 'its own sampling'}.")
    for name, times in left_out.items():
        note(
            f"{result.name}: {times} of {count} questions were asked without {name}, which it does "
            "not take; asked again, it may answer otherwise."
        )


def _rows(results: Sequence[Result]) -> list[tuple[str, ...]]:
    rows = [
        (
            each.name,
            *(_words(each.mean(name)) for name in SCORES),
            _percent(each.ended),
            str(len(each.failures)),
        )
        for each in results
    ]
    if len(results) == 2:
        base, model = results
        more = len(model.failures) - len(base.failures)
        better = [_words(model.above(base, name)) for name in SCORES]
        rows.append(("difference", *better, _points(model.ended_above(base)), f"{more:+d}"))
    return rows


def _words(found: Interval) -> str:
    bounds = f"{found.low:.3f} to {found.high:.3f}" if found.has_bounds else _FEW
    return f"{found.mean:.3f} ({bounds})"


def _percent(found: Interval) -> str:
    return f"{found.mean:.1%} ({found.low:.1%} to {found.high:.1%})"


def _points(found: Interval) -> str:
    mean, low, high = (100 * each for each in (found.mean, found.low, found.high))
    bounds = f"{low:+.1f} to {high:+.1f}" if found.has_bounds else _FEW
    return f"{mean:+.1f} points ({bounds})"
