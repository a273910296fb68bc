"""Functions become tools: schema, validation, answers."""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import functools
import threading
from typing import Annotated, Literal

import jsonschema
import pytest
from pydantic import BaseModel, Field

from kataribe.base.errors import BusyError, InputError, KataribeError, NotFoundError
from kataribe.base.lm import Tool
from kataribe.use.agents.tools.function import MOST_LEFT_RUNNING, function_tool


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Place(BaseModel):
    """A place."""

    city: str
    zone: str = "UTC"


def weather(
    place: Place,
    days: Annotated[int, Field(ge=1, le=7)] = 1,
    unit: Literal["C", "F"] = "C",
    colours: list[Colour] | None = None,
    *,
    title: str = "Weather",
) -> str:
    """Tells the weather
    of some days.

    It is always fine.

    Args:
        place: Where.
        days (int): How many days,
            at most a week.
        unit: Celsius or Fahrenheit.

    Returns:
        Words.
    """
    return f"{title} {place.city} {days} {unit} {colours}"


def test_the_schema_says_what_the_function_takes():
    tool = function_tool(weather)
    assert isinstance(tool, Tool)
    spec = tool.spec
    assert spec.name == "weather"
    assert spec.description == "Tells the weather of some days. It is always fine."
    schema = spec.parameters
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["required"] == ["place"]
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert list(properties) == ["place", "days", "unit", "colours", "title"]
    assert properties["days"]["description"] == "How many days, at most a week."
    assert properties["days"]["maximum"] == 7
    assert properties["unit"]["enum"] == ["C", "F"]
    assert "title" not in properties["days"]
    assert properties["title"]["default"] == "Weather"


VALID = [
    {"place": {"city": "奈良"}},
    {"place": {"city": "a"}, "days": 7, "unit": "F", "colours": ["red"], "title": "T"},
    {"place": {"city": "a"}, "colours": None},
]
INVALID = [
    {},
    {"place": "Nara"},
    {"place": {"city": "a"}, "days": 8},
    {"place": {"city": "a"}, "unit": "K"},
    {"place": {"city": "a"}, "colours": ["green"]},
    {"place": {"city": "a"}, "day": 1},
    {"place": {"city": "a"}, "days": "many"},
]


@pytest.mark.parametrize("arguments", VALID)
async def test_arguments_that_fit_the_schema_are_taken(arguments):
    tool = function_tool(weather)
    jsonschema.validate(arguments, tool.spec.parameters)
    assert (await tool.call(arguments)).startswith(arguments.get("title", "Weather"))


@pytest.mark.parametrize("arguments", INVALID)
async def test_arguments_that_break_it_are_refused_by_name(arguments):
    tool = function_tool(weather)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(arguments, tool.spec.parameters)
    with pytest.raises(InputError, match=r"weather do not fit: .*parameters are place, days \("):
        await tool.call(arguments)


async def test_a_complaint_names_field_value_and_rule():
    with pytest.raises(InputError) as told:
        await function_tool(weather).call({"place": {"city": "a"}, "days": 8, "extra": "x" * 500})
    assert "days: Input should be less than or equal to 7 (given: '8')" in told.value.message
    assert "extra: Extra inputs are not permitted" in told.value.message
    assert len(told.value.message) < 600


async def test_numbers_as_text_are_taken():
    """Small models write "3" for 3."""
    assert " 3 " in await function_tool(weather).call({"place": {"city": "a"}, "days": "3"})


async def test_parameters_may_be_called_like_anything():
    def odd(schema: str, copy: int, model_config: bool, json: float = 0.5) -> list[object]:
        """Odd names."""
        return [schema, copy, model_config, json]

    tool = function_tool(odd)
    assert set(tool.spec.parameters["properties"]) == {"schema", "copy", "model_config", "json"}
    given = {"schema": "s", "copy": 1, "model_config": True}
    assert await tool.call(given) == '["s", 1, true, 0.5]'


async def test_without_parameters_or_docstring():
    def nothing() -> None: ...

    tool = function_tool(nothing)
    assert tool.spec.description == ""
    assert tool.spec.parameters == {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }
    assert await tool.call({}) == "done"
    with pytest.raises(InputError, match="parameters are none"):
        await tool.call({"a": 1})


async def test_async_functions_run_in_the_loop_and_others_do_not():
    async def inside() -> bool:
        return threading.current_thread() is threading.main_thread()

    def outside() -> bool:
        return threading.current_thread() is threading.main_thread()

    assert await function_tool(inside).call({}) == "true"
    assert await function_tool(outside).call({}) == "false"


@dataclasses.dataclass
class Answer:
    a: int
    b: str


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("words", "words"),
        (3, "3"),
        ({"a": "語"}, '{"a": "語"}'),
        (None, "done"),
        (Answer(1, "x"), '{"a": 1, "b": "x"}'),
        ([Place(city="c")], '[{"city": "c", "zone": "UTC"}]'),
        (b"\x00" * 10, "[The answer is binary data, 10 bytes. It is not shown; ask for text.]"),
    ],
)
async def test_answers_become_text(value, text):
    def answer() -> object:
        return value

    assert await function_tool(answer).call({}) == text


class OwnError(Exception):
    pass


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    "error",
    [OwnError("no luck"), SystemExit("no luck"), RecursionError("no luck")],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_is_raised_becomes_an_error_of_the_tree(error, is_async):
    def fails() -> str:
        raise error

    async def fails_async() -> str:
        raise error

    tool = function_tool(fails_async if is_async else fails, name="fails")
    with pytest.raises(KataribeError, match=r"fails failed with .*no luck"):
        await tool.call({})


@pytest.mark.parametrize("is_async", [False, True])
async def test_errors_of_the_tree_pass_as_they_are(is_async):
    def fails() -> str:
        raise NotFoundError("nothing there")

    async def fails_async() -> str:
        raise NotFoundError("nothing there")

    with pytest.raises(NotFoundError, match=r"^nothing there$"):
        await function_tool(fails_async if is_async else fails).call({})


async def test_too_many_calls_that_hang_are_refused():
    gate = threading.Event()
    tool = function_tool(lambda: gate.wait(30), name="hangs")
    calls = [asyncio.create_task(tool.call({})) for _ in range(MOST_LEFT_RUNNING)]
    await asyncio.sleep(0.05)
    with pytest.raises(BusyError, match=f"{MOST_LEFT_RUNNING} earlier calls of hangs"):
        await tool.call({})
    gate.set()
    assert await asyncio.gather(*calls) == ["true"] * MOST_LEFT_RUNNING
    assert await tool.call({}) == "true"


def unannotated(a):
    """No types."""


def starred(*a: int) -> None:
    """Many."""


def unknown(a: threading.Lock) -> None:
    """A type that is no JSON."""


@pytest.mark.parametrize(
    ("function", "words"),
    [(unannotated, "'a' without a type"), (starred, r"\*a"), (unknown, "JSON cannot describe")],
)
def test_functions_that_cannot_be_described(function, words):
    with pytest.raises(InputError, match=words):
        function_tool(function)


@pytest.mark.parametrize("name", ["", "a b", "é" * 3, "x" * 65])
def test_names_that_no_model_can_say(name):
    with pytest.raises(InputError, match="1 to 64 letters"):
        function_tool(weather, name=name or "?")


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), KeyboardInterrupt(), GeneratorExit(), SystemExit(1)]
)
async def test_what_ends_a_thread_is_an_answer_at_once(error):
    def ends() -> str:
        raise error

    tool = function_tool(ends)
    async with asyncio.timeout(20):
        with pytest.raises(KataribeError, match=f"ends failed with {type(error).__name__}"):
            await tool.call({})


async def test_cancelling_from_outside_still_cancels():
    begun = asyncio.Event()

    async def hangs() -> str:
        begun.set()
        await asyncio.sleep(60)
        return ""

    call = asyncio.create_task(function_tool(hangs).call({}))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


class Adder:
    """Adds to a number of its own."""

    def __init__(self, own: int) -> None:
        self.own = own

    def __call__(self, other: int) -> int:
        """Adds the two.

        Args:
            other: What is added.
        """
        return self.own + other


class Waiting:
    """Waits, then doubles."""

    async def __call__(self, number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number


def join(first: str, second: str, *, between: str = " ", key: str = "") -> str:
    """Joins two words.

    Args:
        first: The one.
        second: The other.
    """
    return f"{first}{between}{second}{key}"


async def join_later(first: str, second: str) -> str:
    """Joins two words, in a while."""
    return first + second


async def test_an_object_that_can_be_called_is_a_tool():
    tool = function_tool(Adder(40))
    assert (tool.spec.name, tool.spec.description) == ("Adder", "Adds the two.")
    assert tool.spec.parameters["properties"]["other"]["description"] == "What is added."
    assert await tool.call({"other": 2}) == "42"


async def test_an_object_that_has_to_be_waited_for_is_one_too():
    tool = function_tool(Waiting(), name="twice")
    assert tool.spec.description == "Waits, then doubles."
    assert await tool.call({"number": 21}) == "42"


async def test_a_partial_is_a_tool_without_what_it_settles():
    tool = function_tool(functools.partial(join, "a", key="!"))
    assert (tool.spec.name, tool.spec.description) == ("join", "Joins two words.")
    assert set(tool.spec.parameters["properties"]) == {"second", "between"}
    assert await tool.call({"second": "b"}) == "a b!"
    with pytest.raises(InputError, match="key"):
        await tool.call({"second": "b", "key": "?"})
    later = function_tool(functools.partial(functools.partial(join_later, "a")))
    assert await later.call({"second": "b"}) == "ab"
    assert await function_tool(functools.partial(Adder(1)), name="add").call({"other": 1}) == "2"


async def test_a_function_that_gives_something_to_wait_for_is_waited_for():
    def begin(word: str) -> object:
        return join_later(word, word)

    assert await function_tool(begin).call({"word": "a"}) == "aa"


def test_what_cannot_be_looked_into_is_refused_in_words():
    for strange in (max, functools.partial(max)):
        with pytest.raises(InputError, match="max"):
            function_tool(strange)
