"""Recipes: what is read, what is refused and how it is said."""

from __future__ import annotations

import pytest

from kataribe.base.errors import FormatError, InputError, KataribeError
from kataribe.use.assistants.recipe import Recipe, read_recipe, written

WHOLE = """
title: {en: Helper, ja: お手伝い}
about: It helps.
model: plain
system: Be brief.
technique: {name: self-consistency, options: {paths: 3}}
approval: never
memory: true
guards: {repetition: true, leak: {letters: 80}}
sampling: {temperature: 0, max_tokens: 50}
limits: {steps: 4, seconds: 1.5}
starters:
  - Hello?
  - {en: 'How are you?', ja: '元気?'}
tests:
  - {ask: 'What is 1 + 1?', contains: ['2'], matches: '\\d'}
"""


def test_a_recipe_is_read_and_written_again() -> None:
    recipe = read_recipe(WHOLE, "helper.yaml")
    assert recipe.title.in_language("ja-JP") == "お手伝い"
    assert recipe.title.in_language("de") == "Helper"
    assert recipe.about.in_language("ja") == "It helps."
    assert recipe.technique is not None
    assert recipe.technique.options == {"paths": 3}
    assert recipe.sampling.sampling().temperature == 0
    assert recipe.starters[0].en == recipe.starters[0].ja == "Hello?"
    assert recipe.tests[0].contains == ("2",)
    assert recipe.models() == ("plain",)
    assert read_recipe(written(recipe), "again.yaml") == recipe
    assert read_recipe("", "empty.yaml") == Recipe()
    assert read_recipe(written(Recipe()), "empty.yaml") == Recipe()


def test_a_router_names_its_models_once() -> None:
    text = """
    router:
      default: small
      rules:
        - {model: large, words: [code, プログラム]}
        - {model: small, longer: 10}
    """
    assert read_recipe(text, "router.yaml").models() == ("large", "small")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("modell: x", "helper.yaml has modell, which no recipe has. Did you mean model?"),
        ("qqq: 1", "There are about, approval, guards"),
        ("sampling: {temprature: 1}", "has sampling.temprature, which no recipe has. Did"),
        ("sampling: {temperature: 9}", "sampling: temperature is 9, but must be at least 0"),
        ("sampling: {temperature: hot}", "sampling.temperature is 'hot'"),
        ("approval: maybe", "approval is 'maybe'"),
        ("tools: [{name: '', options: {}}]", "tools.0.name is ''"),
        ("tools: calculator", "tools is 'calculator'"),
        ("limits: {steps: 0}", "limits.steps is 0"),
        ("memory: 'yes'", "memory is 'yes'"),
        ("model: a\nrouter: {default: b}", "has a model and a router"),
        ("router: {default: b, rules: [{model: c}]}", "router.rules.0 says no condition"),
        ("router: {rules: []}", "router.default"),
        ("tests: [{contains: [a]}]", "tests.0.ask"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(text: str, words: str) -> None:
    with pytest.raises(InputError) as raised:
        read_recipe(text, "helper.yaml")
    assert words in raised.value.message
    assert raised.value.message.startswith("helper.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "is no YAML in line"),
        ("- a\n- b", "is a list, but a recipe has fields"),
        ("just words", "is a str, but a recipe has fields"),
        ("a: !!python/object/apply:os.system [ls]", "is no YAML in line 1"),
        ("a: &a [x]\nb: [*a, *a]", "an alias (*name) stands here"),
        ("a: &a [*a]", "an alias (*name) stands here"),
        ("model: " + "x" * 300_000, "has more than 262144 bytes"),
        ("[" * 5000, "is no YAML"),
        ("model: \ud800", "helper.yaml"),
    ],
)
def test_what_is_no_recipe_at_all_is_refused(text: str, words: str) -> None:
    with pytest.raises(KataribeError) as raised:
        read_recipe(text, "helper.yaml")
    assert isinstance(raised.value, FormatError | InputError)
    assert words in raised.value.message
