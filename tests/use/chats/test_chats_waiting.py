"""About how long a reply still waits, by how fast its stage has gone so far."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from kataribe.base.events import Progress
from kataribe.store.messages import Message
from kataribe.store.news import News, Waits, WaitsNow
from kataribe.use.chats import live
from kataribe.use.chats.live import LiveReply


class Waiting:
    """A reply that waits, with a clock that only a test turns."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.told: list[News] = []
        monkeypatch.setattr(live, "time", SimpleNamespace(monotonic=lambda: self.now))
        message = Message("r", "c", "q", "assistant", "waiting")
        self.reply = LiveReply(message, "small", self.told.append)

    def hear(self, after: float, stage: str, done: int, total: int | None) -> Waits:
        """What pages are told of progress that comes so many seconds later."""
        self.now += after
        self.reply._hear(Progress(stage, done, total))  # type: ignore[arg-type]
        news = self.told[-1]
        assert isinstance(news, WaitsNow)
        assert news.waits is not None
        assert news.waits == self.reply.waits
        return news.waits


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Waiting:
    return Waiting(monkeypatch)


def test_in_the_queue_by_the_places_that_have_gone(waiting: Waiting) -> None:
    assert waiting.hear(1, "queued", 5, 5) == Waits("queued", 5, 5, None)
    assert waiting.hear(4, "queued", 5, 6).eta is None  # nobody has gone: nothing is known
    assert waiting.hear(4, "queued", 3, 6) == Waits("queued", 3, 6, 12.0)  # 2 places in 8 s
    assert waiting.hear(2, "queued", 1, 6) == Waits("queued", 1, 6, 2.5)


@pytest.mark.parametrize("stage", ["loading", "reading"])
def test_while_loading_and_reading_by_what_is_left(waiting: Waiting, stage: str) -> None:
    assert waiting.hear(7, stage, 0, 400).eta is None
    assert waiting.hear(5, stage, 100, 400) == Waits(stage, 100, 400, 15.0)  # type: ignore[arg-type]
    assert waiting.hear(5, stage, 300, 400).eta == pytest.approx(10 / 3)
    assert waiting.hear(5, stage, 400, 400).eta is None
    assert waiting.hear(5, stage, 500, None).eta is None  # nobody knows of how many


def test_each_stage_is_measured_from_its_own_beginning(waiting: Waiting) -> None:
    waiting.hear(0, "queued", 2, 2)
    waiting.hear(60, "queued", 1, 2)
    assert waiting.hear(60, "loading", 100, 1000).eta is None
    assert waiting.hear(3, "loading", 400, 1000).eta == 6.0
    assert waiting.hear(60, "reading", 50, 250).eta is None  # 50 were known already
    assert waiting.hear(2, "reading", 150, 250).eta == 2.0
