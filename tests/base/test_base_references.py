"""References: `provider:name` or a bare name."""

from __future__ import annotations

import pytest

from kataribe.base.errors import InputError
from kataribe.base.references import Reference, check_local_name, parse_reference


@pytest.mark.parametrize(
    ("text", "provider", "name"),
    [
        ("smollm2-135m", None, "smollm2-135m"),
        ("openai:gpt-5", "openai", "gpt-5"),
        ("hf:org/name", "hf", "org/name"),
        ("openai:ft:gpt:1", "openai", "ft:gpt:1"),
    ],
)
def test_references_are_read_and_written(text, provider, name):
    reference = parse_reference(text)
    assert reference == Reference(provider, name)
    assert str(reference) == text


@pytest.mark.parametrize("text", ["", " ", "openai:", "openai: ", ":name", "Open AI:name", "8:x"])
def test_what_is_no_reference_is_refused(text):
    with pytest.raises(InputError, match=r"names no") as caught:
        parse_reference(text)
    assert caught.value.param == "model"


@pytest.mark.parametrize("name", ["a", "Qwen2.5-Coder_1.5B", "a" * 128, "0.5b"])
def test_names_of_folders_are_taken(name):
    assert check_local_name(name) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "a/b", "a\\b", "../x", "a" * 129, "a b", "a\n", "語", "-x"]
)
def test_names_that_would_leave_the_folder_are_refused(name):
    with pytest.raises(InputError, match="cannot name a model"):
        check_local_name(name)
