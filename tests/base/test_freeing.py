"""Giving memory back leaves a server as frozen as it was."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from kataribe.base.freeing import give_back


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_what_was_frozen_is_frozen_again() -> None:
    gc.freeze()
    give_back()
    assert gc.get_freeze_count() > 0


def test_what_was_not_frozen_stays_so() -> None:
    give_back()
    assert gc.get_freeze_count() == 0
