"""Personal data is found, masked, and put back where that is wanted."""

from __future__ import annotations

import random

import pytest

from kataribe.base.errors import SettingsError
from kataribe.base.events import Finished, Step, TextDelta, ToolCallDelta
from kataribe.base.lm import Request
from kataribe.base.messages import (
    Message,
    ToolCallPart,
    ToolResultPart,
    text_message,
    text_of,
)
from kataribe.run.providers.scripted import Call, Reply, ScriptedLM
from kataribe.use.guards import personal
from kataribe.use.guards.guarded import Guarded
from kataribe.use.guards.masking import Personal
from kataribe.use.guards.personal import KINDS, find, is_card, is_my_number

CARD = "4111 1111 1111 1111"
MY_NUMBER = "1234 5678 9018"

FOUND = [
    ("email", "taro.yamada+news@example.co.jp"),
    ("email", "ｔａｒｏ＠ｅｘａｍｐｌｅ．ｊｐ"),
    ("ip", "203.0.113.9"),
    ("ip", "2001:db8::8a2e:370:7334"),
    ("card", CARD),
    ("card", "5500-0000-0000-0004"),
    ("card", "378282246310005"),
    ("my_number", MY_NUMBER),
    ("my_number", "123456789018"),
    ("phone", "090-1234-5678"),
    ("phone", "09012345678"),
    ("phone", "０３－１２３４－５６７８"),
    ("phone", "03(1234)5678"),
    ("phone", "0120-444-444"),
    ("phone", "+81 90-1234-5678"),
    ("phone", "+44 20 7946 0958"),
    ("phone", "(212) 555-0187"),
    ("address", "〒100-8111 東京都千代田区千代田1-1"),
    ("address", "大阪府大阪市北区梅田三丁目1番3号"),
    ("address", "横浜市中区本町6-50-10"),
    ("address", "1600 Pennsylvania Avenue"),
    ("address", "221 Baker Street, London"),
]


def test_what_overlaps_is_one_finding_as_by_comparing_each_with_each():
    draw = random.Random(11)
    values = [value for _, value in FOUND]
    for _ in range(40):
        text = draw.choice([" ", "", ", ", "-"]).join(draw.choices(values, k=12))
        wanted: list[tuple[str, int, int]] = []
        for kind in KINDS:
            for start, end in personal._FINDERS[kind](text.translate(personal._WIDE)):
                if all(end <= begin or start >= stop for _, begin, stop in wanted):
                    wanted.append((kind, start, end))
        wanted.sort(key=lambda each: each[1])
        assert [(each.kind, each.start, each.end) for each in find(text)] == wanted


@pytest.mark.parametrize(("kind", "value"), FOUND)
@pytest.mark.parametrize("around", [("", ""), ("Write to ", ", please."), ("連絡先は", "です。")])
def test_what_is_personal_is_found_whole(kind, value, around):
    before, after = around
    found = find(before + value + after)
    assert [(each.kind, each.start, each.end) for each in found] == [
        (kind, len(before), len(before) + len(value))
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Version 1.2.3 came out on 2024-10-11 at 09:30:00.",
        "In 1998 there were 1234567 people and 12,345,678 trees.",
        "127.0.0.1 and 0.0.0.0 and ::1 are every machine's.",
        "The card 4111 1111 1111 1112 has a wrong sum.",
        "The number 1234 5678 9012 has a wrong check digit.",
        "0000 0000 0000 0000 is a pattern, 111111111111 too.",
        "ISBN 978-4-10-101001-4 and order 0012345.",
        "@decorator and user@host and a@b are no addresses.",
        "今年は三月に市区町村の合併があり、人口は十万人になった。",
        "x = 3.14159265358979; y = 0.1234567890123",
        "time 10:20:30:40 and std::vector::size",
        "The house has 12 rooms. Drive on.",
    ],
)
def test_what_only_looks_alike_is_left_alone(text):
    assert find(text) == []


def test_luhn_agrees_with_its_definition():
    draw = random.Random(1)
    print("seed 1")
    for _ in range(2000):
        digits = [draw.choice((3, 4, 5)), *draw.choices(range(10), k=15)]
        total = sum(
            (2 * d - 9 if 2 * d > 9 else 2 * d) if place % 2 else d
            for place, d in enumerate(reversed(digits))
        )
        assert is_card("".join(map(str, digits))) == (total % 10 == 0)


def test_the_check_digit_of_my_number_agrees_with_its_definition():
    draw = random.Random(2)
    print("seed 2")
    weights = (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)  # Q of the digits from the left
    right = 0
    for _ in range(3000):
        digits = draw.choices(range(10), k=12)
        rest = sum(d * w for d, w in zip(digits, weights, strict=False)) % 11
        wanted = 0 if rest <= 1 else 11 - rest
        assert is_my_number("".join(map(str, digits))) == (digits[11] == wanted)
        right += digits[11] == wanted
    assert right > 100


async def test_masking_and_back_again():
    told = []

    def script(request):
        told.append(text_of(request.prompt[-1]))
        return Reply(
            "I wrote to [EMAIL_1], not to [EMAIL_3] or [EMAIL.",
            calls=(Call("mail", {"to": "[EMAIL_1]"}),),
            pieces=("I wrote to [EM", "AIL", "_1], not to [EMAIL_3]", " or [EMAIL."),
        )

    guard = Personal(restore=True)
    lm = Guarded(ScriptedLM(script), [guard])
    said = "Mail anna@example.com and bob@example.com, then anna@example.com."
    events = [e async for e in lm.stream(Request((text_message("user", said),)))]
    assert told == ["Mail [EMAIL_1] and [EMAIL_2], then [EMAIL_1]."]
    end = events[-1]
    assert isinstance(end, Finished)
    wanted = "I wrote to anna@example.com, not to [EMAIL_3] or [EMAIL."
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == wanted
    assert text_of(end.message) == wanted
    call = next(part for part in end.message.parts if isinstance(part, ToolCallPart))
    assert call.arguments == '{"to": "anna@example.com"}'
    pieces = [e.arguments for e in events if isinstance(e, ToolCallDelta)]
    assert "".join(pieces) == call.arguments
    steps = [e.detail for e in events if isinstance(e, Step)]
    assert len(steps) == 2
    assert "anna" not in "".join(steps)


async def test_a_value_keeps_its_placeholder_over_the_turns():
    inner = ScriptedLM("fine", repeat=True)
    lm = Guarded(inner, [Personal(restore=True)])
    first = text_message("user", "I am at 090-1234-5678.")
    answer = text_message("assistant", "You are at 090-1234-5678.")
    second = text_message("user", "And at 03-1234-5678.")
    for prompt in ((first,), (first, answer, second)):
        [e async for e in lm.stream(Request(prompt))]
    turns = [[text_of(m) for m in request.prompt] for request in inner.requests]
    assert turns == [
        ["I am at [PHONE_1]."],
        ["I am at [PHONE_1].", "You are at [PHONE_1].", "And at [PHONE_2]."],
    ]


async def test_a_placeholder_that_somebody_wrote_is_not_used():
    inner = ScriptedLM("You wrote [EMAIL_1].")
    lm = Guarded(inner, [Personal(restore=True)])
    said = "What is [EMAIL_1]? I am a@example.com."
    events = [e async for e in lm.stream(Request((text_message("user", said),)))]
    assert text_of(inner.requests[0].prompt[0]) == "What is [EMAIL_1]? I am [EMAIL_2]."
    assert text_of(events[-1].message) == "You wrote [EMAIL_1]."


async def test_what_the_system_text_says_moves_no_number_of_the_conversation():
    turn = text_message("user", "I am a@example.com.")
    for known in ("", "b@example.com and a@example.com", "c@example.com, b@example.com"):
        cleared = await Personal(system=True).look(Request((text_message("system", known), turn)))
        assert text_of(cleared.request.prompt[1]) == "I am [EMAIL_1]."
        assert "@" not in text_of(cleared.request.prompt[0])
    assert text_of(cleared.request.prompt[0]) == "[EMAIL_2], [EMAIL_3]"


async def test_tool_results_and_calls_are_masked_and_the_system_is_not():
    inner = ScriptedLM("fine")
    call = ToolCallPart("1", "find", '{"mail": "a@example.com"}')
    prompt = (
        text_message("system", "Help desk: desk@example.com"),
        text_message("user", "Who is it?"),
        Message("assistant", (call,)),
        Message("tool", (ToolResultPart("1", "a@example.com is Anna, 192.0.2.7"),)),
    )
    [e async for e in Guarded(inner, [Personal()]).stream(Request(prompt))]
    system, _, called, result = inner.requests[0].prompt
    assert text_of(system) == "Help desk: desk@example.com"
    assert called.parts[0].arguments == '{"mail": "[EMAIL_1]"}'
    assert result.parts[0].content == "[EMAIL_1] is Anna, [IP_1]"


async def test_only_chosen_kinds_and_other_actions():
    inner = ScriptedLM("fine", repeat=True)
    said = Request((text_message("user", "a@example.com, 192.0.2.7"),))
    [e async for e in Guarded(inner, [Personal(kinds=("ip",))]).stream(said)]
    assert text_of(inner.requests[-1].prompt[0]) == "a@example.com, [IP_1]"
    events = [e async for e in Guarded(inner, [Personal("note")]).stream(said)]
    assert inner.requests[-1] == said
    assert len([e for e in events if isinstance(e, Step)]) == 2
    events = [e async for e in Guarded(inner, [Personal("refuse")]).stream(said)]
    assert events[-1].reason == "content_filter"
    assert len(inner.requests) == 2


async def test_a_raw_prompt_is_masked():
    inner = ScriptedLM("fine")
    [e async for e in Guarded(inner, [Personal()]).stream(Request("Dear a@example.com,"))]
    assert inner.requests[0].prompt == "Dear [EMAIL_1],"


@pytest.mark.parametrize("options", [{"action": "stop"}, {"kinds": ("iban",)}])
def test_bad_options(options):
    with pytest.raises(SettingsError, match="personal"):
        Personal(**options)
