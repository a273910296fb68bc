"""The clock: zones, summer time, and the eras of Japan."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from kataribe.base.errors import InputError
from kataribe.use.agents.tools.clock import ERAS, GREGORIAN, clock_tools, era_date, read_date

NOW = datetime(2026, 11, 23, 23, 30, 5, tzinfo=UTC)
TOOLS = {tool.spec.name: tool for tool in clock_tools(lambda: NOW)}


@pytest.mark.parametrize(
    ("zone", "told"),
    [
        ("UTC", "2026-11-23 23:30:05+00:00 UTC, Monday (月曜日), 令和8年11月23日"),
        ("Asia/Tokyo", "2026-11-24 08:30:05+09:00 JST, Tuesday (火曜日), 令和8年11月24日"),
        ("America/New_York", "2026-11-23 18:30:05-05:00 EST, Monday (月曜日), 令和8年11月23日"),
    ],
)
async def test_the_time_now(zone, told):
    assert await TOOLS["current_time"].call({"time_zone": zone}) == told


async def test_the_real_clock_is_read():
    [now, *_] = clock_tools()
    told = datetime.fromisoformat((await now.call({})).split(" UTC")[0])
    assert abs(told - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("2026-07-01 09:00", "Europe/Berlin", "Asia/Tokyo"), "2026-07-01 16:00:00+09:00"),
        (("2026-01-01T09:00", "Europe/Berlin", "Asia/Tokyo"), "2026-01-01 17:00:00+09:00"),
        (("9:05", "Asia/Tokyo", "UTC"), "2026-11-24 00:05:00+00:00"),
        (("2026-01-01 00:00+00:00", "UTC", "Asia/Kolkata"), "2026-01-01 05:30:00+05:30"),
    ],
)
async def test_times_between_zones(given, told):
    arguments = dict(zip(("time", "from_zone", "to_zone"), given, strict=True))
    assert (await TOOLS["convert_time"].call(arguments)).startswith(told)


async def test_a_time_that_does_not_exist():
    given = {"time": "2026-03-29 02:30", "from_zone": "Europe/Berlin", "to_zone": "UTC"}
    with pytest.raises(InputError, match="does not exist in Europe/Berlin"):
        await TOOLS["convert_time"].call(given)
    with pytest.raises(InputError, match="no time"):
        await TOOLS["convert_time"].call({**given, "time": "noon"})


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ("Tokyo", "Did you mean Asia/Tokyo"),
        ("Asia/Tokio", "Asia/Tokyo"),
        ("new york", "America/New_York"),
        ("../../etc/passwd", "no time zone"),
        ("/etc/passwd", "no time zone"),
        ("", "no time zone"),
        ("a\0b", "no time zone"),
        ("x" * 5000, "no time zone"),
    ],
)
async def test_zones_that_there_are_not(zone, words):
    with pytest.raises(InputError, match=words):
        await TOOLS["current_time"].call({"time_zone": zone})


@pytest.mark.parametrize(
    ("western", "japanese"),
    [
        ("2019-04-30", "平成31年4月30日"),
        ("2019-05-01", "令和元年5月1日"),
        ("1989-01-07", "昭和64年1月7日"),
        ("1989-01-08", "平成元年1月8日"),
        ("1926-12-24", "大正15年12月24日"),
        ("1926-12-25", "昭和元年12月25日"),
        ("1912-07-29", "明治45年7月29日"),
        ("1912-07-30", "大正元年7月30日"),
        ("1873-01-01", "明治6年1月1日"),
    ],
)
def test_eras_change_on_their_days(western, japanese):
    day = date.fromisoformat(western)
    assert era_date(day) == japanese
    assert read_date(japanese) == day
    assert read_date(western) == day


def test_every_day_goes_there_and_back():
    day = GREGORIAN
    while day < date(2040, 1, 1):
        assert read_date(era_date(day)) == day
        day += timedelta(days=13)
    assert [era.first for era in ERAS] == sorted((era.first for era in ERAS), reverse=True)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("R8.11.23", date(2026, 11, 23)),
        ("令和８年１１月２３日", date(2026, 11, 23)),
        ("reiwa 1-05-01", date(2019, 5, 1)),
        ("S64/1/7", date(1989, 1, 7)),
        ("2026年11月23日", date(2026, 11, 23)),
        ("2026/1/2", date(2026, 1, 2)),
    ],
)
def test_many_ways_to_write_a_day(text, wanted):
    assert read_date(text) == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("平成32年1月1日", "does not lie in Heisei.*令和2年"),
        ("令和元年4月30日", "does not lie in Reiwa"),
        ("昭和0年1月1日", "does not lie in Showa|no day"),
        ("慶応3年1月1日", "no era '慶応'.*令和"),
        ("2026-02-30", "no day of the calendar"),
        ("令和8年13月1日", "no day of the calendar"),
        ("tomorrow", "no date"),
        ("9" * 1000, "no date"),
        ("明治5年12月2日", "before 1873"),
    ],
)
def test_days_that_there_are_not(text, words):
    with pytest.raises(InputError, match=words):
        read_date(text)


async def test_a_day_in_both_calendars():
    told = await TOOLS["calendar_date"].call({"date": "S64.1.7"})
    assert told == "1989-01-07 Saturday (土曜日), 昭和64年1月7日, 13834 days ago"
    assert (await TOOLS["calendar_date"].call({"date": "2026-11-24"})).endswith("1 days ahead")
    assert "today" in await TOOLS["calendar_date"].call({"date": "令和8年11月23日"})
    assert "before the eras" in await TOOLS["calendar_date"].call({"date": "1600-10-21"})
