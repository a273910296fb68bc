"""Bad days of hosts: what is tried again, what is never, and what an error then says."""

from __future__ import annotations

import asyncio
import dataclasses
import email.utils
import gzip
import logging
import socket
import threading
import time
from contextlib import aclosing

import pytest
from asking import ASK, KEY, QUICK, WIRES, check_protocol, events_of, model_at
from host_server import JSON, STREAM, Answer, Cut, Hang, Wait, host, refusal
from speaking import SPEAK, Said, chat, named, unnamed

from kataribe.base.errors import (
    AccessError,
    BusyError,
    InputError,
    KataribeError,
    NotFoundError,
    ProviderError,
    UnavailableError,
)
from kataribe.base.events import Finished, TextDelta
from kataribe.base.lm import Context, Request
from kataribe.base.messages import text_of
from kataribe.run.providers import Connections
from kataribe.run.providers.failures import retry_after

WORDS = Said(pieces=("It is ", "晴れ", "."))
FINE = Answer(chat(WORDS))


def soon(seconds: float) -> Request:
    return Request(ASK.prompt, context=Context(deadline=time.monotonic() + seconds))


def told(message: str, **more: str) -> dict:
    return {"error": {"message": message, **more}}


async def broken(lm, request: Request = ASK) -> tuple[list, KataribeError]:
    """What came before the error, and the error."""
    events: list = []
    try:
        async for event in lm.stream(request):
            events.append(event)  # noqa: PERF401 - what came before the error counts
    except KataribeError as error:
        return events, error
    pytest.fail(f"no error, but {events}")


# --- tried again --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
@pytest.mark.parametrize("wire", WIRES)
async def test_a_failure_that_passes_is_tried_again(wire, status):
    fine = Answer(SPEAK[wire](WORDS))
    with host(refusal(status, told("Not now.")), refusal(status, told("Nor now.")), fine) as server:
        (end,) = check_protocol(await events_of(model_at(server, wire)))
    assert text_of(end.message) == "It is 晴れ."
    first, *others = (received.body for received in server.received)
    assert others == [first, first]


async def test_a_connection_that_breaks_before_a_word_is_tried_again():
    dropped, empty = Answer(drop=True), Answer([Cut()])
    with host(dropped, empty, FINE) as server:
        (end,) = check_protocol(await events_of(model_at(server, "chat")))
    assert end.reason == "stop"
    assert len(server.received) == 3


async def test_a_host_that_is_not_there_is_an_error_that_says_where():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with host(FINE) as server:
            lm = model_at(dataclasses.replace(server, url=f"http://127.0.0.1:{port}"), "chat")
            _, error = await broken(lm)
    assert isinstance(error, ProviderError)
    assert error.code == "unreachable"
    assert f"127.0.0.1:{port}" in error.message


@pytest.mark.parametrize(
    ("status", "kind"), [(500, ProviderError), (529, ProviderError), (429, BusyError)]
)
async def test_a_failure_for_ever_ends_after_the_tries(status, kind):
    with host(refusal(status, told("Never."))) as server:
        events, error = await broken(model_at(server, "chat"))
    assert type(error) is kind
    assert "openai:m: Never." in error.message
    assert events == []
    assert len(server.received) == QUICK.tries


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (400, told("No such field.", param="top_q"), InputError, "No such field."),
        (413, told("Too much."), InputError, "Too much."),
        (422, {"detail": "Wrong."}, InputError, "Wrong."),
        (401, told("Wrong key."), AccessError, "OPENAI_API_KEY"),
        (403, told("Not yours."), AccessError, "Not yours."),
        (404, told("No such model."), NotFoundError, "No such model."),
        (418, told("Teapot."), ProviderError, "Teapot."),
        (400, {"error": "just a text"}, InputError, "just a text"),
        (400, [told("In a list.")], InputError, "In a list."),
        (400, "neither", InputError, "answered 400 without a reason"),
        (429, told("No money.", code="insufficient_quota"), ProviderError, "No money."),
    ],
)
async def test_what_another_try_would_not_mend_is_not_tried(status, body, kind, says):
    with host(refusal(status, body)) as server:
        _, error = await broken(model_at(server, "chat"))
    assert type(error) is kind
    assert says in error.message
    assert len(server.received) == 1


async def test_the_field_that_a_host_names_is_kept():
    long = told("Too long.", param="messages", code="context_length_exceeded")
    with host(refusal(400, long)) as server:
        _, error = await broken(model_at(server, "chat"))
    assert (error.param, error.code) == ("messages", "context_length_exceeded")


async def test_a_wrong_key_is_known_from_geminis_word_for_it():
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]
    body = {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT",
                      "details": details}}  # fmt: skip
    with host(refusal(400, body)) as server:
        _, error = await broken(model_at(server, "gemini"))
    assert isinstance(error, AccessError)
    assert "GEMINI_API_KEY" in error.message


async def test_a_server_that_loads_is_not_ready():
    body = told("Loading model", type="unavailable_error")
    with host(refusal(503, body, retry_after="0.01")) as server:
        _, error = await broken(model_at(server, "chat", host="llamacpp"))
    assert isinstance(error, UnavailableError)
    assert error.retry_after == 0.01


@pytest.mark.parametrize(("advice", "tries"), [("false", 1), ("true", QUICK.tries)])
async def test_a_host_may_say_whether_to_try_again(advice, tries):
    status = 500 if advice == "false" else 418
    with host(refusal(status, told("So."), x_should_retry=advice)) as server:
        await broken(model_at(server, "chat"))
    assert len(server.received) == tries


# --- how long -----------------------------------------------------------------------------------


def pauses(monkeypatch) -> list[float]:
    """The pauses between tries, none of which is waited for."""
    asked: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        asked.append(seconds)
        await real(0)

    monkeypatch.setattr("kataribe.run.providers.sending.asyncio.sleep", sleep)
    return asked


async def test_the_pause_is_what_the_host_asks_for(monkeypatch):
    asked = pauses(monkeypatch)
    patient = dataclasses.replace(QUICK, tries=4, longest_wait=60.0)
    date = email.utils.formatdate(time.time() + 30, usegmt=True)
    refusals = [
        refusal(429, told("Wait."), retry_after="7"),
        refusal(503, told("Wait."), retry_after_ms="1500"),
        refusal(429, told("Wait."), retry_after=date),
    ]
    with host(*refusals, FINE) as server:
        check_protocol(await events_of(model_at(server, "chat", patience=patient)))
    seconds, milliseconds, until = asked
    assert 7 <= seconds <= 7.7
    assert 1.5 <= milliseconds <= 1.65
    assert 20 <= until <= 34


async def test_pauses_of_our_own_grow_and_differ(monkeypatch):
    asked = pauses(monkeypatch)
    patient = dataclasses.replace(QUICK, tries=7, first_wait=1.0, longest_wait=8.0)
    with host(refusal(500, told("No."))) as server:
        await broken(model_at(server, "chat", patience=patient))
    assert len(asked) == 6
    assert all(0 <= pause <= most for pause, most in zip(asked, [1, 2, 4, 8, 8, 8], strict=True))
    assert len(set(asked)) == 6


async def test_a_pause_that_is_too_long_is_told_instead_of_waited_for(monkeypatch):
    asked = pauses(monkeypatch)
    with host(refusal(429, told("Tomorrow."), retry_after="86400")) as server:
        _, error = await broken(model_at(server, "chat"))
    assert isinstance(error, BusyError)
    assert error.retry_after == 86400
    assert asked == []


async def test_no_pause_reaches_beyond_the_deadline(monkeypatch):
    asked = pauses(monkeypatch)
    patient = dataclasses.replace(QUICK, longest_wait=60.0)
    with host(refusal(429, told("Wait."), retry_after="20")) as server:
        _, error = await broken(model_at(server, "chat", patience=patient), soon(10.0))
    assert isinstance(error, BusyError)
    assert (error.retry_after, asked) == (20, [])


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "3", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 60.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-4"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_retry_after_in_all_its_forms(headers, seconds):
    assert retry_after(headers, 40.0) == seconds


# --- never tried again, and nothing lost --------------------------------------------------------


@pytest.mark.parametrize("wire", WIRES)
async def test_a_cut_stream_is_an_error_after_what_was_said(wire):
    pieces = SPEAK[wire](WORDS)
    half = next(n for n, piece in enumerate(pieces) if "晴れ".encode() in _plain(piece)) + 1
    with host(Answer([*pieces[:half], Cut()])) as server:
        events, error = await broken(model_at(server, wire))
    assert isinstance(error, ProviderError)
    assert "broke off" in error.message
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "It is 晴れ"
    assert not any(isinstance(event, Finished) for event in events)
    assert len(server.received) == 1


@pytest.mark.parametrize("keep", [False, True])
async def test_a_reader_who_is_slow_loses_nothing_when_the_stream_is_cut(keep):
    """All of it has arrived, and the connection is long gone, while the first word is read."""
    connections = Connections() if keep else None
    words = Said(pieces=tuple(f"{number} " for number in range(40)))
    pieces = chat(words)
    whole = next(n for n, piece in enumerate(pieces) if b'"39 ' in piece) + 1
    heard = []
    with host(Answer([pieces[0], Wait(0.1), *pieces[1:whole], Cut()])) as server:
        lm = model_at(server, "chat", connections=connections)

        async def listen() -> None:
            async for event in lm.stream(ASK):
                assert isinstance(event, TextDelta)
                heard.append(event.text)
                await asyncio.sleep(0.4 if len(heard) == 1 else 0)

        with pytest.raises(ProviderError, match="broke off"):
            await listen()
        if connections is not None:
            await connections.close()
    assert "".join(heard) == "".join(words.pieces)


async def test_what_is_compressed_though_nobody_asked_is_read_all_the_same():
    body = gzip.compress(b"".join(chat(WORDS)))
    headers = {**STREAM, "content-encoding": "gzip"}
    with host(Answer([body[:30], Wait(0.02), body[30:]], headers=headers)) as server:
        (end,) = check_protocol(await events_of(model_at(server, "chat")))
    assert text_of(end.message) == "It is 晴れ."


def _plain(piece: bytes) -> bytes:
    return piece.replace(b"\\u6674\\u308c", "晴れ".encode())


@pytest.mark.parametrize("wire", WIRES)
async def test_a_stream_that_ends_politely_before_the_reply_does_is_an_error_too(wire):
    pieces = SPEAK[wire](WORDS)
    half = next(n for n, piece in enumerate(pieces) if "晴れ".encode() in _plain(piece)) + 1
    with host(Answer(pieces[:half])) as server:
        events, error = await broken(model_at(server, wire))
    assert isinstance(error, ProviderError)
    assert "broke off before its end" in error.message
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "It is 晴れ"


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "nonsense",
    [
        b"data: {not json\n\n",
        b"data: [1, 2]\n\n",
        b'data: "text"\n\n',
        b"data: " + b"[" * 200_000 + b"\n\n",
        b'data: {"type": "content_block_delta", "choices": 3, "candidates": 3}\n\n',
        unnamed(
            {
                "type": "response.output_text.delta",
                "choices": [{"delta": {"content": 5}}],
                "candidates": [{"content": {"parts": [{"text": 5}]}}],
            }
        ),
        unnamed(
            {
                "type": "response.output_item.added",
                "choices": [{"index": 9}],
                "candidates": [{"index": 9}],
            }
        ),
        b"data: \xff\xfe\n\n",
    ],
)
async def test_a_malformed_event_is_an_error_after_what_was_said(wire, nonsense):
    if wire == "anthropic" and b"response." in nonsense:
        nonsense = b'data: {"type": "content_block_delta", "index": 0}\n\n'
    if wire == "responses" and b"content_block" in nonsense:
        nonsense = b'data: {"type": "response.output_text.delta"}\n\n'
    pieces = SPEAK[wire](WORDS)
    half = next(n for n, piece in enumerate(pieces) if "晴れ".encode() in _plain(piece)) + 1
    with host(Answer([*pieces[:half], nonsense, *pieces[half:]])) as server:
        events, error = await broken(model_at(server, wire))
    assert type(error) is ProviderError
    assert model_at(server, wire).name in error.message
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "It is 晴れ"
    assert len(server.received) == 1


@pytest.mark.parametrize("wire", WIRES)
async def test_bytes_may_be_cut_anywhere_even_in_a_character(wire):
    whole = b"".join(SPEAK[wire](WORDS)).replace(b"\n", b"\r\n")
    assert "晴".encode() in whole
    middle = whole.index("晴".encode()) + 1
    pieces = [whole[:middle], Wait(0.02), whole[middle:]]
    with host(Answer(pieces), Answer([bytes([byte]) for byte in whole])) as server:
        for _ in range(2):
            (end,) = check_protocol(await events_of(model_at(server, wire)))
            assert text_of(end.message) == "It is 晴れ."


async def test_a_stream_that_ends_in_a_character_is_cut():
    whole = b"".join(chat(WORDS))
    with host(Answer([whole[: whole.index("晴".encode()) + 1]])) as server:
        events, error = await broken(model_at(server, "chat"))
    assert isinstance(error, ProviderError)
    assert [e.text for e in events if isinstance(e, TextDelta)] == ["It is "]


@pytest.mark.parametrize(
    ("wire", "event", "kind"),
    [
        ("chat", unnamed(told("Full.", type="rate_limit_error")), BusyError),
        ("chat", unnamed(told("Broken.")), ProviderError),
        ("chat", unnamed({"error": "in one word"}), ProviderError),
        (
            "anthropic",
            named("error", told("Oh.", type="overloaded_error")),
            ProviderError,
        ),
        (
            "anthropic",
            named("error", told("Oh.", type="rate_limit_error")),
            BusyError,
        ),
        (
            "responses",
            named("error", {"type": "error", "message": "Oh.", "code": "rate_limit_exceeded"}),
            BusyError,
        ),
        (
            "responses",
            named(
                "response.failed",
                {"type": "response.failed",
                 "response": {"error": {"code": "server_error", "message": "Oh."}}},
            ),
            ProviderError,
        ),
        (
            "gemini",
            unnamed({"error": {"code": 503, "message": "Oh.", "status": "UNAVAILABLE"}}),
            ProviderError,
        ),
    ],
)  # fmt: skip
async def test_an_error_in_the_middle_is_raised_after_what_was_said(wire, event, kind):
    pieces = SPEAK[wire](WORDS)
    half = next(n for n, piece in enumerate(pieces) if "晴れ".encode() in _plain(piece)) + 1
    with host(Answer([*pieces[:half], event])) as server:
        events, error = await broken(model_at(server, wire))
    assert type(error) is kind
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == "It is 晴れ"
    assert len(server.received) == 1


# --- what is no stream --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer([b"<html>Log in</html>"], headers={"content-type": "text/html"}), "text/html"),
        (Answer([b"hi"], headers={}), "without a content type"),
        (Answer([b'{"choices": []}'], headers=JSON), "application/json"),
        (Answer([b'{"error": {"message": "Sorry."}}'], headers=JSON), "Sorry."),
        (
            Answer([], 302, {"location": "https://elsewhere.example/login?token=abc"}),
            "https://elsewhere.example/login",
        ),
        (Answer([], 307, {"location": "http://127.0.0.1:9/v1"}), "http://127.0.0.1:9/v1"),
        (Answer([b"<h1>Bad Gateway</h1>"], 502, {"content-type": "text/html"}), "answered 502"),
        (Answer([b"\xff\xfe"], 400, JSON), "answered 400"),
        (Answer([b'{"error"', Cut()], 500, JSON), "answered 500"),
    ],
)
async def test_an_answer_that_is_no_stream_is_an_error_that_says_what_it_is(answer, says):
    with host(answer) as server:
        events, error = await broken(model_at(server, "chat"))
    assert isinstance(error, ProviderError | InputError)
    assert says in error.message
    assert "abc" not in error.message
    assert events == []


async def test_an_error_of_many_megabytes_is_not_read_to_its_end():
    with host(Answer([b"x" * 2**20] * 64 + [Hang()], 400, JSON)) as server:
        _, error = await broken(model_at(server, "chat"))
    assert len(error.message) < 2000


# --- slow ---------------------------------------------------------------------------------------


async def test_a_slow_start_and_a_slow_stream_are_waited_for():
    slow = [piece for each in chat(WORDS) for piece in (each, Wait(0.02))]
    with host(Answer(slow, before=0.2)) as server:
        (end,) = check_protocol(await events_of(model_at(server, "chat")))
    assert end.reason == "stop"


async def test_a_silent_host_is_given_up():
    impatient = dataclasses.replace(QUICK, idle=0.2)
    with host(Answer(before=5.0)) as server:
        _, error = await broken(model_at(server, "chat", patience=impatient))
    assert "said nothing for 0.2 seconds" in error.message
    assert len(server.received) == 1  # it may be at work, and would be paid twice
    with host(Answer([*chat(WORDS)[:2], Hang()])) as server:
        events, error = await broken(model_at(server, "chat", patience=impatient))
    assert "said nothing for 0.2 seconds" in error.message
    assert len(events) == 1
    assert len(server.received) == 1


@pytest.mark.parametrize("wire", WIRES)
async def test_the_deadline_ends_a_reply_with_what_was_said(wire):
    pieces = SPEAK[wire](WORDS)
    half = next(n for n, piece in enumerate(pieces) if "晴れ".encode() in _plain(piece)) + 1
    with host(Answer([*pieces[:half], Hang()])) as server:
        events = await events_of(model_at(server, wire), soon(0.4))
        assert await asyncio.to_thread(server.left.wait, 5)
    (end,) = check_protocol(events)
    assert end.reason == "deadline"
    assert text_of(end.message) == "It is 晴れ"
    assert len(server.received) == 1


async def test_a_deadline_before_a_word_ends_the_reply_too():
    with host(Answer(before=5.0)) as server:
        (end,) = check_protocol(await events_of(model_at(server, "chat"), soon(0.2)))
        (late,) = check_protocol(await events_of(model_at(server, "chat"), soon(-1.0)))
    assert (end.reason, late.reason) == ("deadline", "deadline")
    assert end.message.parts == ()


# --- leaving ------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [False, True])
async def test_closing_the_iterator_closes_the_connection(keep):
    connections = Connections() if keep else None
    with host(Answer([*chat(WORDS)[:2], Hang()])) as server:
        lm = model_at(server, "chat", connections=connections)
        async with aclosing(lm.stream(ASK)) as events:
            async for event in events:
                assert isinstance(event, TextDelta)
                break
        assert await asyncio.to_thread(server.left.wait, 5)
        if connections is not None:
            await connections.close()


async def test_closing_closes_the_connections_of_all_choices():
    with host(Answer([*SPEAK["anthropic"](WORDS)[:4], Hang()])) as server:
        lm = model_at(server, "anthropic")
        async with aclosing(lm.stream(Request(ASK.prompt, n=3))) as events:
            seen = set()
            async for event in events:
                seen.add(event.index)
                if len(seen) == 3:
                    break
        assert await asyncio.to_thread(server.left.wait, 5)
        for _ in range(500):
            if threading.active_count() <= 8:
                break
            await asyncio.sleep(0.01)
    assert len(server.received) == 3


async def test_an_error_of_one_choice_ends_all():
    answers = [Answer(SPEAK["anthropic"](WORDS)), refusal(400, told("No."))]
    with host(*answers) as server:
        _, error = await broken(model_at(server, "anthropic"), Request(ASK.prompt, n=4))
    assert isinstance(error, InputError)


async def test_a_cancelled_task_closes_the_connection():
    with host(Answer([*chat(WORDS)[:2], Hang()])) as server:
        task = asyncio.create_task(events_of(model_at(server, "chat")))
        await asyncio.sleep(0.3)
        assert server.received
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.left.wait, 5)


# --- connections --------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", WIRES)
async def test_connections_are_used_again_when_they_are_kept(wire):
    with host(Answer(SPEAK[wire](WORDS))) as server:
        connections = Connections()
        lm = model_at(server, wire, connections=connections)
        for _ in range(3):
            await events_of(lm)
        await connections.close()
        await events_of(lm)  # opens anew
        await connections.close()
    ports = [received.connection for received in server.received]
    assert len(set(ports[:3])) == 1
    assert ports[3] != ports[0]


def test_another_event_loop_has_connections_of_its_own():
    connections = Connections()

    async def twice() -> None:
        lm = model_at(server, "chat", connections=connections)
        await events_of(lm)
        await asyncio.to_thread(asyncio.run, events_of(lm))  # type: ignore[arg-type]
        await events_of(lm)
        await connections.close()

    with host(FINE) as server:
        asyncio.run(twice())
    first, other, third = (received.connection for received in server.received)
    assert first == third != other


async def test_a_host_that_goes_on_after_the_end_does_not_hold_the_reply_up():
    with host(Answer([*chat(WORDS), Hang()])) as server:
        (end,) = check_protocol(await events_of(model_at(server, "chat"), soon(30)))
        assert await asyncio.to_thread(server.left.wait, 5)
    assert end.reason == "stop"


# --- the key ------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", WIRES)
async def test_the_key_shows_in_no_error_and_no_log(wire, caplog):
    caplog.set_level(logging.DEBUG)
    echo = f"Incorrect key {KEY}."
    answers = [
        refusal(401, told(echo)),
        Answer([named("error", {"type": "error", "error": {"message": echo}})]),
        Answer([f'data: {{"error": {{"message": "{echo}"}}}}\n\n'.encode()]),
        Answer([json_error(echo)], headers=JSON),
        Answer(drop=True),
    ]
    for answer in answers:
        with host(answer) as server:
            _, error = await broken(model_at(server, wire))
        chain: BaseException | None = error
        while chain is not None:
            assert KEY not in f"{chain!r} {chain} {vars(chain)}"
            chain = chain.__cause__ or chain.__context__
    assert KEY not in caplog.text


def json_error(message: str) -> bytes:
    return f'{{"error": {{"message": "{message}"}}}}'.encode()
