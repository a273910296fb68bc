"""`kataribe train distill-text`: a teacher behind an address, or one of this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kataribe.base.messages import text_of
from kataribe.base.workspace import Workspace
from kataribe.run.providers.scripted import ScriptedLM
from tests.cli.conftest import ScriptedSource, serving

MODELS_HOME = Path(__file__).resolve().parents[2] / ".cache" / "kataribe"


def asked(path: Path, *words: str) -> str:
    path.write_text("".join(json.dumps({"prompt": word}) + "\n" for word in words))
    return str(path)


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_teacher_behind_an_address(cli, tmp_path, monkeypatch):
    lm = ScriptedLM(lambda request: f"Yes, {text_of(request.prompt[-1])}", name="big/teacher")
    questions = asked(tmp_path / "q.jsonl", "one", "two", "three")
    with serving(ScriptedSource(lm), key="a-secret-key") as url:
        command = ("train", "distill-text", questions, "--teacher", "big/teacher", "--at",
                   f"{url}/v1/", "--held-out", "0.34", "--top-p", "0.9")  # fmt: skip
        refused = cli(*command)
        assert refused.code != 0
        assert "Set OPENAI_API_KEY" in refused.err
        monkeypatch.setenv("OPENAI_API_KEY", "a-secret-key")
        done = cli(*command, "--json")
        assert done.code == 0, done.err
    card = json.loads(done.out)
    assert card["choices"]["at"] == f"{url}/v1/"
    assert "a-secret-key" not in done.out
    folder = Workspace.locate().corpora / "q-by-big-teacher"
    rows = lines(folder / "train.jsonl") + lines(folder / "valid.jsonl")
    said = {row["messages"][0]["content"]: row["messages"][1]["content"] for row in rows}
    assert said == {word: f"Yes, {word}" for word in ("one", "two", "three")}
    assert {request.sampling.top_p for request in lm.requests} == {0.9}
    # It is all there: the server is gone, and nobody is asked.
    done = cli(*command)
    assert done.code == 0, done.err
    assert "train instruct q-by-big-teacher --base NAME" in done.out
    shown = cli("corpus", "show", "q-by-big-teacher")
    assert "teacher big/teacher" in shown.out
    assert "q-by-big-teacher" in cli("corpus", "list").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Say what the teacher is asked"),
        (("nothing.jsonl", "--teacher", "a"), "There is no corpus 'nothing.jsonl'"),
        (("nothing.jsonl",), "--teacher NAME"),
        (("q.jsonl", "--teacher", "a", "--data", "../x"), "cannot be a corpus's name"),
    ],
)
def test_what_cannot_be_asked(cli, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    asked(tmp_path / "q.jsonl", "one")
    done = cli("train", "distill-text", *words)
    assert done.code == 2
    assert said in done.err


def test_one_process_asks(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    done = cli("train", "distill-text", asked(tmp_path / "q", "one"), "--teacher", "a")
    assert "asked by one process" in done.err


@pytest.mark.slow
def test_the_default_model_teaches(cli, smollm2_path, tmp_path):
    here = MODELS_HOME / "models" / "smollm2-135m"
    if smollm2_path.parent.resolve() != here.resolve():
        pytest.skip(f"{here} is not where the tests' models are.")
    models = Workspace.locate().models
    models.mkdir(parents=True)
    (models / "smollm2-135m").symlink_to(here)
    questions = asked(tmp_path / "q.jsonl", "What is the capital of France?", "Say hello.")
    done = cli("train", "distill-text", questions, "--teacher", "smollm2-135m", "--temperature",
               "0", "--max-tokens", "60", "--held-out", "0", "--json")  # fmt: skip
    assert done.code == 0, done.err
    folder = Workspace.locate().corpora / "q-by-smollm2-135m"
    answers = [row["messages"][-1]["content"] for row in lines(folder / "train.jsonl")]
    assert "Paris" in answers[0]
    assert json.loads(done.out)["teacher_tokens"] > 10
