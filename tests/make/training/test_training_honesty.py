"""What a run says of itself is so: how good it is, in which state, and by whose wish."""

from __future__ import annotations

import dataclasses
import math
import os
import socket
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kataribe.base.errors import InputError, KataribeError, UnavailableError
from kataribe.base.workspace import Workspace
from kataribe.make.tokens.batches import Batch, Pick
from kataribe.make.tokens.document_marks import DocumentMarks
from kataribe.make.tokens.stream_rows import StreamRows
from kataribe.make.training import memory, plans, prediction, rows_objective, runs, short_plans
from kataribe.make.training.beginning import begin
from kataribe.make.training.causal import causal_loss
from kataribe.make.training.config import LoopConfig
from kataribe.make.training.dial import Given, by_size
from kataribe.make.training.machine import Cost
from kataribe.make.training.objective import Share
from kataribe.make.training.overrides import loop_config
from kataribe.make.training.prediction import Text, fitted, quick_flops
from kataribe.make.training.pretraining import bytes_per_token
from kataribe.make.training.rows_objective import RowsData, RowsObjective
from kataribe.make.training.session import carry_out
from tests.make.tokens.token_folders import write
from tests.make.training.toys import LENGTH, loop, new_run, rows, setup
from tests.make.training.toys import setup as toy


class Noted:
    """Held-out rows that remember which of them were looked at."""

    def __init__(self, count: int) -> None:
        self._count, self._rows = count, rows(2, 20)
        self.seen: list[int] = []

    def __len__(self) -> int:
        return self._count

    def in_order(self, size: int, *, rank: int = 0, ranks: int = 1) -> Iterator[Batch]:
        own = range(self._count)[rank::ranks]
        for at in range(0, len(own), size):
            self.seen += own[at : at + size]
            yield self._rows.take([Pick(0, 0, 0) for _ in own[at : at + size]])


class Seven(nn.Module):
    """A model whose loss is 7 for every batch."""

    def forward(self, part: Any) -> torch.Tensor:
        return torch.tensor(7.0)


def looked_at(held: int, eval_rows: int, steps: int, *, ranks: int = 1) -> list[int]:
    """Rows that the look after the last of `steps` steps takes, or one before (`steps` 0)."""
    seen: list[int] = []
    for rank in range(ranks):
        noted = Noted(held)
        objective = RowsObjective(
            RowsData(rows(1), 6, held_out=noted, eval_rows=eval_rows), causal_loss, "next-token"
        )
        objective.ends_after(steps or 9)
        objective.data(max(0, steps - 1), Share(rank, ranks, 2))
        objective.evaluate(Seven(), Share(rank, ranks, 2))
        seen += noted.seen
    return sorted(seen)


@pytest.mark.parametrize("ranks", [1, 3])
def test_a_look_takes_rows_from_all_over_the_held_out_text(ranks: int) -> None:
    found = looked_at(1000, 10, 0, ranks=ranks)
    assert found == list(range(0, 1000, 100))
    assert looked_at(1000, 10, 0, ranks=ranks) == found
    assert looked_at(25, 10, 0, ranks=ranks) == list(range(0, 25, 3))
    assert looked_at(7, 0, 0, ranks=ranks) == looked_at(7, 10, 0, ranks=ranks) == list(range(7))


def test_the_last_look_takes_many_more_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looked_at(1000, 10, 5) == list(range(0, 1000, 13))
    assert looked_at(70, 10, 5) == list(range(70))
    monkeypatch.setattr(rows_objective, "FINAL_ROWS", 50)
    assert len(looked_at(1000, 10, 5)) == 50
    assert len(looked_at(1000, 60, 5)) == len(looked_at(1000, 60, 0))


class OneNat(nn.Module):
    """A model that loses a nat on every token."""

    def forward(self, part: Batch) -> torch.Tensor:
        return torch.tensor(float(part.taught))


@pytest.mark.parametrize("marks", [DocumentMarks(1, 1), DocumentMarks(1, 2)])
def test_bits_are_of_the_bytes_that_were_looked_at(tmp_path: Path, marks: DocumentMarks) -> None:
    data = write(tmp_path / "data", [[5, 6, 7], [8] * 20, [9, 10]] * 4, marks)
    held = StreamRows(data, "train", 8)
    per_token = bytes_per_token(data, "train")
    objective = RowsObjective(
        RowsData(rows(1), 4, held_out=held, bytes_per_token=per_token), causal_loss, "next-token"
    )
    found = objective.evaluate(OneNat(), Share())
    taught = sum(batch.taught for batch in held.in_order(4))
    wanted = taught / math.log(2) / data.text_bytes("train")
    assert found["bits_per_byte"] == pytest.approx(wanted)


def test_a_run_looks_longer_at_its_end(tmp_path: Path) -> None:
    config, noted = loop(steps=4, eval_every=2, eval_rows=3), Noted(100)
    given = dataclasses.replace(
        setup(config),
        objective=RowsObjective(
            RowsData(rows(1), 4, held_out=noted, eval_rows=3), causal_loss, "next-token"
        ),
    )
    carry_out(new_run(tmp_path, config), given)
    assert noted.seen == [*range(0, 100, 34), *range(0, 100, 5)]


def shortened(given: Mapping[str, Any], folder: Path) -> LoopConfig:
    """The loop of a run that the dial would give more steps than there is time for."""
    choice = by_size(Given(512, 32), 400_000, 400_000)
    config = loop_config(choice, choice.batch_tokens // 32, 0, given)
    data = write(folder, [[5, 6, 7] * 20] * 4, DocumentMarks(1, 2))
    speed = Cost(rows=config.batch_rows, learned=config.batch_rows * 32 / 1000, changed=0.0)
    found = fitted(config, speed, Text(data, 32, None), 60.0, given)
    assert found.steps < config.steps
    return found


def test_what_was_typed_stays_where_time_decides(tmp_path: Path) -> None:
    given = {"eval_every": 7, "checkpoint_every": 500, "sample_every": 9, "warmup": 11}
    found = shortened(given, tmp_path / "one")
    watching = found.watching
    assert (watching.eval_every, watching.checkpoint_every, watching.sample_every) == (7, 500, 9)
    assert found.optimisation.warmup == 11
    other = shortened({"eval_every": 7}, tmp_path / "other")
    assert other.watching.eval_every == 7
    assert other.watching.checkpoint_every == pytest.approx(other.steps / 10, abs=1)


@pytest.mark.parametrize(
    ("asked", "given", "left"),
    [({}, {"steps": 5}, "--steps"), ({"tokens": 4096}, {}, "--tokens")],
)
def test_time_and_steps_cannot_both_decide(
    tmp_path: Path, asked: dict[str, Any], given: dict[str, Any], left: str
) -> None:
    workspace = Workspace(tmp_path)
    wanted = {"corpus": "tales", "tokenizer": "small", "minutes": 5.0, **asked}
    with pytest.raises(InputError, match=rf"minutes is 5 .*Leave out {left} .*or --minutes"):
        begin(workspace, "pretrain", "mine", wanted, given)
    assert not runs.list_runs(workspace.runs)
    begin(workspace, "pretrain", "mine", {**wanted, "tokens": None}, {"eval_every": 5})


@dataclass(frozen=True)
class Asked:
    """What toys ask for.

    Attributes:
        context: Tokens of a row.
    """

    context: int = LENGTH


def toy_run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, on_the_way: Callable[[], None]
) -> runs.RunFolder:
    """A waiting run of toys, whose planning does something on the way."""
    config = loop(steps=4)

    def plan(*_: Any) -> dict[str, Any]:
        on_the_way()
        return {"loop": dataclasses.asdict(config), "data": {"context": LENGTH}}

    kind = plans.Kind(Asked, plan, lambda plan: toy(LoopConfig.from_values(plan["loop"])))
    monkeypatch.setattr(plans, "kinds", lambda: {"next-token": kind})
    info = runs.RunInfo(name="toy", objective="next-token")
    return runs.create_run(workspace.runs, info, {"asked": {"given": {}}})


def test_a_stop_while_it_is_planned_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, seen = Workspace(tmp_path), []

    def asked_to_stop() -> None:
        info = run.written_info()
        seen.append((info.state, info.pid, run.stop_file.exists()))
        if len(seen) == 1:
            run.ask_to_stop()

    run = toy_run(workspace, monkeypatch, asked_to_stop)
    run.stop_file.touch()  # of another time
    ended, _ = plans.carry(workspace, run, say=lambda _: None)
    assert seen == [("running", os.getpid(), False)]
    assert (ended.stopped, ended.progress.step) == ("a stop file", 0)
    assert (run.info.state, list(run.metrics()), run.stop_file.exists()) == ("stopped", [], False)
    ended, _ = plans.carry(workspace, run, say=lambda _: None)
    assert (ended.stopped, ended.progress.step, run.info.state) == ("", 4, "done")
    assert len(seen) == 1


def test_a_run_that_cannot_be_planned_failed_and_hides_no_other(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    real = new_run(workspace.runs, loop(), "mine")
    wanted = {"corpus": "no-such-corpus", "tokenizer": "none", "minutes": 5.0}
    run = begin(workspace, "pretrain", "mine", wanted, {})
    with pytest.raises(KataribeError):
        plans.carry(workspace, run, say=lambda _: None)
    info = run.written_info()
    assert info.state == "failed"
    assert "none" in info.problem
    assert "none" in (run.path / "log.txt").read_text()
    assert runs.find_run(workspace.runs, "mine").id == real.id
    assert runs.find_run(workspace.runs, run.id).id == run.id
    run.change(state="running", **runs.this_process())  # it is being planned: the newest counts
    assert runs.find_run(workspace.runs, "mine").id == run.id


def test_a_run_whose_machine_is_gone_can_go_on(tmp_path: Path) -> None:
    config = loop()
    run = new_run(tmp_path, config)
    run.change(state="running", host=f"not-{socket.gethostname()}", pid=1)
    assert run.info.state == "running"
    with pytest.raises(UnavailableError, match="process 1 on not-"):
        carry_out(run, setup(config))
    long_ago = time.time() - runs.SILENT_SECONDS - 5
    os.utime(run.path / "run.json", (long_ago, long_ago))
    assert run.info.state == "stopped"
    (run.path / "heartbeat").touch()
    assert run.info.state == "running"
    os.utime(run.path / "heartbeat", (long_ago, long_ago))
    assert carry_out(run, setup(config)).progress.step == config.steps


def test_the_heart_beats_while_it_is_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runs.BEAT_SECONDS <= 30
    monkeypatch.setattr(runs, "BEAT_SECONDS", 0.01)
    workspace = Workspace(tmp_path)

    def wait_for_two() -> None:
        beats = set()
        until = time.monotonic() + 60
        while len(beats) < 2 and time.monotonic() < until:
            file = run.path / "heartbeat"
            beats |= {file.stat().st_mtime_ns} if file.exists() else set()
        assert len(beats) == 2

    run = toy_run(workspace, monkeypatch, wait_for_two)
    plans.carry(workspace, run, say=lambda _: None)
    assert not (run.path / "heartbeat").exists()


def nothing_free(monkeypatch: pytest.MonkeyPatch) -> None:
    free = types.SimpleNamespace(available=1000)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: free)


def test_memory_is_counted_before_anything_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    def computed(*_: Any) -> float:
        raise AssertionError("a pass was done before its memory was counted")

    monkeypatch.setattr(short_plans, "usual", computed)
    monkeypatch.setattr(prediction, "tokens_per_second", computed)
    nothing_free(monkeypatch)
    with pytest.raises(UnavailableError, match="--recompute"):
        short_plans.measured_prediction(setup(loop()), 4)
    with pytest.raises(UnavailableError, match="--recompute"):
        quick_flops(Given(512, 32), compiles=False)


@pytest.mark.parametrize(
    "error", [RuntimeError("DefaultCPUAllocator: can't allocate memory"), MemoryError()]
)
def test_full_memory_while_planning_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full() -> None:
        raise error

    workspace = Workspace(tmp_path)
    run = toy_run(workspace, monkeypatch, full)
    with pytest.raises(UnavailableError, match=r"passes of 4096 tokens.*--micro-tokens 2048"):
        plans.carry(workspace, run, say=lambda _: None)
    assert run.written_info().state == "failed"
    assert "--micro-tokens" in run.written_info().problem


class Refuses:
    """Stands in for a viewer's module; the named calls raise from the second time on."""

    error: type[Exception] = LookupError
    id = run_id = "1"

    def __init__(self, broken: str, first: int) -> None:
        self._broken, self._left = broken, first
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "info":  # of MLflow's runs
            return self

        def call(*_: Any, **__: Any) -> Refuses:
            self.calls.append(name)
            if name == self._broken:
                self._left -= 1
                if self._left < 0:
                    raise self.error(f"{name}: the server is gone")
            return self

        return call


def test_a_viewer_that_fails_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stands = {"mlflow": Refuses("log_metrics", 1), "wandb": Refuses("init", 0)}
    own = type("CommError", (Exception,), {"__module__": "wandb.errors"})
    monkeypatch.setattr(stands["wandb"], "error", own, raising=False)
    for name, stand in stands.items():
        module = types.ModuleType(name)
        module.__spec__ = types.SimpleNamespace(name=name)  # type: ignore[assignment]
        module.__getattr__ = stand.__getattr__  # type: ignore[method-assign]
        monkeypatch.setitem(sys.modules, name, module)
    config = loop(steps=5, trackers="installed")
    run = new_run(tmp_path, config)
    assert carry_out(run, setup(config)).progress.step == 5
    assert stands["mlflow"].calls == ["start_run", "log_params", "log_metrics", "log_metrics"]
    assert stands["wandb"].calls == ["init"]
    said = (run.path / "log.txt").read_text()
    assert said.count("MLflow gets no more figures: LookupError: log_metrics") == 1
    assert said.count("Weights & Biases gets no more figures: CommError: init") == 1


def test_the_best_of_the_checkpoints_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = loop(steps=12, eval_every=2, checkpoint_every=4, keep=1)
    run, given = new_run(tmp_path, config), setup(config)
    losses = iter([9.0, 1.0, 0.5, 2.0, 3.0, 4.0])  # at 2, 4, ...; the best has no checkpoint
    monkeypatch.setattr(given.objective, "evaluate", lambda *_: {"valid_loss": next(losses)})
    carry_out(run, given)
    assert [step for step, _ in run.checkpoints()] == [4, 12]
