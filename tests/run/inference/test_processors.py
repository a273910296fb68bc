"""What there is to compute with."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from kataribe.run.inference import processors
from kataribe.run.inference.processors import has_accelerator, on_processor, usable_threads

NO_LIMIT = Path("/nowhere/cpu.max")


def machine(folder: Path, siblings: dict[int, str]) -> Path:
    """A topology as the system tells it: who shares a core with whom."""
    for cpu, shared in siblings.items():
        place = folder / f"cpu{cpu}" / "topology"
        place.mkdir(parents=True)
        (place / "thread_siblings_list").write_text(f"{shared}\n")
    return folder


def allow(monkeypatch: pytest.MonkeyPatch, cpus: set[int]) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: cpus, raising=False)


EIGHT = {cpu: f"{cpu % 4},{cpu % 4 + 4}" for cpu in range(8)}  # four cores of two threads


@pytest.mark.parametrize(
    ("siblings", "allowed", "threads"),
    [
        (EIGHT, set(range(8)), 4),
        (EIGHT, {0, 4}, 1),
        (EIGHT, {0, 1, 5}, 2),
        ({cpu: str(cpu) for cpu in range(6)}, set(range(6)), 6),
        ({}, {0, 1, 2}, 3),  # a system that tells nothing of its cores
    ],
)
def test_one_thread_for_each_core_that_the_process_may_use(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    siblings: dict[int, str],
    allowed: set[int],
    threads: int,
) -> None:
    allow(monkeypatch, allowed)
    assert usable_threads(machine(tmp_path, siblings), NO_LIMIT) == threads


@pytest.mark.parametrize(
    ("limit", "threads"),
    [
        ("max 100000", 4),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("1000 100000", 1),
        ("800000 100000", 4),
        ("", 4),
        ("gibberish", 4),
    ],
)
def test_a_control_group_may_grant_fewer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, threads: int
) -> None:
    allow(monkeypatch, set(range(8)))
    told = tmp_path / "cpu.max"
    told.write_text(f"{limit}\n")
    assert usable_threads(machine(tmp_path / "cpus", EIGHT), told) == threads


@pytest.mark.parametrize(("cpus", "threads"), [(8, 4), (1, 1), (None, 1)])
def test_a_system_without_affinity_is_taken_to_have_two_threads_in_a_core(
    monkeypatch: pytest.MonkeyPatch, cpus: int | None, threads: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: cpus)
    names = os.uname()
    told = os.uname_result((*names[:4], "x86_64"))
    monkeypatch.setattr(os, "uname", lambda: told)
    assert usable_threads(Path("/nowhere"), NO_LIMIT) == threads


def test_this_machine_has_at_least_one_thread_and_at_most_its_processors() -> None:
    assert 1 <= usable_threads() <= (os.cpu_count() or 1)


@pytest.mark.parametrize("there", [True, False])
def test_a_device_file_speaks_for_an_accelerator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    device = tmp_path / "nvidiactl"
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(processors, "_ACCELERATORS", (str(tmp_path / "dxg"), str(device)))
    if there:
        device.touch()
    assert has_accelerator() is there


def test_other_systems_may_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert has_accelerator()


@pytest.mark.parametrize(
    ("device", "accelerator", "expected"),
    [
        ("cpu", True, True),
        ("cpu", False, True),
        ("auto", True, False),
        ("auto", False, True),
        ("cuda", False, False),
        ("mps", True, False),
    ],
)
def test_the_processor_computes_where_it_is_said_or_nothing_else_is_there(
    monkeypatch: pytest.MonkeyPatch, device: str, accelerator: bool, expected: bool
) -> None:
    monkeypatch.setattr(processors, "has_accelerator", lambda: accelerator)
    assert on_processor(device) is expected
