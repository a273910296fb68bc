"""Training for the studio: a run begun from a form, as a job that pauses and goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kataribe.base.errors import InputError, NotFoundError
from kataribe.base.workspace import Workspace
from kataribe.cli.runs_here import RunsHere, thinned
from kataribe.cli.training_jobs import TrainingJobs
from kataribe.make.tokens.kinds import TokenizerPlan
from kataribe.make.tokens.train import save_tokenizer, train_tokenizer
from kataribe.make.training.beginning import begin
from kataribe.make.training.runs import RunFolder, open_run
from kataribe.serve.shapes.training import NewRun
from kataribe.serve.training import KIND
from kataribe.store.database import Store
from kataribe.store.jobs import Job, NewJob
from kataribe.store.tables import LOCAL
from kataribe.store.workers import Workers

TALE = "The tale goes on and on, and the night is long. "


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A corpus and its tokenizer."""
    workspace = Workspace(tmp_path)
    corpus = workspace.corpora / "tales"
    corpus.mkdir(parents=True)
    for split, count in (("train", 40), ("valid", 4)):
        texts = [f"{split} {at} {TALE * 20}" for at in range(count)]
        lines = [
            json.dumps({"id": f"{split}{at}", "text": text, "source": "test", "language": "en"})
            for at, text in enumerate(texts)
        ]
        (corpus / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    made, training = train_tokenizer([TALE * 50], TokenizerPlan("bpe", 300))
    save_tokenizer(workspace.tokenizers / "tales", made, training)
    return workspace


def run_of(workspace: Workspace, name: str, steps: int) -> RunFolder:
    """A run that waits, of a tiny model."""
    asked = {
        "corpus": "tales", "tokenizer": "tales", "layers": 1, "width": 64, "context": 32,
        "tokens": 128 * steps, "batch_tokens": 128,
    }  # fmt: skip
    given = {"compile": "off", "eval_every": 100, "sample_every": 0, "threads": 1}
    return begin(workspace, "pretrain", name, asked, given)


@pytest.fixture
def workers(workspace: Workspace) -> Iterator[Workers]:
    store = Store(workspace.database)
    pool = Workers(store, {KIND: TrainingJobs(workspace)})
    with pool:
        yield pool
    store.close()


def add(workers: Workers, run: str) -> Job:
    return workers.add(LOCAL, NewJob(KIND, run, {"run": run}, same=("run",)))


def until(workers: Workers, job: Job, *states: str, step: int = 0) -> Job:
    """Waits for a state, or for a step of a running job."""
    for _ in range(1200):
        found = workers.get(LOCAL, job.id)
        if found.state in states and found.progress.done >= step:
            return found
        assert found.state not in ("failed", "cancelled") or found.state in states, found.failure
        time.sleep(0.1)
    raise AssertionError(f"{found.state} at {found.progress}")


def test_a_run_is_paused_and_goes_on_to_its_end(workspace: Workspace, workers: Workers) -> None:
    run = run_of(workspace, "tale", 1000)
    job = add(workers, run.id)
    until(workers, job, "running", step=5)
    workers.ask(LOCAL, job.id, "pause")
    until(workers, job, "paused")
    assert run.info.state == "stopped"
    stopped = run.checkpoints()[-1][0]
    assert stopped >= 5
    workers.ask(LOCAL, job.id, "run")
    done = until(workers, job, "done")
    assert done.result == {"run": run.id, "model": "tale"}
    assert (workspace.models / "tale" / "model.safetensors").is_file()
    steps = [line["step"] for line in run.metrics()]
    assert steps == sorted(set(steps))
    assert steps[-1] == 1000
    shown = RunsHere(workspace).run(LOCAL, run.id)
    assert shown.run.state == "done"
    assert shown.measured is not None
    assert shown.measured.bits_per_byte is not None


def test_a_cancelled_run_leaves_nothing(workspace: Workspace, workers: Workers) -> None:
    run = run_of(workspace, "short", 100_000)
    job = add(workers, run.id)
    until(workers, job, "running", step=1)
    workers.ask(LOCAL, job.id, "cancel")
    until(workers, job, "cancelled")
    for _ in range(100):
        if not run.path.exists():
            break
        time.sleep(0.1)
    assert not run.path.exists()


def test_why_a_run_failed_is_the_jobs_failure(workspace: Workspace, workers: Workers) -> None:
    run = run_of(workspace, "broken", 10)
    (workspace.tokenizers / "tales" / "tokenizer.json").write_text("{}")
    job = add(workers, run.id)
    failed = until(workers, job, "failed")
    assert failed.failure is not None
    assert "tokenizer" in failed.failure.message


def test_a_run_from_the_form_waits_for_its_job(workspace: Workspace) -> None:
    here = RunsHere(workspace)
    wanted = NewRun(
        objective="pretrain", name="mine", corpus="tales", tokenizer="tales", minutes=1.0, seed=3
    )
    training = here.begin(LOCAL, wanted)
    (run,) = here.runs(LOCAL)
    assert (run.id, run.name, run.state) == (training.run, "mine", "waiting")
    assert open_run(workspace.runs / run.id).plan["asked"]["minutes"] == 1.0
    assert here.choices().corpora == ["tales"]
    assert here.choices().tokenizers == ["tales"]


def test_conversations_are_told_from_text(workspace: Workspace) -> None:
    chats = workspace.corpora / "questions"
    chats.mkdir()
    talk = {"messages": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]}
    for split in ("train", "valid"):
        (chats / f"{split}.jsonl").write_text(json.dumps(talk) + "\n")
    (chats / "card.json").write_text(json.dumps({"format": 1, "kind": "instructions"}))
    here = RunsHere(workspace)
    assert (here.choices().corpora, here.choices().chats) == (["tales"], ["questions"])
    (workspace.models / "tales").mkdir(parents=True)
    (workspace.models / "tales" / "model.safetensors").touch()
    (workspace.models / "tales" / "config.json").write_text('{"model_type": "llama"}')
    wanted = NewRun(objective="instruct", name="talks", corpus="questions", model="tales", epochs=2)
    asked = open_run(workspace.runs / here.begin(LOCAL, wanted).run).plan["asked"]
    assert (asked["chats"], asked["base"], asked["epochs"]) == ("questions", "tales", 2)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"minutes": None}, "how large"),
        ({"tokenizer": None}, "tokenizer"),
        ({"name": "../out"}, "cannot be a model's name"),
        ({"corpus": "/etc"}, "no corpus '/etc' here; there is tales"),
        ({"corpus": "../runs"}, "no corpus"),
        ({"tokenizer": "other"}, "no tokenizer 'other' here; there is tales"),
        ({"model": "tales"}, "no model 'tales' here; there is none"),
    ],
)
def test_what_cannot_be_is_refused_before_there_is_a_folder(
    workspace: Workspace, change: dict[str, Any], words: str
) -> None:
    asked = {"objective": "pretrain", "name": "mine", "corpus": "tales", "tokenizer": "tales"}
    with pytest.raises(InputError, match=words):
        RunsHere(workspace).begin(LOCAL, NewRun(**{**asked, "minutes": 1.0, **change}))
    assert RunsHere(workspace).runs(LOCAL) == []


def test_runs_are_their_owners(workspace: Workspace) -> None:
    run = run_of(workspace, "mine", 5)
    here = RunsHere(workspace)
    assert [each.id for each in here.runs(LOCAL)] == [run.id]
    assert here.runs("someone") == []
    for call in (here.run, here.samples, here.stop, here.remove, here.resuming):
        with pytest.raises(NotFoundError):
            call("someone", run.id)
    with pytest.raises(NotFoundError):
        here.run(LOCAL, "../runs/" + run.id)
    assert here.remove(LOCAL, run.id) > 0
    assert here.runs(LOCAL) == []


def test_a_long_curve_keeps_its_ends_and_every_look() -> None:
    lines = [
        {"step": step, "valid_loss": 1.0 if step % 250 == 0 else None} for step in range(1, 1001)
    ]
    few = thinned(lines, 50)
    assert len(few) <= 60
    assert few[-1]["step"] == 1000
    assert [line["step"] for line in few if line["valid_loss"]] == [250, 500, 750, 1000]
    assert thinned(lines[:10], 50) == lines[:10]
