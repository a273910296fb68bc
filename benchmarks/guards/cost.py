"""What guards cost: seconds of one core for each call and for each reply."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import process_time

from benchmarks.sections import table
from kataribe.base.lm import Request
from kataribe.base.messages import text_message
from kataribe.use.guards.guard import InGuard, OutGuard
from kataribe.use.guards.settings import KINDS

SYSTEM = "You are the assistant of a small shop. Be brief, be kind, and answer in plain words. " * 4
QUESTION = {
    "en": "Could you tell me which of your bicycles would suit a tall person who rides to work? ",
    "ja": "通勤に使う自転車を探しています。背の高い人に向いているものはどれでしょうか。",
}
REPLY = {
    "en": "The model with the large frame fits people above 185 cm, and its lights are built in. ",
    "ja": "大きなフレームの車種は身長185cm以上の方に合い、ライトも内蔵されています。",
}
SIZES = (100, 1000, 2000, 20_000)


def report() -> str:
    """The table: milliseconds."""
    rows = []
    for name, kind in KINDS.items():
        guard = kind()
        for language in QUESTION:
            cells = [f"{_timed(guard, language, size):.2f}" for size in SIZES]
            side = "a question" if isinstance(guard, InGuard) else "a reply"
            rows.append([name, side, language, *cells])
    heads = ["guard", "of", "language", *(f"{size:,} characters, ms" for size in SIZES)]
    return table(heads, rows)


def _timed(guard: InGuard | OutGuard, language: str, size: int) -> float:
    asked = (QUESTION[language] * (1 + size // 40))[:size]
    if isinstance(guard, InGuard):

        def work(number: int) -> None:
            request = Request((text_message("user", f"{number} {asked}"),))
            asyncio.run(guard.look(request))
    else:
        request = Request((text_message("system", SYSTEM), text_message("user", "自転車 bicycles")))
        said = (REPLY[language] * (1 + size // 30))[:size]
        pieces = [said[at : at + 4] for at in range(0, len(said), 4)]

        def work(number: int) -> None:
            watch = guard.watch(request)
            for place, each in enumerate(pieces):
                watch.push(f"{number % 10}{each[1:]}" if place % 9 == 0 else each, 0)
            watch.finish("stop", calls=False)

    return 1000 * _seconds(work)


def _seconds(work: Callable[[int], None]) -> float:
    work(-1)
    rounds, begun = 0, process_time()
    while process_time() - begun < 0.2:
        work(rounds)
        rounds += 1
    return (process_time() - begun) / rounds
