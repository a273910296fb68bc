"""Usages: adding them up, and what a journal keeps of them."""

from __future__ import annotations

import dataclasses

from kataribe.base.events import Usage


def test_every_count_is_added_and_taken_away():
    one, other = Usage(1, 2, 3, 4), Usage(10, 20, 30, 40)
    names = [field.name for field in dataclasses.fields(Usage)]
    both, rest = one + other, other - one
    assert [getattr(both, name) for name in names] == [11, 22, 33, 44]
    assert [getattr(rest, name) for name in names] == [9, 18, 27, 36]
    assert both - other == one


def test_journals_read_their_numbers_back_also_old_ones():
    usage = Usage(1, 2, 3, 4)
    assert Usage(*usage.numbers) == usage
    assert Usage(1, 2, 3) == Usage(*[1, 2, 3])
