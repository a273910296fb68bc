"""The Markdown report: medians, ranges, ratios of the same round, and what was wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from benchmarks.inference.programs import OURS, PEERS
from benchmarks.inference.record import Rates
from benchmarks.inference.rounds import SINGLE, STREAMS

LINES = [*SINGLE, *STREAMS]
WANTED: dict[str, tuple[float | None, ...]] = dict(
    zip(
        LINES,
        ((2.5, 1.2, None), (0.6, None, 3.0), (0.4, None, 3.0), (2.5, 1.5, 2.0)),
        strict=True,
    )
)
"""Line -> ratio to each column of `PEERS`."""

BUSY = 0.15
"""Cores: work of others beyond this is said above the figures."""

Form = Callable[[float], str]


def spread(values: Sequence[float], form: Form = "{:.0f}".format) -> str:
    """Median with the smallest and largest value."""
    if len(values) == 1:
        return f"{form(values[0])} (once)"
    return f"{form(median(values))} ({form(min(values))} to {form(max(values))})"


def best_of(rates: dict[str, list[float]], prefix: str) -> str | None:
    """The program of these names with the highest median."""
    names = [name for name in rates if name.startswith(prefix)]
    return max(names, key=lambda name: median(rates[name]), default=None)


def ratios(rates: dict[str, list[float]], peer: str) -> list[float]:
    """Ours over the peer's, round by round (a round that was cut off lacks some)."""
    return [ours / theirs for ours, theirs in zip(rates.get(OURS, []), rates[peer], strict=False)]


def verdict(value: float, least: float | None = None, most: float | None = None) -> str:
    """`wanted 2.5: reached`."""
    reached = (least is None or value >= least) and (most is None or value <= most)
    bound = f"at least {least:g}" if least is not None else f"at most {most:g}"
    return f"wanted {bound}: {'reached' if reached else '**missed**'}"


def table(figures: Rates) -> str:
    """Tokens per second of all, and our ratios with what was to be reached."""
    rows = [
        f"| tokens per second | Kataribe | {' | '.join(PEERS)} |",
        "|---" * (len(PEERS) + 2) + "|",
    ]
    for line in LINES:
        rates = figures.get(line, {})
        if OURS not in rates:
            continue
        cells = [spread(rates[OURS])]
        for prefix, wanted in zip(PEERS.values(), WANTED[line], strict=True):
            peer = best_of(rates, prefix)
            if peer is None:
                cells.append("")
                continue
            of_rounds = ratios(rates, peer)
            cell = f"{spread(rates[peer])} [{peer}]; ratio {spread(of_rounds, '{:.2f}'.format)}"
            cells.append(f"{cell}, {verdict(median(of_rounds), wanted)}" if wanted else cell)
        rows.append(f"| {line} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def by_round(figures: Rates) -> str:
    """The ratio of every round to the best setting of each column."""
    found = ["Ratios round by round:", ""]
    for line in LINES:
        rates = figures.get(line, {})
        for column, prefix in PEERS.items():
            if peer := best_of(rates, prefix):
                values = ", ".join(f"{value:.2f}" for value in ratios(rates, peer))
                found.append(f"- {line}, {column}: {values}")
    return "\n".join(found)


def settings(trials: Rates) -> str:
    """Every setting that the round thrown away tried: the better of its trials."""
    rows = [
        "Tried in the round that is thrown away (the better of two, tokens per second):",
        "",
        "| setting | " + " | ".join(LINES) + " |",
        "|---" * (len(LINES) + 1) + "|",
    ]
    for name in dict.fromkeys(name for line in LINES for name in trials.get(line, {})):
        found = [trials.get(line, {}).get(name) for line in LINES]
        cells = [f"{max(values):.1f}" if values else "" for values in found]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def engine_lines(runs: dict[str, list[Any]]) -> list[str]:
    """Prefix reuse, fairness, gaps, what company changes."""
    seconds, found = "{:.3f} s".format, []
    if reuse := runs.get("reuse"):
        gain = [one["cold"] / one["warm"] for one in reuse]
        found.append(
            "First token of 32 new tokens after 1,000 old ones: "
            f"{spread([one['warm'] for one in reuse], seconds)} with prefix reuse, "
            f"{spread([one['cold'] for one in reuse], seconds)} without; ratio "
            f"{spread(gain, '{:.1f}'.format)}, {verdict(median(gain), least=10)}."
        )
    if fairness := runs.get("fairness"):
        column = {name: [one[name] for one in fairness] for name in fairness[0]}
        found.append(
            "64 streams, Jain's index of their tokens in the same time: "
            f"{spread(column['jain'], '{:.3f}'.format)}, "
            f"{verdict(median(column['jain']), least=0.95)}."
        )
        found.append(
            "Gap between tokens of these streams, all running, while 4,000 tokens are read: 99th "
            f"percentile {spread(column['p99'], seconds)}, "
            f"{verdict(median(column['p99']), most=0.25)}; longest "
            f"{spread(column['worst'], seconds)}; {spread(column['gaps'])} gaps counted, at least "
            f"{min(column['fewest']):.0f} of every stream; the prompt took "
            f"{spread(column['read_seconds'], '{:.1f} s'.format)}."
        )
    if batching := runs.get("batching"):
        differ = spread([one["differ"] for one in batching], "{:.0%}".format)
        found.append(
            f"Replies of 32 tokens that come out otherwise in company than alone, of "
            f"{batching[0]['replies']:.0f} to random prompts in this precision: {differ} "
            "(in float32 a test holds it at none)."
        )
    return found


def process_lines(runs: dict[str, list[Any]]) -> list[str]:
    """The cold start and memory."""
    found = []
    if ask := runs.get("ask"):
        found.append(
            "`kataribe ask`, cold process to first word: "
            f"{spread(ask, '{:.2f} s'.format)}, {verdict(median(ask), most=3)}."
        )
    megabytes: dict[str, list[float]] = {}
    for one in runs.get("memory", []):
        megabytes.setdefault(one["program"], []).append(one["worked"] / 1e6)
    theirs = [name for name in megabytes if name != OURS]
    if theirs:
        smallest = min(theirs, key=lambda name: median(megabytes[name]))
        ratio = median(megabytes[OURS]) / median(megabytes[smallest])
        each = "; ".join(f"{name} {spread(values)}" for name, values in megabytes.items())
        found.append(
            "Memory in MB beyond what was there before loading, after work, room for 1,280 tokens: "
            f"{each}; ratio to the smallest {ratio:.2f}, {verdict(ratio, most=1.3)}."
        )
    return found


def conditions(data: dict[str, Any]) -> str:
    """Machine, versions and load; a warning when others computed."""
    machine, run, rounds = data["machine"], data["run"], data["rounds"]
    gigabytes = machine["memory"] / 2**30
    found = [
        f"- {machine['processor']}, {machine['cores']} cores, {gigabytes:.0f} GiB",
        f"- {', '.join(machine['features'])}; {machine['system']}",
        f"- 2 threads each; {run['rounds']} rounds after one thrown away; begun {data['begun']}",
        *(f"- {name}: {told}" for name, told in (machine["versions"] | data["versions"]).items()),
    ]
    if not rounds:
        return "\n".join(found)
    others = [one["others"] for one in rounds]
    loads = ", ".join(
        f"{one['part']}: {one['load_before']:.1f}/{one['others']:.2f}" for one in rounds
    )
    found.append(f"- load average before each round / cores that others kept busy in it: {loads}")
    if max(others) > BUSY:
        disturbed = sum(value > BUSY for value in others)
        found.insert(
            0,
            f"**WARNING: others computed on this machine in {disturbed} of {len(rounds)} rounds "
            f"(up to {max(others):.1f} cores). These figures are not those of a quiet machine.**\n",
        )
    return "\n".join(found)


def text(data: dict[str, Any]) -> str:
    """The whole report of what is there so far."""
    lines = [f"- {line}" for line in engine_lines(data["runs"]) + process_lines(data["runs"])]
    found = [conditions(data)]
    if data["figures"]:
        found += [table(data["figures"]), by_round(data["figures"])]
    found.append("\n".join(lines))
    if data["trials"]:
        found.append(settings(data["trials"]))
    return "\n\n".join(part for part in found if part)
