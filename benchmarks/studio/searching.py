"""Search over many messages: words that are rare, common, short, together, or nowhere."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from random import Random

import httpx

from benchmarks.studio.figures import percentile
from benchmarks.studio.record import Record
from benchmarks.studio.stage import PATIENCE, Server
from benchmarks.studio.words import (
    APART,
    ENGLISH,
    JAPANESE,
    NOWHERE,
    RARE_ENGLISH,
    RARE_JAPANESE,
)

FULL = 30
"""Hits in a whole answer."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Queries of one kind; `hits`: least and most that an answer must have, in a full run."""

    name: str
    queries: tuple[str, ...]
    hits: tuple[int, int]


SOME, ALL, NONE = (1, FULL), (FULL, FULL), (0, 0)
KANJI_PAIRS = tuple(word for word in JAPANESE if len(word) == 2)
KINDS = (
    Kind("two Japanese characters, rare", tuple(RARE_JAPANESE), SOME),
    Kind("two Japanese characters, common", KANJI_PAIRS[:18], ALL),
    Kind("one Japanese character, common", tuple("のはをに設確実結場問必入"), ALL),
    Kind("one Japanese character, rare", tuple(word[0] for word in RARE_JAPANESE[:12]), SOME),
    Kind("Japanese phrase", tuple(f'"{word}を待たずに"' for word in KANJI_PAIRS[:12]), SOME),
    Kind("English word, rare", tuple(RARE_ENGLISH), SOME),
    Kind("English word, common", tuple(ENGLISH[:18]), ALL),
    Kind("beginning of an English word", ("pr", "se", "que", "wei", "tab", "eval"), ALL),
    Kind("English phrase", ('"of the"', '"the to"', '"in the model"', '"to and the"'), SOME),
    Kind("a rare and a common word", tuple(f"{word} の" for word in RARE_JAPANESE[:6]), (0, FULL)),
    Kind("two common words", ("the of", "設定 確認", "model 設定", "value list data"), ALL),
    Kind("two common words, never together", (" ".join(APART), " ".join(APART[::-1])), NONE),
    Kind("no hit", tuple(NOWHERE), NONE),
)


def chosen(count: int, seed: int) -> list[tuple[Kind, str]]:
    """So many queries, about as many of each kind, in an order that looks like people's."""
    random = Random(seed)
    rounds = (
        (kind, kind.queries[turn % len(kind.queries)]) for turn in range(count) for kind in KINDS
    )
    found = list(islice(rounds, count))
    random.shuffle(found)
    return found


def run(record: Record, server: Server, messages: int, count: int, seed: int) -> None:
    """Asks one query after another, and looks whether the answers can be right."""
    times: dict[str, list[float]] = {}
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
        began = time.perf_counter()
        client.get("/studio/api/search", params={"q": "first of all"}).raise_for_status()
        first = 1000 * (time.perf_counter() - began)
        for kind, query in chosen(count, seed):
            began = time.perf_counter()
            answer = client.get("/studio/api/search", params={"q": query})
            times.setdefault(kind.name, []).append(1000 * (time.perf_counter() - began))
            hits = len(answer.raise_for_status().json()["data"])
            least, most = kind.hits
            if not (least if messages >= 100_000 else min(least, 1)) <= hits <= most:
                wrong = f"{hits} hits for {query!r} ({kind.name}), not {least} to {most}"
                record.remark("Wrong answers", wrong)
    every = [value for values in times.values() for value in values]
    record.take("search", every, f"{messages:,} messages; the very first query {first:.0f} ms")
    for name, values in times.items():
        middle, high = percentile(values, 50), percentile(values, 95)
        record.remark(
            "Search by kind of query (ms: p50, p95, longest, queries)",
            f"{name}: {middle:.1f}, {high:.1f}, {max(values):.1f}, {len(values)}",
        )
