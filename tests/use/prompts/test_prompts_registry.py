"""Techniques by name: built from what people write, and told what is wrong with it."""

from __future__ import annotations

import pytest
from technique_events import Multiply, asked, events_of, steps

from kataribe.base.errors import InputError, NotFoundError
from kataribe.base.lm import LM
from kataribe.run.providers import ScriptedLM
from kataribe.use.prompts.registry import TECHNIQUES, Parts, entry_of, technique
from kataribe.use.prompts.self_consistency import SelfConsistency, SelfConsistencyOptions

NAMES = (
    "zero-shot", "few-shot", "chain-of-thought", "self-consistency", "generated-knowledge",
    "tree-of-thoughts", "retrieval", "chaining", "react",
)  # fmt: skip


def test_all_of_them_have_a_line(build):
    assert set(TECHNIQUES) == set(NAMES)
    for name, entry in TECHNIQUES.items():
        assert entry.name == name
        assert 10 < len(entry.line) < 90
        assert "\n" not in entry.line
        built = build(name, ScriptedLM())
        assert isinstance(built, LM)
        assert built.title == name


def test_options_by_name_and_as_text():
    built = technique("self-consistency", ScriptedLM(), {"paths": "7", "temperature": 0.5})
    assert isinstance(built, SelfConsistency)
    assert built.options == SelfConsistencyOptions(paths=7, temperature=0.5)
    assert technique("Self_Consistency", ScriptedLM()).title == "self-consistency"


def test_defaults_are_known():
    assert entry_of("self-consistency").defaults["paths"] == 5
    assert entry_of("few-shot").defaults["examples"] is None


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("self-consistancy", "Did you mean self-consistency?"),
        ("cot", "Did you mean chain-of-thought?"),
        ("rag", "Did you mean retrieval?"),
        ("reakt", "Did you mean react?"),
        ("ape", "zero-shot and its option instruction"),
        ("quantum", "There are zero-shot, few-shot"),
    ],
)
def test_an_unknown_name(name, told):
    with pytest.raises(NotFoundError) as refused:
        technique(name, ScriptedLM())
    assert told in refused.value.message
    assert refused.value.param == "technique"


@pytest.mark.parametrize(
    ("name", "options", "param", "told"),
    [
        ("self-consistency", {"path": 3}, "path", "no option 'path'. Did you mean paths?"),
        ("chaining", {"colour": 1}, "colour", "It has most_steps."),
        ("self-consistency", {"paths": "many"}, "paths", "It was given 'many'"),
        ("self-consistency", {"paths": 1}, "paths", "must be at least 2"),
        ("few-shot", {}, "examples", "Option examples of few-shot is wrong"),
        ("few-shot", {"examples": [{"question": "a"}]}, "examples", "examples.0.answer"),
        ("few-shot", {"examples": [{"question": "a", "answer": "b", "anser": "c"}]},
         "examples", "examples.0.anser"),
        ("few-shot", {"examples": [{"question": "a", "answer": "b"}], "choice": "best"},
         "choice", "'best'"),
        ("retrieval", {}, "search", "nothing to search"),
        ("react", {}, "tools", "at least one"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(name, options, param, told):
    with pytest.raises(InputError) as refused:
        technique(name, ScriptedLM(), options)
    assert told in refused.value.message
    assert refused.value.param == param


async def test_parts_arrive(build):
    judge = ScriptedLM("Score: 5", name="judge")
    inner = ScriptedLM("Answer: 42")
    tree = technique("tree-of-thoughts", inner, {"depth": 1}, Parts(judge=judge))
    await events_of(tree)
    assert len(judge.requests) == 3
    inner = ScriptedLM("Final Answer: 42")
    await events_of(technique("react", inner, parts=Parts(tools=[Multiply()])))
    assert "multiply" in asked(inner)[0]
    examples = [{"question": "a", "answer": "b"}]
    events = await events_of(technique("few-shot", ScriptedLM(), {"examples": examples}))
    assert steps(events, "examples")
