"""Questions out of files, answered by scripted models."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path

import pytest

from kataribe.base.errors import (
    BusyError,
    ContextLengthError,
    FormatError,
    InputError,
    NotFoundError,
    ProviderError,
    UnavailableError,
)
from kataribe.base.lm import Capabilities, Request
from kataribe.base.messages import text_of
from kataribe.prove.evals import asking
from kataribe.prove.evals.asking import Answer, Result, answer_all
from kataribe.prove.evals.kept import Asked, Kept, kept
from kataribe.prove.evals.questions import Question, read_questions
from kataribe.run.providers.scripted import Reply, ScriptedLM


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
    heard: list[str] = []
    told = lambda _, answer: heard.append(answer.text)  # noqa: E731
    good = asyncio.run(answer_all(right, questions, max_tokens=50, told=told))
    bad = asyncio.run(answer_all(wrong, questions, max_tokens=3))
    assert sorted(heard) == sorted(each.wanted for each in questions)
    assert [answer.text for answer in good.answers] == [each.wanted for each in questions]
    assert good.scores["exact"] == (1.0,) * 20
    assert (good.ended.mean, bad.ended.mean) == (1.0, 0.0)
    assert good.ended.low < 1
    assert good.ended_above(bad).mean == 1
    assert good.above(bad, "chrf").low > 0.3
    assert bad.above(good, "chrf").high < -0.3
    assert good.mean("token_f1").mean == 1


def test_an_item_is_what_the_data_say_or_what_is_asked(tmp_path: Path) -> None:
    lines = [line("a", "b", item="f", kind="k"), line("c", "d", item="f"), line("e", "1")]
    lines += [line("e", "2"), line("g", "1")]
    (tmp_path / "x.jsonl").write_text("\n".join(lines))
    found = read_questions(tmp_path / "x.jsonl")
    assert [each.item for each in found[:2]] == ["f", "f"]
    assert found[2].item == found[3].item != found[4].item
    assert len({each.key for each in found}) == 5


def test_one_question_that_fails_does_not_end_all(data: Path) -> None:
    questions = read_questions(data)

    def say(request: object) -> Reply:
        if "Question 7?" in str(request):
            return Reply(error=ContextLengthError(5000, 4096))
        return Reply("Answer 3.")

    found = asyncio.run(answer_all(ScriptedLM(say), questions, max_tokens=50))
    assert found.answers[7].text == ""
    assert "5000 tokens" in found.answers[7].failure
    assert not found.answers[7].ended
    assert len(found.failures) == 1
    assert found.scores["chrf"][7] == 0
    assert found.mean("exact").mean == 1 / 20
    assert found.ended.mean == 19 / 20


def test_what_no_question_is_to_blame_for_ends_it(data: Path) -> None:
    questions = read_questions(data, 5)
    gone = ScriptedLM(lambda _: Reply(error=UnavailableError("The server is gone.")))
    with pytest.raises(UnavailableError, match="gone"):
        asyncio.run(answer_all(gone, questions, max_tokens=5))
    never = ScriptedLM(lambda _: Reply(error=ContextLengthError(9, 8)), name="small")
    with pytest.raises(InputError, match=r"None of the 5 questions has an answer of small.*9 tok"):
        asyncio.run(answer_all(never, questions, max_tokens=5))
    with pytest.raises(InputError, match="no question"):
        asyncio.run(answer_all(never, [], max_tokens=5))


def without_sampling(*, known: bool) -> ScriptedLM:
    """A model that takes neither temperature nor seed; it says so before, or when it is asked."""

    def say(request: Request) -> str | Exception:
        if request.sampling.temperature is not None:
            return InputError("Unsupported value: only the default is.", param="temperature")
        if request.seed is not None:
            return InputError("Unknown parameter: 'seed'.")
        return "Answer 1."

    lacks = frozenset({"temperature", "seed"}) if known else frozenset()
    return ScriptedLM(say, name="own", capabilities=Capabilities(1000, lacks=lacks))


@pytest.mark.parametrize("known", [True, False])
def test_what_a_model_does_not_take_is_left_out_and_told(
    known: bool, data: Path, tmp_path: Path
) -> None:
    questions = read_questions(data)
    lm = without_sampling(known=known)
    found = ask(tmp_path, questions, lm)
    assert found.failures == ()
    assert found.left_out == {"temperature": 20, "seed": 20}
    assert len(lm.requests) == 20 if known else 20 < len(lm.requests) <= 20 + 2 * asking.AT_ONCE
    (file,) = kept(tmp_path / "again", [Asked.of("own", "w", questions, 50)], questions)
    for question, answer in zip(questions[:3], found.answers, strict=False):
        file.add(question, answer)
    resumed = ask(tmp_path / "again", questions, without_sampling(known=known))
    assert resumed.left_out == found.left_out
    plain = asyncio.run(answer_all(ScriptedLM("x", repeat=True), questions, max_tokens=5))
    assert plain.left_out == {}


def test_answers_that_were_kept_before_anything_could_be_left_out_are_read(
    data: Path, tmp_path: Path
) -> None:
    questions = read_questions(data, 2)
    asked = Asked.of("m", "w", questions, 9)
    (file,) = kept(tmp_path / "evals", [asked], questions)
    file.add(questions[0], Answer("a", ended=True))
    text = file.path.read_text()
    file.path.write_text(text.replace(', "left_out": []', ""))
    assert Kept(tmp_path / "evals", asked).known[questions[0].key] == Answer("a", ended=True)
    file.path.write_text(text.replace('"left_out": []', '"left_out": ["shape"]'))
    with pytest.raises(FormatError, match="Remove the file"):
        Kept(tmp_path / "evals", asked)


def test_a_busy_model_is_asked_again(data: Path) -> None:
    said = [Reply(error=BusyError("full", retry_after=0.01)), "late"]
    found = asyncio.run(answer_all(ScriptedLM(said), read_questions(data, 1), max_tokens=50))
    assert found.answers[0].text == "late"


def test_trouble_of_a_server_is_no_answer(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "FIRST_PAUSE", 0.001)
    questions = read_questions(data, 4)
    put: list[str] = []

    def break_off(times: int) -> ScriptedLM:
        """It fails so many times at one of the questions."""

        def say(request: Request) -> Reply | str:
            put.append(text_of(request.prompt[-1]))
            if put[-1] == text_of(questions[1].prompt[-1]) and put.count(put[-1]) <= times:
                return Reply("half a rep", error=ProviderError("broke off"), fail_after=2)
            return "Answer."

        return ScriptedLM(say, name="m")

    with pytest.raises(ProviderError, match="broke off"):
        ask(tmp_path / "evals", questions, break_off(99))
    assert put.count(text_of(questions[1].prompt[-1])) == asking.MOST_TRIES
    (file,) = (tmp_path / "evals").iterdir()
    rows = [json.loads(each) for each in file.read_text().splitlines()[1:]]
    assert [row["failure"] for row in rows] == [""] * 3
    put.clear()
    found = ask(tmp_path / "evals", questions, break_off(2))
    assert put == [text_of(questions[1].prompt[-1])] * 3
    assert not found.failures
    assert found.ended.mean == 1


def test_results_by_kind_and_only_of_the_same_questions(data: Path) -> None:
    questions = [Question(q.prompt, q.wanted, "odd" if at % 2 else "even", q.item, q.key)
                 for at, q in enumerate(read_questions(data))]  # fmt: skip
    lm = ScriptedLM(lambda request: f"Answer {str(request).split('Question ')[1][0]}.")
    found = asyncio.run(answer_all(lm, questions, max_tokens=50))
    assert found.kinds == ("even", "odd")
    odd = found.of_kind("odd")
    assert [each.kind for each in odd.questions] == ["odd"] * 10
    assert odd.answers == found.answers[1::2]
    assert odd.scores["chrf"] == found.scores["chrf"][1::2]
    with pytest.raises(InputError, match="different questions"):
        found.above(odd, "chrf")


def ask(folder: Path, questions: list[Question], lm: ScriptedLM, most: int = 50) -> Result:
    """What `kataribe eval` does."""
    (file,) = kept(folder, [Asked.of(lm.name, "w", questions, most)], questions)
    return asyncio.run(answer_all(lm, questions, max_tokens=most, known=file.known, told=file.add))


def test_a_stopped_evaluation_goes_on(data: Path, tmp_path: Path) -> None:
    questions = read_questions(data)
    count = itertools.count()

    def fail_at_the_tenth(_: object) -> Reply:
        at = next(count)
        gone = UnavailableError("gone") if at >= 9 else None
        return Reply(f"Answer {at}.", error=gone, fail_after=0)

    with pytest.raises(UnavailableError):
        ask(tmp_path / "evals", questions, ScriptedLM(fail_at_the_tenth, name="m/x"))
    (file,) = (tmp_path / "evals").iterdir()
    rows = [json.loads(each) for each in file.read_text().splitlines()]
    assert rows[0]["model"] == "m/x"
    assert (rows[1]["kind"], rows[1]["item"]) == ("x", questions[0].item)
    done = len(rows) - 1
    assert 5 <= done <= 9  # some were still in the air
    with file.open("ab") as broken:
        broken.write(b'{"key": "abc", "te')  # a power cut

    asked: list[str] = []
    second = ScriptedLM(lambda request: asked.append(str(request)) or "Answer 0.", name="m/x")
    found = ask(tmp_path / "evals", questions, second)
    assert len(asked) == 20 - done
    assert [each.text for each in found.answers[:5]] == [f"Answer {n}." for n in range(5)]
    assert len(file.read_text().splitlines()) == 21

    asked.clear()
    ask(tmp_path / "evals", questions, second)
    assert len(asked) == 20  # a finished one begins anew
    ask(tmp_path / "evals", questions, second, most=40)
    assert len(list((tmp_path / "evals").iterdir())) == 2  # another question is another file


def test_a_damaged_file_of_answers_is_named(data: Path, tmp_path: Path) -> None:
    questions = read_questions(data, 3)
    asked = Asked.of("m", "w", questions, 9)
    (file,) = kept(tmp_path / "evals", [asked], questions)
    file.add(questions[0], Answer("a", ended=True))
    text = file.path.read_text()
    for bad in (text.replace('"ended": true', '"ended": 3'), text.replace('"m"', '"n"'), "[]\n"):
        file.path.write_text(bad)
        with pytest.raises(FormatError, match=r"Line [12] of .* Remove the file"):
            Kept(tmp_path / "evals", asked)


def test_an_evaluation_is_finished_when_all_of_its_models_have_answered(
    data: Path, tmp_path: Path
) -> None:
    questions = read_questions(data, 4)
    asked = [Asked.of(name, "w", questions, 9) for name in ("base", "model")]

    def left(answers: tuple[int, int]) -> list[int]:
        """How many answers are kept of each, after so many more came."""
        files = kept(tmp_path / "evals", asked, questions)
        for file, more in zip(files, answers, strict=True):
            for question in [each for each in questions if each.key not in file.known][:more]:
                file.add(question, Answer("a", ended=True))
        return [len(Kept(tmp_path / "evals", each).known) for each in asked]

    assert left((4, 0)) == [4, 0]  # stopped before the model
    assert left((0, 1)) == [4, 1]  # and once more, after one of its answers
    assert left((0, 3)) == [4, 4]
    assert left((1, 0)) == [1, 0]  # finished: both begin anew, and not the base alone
    assert left((3, 0)) == [4, 0]
