"""Typing while a reply is written: how long a key takes until it is seen."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from random import Random

import httpx
from playwright.sync_api import Browser, Page

from benchmarks.studio.record import Record
from benchmarks.studio.stage import PATIENCE, Server, number, settled, visitor
from benchmarks.studio.workspace import Talk
from kataribe.store.ids import new_id

RATE = 200
"""Tokens a second."""

BETWEEN = (0.05, 0.18)
"""Seconds from a key to the next one, of somebody who types fast."""

THRESHOLD = 16.0
"""Milliseconds; Event Timing is silent about keys that are seen sooner."""

TEXT = "while this reply is being written, the next question is typed here without any hurry; "


def interactions(events: Iterable[Sequence[float | str]], keys: int) -> list[float]:
    """The time of each of so many keys: the longest of its events, as Chrome counts it for INP.

    `events`: Event Timing's [name, id of the interaction, ms]. Keys that it does not tell of were
    seen within `THRESHOLD`, and count as that.
    """
    longest: dict[float, float] = {}
    for name, interaction, duration in events:
        if interaction and str(name) in ("keydown", "keypress", "keyup", "input", "beforeinput"):
            key = float(interaction)
            longest[key] = max(longest.get(key, 0.0), float(duration))
    return [*longest.values(), *[THRESHOLD] * max(0, keys - len(longest))]


def run(record: Record, key: str, browser: Browser, server: Server, talk: Talk, count: int) -> None:
    """Types `count` letters while a reply streams, after having watched it for a while."""
    watched = max(2.0, count / 50)
    seconds = watched + 2 * count * sum(BETWEEN) / 2 + 10
    question = f"Please write {int(seconds * RATE)} tokens, {RATE} a second."
    client = httpx.Client(
        base_url=f"{server.url}/studio/api/conversations/{talk.id}", timeout=PATIENCE
    )
    with client, visitor(browser, server) as page:
        page.goto(f"{server.url}/chat/{talk.id}")
        number(page, "bench.usable")
        settled(page)
        known = len(server.notes)
        client.post("/messages", json={"id": new_id(), "text": question}).raise_for_status()
        server.note("called", known)
        page.locator("article[aria-busy=true]").last.wait_for()
        page.wait_for_timeout(1000)
        _watch(record, key, page, watched)
        began = time.monotonic()
        _type(page, count)
        typed = time.monotonic() - began
        if any(note["what"] == "wrote" for note in server.notes[known:]):
            raise RuntimeError("The reply ended before the typing; nothing was measured beside it.")
        _take(record, key, page, count, typed)
        client.post("/stop", json={}).raise_for_status()
        wrote = server.note("wrote", known)
    rate = wrote["tokens"] / wrote["seconds"]
    record.remark(
        _heading(key), f"the model wrote {rate:.0f} tokens a second, {wrote['tokens']:,} in all"
    )


def _watch(record: Record, key: str, page: Page, seconds: float) -> None:
    """What streaming alone does: with keys pressed, the browser calls every shift expected."""
    page.evaluate("bench.clear(); bench.watchFrames()")
    page.wait_for_timeout(1000 * seconds)
    frames, long, shifts = page.evaluate("[bench.takeFrames(), bench.long, bench.shifts]")
    moved = [value for value, after_input in shifts if not after_input]
    slow = sum(gap > 50 for gap, _ in frames)
    record.remark(
        _heading(key),
        f"only watched for {seconds:.0f} s: {len(long)} long tasks (over 50 ms; longest "
        f"{max(long, default=0):.0f} ms), {slow} of {len(frames)} frames over 50 ms, {len(moved)} "
        f"layout shifts (together {sum(moved):.4f})",
    )


def _type(page: Page, count: int) -> None:
    random = Random(count)
    page.get_by_label("Message", exact=True).focus()
    page.evaluate("bench.clear()")
    letters = (TEXT * (count // len(TEXT) + 1))[:count]
    for letter in letters:
        page.keyboard.press("Space" if letter == " " else letter)
        time.sleep(random.uniform(*BETWEEN))
    if page.get_by_label("Message", exact=True).input_value() != letters:
        raise RuntimeError("The composer does not hold what was typed.")


def _take(record: Record, key: str, page: Page, count: int, seconds: float) -> None:
    page.wait_for_timeout(500)  # entries come after their frames
    told = page.evaluate("[bench.events, bench.keys, bench.paints, bench.long]")
    events, keys, paints, long = told
    if keys != count:
        raise RuntimeError(f"{keys} keys arrived of {count}.")
    times = interactions(events, keys)
    silent = sum(value == THRESHOLD for value in times)
    said = f"{count / seconds:.1f} keys a second; {silent} were seen within {THRESHOLD:.0f} ms"
    record.take(f"typing.{key}", times, said)
    record.take(f"paint.{key}", paints)
    record.remark(
        _heading(key),
        f"typed for {seconds:.0f} s: {len(long)} long tasks (longest "
        f"{max(long, default=0):.0f} ms)",
    )


def _heading(key: str) -> str:
    return f"While {RATE} tokens a second are written, {key} conversation"
