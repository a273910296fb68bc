"""The report: one table, what was seen besides, and the machine it was seen on."""

from __future__ import annotations

from typing import Any

from benchmarks.studio.figures import LINES, Figures, percentile

BUSY = 0.15
"""Cores: work of others beyond this is said above the figures."""


def amount(value: float, unit: str) -> str:
    """`12 ms`, `0.8 ms`, `3`."""
    shown = f"{value:,.1f}" if 0 < abs(value) < 10 and value != int(value) else f"{value:,.0f}"
    return f"{shown} {unit}".strip()


def row(figures: Figures) -> str:
    """A line of the table."""
    line, values = figures.line, figures.values
    middle, high = percentile(values, 50), percentile(values, 95)
    spread = f"{amount(min(values), line.unit)} to {amount(max(values), line.unit)}"
    if not line.unit:
        middle_shown, high_shown = f"{sum(values):,.0f} in all", ""
    else:
        middle_shown, high_shown = amount(middle, line.unit), amount(high, line.unit)
    wanted = ""
    if line.wanted is not None:
        bound = "under" if line.under else "at most"
        whose = {95: "p95 "}.get(line.at, "")
        wanted = f"{whose}{bound} {amount(line.wanted, line.unit)}: {figures.verdict()}"
    cells = (line.name, middle_shown, high_shown, spread, f"{len(values):,}", wanted, line.theirs)
    return "| " + " | ".join(cells) + " |"


def table(found: dict[str, dict[str, Any]]) -> str:
    """All lines that were measured, in their order."""
    rows = [
        "| | p50 | p95 | range | repeats | wanted | Open WebUI (theirs, not measured here) |",
        "|---|---|---|---|---|---|---|",
    ]
    every = [Figures(LINES[key], **found[key]) for key in LINES if key in found]
    return "\n".join([*rows, *(row(each) for each in every if each.values)])


def besides(found: dict[str, dict[str, Any]]) -> str:
    """What was seen beside the figures."""
    told = []
    for key, line in LINES.items():
        said = "; ".join(part for part in (line.why, found.get(key, {}).get("said", "")) if part)
        if key in found and said:
            told.append(f"- {line.name}: {said}")
    return "\n".join(told)


def conditions(data: dict[str, Any]) -> str:
    """Machine, sizes and load; a warning when others computed."""
    machine, run, rounds = data["machine"], data["run"], data["rounds"]
    memory, versions = machine["memory"] / 2**30, machine["versions"] | data["versions"]
    found = [
        f"- {machine['processor']}, {machine['cores']} cores, {memory:.0f} GiB",
        f"- {machine['system']}",
        f"- begun {data['begun']}; Chromium without a window, 1280x800; {told(run)}",
        *(f"- {name}: {version}" for name, version in versions.items()),
    ]
    if run.get("quick"):
        found.insert(0, "**A quick run on small data: no figures, only a look whether it runs.**\n")
    if rounds:
        loads = ", ".join(
            f"{one['part']}: {one['load_before']:.1f} to {one['load_after']:.1f}, "
            f"{one['others']:.2f}"
            for one in rounds
        )
        found.append(f"- load average before and after / cores that others kept busy: {loads}")
        disturbed = [one["part"] for one in rounds if one["others"] > BUSY]
        if disturbed:
            most = max(one["others"] for one in rounds)
            found.insert(
                0,
                f"**WARNING: others computed on this machine during {', '.join(disturbed)} (up to "
                f"{most:.1f} cores). These figures are not those of a quiet machine.**\n",
            )
    return "\n".join(found)


def told(run: dict[str, Any]) -> str:
    """How the run was asked for."""
    return ", ".join(f"{name} {value}" for name, value in run.items() if name != "parts")


def text(data: dict[str, Any]) -> str:
    """The whole report of what is there so far."""
    parts = [conditions(data), table(data["figures"]), besides(data["figures"])]
    if data["runs"]:
        parts += [
            f"### {name}\n\n" + "\n".join(f"- {line}" for line in lines)
            for name, lines in data["runs"].items()
        ]
    return "\n\n".join(part for part in parts if part)
