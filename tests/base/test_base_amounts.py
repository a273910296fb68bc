"""Amounts in words."""

from __future__ import annotations

import pytest

from kataribe.base.amounts import memory_words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 MiB"),
        (0.1 * 2**30, "102 MiB"),
        (131 << 20, "131 MiB"),
        (1 << 30, "1.00 GiB"),
        (1.04 * 2**30, "1.04 GiB"),
        (16.14 * 2**30, "16.14 GiB"),
    ],
)
def test_a_small_lack_of_memory_shows(count, words):
    assert memory_words(count) == words
