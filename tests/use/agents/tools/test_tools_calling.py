"""Calls: whatever goes wrong becomes words for the model."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from kataribe.base.errors import InputError
from kataribe.base.lm import ToolSpec
from kataribe.base.messages import ToolCallPart
from kataribe.use.agents.tools.answers import cut_answer
from kataribe.use.agents.tools.approvals import Approvals
from kataribe.use.agents.tools.calling import CallLimits, call_tool
from kataribe.use.agents.tools.function import function_tool


class Raw:
    """A tool that keeps to nothing."""

    def __init__(self, answer: Any, name: str = "raw") -> None:
        self.answer = answer
        self.spec = ToolSpec(name)

    async def call(self, arguments: Mapping[str, Any]) -> str:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer() if callable(self.answer) else self.answer


def add(a: int, b: int = 1) -> int:
    """Adds."""
    return a + b


def multiply(a: int, b: int) -> int:
    """Multiplies."""
    return a * b


TOOLS = (function_tool(add), function_tool(multiply))


async def asked(tools, name, arguments="{}", **given):
    return await call_tool(tools, ToolCallPart("call_1", name, arguments), **given)


async def test_a_call_is_answered():
    result = await asked(TOOLS, "add", '{"a": 2}')
    assert (result.call_id, result.content, result.is_error) == ("call_1", "3", False)


async def test_an_unknown_tool_names_what_there_is():
    result = await asked(TOOLS, "ad")
    assert result.is_error
    assert result.content == (
        "Error: There is no tool 'ad'. Did you mean add? There are add, multiply."
    )
    assert "nor any other" in (await asked((), "x" * 5000)).content


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ('{"a": 2', "are no JSON: .* at character 7"),
        ("a = 2", "are no JSON"),
        ("[2]", "are a JSON list, but must be an object"),
        ("null", "are a JSON null"),
        ('"{}"', "are a JSON string"),
        ('{"a": "two"}', "do not fit: a: .*integer"),
        ('{"b": 2}', "a: Field required"),
        ('{"a": 1, "c": 2}', "c: Extra inputs"),
        ("", "a: Field required"),
        ("[" * 100_000, "cannot be read|are no JSON"),
        ('{"a": ' + "9" * 5000 + "}", "cannot be read"),
        (" " * 10 + '"' + "x" * (1 << 20), "1048587|1048577"),
    ],
)
async def test_arguments_that_cannot_be_read(arguments, words):
    result = await asked(TOOLS, "add", arguments)
    assert result.is_error
    assert re.search(words, result.content)
    assert len(result.content) < 2200


@pytest.mark.parametrize(
    "error", [RuntimeError("broken"), ZeroDivisionError("broken"), OSError(5, "broken")]
)
async def test_a_tool_that_raises(error):
    result = await asked((Raw(error),), "raw")
    assert result.is_error
    assert type(error).__name__ in result.content
    assert "broken" in result.content


async def test_an_endless_error_is_cut():
    result = await asked((Raw(RuntimeError("x" * 10**7)),), "raw")
    assert result.is_error
    assert len(result.content) < 2200


async def test_a_tool_that_hangs_in_a_thread():
    gate = threading.Event()
    hangs = function_tool(lambda: gate.wait(60), name="hangs")
    result = await asked((hangs,), "hangs", limits=CallLimits(seconds=0.2))
    gate.set()
    assert result.is_error
    assert "hangs did not answer within 0.2 s" in result.content


async def test_a_tool_that_hangs_in_the_loop_is_cancelled():
    ended = []

    async def hangs() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)
        return ""

    result = await asked((function_tool(hangs),), "hangs", limits=CallLimits(seconds=0.1))
    assert "did not answer" in result.content
    assert ended == [True]


async def test_a_tool_that_does_not_let_itself_be_cancelled():
    class Stubborn:
        spec = ToolSpec("stubborn")

        async def call(self, arguments: Mapping[str, Any]) -> str:
            for _ in range(4):
                try:
                    await asyncio.sleep(1)
                except asyncio.CancelledError:
                    continue
            raise RuntimeError("late")

    result = await asked((Stubborn(),), "stubborn", limits=CallLimits(seconds=0.1))
    assert "did not answer" in result.content
    await asyncio.sleep(3)  # its late error troubles nobody


async def test_cancelling_the_call_cancels_the_tool():
    ended = asyncio.Event()

    async def hangs() -> str:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return ""

    call = asyncio.create_task(asked((function_tool(hangs),), "hangs"))
    await asyncio.sleep(0.05)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert ended.is_set()


async def test_fifty_megabytes_are_cut_and_said_to_be():
    text = "".join(f"line {n:07}\n" for n in range(4_100_000))
    assert len(text) > 50 << 20
    result = await asked((Raw(text),), "raw")
    assert not result.is_error
    assert len(result.content) < 20_200
    assert result.content.startswith("line 0000000\n")
    assert result.content.endswith("line 4099999\n")
    assert f"{len(text) - 20_000:,} of {len(text):,} characters left out" in result.content


@pytest.mark.parametrize(
    "answer",
    [bytes(50 << 20), "\0" * 100, "PNG\x1a\x00\x01" + "x" * 1000, "\x01\x02\x03" * 100],
    ids=["bytes", "nul", "png", "control"],
)
async def test_binary_answers_are_not_shown(answer):
    result = await asked((Raw(answer),), "raw")
    assert "binary data" in result.content
    assert len(result.content) < 200


@pytest.mark.parametrize("answer", [None, 5, {"a": [1]}, object()])
async def test_answers_that_are_no_text_become_some(answer):
    result = await asked((Raw(answer),), "raw")
    assert result.content
    assert not result.is_error


def test_short_answers_stay_as_they_are():
    for text in ("", "a", "語" * 100, "\t\n\x1b[31mred\x1b[0m", "a" * 100):
        assert cut_answer(text, 100 if "red" not in text else 1000) == text
    assert cut_answer("a\ud800b") == "a?b"


@pytest.mark.parametrize("most", [100, 101, 1000])
def test_both_ends_of_a_long_answer_are_kept(most):
    text = "".join(chr(0x4E00 + n) for n in range(3000))
    cut = cut_answer(text, most)
    first, _, last = cut.partition("\n[")
    last = last.rpartition("]\n")[2]
    assert text.startswith(first)
    assert text.endswith(last)
    assert len(first) + len(last) == most


async def test_never_is_never():
    approvals = Approvals("always", {"add": "never", "multiply": "ask"})
    result = await asked(TOOLS, "add", '{"a": 1}', approvals=approvals)
    assert result.is_error
    assert "There is no tool 'add'" in result.content
    assert "There are multiply." in result.content
    assert [tool.spec.name for tool in approvals.usable(TOOLS)] == ["multiply"]


def test_who_is_asked():
    calls = [ToolCallPart(str(n), name, "{}") for n, name in enumerate(("add", "multiply", "add"))]
    assert Approvals().waiting(calls) == tuple(calls)
    assert Approvals("always").waiting(calls) == ()
    assert Approvals("always", {"add": "ask"}).waiting(calls) == (calls[0], calls[2])
    with pytest.raises(InputError, match=r"'sometimes'.*always, ask, never"):
        Approvals(tools={"add": "sometimes"})  # type: ignore[dict-item]


@pytest.mark.parametrize("given", [{"seconds": 0}, {"seconds": 10**9}, {"characters": 1}])
def test_limits_that_make_no_sense(given):
    with pytest.raises(InputError):
        CallLimits(**given)


async def test_calls_run_side_by_side():
    gate = threading.Barrier(4, timeout=30)

    def wait() -> int:
        return gate.wait()

    together = function_tool(wait, name="together")
    results = await asyncio.gather(*(asked((together,), "together") for _ in range(4)))
    assert sorted(result.content for result in results) == ["0", "1", "2", "3"]
