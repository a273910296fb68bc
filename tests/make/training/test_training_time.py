"""Runs that are given a time: the clock says how many steps there are, and the plan keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from kataribe.base.errors import InputError
from kataribe.make.training import loop as the_loop
from kataribe.make.training.config import LoopConfig, Optimisation
from kataribe.make.training.runs import RunFolder, steps_to_come
from kataribe.make.training.schedules import settled, share_at
from kataribe.make.training.session import Ended, carry_out
from tests.make.training.toys import loop, new_run, setup


class Clock:
    """Time that goes on by what each step takes, and by nothing else."""

    def __init__(self, takes: Callable[[int], float]) -> None:
        self.now, self._takes = 100.0, takes

    def monotonic(self) -> float:
        return self.now

    def tell(self, figures: Mapping[str, float]) -> None:
        """Given the figures of every step: the next one begins."""
        self.now += self._takes(int(figures["step"]) + 1)


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ended]:
    """Trains a run with a clock: `takes` gives a step's seconds by its number, from 2 on."""

    def trained(run: RunFolder, takes: Callable[[int], float], until: int = 0) -> Ended:
        clock = Clock(takes)
        monkeypatch.setattr(the_loop, "time", clock)

        def tell(figures: Mapping[str, float]) -> None:
            clock.tell(figures)
            if figures["step"] == until - 1:
                run.ask_to_stop()

        return carry_out(run, setup(loop_of(run)), tell=tell)

    return trained


def timed(**changes: Any) -> LoopConfig:
    """Ten planned steps, and 19 seconds."""
    return loop(steps=10, seconds=19.0, warmup=2, decay_share=0.3, **changes)


def loop_of(run: RunFolder) -> LoopConfig:
    return LoopConfig.from_values(run.plan["loop"])


def rates(run: RunFolder) -> list[float]:
    return [line["lr"] for line in run.metrics()]


def same(one: torch.nn.Module, two: torch.nn.Module) -> bool:
    pairs = zip(one.parameters(), two.parameters(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


def test_time_decides_how_many_steps_there_are(tmp_path: Path, train: Callable[..., Ended]) -> None:
    run = new_run(tmp_path, timed())
    ended = train(run, lambda step: 1.0)
    # 13.3 of the 19 seconds are over after step 15, which is 14 seconds after the first.
    steps = round(15 * 19 / 14)  # 20
    assert (ended.stopped, ended.progress.step) == ("", steps)
    assert (run.plan["loop"]["steps"], run.plan["loop"]["seconds"]) == (steps, None)
    found = rates(run)
    assert found[2:15] == [0.01] * 13
    assert found[15:] == sorted(found[15:], reverse=True)
    assert found[-1] < 0.003
    assert [step for step, _ in run.checkpoints()][-1] == steps


def test_it_is_the_run_of_so_many_steps(tmp_path: Path, train: Callable[..., Ended]) -> None:
    run = new_run(tmp_path, timed())
    ended = train(run, lambda step: 1.0)
    alike = carry_out(new_run(tmp_path, (told := loop_of(run))), setup(told))
    assert told.known_steps == ended.progress.step
    assert same(ended.model, alike.model)


@pytest.mark.parametrize("until", [6, 18])
def test_a_stopped_one_keeps_its_time_and_its_end(
    tmp_path: Path, train: Callable[..., Ended], until: int
) -> None:
    """Before time has told the clock goes on from the checkpoint; after it the plan says all."""
    run = new_run(tmp_path, timed())
    stopped = train(run, lambda step: 1.0, until)
    assert (stopped.stopped, stopped.progress.step) == ("a stop file", until)
    assert run.plan["loop"]["seconds"] == (19.0 if until == 6 else None)
    # A faster machine now: who does not know the end yet has room for more steps.
    ended = train(run, lambda step: 0.5)
    assert not ended.stopped
    assert (ended.progress.step > 22) == (until == 6)
    whole = carry_out(new_run(tmp_path, loop_of(run)), setup(loop_of(run)))
    assert same(ended.model, whole.model)


def test_a_machine_that_slows_down_takes_fewer_steps(
    tmp_path: Path, train: Callable[..., Ended]
) -> None:
    run = new_run(tmp_path, timed())
    ended = train(run, lambda step: 1.0 if step < 8 else 3.0)
    # Told after step 10 and 15 seconds, by the pace of all steps: a machine's moods pass.
    assert ended.progress.step == round(10 * 19 / 15)


def test_time_that_is_over_ends_the_run(tmp_path: Path, train: Callable[..., Ended]) -> None:
    ended = train(new_run(tmp_path, timed()), lambda step: 60.0)
    assert (ended.progress.step, ended.stopped) == (2, "")


@pytest.mark.parametrize(
    ("gone", "how", "steps"),
    [
        (69.9, Optimisation(decay_share=0.3, warmup=0), None),
        (70.0, Optimisation(decay_share=0.3, warmup=0), 57),
        (80.0, Optimisation(decay_share=0.3, warmup=0), 50),
        (130.0, Optimisation(decay_share=0.3, warmup=0), 40),
        (99.0, Optimisation(schedule="constant", warmup=0), None),
        (100.0, Optimisation(schedule="constant", warmup=0), 40),
    ],
)
def test_when_the_end_is_known(gone: float, how: Optimisation, steps: int | None) -> None:
    config = LoopConfig(steps=10, batch_rows=1, optimisation=how, seconds=100.0)
    told = settled(config, 40, gone)
    assert told.known_steps == steps
    if steps is None:
        assert told is config
    else:
        shares = [share_at(step, steps, told.optimisation) for step in range(steps)]
        assert shares[:40] == [1.0] * 40
        assert how.schedule == "constant" or all(share < 1 for share in shares[40:])


def test_a_cosine_has_to_know_its_last_step() -> None:
    with pytest.raises(InputError, match=r"cosine, .*take wsd") as caught:
        timed(schedule="cosine")
    assert caught.value.param == "seconds"


def test_how_many_will_come_is_said_by_the_pace() -> None:
    plan = {"loop": {"steps": 100, "seconds": 60.0}}
    assert steps_to_come({}, {}) is None
    assert steps_to_come(plan, {}) == 100
    assert steps_to_come(plan, {"step": 30, "time": 12.0}) == 150
    assert steps_to_come(plan, {"step": 30, "time": 90.0}) == 30
    assert steps_to_come({"loop": {"steps": 100, "seconds": None}}, {"step": 3, "time": 9.0}) == 100
