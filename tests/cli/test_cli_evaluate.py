"""`kataribe eval`: models by name, questions by corpus."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kataribe.base.errors import ContextLengthError, InputError, UnavailableError
from kataribe.base.messages import text_of
from kataribe.prove.evals.intervals import LEAST_ITEMS, LEVEL, RESAMPLES
from kataribe.run.providers.scripted import Reply


@pytest.fixture
def corpus(kataribe_home: Path) -> Path:
    folder = kataribe_home / "corpora" / "qa"
    folder.mkdir(parents=True)
    lines = [
        {"messages": [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": "4"}],
         "kind": "even" if n % 2 == 0 else "odd", "item": str(n // 2)}
        for n in range(6)
    ]  # fmt: skip
    (folder / "valid.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


def test_the_servers_model_answers_what_a_corpus_holds_out(cli, corpus, served):
    served(lambda request: "4" if "2" in str(request.prompt[-1]) else "5", name="smollm2-135m")
    done = cli("eval", "smollm2-135m", "--on", "qa", "--json", "--show", "1")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    (model,) = told["models"]
    assert told["questions"] == 6
    assert model["exact"]["mean"] == pytest.approx(1 / 6)
    assert model["exact"]["low"] <= 1 / 6 <= model["exact"]["high"]
    assert model["ended_by_itself"] == 1
    assert told["samples"][0]["wanted"] == "4"
    assert "difference" not in told
    shown = cli("eval", "smollm2-135m", "--on", str(corpus / "valid.jsonl"), "--show", "2").out
    assert shown.count("wanted: 4") == 2
    assert "0.167 (0.018 to" in shown  # of three items: Wilson's interval
    assert "even (3)\tsmollm2-135m\t0.333" in shown
    assert "odd (3)\tsmollm2-135m\t0.000" in shown
    assert told["items"] == 3
    assert told["kinds"]["even"]["models"][0]["exact"]["mean"] == pytest.approx(1 / 3)
    assert model["ended_by_itself_interval"]["low"] < 0.5 < model["ended_by_itself"]


def test_the_report_says_how_answers_were_drawn(cli, corpus, served):
    asked = ("eval", "smollm2-135m", "--on", "qa")
    served(lambda _: "4", name="smollm2-135m")
    assert "smollm2-135m: asked with temperature 0 and seed 0." in cli(*asked).err
    (model,) = json.loads(cli(*asked, "--json").out)["models"]
    assert (model["asked_with"], model["left_out"]) == ({"temperature": 0, "seed": 0}, {})


def test_the_report_says_what_was_left_out(cli, corpus, served):
    def say(request):
        if request.sampling.temperature is not None:
            return Reply(error=InputError("Only the default is supported.", param="temperature"))
        return "4"

    served(say, name="smollm2-135m")
    asked = ("eval", "smollm2-135m", "--on", "qa")
    (model,) = json.loads(cli(*asked, "--json").out)["models"]
    assert (model["left_out"], model["failed"]) == ({"temperature": 6}, 0)
    told = cli(*asked).err
    assert "smollm2-135m: asked with seed 0." in told
    assert "6 of 6 questions were asked without temperature, which it does not take" in told


def test_two_models_are_compared_on_the_same_questions(cli, corpus, pico_path):
    for name in ("one", "two"):
        assert cli("models", "import", str(pico_path), "--name", name).code == 0
    arguments = ("--on", "qa", "--base", "one", "--most", "3", "--max-tokens", "4", "--local")
    done = cli("eval", "two", *arguments, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert [each["name"] for each in told["models"]] == ["one", "two"]
    assert told["questions"] == 3
    assert told["difference"]["chrf"] == {"mean": 0, "low": None, "high": None}  # of three items
    shown = cli("eval", "two", *arguments)
    assert "difference\t0.000 (too few items)" in shown.out
    assert "bounds need at least 20" in shown.err


def test_a_difference_has_bounds_where_there_are_items_enough(cli, corpus, served):
    lines = (corpus / "valid.jsonl").read_text().splitlines()
    rows = [{**json.loads(lines[0]), "item": str(n), "kind": ""} for n in range(20)]
    (corpus / "valid.jsonl").write_text("\n".join(map(json.dumps, rows)))
    served(lambda _: "4", name="smollm2-135m")
    done = cli("eval", "smollm2-135m", "--on", "qa", "--base", "smollm2-135m", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)["difference"]
    assert found["chrf"] == {"mean": 0, "low": 0, "high": 0}
    wilson = 1.959964**2 / (20 + 1.959964**2)
    for name in ("exact", "ended_by_itself"):  # twice 20 of 20 may be two different shares
        assert found[name] == pytest.approx({"mean": 0, "low": -wilson, "high": wilson})


def test_failures_are_counted_and_a_stopped_evaluation_goes_on(cli, corpus, served, kataribe_home):
    asked = []

    def say(request):
        asked.append(text_of(request.prompt[-1]))
        if asked[-1] == "3?":
            return Reply(error=ContextLengthError(5000, 4096))
        if asked[-1] == "5?" and asked.count("5?") == 1:
            return Reply(error=UnavailableError("The model is gone."))
        return "4"

    served(say, name="smollm2-135m")
    done = cli("eval", "smollm2-135m", "--on", "qa")
    assert done.code == 4
    assert "are kept; the same command goes on" in done.err
    again = cli("eval", "smollm2-135m", "--on", "qa")
    assert again.code == 0, again.err
    assert "going on after" in again.err
    assert asked.count("0?") == 1
    assert "1 of 6 questions failed: smollm2-135m: The prompt has 5000" in again.err
    (file,) = (kataribe_home / "evals").iterdir()
    rows = [json.loads(line) for line in file.read_text().splitlines()[1:]]
    assert {(row["question"], row["kind"], row["item"]) for row in rows} == {
        (f"{n}?", "odd" if n % 2 else "even", str(n // 2)) for n in range(6)
    }


def test_what_is_not_there_is_said(cli, corpus):
    assert cli("eval", "nobody", "--on", "qa", "--local").code == 3
    done = cli("eval", "smollm2-135m", "--on", "nothing")
    assert done.code == 3
    assert "nothing" in done.err
    assert cli("eval", "smollm2-135m", "--on", "qa", "--most", "0").code == 2


def test_a_base_that_has_answered_is_not_asked_again(cli, corpus, served):
    """What ends the evaluation at its second model: there is none of that name."""
    asked = []
    names = ("--on", "qa", "--base", "smollm2-135m")

    def say(request):
        asked.append(text_of(request.prompt[-1]))
        return "4"

    served(say, name="smollm2-135m")
    assert cli("eval", "nobody", *names).code != 0
    assert len(asked) == 6
    again = cli("eval", "nobody", *names)
    assert again.code != 0
    assert "smollm2-135m: going on after 6 of 6 answers" in again.err
    assert len(asked) == 6


def test_help_says_where_intervals_come_from(cli):
    words = " ".join(cli("eval", "--help").out.replace("│", " ").split())
    assert "for exact answers and turns that ended those of the score test (Wilson's" in words
    assert f"the middle of {RESAMPLES:,} resamples, where there are {LEAST_ITEMS} items" in words
    assert f"of {LEVEL:.0%}".replace("%", " %") in words
