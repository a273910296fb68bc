"""Messages survive JSON, and what is no message is refused by name."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kataribe.base.errors import InputError
from kataribe.base.messages import (
    AudioPart,
    ImagePart,
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    from_json,
    text_message,
    text_of,
    to_json,
)

words = st.text()
parts = st.one_of(
    st.builds(TextPart, words),
    st.builds(ReasoningPart, words),
    st.builds(ImagePart, words, st.none() | st.binary(), st.none() | words),
    st.builds(AudioPart, words, st.binary()),
    st.builds(ToolCallPart, words, words, words),
    st.builds(ToolResultPart, words, words, st.booleans()),
)
messages = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    st.lists(parts, max_size=5).map(tuple),
)


@given(messages)
def test_a_message_survives_json(message):
    assert from_json(json.loads(json.dumps(to_json(message)))) == message


def test_every_kind_of_part_has_a_json_form_of_its_own():
    kinds = [
        TextPart("語り部"),
        ReasoningPart("hm"),
        ImagePart("image/png", b"\x00\xff", None),
        AudioPart("audio/wav", b"RIFF"),
        ToolCallPart("1", "f", '{"a": 1}'),
        ToolResultPart("1", "no", is_error=True),
    ]
    forms = to_json(Message("user", tuple(kinds)))["parts"]
    assert len({form["type"] for form in forms}) == len(kinds)
    for kind, form in zip(kinds, forms, strict=True):
        assert set(form) == {"type", *(field.name for field in dataclasses.fields(kind))}


def test_words_of_a_message_leave_the_rest_out():
    message = Message("assistant", (ReasoningPart("x"), TextPart("a"), TextPart("b")))
    assert text_of(message) == "ab"
    assert text_of(text_message("user", "")) == ""


def test_messages_are_values():
    message = text_message("user", "a")
    assert message == text_message("user", "a")
    assert hash(message) == hash(text_message("user", "a"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        message.role = "system"


@pytest.mark.parametrize(
    ("value", "complaint", "param"),
    [
        ({}, "role None", "role"),
        ({"role": "wizard", "parts": []}, "'wizard'", "role"),
        ({"role": "user"}, "list of parts", "parts"),
        ({"role": "user", "parts": "hello"}, "list of parts", "parts"),
        ({"role": "user", "parts": ["hello"]}, "object with a type", "parts"),
        ({"role": "user", "parts": [{"type": "smell"}]}, "'smell'", "parts"),
        ({"role": "user", "parts": [{"type": "text"}]}, "'text'", "text"),
        ({"role": "user", "parts": [{"type": "text", "text": 3}]}, "'text'", "text"),
        (
            {"role": "user", "parts": [{"type": "audio", "media_type": "a", "data": "?"}]},
            "base64",
            "data",
        ),
        ({"role": "user", "parts": [{"type": "tool_call", "id": "1"}]}, "'name'", "name"),
    ],
)
def test_what_is_no_message_is_refused(value, complaint, param):
    with pytest.raises(InputError, match=complaint) as caught:
        from_json(value)
    assert caught.value.param == param


def test_a_thought_keeps_its_seal_and_older_thoughts_have_none():
    sealed = Message("assistant", (ReasoningPart("hm", '{"by":"anthropic:m"}'),))
    assert from_json(to_json(sealed)) == sealed
    older = {"role": "assistant", "parts": [{"type": "reasoning", "text": "hm"}]}
    assert from_json(older) == Message("assistant", (ReasoningPart("hm"),))
