"""What a page that reads slowly finds: the last of each thing, and no more than fits."""

from __future__ import annotations

import dataclasses

import pytest

from kataribe.store.conversations import Conversation
from kataribe.store.messages import Message
from kataribe.store.news import (
    Delta,
    Gone,
    HeadMoved,
    Listed,
    MessageChanged,
    News,
    QueueChanged,
    Removed,
    Told,
    Waits,
    WaitsNow,
)
from kataribe.store.queue import Item
from kataribe.store.tables import LOCAL
from kataribe.use.chats.hub import MOST_UNREAD, MOST_UNREAD_BYTES, Hub, Listener

TALK = "t" * 20


def talk(id_: str = TALK, title: str = "") -> Conversation:
    plain = (None, "", False, None, "", {}, None, 0, 0.0, 0.0, None)
    return dataclasses.replace(Conversation(id_, LOCAL, "", *plain), title=title)


def message(text: str) -> Message:
    return Message("m" * 20, TALK, None, "assistant", "done", text=text)


def queue(*texts: str) -> QueueChanged:
    return QueueChanged(tuple(Item(f"{number}" * 20, text) for number, text in enumerate(texts)))


async def read(listener: Listener) -> list[News]:
    """Everything unread."""
    found = []
    while listener._unread:
        told = await listener.next(1)
        if told is None:
            break
        found.append(told.news)
    return found


async def test_the_last_statement_takes_the_place_of_older_ones_at_the_end() -> None:
    hub = Hub()
    words, gone = Delta("r", "text", 0, "y"), Gone("g" * 20)
    with hub.listening(LOCAL, TALK) as listener:
        hub.tell(
            LOCAL, TALK, queue("a"), HeadMoved("h", 1), WaitsNow("r", None), WaitsNow("s", None)
        )
        hub.tell(LOCAL, None, Listed(talk(title="old")), Listed(talk("u" * 20)), gone)
        hub.tell(LOCAL, TALK, words, Removed(("x",)), words, Removed(("x",)))
        reading = WaitsNow("r", Waits("reading", 1, 2))
        hub.tell(LOCAL, TALK, reading, HeadMoved("i", 2), queue("a", "b"))
        hub.tell(LOCAL, None, Listed(talk(title="new")))
        assert await read(listener) == [
            *(WaitsNow("s", None), Listed(talk("u" * 20)), gone),
            *(words, Removed(("x",)), words, Removed(("x",))),  # steps: each of them counts
            *(reading, HeadMoved("i", 2), queue("a", "b"), Listed(talk(title="new"))),
        ]
        hub.tell(LOCAL, TALK, queue("c"))  # what was read is not taken back
        hub.tell(LOCAL, TALK, queue())
        assert await read(listener) == [queue()]
        with pytest.raises(TimeoutError):
            await listener.next(0.01)


async def test_any_number_of_queues_is_one_to_a_page_that_does_not_read() -> None:
    hub = Hub()
    long = "y" * MOST_UNREAD_BYTES
    with hub.listening(LOCAL, TALK) as listener:
        for number in range(2 * MOST_UNREAD):
            hub.tell(LOCAL, TALK, queue(f"{number}", long))
            hub.tell(LOCAL, None, Listed(talk(title=f"{number}")))
        assert not listener.cut_off
        last = f"{2 * MOST_UNREAD - 1}"
        assert await read(listener) == [queue(last, long), Listed(talk(title=last))]


@pytest.mark.parametrize(
    "long",
    [
        Delta("r", "text", 0, "y" * 1_000_000),
        MessageChanged(message("語" * 500_000)),  # two bytes each
        MessageChanged(Message("m", TALK, None, "assistant", "done", reasoning="y" * 1_000_000)),
        MessageChanged(Message("m", TALK, None, "user", "sent", asked={"beginning": "y" * 10**6})),
    ],
)
async def test_words_are_bounded_in_bytes(long: News) -> None:
    hub = Hub()
    with hub.listening(LOCAL, TALK) as listener:
        for _ in range(9):
            hub.tell(LOCAL, TALK, long)
        assert not listener.cut_off
        hub.tell(LOCAL, TALK, Delta("r", "text", 0, "one more"))
        assert listener.cut_off
        hub.tell(LOCAL, TALK, Delta("r", "text", 0, "after a gap"))
        assert [await listener.next(1) for _ in range(10)] == [*[Told(TALK, long)] * 9, None]


async def test_a_page_that_reads_is_never_cut_off() -> None:
    hub = Hub()
    long = MessageChanged(message("🌏" * (MOST_UNREAD_BYTES // 2)))  # twice the bound by itself
    with hub.listening(LOCAL, TALK) as listener:
        for number in range(20):
            hub.tell(LOCAL, TALK, long)
            assert await read(listener) == [long]
            hub.tell(LOCAL, TALK, queue(f"{number}" * 1000), long)
            assert await read(listener) == [queue(f"{number}" * 1000), long]
        assert not listener.cut_off
        assert listener._bytes == 0
        hub.close()
        assert await listener.next(1) is None
