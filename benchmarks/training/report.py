"""What the parts of the training benchmark say in Markdown, for the eye and for docs/."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks.inference.report import BUSY, spread, verdict
from benchmarks.sections import table
from benchmarks.training.shapes import SHAPES
from benchmarks.training.speed import ADAMW, BARE, OURS, TRAINER

FASTER, SHARE = 1.3, 0.5
"""Wanted: ours over the Trainer, and over products alone."""


def conditions(data: dict[str, Any]) -> str:
    """Machine, versions and load; a warning where others computed."""
    machine = data["machine"]
    found = [
        f"- {machine['processor']}, {machine['cores']} cores, {machine['memory'] / 2**30:.0f} GiB; "
        f"{', '.join(machine['features'])}; two threads; begun {data['begun']}",
        *(f"- {name}: {told}" for name, told in (machine["versions"] | data["versions"]).items()),
    ]
    others = {one["part"]: one["others"] for one in data["rounds"]}
    if others:
        told = ", ".join(f"{part}: {value:.2f}" for part, value in others.items())
        found.append(f"- cores that others kept busy: {told}")
    if max(others.values(), default=0.0) > BUSY:
        found.insert(
            0,
            f"**WARNING: others computed on this machine (up to {max(others.values()):.1f} "
            "cores). These figures are not those of a quiet machine.**\n",
        )
    return "\n".join(found)


def ratios(rates: dict[str, list[float]], one: str, other: str) -> list[float]:
    """One over the other, round by round."""
    return [a / b for a, b in zip(rates.get(one, []), rates.get(other, []), strict=False)]


def against(values: Sequence[float], wanted: float | None) -> str:
    """Median and range of ratios, with what was wanted."""
    if not values:
        return ""
    told = spread(values, "{:.2f}".format)
    return told if wanted is None else f"{told}, {verdict(median(values), wanted)}"


def speed(data: dict[str, Any]) -> str:
    """Tokens per second."""
    rows = []
    for name, rates in data["figures"].items():
        parameters = SHAPES[name].parameters / 1e6
        cells = [f"{name} ({parameters:.1f} M)"]
        cells += [spread(rates[who]) if rates.get(who) else "" for who in (OURS, ADAMW, TRAINER)]
        cells += [
            against(ratios(rates, OURS, TRAINER), FASTER),
            against(ratios(rates, ADAMW, TRAINER), None),
            spread(rates[BARE]) if rates.get(BARE) else "",
            against(ratios(rates, OURS, BARE), SHARE),
        ]
        rows.append(cells)
    heads = [
        "tokens per second", OURS, ADAMW, TRAINER, f"{OURS} / {TRAINER}", f"{ADAMW} / {TRAINER}",
        BARE, f"{OURS} / {BARE}",
    ]  # fmt: skip
    parts = [conditions(data)]
    if rows:
        parts.append(table(heads, rows))
    if data["trials"]:
        tried = [
            [size, name, f"{max(values):.0f}"]
            for size, rates in data["trials"].items()
            for name, values in sorted(rates.items(), key=lambda item: -max(item[1]))
        ]
        parts.append(f"Settings tried, one step each:\n\n{table(['', '', 'tokens/s'], tried)}")
    return "\n\n".join(parts)
