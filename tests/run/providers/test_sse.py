"""The parser of server-sent events gives the same events however the bytes are cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kataribe.base.errors import ProviderError
from kataribe.run.providers import sse
from kataribe.run.providers.sse import EventParser, ServerEvent


def parse(*chunks: bytes) -> list[ServerEvent]:
    parser = EventParser("host:m")
    return [event for chunk in chunks for event in parser.feed(chunk)]


def slow_parse(stream: bytes) -> list[ServerEvent]:
    """The specification's steps in their simplest form, over the whole stream at once."""
    text = stream.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    events, data, name = [], [], ""
    for line in text.split("\n")[:-1]:
        if not line:
            if data:
                events.append(ServerEvent("\n".join(data), name or "message"))
            data, name = [], ""
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
    return events


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: one\n\n", [ServerEvent("one")]),
        (b"data:one\r\n\r\ndata:two\r\r", [ServerEvent("one"), ServerEvent("two")]),
        (b"event: ping\ndata: {}\n\n", [ServerEvent("{}", "ping")]),
        (b"data: a\ndata\ndata:  b\n\n", [ServerEvent("a\n\n b")]),
        (b": a comment\n\nid: 4\nretry: 9\nfoo: bar\ndata: x\n\n", [ServerEvent("x")]),
        (b"event: alone\n\ndata: x\n\n", [ServerEvent("x")]),
        (b"\xef\xbb\xbfdata: after the mark\n\n", [ServerEvent("after the mark")]),
        ("data: 語り部\n\n".encode(), [ServerEvent("語り部")]),
        (b"data: whole\n\ndata: cut\n", [ServerEvent("whole")]),
        (b"data: one\n\n\n\n\ndata: two\n\n", [ServerEvent("one"), ServerEvent("two")]),
        (b"data: \xe2\x80\xa8x\n\n", [ServerEvent("\u2028x")]),  # no end of line, though it is one
    ],
)
def test_streams(stream, events):
    assert parse(stream) == slow_parse(stream) == events
    assert parse(*(bytes([byte]) for byte in stream)) == events


LINES = st.sampled_from(
    ["data: a", "data:", "data", "event: e", "event", ": c", "id: 1", "", "", "語: x", "data: 語"]
)
ENDS = st.sampled_from(["\n", "\r", "\r\n"])


@given(st.lists(st.tuples(LINES, ENDS), max_size=12), st.lists(st.integers(0, 80), max_size=6))
def test_any_cut_gives_the_same_events(lines, cuts):
    stream = "".join(line + end for line, end in lines).encode()
    # A carriage return at the very end may be half of an end of line; more has to follow.
    stream += b": end\n"
    places = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    chunks = [stream[a:b] for a, b in itertools.pairwise(places)]
    assert parse(*chunks) == slow_parse(stream)


def test_bytes_that_are_no_utf8_are_an_error_and_what_came_before_is_kept():
    events = EventParser("host:m").feed(b"data: whole\n\ndata: \xff\n\ndata: more\n\n")
    assert next(events) == ServerEvent("whole")
    with pytest.raises(ProviderError, match="host:m sent bytes that are not UTF-8"):
        next(events)


def test_half_a_character_waits_for_its_other_half():
    first, second = "data: 語\n\n".encode()[:7], "data: 語\n\n".encode()[7:]
    assert parse(first, second) == [ServerEvent("語")]


def test_an_event_without_an_end_is_not_collected_for_ever(monkeypatch):
    monkeypatch.setattr(sse, "MOST_BYTES", 100)
    with pytest.raises(ProviderError, match="more than 100 bytes"):
        parse(*[b"data: " + b"x" * 30] * 5)
    many = [b"data: " + b"x" * 30 + b"\n\n"] * 50  # as much, in events that end
    assert len(parse(*many)) == 50
    assert parse(*[b": still here\n"] * 50, b"data: x\n\n") == [ServerEvent("x")]
