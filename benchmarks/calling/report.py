"""Malformed answers and right ones in each way, and how sure the differences are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from benchmarks.calling.answered import FAULTS, Row, fault, faults, meant
from benchmarks.calling.bfcl import Question
from benchmarks.inference.report import verdict as reached
from benchmarks.sections import table
from kataribe.prove.evals.intervals import Interval, paired_share_difference, share

FREE = "free"
ARMS = {
    FREE: "held to nothing",
    "auto": "held; words or calls (`auto`)",
    "required": "held; must call (`required`)",
}
"""The ways in which every question is answered."""

GONE = 0.95
"""Wanted: this share of the malformed answers."""

Verdict = Callable[[Question, Sequence[tuple[str, Any]]], str]


@dataclass(frozen=True)
class Judged:
    """An answer: what is wrong with its calls and with its form, and what BFCL's judge says."""

    row: Row
    faults: Sequence[str]
    fault: str
    error: str

    @property
    def is_right(self) -> bool:
        """Every call is as it should be, and none is missing."""
        return not self.fault and not self.error


def text(
    model: str,
    rows: Mapping[tuple[str, str], Row],
    questions: Sequence[Question],
    arms: Sequence[str],
    verdict: Verdict,
) -> str:
    """The tables of all questions that were answered in every way."""
    whole = [each for each in questions if all((arm, each.id) in rows for arm in arms)]
    if not whole:
        return "No question has been answered in every way yet."
    judged = {arm: [_judged(rows[arm, each.id], each, verdict) for each in whole] for arm in arms}
    kinds = Counter(each.kind for each in whole)
    asked = " and ".join(f"{count} of `{kind}`" for kind, count in kinds.items())
    parts = [f"**{model}**: {asked}, greedy.", _forms(judged), _rights(judged, list(kinds))]
    parts += [_against(judged, arm) for arm in arms if arm != FREE and FREE in arms]
    parts.append(_cost(judged))
    return "\n\n".join(parts)


def _judged(row: Row, question: Question, verdict: Verdict) -> Judged:
    found = fault(row, question)
    return Judged(
        row,
        faults(row, question),
        found,
        "" if found == "failed" else verdict(question, meant(row)),
    )


def _forms(judged: Mapping[str, Sequence[Judged]]) -> str:
    rows = []
    for arm, answers in judged.items():
        counts = Counter(each.fault for each in answers)
        bad = share([float(bool(each.fault)) for each in answers])
        calls = [found for each in answers for found in each.faults]
        told = [str(len(calls)), str(sum(map(bool, calls)))]
        rows.append([ARMS[arm], *told, *(str(counts[name]) for name in FAULTS), _points(bad)])
    heads = ["", "calls", "of them malformed", *(f"answers: {name}" for name in FAULTS)]
    heads.append("malformed, of 100 (95 %)")
    return table(heads, rows)


def _rights(judged: Mapping[str, Sequence[Judged]], kinds: Sequence[str]) -> str:
    rows = []
    for arm, answers in judged.items():
        cells = [ARMS[arm]]
        for kind in (*kinds, None):
            right = [float(each.is_right) for each in answers if kind in (None, each.row.kind)]
            cells.append(f"{sum(right):g}/{len(right)}: {_points(share(right))}")
        rows.append(cells)
    return table(["right, of 100 (95 %)", *(f"`{kind}`" for kind in kinds), "both"], rows)


def _against(judged: Mapping[str, Sequence[Judged]], arm: str) -> str:
    """What holding changes: malformed answers that are gone, and the others' accuracy."""
    pairs = list(zip(judged[FREE], judged[arm], strict=True))
    broken = [(free, held) for free, held in pairs if free.fault]
    sound = [(free, held) for free, held in pairs if not free.fault]
    lines = [f"{ARMS[arm]}, against the same questions {ARMS[FREE]}:", ""]
    if broken:
        gone = share([float(not held.fault) for _, held in broken])
        lines.append(
            f"- of {len(broken)} malformed answers, {sum(not h.fault for _, h in broken)} are gone "
            f"({_points(gone)} of 100): {reached(gone.mean, GONE)}"
        )
    new = sum(bool(held.fault) for _, held in sound)
    lines.append(f"- answers that were well formed and are not any more: {new}")
    if sound:
        found = _difference(sound)
        changed = sum(free.is_right != held.is_right for free, held in sound)
        lines.append(
            f"- right among the {len(sound)} that were well formed without: "
            f"{_points(found, signed=True)} points ({changed} changed)"
        )
    lines.append(f"- right among all: {_points(_difference(pairs), signed=True)} points")
    return "\n".join(lines)


def _difference(pairs: Sequence[tuple[Judged, Judged]]) -> Interval:
    """By how much more is right, paired (Tango's interval: zero is out where McNemar's test is)."""
    return paired_share_difference(
        [float(held.is_right) for _, held in pairs], [float(free.is_right) for free, _ in pairs]
    )


def _cost(judged: Mapping[str, Sequence[Judged]]) -> str:
    rows = []
    for arm, answers in judged.items():
        cut = sum(each.row.reason == "length" for each in answers)
        rows.append(
            [
                ARMS[arm],
                f"{mean(each.row.prompt_tokens for each in answers):,.0f}",
                f"{mean(each.row.completion_tokens for each in answers):,.0f}",
                str(cut),
            ]
        )
    return table(["per answer", "tokens read", "tokens written", "came to their limit"], rows)


def _points(found: Interval, *, signed: bool = False) -> str:
    form = "{:+.1f}" if signed else "{:.1f}"
    middle = form.format(100 * found.mean)
    if not found.has_bounds:
        return f"{middle} (too few)"
    return f"{middle} ({form.format(100 * found.low)} to {form.format(100 * found.high)})"
