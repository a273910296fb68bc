"""Units: exact where they are, and nothing that could run or grow."""

from __future__ import annotations

import pytest

from kataribe.base.errors import InputError
from kataribe.use.agents.tools.function import function_tool
from kataribe.use.agents.tools.units import convert_units


@pytest.mark.parametrize(
    ("value", "first", "second", "answer"),
    [
        ("1", "inch", "cm", "2.54"),
        ("100", "km/h", "m/s", "27.7777777777778"),
        ("26.2", "mile", "km", "42.1648128"),
        ("0", "degC", "degF", "32"),
        ("-40", "℃", "°F", "-40"),
        ("300", "kelvin", "degC", "26.85"),
        ("1", "kWh", "MJ", "3.6"),
        ("1", "GiB", "MB", "1073.741824"),
        ("1,500", "g", "kg", "1.5"),
        ("２", "m^2", "cm^2", "20000"),
        ("1", "坪", "m^2", "3.30578512396694"),
        ("33", "尺", "m", "10"),
        ("1", "升", "L", "1.80390683696469"),
        ("1", "貫", "kg", "3.75"),
        ("1", "町歩", "反", "10"),
        ("1", "海里", "m", "1852"),
        ("1", "海里", "キロメートル", "1.852"),
        ("33", "尺/秒", "m/s", "10"),
        ("121", "平方尺", "m^2", "11.1111111111111"),
        ("1", "坪", "平方尺", "36"),
        ("1", "平方キロメートル", "ヘクタール", "100"),
        ("1", "立方メートル", "L", "1000"),
        ("2", "時間", "分", "120"),
        ("3", "m²", "cm^2", "30000"),
        ("3", "㎡", "cm²", "30000"),
        ("2", "㎥", "L", "2000"),
        ("90", "degree", "radian", "1.5707963267949"),
    ],
)
def test_conversions(value, first, second, answer):
    assert convert_units(value, first, second) == f"{value} {first} = {answer} {second}"


async def test_a_number_may_come_as_a_number():
    tool = function_tool(convert_units)
    value = tool.spec.parameters["properties"]["value"]
    assert {each["type"] for each in value["anyOf"]} == {"string", "number"}
    rest = {"from_unit": "km", "to_unit": "m"}
    for given, told in ((5, "5"), (5.0, "5"), (2.5, "2.5"), ("5", "5"), (-3, "-3"), (0.1, "0.1")):
        answer = await tool.call({"value": given, **rest})
        assert answer.startswith(f"{told} km = ")
    assert await tool.call({"value": 1e22, **rest}) == "1e+22 km = 1e+25 m"
    for bad in (True, None, [5], {}):
        with pytest.raises(InputError, match="value"):
            await tool.call({"value": bad, **rest})


@pytest.mark.parametrize(
    ("value", "first", "second", "words"),
    [
        ("1", "kg", "m", "cannot be converted"),
        ("1", "degC", "m", "cannot be converted"),
        ("1", "flurbs", "m", "'flurbs' is not known"),
        ("1", "USD", "EUR", "Currencies are not converted"),
        ("one", "m", "km", "no number"),
        ("nan", "m", "km", "too large"),
        ("1e999999", "m", "km", "too large"),
        ("9" * 200, "m", "km", "too long"),
        ("1", "m**999999999", "m", "no unit"),
        ("1", "m^99", "m", "no unit"),
        ("1", "m" * 61, "m", "no unit"),
        ("1", "__import__('os').system('id')", "m", "no unit|not known"),
        ("1", "", "m", "no unit"),
        ("1", "m; m", "m", "no unit"),
        ("1", "大海里", "m", "no 大海里. Did you mean 海里"),
        ("1", "平方", "m^2", "no 平方"),
        ("1", "平方海老", "m^2", "no 平方海老"),
    ],
)
def test_what_cannot_be_converted(value, first, second, words):
    with pytest.raises(InputError, match=words):
        convert_units(value, first, second)
