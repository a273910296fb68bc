"""What the parts of the training benchmark say in Markdown, for the eye and for docs/."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from benchmarks.inference.report import BUSY, spread, verdict
from benchmarks.sections import table
from benchmarks.training.plot import Point
from benchmarks.training.prediction import LEAST, LIMITS, missed, off
from benchmarks.training.quality import PEER, gains, interval
from benchmarks.training.shapes import SHAPES
from benchmarks.training.speed import ADAMW, BARE, OURS, TRAINER

FASTER, SHARE, FEWER = 1.3, 0.5, 0.05
"""Wanted: ours over the Trainer, over products alone, and bits fewer than the recipe's."""


def conditions(data: dict[str, Any]) -> str:
    """Machine, versions and load; a warning where others computed."""
    machine = data["machine"]
    found = [
        f"- {machine['processor']}, {machine['cores']} cores, {machine['memory'] / 2**30:.0f} GiB",
        f"- {', '.join(machine['features'])}; two threads; begun {data['begun']}",
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
        parts.append(
            "Settings tried, the middle one of three steps each; the two fastest again, and the "
            f"better of their two:\n\n{table(['', '', 'tokens/s'], tried)}"
        )
    return "\n\n".join(parts)


def trained(who: str, one: dict[str, Any]) -> list[str]:
    """One training as a row."""
    return [
        who if who == OURS else f"{who} {one['size']}",
        str(one["seed"]),
        f"{one['parameters'] / 1e6:.2f} M",
        f"{one['context']}",
        f"{one['tokens'] / 1e6:.2f} M",
        f"{one['steps']:,}",
        f"{one['seconds']:.1f}",
        f"{one['bits_per_byte']:.4f}",
        one.get("unlike") or one.get("read") or "within documents",
    ]


def quality(data: dict[str, Any]) -> str:
    """Bits per byte after the same time."""
    runs, parts = data["runs"], [conditions(data)]
    if told := runs.get("held out"):
        parts.append(
            f"Corpus {told['corpus']}: {told['train tokens']:,} tokens to learn from "
            f"({told['vocabulary']:,} pieces, the same tokenizer for both); judged by all "
            f"{told['scored']:,} tokens of {told['documents']:,} held-out documents, "
            f"{told['bytes']:,} bytes. Each token is given up to the model's own context of what "
            "stands before it, at least half of it beyond the first; float32."
        )
    rows = [trained(who, one) for who in (OURS, PEER) for one in runs.get(who, [])]
    if rows:
        heads = [
            "", "seed", "parameters", "context", "tokens", "steps", "seconds of steps",
            "bits per byte", "read",
        ]  # fmt: skip
        parts.append(table(heads, rows))
    if found := gains(runs):
        mean, wide = interval(found)
        told = ", ".join(f"{each:.1%}" for each in found)
        parts.append(
            f"Fewer bits per byte than the recipe's best size: {mean:.1%} (95 % interval "
            f"{mean - wide:.1%} to {mean + wide:.1%} over {len(found)} seeds: {told}), "
            f"{verdict(mean, FEWER)}; the interval "
            f"{'excludes' if mean > wide else '**does not exclude**'} zero."
        )
    elif runs.get(PEER):
        parts.append("**Nothing can be compared: no training of the recipe took our time.**")
    left_out = [one for one in runs.get(PEER, []) if "unlike" in one]
    if left_out:
        named = ", ".join(f"{one['size']} with seed {one['seed']}" for one in left_out)
        parts.append(f"**Left out**, for their time was not ours: {named}.")
    return "\n\n".join(parts)


def predicted(data: dict[str, Any]) -> str:
    """What was said before and what came."""
    runs = data["runs"].get("predicted", [])
    forms: dict[str, Callable[[float], str]] = {
        "bits_per_byte": "{:.3f}".format,
        "seconds": "{:.0f} s".format,
        "memory_bytes": lambda value: f"{value / 1e6:.0f} MB",
        "tokens": lambda value: f"{value / 1e6:.2f} M",
    }
    rows = []
    for run in runs:
        cells = [run["asked"], f"{run['found']['parameters'] / 1e6:.2f} M"]
        for name, form in forms.items():
            away = off(run, name)
            cells.append(
                "missing"
                if away is None
                else f"{form(run['expected'][name])} / {form(run['found'][name])} ({away:+.1%})"
            )
        rows.append(cells)
    heads = ["asked for", "parameters", *(f"{name}: said / came" for name in forms)]
    limits = ", ".join(f"{name} within {limit:.0%}" for name, limit in LIMITS.items())
    wrong = missed(runs)
    judged = f"**missed**: {'; '.join(wrong)}" if wrong else "reached"
    said = f"Wanted over at least {LEAST} runs: {limits}: {judged}."
    return "\n\n".join([conditions(data), table(heads, rows), said])


def points(data: dict[str, Any]) -> list[Point]:
    """The runs as points of the scaling plot."""
    found = []
    for run in data["runs"].get("predicted", []):
        bits, said = run["found"].get("bits_per_byte"), run["expected"]
        if bits:
            label = f"{run['found']['parameters'] / 1e6:.1f} M"
            found.append(
                Point(
                    run["operations"],
                    bits,
                    said.get("bits_per_byte"),
                    said.get("bits_per_byte_low"),
                    said.get("bits_per_byte_high"),
                    label,
                )
            )
    return found
