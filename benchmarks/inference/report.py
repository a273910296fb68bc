"""Figures to a Markdown table and JSON: medians, ranges, and ratios of the same round."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

from benchmarks.inference.measure import OURS, SINGLE, STREAMS, Figures

TARGETS: dict[str, tuple[float | None, float | None, float | None]] = {
    "prefill of 512 tokens": (2.5, 1.2, None),
    "one stream at 128 tokens": (0.6, None, 3.0),
    "one stream at 1,024 tokens": (0.4, None, 3.0),
    STREAMS: (2.5, 1.5, 2.0),
}
"""Line -> ratio to llama.cpp on the shipped file, on its best format, to transformers."""


def spread(values: Sequence[float], form: Callable[[float], str] = "{:.0f}".format) -> str:
    """Median with the smallest and largest value."""
    return f"{form(median(values))} ({form(min(values))} to {form(max(values))})"


def best_of(figures: Figures, line: str, prefix: str) -> str:
    """The setting of a peer with the highest median."""
    names = [name for key, name in figures if key == line and name.startswith(prefix)]
    return max(names, key=lambda name: median(figures[line, name]))


def ratios(figures: Figures, line: str, peer: str) -> list[float]:
    """Ours over the peer's, round by round."""
    pairs = zip(figures[line, OURS], figures[line, peer], strict=True)
    return [ours / theirs for ours, theirs in pairs]


def table(figures: Figures) -> str:
    """Tokens per second of all, and our ratios with what was to be reached."""
    head = "| tokens per second | Kataribe | llama.cpp, shipped file | llama.cpp, best format | "
    rows = [head + "transformers |", "|---|---|---|---|---|"]
    for line in (*SINGLE, STREAMS):
        cells = [spread(figures[line, OURS])]
        prefixes = ("llama.cpp shipped", "llama.cpp", "transformers")
        for prefix, target in zip(prefixes, TARGETS[line], strict=True):
            peer = best_of(figures, line, prefix)
            wanted = "" if target is None else f", wanted {target:g}"
            ratio = spread(ratios(figures, line, peer), "{:.2f}".format)
            setting = peer.removeprefix("llama.cpp ")
            cells.append(f"{spread(figures[line, peer])} [{setting}]; ratio {ratio}{wanted}")
        rows.append(f"| {line} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def all_settings(figures: Figures) -> str:
    """Every setting of every program that was tried."""
    lines = [*SINGLE, STREAMS]
    names = list(dict.fromkeys(name for _, name in figures))
    rows = ["| setting | " + " | ".join(lines) + " |", "|---" * (len(lines) + 1) + "|"]
    for name in names:
        cells = [spread(figures[line, name]) if (line, name) in figures else "" for line in lines]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def engine_lines(found: dict[str, list[dict[str, float]]]) -> str:
    """Prefix reuse and fairness."""
    reuse, fairness, batching = found["reuse"], found["fairness"], found["batching"][0]
    seconds, index = "{:.3f} s".format, "{:.3f}".format
    gain = [one["cold"] / one["warm"] for one in reuse]
    return "\n".join(
        (
            (
                "- First token of 32 new tokens after 1,000 old ones: "
                f"{spread([one['warm'] for one in reuse], seconds)} with prefix reuse, "
                f"{spread([one['cold'] for one in reuse], seconds)} without; "
                f"ratio {spread(gain, '{:.1f}'.format)}, wanted 10."
            ),
            (
                "- 64 streams: Jain's index "
                f"{spread([one['jain'] for one in fairness], index)}, wanted 0.95; gap "
                "between tokens while 4,000 are read beside them, 99th percentile: "
                f"{spread([one['p99'] for one in fairness], seconds)}, wanted at most 0.250 s."
            ),
            (
                f"- Replies of 32 tokens that differ between alone and in company, of "
                f"{batching['replies']:.0f} to random prompts in this precision: "
                f"{batching['differ']:.0%} (in float32 a test holds it at none)."
            ),
        )
    )


def memory_lines(growth: dict[str, float]) -> str:
    """Growth of resident memory by program."""
    shipped = {name: value for name, value in growth.items() if "shipped" in name}
    smallest = min(shipped, key=lambda name: shipped[name])
    ratio = growth[OURS] / shipped[smallest]
    return (
        f"- Memory beyond what was there before loading, after all rounds, room for 1,280 tokens: "
        f"Kataribe {growth[OURS] / 1e6:.0f} MB, llama.cpp on the shipped file "
        f"{shipped[smallest] / 1e6:.0f} MB ({smallest}); ratio {ratio:.2f}, wanted at most 1.30."
    )
