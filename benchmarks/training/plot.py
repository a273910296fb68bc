"""The scaling plot: bits per byte of our own models over the work that went into them, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDE, HIGH = 720, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 28, 56
INK, FAINT, FOUND, EXPECTED = "#57606a", "#8b949e44", "#0a7d6c", "#c2571a"
"""Middle tones, that are seen on white and on black."""


@dataclass(frozen=True)
class Point:
    """One model.

    Attributes:
        operations: Floating-point operations of its training.
        bits: Bits per byte of held-out text that came.
        expected: What was said before; None where nothing was.
        low: The interval's lower end.
        high: The interval's upper end.
        label: Beside the point.
    """

    operations: float
    bits: float
    expected: float | None
    low: float | None
    high: float | None
    label: str


def draw(points: Sequence[Point]) -> str:
    """An SVG file's text; raises `ValueError` for no points."""
    if not points:
        raise ValueError("There is no model to draw.")
    seen = [
        value for one in points for value in (one.bits, one.expected, one.low, one.high) if value
    ]
    x0 = math.floor(math.log10(min(one.operations for one in points)) * 2) / 2
    x1 = math.ceil(math.log10(max(one.operations for one in points)) * 2 + 0.4) / 2
    y0, y1 = math.floor(min(seen) * 10 - 0.5) / 10, math.ceil(max(seen) * 10 + 0.5) / 10

    def x(operations: float) -> float:
        return LEFT + (math.log10(operations) - x0) / (x1 - x0) * (WIDE - LEFT - RIGHT)

    def y(bits: float) -> float:
        return TOP + (y1 - bits) / (y1 - y0) * (HIGH - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {HIGH}" role="img">',
        f'<g font-family="system-ui, sans-serif" font-size="12" fill="{INK}">',
        "<title>Bits per byte of held-out text over the work of training</title>",
    ]
    for power in range(math.ceil(x0), math.floor(x1) + 1):
        parts.append(_line(x(10.0**power), TOP, x(10.0**power), HIGH - BOTTOM, FAINT))
        parts.append(_text(x(10.0**power), HIGH - BOTTOM + 18, f"10^{power}", "middle"))
    step = 0.1 if y1 - y0 <= 1 else 0.25 if y1 - y0 <= 2.5 else 0.5
    for count in range(math.ceil(y0 / step), math.floor(y1 / step) + 1):
        bits = count * step
        parts.append(_line(LEFT, y(bits), WIDE - RIGHT, y(bits), FAINT))
        parts.append(_text(LEFT - 8, y(bits) + 4, f"{bits:.2f}", "end"))
    for one in sorted(points, key=lambda each: each.operations):
        at = x(one.operations)
        if one.low and one.high:
            parts.append(_line(at, y(one.low), at, y(one.high), EXPECTED))
        if one.expected:
            parts.append(
                f'<circle cx="{at:.1f}" cy="{y(one.expected):.1f}" r="5" fill="none" '
                f'stroke="{EXPECTED}" stroke-width="1.5"/>'
            )
        parts.append(f'<circle cx="{at:.1f}" cy="{y(one.bits):.1f}" r="3.5" fill="{FOUND}"/>')
        parts.append(_text(at + 9, y(one.bits) - 6, one.label, "start"))
    middle = (LEFT + WIDE - RIGHT) / 2
    parts += [
        _text(middle, HIGH - 14, "floating-point operations of training", "middle"),
        _text(LEFT, 16, "bits per byte of held-out text", "start"),
        f'<circle cx="{WIDE - 230}" cy="12" r="3.5" fill="{FOUND}"/>',
        _text(WIDE - 221, 16, "came", "start"),
        f'<circle cx="{WIDE - 170}" cy="12" r="5" fill="none" stroke="{EXPECTED}"/>',
        _text(WIDE - 160, 16, "said before, interval", "start"),
        "</g>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _line(x0: float, y0: float, x1: float, y1: float, colour: str) -> str:
    return (
        f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="{colour}" '
        'stroke-width="1.2"/>'
    )


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
