"""Time: what it is now, in any zone, and dates in the Western and the Japanese calendar."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from kataribe.base.errors import InputError
from kataribe.base.nearness import meant
from kataribe.use.agents.tools.function import FunctionTool, function_tool


@dataclass(frozen=True, slots=True)
class Era:
    """An era of the Japanese calendar, from its first day."""

    kanji: str
    name: str
    letter: str
    first: date


ERAS = (
    Era("令和", "Reiwa", "R", date(2019, 5, 1)),
    Era("平成", "Heisei", "H", date(1989, 1, 8)),
    Era("昭和", "Showa", "S", date(1926, 12, 25)),
    Era("大正", "Taisho", "T", date(1912, 7, 30)),
    Era("明治", "Meiji", "M", date(1868, 1, 25)),
)
"""Newest first. Japan has counted days as the West does since 1873."""
GREGORIAN = date(1873, 1, 1)
_WEEKDAYS = "月火水木金土日"
_JAPANESE = re.compile(
    r"(?P<era>[^\W\d_]+)\s*(?P<year>\d{1,3}|元)\s*[年./-]\s*(?P<month>\d{1,2})\s*[月./-]\s*"
    r"(?P<day>\d{1,2})\s*日?"
)
_WESTERN = re.compile(r"(\d{4})\s*[年./-]\s*(\d{1,2})\s*[月./-]\s*(\d{1,2})\s*日?")


def era_date(day: date) -> str:
    """The day in the Japanese calendar: `令和8年11月23日`; `InputError` before 1873."""
    if day < GREGORIAN:
        raise InputError(
            f"{day.isoformat()} lies before 1873, when Japan took over the Western calendar; days "
            "of the old one are not known here."
        )
    era = next(each for each in ERAS if each.first <= day)
    year = day.year - era.first.year + 1
    return f"{era.kanji}{'元' if year == 1 else year}年{day.month}月{day.day}日"


def read_date(text: str) -> date:
    """A day written as 2026-11-23, 2026年11月23日, 令和8年11月23日 or R8.11.23.

    Raises `InputError` for anything else, for days that do not exist and for days outside the era.
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    western = _WESTERN.fullmatch(plain)
    if western:
        return _day(text, *(int(part) for part in western.groups()))
    japanese = _JAPANESE.fullmatch(plain)
    if not japanese:
        raise InputError(f"{text!r} is no date. Write one like 2026-11-23 or 令和8年11月23日.")
    word = japanese["era"].casefold()
    era = next((e for e in ERAS if word in (e.kanji, e.name.casefold(), e.letter.casefold())), None)
    if era is None:
        known = ", ".join(f"{each.kanji} ({each.name})" for each in ERAS)
        raise InputError(f"There is no era {japanese['era']!r}. Known are {known}.")
    year = 1 if japanese["year"] == "元" else int(japanese["year"])
    day = _day(text, era.first.year + year - 1, int(japanese["month"]), int(japanese["day"]))
    if year < 1 or era_date(day)[:2] != era.kanji:
        raise InputError(
            f"{text!r} does not lie in {era.name}, which began on {era.first.isoformat()}; "
            f"{day.isoformat()} is {era_date(day)}."
        )
    return day


def _day(text: str, year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError as error:
        raise InputError(f"{text!r} is no day of the calendar: {error}.") from error


def zone_of(name: str) -> ZoneInfo:
    """A time zone by its IANA name (`Asia/Tokyo`); `InputError` suggests near names."""
    known = available_timezones()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        cities = {zone.rpartition("/")[2].casefold(): zone for zone in sorted(known)}
        wanted = name.rpartition("/")[2].replace(" ", "_").casefold()
        iana = "Give an IANA name such as Asia/Tokyo or UTC."
        hint = meant(wanted, (), most=3, otherwise=iana, also=True, aliases=cities)
        raise InputError(f"There is no time zone {name[:80]!r}. {hint}") from error


def clock_tools(now: Callable[[], datetime] | None = None) -> tuple[FunctionTool, ...]:
    """The tools `current_time`, `convert_time` and `calendar_date`; `now` is for tests."""
    read_clock = now or (lambda: datetime.now(UTC))

    def current_time(time_zone: str = "UTC") -> str:
        """Tells the date and time now, with the weekday and the Japanese era.

        Args:
            time_zone: IANA name, such as Asia/Tokyo or Europe/Berlin.
        """
        return _told(read_clock().astimezone(zone_of(time_zone)))

    def convert_time(time: str, from_zone: str, to_zone: str) -> str:
        """Tells what a time in one zone is in another.

        Args:
            time: Date and time such as 2026-11-23 09:30; a time alone means today.
            from_zone: IANA name of the zone of the given time.
            to_zone: IANA name of the wanted zone.
        """
        there = zone_of(from_zone)
        text = time.strip()
        if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", text):
            text = text if text[2] == ":" else f"0{text}"
            text = f"{read_clock().astimezone(there).date().isoformat()} {text}"
        try:
            given = datetime.fromisoformat(text)
        except ValueError as error:
            raise InputError(f"{time!r} is no time. Write one like 2026-11-23 09:30.") from error
        if given.tzinfo is None:
            given = given.replace(tzinfo=there)
            back = given.astimezone(UTC).astimezone(there)
            if back.replace(tzinfo=None) != given.replace(tzinfo=None):
                raise InputError(
                    f"{time!r} does not exist in {from_zone}: clocks were put forward over it."
                )
        return _told(given.astimezone(zone_of(to_zone)))

    def calendar_date(date: str) -> str:
        """Tells a date in both calendars (Western and Japanese era), its weekday and distance.

        Args:
            date: Such as 2026-11-23, 令和8年11月23日 or S64.1.7.
        """
        day = read_date(date)
        era = era_date(day) if day >= GREGORIAN else "before the eras that are known here"
        days = (day - read_clock().astimezone(UTC).date()).days
        away = "today (UTC)" if days == 0 else f"{abs(days)} days {'ahead' if days > 0 else 'ago'}"
        return f"{day.isoformat()} {day:%A} ({_WEEKDAYS[day.weekday()]}曜日), {era}, {away}"

    return tuple(function_tool(each) for each in (current_time, convert_time, calendar_date))


def _told(moment: datetime) -> str:
    weekday = f"{moment:%A} ({_WEEKDAYS[moment.weekday()]}曜日)"
    era = f", {era_date(moment.date())}" if moment.date() >= GREGORIAN else ""
    return f"{moment.isoformat(sep=' ', timespec='seconds')} {moment.tzname()}, {weekday}{era}"
