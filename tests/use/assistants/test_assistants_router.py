"""Where a router sends requests, by rules and by what it learned, and that it says so."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lending import Shelf, around, end, question, scripted, steps, told

from kataribe.base.errors import FormatError, InputError, NotFoundError
from kataribe.base.lm import Capabilities, Request, ToolSpec
from kataribe.base.messages import ImagePart, Message, TextPart, ToolCallPart, text_of
from kataribe.run.providers.scripted import Call, Reply
from kataribe.use.agents.approvals import approve
from kataribe.use.assistants import learned
from kataribe.use.assistants.compose import composed
from kataribe.use.assistants.learned import (
    Example,
    features,
    held_out_accuracy,
    learn,
    load_learned,
    read_examples,
)
from kataribe.use.assistants.recipe import recipe_of

ROUTE = {
    "router": {
        "default": "plain",
        "rules": [
            {"model": "eyes", "images": True},
            {"model": "coder", "words": ["Python", "正規表現"]},
            {"model": "coder", "pattern": r"def \w+\("},
            {"model": "japanese", "language": "ja", "longer": 20},
            {"model": "hands", "tools": True},
        ],
    }
}


def shelf() -> Shelf:
    names = ("plain", "eyes", "coder", "japanese", "hands")
    return Shelf(**{name: scripted(f"I am {name}.", name=name) for name in names})


@pytest.mark.parametrize(
    ("request_", "model", "why"),
    [
        (question("Hello there"), "plain", "default"),
        (question("Is PYTHON slow?"), "coder", "rule 2: 'Python' is in it"),
        (question("正規表現とは?"), "coder", "rule 2: '正規表現' is in it"),
        (question("what is def f(x)?"), "coder", "rule 3: the pattern is in it"),
        (question("明日の会議は午後三時からに変わりました。よろしくお願いします。"), "japanese",
         "rule 4: it is in ja, it is longer than 20 characters"),
        (question("今日は。"), "plain", "default"),
        (question("What now?", tools=(ToolSpec("f"),)), "hands", "rule 5: it brings tools"),
        (Request((Message("user", (TextPart("Python?"), ImagePart("image/png", b"x"))),)), "eyes",
         "rule 1: it has a picture"),
    ],
)  # fmt: skip
async def test_rules_hold_in_their_order(
    request_: Request, model: str, why: str, tmp_path: Path
) -> None:
    there = shelf()
    events = await told(ROUTE, around(there, tmp_path), request_)
    assert text_of(end(events).message) == f"I am {model}."
    assert steps(events, "route") == [f"{model} ({why})"]
    assert there.out == 0


async def test_only_the_newest_question_decides(tmp_path: Path) -> None:
    turns = (
        Message("user", (TextPart("Python?"),)),
        Message("assistant", (TextPart("Yes."),)),
        Message("user", (TextPart("Thanks"),)),
    )
    events = await told(ROUTE, around(shelf(), tmp_path), Request(turns))
    assert text_of(end(events).message) == "I am plain."


async def test_each_model_acts_in_its_own_way(tmp_path: Path) -> None:
    """One calls tools itself; the other is only found to act in plain text when it is chosen."""
    native = scripted([Reply(calls=(Call("calculator", {"expression": "6 * 7"}),)), "42"])
    turn = "Thought: compute.\nAction: calculator\nAction Input: 6 * 7"
    plain = scripted(
        [turn, "Final Answer: It is 42."], "coder", capabilities=Capabilities(context_length=4096)
    )
    there = Shelf(plain=native, coder=plain)
    recipe = {**ROUTE, "tools": ["calculator"], "system": "Be brief."}
    for text, answer, lm in (("6 x 7?", "42", native), ("Python?", "It is 42.", plain)):
        events = await told(recipe, around(there, tmp_path), question(text))
        assert text_of(end(events).message) == answer
        assert [step.partition(" ")[0] for step in steps(events, "route")] == [
            "plain" if lm is native else "coder"
        ]
        assert len(lm.requests) == 2
        assert text_of(lm.requests[0].prompt[0]).startswith("Be brief.")
    assert native.requests[0].tools
    assert not plain.requests[0].tools
    assert there.out == 0


async def test_a_router_behind_a_router_shows_when_it_is_asked_that_it_calls_no_tools(
    tmp_path: Path,
) -> None:
    turn = "Thought: compute.\nAction: calculator\nAction Input: 6 * 7"
    script = [turn, "Final Answer: It is 42."]
    plain = scripted(script, capabilities=Capabilities(context_length=4096))
    there = Shelf(plain=plain)
    inner = recipe_of({"router": {"default": "plain"}}, "r")
    tools = {"tools": ["calculator"]}
    async with composed("inner", inner, around(there, tmp_path)) as lm:
        there.models["inner"] = lm
        for recipe in ({"model": "inner", **tools}, {"router": {"default": "inner"}, **tools}):
            events = await told(recipe, around(there, tmp_path), question("6 x 7?"))
            assert text_of(end(events).message) == "It is 42."
            assert len(steps(events, "in text")) == 1
            plain = there.models["plain"] = scripted(
                script, capabilities=Capabilities(context_length=4096)
            )
        there.models["plain"] = scripted(
            "Action: f\nAction Input: {}", capabilities=Capabilities(context_length=4096)
        )
        brought = question("?", tools=(ToolSpec("f"),))
        last = end(await told({"model": "inner", **tools}, around(there, tmp_path), brought))
        (call,) = [part for part in last.message.parts if isinstance(part, ToolCallPart)]
        assert (last.reason, call.name) == ("tool_calls", "f")  # the caller's


async def test_what_tools_and_techniques_say_does_not_choose(tmp_path: Path) -> None:
    """The person's own words do: neither the tools of the recipe, nor what came of one."""
    turn = "Thought: look.\nAction: calculator\nAction Input: Python"
    plain = scripted([turn, "Final Answer: No."], capabilities=Capabilities(context_length=4096))
    there = Shelf(plain=plain, coder=scripted("coder"), hands=scripted("hands"))
    recipe = {**ROUTE, "tools": ["calculator"]}
    events = await told(recipe, around(there, tmp_path), question("Hello"))
    assert text_of(end(events).message) == "No."
    assert steps(events, "route") == ["plain (default)"]


async def test_consent_goes_on_with_the_model_that_waits(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("secret", encoding="utf-8")
    coder = scripted([Reply(calls=(Call("read_file", {"path": "a.txt"}),)), "It says: secret."])
    tool = {"name": "files", "options": {"folder": str(tmp_path)}}
    there = around(Shelf(plain=scripted(), coder=coder), tmp_path)
    asked = question("Python?")
    recipe = recipe_of({**ROUTE, "tools": [tool]}, "r")
    async with composed("helper", recipe, there) as lm:
        waits = end([event async for event in lm.stream(asked)])
        assert waits.reason == "approval"
        (call,) = [part for part in waits.message.parts if isinstance(part, ToolCallPart)]
        then = replace(asked, prompt=(*asked.prompt, waits.message, approve(call)))
        found = end([event async for event in lm.stream(then)])
    assert text_of(found.message) == "It says: secret."


async def test_consent_is_asked_for_where_the_chosen_model_acts_in_text(
    tmp_path: Path,
) -> None:
    tool = {"name": "files", "options": {"folder": str(tmp_path)}}
    act = 'Action: list_files\nAction Input: {"path": "."}'
    coder = scripted(act, capabilities=Capabilities(context_length=4096))
    there = around(Shelf(plain=scripted("Hello."), coder=coder), tmp_path)
    recipe = {**ROUTE, "tools": [tool]}
    events = await told(recipe, there, question("Hello"))
    assert text_of(end(events).message) == "Hello."
    events = await told(recipe, there, question("Python?"))
    assert end(events).reason == "approval"


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"technique": {"name": "self-consistency", "options": {"paths": 1}}}, "paths"),
        ({"technique": "react"}, "name some"),
        ({"tools": ["calculater"]}, "Did you mean calculator"),
    ],
)
async def test_what_cannot_be_built_is_said_before_a_model_is_chosen(
    part: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        async with composed("helper", recipe_of({**ROUTE, **part}, "r"), around(shelf(), tmp_path)):
            pass


async def test_a_model_that_is_not_there_is_said_when_it_is_chosen(tmp_path: Path) -> None:
    there = Shelf(plain=scripted())
    await told(ROUTE, around(there, tmp_path), question("Hello"))
    with pytest.raises(NotFoundError, match="'coder'"):
        await told(ROUTE, around(there, tmp_path), question("Python?"))


async def test_a_pattern_that_is_none_is_named(tmp_path: Path) -> None:
    recipe = {"router": {"default": "plain", "rules": [{"model": "coder", "pattern": "("}]}}
    with pytest.raises(InputError, match=r"router\.rules\.0\.pattern is '\('"):
        await told(recipe, around(shelf(), tmp_path), question("x"))


def made_up(count: int, seed: int) -> list[Example]:
    """Sums for one model, questions about animals for the other, in two languages."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        a, b = draw.randrange(100), draw.randrange(100)
        animal = draw.choice(["cats", "dogs", "whales", "猫", "犬", "鯨"])
        sums = [f"What is {a} + {b}?", f"Add {a} and {b}.", f"{a}に{b}を足すと?"]
        told = [f"Where do {animal} live?", f"{animal}は何を食べますか。", f"Do {animal} sleep?"]
        found.append(Example(draw.choice(sums), "calculator"))
        found.append(Example(draw.choice(told), "zoologist"))
    return found


async def test_what_was_learned_decides_where_it_is_sure(tmp_path: Path) -> None:
    choice = learn(made_up(30, seed=1))
    unseen = made_up(50, seed=2)
    right = sum(choice.likeliest(each.text)[0] == each.model for each in unseen)
    assert right >= 98
    assert held_out_accuracy(made_up(30, seed=1)) > 0.9
    choice.save(tmp_path / "learned.json")
    there = Shelf(
        calculator=scripted("42.", name="calculator"), zoologist=scripted("In the sea.", name="z"),
        plain=scripted("Hm.", name="plain"),
    )  # fmt: skip
    route = {"default": "plain", "learned": "learned.json", "sure": 0.7}
    recipe = {"router": {**route, "among": ["calculator", "zoologist"]}}
    rules = {"router": {**route, "rules": [{"model": "calculator", "words": ["+"]}]}}
    with pytest.raises(InputError, match=r"chooses zoologist too.*among: \[zoologist\]"):
        await told(rules, around(there, tmp_path), question("?"))
    events = await told(recipe, around(there, tmp_path), question("Where do whales sleep?"))
    assert text_of(end(events).message) == "In the sea."
    assert "zoologist (learned from examples" in steps(events, "route")[0]
    events = await told(recipe, around(there, tmp_path), question("%%"))
    assert "plain (default; examples are only" in steps(events, "route")[0]


def test_what_was_learned_is_read_again_as_it_was(tmp_path: Path) -> None:
    choice = learn(made_up(10, seed=3))
    choice.save(tmp_path / "a.json")
    again = load_learned(tmp_path / "a.json")
    assert again.models == choice.models == ("calculator", "zoologist")
    assert np.abs(again.weights - choice.weights).max() < 1e-4
    learn(made_up(10, seed=3)).save(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_features_are_the_same_for_the_same_words_written_otherwise() -> None:
    assert np.allclose(features("ＰＹＴＨＯＮ"), features("python"))
    assert float(np.linalg.norm(features("python"))) == pytest.approx(1)
    assert not features("").any()
    assert not np.allclose(features("python"), features("nohtyp"))


def test_examples_that_teach_no_choice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name 1 models"):
        learn([Example("a", "x"), Example("b", "x")])
    with pytest.raises(InputError, match="only 1 example for y"):
        learn([Example("a", "x"), Example("b", "x"), Example("c", "y")])
    file = tmp_path / "examples.jsonl"
    file.write_text('{"prompt": "a", "model": "x"}\n\n{"prompt": "b"}\n', encoding="utf-8")
    with pytest.raises(FormatError, match=r"Line 3 of .* is no example"):
        read_examples(file)
    file.write_text('{"prompt": " ", "model": "x"}\n', encoding="utf-8")
    with pytest.raises(FormatError, match=r"Line 1 of .* has no words"):
        read_examples(file)
    with pytest.raises(NotFoundError):
        read_examples(tmp_path / "none.jsonl")


@pytest.mark.parametrize("text", ["", "[]", '{"form": 9}', '{"form": 1, "models": ["a"]}'])
def test_a_file_that_is_nothing_learned_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "learned.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FormatError, match=r"learned\.json"):
        load_learned(path)
    with pytest.raises(NotFoundError, match="assistants learn"):
        load_learned(tmp_path / "none.json")


def test_what_was_learned_is_read_once_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    learn(made_up(10, seed=3)).save(path)
    os.utime(path, (1000, 1000))
    first = load_learned(path)
    assert load_learned(path) is first
    learn(made_up(12, seed=4)).save(path)
    os.utime(path, (2000, 2000))
    assert not np.array_equal(load_learned(path).weights, first.weights)
    path.write_text("[]")  # just now, and never kept
    with pytest.raises(FormatError):
        load_learned(path)


def test_a_file_too_large_to_be_learned_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn(made_up(10, seed=3)).save(tmp_path / "a.json")
    monkeypatch.setattr(learned, "LARGEST", 100)
    with pytest.raises(FormatError, match=r"a\.json has .* bytes; .* at most 100"):
        load_learned(tmp_path / "a.json")


async def test_a_learned_file_lies_beside_the_recipe(tmp_path: Path) -> None:
    recipe = {"router": {"default": "plain", "learned": "../learned.json"}}
    with pytest.raises(InputError, match="the name of a file"):
        await told(recipe, around(shelf(), tmp_path), question("x"))
