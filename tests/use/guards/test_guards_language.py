"""The language of a reply is told once enough of it is there."""

from __future__ import annotations

import pytest

from kataribe.base.errors import SettingsError
from kataribe.base.lm import JsonFormat, Request
from kataribe.base.messages import text_message, text_of
from kataribe.run.providers.scripted import ScriptedLM
from kataribe.use.guards.guarded import Guarded
from kataribe.use.guards.language import Language, language_of

ENGLISH = "The harbour lies to the north of the town, and most of its boats go out before dawn. "
JAPANESE = "港は町の北にあり、ほとんどの船は夜明け前に出ていきます。帰りは夕方です。"
CHINESE = "港口位于城镇的北面，大部分船只在黎明之前出海，傍晚才回来。人们都很熟悉这条路。"
GERMAN = "Der Hafen liegt im Norden der Stadt, und die meisten Boote fahren vor der Dämmerung aus."


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (ENGLISH, "en"),
        (JAPANESE, "ja"),
        (CHINESE, "zh"),
        (GERMAN, "de"),
        ("항구는 마을 북쪽에 있고 대부분의 배는 새벽 전에 나갑니다. 저녁에 돌아옵니다.", "ko"),
        ("Yes.", None),
        ("42 + 17 = 59", None),
        (
            (
                "```python\nfor line in lines:\n    print(line.rstrip())\n```\n"
                "はい、これで動きます。お試しください。"
            ),
            "ja",
        ),
        (f"「{ENGLISH[:30]}」という文の意味は次のとおりです。{JAPANESE}", "ja"),
        (f"The word 港 (みなと) means harbour. {ENGLISH}", "en"),
    ],
)
def test_languages(text, code):
    assert language_of(text) == code


async def answered(guard, question, *replies, system=None, **options):
    messages = [text_message("user", question)]
    if system:
        messages.insert(0, text_message("system", system))
    inner = ScriptedLM(list(replies))
    events = [e async for e in Guarded(inner, [guard]).stream(Request(tuple(messages), **options))]
    return events[-1], inner


async def test_the_wrong_language_is_noted():
    end, _ = await answered(Language(), JAPANESE, ENGLISH)
    assert "the language is en, not ja" in end.detail
    assert text_of(end.message) == ENGLISH
    end, _ = await answered(Language("ja"), "Hi", CHINESE)
    assert "the language is zh, not ja" in end.detail


@pytest.mark.parametrize(
    ("question", "reply"),
    [
        (JAPANESE, JAPANESE),
        (ENGLISH, ENGLISH),
        ("Translate this into Japanese: " + ENGLISH, JAPANESE),
        ("次の文を英語にしてください。" + JAPANESE, ENGLISH),
        ("Hi", JAPANESE),
        (JAPANESE, "OK"),
        (JAPANESE, "```python\n" + "print(answer_to_everything)\n" * 5 + "```"),
    ],
)
async def test_what_is_right_or_cannot_be_told(question, reply):
    end, _ = await answered(Language(), question, reply)
    assert end.detail == ""


async def test_the_system_message_may_choose_the_language():
    end, _ = await answered(Language(), JAPANESE, ENGLISH, system="Always answer in English.")
    assert end.detail == ""


async def test_a_reply_with_a_form_is_not_told():
    end, _ = await answered(Language(), JAPANESE, ENGLISH, response_format=JsonFormat())
    assert end.detail == ""


async def test_asking_again_names_the_language():
    end, inner = await answered(Language("ja", "retry"), "Where?", ENGLISH * 5, JAPANESE)
    assert text_of(end.message) == JAPANESE
    assert "日本語" in text_of(inner.requests[1].prompt[-1])
    assert inner.abandoned == 1  # the first try was left after its first letters
    assert end.usage.completion_tokens < len((ENGLISH * 2 + JAPANESE).encode())


async def test_a_stop_lets_nothing_of_the_wrong_language_out():
    end, _ = await answered(Language("ja", "stop"), "Where?", ENGLISH * 5)
    assert (end.reason, text_of(end.message)) == ("content_filter", "")


@pytest.mark.parametrize("options", [{"language": "japanese"}, {"action": "mask"}])
def test_bad_options(options):
    with pytest.raises(SettingsError, match="language"):
        Language(**options)
