"""All that is wrong with a recipe, at once and with its place."""

from __future__ import annotations

import pytest

from kataribe.base.errors import InputError
from kataribe.use.assistants.book import Book
from kataribe.use.assistants.looking import MOST_PROBLEMS, look


def found(text: str) -> list[tuple[str, int | None]]:
    return [(problem.place, problem.line) for problem in look(text, "The recipe").problems]


def test_the_ready_ones_have_no_problems(tmp_path) -> None:
    for kept in Book(tmp_path).all().values():
        looked = look(kept.text, kept.name)
        assert looked.problems == ()
        assert looked.recipe == kept.recipe()
        assert looked.fields is not None
        assert looked.fields["title"] == {
            "en": looked.recipe.title.en,
            "ja": looked.recipe.title.ja,
        }


def test_all_faults_are_told_and_not_only_the_first() -> None:
    text = "sytem: x\nsampling:\n  temprature: 1\n  top_p: high\nlimits: {steps: 0}\n"
    looked = look(text, "The recipe")
    assert looked.recipe is None
    told = {problem.place: problem for problem in looked.problems}
    assert set(told) == {"sytem", "sampling.temprature", "sampling.top_p", "limits.steps"}
    assert "Did you mean system?" in told["sytem"].message
    assert "Did you mean temperature?" in told["sampling.temprature"].message
    assert told["sampling.temprature"].line == 3
    assert told["sampling.top_p"].line == 4
    assert told["limits.steps"].line == 5


@pytest.mark.parametrize(
    ("text", "place", "line", "words"),
    [
        ("sampling:\n  temperature: 9", "sampling.temperature", 2, "at least 0"),
        ("tools:\n  - clock\n  - calculatr", "tools.1", 3, "Did you mean calculator?"),
        ("tools: [files]", "tools.0", 1, "needs the option folder"),
        ("tools: [clock, clock]", "tools.1", 1, "named twice"),
        ("technique: self-consistancy", "technique.name", 1, "Did you mean self-consistency?"),
        (
            "technique:\n  name: self-consistency\n  options: {pahts: 3}",
            "technique.options.pahts",
            3,
            "Did you mean paths?",
        ),
        ("technique: chaining\ntools: [clock]", "technique.name", 1, "uses no tools"),
        ("technique: react", "tools", None, "acts with tools"),
        ("guards:\n  repetiton: true", "guards.repetiton", 2, "Did you mean repetition?"),
        ("guards:\n  leak: {leters: 3}", "guards.leak", 2, "letters"),
        ("guards: {leak: 3}", "guards.leak", 1, "true, false or a mapping"),
        ("guards: {standard: 1}", "guards.standard", 1, "true or false"),
        ("router:\n  default: a\n  rules:\n    - {model: b, pattern: '('}",
         "router.rules.0.pattern", 4, "no regular expression"),
        ("router: {default: a, learned: ../x.json}", "router.learned", 1, "beside the recipe"),
        ("tests:\n  - {ask: a, matches: '['}", "tests.0.matches", 2, "no regular expression"),
        ("tests:\n  - {ask: a, matches: 'a{99999999999999999999}'}",
         "tests.0.matches", 2, "no regular expression"),
        ("{1: 2}", "1", 1, "Keys should be strings"),
        ("a: [", "", 1, "no YAML in line 1"),
        ("system: x\n\n  y: [", "", 3, "no YAML"),
        ("- a", "", None, "is a list"),
        ("technique: {name: chaining, options: {x: !!binary aGk=}}", None, None, ""),
        ('title: "\\ud800"', "", None, "no text, number, list or mapping"),
        ("guards: {leak: {letters: .inf}}", None, None, ""),
    ],
)  # fmt: skip
def test_what_the_parts_know_has_its_place_and_line(text, place, line, words) -> None:
    problems = look(text, "The recipe").problems
    assert problems
    if place is not None:
        assert (problems[0].place, problems[0].line) == (place, line)
        assert words in problems[0].message


def test_a_guard_with_a_judge_is_looked_at_without_one() -> None:
    assert found("guards: {injection: {judge: true}}") == []
    assert found("guards: {standard: true, personal: false, retries: 2}") == []


def test_more_checks_are_asked_only_of_what_can_be_read() -> None:
    def refuse(recipe) -> None:
        raise InputError(f"{recipe.model} is a circle.", param="model")

    (problem,) = look("title: x\nmodel: me", "The recipe", refuse).problems
    assert (problem.place, problem.line, problem.message) == ("model", 2, "me is a circle.")
    assert len(look("modell: me", "The recipe", refuse).problems) == 1


def test_problems_without_end_are_cut() -> None:
    text = "".join(f"x{number}: 1\n" for number in range(300))
    assert len(look(text, "The recipe").problems) == MOST_PROBLEMS
