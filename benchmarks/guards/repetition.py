"""How soon the guard `repetition` stops loops, and how often it stops ordinary replies.

Tokens are those of real models' tokenizers; where none is installed, the report says so.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from benchmarks.guards.ordinary import Text, library, measured_on, piece
from benchmarks.sections import table
from kataribe.make.tokens.load import load_tokenizer
from kataribe.make.tokens.tokenizer import Tokenizer
from kataribe.prove.evals.intervals import Interval, share
from kataribe.use.guards.repetition import LoopFinder

Spans: TypeAlias = Sequence[tuple[int, int, int]]
"""Of each token its id and the characters from, to."""

WANTED = 64
LOOPS = 600
MODELS = ("smollm2-135m", "qwen2.5-coder-1.5b")
CUTS = (1, 8)
"""Tokens in a piece."""


def report(data: Path, home: Path) -> str:
    """The table."""
    draw = random.Random(11)
    ordinary = replies(data, draw)
    rows = []
    for name, tokenizer in tokenizers(home):
        loops = [loop(draw, [each.text for each in ordinary]) for _ in range(LOOPS)]
        looped = [(text, tokenizer.encode_spans(text), third) for text, third in loops]
        fine = [(each.text, tokenizer.encode_spans(each.text)) for each in ordinary]
        for told in (True, False):
            for cut in CUTS:
                how = f"{name}, {cut} a piece, {'counted' if told else 'not counted'}"
                rows.append(_row(how, looped, fine, told=told, cut=cut))
                print(" | ".join(rows[-1]), flush=True)
    heads = [
        "tokens",
        f"loops stopped within {WANTED} tokens, %",
        "tokens after the third repeat: median, p95, most",
        "ordinary replies stopped, %",
    ]
    kinds: dict[str, int] = {}
    for each in ordinary:
        kinds[each.source] = kinds.get(each.source, 0) + 1
    said = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return f"{table(heads, rows)}\n\nOrdinary replies: {said}."


def tokenizers(home: Path) -> Iterator[tuple[str, Tokenizer]]:
    """Those of the models that are installed."""
    for name in MODELS:
        for path in sorted((home / "models" / name).glob("*.gguf")):
            yield name, load_tokenizer(path)


def _row(
    how: str,
    loops: Sequence[tuple[str, Spans, int]],
    ordinary: Sequence[tuple[str, Spans]],
    *,
    told: bool,
    cut: int,
) -> list[str]:
    late = sorted(stopped_after(pieces(*each[:2], cut), each[2], told=told) for each in loops)
    soon = share([float(each <= WANTED) for each in late])
    false = share([float(is_stopped(pieces(*each, cut), told=told)) for each in ordinary])
    middle, high = late[len(late) // 2], late[int(0.95 * len(late))]
    return [
        how,
        f"{_percent(soon)}; {len(late)})",
        f"{middle}, {high}, {late[-1]}",
        f"{_percent(false)}; {len(ordinary)})",
    ]


def _percent(found: Interval) -> str:
    return f"{100 * found.mean:.2f} ({100 * found.low:.2f} to {100 * found.high:.2f}"


def pieces(text: str, spans: Spans, cut: int) -> Iterator[tuple[str, int, int]]:
    """The text as a model would send it: piece, tokens up to its end, its end."""
    at = 0
    for place in range(cut - 1, len(spans) + cut - 1, cut):
        last = min(place, len(spans) - 1)
        end = max(at, spans[last][2]) if last < len(spans) - 1 else len(text)
        if end > at:
            yield text[at:end], last + 1, end
        at = end


def stopped_after(sent: Iterable[tuple[str, int, int]], third: int, *, told: bool) -> int:
    """Tokens from the end of the third repeat (a place in the text) to the stop."""
    finder = LoopFinder()
    begun = None
    for said, tokens, end in sent:
        if begun is None and end >= third:
            begun = tokens
        if finder.push(said, tokens if told else 0) is not None:
            return tokens - (tokens if begun is None else begun)
    return 10**6


def is_stopped(sent: Iterable[tuple[str, int, int]], *, told: bool) -> bool:
    """Whether a loop is seen in a text."""
    finder = LoopFinder()
    return any(finder.push(said, tokens if told else 0) is not None for said, tokens, _ in sent)


def loop(draw: random.Random, texts: Sequence[str]) -> tuple[str, int]:
    """A reply that falls into a loop, and where the third repeat ends."""
    before = piece(draw.choice(texts), draw, 40, 600)
    source = draw.choice(texts)
    size = int(2 * 400 ** draw.random())
    start = draw.randrange(max(1, len(source) - size))
    unit = source[start : start + size]
    if not unit.strip():
        unit = "and so on, "
    kind = draw.randrange(4)
    words = " ".join(unit.split())
    if kind == 0:
        unit = f"- {words}\n"
    # Long runs of one sign have few tokens; the loop must go on for more than is allowed.
    times = 6 + (4000 if len(set(unit)) > 3 else 20_000) // len(unit)
    if kind == 1 and len(words) > 24:
        rows = [f"{number}. {words}\n" for number in range(1, times + 1)]
        return before + "\n" + "".join(rows), len(before) + 1 + sum(map(len, rows[:4]))
    return before + unit * times, len(before) + 4 * len(unit)


def replies(data: Path, draw: random.Random) -> list[Text]:
    """Ordinary replies: prose, answers, code, and what is regular by nature."""
    del draw
    own = random.Random(12)
    found = [text for text in measured_on(data, seed=3) if len(text.text) > 100]
    found = own.sample(found, min(900, len(found)))
    found += [Text(text[:20000], "en", "whole modules") for text in library("a", "z")[:120]]
    for _ in range(40):
        found += [Text(make(own), "en", name) for name, make in REGULAR.items()]
    return found


def _cell(draw: random.Random) -> str:
    kind = draw.randrange(4)
    if kind == 0:
        return str(draw.randrange(1000))
    if kind == 1:
        return draw.choice(("yes", "no", "-", "0", "n/a"))
    if kind == 2:
        return draw.choice(("東京", "大阪", "名古屋", "札幌", "福岡"))
    return draw.choice(("apple", "pear", "plum", "fig", "lime")) + str(draw.randrange(9))


def _markdown(draw: random.Random) -> str:
    width = draw.randint(2, 12)
    rows = [[_cell(draw) for _ in range(width)] for _ in range(draw.randint(4, 30))]
    return table([f"c{number}" for number in range(width)], rows)


def _csv(draw: random.Random) -> str:
    width = draw.randint(3, 9)
    return "\n".join(
        ",".join(str(draw.choice((0, 0, 1, draw.randrange(99)))) for _ in range(width))
        for _ in range(draw.randint(10, 60))
    )


def _json(draw: random.Random) -> str:
    rows = [
        {"id": number, "name": _cell(draw), "active": draw.random() < 0.8, "tags": []}
        for number in range(draw.randint(5, 40))
    ]
    return json.dumps(rows, indent=draw.choice((None, 2)), ensure_ascii=False)


def _numbers(draw: random.Random) -> str:
    return json.dumps([draw.choice((0, 0, 1, 2)) for _ in range(draw.randint(50, 400))])


def _base64(draw: random.Random) -> str:
    blank = bytes(draw.randint(0, 60))
    raw = b"".join(blank + draw.randbytes(draw.randint(10, 90)) for _ in range(12))
    return base64.b64encode(raw).decode()


def _listing(draw: random.Random) -> str:
    verbs = ("Check", "Open", "Close", "Measure", "Clean", "Write down")
    rows = (f"{number}. {draw.choice(verbs)} the {_cell(draw)}." for number in range(1, 40))
    return "\n".join(rows)


def _poem(draw: random.Random) -> str:
    refrain = draw.choice(
        (
            "O wind, blow on, O wind, blow on,",
            "さくら さくら やよいの空は",
            "Row, row, row your boat",
        )
    )
    verses = (" ".join(_cell(draw) for _ in range(5)) for _ in range(16))
    return "\n".join(f"{verse}\n{refrain}\n{refrain}" for verse in verses)


def _sql(draw: random.Random) -> str:
    rows = (
        f"INSERT INTO t (a, b, c) VALUES ({number}, '{_cell(draw)}', NULL);"
        for number in range(draw.randint(5, 40))
    )
    return "\n".join(rows)


def _html(draw: random.Random) -> str:
    cells = (
        "<tr>" + "".join(f"<td>{_cell(draw)}</td>" for _ in range(4)) + "</tr>" for _ in range(20)
    )
    return "<table>\n" + "\n".join(cells) + "\n</table>"


def _log(draw: random.Random) -> str:
    return "\n".join(
        f"Epoch {number}/40 - loss: {draw.random():.4f} - accuracy: {draw.random():.3f}"
        for number in range(1, 41)
    )


def _ruled(draw: random.Random) -> str:
    rule = "+" + "+".join("-" * draw.randint(4, 14) for _ in range(5)) + "+"
    return "\n".join(f"{rule}\n| {_cell(draw)} | {_cell(draw)} |" for _ in range(12)) + "=" * 79


REGULAR: dict[str, Callable[[random.Random], str]] = {
    "Markdown tables": _markdown,
    "CSV": _csv,
    "JSON": _json,
    "arrays of numbers": _numbers,
    "base64": _base64,
    "numbered lists": _listing,
    "poems with refrains": _poem,
    "SQL": _sql,
    "HTML tables": _html,
    "training logs": _log,
    "tables with rules": _ruled,
}
