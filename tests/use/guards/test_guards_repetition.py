"""Loops are stopped soon after their third repeat; what only looks like one is left alone."""

from __future__ import annotations

import json
import random
import sysconfig
from pathlib import Path

import pytest

from kataribe.base.errors import SettingsError
from kataribe.base.events import Finished, Step, TextDelta
from kataribe.base.lm import Request
from kataribe.base.messages import text_message
from kataribe.run.providers.scripted import Reply, ScriptedLM
from kataribe.use.guards.guarded import Guarded
from kataribe.use.guards.repetition import ALLOWANCE, LONGEST, LoopFinder, Repetition

UNITS = {
    "words": " and then we went on",
    "one letter": "a",
    "two letters": "ha",
    "Japanese": "そして次の日も同じことが起きた。",
    "lines": "- The answer is 42.\n",
    "code": "    x = x + 1\n    y = y * 2\n",
    "JSON": '{"a": 0, "b": [0, 0, 0, 0]}, ',
    "paragraph": "The committee met again on Tuesday. Nothing was decided, and all went home. Some "
    "said that it was for the weather, others for the tea, which had been cold for an hour. The "
    "chair, a man of few words, said none; he only looked at the clock and then at his shoes. ",
    "breaks": "\n\n",
    "a loop inside": "no, no, no, no, no, no, no, no, no, yes! Then all began again. ",
}


def stopped_at(text, *, step=1, tokens=None):
    """Where the finder stops a text that comes in pieces of `step`; None: it does not."""
    finder = LoopFinder()
    for at in range(0, len(text), step):
        told = 0 if tokens is None else tokens(at + step)
        if finder.push(text[at : at + step], told) is not None:
            return min(at + step, len(text))
    return None


def slow_stop(text, allowance):
    """The same by definition: characters after the third repeat of any unit, a token each."""
    runs = [0] * (len(text) + 1)
    for at, character in enumerate(text):
        for distance in range(1, at + 1):
            runs[distance] = runs[distance] + 1 if text[at - distance] == character else 0
            if runs[distance] >= 3 * distance + allowance:
                return at + 1
    return None


@pytest.mark.parametrize("name", UNITS)
@pytest.mark.parametrize("step", [1, 7])
def test_a_loop_ends_within_64_tokens_of_its_third_repeat(name, step):
    before = "Here is what happened on that long day, told as well as I can. "
    unit = UNITS[name]
    text = before + unit * (5 + 600 // len(unit))
    third = len(before) + 4 * len(unit)
    found = stopped_at(text, step=step, tokens=lambda at: at)  # a character is a token
    assert found is not None
    assert third < found <= third + 64


def test_the_stop_is_where_the_definition_says():
    draw = random.Random(3)
    print("seed 3")
    for _ in range(60):
        alphabet = draw.choice(("ab", "abcd", "abcdefghij "))
        before = "".join(draw.choices(alphabet, k=draw.randint(0, 30)))
        unit = "".join(draw.choices("abcdefghij", k=draw.randint(1, 25)))
        text = before + unit * (5 + 90 // len(unit))
        slow = slow_stop(text, ALLOWANCE)
        fast = stopped_at(text, tokens=lambda at: at)
        assert slow is not None
        assert fast is not None
        assert slow <= fast <= slow + 16, (before, unit)


def test_loops_of_every_shape_end_within_64_tokens_of_their_third_repeat():
    """Rulers inside, few letters, numbers before lines: what a stop once came late or never for."""
    draw = random.Random(5)
    print("seed 5")
    alphabets = (
        "ab ",
        " -|=",
        "0123456789,. ",
        "#=-\n ab",
        "01\n .)",
        "あいうえお。\n",
        "    x=1\n",
    )
    for number in range(100):
        signs = draw.choice(alphabets)
        runs = (draw.choice(signs) * draw.choice((1, 1, 7, 30)) for _ in range(60))
        unit = "".join(runs)[: int(2 * 200 ** draw.random())].rstrip() + "x"
        before = "".join(draw.choices("abcdefghij ", k=draw.randint(40, 300)))
        words = " ".join(unit.split())
        if number % 3 == 0 and len(words) > 24:
            rows = [f"{n}. {words}\n" for n in range(1, 9)]
            text, third = before + "\n" + "".join(rows), len(before) + 1 + sum(map(len, rows[:4]))
        else:
            text, third = before + unit * (6 + 90 // len(unit)), len(before) + 4 * len(unit)
        found = stopped_at(text, tokens=lambda at: at)
        assert found is not None, unit
        assert found <= third + 64, unit


def test_the_same_number_again_and_again_is_a_loop_however_short():
    text = "1. Yes\n" * 60
    assert stopped_at(text, tokens=lambda at: at) is not None
    assert stopped_at("".join(f"{n}. Yes\n" for n in range(1, 400))) is not None


def test_looking_back_takes_no_longer_for_regular_text():
    finder = LoopFinder(allowance=10**9)
    for _ in range(40):
        finder.push("| --- | -- | ---- " * 3 + "a" * 40 + str(_))
        assert 0 <= finder._back <= 4 * 4096


def test_random_text_is_no_loop():
    draw = random.Random(4)
    print("seed 4")
    for alphabet in ("ab", "abcdefgh ", "01"):
        text = "".join(draw.choices(alphabet, k=20_000))
        assert stopped_at(text, step=5, tokens=lambda at: at) is None


@pytest.mark.parametrize("told", [True, False])
def test_numbered_items_that_say_the_same_are_a_loop(told):
    rows = [f"{number}. The cat sat on the mat and looked at me.\n" for number in range(1, 40)]
    tokens = (lambda at: at // 4) if told else None
    found = stopped_at("".join(rows), tokens=tokens)
    third = sum(map(len, rows[:4]))
    assert found is not None
    assert third < found <= third + 64 * 4


def test_short_numbered_answers_may_be_equal():
    assert stopped_at("".join(f"{number}. Yes\n" for number in range(1, 60))) is None


def regular():
    draw = random.Random(5)
    cells = [str(draw.randrange(100)) for _ in range(400)]
    yield (
        "table",
        "| a | b |\n| --- | --- |\n"
        + "".join(f"| {a} | {b} |\n" for a, b in zip(cells[::2], cells[1::2], strict=True)),
    )
    yield "rulers", ("=" * 79 + "\nTitle\n" + "-" * 79 + "\n") * 2
    yield "wide table", "|" + " --- |" * 18
    yield "JSON", json.dumps([{"id": n, "ok": True, "tags": []} for n in range(60)], indent=2)
    yield "zeros", json.dumps([0] * 20)
    yield "list", "".join(f"{n}. Step {n}: {draw.random():.3f}\n" for n in range(60))
    yield "poem", "Row, row, row your boat\nGently down the stream\n" * 3
    yield "laughter", "ha" * 20 + "! " + "あ" * 30
    yield "dots", "…" * 40 + "." * 60
    yield "spaces", " " * 120 + "x\n" + "\n" * 6
    yield "base64", "iVBORw0KGgo" + "A" * 60 + "BJRU5ErkJggg"


@pytest.mark.parametrize(("name", "text"), list(regular()), ids=lambda value: str(value)[:10])
def test_regular_text_is_no_loop(name, text):
    assert stopped_at(text, step=3) is None


def test_the_standard_library_is_no_loop():
    folder = Path(sysconfig.get_paths()["stdlib"])
    sources = sorted(folder.glob("[a-c]*.py"))
    assert len(sources) > 20
    for path in sources:
        text = path.read_text(encoding="utf-8")[:12_000]
        assert stopped_at(text, step=4) is None, path.name


def test_a_loop_longer_than_the_memory_is_not_found():
    draw = random.Random(6)
    unit = "".join(draw.choices("abcdefghijklmnop ", k=LONGEST + 50))
    assert stopped_at(unit * 6, step=50) is None


def test_memory_stays_small():
    finder = LoopFinder()
    draw = random.Random(7)
    for _ in range(100):
        finder.push("".join(draw.choices("abcdefghij ", k=1000)))
    assert len(finder._text) == len(finder._at) <= 3 * LONGEST + 1024
    finder = LoopFinder()
    for _ in range(30):
        finder.push("".join(draw.choices("0123456789", k=100)))
    assert len(finder._head) < 40  # digits at the beginning of a line wait for what follows


async def test_the_reply_ends_with_its_own_reason():
    inner = ScriptedLM(Reply("Once. " + "la la li lo " * 400))
    lm = Guarded(inner, [Repetition()])
    events = [e async for e in lm.stream(Request((text_message("user", "Sing"),)))]
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.reason == "repetition"
    assert "times" in end.detail
    assert "la la li lo" in end.detail
    assert inner.abandoned == 1
    said = "".join(e.text for e in events if isinstance(e, TextDelta))
    assert said == end.message.parts[0].text
    assert len(said) <= len("Once. ") + 4 * len("la la li lo ") + 64
    assert end.usage.completion_tokens == len(said)


async def test_thoughts_that_loop_are_stopped():
    class Thinking:
        name = "thinking"
        capabilities = ScriptedLM().capabilities

        async def stream(self, request):
            from kataribe.base.events import ReasoningDelta

            for number in range(10_000):
                yield ReasoningDelta("wait, let me think again. ", tokens=6 * number)

    lm = Guarded(Thinking(), [Repetition()])
    events = [e async for e in lm.stream(Request((text_message("user", "?"),)))]
    assert events[-1].reason == "repetition"
    assert len(events) < 30


async def test_a_note_lets_the_loop_go_on():
    lm = Guarded(ScriptedLM("la la li lo " * 40), [Repetition(action="note")])
    events = [e async for e in lm.stream(Request((text_message("user", "Sing"),)))]
    assert events[-1].reason == "stop"
    assert len([e for e in events if isinstance(e, Step)]) == 1
    assert events[-1].detail.startswith("repetition noted")


@pytest.mark.parametrize("options", [{"action": "refuse"}, {"allowance": 0}])
def test_bad_options(options):
    with pytest.raises(SettingsError, match="repetition"):
        Repetition(**options)
