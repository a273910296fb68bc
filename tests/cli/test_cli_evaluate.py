"""`kataribe eval`: models by name, questions by corpus."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def corpus(kataribe_home: Path) -> Path:
    folder = kataribe_home / "corpora" / "qa"
    folder.mkdir(parents=True)
    lines = [
        {"messages": [{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": "4"}]}
        for n in range(6)
    ]
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
    assert "0.167 (0.000 to" in shown


def test_two_models_are_compared_on_the_same_questions(cli, corpus, pico_path):
    for name in ("one", "two"):
        assert cli("models", "import", str(pico_path), "--name", name).code == 0
    arguments = ("--on", "qa", "--base", "one", "--most", "3", "--max-tokens", "4", "--local")
    done = cli("eval", "two", *arguments, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert [each["name"] for each in told["models"]] == ["one", "two"]
    assert told["questions"] == 3
    assert told["difference"]["chrf"] == {"mean": 0, "low": 0, "high": 0}  # the same weights
    assert "difference\t0.000 (0.000 to 0.000)" in cli("eval", "two", *arguments).out


def test_what_is_not_there_is_said(cli, corpus):
    assert cli("eval", "nobody", "--on", "qa", "--local").code == 3
    done = cli("eval", "smollm2-135m", "--on", "nothing")
    assert done.code == 3
    assert "nothing" in done.err
    assert cli("eval", "smollm2-135m", "--on", "qa", "--most", "0").code == 2
