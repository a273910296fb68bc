"""Scrolling through a long conversation: frames that come late, and frames with nothing in them."""

from __future__ import annotations

import time

from playwright.sync_api import Browser, Page

from benchmarks.studio.figures import percentile
from benchmarks.studio.record import Record
from benchmarks.studio.stage import Server, number, settled, visitor
from benchmarks.studio.workspace import Talk

LATE = 50.0
"""Milliseconds of a frame that a person notices."""

TURN = 2.0
"""Seconds of turning the wheel without letting go."""

SKIMMING = 3_000.0
"""Pixels a second: about four screens, as fast as headings can be read."""


def run(record: Record, browser: Browser, server: Server, talk: Talk, seconds: float) -> None:
    """Up by the wheel from the newest message: skimming first, then to the top."""
    with visitor(browser, server, talk.marker) as page:
        page.goto(f"{server.url}/chat/{talk.id}")
        number(page, "bench.opened")
        settled(page)
        page.mouse.move(640, 400)
        page.evaluate("bench.watchFrames()")
        moved = _wheel(page, SKIMMING, seconds / 3)
        _take(record, "scroll.slow", page, moved)
        height = float(page.evaluate(HEIGHT))
        page.evaluate("bench.watchFrames()")
        # It grows while it is read: what was not drawn yet was only guessed.
        moved = _wheel(page, height / seconds, 3 * seconds)
        _take(record, "scroll.fast", page, moved)


BOX = """
(() => {
  let box = document.elementFromPoint(640, 400);
  const scrolls = () => box.scrollHeight > box.clientHeight + 1 && box.scrollTop > 0;
  while (box && !scrolls()) box = box.parentElement;
  return box ?? document.scrollingElement;
})()
"""
HEIGHT = f"{BOX}.scrollHeight"
TOP = f"{BOX}.scrollTop"


def _wheel(page: Page, speed: float, most: float) -> float:
    """Turns the wheel until the top, or so many seconds long; gives the pixels it was turned."""
    # The browser turns it by itself: a call for each notch waits for each to be taken.
    wheel = page.context.new_cdp_session(page)
    began, turned = time.monotonic(), 0.0
    while time.monotonic() - began < most and float(page.evaluate(TOP)) > 0:
        gesture = {
            "x": 640,
            "y": 400,
            "yDistance": round(min(speed * TURN, speed * most - turned + 1)),
            "speed": round(speed),
            "gestureSourceType": "mouse",
            "preventFling": True,
        }
        wheel.send("Input.synthesizeScrollGesture", gesture)
        turned += gesture["yDistance"]
    wheel.detach()
    return turned


def _take(record: Record, key: str, page: Page, moved: float) -> None:
    frames = page.evaluate("bench.takeFrames()")
    top = float(page.evaluate(TOP))
    gaps = [float(gap) for gap, _ in frames]
    seen = [what for _, what in frames]
    late = [gap for gap in gaps if gap > LATE]
    record.take(
        key,
        gaps,
        f"{moved:,.0f} pixels by the wheel ({sum(gaps) / 1000:.0f} s), {top:,.0f} left above; "
        f"{len(late)} of {len(gaps)} frames over {LATE:.0f} ms (longest {max(gaps):.0f} ms, 99th "
        f"percentile {percentile(gaps, 99):.0f} ms); {seen.count('blank')} blank frames, "
        f"{seen.count('unread')} with places of messages that were still being read",
    )
