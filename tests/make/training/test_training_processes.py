"""Two real processes train as one does, by DDP and by FSDP2."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kataribe.base.workspace import Workspace
from kataribe.make.tokens.kinds import TokenizerPlan
from kataribe.make.tokens.train import save_tokenizer, train_tokenizer
from kataribe.make.training.beginning import begin
from kataribe.make.training.config import LoopConfig
from kataribe.make.training.objective import Share
from kataribe.make.training.runs import RunFolder, write_json
from kataribe.make.training.session import carry_out
from tests.make.training.test_training_failures import ROOT, final
from tests.make.training.toys import loop, new_run, setup


def together(run: RunFolder, *more: str, processes: int = 2) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    children = []
    for rank in range(processes):
        own = {
            "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port), "WORLD_SIZE": str(processes), "RANK": str(rank),
            "LOCAL_RANK": str(rank), "GLOO_SOCKET_IFNAME": "lo",
        }  # fmt: skip
        command = [sys.executable, "-m", "tests.make.training.two_processes", str(run.path), *more]
        children.append(
            subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **own}, stderr=subprocess.PIPE, text=True
            )
        )
    try:
        said = [child.communicate(timeout=240)[1] for child in children]
    finally:
        for child in children:
            child.kill()  # one that waits for ever must not outlive the test
    assert [child.returncode for child in children] == [0] * processes, "\n".join(said)[-4000:]


def rows_of(run: RunFolder, rank: int) -> dict[int, list[list[int]]]:
    lines = (run.path / f"rows-{rank}.jsonl").read_text().splitlines()
    return dict(map(json.loads, lines))


def losses(run: RunFolder) -> list[float]:
    return [line[name] for line in run.metrics() for name in ("loss", "valid_loss") if name in line]


@pytest.mark.parametrize(("parallel", "optimiser"), [("ddp", "adamw"), ("fsdp", "muon")])
def test_two_processes_train_as_one_does(tmp_path: Path, parallel: str, optimiser: str) -> None:
    changes = {"steps": 4, "optimiser": optimiser, "micro_tokens": 24, "eval_rows": 5}
    config: LoopConfig = loop(**changes, parallel=parallel)
    alone = new_run(tmp_path, config)
    carry_out(alone, setup(config))
    run = new_run(tmp_path, config)
    together(run)
    # Sums in another order: relative differences of 1e-6 a step, which an optimiser that divides
    # by the gradient's size makes somewhat larger.
    assert losses(run) == pytest.approx(losses(alone), rel=1e-3)
    one, two = final(alone, config), final(run, config)
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=2e-2, atol=2e-3)
    whole = setup(config).objective.data(0, Share()).parts
    wanted = sorted(row.tolist() for part in whole for row in part.ids)
    first, second = rows_of(run, 0), rows_of(run, 1)
    assert sorted(first[0] + second[0]) == wanted  # disjoint, and together the same
    assert [line["step"] for line in run.metrics()] == [1, 2, 3, 4]  # one process wrote

    ended = carry_out(longer(run, config), setup(LoopConfig.from_values(run.plan["loop"])))
    assert ended.progress.step == 6  # a checkpoint of two goes on in one


def test_one_clock_tells_all_of_them_when_to_end(tmp_path: Path) -> None:
    config = loop(steps=2, seconds=1.5, eval_every=0, checkpoint_every=0)
    run = new_run(tmp_path, config)
    together(run)
    ended = run.plan["loop"]
    assert ended["seconds"] is None
    assert [line["step"] for line in run.metrics()] == list(range(1, ended["steps"] + 1))
    assert rows_of(run, 0).keys() == rows_of(run, 1).keys()


def longer(run: RunFolder, config: LoopConfig) -> RunFolder:
    more = dataclasses.replace(config, steps=6)
    write_json(run.path / "plan.json", {"loop": dataclasses.asdict(more)})
    return run


def test_what_stops_the_first_process_stops_all(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    asked = {"corpus": "none", "tokenizer": "none", "size": "1M"}
    run = begin(workspace, "pretrain", "toy", asked, {})
    together(run, str(tmp_path))  # in seconds: who waited would wait for hours
    said = [(run.path / f"said-{rank}.txt").read_text() for rank in (0, 1)]
    assert said[0].startswith("There is no tokenizer 'none'")
    assert said[1] == f"The first process stopped: {said[0]}"
    assert run.info.state == "failed"
    assert run.info.problem == said[0]


def adding(workspace: Workspace, **given: object) -> RunFolder:
    """A run of a small decoder on sums, with what it needs, that waits."""
    (workspace.corpora / "adding").mkdir(parents=True)
    for split, numbers in (("train", range(300)), ("valid", range(500, 560))):
        text = "".join(f"{n} and {n + 1} are {2 * n + 1}. " for n in numbers)
        row = {"id": split, "text": text, "source": "here", "language": "en"}
        (workspace.corpora / "adding" / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
    inner, training = train_tokenizer([text], TokenizerPlan("bpe", 290))
    save_tokenizer(workspace.tokenizers / "small", inner, training)
    asked = {"corpus": "adding", "tokenizer": "small", "width": 64, "layers": 1, "context": 32,
             "batch_tokens": 64}  # fmt: skip
    settled = {"precision": "float32", "compile": "off", "threads": 1, "sample_every": 0}
    return begin(workspace, "pretrain", "toy", asked, {**settled, **given})


def test_the_first_process_flies_the_pilot_while_the_others_wait(tmp_path: Path) -> None:
    run = adding(Workspace(tmp_path), steps=40, eval_every=40, eval_rows=2)
    (run.path / "flies").touch()
    together(run, str(tmp_path))  # a pilot that asked the others for sums would wait for hours
    assert run.info.state == "done"
    assert "a pilot of" in run.plan["prediction"]["law"]
    assert run.result is not None
    assert run.result["tokens"] == 40 * 64


@pytest.mark.slow
def test_what_stops_another_process_stops_the_first(tmp_path: Path) -> None:
    run = adding(Workspace(tmp_path), steps=2)
    (run.path / "unlucky").touch()
    together(run, str(tmp_path))
    said = [(run.path / f"said-{rank}.txt").read_text() for rank in (0, 1)]
    assert said[0].startswith("1 of 2 processes could not begin")
    assert said[1].startswith("The memory is full")
    assert run.info.state == "failed"
