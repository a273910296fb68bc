"""What can go wrong, and what is left then: the last good checkpoint, and words that help."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from filelock import FileLock

from kataribe.base.errors import (
    FormatError,
    InputError,
    NotFoundError,
    StorageError,
    UnavailableError,
)
from kataribe.make.training import births, memory, session
from kataribe.make.training.checkpoints import load_weights, whole_folder
from kataribe.make.training.config import LoopConfig, differences
from kataribe.make.training.loop import DivergedError
from kataribe.make.training.memory import check_memory, decoder_memory
from kataribe.make.training.record import append
from kataribe.make.training.runs import RunFolder, open_run, write_json
from kataribe.make.training.session import carry_out
from tests.make.training.toys import LENGTH, loop, new_run, setup, tiny_config

ROOT = Path(__file__).resolve().parents[3]


def final(run: RunFolder, config: LoopConfig) -> dict[str, torch.Tensor]:
    model = setup(config).model
    load_weights(run.checkpoints()[-1][1], model)
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def wait_for(run: RunFolder, step: int, child: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and child.poll() is None:
        if any(line["step"] >= step for line in run.metrics()):
            return
        time.sleep(0.01)
    raise AssertionError(f"step {step} never came; the child ended with {child.poll()}")


def start(run: RunFolder) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.make.training.killed_run", str(run.path)]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": paths})


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    config = loop(steps=120, checkpoint_every=7, eval_every=30)
    whole = new_run(tmp_path, config)
    carry_out(whole, setup(config))
    run = new_run(tmp_path, config)
    child = start(run)
    try:
        wait_for(run, 17, child)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert run.written_info().state == "running"
    assert run.info.state == "stopped"
    reached = run.checkpoints()[-1][0]
    assert reached < 120
    # What a killed writer can leave: half a line, half a checkpoint, and steps beyond it.
    append(run.path / "metrics.jsonl", {"step": reached + 1, "loss": 1.0, "again": 1.0})
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 11')
    (run.path / "checkpoints" / f".step-99.{child.pid}-0123abcd.part").mkdir()
    ended = carry_out(run, setup(config))
    assert ended.progress.step == 120
    one, two = final(whole, config), final(run, config)
    assert all(torch.equal(one[name], two[name]) for name in one)
    drop = ("time", "tokens_per_second")
    lines = [
        [{name: line[name] for name in line if name not in drop} for line in each.metrics()]
        for each in (whole, run)
    ]
    assert lines[0] == lines[1]
    assert not list((run.path / "checkpoints").glob(".*"))


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_the_step_and_keeps_it(tmp_path: Path, kind: signal.Signals) -> None:
    config = loop(steps=10_000, eval_every=0, checkpoint_every=0)
    run = new_run(tmp_path, config)

    def tell(figures: Any) -> None:
        if figures["step"] == 3:
            os.kill(os.getpid(), kind)

    heard: list[str] = []
    ended = carry_out(run, setup(config), tell=tell, notice=heard.append)
    assert ended.progress.step in (3, 4)
    assert ended.stopped == ("Ctrl-C" if kind == signal.SIGINT else "a signal")
    assert "checkpoint" in heard[0]
    assert [step for step, _ in run.checkpoints()] == [ended.progress.step]
    assert run.info.state == "stopped"


def test_a_loss_that_is_no_number_stops_before_the_checkpoint(tmp_path: Path) -> None:
    config = loop(steps=9, checkpoint_every=2, eval_every=0)
    run, given = new_run(tmp_path, config), setup(config)

    def spoil(figures: Any) -> None:
        if figures["step"] == 5:
            with torch.no_grad():
                next(given.model.parameters()).fill_(float("nan"))

    with pytest.raises(DivergedError, match=r"step 6 the loss is nan.*--precision float32"):
        carry_out(run, given, tell=spoil)
    assert [step for step, _ in run.checkpoints()] == [2, 4]
    assert run.info.state == "failed"
    assert "diverged" in run.info.problem
    assert "diverged" in (run.path / "log.txt").read_text()
    assert all(bool(value.isfinite().all()) for value in final(run, config).values())


def test_a_full_disk_keeps_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = loop(steps=6, checkpoint_every=2)
    run = new_run(tmp_path, config)
    real = session.RunRecord.save

    def save(self: Any, progress: Any, optimiser: Any) -> None:
        import resource

        if progress.step < 4:
            real(self, progress, optimiser)
            return
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))
        try:
            real(self, progress, optimiser)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, ignored)

    monkeypatch.setattr(session.RunRecord, "save", save)
    with pytest.raises(StorageError, match="ulimit"):
        carry_out(run, setup(config))
    assert [step for step, _ in run.checkpoints()] == [2]
    assert not list((run.path / "checkpoints").glob(".*"))
    monkeypatch.undo()
    assert carry_out(run, setup(config)).progress.step == 6


def test_memory_is_refused_before_and_explained_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UnavailableError, match=r"needs about 1000000\.0 GB.*--recompute"):
        check_memory(10**15)
    config = loop()
    run, given = new_run(tmp_path, config), setup(config)

    def full(*_: Any, **__: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9")

    monkeypatch.setattr(session, "train", full)
    with pytest.raises(UnavailableError, match=r"passes of 48 tokens.*--micro-tokens 24"):
        carry_out(run, given)
    assert run.info.state == "failed"


def test_memory_grows_with_what_is_kept() -> None:
    model, config = tiny_config(), loop()
    plain = decoder_memory(model, config, LENGTH)
    less = decoder_memory(model, loop(recompute=True), LENGTH)
    assert less.activations < plain.activations
    assert decoder_memory(model, loop(optimiser="adamw"), LENGTH).optimiser > plain.optimiser
    assert plain.optimiser == 4 * sum(
        value.numel() * (1 if name.startswith("blocks") and value.dim() == 2 else 2)
        for name, value in setup(config).model.named_parameters()
    )
    assert memory.peak_bytes() > 50 << 20


def test_runs_of_other_versions_are_refused(tmp_path: Path) -> None:
    run = new_run(tmp_path, loop())
    for found, words in ((0, "older than this"), (99, "update Kataribe"), (None, "older")):
        write_json(run.path / "run.json", {"name": "a", "objective": "b", "format": found})
        with pytest.raises(FormatError, match=words):
            open_run(run.path)
    with pytest.raises(NotFoundError, match="runs list"):
        open_run(tmp_path / "nothing")


def test_two_processes_cannot_train_one_run(tmp_path: Path) -> None:
    config = loop()
    run = new_run(tmp_path, config)
    parent = os.getppid()
    began = psutil.Process(parent).create_time()
    host = os.uname().nodename
    run.change(state="running", pid=parent, process_began=began, host=host)
    with pytest.raises(UnavailableError, match=f"process {parent}"):
        carry_out(run, setup(config))
    run.change(state="waiting")
    with (
        FileLock(run.path / "lock"),  # who begins in the same moment, before run.json says so
        pytest.raises(UnavailableError, match=f"Another process is at the run {run.id}"),
    ):
        carry_out(run, setup(config))
    assert run.info.state == "waiting"
    run.change(state="stopped")
    with pytest.raises(InputError, match="is stopped; only a run that runs"):
        run.ask_to_stop()


def test_a_clock_that_is_set_does_not_end_a_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = psutil.Process(os.getppid())
    run = new_run(tmp_path, loop())
    began = births.birth(parent)
    run.change(state="running", pid=parent.pid, process_began=began, host=os.uname().nodename)
    told = parent.create_time()
    monkeypatch.setattr(psutil.Process, "create_time", lambda _: told + 3600)
    if sys.platform == "linux":
        assert run.info.state == "running"
        assert births.find_process(parent.pid, f"another-boot {began}") is None
    # Where there are only seconds since 1970, a clock may be put right, and not set.
    monkeypatch.setattr(births, "BOOT", tmp_path / "none")
    assert births.birth(parent) == told + 3600
    assert births.find_process(parent.pid, told + 3598) is not None
    assert births.find_process(parent.pid, told) is None
    assert births.find_process(parent.pid, None) is None


def test_data_shorter_than_one_batch_are_refused() -> None:
    with pytest.raises(InputError, match="one batch takes 4000"):
        setup(dataclasses.replace(loop(), batch_rows=4000))


def test_differences_are_listed_by_name() -> None:
    one = {"loop": {"steps": 3, "prompts": ("a",)}, "same": 1}
    two = {"loop": {"steps": 4, "prompts": ["a"]}, "same": 1, "new": 2}
    assert differences(one, two) == ["loop.steps: 3 -> 4", "new: None -> 2"]


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    def broken() -> None:
        with whole_folder(tmp_path / "a") as folder:
            (folder / "half").write_text("x")
            raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - whatever it was
        broken()
    assert list(tmp_path.iterdir()) == []
    for text in ("one", "two"):
        with whole_folder(tmp_path / "a") as folder:
            (folder / text).write_text(text)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["two"]
    assert len(list(tmp_path.iterdir())) == 1
