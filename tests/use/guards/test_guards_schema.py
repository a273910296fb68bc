"""Broken JSON is mended where that is certain, asked for again where it is not."""

from __future__ import annotations

import json
import random

import pytest

from kataribe.base.errors import ConstraintError, SettingsError
from kataribe.base.events import TextDelta
from kataribe.base.lm import JsonFormat, Request
from kataribe.base.messages import text_message, text_of
from kataribe.run.providers.scripted import Call, Reply, ScriptedLM
from kataribe.use.guards.guarded import Guarded, Policy
from kataribe.use.guards.json_repair import mended, parsed
from kataribe.use.guards.schema import Schema

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
ANNA = '{"name": "Anna", "age": 7}'


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"```json\n{ANNA}\n```", {"name": "Anna", "age": 7}),
        (f"Here it is:\n```\n{ANNA}\n```\nHave fun!", {"name": "Anna", "age": 7}),
        (f"Sure! {ANNA} I hope this helps.", {"name": "Anna", "age": 7}),
        (f"```json\n{ANNA}", {"name": "Anna", "age": 7}),
        ('{"a": [1, 2, ], }', {"a": [1, 2]}),
        ('{"a": True, "b": None, "c": False}', {"a": True, "b": None, "c": False}),
        ('{"a": "one\ntwo\t3"}', {"a": "one\ntwo\t3"}),
        ('{"a": {"b": [1, 2]', {"a": {"b": [1, 2]}}),
        ('{"a": "x",', {"a": "x"}),
        ('{"a": [true', {"a": [True]}),
        ('\ufeff{"a": 1}', {"a": 1}),
        ('{"a": ",]}"', {"a": ",]}"}),
        ('{"a": "True, None,}",}', {"a": "True, None,}"}),
    ],
)
def test_certain_mendings(text, value):
    assert not parsed(text)[0]
    made = mended(text)
    assert made is not None
    assert json.loads(made) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"a": "half of a str',
        '{"a": 12',
        '{"a":',
        '{"a"',
        '{"a": 1]',
        "no JSON at all",
        "",
        "```json\n{}\n```\nor\n```json\n[]\n```",
        '{"a": 1} or {"a": 2}',
        "{'a': 1}",
        '{"a": tru',
        '{"a": NaN}',
    ],
)
def test_what_would_need_a_guess_is_left_alone(text):
    assert mended(text) is None


def test_mending_agrees_with_what_was_cut():
    draw = random.Random(8)
    print("seed 8")
    for _ in range(300):
        value = [{"k": draw.choice(["a", 'q"\\', "é,]"]), "n": [True, None, draw.random()]}] * 2
        whole = json.dumps(value, indent=draw.choice([None, 1]))
        cut = whole[: draw.randint(1, len(whole))]
        made = mended(cut)
        if made is not None:  # what is said in it was said before the cut
            assert json.dumps(json.loads(made))[:-1].rstrip("]}") in json.dumps(value)


async def answered(guard, *replies, form=None, policy=None):
    inner = ScriptedLM(list(replies))
    options = {} if form is None else {"response_format": form}
    request = Request((text_message("user", "Who?"),), **options)
    events = [e async for e in Guarded(inner, [guard], policy).stream(request)]
    said = "".join(e.text for e in events if isinstance(e, TextDelta))
    assert said == text_of(events[-1].message)
    return events[-1], inner


async def test_a_good_reply_is_untouched():
    end, inner = await answered(Schema(), ANNA, form=JsonFormat(PERSON))
    assert (text_of(end.message), end.detail, len(inner.requests)) == (ANNA, "", 1)


async def test_a_fence_is_mended_and_told():
    end, inner = await answered(Schema(PERSON), f"```json\n{ANNA}\n```")
    assert text_of(end.message) == ANNA
    assert "schema repaired: the JSON was mended: it is no JSON" in end.detail
    assert len(inner.requests) == 1


async def test_a_wrong_value_is_asked_for_again_with_what_was_wrong():
    end, inner = await answered(
        Schema(), '{"name": "Anna", "age": -1}', ANNA, form=JsonFormat(PERSON)
    )
    assert text_of(end.message) == ANNA
    *_, before, hint = inner.requests[1].prompt
    assert before.role == "assistant"
    assert "-1 is less than the minimum of 0 (at $.age)" in text_of(hint)
    assert end.usage.completion_tokens == len('{"name": "Anna", "age": -1}' + ANNA)


async def test_a_mending_that_breaks_the_schema_is_not_taken():
    end, inner = await answered(Schema(PERSON), '{"name": "Anna",}', ANNA)
    assert text_of(end.message) == ANNA
    assert len(inner.requests) == 2


async def test_the_budget_ends_and_the_words_are_not_lost():
    end, inner = await answered(Schema(PERSON), "no", "no", policy=Policy(retries=1))
    assert len(inner.requests) == 2
    assert (end.reason, text_of(end.message)) == ("content_filter", "no")
    end, _ = await answered(Schema(PERSON, otherwise="note"), "no", "no")
    assert (end.reason, text_of(end.message)) == ("stop", "no")
    assert "it is no JSON" in end.detail
    end, _ = await answered(Schema(PERSON, action="stop"), "no")
    assert end.reason == "content_filter"


async def test_without_a_schema_nothing_is_held():
    end, _ = await answered(Schema(), "just words")
    assert (text_of(end.message), end.detail) == ("just words", "")


async def test_calls_are_not_json_replies():
    end, _ = await answered(Schema(PERSON), Reply("Let me see.", calls=(Call("f"),)))
    assert (end.reason, end.detail) == ("tool_calls", "")


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "nonsense"}, "no JSON schema"),
        ({"$ref": "https://example.com/other.json"}, "not in it"),
        ({"$ref": "#/$defs/missing"}, "not in it"),
    ],
)
async def test_bad_schemas(schema, said):
    with pytest.raises(SettingsError, match=said) as caught:
        Schema(schema)
    assert caught.value.param == "schema"
    with pytest.raises(ConstraintError, match=said):
        await answered(Schema(), "{}", form=JsonFormat(schema))


async def test_a_schema_that_refers_to_itself():
    tree = {"$defs": {"t": {"type": "array", "items": {"$ref": "#/$defs/t"}}}, "$ref": "#/$defs/t"}
    end, _ = await answered(Schema(tree), "[[[], []]]")
    assert end.detail == ""
    end, _ = await answered(Schema(tree, action="note"), "[" * 5000 + "]" * 5000)
    assert end.detail


def test_bad_options():
    with pytest.raises(SettingsError, match="otherwise"):
        Schema(otherwise="retry")
