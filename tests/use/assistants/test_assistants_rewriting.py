"""A form changes some fields of a file; all else stays as somebody typed it."""

from __future__ import annotations

import random

import pytest

from kataribe.base.errors import InputError
from kataribe.use.assistants.book import Book
from kataribe.use.assistants.recipe import Recipe, read_recipe
from kataribe.use.assistants.rewriting import rewritten

TYPED = """\
# ours, do not share

title: Helper   # both languages
model: 'plain'
# what it is told
system: |
  Be brief.

  # this is part of the text
sampling: {temperature: 0.50}

# at the end
"""


def fields(text: str) -> dict:
    return read_recipe(text, "x").model_dump(mode="json", exclude_defaults=True)


def test_what_says_the_same_is_not_touched() -> None:
    assert rewritten(TYPED, fields(TYPED)) == TYPED
    whole = read_recipe(TYPED, "x").model_dump(mode="json")  # with all that is as usual
    assert rewritten(TYPED, whole) == TYPED


def test_only_the_field_that_differs_is_written() -> None:
    changed = rewritten(TYPED, {**fields(TYPED), "sampling": {"temperature": 0.7}})
    assert changed == TYPED.replace(
        "sampling: {temperature: 0.50}", "sampling:\n  temperature: 0.7"
    )
    changed = rewritten(TYPED, {**fields(TYPED), "system": "Be long.\nVery.\n"})
    assert "system: |\n  Be long.\n  Very.\n" in changed
    assert "this is part of the text" not in changed
    for kept in ("# ours", "title: Helper   # both", "# what it is told", "0.50}", "# at the end"):
        assert kept in changed


def test_fields_come_and_go() -> None:
    added = rewritten(TYPED, {**fields(TYPED), "memory": True})
    assert added == f"{TYPED}memory: true\n"
    gone = {name: value for name, value in fields(TYPED).items() if name != "model"}
    assert rewritten(TYPED, gone) == TYPED.replace("model: 'plain'\n", "")
    assert rewritten("", {"model": "a"}) == "model: a\n"
    assert rewritten("# mine\n", {"model": "a"}) == "# mine\nmodel: a\n"
    assert rewritten("model: a", {"model": "a", "memory": True}) == "model: a\nmemory: true\n"
    assert rewritten("model: a\n", {}) == ""


def test_what_no_recipe_may_say_is_kept_as_it_was_typed() -> None:
    changed = rewritten(TYPED, {**fields(TYPED), "sampling": {"temperature": 9, "temprature": 1}})
    assert "  temperature: 9\n  temprature: 1\n" in changed


@pytest.mark.parametrize(
    "text",
    ["{model: a, memory: true}", "a: [", "- a", "model: a\n...\n", "model: a\nmodel: b\n",
     "  model: a\n", "? model\n: a\n", "---\nmodel: a\n", "model: a\r\nmemory: true\r\n",
     "system: |+\n  a\n\n\nmodel: a", "title: 語り部\nmodel: a\n", "\ufeffmodel: a\n",
     "1: x\nnull: y\n", "<<: {model: a}\n"],
)  # fmt: skip
def test_whatever_stood_there_the_text_says_what_is_wanted(text: str) -> None:
    wanted = {"model": "b", "system": "語る。\n夜。", "memory": True}
    assert fields(rewritten(text, wanted)) == wanted


def test_fields_of_ready_ones_changed_at_random(tmp_path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    kept = [one.text for one in Book(tmp_path).all().values()]
    for _ in range(60):
        text, other = draw.choice(kept), fields(draw.choice(kept))
        wanted = fields(text)
        for name in Recipe.model_fields:
            if draw.random() < 0.3:
                wanted.pop(name, None)
                if name in other:
                    wanted[name] = other[name]
        assert fields(rewritten(text, wanted)) == wanted


def test_what_is_nested_without_end_is_refused() -> None:
    deep: dict = {}
    for _ in range(2000):
        deep = {"a": deep}
    with pytest.raises(InputError, match="nested too deeply"):
        rewritten("", {"guards": deep})
