"""Devices: which is chosen, what is said of one that is not here, and that nothing stays behind.

No machine of these tests has a card: the loop runs on PyTorch's `meta` device, whose tensors have
shapes and no values, and which refuses to be mixed with the processor's as cards do.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from kataribe.base.errors import InputError, UnavailableError
from kataribe.make.training import devices, instruction, machine, prediction, trainee
from kataribe.make.training.checkpoints import read_state
from kataribe.make.training.config import LoopConfig, Work
from kataribe.make.training.dial import Choice
from kataribe.make.training.loop import Training, _clip, backward
from kataribe.make.training.memory import decoder_memory
from kataribe.make.training.objective import Share
from kataribe.make.training.optimisers import Optimisers
from kataribe.make.training.record import NoRecord
from kataribe.make.training.session import carry_out
from kataribe.make.training.trainee import Trainee
from tests.make.training.toys import loop, new_run, setup, tiny_config


def cards(monkeypatch: pytest.MonkeyPatch, count: int, *, apple: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)


def test_the_fastest_that_is_here_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    cards(monkeypatch, 0)
    assert devices.choose("auto") == torch.device("cpu")
    assert devices.backend() == "gloo"
    cards(monkeypatch, 0, apple=True)
    assert devices.choose("auto") == torch.device("mps")
    cards(monkeypatch, 2)
    assert devices.choose("auto") == torch.device("cuda", 0)
    assert devices.choose("cuda:1") == torch.device("cuda", 1)
    assert devices.choose("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: True)
    assert devices.backend() == "cpu:gloo,cuda:nccl"


def test_each_process_takes_its_own_card(monkeypatch: pytest.MonkeyPatch) -> None:
    cards(monkeypatch, 2)
    monkeypatch.setenv("WORLD_SIZE", "4")  # two machines
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert devices.choose("auto") == torch.device("cuda", 1)
    with pytest.raises(InputError, match="each on a card of its own"):
        devices.choose("cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(InputError, match=r"no cuda:2: this machine has 2 cards.*Start 2 processes"):
        devices.choose("cuda")
    cards(monkeypatch, 0, apple=True)
    assert devices.choose("auto") == torch.device("cpu")
    with pytest.raises(InputError, match="4 processes cannot train on together"):
        devices.choose("mps")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("gpu", "can be auto, cpu, cuda, cuda:1 or mps"),
        ("cuda:", "can be auto"),
        ("cuda", r"finds no such device here; there is cpu\. Take one of those \(--device cpu\)"),
        ("mps", "finds no such device here"),
    ],
)
def test_what_is_not_here_is_said(
    monkeypatch: pytest.MonkeyPatch, wanted: str, words: str, tmp_path: Path
) -> None:
    cards(monkeypatch, 0)
    with pytest.raises(InputError, match=words):
        devices.choose(wanted)
    config = loop(device=wanted)
    run = new_run(tmp_path, config)
    with pytest.raises(InputError, match=words):
        carry_out(run, setup(config))
    assert run.info.state == "failed"


def test_a_card_that_is_not_there_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    cards(monkeypatch, 2)
    with pytest.raises(InputError, match=r"no cuda:7.*2 cards, counted from 0\. Name one"):
        devices.choose("cuda:7")


def test_a_cards_memory_is_the_one_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (3 * 10**9, 8 * 10**9))
    card = torch.device("cuda", 0)
    devices.check_room(2 * 10**9, card)
    with pytest.raises(UnavailableError, match=r"about 4\.0 GB, but cuda:0 has only 3\.0 of 8\.0"):
        devices.check_room(4 * 10**9, card)
    with pytest.raises(UnavailableError, match="GB of memory"):
        devices.check_room(10**15, torch.device("cpu"))


def test_a_card_holds_neither_the_program_nor_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def full(needed: int, device: torch.device) -> None:
        asked.append(needed)
        raise UnavailableError(f"{device} is full")

    config, model = loop(), tiny_config()
    data = SimpleNamespace(
        tokens=lambda _: range(10**9), meta=SimpleNamespace(dtype=np.dtype(np.uint16))
    )
    text = prediction.Text(cast("Any", data), 24, None)
    ways: list[tuple[Any, str, Callable[[], object]]] = [
        (prediction, "choose_device", lambda: prediction.predict(
            Choice(model, 96, 96, 0.01, 1), config, text, seconds=None, say=print)),
        (instruction, "choose", lambda: instruction._predict(
            model, config, cast("Any", (SimpleNamespace(length=24), None, None)), Path(), print)),
    ]  # fmt: skip
    usual = decoder_memory(model, config, 24)
    for module, name, predict in ways:
        monkeypatch.setattr(module, "check_room", full)
        for device in ("cuda", "mps", "cpu"):
            monkeypatch.setattr(module, name, lambda _, device=device: torch.device(device))
            with pytest.raises(UnavailableError, match=f"{device} is full"):
                predict()
        on_card, apple, here = asked[-3:]
        assert on_card == usual.total - usual.program
        assert min(apple, here) >= usual.total


def test_precision_is_the_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    cards(monkeypatch, 1)
    for able, wanted in ((True, "bfloat16"), (False, "float32")):
        devices.computes_bfloat16.cache_clear()
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda able=able, **_: able)
        assert machine.settle(Work(device="cuda"), None).precision == wanted
    devices.computes_bfloat16.cache_clear()
    assert devices.precision_of(torch.device("cpu")) is None


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("optimiser", ["adamw", "muon"])
def test_nothing_of_a_step_stays_on_the_processor(
    monkeypatch: pytest.MonkeyPatch, precision: str, optimiser: str
) -> None:
    there = torch.device("meta")
    monkeypatch.setattr(trainee, "choose", lambda _: there)
    config: LoopConfig = loop(precision=precision, optimiser=optimiser)
    given = setup(config)
    made = Trainee(given.model, given.objective.loss, config.work)
    weights = Optimisers(made.named, config.optimisation)
    training = Training(made, given.objective, weights, config, NoRecord(), lambda: False)
    data = given.objective.data(0, Share(0, 1, 2))
    assert len(data.parts) > 1
    loss = backward(training.trainee.module, data, 1 / data.taught)
    norm = _clip(made, 1.0)
    weights.step(1.0)
    kept = {name: each.device for name, each in weights.state().items() if "/step" not in name}
    assert {loss.device, norm.device, *kept.values()} == {there}
    assert {each.device for each in made.plain.parameters()} == {there}
    with pytest.raises((RuntimeError, NotImplementedError)):  # this device would notice
        torch.zeros(2, device=there) + torch.zeros(2)


def test_arrays_that_cannot_be_written_are_copied() -> None:
    row = np.broadcast_to(np.arange(3), (1, 3))
    (found,) = devices.tensors(torch.device("cpu"), row)
    found[0, 0] = 9
    assert row.tolist() == [[0, 1, 2]]


def test_what_is_remembered_comes_back_where_it_was(tmp_path: Path) -> None:
    config = loop(optimiser="adamw")
    given, run = setup(config), new_run(tmp_path, config)
    ended = carry_out(run, given)
    remembered, _ = read_state(run.checkpoints()[-1][1])
    model = setup(config).model.to("meta")
    fresh = Optimisers(dict(model.named_parameters()), config.optimisation)
    fresh.load(remembered)
    devices_of = {name.rpartition("/")[2]: each.device.type for name, each in fresh.state().items()}
    # PyTorch keeps the count of steps on the processor where its kernel is not fused.
    assert devices_of == {"step": "cpu", "exp_avg": "meta", "exp_avg_sq": "meta"}
    assert ended.progress.step == config.steps
