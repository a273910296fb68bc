"""Training for the studio: a run begun from a form, as a job that pauses and goes on."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from kataribe.base.errors import FormatError, InputError, NotFoundError, StorageError
from kataribe.base.workspace import Workspace
from kataribe.cli import training_jobs
from kataribe.cli.run_curves import Curves, thinned
from kataribe.cli.runs_here import RunsHere
from kataribe.cli.training_choices import NEEDS
from kataribe.cli.training_jobs import TrainingJobs
from kataribe.cli.training_process import RunProcess
from kataribe.make.tokens.kinds import TokenizerPlan
from kataribe.make.tokens.train import save_tokenizer, train_tokenizer
from kataribe.make.training.beginning import ASKED, begin
from kataribe.make.training.births import birth, find_process
from kataribe.make.training.runs import RunFolder, open_run
from kataribe.serve.shapes.training import NewRun
from kataribe.serve.training import KIND
from kataribe.store.database import Store
from kataribe.store.job_work import Reporter, StopWork
from kataribe.store.jobs import Job, NewJob, Wish
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


@contextlib.contextmanager
def held(run: RunFolder) -> Iterator[None]:
    """The run's process takes no step meanwhile."""
    process = psutil.Process(run.written_info().pid)
    process.suspend()
    try:
        yield
    finally:
        process.resume()


def test_a_run_is_paused_and_goes_on_to_its_end(workspace: Workspace, workers: Workers) -> None:
    run = run_of(workspace, "tale", 1000)
    job = add(workers, run.id)
    until(workers, job, "running", step=5)
    with held(run):  # the thousand steps take seconds: it must not be over before it is asked
        workers.ask(LOCAL, job.id, "pause")
        for _ in range(600):
            if json.loads((run.path / "process.json").read_text())["asked"]:
                break
            time.sleep(0.1)
    until(workers, job, "paused")
    assert run.info.state == "stopped"
    stopped = run.checkpoints()[-1][0]
    assert 5 <= stopped < 1000
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


SERVER = """
import sys, time
from pathlib import Path

from kataribe.base.workspace import Workspace
from kataribe.cli.training_jobs import TrainingJobs
from kataribe.cli.training_process import RunProcess
from kataribe.serve.training import KIND
from kataribe.store.database import Store
from kataribe.store.workers import Workers

workspace = Workspace(Path(sys.argv[1]))
with Workers(Store(workspace.database), {KIND: TrainingJobs(workspace)}):
    time.sleep(600)
"""
"""The pool of a server, to be killed."""


@pytest.mark.slow  # three processes that import torch, of which each takes seconds
def test_a_training_whose_server_was_killed_is_found_again_and_followed(
    workspace: Workspace,
) -> None:
    run = run_of(workspace, "orphan", 20_000)
    store = Store(workspace.database)
    job = Workers(store, {}).add(
        LOCAL, NewJob(KIND, "orphan", {"run": run.id, "goal": "train"}, same=("run",))
    )
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(workspace.root)])
    try:
        for _ in range(1200):
            if any(True for _ in run.recent()):
                break
            assert server.poll() is None
            time.sleep(0.1)
        trains, began = run.written_info().pid, run.written_info().process_began
        assert trains is not None
        server.kill()
        server.wait()
        before = sum(1 for _ in run.metrics())
        assert find_process(trains, began) is not None
        with Workers(store, {KIND: TrainingJobs(workspace)}) as pool:
            until(pool, job, "running", step=before + 1)
            assert run.written_info().pid == trains, "the same process, and no second one"
            assert any("is followed" in line.line for line in pool.lines(LOCAL, job.id))
            pool.ask(LOCAL, job.id, "pause")
            until(pool, job, "paused")
            assert run.info.state == "stopped"
            assert find_process(trains, began) is None
            stopped = run.checkpoints()[-1][0]
            pool.ask(LOCAL, job.id, "run")
            until(pool, job, "running", step=stopped + 1)
            assert run.written_info().pid != trains
        steps = [line["step"] for line in run.metrics()]
        assert steps == sorted(set(steps)), "each step once, whoever trained it"
    finally:
        server.kill()
        store.close()


TRAINER = """
import json, signal, sys, time
from pathlib import Path

path, end = Path(sys.argv[1]), sys.argv[2]

def asked(*_):
    if end != "never":
        info = json.loads((path / "run.json").read_text())
        (path / "run.json").write_text(json.dumps({**info, "state": end}))
        sys.exit(0)

signal.signal(signal.SIGINT, asked)
(path / "ready").touch()
while True:
    time.sleep(0.05)
"""
"""A process that takes its time, and ends as it is told to when it is asked."""


def follow(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, end: str, wishes: list[Wish]
) -> tuple[RunFolder, list[RunProcess], TrainingJobs, Job, Reporter]:
    """A job over such a process. Its wishes come one by one with what is told, the last stays."""
    run = run_of(workspace, "quick", 5)
    begun: list[RunProcess] = []

    def begin_one(folder: RunFolder, words: object, root: object) -> RunProcess:
        own = subprocess.Popen([sys.executable, "-c", TRAINER, str(folder.path), end])
        while not (folder.path / "ready").exists():
            assert own.poll() is None
            time.sleep(0.01)
        (folder.path / "ready").unlink()
        begun.append(RunProcess(folder, psutil.Process(own.pid), own))
        return begun[-1]

    monkeypatch.setattr(RunProcess, "begin", staticmethod(begin_one))
    job = Job.__new__(Job)
    object.__setattr__(job, "params", {"run": run.id, "goal": "train"})
    reporter = Reporter(lambda _: wishes.pop(0) if wishes[1:] else wishes[0], lambda *_: None)
    return run, begun, TrainingJobs(workspace), job, reporter


def test_a_run_that_ends_by_itself_while_it_is_paused_is_done(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace
) -> None:
    run, _, work, job, reporter = follow(monkeypatch, workspace, "done", ["run", "pause"])
    assert work.run(job, reporter)["run"] == run.id
    run, _, work, job, reporter = follow(monkeypatch, workspace, "stopped", ["run", "pause"])
    with pytest.raises(StopWork):
        work.run(job, reporter)
    assert run.info.state == "stopped"


def test_a_paused_run_has_its_time_and_a_cancelled_one_has_not(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace
) -> None:
    assert training_jobs.PATIENCE >= 300, "a large model's look, samples and checkpoint"
    _, begun, work, job, reporter = follow(
        monkeypatch, workspace, "never", ["run", "pause", "pause", "cancel"]
    )
    with pytest.raises(StopWork):  # without end, were it not killed
        work.run(job, reporter)
    assert reporter.wanted == "cancel"
    assert begun[0].code == -9


def test_what_goes_wrong_in_following_lets_the_training_keep_what_it_has(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace
) -> None:
    monkeypatch.setattr(training_jobs, "LOOK", 0.01)
    real = training_jobs.steps_to_come
    bad = iter(range(training_jobs.MOST_UNREAD - 1))

    def away_for_a_moment(plan: Mapping[str, Any], last: Mapping[str, Any]) -> int | None:
        if next(bad, None) is not None:
            raise StorageError("plan.json cannot be read: Stale file handle.")
        return real(plan, last)

    monkeypatch.setattr(training_jobs, "steps_to_come", away_for_a_moment)
    run, begun, work, job, reporter = follow(monkeypatch, workspace, "done", ["run", "pause"])
    assert work.run(job, reporter)["run"] == run.id

    bad = iter(range(10**9))  # away for good
    run, begun, work, job, reporter = follow(monkeypatch, workspace, "stopped", ["run"])
    with pytest.raises(StorageError, match="Stale"):
        work.run(job, reporter)
    assert (begun[0].code, run.info.state) == (0, "stopped")

    def broken(*_: object) -> int:
        raise RuntimeError("the server's own fault")

    monkeypatch.setattr(training_jobs, "steps_to_come", broken)
    run, begun, work, job, reporter = follow(monkeypatch, workspace, "stopped", ["run"])
    with pytest.raises(RuntimeError):
        work.run(job, reporter)
    assert (begun[0].code, run.info.state) == (0, "stopped")


def test_nobodys_process_is_taken_for_a_runs(workspace: Workspace) -> None:
    run = run_of(workspace, "quick", 5)
    own = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        run.change(state="running", host=socket.gethostname(), pid=own.pid, process_began=None)
        assert RunProcess.find(run) is None, "whose it is nobody knows, and it could be killed"
        run.change(process_began=birth(psutil.Process(own.pid)))
        assert RunProcess.find(run) is not None
    finally:
        own.kill()
        own.communicate()


def test_a_server_that_stops_leaves_a_run_to_end_by_itself(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace
) -> None:
    monkeypatch.setattr(training_jobs, "LEAVES", 0.0)
    run, begun, work, job, reporter = follow(monkeypatch, workspace, "never", ["run"])
    reporter.stop()
    with pytest.raises(StopWork):
        work.run(job, reporter)
    found = RunProcess.find(run)
    assert found is not None
    assert found.asked
    begun[0].kill()


def test_a_process_that_was_asked_to_end_is_not_asked_again(workspace: Workspace) -> None:
    run = run_of(workspace, "quick", 5)
    own = subprocess.Popen([sys.executable, "-c", TRAINER, str(run.path), "never"])
    try:
        while not (run.path / "ready").exists():
            assert own.poll() is None
            time.sleep(0.01)
        process = RunProcess(run, psutil.Process(own.pid))
        process.ask_to_end()
        found = RunProcess.find(run)
        assert found is not None
        assert found.asked, "a second Ctrl-C would end it without a checkpoint"
    finally:
        own.kill()
        own.wait()


def test_a_killed_process_is_a_failure_that_says_so(workspace: Workspace) -> None:
    run = run_of(workspace, "gone", 5)
    plan = {**run.plan, "loop": {"steps": 5}}
    (run.path / "plan.json").write_text(json.dumps(plan))
    run.change(state="running", pid=2**22 - 1, process_began=1.0)
    shown = RunsHere(workspace).run(LOCAL, run.id).run
    assert shown.state == "failed"
    assert "process is gone" in shown.problem
    assert "from its beginning" in shown.problem


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


def test_a_broken_run_is_told_to_its_owner_alone(workspace: Workspace) -> None:
    path = run_of(workspace, "old", 5).path / "run.json"
    values = json.loads(path.read_text())
    here = RunsHere(workspace)
    path.write_text(json.dumps({**values, "format": 99, "owner": "taro"}))
    (shown,) = here.runs("taro")
    assert "newer version" in shown.problem
    assert here.runs("hanako") == here.runs(LOCAL) == []
    with pytest.raises(NotFoundError):
        here.run("hanako", shown.id)
    path.write_text("{")  # nobody knows whose it is: the operator's, who has no people around
    assert here.runs("taro") == here.runs("hanako") == []
    (shown,) = here.runs(LOCAL)
    assert here.remove(LOCAL, shown.id) > 0


def test_what_there_is_is_sorted_by_what_it_is_good_for(workspace: Workspace) -> None:
    lines = {
        "moods": {"text": "a", "label": "b"},
        "names": {"words": ["a"], "tags": ["O"]},
        "search": {"query": "a", "passage": "b"},
        "numbers": {"x": 1},
    }
    for name, line in lines.items():
        (workspace.corpora / f"{name}.jsonl").write_text(json.dumps(line) + "\n")
    for name, file, kind in (
        ("large", "model.safetensors.index.json", "llama"),
        ("reader", "model.safetensors", "bert"),
        ("gaps", "model.safetensors", "t5"),
    ):
        (workspace.models / name).mkdir(parents=True)
        (workspace.models / name / file).touch()
        (workspace.models / name / "config.json").write_text(json.dumps({"model_type": kind}))
    made, training = train_tokenizer([TALE * 50], TokenizerPlan("wordpiece", 300))
    save_tokenizer(workspace.tokenizers / "words", made, training)
    found = RunsHere(workspace).choices()
    assert (found.corpora, found.labelled) == (["tales"], ["moods.jsonl"])
    assert (found.tagged, found.pairs) == (["names.jsonl"], ["search.jsonl"])
    assert (found.models, found.encoders) == (["large"], ["reader"])
    assert "words" in found.mask_tokenizers
    assert found.gap_tokenizers == []


def test_every_kind_takes_what_its_command_takes(workspace: Workspace) -> None:
    for objective, takes in NEEDS.items():
        fields = {field.name for field in dataclasses.fields(ASKED[objective])}
        assert set(takes.asked.values()) | set(takes.fixed) <= fields, objective
        assert set(takes.asked) <= set(NewRun.model_fields), objective
    wanted = NewRun(objective="masked", name="x", corpus="tales", epochs=2.0)
    with pytest.raises(InputError, match="epochs means nothing for masked"):
        RunsHere(workspace).begin(LOCAL, wanted)


def test_a_long_curve_keeps_its_ends_and_every_look() -> None:
    looks = range(249, 1000, 250)
    few = thinned(1000, looks, 50)
    assert len(few) <= 60
    assert few[-1] == 999
    assert set(looks) < set(few)
    assert thinned(10, (), 50) == list(range(10))


def test_a_curve_reads_only_what_was_added_and_a_file_written_anew_wholly(tmp_path: Path) -> None:
    def line(step: int, loss: float) -> str:
        figures = {"step": step, "tokens": step * 8, "time": step / 2, "loss": loss, "lr": None}
        return json.dumps(figures) + "\n"

    path, curves = tmp_path / "metrics.jsonl", Curves()
    assert curves.points(path, 100) == ([], 0)
    path.write_text(line(1, 5.0) + line(2, 4.0) + line(3, 3.0)[:9])
    found, count = curves.points(path, 100)
    assert (count, [each.loss for each in found]) == (2, [5.0, 4.0])
    assert (found[1].tokens, found[1].time, found[1].lr, found[1].valid_loss) == (
        16,
        1.0,
        None,
        None,
    )
    with path.open("r+") as file:  # the first line cannot be read again: nobody does
        file.write("x")
        file.seek(0, 2)
        file.write(line(3, 3.0)[9:])
    assert [each.loss for each in curves.points(path, 100)[0]] == [5.0, 4.0, 3.0]
    path.write_text(line(1, 5.0) + line(2, 4.5) + line(3, 3.5) + line(4, 2.5))
    assert [each.loss for each in curves.points(path, 100)[0]] == [5.0, 4.5, 3.5, 2.5]
    path.write_text(line(1, 5.0) + "{}\n")
    with pytest.raises(FormatError, match="measures no step"):
        curves.points(path, 100)


def test_what_was_never_measured_is_measured_before_it_is_trained(workspace: Workspace) -> None:
    run = run_of(workspace, "mine", 5)
    here = RunsHere(workspace)
    run.change(state="failed", problem="The memory was full.")
    assert here.resuming(LOCAL, run.id).goal == "plan"
    (run.path / "plan.json").write_text(json.dumps({**run.plan, "loop": {"steps": 5}}))
    assert here.resuming(LOCAL, run.id).goal == "train"
