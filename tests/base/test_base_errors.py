"""The tree of errors: one root, stable codes, messages with value, limit and way out."""

from __future__ import annotations

import inspect
import re

from kataribe.base import errors
from kataribe.base.errors import (
    BusyError,
    ChecksumError,
    ContextLengthError,
    InputError,
    KataribeError,
    UnavailableError,
)


def tree() -> list[type[KataribeError]]:
    classes = (each for _, each in inspect.getmembers(errors, inspect.isclass))
    return [each for each in classes if issubclass(each, KataribeError)]


def test_the_drawn_tree_is_the_real_one():
    drawn = {}
    above: list[str] = []
    for line in inspect.getdoc(errors).splitlines():
        found = re.match(r"^([│ ]*)(?:[├└]── )?(\w*Error)\b", line)
        if found:
            depth = len(found[1]) // 4 - 1 + ("──" in line)  # the drawing is indented
            above = [*above[:depth], found[2]]
            drawn[found[2]] = above[depth - 1] if depth else None
    real = {
        each.__name__: None if each is KataribeError else each.__bases__[0].__name__
        for each in tree()
    }
    assert drawn == real


def test_codes_tell_errors_apart():
    codes = [each.code for each in tree() if "code" in vars(each)]
    assert len(set(codes)) == len(codes)
    # What is the same to a client, a text that is too long, has the same code.
    assert {each.__name__ for each in tree() if "code" not in vars(each)} == {"TextLengthError"}
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)


def test_a_code_and_a_field_can_be_given():
    error = InputError("no", param="seed", code="odd")
    assert (error.message, error.param, error.code, str(error)) == ("no", "seed", "odd", "no")
    assert InputError.code == "invalid_value"


def test_too_long_a_prompt_says_both_counts_and_the_way_out():
    error = ContextLengthError(9000, 8192, reply_tokens=100)
    for piece in ("9000", "8192", "100", "--ctx", "Shorten"):
        assert piece in error.message
    assert "asks for" not in ContextLengthError(9000, 8192).message


def test_a_wrong_checksum_says_both():
    error = ChecksumError("model.gguf", expected="aa", actual="bb")
    assert all(piece in error.message for piece in ("model.gguf", "aa", "bb", "again"))


def test_waiting_times_travel_with_the_error():
    assert BusyError("full", retry_after=2.5).retry_after == 2.5
    assert UnavailableError("loading").retry_after is None
