"""Conversion of units, by pint (https://pint.readthedocs.io); money is not converted."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import StrictFloat

from kataribe.base.errors import InputError
from kataribe.base.nearness import meant

_JAPANESE: Mapping[str, tuple[str, str]] = {
    "尺": ("shaku_length", "10/33 * meter"),
    "寸": ("sun_length", "1/33 * meter"),
    "間": ("ken_length", "60/33 * meter"),
    "町": ("cho_length", "3600/33 * meter"),
    "里": ("ri_length", "129600/33 * meter"),
    "坪": ("tsubo", "400/121 * meter**2"),
    "反": ("tan_area", "120000/121 * meter**2"),
    "町歩": ("chobu", "1200000/121 * meter**2"),
    "合": ("go_volume", "2401/13310 * liter"),
    "升": ("sho_volume", "2401/1331 * liter"),
    "斗": ("to_volume", "24010/1331 * liter"),
    "匁": ("momme", "3.75 * gram"),
    "斤": ("kin_mass", "600 * gram"),
    "貫": ("kan_mass", "3.75 * kilogram"),
}
"""Units of Japan by the law of 1891: 33 shaku are 10 m, and a kan is 15/4 kg."""
_MODERN: Mapping[str, str] = {
    "メートル": "meter", "センチメートル": "centimeter", "ミリメートル": "millimeter",
    "キロメートル": "kilometer", "海里": "nautical_mile", "インチ": "inch", "フィート": "foot",
    "ヤード": "yard", "マイル": "mile", "ノット": "knot", "アール": "are", "ヘクタール": "hectare",
    "リットル": "liter", "デシリットル": "deciliter", "ミリリットル": "milliliter",
    "グラム": "gram", "ミリグラム": "milligram", "キログラム": "kilogram", "トン": "metric_ton",
    "ポンド": "pound", "オンス": "ounce", "秒": "second", "分": "minute", "時": "hour",
    "時間": "hour", "日": "day", "週間": "week", "度": "degree", "ワット": "watt",
    "キロワット": "kilowatt", "カロリー": "calorie", "キロカロリー": "kilocalorie",
    "バイト": "byte",
}  # fmt: skip
"""Other units as Japanese writes them, by pint's names."""
_NAMES: Mapping[str, str] = {**{word: name for word, (name, _) in _JAPANESE.items()}, **_MODERN}
_POWERS = {"平方": 2, "立方": 3}
_WORD = re.compile("[\u3040-\u30ff\u3400-\u9fff々]+")
"""A unit in Japanese stands by itself: 海里 is no 里."""
_RAISED = str.maketrans(
    {"²": "**2", "³": "**3", "㎟": "mm**2", "㎠": "cm**2", "㎡": "m**2", "㎢": "km**2"}
    | {"㎣": "mm**3", "㎤": "cm**3", "㎥": "m**3", "㎦": "km**3"}
)
"""Powers as one sign: NFKC would make m2 of m²."""
_UNIT = re.compile(r"[\w°µΩ%/*^ .()²³-]{1,60}")
_EXPONENT = re.compile(r"(?:\*\*|\^)\s*-?\d{2,}")
_DIGITS = 15


def convert_units(value: str | StrictFloat, from_unit: str, to_unit: str) -> str:
    """Converts a quantity from one unit to another: lengths, masses, temperatures, speeds and more.

    Args:
        value: The number, such as 12.5.
        from_unit: Its unit, such as km/h, degC, inch, kWh or 坪.
        to_unit: The wanted unit.
    """
    registry = _registry()
    value = _written(value)
    number = _number(value)
    import pint

    try:
        given = registry.Quantity(number, _parsed(registry, from_unit))
        found = given.to(_parsed(registry, to_unit))
    except pint.DimensionalityError as error:
        raise InputError(
            f"{from_unit} cannot be converted to {to_unit}: they measure different things"
            f"{error.extra_msg}."
        ) from error
    except (pint.OffsetUnitCalculusError, pint.errors.PintError) as error:
        raise InputError(f"{from_unit} cannot be converted to {to_unit}: {error}.") from error
    except (ArithmeticError, InvalidOperation) as error:
        raise InputError(f"{value} {from_unit} is too large or small to convert.") from error
    return f"{value} {from_unit} = {_shown(found.magnitude)} {to_unit}"


@functools.cache
def _registry() -> Any:
    import pint  # takes half a second, and only who converts waits for it

    registry: Any = pint.UnitRegistry(non_int_type=Decimal, cache_folder=None)
    for name, definition in _JAPANESE.values():
        registry.define(f"{name} = {definition}")
    return registry


def _parsed(registry: Any, unit: str) -> Any:
    import pint

    text = unicodedata.normalize("NFKC", unit.translate(_RAISED)).strip()
    text = {"℃": "degC", "°C": "degC", "℉": "degF", "°F": "degF"}.get(text, text)
    text = _WORD.sub(lambda found: _name_of(found[0], unit), text)
    if not _UNIT.fullmatch(text) or _EXPONENT.search(text):
        raise InputError(
            f"{unit[:80]!r} is no unit. Write one like km/h, m^2 or degC (at most 60 characters)."
        )
    try:
        return registry.parse_units(text)
    except (pint.errors.PintError, ValueError, TypeError, AttributeError, SyntaxError) as error:
        raise InputError(
            f"The unit {unit!r} is not known: {error}. Currencies are not converted."
        ) from error


def _name_of(word: str, unit: str) -> str:
    """Pint's name of a unit in Japanese."""
    for before, power in _POWERS.items():
        inner = word.removeprefix(before)
        if inner != word and inner in _NAMES:
            return f"({_NAMES[inner]})**{power}"
    if word not in _NAMES:
        hint = meant(word, _NAMES, there="Units in Japanese are", also=True)
        raise InputError(
            f"The unit {unit[:80]!r} is not known: there is no {word[:40]}. {hint} 平方 and 立方 "
            "may stand before them."
        )
    return _NAMES[word]


def _written(value: str | float) -> str:
    """A number as people write it: models give 5 as a number as often as in quotation marks."""
    if isinstance(value, str):
        return value
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else str(value)


def _number(value: str) -> Decimal:
    text = unicodedata.normalize("NFKC", value).replace(",", "").replace("_", "").strip()
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise InputError(f"{value[:80]!r} is no number.") from error
    if not number.is_finite() or abs(number.adjusted()) > 300 or len(text) > 100:
        raise InputError(f"{value[:80]!r} is too large, too small or too long to convert.")
    return number


def _shown(number: Decimal) -> str:
    rounded = f"{number:.{_DIGITS}g}"
    text = f"{Decimal(rounded):f}" if abs(Decimal(rounded).adjusted()) < 20 else rounded
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text.lower() else text
