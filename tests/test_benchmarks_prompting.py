"""The prompting benchmark's parts: problems, rows, tools, report; and a small run of the whole."""

from __future__ import annotations

import json

import pytest

from benchmarks.prompting import report
from benchmarks.prompting.__main__ import Asked, answered, measure
from benchmarks.prompting.answered import Row, Rows
from benchmarks.prompting.problems import drawn, read_problems
from benchmarks.prompting.techniques import NAMES, Calculator, solved
from kataribe.base.errors import FormatError, InputError, ProviderError
from kataribe.base.lm import Request
from kataribe.base.messages import text_of
from kataribe.run.providers import ScriptedLM

HEAD = {"format": 1, "model": "scripted"}


@pytest.fixture
def problems(tmp_path):
    path = tmp_path / "problems.jsonl"
    lines = [
        json.dumps(
            {
                "question": f"Ann has {number} pears and buys 2. How many has she?",
                "answer": f"She has {number}+2=<<{number}+2={number + 2}>>{number + 2}.\n"
                f"#### {number + 2}",
            }
        )
        for number in range(40)
    ]
    path.write_text("\n".join(lines) + "\n\n")
    return read_problems(path)


def row(technique: str, place: int, *, right: bool, reason: str = "stop") -> Row:
    return Row(technique, place, right, "1", "1", 100, 20, 0, 2.0, reason, "", "Answer: 1")


def test_problems_are_read_and_drawn_always_alike(problems):
    assert (problems[3].gold, problems[3].place) == ("5", 4)
    assert problems[3].worked.answer == "She has 3+2=5.\nAnswer: 5"
    asked, others = drawn(problems, 10, 0)
    assert (asked, others) == drawn(problems, 10, 0)
    assert asked != drawn(problems, 10, 1)[0]
    assert sorted(each.place for each in (*asked, *others)) == list(range(1, 41))
    with pytest.raises(InputError, match="Ask for fewer"):
        drawn(problems, 40, 0)


@pytest.mark.parametrize("line", ["{", '{"question": "a"}', '{"question": "a", "answer": "b"}'])
def test_a_line_that_is_no_problem_is_named(tmp_path, line):
    path = tmp_path / "bad.jsonl"
    path.write_text(f'{{"question": "a", "answer": "#### 1"}}\n{line}\n')
    with pytest.raises(FormatError, match="ine 2 of"):
        read_problems(path)


def test_rows_go_on_after_half_a_line(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = Rows(path, HEAD)
    rows.add(row("zero-shot", 1, right=True))
    rows.keep_instruction("Add.", {"score": 1.0})
    with path.open("ab") as file:
        file.write(b'{"technique": "zero-sh')
    again = Rows(path, HEAD)
    assert again.rows == rows.rows
    assert again.instruction == "Add."
    again.add(row("zero-shot", 2, right=False))
    assert Rows(path, HEAD).rows == again.rows
    with pytest.raises(FormatError, match="another run"):
        Rows(path, {**HEAD, "model": "other"})


@pytest.mark.parametrize(
    ("expression", "value"),
    [("(3 + 4) * 2", "14"), ("1/3", "1/3"), ("$1,200 / 5", "240"), ("-0.1 * 3", "-0.3")],
)
async def test_the_calculator(expression, value):
    assert await Calculator().call({"expression": expression}) == value


@pytest.mark.parametrize(
    "expression", ["", "2 ** 99", "abs(3)", "1 / 0", "'a' * 9", "1 +", "(" * 300, "True + 1"]
)
async def test_what_the_calculator_refuses(expression):
    with pytest.raises(InputError):
        await Calculator().call({"expression": expression})


async def test_solved_problems_with_most_words_in_common_come_first(problems):
    search = solved([*problems[:5]])
    found = await search("Ann has pears", 5)
    assert len(found) == 4
    assert "Answer: 2" in found[0].text


def adds(request: Request) -> str:
    """Knows its sums, but says nothing useful about anything else."""
    text = text_of(request.prompt[-1])
    if "Ann has" not in text:
        return "Add the numbers."
    number = int(text.rpartition("Ann has ")[2].split()[0])
    return f"Answer: {number + 2}"


async def test_a_small_run_and_going_on(problems, tmp_path):
    asked = Asked(NAMES, problems[:3], problems[3:], 300, 0)
    whole = Rows(tmp_path / "whole.jsonl", HEAD)
    lines: list[str] = []
    await measure(ScriptedLM(adds), asked, whole, lines.append)
    assert set(whole.rows) == {(name, place) for name in NAMES for place in (1, 2, 3)}
    assert all(each.right for (name, _), each in whole.rows.items() if name == "zero-shot")
    assert all(each.prompt_tokens > 0 for each in whole.rows.values())
    cut = Rows(tmp_path / "cut.jsonl", HEAD)
    count = 0

    def breaks(request: Request) -> str | Exception:
        nonlocal count
        count += 1
        return adds(request) if count < 80 else ProviderError("gone")

    with pytest.raises(ProviderError):
        await measure(ScriptedLM(breaks), asked, cut, lines.append)
    assert 0 < len(cut.rows) < len(whole.rows)
    await measure(ScriptedLM(adds), asked, Rows(cut.path, HEAD), lines.append)
    found = Rows(cut.path, HEAD).rows
    assert {key: each.reply for key, each in found.items()} == {
        key: each.reply for key, each in whole.rows.items()
    }
    assert len(cut.path.read_text().splitlines()) == len(found) + 2  # head and instruction


async def test_a_problem_that_does_not_fit_is_wrong_and_says_why(problems):
    asked = Asked(NAMES, problems[:1], problems[1:], 5000, 0)
    found = await answered("zero-shot", ScriptedLM(adds), problems[0], asked)
    assert not found.right
    assert "4096" in found.failure


def test_the_report_compares_what_all_have_answered():
    rows = {}
    for place in range(40):
        rows["zero-shot", place] = row("zero-shot", place, right=place % 2 == 0)
        rows["react", place] = row("react", place, right=True, reason="length")
    rows["zero-shot", 40] = row("zero-shot", 40, right=False)
    names = ("zero-shot", "react")
    assert report.complete(rows, names) == list(range(40))
    said = report.text(rows, names)
    assert "| zero-shot | 20/40 | 50 (35 to 65) |  | 100 | 20 | 2.0 | 2.0 |" in said
    assert "| react | 40/40 | 100 (91 to 100) | +50 (" in said
    assert ") * |" in said
    assert "40 were cut" in said
    assert report.gain(rows, "react", range(40)).mean == 0.5
    few = {key: each for key, each in rows.items() if key[1] < 4}
    assert "too few problems" in report.text(few, names)
    assert "No problem" in report.text({}, names)
