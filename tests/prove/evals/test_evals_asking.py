"""Questions out of files, answered by scripted models."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from kataribe.base.errors import FormatError, NotFoundError
from kataribe.base.messages import text_of
from kataribe.prove.evals.asking import answer_all
from kataribe.prove.evals.questions import read_questions
from kataribe.run.providers.scripted import ScriptedLM


def line(question: str, answer: str, **more: str) -> str:
    roles = (("user", question), ("assistant", answer))
    return json.dumps(
        {"messages": [{"role": role, "content": text} for role, text in roles], **more}
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    lines = [line(f"Question {number}?", f"Answer {number}.", kind="x") for number in range(20)]
    (tmp_path / "valid.jsonl").write_text("\n".join(lines) + "\n\n")
    (tmp_path / "train.jsonl").write_text(line("Taught?", "Yes."))
    return tmp_path


def test_a_folder_gives_what_it_holds_out(data: Path) -> None:
    found = read_questions(data)
    assert [text_of(each.prompt[-1]) for each in found[:2]] == ["Question 0?", "Question 1?"]
    assert (found[3].wanted, found[3].kind) == ("Answer 3.", "x")
    assert len(found) == 20
    assert read_questions(data / "valid.jsonl") == found


def test_some_are_always_the_same_ones(data: Path) -> None:
    some = read_questions(data, 5)
    assert len(some) == 5
    assert some == read_questions(data, 5)
    assert set(some) < set(read_questions(data, 6))
    assert len(read_questions(data, 500)) == 20


@pytest.mark.parametrize(
    "bad",
    [
        "no json",
        "[1]",
        "{}",
        '{"messages": 3}',
        '{"messages": [{"role": "user", "content": "alone"}]}',
        '{"messages": [{"role": "robot", "content": "a"}, {"role": "assistant", "content": "b"}]}',
        '{"messages": [{"role": "user", "content": null}, {"role": "assistant", "content": "b"}]}',
        '{"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]}',
    ],
)
def test_a_line_that_is_no_question_is_named(tmp_path: Path, bad: str) -> None:
    (tmp_path / "x.jsonl").write_text(line("a", "b") + "\n" + bad)
    with pytest.raises(FormatError, match="Line 2"):
        read_questions(tmp_path / "x.jsonl")


def test_no_questions_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing"):
        read_questions(tmp_path / "nothing")
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(FormatError, match="empty"):
        read_questions(tmp_path / "empty.jsonl")


def test_answers_are_scored_in_the_order_of_the_questions(data: Path) -> None:
    questions = read_questions(data)
    right = ScriptedLM(lambda request: text_of(request.prompt[-1]).replace("Question", "Answer")
                       .replace("?", "."), name="right")  # fmt: skip
    wrong = ScriptedLM(lambda _: "I do not know at all, and talk on and on and on.", name="wrong")
    heard: list[int] = []
    good = asyncio.run(answer_all(right, questions, max_tokens=50, told=heard.append))
    bad = asyncio.run(answer_all(wrong, questions, max_tokens=3))
    assert sorted(heard) == list(range(1, 21))
    assert [answer.text for answer in good.answers] == [each.wanted for each in questions]
    assert good.scores["exact"] == (1.0,) * 20
    assert (good.ended, bad.ended) == (1.0, 0.0)
    assert good.above(bad, "chrf").low > 0.3
    assert bad.above(good, "chrf").high < -0.3
    assert good.mean("token_f1").mean == 1
