"""`/v1/responses` that are kept: going on from them, looking them up, deleting them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest
from openai import OpenAI
from sqlalchemy import Connection

from kataribe.base.errors import InputError, NotFoundError
from kataribe.base.messages import (
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    text_message,
)
from kataribe.run.providers import Call, Reply, ScriptedLM
from kataribe.serve.shapes.responses_replies import ResponseObject
from kataribe.store import responses
from kataribe.store.database import Store
from kataribe.store.responses import Kept
from kataribe.store.tables import LOCAL
from tests.serve.conftest import live_server
from tests.serve.people_stage import Stage, stage_in
from tests.serve.responses_suite import WEATHER_TOOL


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in(tmp_path) as stage:
        yield stage


@pytest.fixture
def lm(stage: Stage) -> ScriptedLM:
    return stage.source.lms["scripted"]


@pytest.fixture
def client(stage: Stage) -> Iterator[OpenAI]:
    with (
        live_server(stage.source, rooms=stage.rooms) as live,
        OpenAI(base_url=f"{live.url}/v1", api_key="unused-key", max_retries=0) as client,
    ):
        yield client


def kept_rows(stage: Stage) -> int:
    return len(stage.rows()["responses"])


@pytest.mark.parametrize("streams", [False, True])
def test_a_response_goes_on_from_another(client: OpenAI, lm: ScriptedLM, streams: bool) -> None:
    first = client.responses.create(model="scripted", input="One.", instructions="Be short.")
    assert first.store is True  # in the client's extra fields
    asked = {"model": "scripted", "input": "Two.", "previous_response_id": first.id}
    if streams:
        with client.responses.stream(**asked) as stream:
            second = stream.get_final_response()
    else:
        second = client.responses.create(**asked)
    assert second.previous_response_id == first.id
    third = client.responses.create(
        model="scripted", input="Three.", previous_response_id=second.id
    )
    assert lm.requests[-1].prompt == (
        # Instructions are of one response alone, as OpenAI's API has it.
        text_message("user", "One."),
        text_message("assistant", first.output_text),
        text_message("user", "Two."),
        text_message("assistant", second.output_text),
        text_message("user", "Three."),
    )
    assert third.output_text


def test_a_tool_loop_goes_on_by_the_response_alone(stage: Stage) -> None:
    call = Reply("", "Hm.", (Call("weather", {"city": "Tokyo"}, "id1"),), seal="sealed")
    asked = ScriptedLM(_in_turn(call, "Rain."))
    stage.source.lms["scripted"] = asked
    with (
        live_server(stage.source, rooms=stage.rooms) as live,
        OpenAI(base_url=f"{live.url}/v1", api_key="unused-key", max_retries=0) as client,
    ):
        first = client.responses.create(model="scripted", input="Weather?", tools=[WEATHER_TOOL])
        result = {"type": "function_call_output", "call_id": "id1", "output": "rain"}
        client.responses.create(
            model="scripted", input=[result], previous_response_id=first.id, tools=[WEATHER_TOOL]
        )
    arguments = '{"city": "Tokyo"}'
    assert asked.requests[1].prompt == (
        text_message("user", "Weather?"),
        Message(
            "assistant",
            (ReasoningPart("Hm.", "sealed"), ToolCallPart("id1", "weather", arguments)),
        ),
        Message("tool", (ToolResultPart("id1", "rain"),)),
    )


def _in_turn(*replies):
    left = list(replies)
    return lambda _: left.pop(0)


def test_a_response_is_looked_up_and_deleted(client: OpenAI, stage: Stage) -> None:
    made = client.responses.create(model="scripted", input="One.", metadata={"a": "b"})
    found = client.responses.retrieve(made.id)
    assert found.to_dict() == made.to_dict()
    raw = client.responses.with_raw_response.retrieve(made.id)
    ResponseObject.model_validate_json(raw.text, strict=True)
    client.responses.delete(made.id)
    assert kept_rows(stage) == 0
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.delete(made.id)
    with pytest.raises(openai.BadRequestError) as gone:
        client.responses.create(model="scripted", input="Two.", previous_response_id=made.id)
    assert (gone.value.code, gone.value.param) == (
        "previous_response_not_found",
        "previous_response_id",
    )


@pytest.mark.parametrize("streams", [False, True])
def test_store_false_keeps_nothing(client: OpenAI, stage: Stage, streams: bool) -> None:
    asked = {"model": "scripted", "input": "One.", "store": False}
    if streams:
        with client.responses.stream(**asked) as stream:
            made = stream.get_final_response()
    else:
        made = client.responses.create(**asked)
    assert made.store is False
    assert kept_rows(stage) == 0
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)


def test_a_stream_that_fails_keeps_nothing(stage: Stage) -> None:
    broken = ScriptedLM(Reply("a b c", error=ValueError("x"), fail_after=2))
    stage.source.lms["scripted"] = broken
    with (
        live_server(stage.source, rooms=stage.rooms) as live,
        OpenAI(base_url=f"{live.url}/v1", api_key="unused-key", max_retries=0) as client,
    ):
        events = list(client.responses.create(model="scripted", input="One.", stream=True))
    assert events[-1].type == "response.failed"
    assert kept_rows(stage) == 0


def test_the_items_of_a_request_are_listed(client: OpenAI) -> None:
    png = "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    items = [
        {"role": "developer", "content": "Be short."},
        {"role": "user", "content": [{"type": "input_image", "image_url": png}]},
        {"role": "assistant", "content": "Nice."},
        {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "x"},
        {"role": "user", "content": "And?"},
    ]
    made = client.responses.create(model="scripted", input=items)
    listed = list(client.responses.input_items.list(made.id, order="asc", limit=2))
    assert [item.type for item in listed] == [
        "message", "message", "message", "function_call", "function_call_output", "message",
    ]  # fmt: skip
    assert listed[0].content[0].text == "Be short."
    assert listed[1].content[0].image_url == png
    assert listed[2].content[0].text == "Nice."
    assert len({item.id for item in listed}) == len(items)
    newest = client.responses.input_items.list(made.id, limit=1)
    assert newest.data[0].content[0].text == "And?"
    assert newest.has_more
    with pytest.raises(openai.BadRequestError) as wrong:
        client.responses.input_items.list(made.id, after="msg_no")
    assert wrong.value.param == "after"


def test_a_reference_stands_for_its_item(client: OpenAI, lm: ScriptedLM) -> None:
    made = client.responses.create(model="scripted", input="One.")
    (question,) = client.responses.input_items.list(made.id)
    (said,) = made.output
    asked = [
        {"type": "item_reference", "id": question.id},
        {"id": said.id},
        {"role": "user", "content": "Two."},
    ]
    client.responses.create(model="scripted", input=asked)
    assert lm.requests[-1].prompt == (
        text_message("user", "One."),
        Message("assistant", (TextPart(made.output_text),)),
        text_message("user", "Two."),
    )
    for id_ in ("msg_" + "0" * 24, "nonsense"):
        with pytest.raises(openai.BadRequestError) as gone:
            client.responses.create(model="scripted", input=[{"type": "item_reference", "id": id_}])
        assert gone.value.param == "input[0].id"


def test_a_kept_response_does_not_stream(client: OpenAI) -> None:
    made = client.responses.create(model="scripted", input="One.")
    with pytest.raises(openai.BadRequestError, match="comes whole"):
        client.responses.retrieve(made.id, stream=True)


async def test_nobody_goes_on_from_somebody_elses(stage: Stage) -> None:
    taro, hanako = (stage.key_of(stage.add(name)) for name in ("taro", "hanako"))
    body = {"model": "scripted", "input": "My secret."}
    async with stage.client(taro) as http:
        made = (await http.post("/v1/responses", json=body)).json()
    async with stage.client(hanako) as http:
        for more in (
            {"previous_response_id": made["id"]},
            {"input": [{"type": "item_reference", "id": made["output"][0]["id"]}]},
        ):
            answer: httpx.Response = await http.post("/v1/responses", json={**body, **more})
            assert answer.status_code == 400, answer.text
            assert "secret" not in answer.text


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "kataribe.db")
    yield store
    store.close()


def kept(number: int, previous: str | None = None, words: str = "x") -> Kept:
    return Kept(f"resp_{number:024}", "m", previous, [{"id": "a", "text": words}], {"output": []})


def test_the_oldest_make_room(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "MOST", 3)
    for number in range(5):
        with store.writing() as tx:
            responses.keep(tx, LOCAL, kept(number))
    with store.reading() as tx:
        found = [id_ for id_ in (kept(n).id for n in range(5)) if _there(tx, id_)]
    assert found == [kept(n).id for n in (2, 3, 4)]


def test_long_ones_make_room_by_their_size(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "MOST_BYTES", 1000)
    for number in range(3):
        with store.writing() as tx:
            responses.keep(tx, LOCAL, kept(number, words="x" * 400))
    with store.writing() as tx:
        assert not _there(tx, kept(0).id)
        assert _there(tx, kept(1).id)
        responses.keep(tx, LOCAL, kept(3, words="x" * 5000))  # longer than all: it alone stays
        assert [_there(tx, kept(n).id) for n in (1, 2, 3)] == [False, False, True]


def test_what_is_too_old_is_gone_before_it_is_swept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.writing() as tx:
        responses.keep(tx, LOCAL, kept(0))
        responses.keep(tx, LOCAL, kept(1, previous=kept(0).id))
        assert [one.id for one in responses.chain(tx, LOCAL, kept(1).id)] == [
            kept(0).id,
            kept(1).id,
        ]
    later = responses.now() + responses.LASTS + 1
    with store.writing() as tx:
        monkeypatch.setattr(responses, "now", lambda: later)
        assert not _there(tx, kept(0).id)
        assert responses.sweep(tx, later) == 2


def test_a_chain_with_a_gap_is_said(store: Store) -> None:
    with store.writing() as tx:
        for number in range(3):
            before = kept(number - 1).id if number else None
            responses.keep(tx, LOCAL, kept(number, previous=before))
        responses.delete(tx, LOCAL, kept(0).id)
        with pytest.raises(InputError, match="goes on from another: There is no response") as gap:
            responses.chain(tx, LOCAL, kept(2).id)
    assert kept(0).id in str(gap.value)


def _there(tx: Connection, id_: str) -> bool:
    try:
        responses.get(tx, LOCAL, id_)
    except NotFoundError:
        return False
    return True
