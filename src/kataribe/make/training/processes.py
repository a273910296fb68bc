"""Several processes that train one model (`torchrun`), and one that is alone.

Counts and plans go over gloo, gradients of cards over nccl (`devices.backend`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.nn.parallel import DistributedDataParallel

from kataribe.make.training import devices
from kataribe.make.training.config import Parallel
from kataribe.make.training.trainee import Trainee, blocks

T = TypeVar("T")

PATIENCE = dt.timedelta(hours=6)
"""So long the others wait while the first reads a corpus as tokens and measures the machine."""


def rank() -> int:
    """Number of this process, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def ranks() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Joins the other processes where `torchrun` started this one, and parts at the end."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or distributed.is_initialized():
        yield
        return
    distributed.init_process_group(devices.backend(), timeout=PATIENCE)
    try:
        yield
        wait()  # who leaves first would take the meeting place away from the others
    finally:
        distributed.destroy_process_group()


def summed(*values: float) -> tuple[float, ...]:
    """The sums over all processes; float64, so that counts stay exact."""
    if ranks() == 1:
        return values
    tensor = torch.tensor(values, dtype=torch.float64)
    distributed.all_reduce(tensor)
    return tuple(tensor.tolist())


def in_step(mine: Iterable[T]) -> Iterator[T | None]:
    """This process's things, and None as often as the process with the most has more.

    Where weights are spread, every pass is the work of all processes, so all need as many.
    """
    if ranks() == 1:
        yield from mine
        return
    held = list(mine)
    most = torch.tensor(len(held))
    distributed.all_reduce(most, distributed.ReduceOp.MAX)
    yield from held
    for _ in range(int(most) - len(held)):
        yield None


def from_first(value: T | None) -> T:
    """The first process's value, in all of them."""
    held = [value]
    if ranks() > 1:
        distributed.broadcast_object_list(held, src=0)
    found = held[0]
    assert found is not None  # the first process has one
    return found


def wait() -> None:
    """Waits until all processes have come here."""
    summed(0.0)  # over gloo in any case


def spread(trainee: Trainee, parallel: Parallel) -> None:
    """Makes a trainee one of several: gradients meet, and with `fsdp` weights are divided.

    Both average gradients over the processes; the loop multiplies by their number.
    """
    if ranks() == 1:
        return
    device = trainee.device
    if parallel == "ddp":
        own = None if device.index is None else [device]
        trainee.module = DistributedDataParallel(trainee.module, device_ids=own)
        return
    mesh = init_device_mesh(device.type, (ranks(),))
    for block in blocks(trainee.module):
        fully_shard(block, mesh=mesh)
    fully_shard(trainee.module, mesh=mesh)
    trainee.plain.to("cpu")  # whole weights would fill a card; they come back to be saved
    trainee.judge = trainee.module  # the other view's parameters are no longer these
    trainee.named = {
        name.removeprefix("model."): parameter
        for name, parameter in trainee.module.named_parameters()
    }


@contextlib.contextmanager
def quiet(module: nn.Module, *, last: bool) -> Iterator[None]:
    """Only the last pass of a step lets gradients meet."""
    if isinstance(module, DistributedDataParallel) and not last:
        with module.no_sync():
            yield
        return
    if isinstance(module, FSDPModule):
        module.set_requires_gradient_sync(last)
    yield
