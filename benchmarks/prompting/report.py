"""Accuracy, tokens and seconds of each technique, and how sure the differences to zero-shot are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, median

from benchmarks.prompting.answered import Row
from benchmarks.sections import table
from kataribe.prove.evals.intervals import Interval, paired_share_difference, share

BASE = "zero-shot"
HEADS = [
    "technique", "right", "of 100 (95 %)", "above zero-shot (95 %)", "prompt tokens",
    "tokens written", "seconds, median", "seconds, mean",
]  # fmt: skip


def complete(rows: Mapping[tuple[str, int], Row], names: Sequence[str]) -> list[int]:
    """The problems that every technique has answered: only these are compared."""
    places = {place for _, place in rows}
    return sorted(place for place in places if all((name, place) in rows for name in names))


def text(rows: Mapping[tuple[str, int], Row], names: Sequence[str], at_once: int = 1) -> str:
    """The table and what it can show; `at_once` problems were worked on side by side."""
    places = complete(rows, names)
    if not places:
        return "No problem has been answered by all techniques yet."
    told = [_line(rows, name, places) for name in names]
    return f"{table(HEADS, told)}\n\n{_limits(rows, names, places)} {_beside(at_once)}"


def gain(rows: Mapping[tuple[str, int], Row], name: str, places: Sequence[int]) -> Interval:
    """How far a technique is above zero-shot on the same problems (Tango's paired interval)."""
    changed, base = ([float(rows[each, place].right) for place in places] for each in (name, BASE))
    return paired_share_difference(changed, base)


def _line(rows: Mapping[tuple[str, int], Row], name: str, places: Sequence[int]) -> list[str]:
    mine = [rows[name, place] for place in places]
    right = [float(row.right) for row in mine]
    above = ""
    if name != BASE and (BASE, places[0]) in rows:
        found = gain(rows, name, places)
        above = f"{_points(found)}{'' if _has_zero(found) else ' *'}"
    return [
        name,
        f"{sum(right):g}/{len(right)}",
        _points(share(right), signed=False),
        above,
        f"{mean(row.prompt_tokens for row in mine):,.0f}",
        f"{mean(row.completion_tokens for row in mine):,.0f}",
        f"{median(row.seconds for row in mine):.1f}",
        f"{mean(row.seconds for row in mine):.1f}",
    ]


def _points(found: Interval, *, signed: bool = True) -> str:
    form = "{:+.0f}" if signed else "{:.0f}"
    middle = form.format(100 * found.mean)
    if not found.has_bounds:
        return f"{middle} (too few problems)"
    return f"{middle} ({form.format(100 * found.low)} to {form.format(100 * found.high)})"


def _has_zero(found: Interval) -> bool:
    return found.low <= 0 <= found.high


def _beside(at_once: int) -> str:
    if at_once == 1:
        return "Problems were asked one at a time: the seconds are those of one person who waits."
    return (
        f"{at_once} problems were worked on side by side: the seconds compare techniques with each "
        "other, but one person who waits alone waits less."
    )


def _limits(
    rows: Mapping[tuple[str, int], Row], names: Sequence[str], places: Sequence[int]
) -> str:
    failed = sum(bool(rows[name, place].failure) for name in names for place in places)
    cut = sum(rows[name, place].reason == "length" for name in names for place in places)
    one = 100 / len(places)
    return (
        f"{len(places)} problems, the same for all; one problem is {one:.1f} points. The "
        "differences are paired, problem by problem; * leaves out zero, as McNemar's test would. "
        f"With {max(len(names) - 1, 0)} comparisons at 95 %, one in twenty would by chance. Tokens "
        f"and seconds are of all inner calls together, per problem. {failed} replies failed and "
        f"count as wrong, {cut} were cut at their limit. One model and one kind of problem: what "
        "pays here need not pay with a bigger model, or where answers are not numbers."
    )
