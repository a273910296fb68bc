"""The size of an expression."""

from __future__ import annotations

import pytest

from kataribe.run.inference.expressions import expanded_length


@pytest.mark.parametrize(
    ("pattern", "letters"),
    [
        ("", 0),
        ("abc", 3),
        ("a{5}", 5),
        ("a{2,7}b", 8),
        ("a{3,}", 3),
        ("a{0}", 1),
        ("(ab){10}", 20),
        ("(a{1000}){1000}", 1_000_000),
        ("((a{2}b){3}c){4}", 40),
        ("[a-z{5}]{4}", 4),
        (r"[\]x]{4}", 4),
        (r"\{\d{3}", 4),
        ("a+b*c?|d", 4),
        ("a{x}", 4),
        ("))a", 3),
        ("((a", 1),
        ("[a", 1),
        ("a\\", 2),
        ("a{" + "9" * 30 + "}", 10**9),
    ],
)
def test_repetitions_are_written_out(pattern, letters):
    assert expanded_length(pattern) == letters
